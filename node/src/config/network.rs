//! Blocks of addresses, as lists of trusted proxies have them.

use std::net::IpAddr;

/// One address, or all with the same first bits: `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpRange {
    address: IpAddr,
    bits: u8,
}

impl IpRange {
    /// Reads an address, or one with its number of bits behind a slash.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.trim().parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(most), |bits| bits.trim().parse().ok().filter(|bits| *bits <= most))?;
        Some(Self { address, bits })
    }

    /// Whether an address belongs to it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let same = |own: u128, other: u128, width: u8| {
            // A shift by the whole width would be too far.
            let shift = u32::from(width - self.bits);
            self.bits == 0 || own >> shift == other >> shift
        };
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => same(own.to_bits().into(), other.to_bits().into(), 32),
            (IpAddr::V6(own), IpAddr::V6(other)) => same(own.to_bits(), other.to_bits(), 128),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_their_addresses() {
        let holds = |range: &str, address: &str| IpRange::parse(range).unwrap().contains(address.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.1.2.3") && holds("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(!holds("10.0.0.0/8", "11.0.0.1") && !holds("10.0.0.0/8", "::1"));
        assert!(holds("::1", "::1") && holds("0.0.0.0/0", "1.2.3.4") && holds("fd00::/8", "fd12::1"));
        for bad in ["", "10.0.0.0/33", "x", "10.0.0.1/-1", "fd00::/129"] {
            assert_eq!(IpRange::parse(bad), None, "{bad}");
        }
    }
}
