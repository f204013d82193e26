//! Plain sound (RFC 3551 sections 4.5.11 and 4.5.14), and tracks that are carried without looking inside.

use super::{Cursor, PacketSink, WHOLE_BYTES_MAX, put_frame};
use crate::media::Unit;

/// Packs sound of `sample_bytes` a sample of all channels, split between samples.
pub(super) fn pack_samples(unit: &Unit, sample_bytes: usize, max: usize, sink: &mut impl PacketSink) {
    // A sample of more channels than a packet holds is split all the same; nobody has it.
    let piece = (max / sample_bytes * sample_bytes).max(sample_bytes.min(max));
    let mut bytes = 0;
    for frame in unit.payload.frames() {
        let mut cursor = Cursor::new(frame);
        while cursor.left() > 0 {
            let left = cursor.left();
            sink.begin((bytes / sample_bytes) as u32);
            cursor.put(piece, sink);
            sink.end(false);
            bytes += left - cursor.left();
        }
    }
}

/// Packs payloads as they came: what one sender could send as a packet, others can be sent as a packet.
pub(super) fn pack_opaque(unit: &Unit, sink: &mut impl PacketSink) {
    for frame in unit.payload.frames().filter(|frame| frame.len() <= WHOLE_BYTES_MAX) {
        sink.begin(0);
        put_frame(frame, sink);
        sink.end(unit.marker);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{packets, unit};
    use crate::media::{Codec, Kind, LpcmConfig, OpaqueConfig, Unit};

    #[test]
    fn sound_is_split_between_samples() {
        let codec = Codec::Lpcm(LpcmConfig { bit_depth: 24, sample_rate: 48_000, channels: 2 });
        let packets = packets(&codec, &unit(&[&[&[7; 90], &[8; 30]]]), 64);
        let heads: Vec<(u32, usize)> = packets.iter().map(|packet| (packet.ticks, packet.bytes.len())).collect();
        assert_eq!(heads, [(0, 60), (10, 60)]);
    }

    #[test]
    fn opaque_tracks_keep_their_marker() {
        let label = "KLV";
        let opaque =
            OpaqueConfig { kind: Kind::Data, label, payload_type: 96, rtpmap: None, fmtp: None, in_band: None };
        let marked = Unit { marker: true, ..unit(&[&[&[7; 64]]]) };
        let packets = packets(&Codec::Opaque(opaque), &marked, 64);
        assert_eq!((packets.len(), packets[0].marker, packets[0].bytes.len()), (1, true, 64));
    }

    #[test]
    fn opaque_packets_above_the_limit_go_as_they_came() {
        // ffmpeg's packets are 20 bytes larger than our own default.
        let opaque = OpaqueConfig {
            kind: Kind::Video,
            label: "M-JPEG",
            payload_type: 26,
            rtpmap: None,
            fmtp: None,
            in_band: None,
        };
        let packets = packets(&Codec::Opaque(opaque), &unit(&[&[&[7; 1460]]]), 1440);
        assert_eq!(packets.iter().map(|packet| packet.bytes.len()).collect::<Vec<_>>(), [1460]);
    }
}
