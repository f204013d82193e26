//! Texts of the file turned into values: durations, sizes, addresses, ports, lists.
//!
//! Pure. What comes out is a [`Value`] of the [`Kind`](super::keys::Kind) that the table of keys promises.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// A checked value, in the form its kind prescribes.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `yes` or `no`.
    Bool(bool),
    /// A whole number or a port.
    Int(i64),
    /// A number.
    Float(f64),
    /// Any text, also a word of a choice.
    Text(String),
    /// A duration.
    Duration(Duration),
    /// Bytes.
    Size(u64),
    /// Where to listen.
    Address(Address),
    /// How much memory.
    Budget(Budget),
    /// A list of any of these.
    List(Vec<Value>),
    /// A list of maps, as JSON: nothing reads them yet.
    Records(serde_json::Value),
    /// Something that is accepted but not kept, because nothing serves it yet.
    Unkept,
}

/// Where a server listens: `:8554`, `127.0.0.1:8554`, `[::1]:8554`, `localhost:8554`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Host without brackets; empty for every interface.
    pub host: String,
    /// Port; 0 lets the system choose.
    pub port: u16,
}

impl Address {
    /// Reads `host:port`.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok()?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').filter(|h| h.parse::<Ipv6Addr>().is_ok())?,
            None if host.contains([':', ' ', '/', '[', ']']) => return None,
            None => host,
        };
        Some(Self { host: host.to_owned(), port })
    }

    /// The socket address to bind. No host means every interface, IPv6 and IPv4.
    ///
    /// A host name is looked up, which blocks: call it at start, not on a worker.
    pub fn resolve(&self) -> std::io::Result<SocketAddr> {
        if self.host.is_empty() {
            return Ok((Ipv6Addr::UNSPECIFIED, self.port).into());
        }
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            return Ok((ip, self.port).into());
        }
        let mut found = (self.host.as_str(), self.port).to_socket_addrs()?;
        found.next().ok_or_else(|| std::io::Error::other(format!("no address for host {:?}", self.host)))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A limit on memory: so many bytes, or a share of what the machine (or the container) has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths of the memory, 1 to 100.
    Percent(u8),
}

impl Budget {
    /// Reads `512M` or `25%`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix('%') {
            Some(share) => share.trim().parse().ok().filter(|p| (1..=100).contains(p)).map(Self::Percent),
            None => parse_size(text).map(Self::Bytes),
        }
    }

    /// Bytes, given the memory there is.
    pub fn of(self, memory: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => memory / 100 * u64::from(percent),
        }
    }
}

/// A block of IPv4 addresses: `224.1.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Range {
    /// The first address.
    pub base: Ipv4Addr,
    /// Leading bits that all addresses share.
    pub prefix: u8,
}

impl Ipv4Range {
    /// Reads a multicast block; bits after the prefix are cleared.
    pub fn parse_multicast(text: &str) -> Option<Self> {
        let (base, prefix) = text.split_once('/')?;
        let prefix: u8 = prefix.parse().ok().filter(|p| (4..=32).contains(p))?;
        let bits = base.parse::<Ipv4Addr>().ok()?.to_bits() & (u32::MAX << (32 - u32::from(prefix)));
        let base = Ipv4Addr::from_bits(bits);
        base.is_multicast().then_some(Self { base, prefix })
    }

    /// The addresses of the block, without its first, which names the block.
    pub fn addresses(self) -> impl Iterator<Item = Ipv4Addr> {
        let count = 1u64 << (32 - u32::from(self.prefix));
        (1..count.max(2)).map(move |i| Ipv4Addr::from_bits(self.base.to_bits() | (i % count) as u32))
    }
}

/// Reads a boolean as YAML 1.1 spells it.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// Reads a duration in Go's syntax (`1h30m`, `1.5s`, `200ms`) with days as well (`2d12h`). A bare `0` is allowed.
pub fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return None;
    }
    let mut nanoseconds: u128 = 0;
    while !rest.is_empty() {
        let (amount, after) = split_number(rest)?;
        let (unit, after) = split_unit(after)?;
        nanoseconds = nanoseconds.checked_add(scale(amount, unit)?)?;
        rest = after;
    }
    // Go counts nanoseconds in 63 bits: 292 years.
    let nanoseconds = u64::try_from(nanoseconds).ok().filter(|n| *n <= i64::MAX as u64)?;
    Some(Duration::from_nanos(nanoseconds))
}

/// Reads a size with a unit of 1,024: `50M`, `1.5G`, `512KiB`, `4096`.
pub fn parse_size(text: &str) -> Option<u64> {
    let (amount, unit) = split_number(text.trim())?;
    let power = match unit.trim().to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 1,
        "M" | "MB" | "MIB" => 2,
        "G" | "GB" | "GIB" => 3,
        "T" | "TB" | "TIB" => 4,
        _ => return None,
    };
    u64::try_from(scale(amount, 1024u64.pow(power))?).ok()
}

/// Splits `1.5rest` into the digits and what follows.
fn split_number(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    // 18 digits stay within what `scale` can hold.
    ((1..=18).contains(&digits) && number.len() - digits <= 1).then_some((number, rest))
}

/// Takes the unit of time from the front, in nanoseconds.
fn split_unit(text: &str) -> Option<(u64, &str)> {
    const UNITS: [(&str, u64); 9] = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("μs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
        ("d", 86_400_000_000_000),
    ];
    UNITS.iter().find_map(|(name, length)| text.strip_prefix(name).map(|rest| (*length, rest)))
}

/// `number * unit`, where the number may have a fraction.
fn scale(number: &str, unit: u64) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u128>().ok() };
    let part = digits(fraction)? * u128::from(unit) / 10u128.pow(u32::try_from(fraction.len()).ok()?);
    digits(whole)?.checked_mul(u128::from(unit))?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_follow_go_and_know_days() {
        for (text, nanoseconds) in [
            ("10s", 10_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("200ms", 200_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("3us", 3_000),
            ("3µs", 3_000),
            ("2d", 172_800_000_000_000),
            ("1d12h", 129_600_000_000_000),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_nanos(nanoseconds)), "{text}");
        }
        for text in ["", "10", "s", "1x", "-1s", "1.2.3s", ".s", "1s2", "9999999999999h", "99999999999999999999s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_count_in_1024() {
        for (text, bytes) in [("50M", 50 << 20), ("1k", 1024), ("1.5G", 3 << 29), ("512KiB", 1 << 19), ("7", 7)] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in ["", "M", "5X", "-1M", "99999999999T"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_and_back() {
        for text in [":8554", "127.0.0.1:0", "[::1]:8554", "localhost:80"] {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
        for text in ["8554", "::1:8554", "host:", "host:70000", "[::1:80", "http://a:80"] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
        assert_eq!(Address::parse(":80").unwrap().resolve().unwrap(), "[::]:80".parse::<SocketAddr>().unwrap());
    }

    #[test]
    fn budgets_and_blocks() {
        assert_eq!(Budget::parse("25%"), Some(Budget::Percent(25)));
        assert_eq!(Budget::parse("1G"), Some(Budget::Bytes(1 << 30)));
        assert_eq!(Budget::parse("0%"), None);
        assert_eq!(Budget::Percent(25).of(4000), 1000);
        let block = Ipv4Range::parse_multicast("224.1.2.3/16").unwrap();
        assert_eq!(block, Ipv4Range { base: Ipv4Addr::new(224, 1, 0, 0), prefix: 16 });
        assert_eq!(Ipv4Range::parse_multicast("10.0.0.0/8"), None);
    }
}
