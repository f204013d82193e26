//! The RTP fixed header (RFC 3550 section 5.1).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! |V=2|P|X|  CC   |M|     PT      |       sequence number         |
//! |                           timestamp                           |
//! |           synchronization source (SSRC) identifier            |
//! ```

use bytes::{Buf, Bytes};

/// Bytes of the header without CSRC list and extension.
pub const HEADER_BYTES: usize = 12;

/// A packet as received: the fields that matter and the payload, shared with the datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The marker bit; its meaning is the payload format's.
    pub marker: bool,
    /// Payload type, 0 to 127. Not checked here: over TCP some cameras send another one than their SDP says.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp in ticks of the track's clock.
    pub timestamp: u32,
    /// Synchronization source.
    pub ssrc: u32,
    /// What follows CSRC list and header extension, without padding. May be empty (probes, keep-alives).
    pub payload: Bytes,
}

/// Why a datagram is not an RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// The datagram ends inside the header, the CSRC list or the extension.
    #[error("RTP packet of {bytes} bytes ends inside its header")]
    Truncated {
        /// Bytes of the datagram.
        bytes: usize,
    },
    /// The version field is not 2.
    #[error("RTP version {0}, expected 2")]
    Version(u8),
}

impl Packet {
    /// Reads a datagram (RFC 3550 section 5.1).
    ///
    /// A padding count of zero or beyond the payload cannot be meant: the bit is then taken for a mistake of the sender
    /// and the payload is kept whole.
    pub fn parse(datagram: Bytes) -> Result<Packet, PacketError> {
        let truncated = PacketError::Truncated { bytes: datagram.len() };
        let fixed: &[u8; HEADER_BYTES] = datagram.first_chunk().ok_or(truncated)?;
        if fixed[0] >> 6 != 2 {
            return Err(PacketError::Version(fixed[0] >> 6));
        }
        let header = Header::read(fixed);
        let start = payload_start(&datagram).ok_or(truncated)?;
        let padding = if fixed[0] & PADDING != 0 { padding_bytes(&datagram[start..]) } else { 0 };
        let mut payload = datagram;
        payload.truncate(payload.len() - padding);
        payload.advance(start);
        let Header { marker, payload_type, sequence, timestamp, ssrc } = header;
        Ok(Packet { marker, payload_type, sequence, timestamp, ssrc, payload })
    }
}

/// Whether a datagram on a port shared by RTP and RTCP is RTCP (RFC 5761 section 4).
pub fn is_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram, [first, 192..=223, ..] if first >> 6 == 2)
}

/// The fields of a header without CSRC list and extension, for packets that we send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The marker bit.
    pub marker: bool,
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp in ticks of the track's clock.
    pub timestamp: u32,
    /// Synchronization source.
    pub ssrc: u32,
}

impl Header {
    /// Writes the header: version 2, no padding, no extension, no CSRC.
    pub fn write(&self, out: &mut [u8; HEADER_BYTES]) {
        out[0] = 2 << 6;
        out[1] = u8::from(self.marker) << 7 | self.payload_type & 0x7f;
        Self::set_sequence(out, self.sequence);
        Self::set_timestamp(out, self.timestamp);
        Self::set_ssrc(out, self.ssrc);
    }

    /// Changes the payload type of a written header; the marker stays.
    pub fn set_payload_type(header: &mut [u8; HEADER_BYTES], payload_type: u8) {
        header[1] = header[1] & 0x80 | payload_type & 0x7f;
    }

    /// Changes the sequence number of a written header.
    pub fn set_sequence(header: &mut [u8; HEADER_BYTES], sequence: u16) {
        header[2..4].copy_from_slice(&sequence.to_be_bytes());
    }

    /// Changes the timestamp of a written header.
    pub fn set_timestamp(header: &mut [u8; HEADER_BYTES], timestamp: u32) {
        header[4..8].copy_from_slice(&timestamp.to_be_bytes());
    }

    /// Changes the SSRC of a written header.
    pub fn set_ssrc(header: &mut [u8; HEADER_BYTES], ssrc: u32) {
        header[8..12].copy_from_slice(&ssrc.to_be_bytes());
    }

    /// Says of a written header that an extension follows it.
    pub const fn set_extension(header: &mut [u8; HEADER_BYTES]) {
        header[0] |= EXTENSION;
    }

    /// Says of a written header that no padding follows its payload.
    pub(super) const fn clear_padding(header: &mut [u8; HEADER_BYTES]) {
        header[0] &= !PADDING;
    }

    /// The fields of a header's fixed part, whatever its version.
    pub fn read(fixed: &[u8; HEADER_BYTES]) -> Self {
        let [_, second, s0, s1, t0, t1, t2, t3, i0, i1, i2, i3] = *fixed;
        Self {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7f,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([i0, i1, i2, i3]),
        }
    }
}

/// A packet taken apart.
pub(super) struct Parts<'a> {
    /// Fixed header, CSRC list and extension: [`HEADER_BYTES`] at least.
    pub(super) head: &'a [u8],
    /// The payload without padding.
    pub(super) payload: &'a [u8],
}

/// Takes a packet apart as [`Packet::parse`] does.
pub(super) fn parts(datagram: &[u8]) -> Option<Parts<'_>> {
    let first = *datagram.first().filter(|first| **first >> 6 == 2)?;
    let (head, payload) = datagram.split_at(payload_start(datagram)?);
    let padding = if first & PADDING != 0 { padding_bytes(payload) } else { 0 };
    Some(Parts { head, payload: &payload[..payload.len() - padding] })
}

