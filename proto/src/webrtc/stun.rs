//! STUN messages as ICE uses them: connectivity checks and their answers (RFC 8489, RFC 8445 section 7).
//!
//! Reading borrows from the datagram and allocates nothing. What a message claims counts only after
//! [`Message::is_authentic`].

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// Bytes of the header (RFC 8489 section 5).
const HEADER: usize = 20;

/// The first four bytes of a transaction, the same in each message.
const COOKIE: u32 = 0x2112_a442;

/// Bytes of a message; a check has about 100, and what is longer than a packet is none.
pub const STUN_BYTES_MAX: usize = 1500;

/// Attributes that are looked at; a check has eight.
const ATTRIBUTES_MAX: usize = 32;

/// What identifies a request and its answer.
pub type TransactionId = [u8; 12];

/// What a message is (RFC 8489 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Wants an answer.
    Request,
    /// Wants none: a keep-alive.
    Indication,
    /// It went well.
    Success,
    /// It did not.
    Error,
}

/// An attribute that ICE needs, by its number (RFC 8489 section 18.3, RFC 8445 section 16.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Attribute(u16);

impl Attribute {
    const USERNAME: Self = Self(0x0006);
    const MESSAGE_INTEGRITY: Self = Self(0x0008);
    const ERROR_CODE: Self = Self(0x0009);
    const UNKNOWN_ATTRIBUTES: Self = Self(0x000a);
    const MESSAGE_INTEGRITY_SHA256: Self = Self(0x001c);
    const XOR_MAPPED_ADDRESS: Self = Self(0x0020);
    const PRIORITY: Self = Self(0x0024);
    const USE_CANDIDATE: Self = Self(0x0025);
    const FINGERPRINT: Self = Self(0x8028);
    const ICE_CONTROLLED: Self = Self(0x8029);
    const ICE_CONTROLLING: Self = Self(0x802a);

    /// Who does not know it must refuse the message (RFC 8489 section 14).
    const fn is_required(self) -> bool {
        self.0 < 0x8000
    }

    const fn is_known(self) -> bool {
        matches!(
            self,
            Self::USERNAME
                | Self::MESSAGE_INTEGRITY
                | Self::ERROR_CODE
                | Self::UNKNOWN_ATTRIBUTES
                | Self::MESSAGE_INTEGRITY_SHA256
                | Self::XOR_MAPPED_ADDRESS
                | Self::PRIORITY
                | Self::USE_CANDIDATE
        )
    }
}

/// Which end decides about the way (RFC 8445 section 6.1.1), with its tie-breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It does.
    Controlling(u64),
    /// The other one does.
    Controlled(u64),
}

/// A binding message. Others are not ICE's.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    class: Class,
}

/// Whether a datagram on a shared socket is STUN (RFC 7983 section 7): a cheap first look.
pub fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= HEADER && datagram[0] < 4 && datagram[4..8] == COOKIE.to_be_bytes()
}

