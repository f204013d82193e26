//! MPEG-1 and MPEG-2 audio (RFC 2250 section 3.5): a frame a packet, or fragments with their offset.

use super::{Cursor, PacketSink};
use crate::media::Unit;

/// Zero, and the offset of the fragment in its frame.
const HEAD: usize = 4;

pub(super) fn pack(unit: &Unit, max: usize, sink: &mut impl PacketSink) {
    for frame in unit.payload.frames() {
        let mut cursor = Cursor::new(frame);
        let len = cursor.left();
        // The offset has 16 bits; the largest frame is below 3,000 bytes.
        while cursor.left() > 0 && len <= usize::from(u16::MAX) {
            let offset = (len - cursor.left()) as u32;
            sink.begin(0);
            sink.put(&offset.to_be_bytes());
            cursor.put(max - HEAD, sink);
            sink.end(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{packets, unit};
    use crate::media::{Codec, MpegAudioConfig};

    #[test]
    fn fragments_say_their_offset() {
        let packets = packets(&Codec::MpegAudio(MpegAudioConfig::default()), &unit(&[&[&[7; 100]]]), 64);
        let heads: Vec<&[u8]> = packets.iter().map(|packet| &packet.bytes[..5]).collect();
        assert_eq!(heads, [&[0, 0, 0, 0, 7], &[0, 0, 0, 60, 7]]);
    }
}
