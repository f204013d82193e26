//! Tracks as nodes tell each other about them.

use bincode::{Decode, Encode};
use bytes::Bytes;

use crate::limits::{PARAMETER_SET_BYTES_MAX, PARAMETER_SETS_MAX, TRACKS_MAX};
use crate::media::{
    AacConfig, Ac3Config, AudioLayout, Av1Config, Codec, FlacConfig, G711Law, H264Config, H265Config, Kind, LpcmConfig,
    MpegAudioConfig, OpaqueConfig, OpusConfig, Track, Tracks, Vp8Config, Vp9Config,
};
use crate::sdp;
use crate::time::ClockRate;
use crate::wire::{from_bytes, to_bytes};

#[derive(Encode, Decode)]
struct TrackWords {
    hertz: u32,
    codec: CodecWords,
}

type Sets = Vec<Vec<u8>>;

/// New codecs go to the end: a variant's place is its number.
#[derive(Encode, Decode)]
enum CodecWords {
    H264 {
        sps: Sets,
        pps: Sets,
    },
    H265 {
        vps: Sets,
        sps: Sets,
        pps: Sets,
    },
    Av1 {
        sequence_header: Vec<u8>,
    },
    Vp8 {
        width: u16,
        height: u16,
    },
    Vp9 {
        width: u32,
        height: u32,
        profile: u8,
    },
    Aac {
        asc: Vec<u8>,
        sample_rate: u32,
        channels: u8,
    },
    Opus {
        channels: u8,
    },
    MpegAudio {
        sample_rate: u32,
        channels: u8,
        layer: u8,
    },
    Ac3 {
        sample_rate: u32,
        channels: u8,
    },
    Flac {
        stream_info: Vec<u8>,
        sample_rate: u32,
        channels: u8,
        bit_depth: u8,
    },
    G711 {
        is_mu: bool,
        sample_rate: u32,
        channels: u8,
    },
    Lpcm {
        bit_depth: u8,
        sample_rate: u32,
        channels: u8,
    },
    Opaque {
        kind: u8,
        label: String,
        payload_type: u8,
        rtpmap: Option<String>,
        fmtp: Option<String>,
        in_band: Option<Vec<u8>>,
    },
}

/// Writes a stream's tracks.
pub fn encode_tracks(tracks: &Tracks) -> Vec<u8> {
    let words: Vec<TrackWords> = tracks.iter().map(|(_, track)| words_of(track)).collect();
    to_bytes(&words)
}

/// Reads a stream's tracks; `None` for what are none, or are more or larger than a publisher's may be.
pub fn decode_tracks(bytes: &[u8]) -> Option<Tracks> {
    let words: Vec<TrackWords> = from_bytes(bytes)?;
    if words.len() > TRACKS_MAX {
        return None;
    }
    let tracks: Option<Vec<Track>> = words.into_iter().map(track_of).collect();
    Tracks::new(tracks?).ok()
}

fn words_of(track: &Track) -> TrackWords {
    let sets = |sets: &[Bytes]| sets.iter().map(|set| set.to_vec()).collect();
    let codec = match &track.codec {
        Codec::H264(H264Config { sps, pps }) => CodecWords::H264 { sps: sets(sps), pps: sets(pps) },
        Codec::H265(H265Config { vps, sps, pps }) => {
            CodecWords::H265 { vps: sets(vps), sps: sets(sps), pps: sets(pps) }
        }
        Codec::Av1(Av1Config { sequence_header }) => CodecWords::Av1 { sequence_header: sequence_header.to_vec() },
        Codec::Vp8(Vp8Config { width, height }) => CodecWords::Vp8 { width: *width, height: *height },
        Codec::Vp9(Vp9Config { width, height, profile }) => {
            CodecWords::Vp9 { width: *width, height: *height, profile: *profile }
        }
        Codec::Aac(AacConfig { asc, sample_rate, channels }) => {
            CodecWords::Aac { asc: asc.to_vec(), sample_rate: *sample_rate, channels: *channels }
        }
        Codec::Opus(OpusConfig { channels }) => CodecWords::Opus { channels: *channels },
        Codec::MpegAudio(MpegAudioConfig { sample_rate, channels, layer }) => {
            CodecWords::MpegAudio { sample_rate: *sample_rate, channels: *channels, layer: *layer }
        }
        Codec::Ac3(Ac3Config { sample_rate, channels }) => {
            CodecWords::Ac3 { sample_rate: *sample_rate, channels: *channels }
        }
        Codec::Flac(FlacConfig { stream_info, sample_rate, channels, bit_depth }) => CodecWords::Flac {
            stream_info: stream_info.to_vec(),
            sample_rate: *sample_rate,
            channels: *channels,
            bit_depth: *bit_depth,
        },
        Codec::G711(law, AudioLayout { sample_rate, channels }) => {
            CodecWords::G711 { is_mu: *law == G711Law::Mu, sample_rate: *sample_rate, channels: *channels }
        }
        Codec::Lpcm(LpcmConfig { bit_depth, sample_rate, channels }) => {
            CodecWords::Lpcm { bit_depth: *bit_depth, sample_rate: *sample_rate, channels: *channels }
        }
        Codec::Opaque(OpaqueConfig { kind, label, payload_type, rtpmap, fmtp, in_band }) => CodecWords::Opaque {
            kind: number_of(*kind),
            label: (*label).to_owned(),
            payload_type: *payload_type,
            rtpmap: rtpmap.clone(),
            fmtp: fmtp.clone(),
            in_band: in_band.as_ref().map(|bytes| bytes.to_vec()),
        },
    };
    TrackWords { hertz: track.clock_rate.hertz(), codec }
}