impl<'a> Message<'a> {
    /// Reads a datagram; `None` where it is no binding message, or its lengths contradict each other. With a fingerprint it
    /// must be the right one (RFC 8489 section 14.7).
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        if !is_stun(bytes) || bytes.len() > STUN_BYTES_MAX {
            return None;
        }
        let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        if length != bytes.len() - HEADER || !length.is_multiple_of(4) {
            return None;
        }
        let class = match u16::from_be_bytes([bytes[0], bytes[1]]) {
            0x0001 => Class::Request,
            0x0011 => Class::Indication,
            0x0101 => Class::Success,
            0x0111 => Class::Error,
            _ => return None,
        };
        let message = Self { bytes, class };
        let mut end = HEADER;
        for (count, (_, at, value)) in message.attributes().enumerate() {
            end = at + 4 + value.len().next_multiple_of(4);
            if count >= ATTRIBUTES_MAX {
                return None;
            }
        }
        (end == bytes.len() && message.has_right_fingerprint()).then_some(message)
    }

    /// What it is.
    pub const fn class(&self) -> Class {
        self.class
    }

    /// Of the request and its answer.
    pub fn transaction(&self) -> TransactionId {
        let mut id = [0; 12];
        id.copy_from_slice(&self.bytes[8..HEADER]);
        id
    }

    /// Number, offset and value of each, up to the first that is cut off.
    fn attributes(&self) -> impl Iterator<Item = (Attribute, usize, &'a [u8])> + use<'a> {
        let bytes = self.bytes;
        let mut at = HEADER;
        core::iter::from_fn(move || {
            let head = bytes.get(at..at + 4)?;
            let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
            let value = bytes.get(at + 4..at + 4 + length)?;
            let attribute = (Attribute(u16::from_be_bytes([head[0], head[1]])), at, value);
            at += 4 + length.next_multiple_of(4);
            Some(attribute)
        })
    }

    /// Those that count: what follows the integrity check is not covered by it, but for the fingerprint (RFC 8489 section 14.5).
    fn covered(&self) -> impl Iterator<Item = (Attribute, &'a [u8])> + use<'a> {
        let checks = [Attribute::MESSAGE_INTEGRITY, Attribute::MESSAGE_INTEGRITY_SHA256];
        self.attributes().take_while(move |(kind, ..)| !checks.contains(kind)).map(|(kind, _, value)| (kind, value))
    }

    fn value(&self, wanted: Attribute) -> Option<&'a [u8]> {
        self.covered().find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
    }

    fn number(&self, wanted: Attribute) -> Option<u64> {
        self.value(wanted)?.try_into().ok().map(u64::from_be_bytes)
    }

    /// Whose it is: the name fragments of the receiver and the sender, with a colon between them (RFC 8445 section 7.2.2).
    pub fn username(&self) -> Option<(&'a str, &'a str)> {
        core::str::from_utf8(self.value(Attribute::USERNAME)?).ok()?.split_once(':')
    }

    /// The sender wants this way to be the one (RFC 8445 section 7.1.2).
    pub fn nominates(&self) -> bool {
        self.value(Attribute::USE_CANDIDATE).is_some()
    }

    /// The priority that a candidate found by this check would have (RFC 8445 section 7.1.1).
    pub fn priority(&self) -> Option<u32> {
        self.value(Attribute::PRIORITY)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// What the sender takes itself for.
    pub fn role(&self) -> Option<Role> {
        let controlling = self.number(Attribute::ICE_CONTROLLING).map(Role::Controlling);
        controlling.or_else(|| self.number(Attribute::ICE_CONTROLLED).map(Role::Controlled))
    }

    /// The code of an error, 300 to 699.
    pub fn error(&self) -> Option<u16> {
        let value = self.value(Attribute::ERROR_CODE)?;
        let (class, number) = (value.get(2)? & 7, value.get(3)?);
        Some(u16::from(class) * 100 + u16::from(*number))
    }

    /// Where the answering end saw the request come from (RFC 8489 section 14.2).
    pub fn mapped_address(&self) -> Option<SocketAddr> {
        let value = self.value(Attribute::XOR_MAPPED_ADDRESS)?;
        let mask = mask(&self.transaction());
        let port = u16::from_be_bytes([*value.get(2)?, *value.get(3)?]) ^ (COOKIE >> 16) as u16;
        let ip = match (value.get(1)?, value.get(4..)?) {
            (1, ip) => IpAddr::from(Ipv4Addr::from(xor(<[u8; 4]>::try_from(ip).ok()?, &mask))),
            (2, ip) => IpAddr::from(Ipv6Addr::from(xor(<[u8; 16]>::try_from(ip).ok()?, &mask))),
            _ => return None,
        };
        Some(SocketAddr::new(ip, port))
    }

    /// The first attributes that must be known and are not, for a refusal with 420.
    pub fn unknown(&self) -> impl Iterator<Item = u16> + use<'a> {
        self.covered().map(|(kind, _)| kind).filter(|kind| kind.is_required() && !kind.is_known()).map(|kind| kind.0)
    }

    /// Whether somebody has written it who knows this password (RFC 8489 section 14.5).
    pub fn is_authentic(&self, password: &str) -> bool {
        let Some((_, at, value)) = self.attributes().find(|(kind, ..)| *kind == Attribute::MESSAGE_INTEGRITY) else {
            return false;
        };
        // In constant time.
        integrity(&self.bytes[..at], password).verify_slice(value).is_ok()
    }

    fn has_right_fingerprint(&self) -> bool {
        let found = self.attributes().find(|(kind, ..)| *kind == Attribute::FINGERPRINT);
        found.is_none_or(|(_, at, value)| {
            at + 8 == self.bytes.len() && value == fingerprint(&self.bytes[..at]).to_be_bytes()
        })
    }
}

/// The HMAC of a message up to its integrity check, with the length that it has with it.
fn integrity(before: &[u8], password: &str) -> Hmac<Sha1> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha1>::new_from_slice(password.as_bytes()).expect("any length");
    let length = (before.len() - HEADER + 24) as u16;
    mac.update(&before[..2]);
    mac.update(&length.to_be_bytes());
    mac.update(&before[4..]);
    mac
}

