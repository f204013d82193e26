//! AC-3 (RFC 4184 section 4): a frame a packet, or fragments.

use super::{Cursor, PacketSink};
use crate::media::Unit;

/// Frame type, and the number of frames or of fragments.
const HEAD: usize = 2;

/// Whole frames.
const WHOLE: u8 = 0;
/// The first fragment, with at least five eighths of the frame: enough to decode half of its samples.
const FIRST_LARGE: u8 = 1;
/// The first fragment, with less.
const FIRST_SMALL: u8 = 2;
/// A later fragment.
const LATER: u8 = 3;

pub(super) fn pack(unit: &Unit, max: usize, sink: &mut impl PacketSink) {
    let piece = max - HEAD;
    for frame in unit.payload.frames() {
        let mut cursor = Cursor::new(frame);
        let len = cursor.left();
        // The count has 8 bits; the largest frame is of 3,840 bytes.
        let Ok(count) = u8::try_from(len.div_ceil(piece)) else { continue };
        let mut kind = match count {
            ..=1 => WHOLE,
            _ if piece * 8 >= len * 5 => FIRST_LARGE,
            _ => FIRST_SMALL,
        };
        while cursor.left() > 0 {
            sink.begin(0);
            sink.put(&[kind, count]);
            cursor.put(piece, sink);
            sink.end(cursor.left() == 0);
            kind = LATER;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{packets, unit};
    use crate::media::{Ac3Config, Codec};

    #[test]
    fn fragments_are_typed_and_counted() {
        let codec = Codec::Ac3(Ac3Config { sample_rate: 48_000, channels: 2 });
        let heads = |len: usize| -> Vec<(u8, u8, bool)> {
            let packets = packets(&codec, &unit(&[&[&vec![7; len]]]), 64);
            packets.iter().map(|packet| (packet.bytes[0], packet.bytes[1], packet.marker)).collect()
        };
        assert_eq!(heads(62), [(0, 1, true)]);
        assert_eq!(heads(90), [(1, 2, false), (3, 2, true)]);
        assert_eq!(heads(150), [(2, 3, false), (3, 3, false), (3, 3, true)]);
    }
}