fn track_of(words: TrackWords) -> Option<Track> {
    let codec = match words.codec {
        CodecWords::H264 { sps, pps } => Codec::H264(H264Config { sps: sets(sps)?, pps: sets(pps)? }),
        CodecWords::H265 { vps, sps, pps } => {
            Codec::H265(H265Config { vps: sets(vps)?, sps: sets(sps)?, pps: sets(pps)? })
        }
        CodecWords::Av1 { sequence_header } => Codec::Av1(Av1Config { sequence_header: set(sequence_header)? }),
        CodecWords::Vp8 { width, height } => Codec::Vp8(Vp8Config { width, height }),
        CodecWords::Vp9 { width, height, profile } => Codec::Vp9(Vp9Config { width, height, profile }),
        CodecWords::Aac { asc, sample_rate, channels } => {
            Codec::Aac(AacConfig { asc: set(asc)?, sample_rate, channels })
        }
        CodecWords::Opus { channels } => Codec::Opus(OpusConfig { channels }),
        CodecWords::MpegAudio { sample_rate, channels, layer } => {
            Codec::MpegAudio(MpegAudioConfig { sample_rate, channels, layer })
        }
        CodecWords::Ac3 { sample_rate, channels } => Codec::Ac3(Ac3Config { sample_rate, channels }),
        CodecWords::Flac { stream_info, sample_rate, channels, bit_depth } => {
            Codec::Flac(FlacConfig { stream_info: set(stream_info)?, sample_rate, channels, bit_depth })
        }
        CodecWords::G711 { is_mu, sample_rate, channels } => {
            let law = if is_mu { G711Law::Mu } else { G711Law::A };
            Codec::G711(law, AudioLayout { sample_rate, channels })
        }
        CodecWords::Lpcm { bit_depth, sample_rate, channels } => {
            Codec::Lpcm(LpcmConfig { bit_depth, sample_rate, channels })
        }
        CodecWords::Opaque { kind, label, payload_type, rtpmap, fmtp, in_band } => {
            let in_band = in_band.map(set).map_or(Some(None), |found| found.map(Some))?;
            let (kind, label) = (kind_of(kind)?, sdp::label_named(&label));
            Codec::Opaque(OpaqueConfig { kind, label, payload_type, rtpmap, fmtp, in_band })
        }
    };
    Some(Track { codec, clock_rate: ClockRate::new(words.hertz)? })
}

fn set(bytes: Vec<u8>) -> Option<Bytes> {
    (bytes.len() <= PARAMETER_SET_BYTES_MAX).then(|| bytes.into())
}

fn sets(sets: Sets) -> Option<Vec<Bytes>> {
    if sets.len() > PARAMETER_SETS_MAX {
        return None;
    }
    sets.into_iter().map(set).collect()
}

const fn number_of(kind: Kind) -> u8 {
    match kind {
        Kind::Video => 0,
        Kind::Audio => 1,
        Kind::Data => 2,
    }
}

const fn kind_of(number: u8) -> Option<Kind> {
    match number {
        0 => Some(Kind::Video),
        1 => Some(Kind::Audio),
        2 => Some(Kind::Data),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_codec() -> Vec<Codec> {
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        let layout = AudioLayout { sample_rate: 8_000, channels: 1 };
        vec![
            Codec::H264(H264Config { sps: vec![bytes("sps")], pps: vec![bytes("p1"), bytes("p2")] }),
            Codec::H265(H265Config { vps: vec![bytes("v")], sps: vec![bytes("s")], pps: vec![] }),
            Codec::Av1(Av1Config { sequence_header: bytes("header") }),
            Codec::Vp8(Vp8Config { width: 640, height: 360 }),
            Codec::Vp9(Vp9Config { width: 640, height: 360, profile: 2 }),
            Codec::Aac(AacConfig { asc: bytes("\x12\x10"), sample_rate: 44_100, channels: 2 }),
            Codec::Opus(OpusConfig { channels: 2 }),
            Codec::MpegAudio(MpegAudioConfig { sample_rate: 48_000, channels: 2, layer: 3 }),
            Codec::Ac3(Ac3Config { sample_rate: 48_000, channels: 6 }),
            Codec::Flac(FlacConfig { stream_info: bytes("info"), sample_rate: 96_000, channels: 2, bit_depth: 24 }),
            Codec::G711(G711Law::A, layout),
            Codec::G711(G711Law::Mu, layout),
            Codec::Lpcm(LpcmConfig { bit_depth: 16, sample_rate: 48_000, channels: 2 }),
            Codec::Opaque(OpaqueConfig {
                kind: Kind::Data,
                label: "KLV",
                payload_type: 97,
                rtpmap: Some("SMPTE336M/90000".into()),
                fmtp: None,
                in_band: Some(bytes("x")),
            }),
        ]
    }

    #[test]
    fn every_codec_is_read_as_it_was_written() {
        let clock_rate = ClockRate::VIDEO;
        let tracks = every_codec().into_iter().map(|codec| Track { codec, clock_rate }).collect();
        let tracks = Tracks::new(tracks).unwrap();
        assert_eq!(decode_tracks(&encode_tracks(&tracks)), Some(tracks));
    }

    #[test]
    fn what_no_publisher_may_have_no_node_may_send() {
        assert_eq!(decode_tracks(&to_bytes(&Vec::<TrackWords>::new())), None);
        let large = Codec::Av1(Av1Config { sequence_header: vec![0; PARAMETER_SET_BYTES_MAX + 1].into() });
        let track = Track { codec: large, clock_rate: ClockRate::VIDEO };
        assert_eq!(decode_tracks(&to_bytes(&vec![words_of(&track)])), None);
        assert_eq!(decode_tracks(b"\xff\xff\xff"), None);
    }
}