/// The check of a message up to its fingerprint, with the length that it has with it (RFC 8489 section 14.7).
fn fingerprint(before: &[u8]) -> u32 {
    let length = (before.len() - HEADER + 8) as u16;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&before[..2]);
    crc.update(&length.to_be_bytes());
    crc.update(&before[4..]);
    crc.finalize() ^ 0x5354_554e
}

/// What addresses are hidden by from those who change addresses in packets.
fn mask(transaction: &TransactionId) -> [u8; 16] {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&COOKIE.to_be_bytes());
    mask[4..].copy_from_slice(transaction);
    mask
}

fn xor<const N: usize>(mut bytes: [u8; N], mask: &[u8; 16]) -> [u8; N] {
    bytes.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    bytes
}

/// A message that is being written.
#[derive(Clone, Debug)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn new(kind: u16, transaction: &TransactionId) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&COOKIE.to_be_bytes());
        bytes.extend_from_slice(transaction);
        Self { bytes }
    }

    /// A connectivity check from one end to the other: name fragments of the receiver and the sender.
    pub fn request(transaction: &TransactionId, (receiver, sender): (&str, &str), priority: u32, role: Role) -> Self {
        let mut writer = Self::new(0x0001, transaction);
        writer.attribute(Attribute::USERNAME, format!("{receiver}:{sender}").as_bytes());
        writer.attribute(Attribute::PRIORITY, &priority.to_be_bytes());
        match role {
            Role::Controlling(tie) => writer.attribute(Attribute::ICE_CONTROLLING, &tie.to_be_bytes()),
            Role::Controlled(tie) => writer.attribute(Attribute::ICE_CONTROLLED, &tie.to_be_bytes()),
        }
        writer
    }

    /// With the wish that this way be the one.
    pub fn nominating(mut self) -> Self {
        self.attribute(Attribute::USE_CANDIDATE, &[]);
        self
    }

    /// The answer to a request that came from this address.
    pub fn success(transaction: &TransactionId, from: SocketAddr) -> Self {
        let mut writer = Self::new(0x0101, transaction);
        let mask = mask(transaction);
        let port = (from.port() ^ (COOKIE >> 16) as u16).to_be_bytes();
        match from.ip().to_canonical() {
            IpAddr::V4(ip) => {
                let ip = xor(ip.octets(), &mask);
                writer.attribute(Attribute::XOR_MAPPED_ADDRESS, &[&[0, 1], &port[..], &ip].concat());
            }
            IpAddr::V6(ip) => {
                let ip = xor(ip.octets(), &mask);
                writer.attribute(Attribute::XOR_MAPPED_ADDRESS, &[&[0, 2], &port[..], &ip].concat());
            }
        }
        writer
    }

    /// The answer to a request that cannot be: 400 (bad), 401 (not who it says), 420 (attributes that are not known, these), 487
    /// (both ends want to decide).
    pub fn error(transaction: &TransactionId, code: u16, unknown: &[u16]) -> Self {
        let mut writer = Self::new(0x0111, transaction);
        let reason: &[u8] = match code {
            401 => b"Unauthenticated",
            420 => b"Unknown Attribute",
            487 => b"Role Conflict",
            _ => b"Bad Request",
        };
        let [class, number] = [(code / 100) as u8, (code % 100) as u8];
        writer.attribute(Attribute::ERROR_CODE, &[&[0, 0, class, number], reason].concat());
        if !unknown.is_empty() {
            let list: Vec<u8> = unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect();
            writer.attribute(Attribute::UNKNOWN_ATTRIBUTES, &list);
        }
        writer
    }

    fn attribute(&mut self, kind: Attribute, value: &[u8]) {
        self.bytes.extend_from_slice(&kind.0.to_be_bytes());
        self.bytes.extend_from_slice(&(value.len() as u16).to_be_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        let length = (self.bytes.len() - HEADER) as u16;
        self.bytes[2..4].copy_from_slice(&length.to_be_bytes());
    }

    /// The whole message, signed with this password.
    pub fn signed(mut self, password: &str) -> Vec<u8> {
        let mac = integrity(&self.bytes, password).finalize().into_bytes();
        self.attribute(Attribute::MESSAGE_INTEGRITY, &mac);
        self.unsigned()
    }

    /// The whole message, as those are answered who have not shown that they know the password.
    pub fn unsigned(mut self) -> Vec<u8> {
        let crc = fingerprint(&self.bytes);
        self.attribute(Attribute::FINGERPRINT, &crc.to_be_bytes());
        self.bytes
    }
}

#[cfg(test)]
#[path = "stun_tests.rs"]
mod tests;
