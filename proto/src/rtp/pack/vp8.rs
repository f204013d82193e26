//! VP8 (RFC 7741 section 4.2), without the extensions of its payload descriptor.

use super::{Cursor, PacketSink};
use crate::media::Unit;

/// The frame is no reference.
const N: u8 = 0x20;
/// Start of the first partition.
const S: u8 = 0x10;

pub(super) fn pack(unit: &Unit, max: usize, sink: &mut impl PacketSink) {
    let reference = if unit.discardable { N } else { 0 };
    let mut frames = unit.payload.frames();
    while let Some(frame) = frames.next() {
        let mut cursor = Cursor::new(frame);
        let mut start = S;
        while cursor.left() > 0 {
            sink.begin(0);
            sink.put(&[reference | start]);
            cursor.put(max - 1, sink);
            sink.end(cursor.left() == 0 && frames.len() == 0);
            start = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{packets, unit};
    use crate::media::{Codec, Vp8Config};

    #[test]
    fn only_the_first_packet_starts_the_partition() {
        let packets = packets(&Codec::Vp8(Vp8Config::default()), &unit(&[&[&[7; 50], &[8; 20]]]), 64);
        assert_eq!(packets.iter().map(|packet| packet.bytes.len()).collect::<Vec<_>>(), [64, 8]);
        assert_eq!((packets[0].bytes[0], packets[1].bytes[0]), (0x10, 0));
        assert_eq!((packets[0].marker, packets[1].marker), (false, true));
    }
}
