//! AAC (RFC 3640 section 3.3.6, mode AAC-hbr): one access unit a packet, sizes of 13 bits and indexes of 3.

use super::{Cursor, PacketSink};
use crate::media::Unit;

/// Length of the headers in bits, and the one header.
const HEAD: usize = 4;
const HEADER_BITS: u16 = 16;

/// The largest access unit that 13 bits can say. AAC itself ends at 768 bytes a channel.
const UNIT_BYTES_MAX: usize = (1 << 13) - 1;

/// Samples of an access unit, should a unit hold several.
const SAMPLES: u32 = 1024;

pub(super) fn pack(unit: &Unit, max: usize, sink: &mut impl PacketSink) {
    for (index, frame) in unit.payload.frames().enumerate() {
        let len = frame.len();
        if len > UNIT_BYTES_MAX {
            continue;
        }
        let mut cursor = Cursor::new(frame);
        while cursor.left() > 0 {
            sink.begin(SAMPLES.wrapping_mul(index as u32));
            sink.put(&HEADER_BITS.to_be_bytes());
            // Each fragment says the size of the whole (section 3.2.3.1).
            sink.put(&((len as u16) << 3).to_be_bytes());
            cursor.put(max - HEAD, sink);
            sink.end(cursor.left() == 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{packets, unit};
    use crate::media::{AacConfig, Codec};

    #[test]
    fn whole_and_fragmented_units() {
        let codec = Codec::Aac(AacConfig { asc: vec![0x11, 0x90].into(), sample_rate: 48_000, channels: 2 });
        let whole = packets(&codec, &unit(&[&[&[7; 20]]]), 64);
        assert_eq!((whole.len(), whole[0].marker, &whole[0].bytes[..5]), (1, true, &[0, 16, 0, 160, 7][..]));
        let cut = packets(&codec, &unit(&[&[&[7; 100]]]), 64);
        assert_eq!(
            cut.iter().map(|packet| (packet.bytes.len(), packet.marker)).collect::<Vec<_>>(),
            [(64, false), (44, true)]
        );
        assert_eq!(cut[1].bytes[..4], [0, 16, 0x03, 0x20]);
        assert_eq!(packets(&codec, &unit(&[&[&[7; 8192]]]), 64), []);
    }
}
