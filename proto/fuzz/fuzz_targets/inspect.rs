//! Any frames of any codec through the inspector, the estimator, the props and the packer.
#![no_main]

use arbitrary::Arbitrary;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use weft_proto::bitstream::{DtsEstimator, Inspector, codec_props};
use weft_proto::media::*;
use weft_proto::rtp::pack::{PAYLOAD_BYTES_MIN, PacketSink, pack};

#[derive(Arbitrary, Debug)]
struct Input {
    codec: u8,
    /// Parameter sets, or an AudioSpecificConfig, from signalling.
    signalled: Vec<Vec<u8>>,
    /// Units of frames of slices.
    units: Vec<(i64, Vec<Vec<Vec<u8>>>)>,
    payload_bytes_max: u16,
}

fuzz_target!(|input: Input| run(input));

fn run(input: Input) {
    let max = usize::from(input.payload_bytes_max);
    let mut inspector = Inspector::new(codec(input.codec, input.signalled));
    let mut estimator = DtsEstimator::new(inspector.codec());
    for (pts, frames) in input.units {
        let Some(inspected) = inspector.inspect(payload(frames)) else { continue };
        assert!(!inspected.payload.is_empty());
        let dts = estimator.dts(pts, inspected.random_access, inspector.codec());
        assert!(dts <= pts);
        // What is clean stays as it is.
        let again = inspector.clone().inspect(inspected.payload.clone()).expect("a clean unit is kept");
        assert!(!inspected.random_access || !again.codec_changed);
        let unit = Unit {
            track: TrackId(0),
            pts,
            dts,
            captured: None,
            random_access: inspected.random_access,
            discardable: inspected.discardable,
            marker: false,
            payload: inspected.payload,
        };
        // What its codec does not allow to be split goes as it came.
        let whole = matches!(inspector.codec(), Codec::Opus(_) | Codec::Opaque(_));
        let most = if whole { usize::from(u16::MAX) } else { max.max(PAYLOAD_BYTES_MIN) };
        pack(inspector.codec(), &unit, max, &mut Checked { max: most, open: None });
    }
    codec_props(inspector.codec());
}

fn payload(frames: Vec<Vec<Vec<u8>>>) -> Payload {
    let mut builder = PayloadBuilder::default();
    for frame in frames {
        frame.into_iter().for_each(|slice| builder.push_slice(slice.into()));
        builder.end_frame();
    }
    builder.finish()
}

fn codec(index: u8, signalled: Vec<Vec<u8>>) -> Codec {
    let mut sets = signalled.into_iter().map(Bytes::from);
    let (sample_rate, channels) = (48_000, 2);
    match index % 12 {
        0 => Codec::H264(H264Config { pps: sets.next().into_iter().collect(), sps: sets.collect() }),
        1 => {
            let (vps, pps) = (sets.next().into_iter().collect(), sets.next().into_iter().collect());
            Codec::H265(H265Config { vps, pps, sps: sets.collect() })
        }
        2 => Codec::Av1(Av1Config { sequence_header: sets.next().unwrap_or_default() }),
        3 => Codec::Vp8(Vp8Config::default()),
        4 => Codec::Vp9(Vp9Config::default()),
        5 => Codec::Aac(AacConfig { asc: sets.next().unwrap_or_default(), sample_rate, channels }),
        6 => Codec::Opus(OpusConfig { channels }),
        7 => Codec::MpegAudio(MpegAudioConfig::default()),
        8 => Codec::Ac3(Ac3Config { sample_rate, channels }),
        9 => Codec::G711(G711Law::A, AudioLayout { sample_rate, channels: index }),
        10 => Codec::Lpcm(LpcmConfig { bit_depth: index, sample_rate, channels: index }),
        _ => Codec::Opaque(OpaqueConfig {
            kind: Kind::Audio,
            label: "MPEG-4 Audio LATM",
            payload_type: 96,
            rtpmap: None,
            fmtp: None,
            in_band: None,
        }),
    }
}

/// Holds the packer to its promises.
struct Checked {
    max: usize,
    open: Option<usize>,
}

impl PacketSink for Checked {
    fn begin(&mut self, _ticks_after: u32) {
        assert_eq!(self.open.replace(0), None);
    }

    fn put(&mut self, bytes: &[u8]) {
        *self.open.as_mut().expect("a packet is open") += bytes.len();
    }

    fn end(&mut self, _marker: bool) {
        let len = self.open.take().expect("a packet is open");
        assert!((1..=self.max).contains(&len));
    }
}
