//! H.264 (RFC 6184): single NAL units, STAP-A for small neighbours, FU-A for large ones.

use super::{Cursor, PacketSink, fitting, put_frame};
use crate::media::{Frame, Unit};

/// Packet type STAP-A (section 5.7.1) and the bytes before each of its NAL units.
const STAP_A: u8 = 24;
const STAP_SIZE: usize = 2;

/// Packet type FU-A (section 5.8) and the bytes before its fragment: FU indicator, FU header.
const FU_A: u8 = 28;
const FU_HEAD: usize = 2;

pub(super) fn pack(unit: &Unit, max: usize, sink: &mut impl PacketSink) {
    let mut rest = unit.payload.frames();
    while rest.len() > 0 {
        let together = fitting(rest.clone().map(|frame| frame.len()), STAP_SIZE, max - 1);
        let last = together.max(1) == rest.len();
        if together > 1 {
            put_stap(rest.clone().take(together), last, sink);
            rest.nth(together - 1);
        } else if let Some(frame) = rest.next() {
            put_one(frame, last, max, sink);
        }
    }
}

fn put_one(frame: Frame<'_>, last: bool, max: usize, sink: &mut impl PacketSink) {
    if frame.len() > max {
        return put_fragments(frame, last, max, sink);
    }
    sink.begin(0);
    put_frame(frame, sink);
    sink.end(last);
}

fn put_stap<'a>(frames: impl Iterator<Item = Frame<'a>> + Clone, last: bool, sink: &mut impl PacketSink) {
    let headers = frames.clone().map(|frame| frame.get(0).unwrap_or_default());
    // The forbidden bit of any, the importance of the most important (section 5.7.1).
    let forbidden = headers.clone().fold(0, |all, header| all | header & 0x80);
    let importance = headers.map(|header| header & 0x60).max().unwrap_or_default();
    sink.begin(0);
    sink.put(&[forbidden | importance | STAP_A]);
    for frame in frames {
        sink.put(&(frame.len() as u16).to_be_bytes());
        put_frame(frame, sink);
    }
    sink.end(last);
}

fn put_fragments(frame: Frame<'_>, last: bool, max: usize, sink: &mut impl PacketSink) {
    const START: u8 = 0x80;
    const END: u8 = 0x40;
    let header = frame.get(0).unwrap_or_default();
    let mut cursor = Cursor::new(frame);
    cursor.skip(1);
    let mut flags = START;
    while cursor.left() > 0 {
        let ends = cursor.left() <= max - FU_HEAD;
        flags |= if ends { END } else { 0 };
        sink.begin(0);
        sink.put(&[header & 0xe0 | FU_A, flags | header & 0x1f]);
        cursor.put(max - FU_HEAD, sink);
        sink.end(ends && last);
        flags = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{packets, unit};
    use crate::media::{Codec, H264Config};

    fn pack(frames: &[&[&[u8]]]) -> Vec<Vec<u8>> {
        let packets = packets(&Codec::H264(H264Config::default()), &unit(frames), 64);
        assert!(packets.iter().enumerate().all(|(i, packet)| packet.marker == (i + 1 == packets.len())));
        packets.into_iter().map(|packet| packet.bytes).collect()
    }

    #[test]
    fn parameter_sets_travel_together() {
        let packets = pack(&[&[&[0x67, 1]], &[&[0x28], &[2]], &[&[0x65; 60]]]);
        assert_eq!(packets[0], [0x78, 0, 2, 0x67, 1, 0, 2, 0x28, 2]);
        assert_eq!(packets[1], [0x65; 60]);
    }

    #[test]
    fn large_units_are_fragmented_at_the_maximum() {
        let packets = pack(&[&[&[0x65; 3], &[7; 128]]]);
        assert_eq!(packets.iter().map(Vec::len).collect::<Vec<_>>(), [64, 64, 8]);
        assert_eq!(packets[0][..5], [0x7c, 0x85, 0x65, 0x65, 7]);
        assert_eq!(packets[1][..3], [0x7c, 0x05, 7]);
        assert_eq!(packets[2][..3], [0x7c, 0x45, 7]);
    }

    #[test]
    fn a_unit_of_exactly_the_maximum_is_one_packet() {
        assert_eq!(pack(&[&[&[0x41; 64]]]).len(), 1);
        assert_eq!(pack(&[&[&[0x41; 65]]]).len(), 2);
    }
}
