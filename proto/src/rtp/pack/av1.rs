//! AV1 (RTP Payload Format For AV1, AOMedia, section 4): up to three OBU elements a packet.

use super::{Cursor, PacketSink};
use crate::bitstream::av1::write_leb128;
use crate::media::Unit;

/// The first OBU element of the packet continues the last one of the packet before.
const Z: u8 = 0x80;
/// The last OBU element goes on in the next packet.
const Y: u8 = 0x40;
/// Where the number of OBU elements stands.
const W_SHIFT: u8 = 4;
/// The first packet of a coded video sequence.
const N: u8 = 0x08;

/// As many as W can count; the last of them then needs no length.
const ELEMENTS_MAX: u8 = 3;

pub(super) fn pack(unit: &Unit, max: usize, sink: &mut impl PacketSink) {
    let mut rest = unit.payload.frames().map(Cursor::new);
    let Some(mut current) = rest.next() else { return };
    let mut flags = if unit.random_access { N } else { 0 };
    loop {
        let (count, cut) = plan(current, rest.clone(), max);
        sink.begin(0);
        sink.put(&[flags | count << W_SHIFT | if cut { Y } else { 0 }]);
        let mut room = max - 1;
        for _ in 1..count {
            room -= put_element(&mut current, sink);
            current = rest.next().unwrap_or(current);
        }
        current.put(room, sink);
        flags = if cut { Z } else { 0 };
        if current.left() == 0 {
            match rest.next() {
                Some(next) => current = next,
                None => return sink.end(true),
            }
        }
        sink.end(false);
    }
}

/// How many OBU elements go into the next packet, and whether the last of them is cut.
fn plan<'a>(first: Cursor<'a>, mut rest: impl Iterator<Item = Cursor<'a>>, max: usize) -> (u8, bool) {
    let mut room = max - 1;
    let mut len = first.left();
    let mut count = 1;
    // An element that is not the last has its length before it; the next one must get at least a byte.
    while count < ELEMENTS_MAX && len + length_bytes(len) < room {
        let Some(next) = rest.next() else { break };
        room -= len + length_bytes(len);
        len = next.left();
        count += 1;
    }
    (count, len > room)
}

/// Puts a whole element with its length; gives the bytes used.
fn put_element(element: &mut Cursor<'_>, sink: &mut impl PacketSink) -> usize {
    let len = element.left();
    sink.put(write_leb128(len as u32, &mut [0; 5]));
    element.put(len, sink);
    len + length_bytes(len)
}

/// Bytes of a length as `leb128`.
fn length_bytes(len: usize) -> usize {
    write_leb128(len as u32, &mut [0; 5]).len()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{packets, unit};
    use crate::media::{Av1Config, Codec};

    fn pack(frames: &[&[&[u8]]]) -> Vec<Vec<u8>> {
        let packets = packets(&Codec::Av1(Av1Config::default()), &unit(frames), 64);
        assert!(packets.iter().enumerate().all(|(i, packet)| packet.marker == (i + 1 == packets.len())));
        packets.into_iter().map(|packet| packet.bytes).collect()
    }

    #[test]
    fn a_keyframe_shares_its_first_packet_with_the_sequence_header() {
        let packets = pack(&[&[&[0x08, 1]], &[&[0x30; 3], &[9; 100]]]);
        assert_eq!(packets.iter().map(Vec::len).collect::<Vec<_>>(), [64, 44]);
        assert_eq!(packets[0][..6], [0x40 | 0x20 | 0x08, 2, 0x08, 1, 0x30, 0x30]);
        assert_eq!(packets[1][..2], [0x80 | 0x10, 9]);
    }

    #[test]
    fn a_fourth_element_begins_a_packet() {
        let packets = pack(&[&[&[0x08]], &[&[0x18]], &[&[0x20]], &[&[0x20, 5]]]);
        assert_eq!(packets[0], [0x30 | 0x08, 1, 0x08, 1, 0x18, 0x20]);
        assert_eq!(packets[1], [0x10, 0x20, 5]);
    }
}
