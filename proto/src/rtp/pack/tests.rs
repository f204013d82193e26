//! What holds for every codec.

use proptest::prelude::*;

use super::testing::{packets, unit};
use crate::media::*;

fn codecs() -> Vec<Codec> {
    let opaque =
        OpaqueConfig { kind: Kind::Data, label: "KLV", payload_type: 96, rtpmap: None, fmtp: None, in_band: None };
    vec![
        Codec::H264(H264Config::default()),
        Codec::H265(H265Config::default()),
        Codec::Av1(Av1Config::default()),
        Codec::Vp8(Vp8Config::default()),
        Codec::Vp9(Vp9Config::default()),
        Codec::Aac(AacConfig { asc: vec![0x11, 0x90].into(), sample_rate: 48_000, channels: 2 }),
        Codec::Opus(OpusConfig { channels: 2 }),
        Codec::MpegAudio(MpegAudioConfig::default()),
        Codec::Ac3(Ac3Config { sample_rate: 48_000, channels: 2 }),
        Codec::G711(G711Law::A, AudioLayout { sample_rate: 8000, channels: 1 }),
        Codec::Lpcm(LpcmConfig { bit_depth: 24, sample_rate: 48_000, channels: 7 }),
        Codec::Opaque(opaque),
    ]
}

proptest! {
    #[test]
    fn no_packet_is_empty_or_too_large(
        sizes in prop::collection::vec(prop::collection::vec(1usize..300, 1..4), 0..8),
        max in 0usize..400,
    ) {
        let frames: Vec<Vec<Vec<u8>>> =
            sizes.iter().map(|frame| frame.iter().map(|size| vec![0x41; *size]).collect()).collect();
        let slices: Vec<Vec<&[u8]>> = frames.iter().map(|frame| frame.iter().map(Vec::as_slice).collect()).collect();
        let frames: Vec<&[&[u8]]> = slices.iter().map(Vec::as_slice).collect();
        for codec in codecs() {
            // What must not be split goes whole; three slices of 299 bytes are the largest frame here.
            let whole = matches!(codec, Codec::Opus(_) | Codec::Opaque(_));
            let most = if whole { 3 * 299 } else { max.max(super::PAYLOAD_BYTES_MIN) };
            for packet in packets(&codec, &unit(&frames), max) {
                prop_assert!((1..=most).contains(&packet.bytes.len()), "{codec:?}");
            }
        }
    }

    #[test]
    fn fragments_of_a_large_frame_have_the_maximum_size(len in 1usize..5000, max in 64usize..1500) {
        let frame = vec![0x41; len];
        for codec in codecs().iter().filter(|codec| codec.has_dependent_units()) {
            let packets = packets(codec, &unit(&[&[&frame]]), max);
            let (last, others) = packets.split_last().unwrap();
            prop_assert!(others.iter().all(|packet| packet.bytes.len() == max && !packet.marker), "{codec:?}");
            prop_assert!(last.marker);
        }
    }
}
