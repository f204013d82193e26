//! One format of a media section to a track.

use crate::media::{
    AacConfig, Ac3Config, AudioLayout, Av1Config, Codec, G711Law, H264Config, H265Config, LpcmConfig, MpegAudioConfig,
    OpaqueConfig, OpusConfig, Track, Vp8Config, Vp9Config,
};
use crate::time::ClockRate;

use super::AuHeaderLengths;
use super::fmtp::{Fmtp, audio_specific_config, from_hex};
use super::names;

/// One format as the description has it.
#[derive(Clone, Copy)]
pub(super) struct Format<'a> {
    /// The word of `m=`: `video`, `audio`, `application`.
    pub(super) media: &'a str,
    pub(super) payload_type: u8,
    pub(super) rtpmap: Option<&'a str>,
    pub(super) fmtp: Option<&'a str>,
}

/// The parts of an `rtpmap`: `<encoding>/<clock>[/<channels>]`.
#[derive(Clone, Copy)]
struct RtpMap<'a> {
    encoding: &'a str,
    clock: Option<ClockRate>,
    channels: Option<u8>,
}

impl<'a> Format<'a> {
    /// The track it makes.
    pub(super) fn track(&self) -> (Track, AuHeaderLengths) {
        let map = self.map();
        let clock_rate = map.clock.unwrap_or(ClockRate::VIDEO);
        let codec = self.codec(map).unwrap_or_else(|| self.opaque(map.encoding));
        (Track { codec, clock_rate }, self.au_headers())
    }

    /// The name of its encoding, empty when not known.
    pub(super) fn encoding(&self) -> &'a str {
        self.map().encoding
    }

    fn map(&self) -> RtpMap<'a> {
        let text = self.rtpmap.or_else(|| names::static_rtpmap(self.payload_type)).unwrap_or_default();
        let mut parts = text.split('/').map(str::trim);
        RtpMap {
            encoding: parts.next().unwrap_or_default(),
            clock: parts.next().and_then(|clock| clock.parse().ok()).and_then(ClockRate::new),
            channels: parts.next().and_then(|channels| channels.parse().ok()).filter(|channels| *channels > 0),
        }
    }

    fn fmtp(&self) -> Fmtp<'a> {
        Fmtp(self.fmtp.unwrap_or_default())
    }

    /// `None` when it is none of the codecs we look into, or is badly described.
    fn codec(&self, map: RtpMap<'_>) -> Option<Codec> {
        let layout =
            AudioLayout { sample_rate: map.clock.unwrap_or(TELEPHONE).hertz(), channels: map.channels.unwrap_or(1) };
        let lpcm = |bit_depth| {
            Codec::Lpcm(LpcmConfig { bit_depth, sample_rate: layout.sample_rate, channels: layout.channels })
        };
        match map.encoding.to_ascii_uppercase().as_str() {
            "H264" => Some(self.h264()),
            "H265" | "HEVC" => Some(self.h265()),
            "AV1" => Some(Codec::Av1(Av1Config::default())),
            "VP8" => Some(Codec::Vp8(Vp8Config::default())),
            "VP9" => Some(self.vp9()),
            "MPEG4-GENERIC" => self.aac(map),
            "OPUS" => Some(self.opus()),
            "MPA" => Some(Codec::MpegAudio(MpegAudioConfig::default())),
            "AC3" => map.clock.map(|clock| {
                Codec::Ac3(Ac3Config { sample_rate: clock.hertz(), channels: map.channels.unwrap_or(AC3_CHANNELS) })
            }),
            "PCMA" => map.clock.map(|_| Codec::G711(G711Law::A, layout)),
            "PCMU" => map.clock.map(|_| Codec::G711(G711Law::Mu, layout)),
            "L8" => map.clock.map(|_| lpcm(8)),
            "L16" => map.clock.map(|_| lpcm(16)),
            "L24" => map.clock.map(|_| lpcm(24)),
            _ => None,
        }
    }

    /// RFC 6184 section 8.1. SPS and PPS stand in one list, told apart by their NAL unit type.
    fn h264(&self) -> Codec {
        let sets = self.fmtp().parameter_sets("sprop-parameter-sets");
        let of_type = |wanted| sets.iter().filter(|set| set[0] & 0x1f == wanted).cloned().collect();
        Codec::H264(H264Config { sps: of_type(7), pps: of_type(8) })
    }

    /// RFC 7798 section 7.1.
    fn h265(&self) -> Codec {
        let sets = |name| self.fmtp().parameter_sets(name);
        Codec::H265(H265Config { vps: sets("sprop-vps"), sps: sets("sprop-sps"), pps: sets("sprop-pps") })
    }

    /// RFC 9628 section 7.
    fn vp9(&self) -> Codec {
        let profile = self.fmtp().number("profile-id").filter(|profile| *profile <= 3).unwrap_or(0);
        Codec::Vp9(Vp9Config { profile, ..Vp9Config::default() })
    }

    /// RFC 3640 section 4.1, the AAC modes only.
    fn aac(&self, map: RtpMap<'_>) -> Option<Codec> {
        let fmtp = self.fmtp();
        if !fmtp.get("mode").unwrap_or("AAC-hbr").to_ascii_uppercase().starts_with("AAC") {
            return None;
        }
        let asc = from_hex(fmtp.get("config")?)?;
        let (sample_rate, channels) = audio_specific_config(&asc)?;
        let channels = if channels == 0 { map.channels? } else { channels };
        Some(Codec::Aac(AacConfig { asc, sample_rate, channels }))
    }

    /// RFC 7587 section 7: the rtpmap says two channels always, the truth is in `sprop-stereo`.
    fn opus(&self) -> Codec {
        let stereo = self.fmtp().get("sprop-stereo") == Some("1");
        Codec::Opus(OpusConfig { channels: if stereo { 2 } else { 1 } })
    }

    fn opaque(&self, encoding: &str) -> Codec {
        let label = names::label(encoding);
        Codec::Opaque(OpaqueConfig {
            kind: names::kind(self.media, label),
            label,
            payload_type: self.payload_type,
            rtpmap: self.rtpmap.map(str::to_owned),
            fmtp: self.fmtp.map(str::to_owned),
            in_band: None,
        })
    }

    fn au_headers(&self) -> AuHeaderLengths {
        let fmtp = self.fmtp();
        let bits = |name| fmtp.number(name).filter(|bits| *bits <= AU_FIELD_BITS_MAX);
        // Who says none of them means the usual ones; who says some of them means zero by the others.
        match bits("sizelength") {
            None => AuHeaderLengths::default(),
            Some(size) => AuHeaderLengths {
                size,
                index: bits("indexlength").unwrap_or(0),
                index_delta: bits("indexdeltalength").unwrap_or(0),
            },
        }
    }
}

const TELEPHONE: ClockRate = ClockRate::new(8000).unwrap();

/// RFC 4184 section 5.1: 5.1 sound when not said.
const AC3_CHANNELS: u8 = 6;

/// Fields before access units are read as 32-bit numbers at most.
const AU_FIELD_BITS_MAX: u8 = 32;
