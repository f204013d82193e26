//! VP9 (RFC 9628 section 4.2): descriptor of one byte, without picture id and layers.
//!
//! A picture id would have to count from packet to packet, and the flexible mode demands one; so the mode is the other
//! one, in which a frame without layers needs neither.

use super::{Cursor, PacketSink};
use crate::media::Unit;

/// Inter-picture predicted frame.
const P: u8 = 0x40;
/// Start of a frame.
const B: u8 = 0x08;
/// End of a frame.
const E: u8 = 0x04;

pub(super) fn pack(unit: &Unit, max: usize, sink: &mut impl PacketSink) {
    let predicted = if unit.random_access { 0 } else { P };
    let mut frames = unit.payload.frames();
    while let Some(frame) = frames.next() {
        let mut cursor = Cursor::new(frame);
        let mut start = B;
        while cursor.left() > 0 {
            let end = if cursor.left() < max { E } else { 0 };
            sink.begin(0);
            sink.put(&[predicted | start | end]);
            cursor.put(max - 1, sink);
            sink.end(end != 0 && frames.len() == 0);
            start = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{packets, unit};
    use crate::media::{Codec, Unit, Vp9Config};

    #[test]
    fn frames_have_a_beginning_and_an_end() {
        let codec = Codec::Vp9(Vp9Config::default());
        let key = unit(&[&[&[7; 50], &[8; 80]]]);
        let heads: Vec<u8> = packets(&codec, &key, 64).iter().map(|packet| packet.bytes[0]).collect();
        assert_eq!(heads, [0x08, 0, 0x04]);
        let delta = Unit { random_access: false, ..unit(&[&[&[7; 63]]]) };
        let packets = packets(&codec, &delta, 64);
        assert_eq!((packets.len(), packets[0].bytes[0], packets[0].marker), (1, 0x40 | 0x08 | 0x04, true));
    }
}
