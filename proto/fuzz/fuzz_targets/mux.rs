//! Any units of any codec into transport streams and fragments, cut at any marks: bodies are whole, names have one content.
#![no_main]

use arbitrary::Arbitrary;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use weft_proto::bitstream::aac::{build_asc, config_from_asc};
use weft_proto::hls::{Cut, Cutter, Piece, Variant, Window, WindowLimits, multivariant_playlist, renditions};
use weft_proto::id::Epoch;
use weft_proto::media::marks::{Cadence, Lead, Numbers, Stamper};
use weft_proto::media::*;
use weft_proto::time::ClockRate;

#[derive(Arbitrary, Debug)]
struct Input {
    variant: u8,
    codecs: Vec<(u8, Vec<u8>)>,
    /// Track, milliseconds after the last unit, presentation after decoding, random access, marker, frames.
    units: Vec<(u8, u16, u16, bool, bool, Vec<Vec<u8>>)>,
}

fuzz_target!(|input: Input| run(input));

fn run(input: Input) {
    let rate = ClockRate::new(48_000).expect("not zero");
    let track = |(kind, bytes): (u8, Vec<u8>)| Track { codec: codec(kind, bytes.into()), clock_rate: rate };
    let Ok(tracks) = Tracks::new(input.codecs.into_iter().map(track).collect()) else { return };
    let variant = [Variant::Mpegts, Variant::Fmp4, Variant::LowLatency][usize::from(input.variant % 3)];
    let own = renditions(variant, &tracks);
    let mut cutter = Cutter::new(variant, own.clone(), 1 << 20);
    let mut window = Window::new(WindowLimits { listed: 7 }, own.len());
    let mut stamper = Stamper::new(Cadence::default(), Numbers::default(), false);
    let mut dts = 0;
    for (index, step, offset, random_access, marker, frames) in input.units {
        dts += i64::from(step) * 48;
        let unit = Unit {
            track: TrackId(index % tracks.len() as u8),
            pts: dts + i64::from(offset),
            dts,
            captured: None,
            random_access,
            discardable: false,
            marker,
            payload: Payload::from_frames(frames.into_iter().map(Bytes::from)),
        };
        let dts_micros = rate.to_micros(dts);
        let leads = tracks.leading().is_none_or(|leading| leading == unit.track);
        let marks = leads.then(|| stamper.stamp(Lead { dts_micros, random_access })).flatten();
        let mut cuts = Vec::new();
        cutter.push(&Piece { epoch: Epoch(1), unit: &unit, dts_micros, marks, tracks: &tracks }, &mut cuts);
        for cut in cuts {
            if let Cut::Part { bodies, .. } = &cut {
                bodies.iter().flatten().for_each(|body| whole_boxes(body));
            }
            if let Cut::End { bodies, .. } = &cut {
                bodies.iter().flatten().for_each(|body| assert!(body.len().is_multiple_of(188)));
            }
            window.take(cut);
        }
    }
    multivariant_playlist(&window, &own, variant);
}

fn whole_boxes(mut body: &[u8]) {
    while !body.is_empty() {
        let size = u32::from_be_bytes(*body.first_chunk().expect("a length")) as usize;
        body = body.get(size..).filter(|_| size >= 8).expect("a whole box");
    }
}

fn codec(kind: u8, bytes: Bytes) -> Codec {
    let opaque = |label| {
        Codec::Opaque(OpaqueConfig {
            kind: kind_of(label),
            label,
            payload_type: 96,
            rtpmap: None,
            fmtp: Some(fmtp(&bytes)),
            in_band: None,
        })
    };
    match kind % 13 {
        0 => Codec::H264(H264Config { sps: vec![bytes.clone()], pps: vec![bytes] }),
        1 => Codec::H265(H265Config { vps: vec![bytes.clone()], sps: vec![bytes.clone()], pps: vec![bytes] }),
        2 => Codec::Av1(Av1Config { sequence_header: bytes }),
        3 => Codec::Vp9(Vp9Config { width: 16, height: 16, profile: 0 }),
        4 => Codec::Vp8(Vp8Config { width: 16, height: 16 }),
        5 => config_from_asc(bytes).map_or(Codec::Opus(OpusConfig { channels: 2 }), Codec::Aac),
        6 => Codec::Aac(config_from_asc(build_asc(2, 48_000, 2).expect("valid")).expect("valid")),
        7 => Codec::Opus(OpusConfig { channels: 2 }),
        8 => Codec::MpegAudio(MpegAudioConfig { sample_rate: 48_000, channels: 2, layer: 3 }),
        9 => Codec::Ac3(Ac3Config { sample_rate: 48_000, channels: 2 }),
        10 => opaque("KLV"),
        11 => opaque("MPEG-4 Audio LATM"),
        _ => opaque("MPEG-4 Video"),
    }
}

fn kind_of(label: &str) -> Kind {
    match label {
        "KLV" => Kind::Data,
        "MPEG-4 Audio LATM" => Kind::Audio,
        _ => Kind::Video,
    }
}

/// The first byte chooses whether configurations come in band.
fn fmtp(bytes: &[u8]) -> String {
    let (present, config) = bytes.split_first().unwrap_or((&0, &[]));
    let digits: String = config.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("cpresent={};config={digits}", present & 1)
}
