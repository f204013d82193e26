//! Repairs on a stream of their own (RFC 4588): a packet that is sent again has another SSRC, payload type and sequence number;
//! the number it had stands in front of the payload.
//!
//! ```text
//! | header of the repair, with its CSRC list and extensions |
//! |   original sequence number    |    original payload ... |
//! ```

use bytes::Bytes;

use super::header::{self, HEADER_BYTES, Header};

/// Bytes of the original sequence number (section 4).
const ORIGINAL_BYTES: usize = 2;

/// The packet that a repair stands for, with the payload type and SSRC that it had. CSRC list, extensions, marker and timestamp
/// are those of the repair; padding is left out. `None` for what is no packet, and for probes, which are padding only.
#[expect(clippy::needless_pass_by_value, reason = "what a door has received is its own; today it is copied")]
pub fn restore(datagram: Bytes, payload_type: u8, ssrc: u32) -> Option<Bytes> {
    let parts = header::parts(&datagram)?;
    let (original, media) = parts.payload.split_first_chunk::<ORIGINAL_BYTES>()?;
    let sequence = u16::from_be_bytes(*original);
    Some(join(parts.head, (payload_type, ssrc, sequence), &[], media)?.into())
}

/// The repair of a packet: the other way round. `sequence` is the next one of the repairs' own. `None` for what is no packet.
pub fn repair(datagram: &[u8], payload_type: u8, ssrc: u32, sequence: u16) -> Option<Bytes> {
    let parts = header::parts(datagram)?;
    let original = &parts.head[2..4];
    Some(join(parts.head, (payload_type, ssrc, sequence), original, parts.payload)?.into())
}

/// A packet with this head, but for its identity and padding.
fn join(head: &[u8], identity: (u8, u32, u16), front: &[u8], payload: &[u8]) -> Option<Vec<u8>> {
    let mut packet = Vec::with_capacity(head.len() + front.len() + payload.len());
    packet.extend_from_slice(head);
    let fixed: &mut [u8; HEADER_BYTES] = packet.first_chunk_mut()?;
    let (payload_type, ssrc, sequence) = identity;
    Header::set_payload_type(fixed, payload_type);
    Header::set_ssrc(fixed, ssrc);
    Header::set_sequence(fixed, sequence);
    Header::clear_padding(fixed);
    packet.extend_from_slice(front);
    packet.extend_from_slice(payload);
    Some(packet)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Packet;
    use super::super::extension::extensions;
    use super::*;

    /// Marker, a CSRC, one extension; payload type 97, number 7, SSRC 2; then these bytes.
    fn datagram(first: u8, rest: &[u8]) -> Bytes {
        let head = [0x91 | first, 0x80 | 97, 0, 7, 0, 0, 0, 5, 0, 0, 0, 2, 9, 9, 9, 9];
        [&head[..], &[0xbe, 0xde, 0, 1, 0x31, 0xaa, 0xbb, 0], rest].concat().into()
    }

    #[test]
    fn a_repair_becomes_the_packet_that_it_stands_for() {
        let restored = restore(datagram(0, b"\xff\xfemedia"), 96, 1).unwrap();
        let packet = Packet::parse(restored.clone()).unwrap();
        assert_eq!((packet.payload_type, packet.sequence, packet.ssrc, packet.timestamp), (96, 0xfffe, 1, 5));
        assert!(packet.marker);
        assert_eq!(packet.payload, "media");
        assert_eq!(extensions(&restored).collect::<Vec<_>>(), [(3, &[0xaa, 0xbb][..])]);
        assert_eq!(restored[12..16], [9; 4], "the list of contributing sources");
    }

    #[test]
    fn padding_of_a_repair_is_left_out() {
        let restored = restore(datagram(0x20, b"\0\x09media\0\0\x03"), 96, 1).unwrap();
        assert_eq!((restored[0], &restored[restored.len() - 5..]), (0x91, &b"media"[..]));
    }

    #[test]
    fn probes_stand_for_nothing() {
        let padding = [&[0; 254][..], &[255]].concat();
        assert_eq!(restore(datagram(0x20, &padding), 96, 1), None);
        assert_eq!(restore(datagram(0, b""), 96, 1), None);
        assert_eq!(restore(datagram(0, b"\x01"), 96, 1), None);
        assert_eq!(restore(datagram(0x20, b"\x01\x01"), 96, 1), None);
        assert_eq!(restore(Bytes::from_static(b"no packet"), 96, 1), None);
        assert_eq!(repair(b"no packet", 96, 1, 1), None);
    }

    proptest! {
        #[test]
        fn a_repair_of_a_packet_is_restored_to_it(media: Vec<u8>, sequence: u16) {
            let packet = datagram(0, &media);
            let repair = repair(&packet, 98, 3, sequence).unwrap();
            prop_assert_eq!(Packet::parse(repair.clone()).unwrap().sequence, sequence);
            prop_assert_eq!(restore(repair, 97, 2), Some(packet));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, first in 0u8..64) {
            let _ = restore(bytes.clone().into(), 96, 1);
            let _ = repair(&bytes, 96, 1, 1);
            let _ = restore(datagram(first, &bytes), 96, 1).map(|packet| Packet::parse(packet).unwrap());
        }
    }
}