/// The extension of a packet that has one (RFC 3550 section 5.3.1): what its profile says, and its bytes.
pub(super) fn extension(datagram: &[u8]) -> Option<(u16, &[u8])> {
    let first = *datagram.first().filter(|first| **first & EXTENSION != 0)?;
    let head = parts(datagram)?.head.get(HEADER_BYTES + 4 * usize::from(first & 0x0f)..)?;
    let (fixed, rest) = head.split_first_chunk::<4>()?;
    Some((u16::from_be_bytes([fixed[0], fixed[1]]), rest))
}

/// Where the payload begins: after the CSRC list and the extension (RFC 3550 section 5.3.1), if all of it is there.
fn payload_start(datagram: &[u8]) -> Option<usize> {
    let first = *datagram.first()?;
    let mut start = HEADER_BYTES + 4 * usize::from(first & 0x0f);
    if first & EXTENSION != 0 {
        let extension: &[u8; 4] = datagram.get(start..)?.first_chunk()?;
        start += 4 + 4 * usize::from(u16::from_be_bytes([extension[2], extension[3]]));
    }
    (start <= datagram.len()).then_some(start)
}

fn padding_bytes(payload: &[u8]) -> usize {
    let count = payload.last().map_or(0, |count| usize::from(*count));
    if count <= payload.len() { count } else { 0 }
}

const PADDING: u8 = 0x20;
const EXTENSION: u8 = 0x10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: Header = Header { marker: true, payload_type: 96, sequence: 0xfffe, timestamp: 0x01020304, ssrc: 7 };

    fn datagram(first: u8, rest: &[u8]) -> Bytes {
        let mut head = [0; HEADER_BYTES];
        HEADER.write(&mut head);
        head[0] = first;
        [&head[..], rest].concat().into()
    }

    fn payload(first: u8, rest: &[u8]) -> Result<Bytes, PacketError> {
        Packet::parse(datagram(first, rest)).map(|packet| packet.payload)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let packet = Packet::parse(datagram(0x80, b"media")).unwrap();
        assert!(packet.marker);
        assert_eq!((packet.payload_type, packet.sequence, packet.timestamp, packet.ssrc), (96, 0xfffe, 0x01020304, 7));
        assert_eq!(packet.payload, "media");
    }

    #[test]
    fn the_payload_is_shared_with_the_datagram() {
        let datagram = datagram(0x80, b"media");
        let start = datagram[HEADER_BYTES..].as_ptr();
        assert_eq!(Packet::parse(datagram).unwrap().payload.as_ptr(), start);
    }

    #[test]
    fn csrc_list_extension_and_padding_are_passed_over() {
        let rest = [&[9; 8][..], &[0xbe, 0xde, 0, 1, 1, 2, 3, 4], b"media", &[0, 0, 3]].concat();
        assert_eq!(payload(0x80 | 0x20 | 0x10 | 2, &rest).unwrap(), "media");
        assert_eq!(payload(0xa0, &[0, 0, 0, 4]).unwrap(), "", "a packet may be padding only");
    }

    #[test]
    fn a_padding_bit_without_padding_leaves_the_payload_whole() {
        assert_eq!(payload(0xa0, b"media").unwrap(), "media", "last byte says more than there is");
        assert_eq!(payload(0xa0, b"medi\0").unwrap(), "medi\0", "a count of zero");
        assert_eq!(payload(0xa0, b"").unwrap(), "");
    }

    #[test]
    fn truncated_packets_and_other_versions_are_refused() {
        assert_eq!(payload(0x40, b"x"), Err(PacketError::Version(1)));
        assert_eq!(payload(0x8f, &[0; 59]), Err(PacketError::Truncated { bytes: 71 }));
        assert_eq!(payload(0x90, &[0, 0, 0]), Err(PacketError::Truncated { bytes: 15 }));
        assert_eq!(payload(0x90, &[0, 0, 0xff, 0xff, 1]), Err(PacketError::Truncated { bytes: 17 }));
        assert_eq!(Packet::parse(Bytes::new()), Err(PacketError::Truncated { bytes: 0 }));
    }

    #[test]
    fn a_written_header_is_patched_in_place() {
        let mut bytes = [0; HEADER_BYTES];
        HEADER.write(&mut bytes);
        Header::set_sequence(&mut bytes, 1);
        Header::set_timestamp(&mut bytes, 2);
        Header::set_ssrc(&mut bytes, 3);
        Header::set_payload_type(&mut bytes, 97);
        let patched = Header { marker: true, payload_type: 97, sequence: 1, timestamp: 2, ssrc: 3 };
        assert_eq!(Header::read(&bytes), patched);
    }

    #[test]
    fn rtcp_is_told_from_rtp_by_its_second_byte() {
        assert!(is_rtcp(&[0x80, 200, 0, 1]));
        assert!(!is_rtcp(&[0x80, 0xe0, 0, 1]));
        assert!(!is_rtcp(&[0x80]));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, first in 0x80u8..0xc0) {
            let _ = Packet::parse(bytes.clone().into());
            let _ = Packet::parse(datagram(first, &bytes));
        }
    }
}
