//! Codecs and the parameters a reader needs before the first unit.

use bytes::Bytes;

/// What a track is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Anything else: metadata, multiplexed transport streams.
    Data,
}

/// A codec with its parameters. Parameters may be empty until the stream itself brings them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Codec {
    /// ITU-T H.264. Frames of a unit are NAL units without start codes.
    H264(H264Config),
    /// ITU-T H.265. Frames of a unit are NAL units without start codes.
    H265(H265Config),
    /// AOMedia AV1. Frames of a unit are OBUs without size field.
    Av1(Av1Config),
    /// VP8 (RFC 6386). One frame a unit.
    Vp8(Vp8Config),
    /// VP9. One frame (or superframe) a unit.
    Vp9(Vp9Config),
    /// MPEG-4 AAC, raw access units without ADTS header.
    Aac(AacConfig),
    /// Opus (RFC 6716). One packet a unit; its clock is always 48 kHz.
    Opus(OpusConfig),
    /// MPEG-1/2 audio layers I to III. One frame with its header a unit.
    MpegAudio(MpegAudioConfig),
    /// AC-3 (ETSI TS 102 366). One syncframe a unit.
    Ac3(Ac3Config),
    /// FLAC (RFC 9639). One frame with its header a unit.
    Flac(FlacConfig),
    /// ITU-T G.711, one byte a sample and channel, channels interleaved.
    G711(G711Law, AudioLayout),
    /// Linear PCM, big-endian, channels interleaved.
    Lpcm(LpcmConfig),
    /// Carried without looking inside. One RTP payload a unit.
    Opaque(OpaqueConfig),
}

/// H.264 parameter sets, as NAL units without start codes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct H264Config {
    /// Sequence parameter sets (type 7).
    pub sps: Vec<Bytes>,
    /// Picture parameter sets (type 8).
    pub pps: Vec<Bytes>,
}

/// H.265 parameter sets, as NAL units without start codes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct H265Config {
    /// Video parameter sets (type 32).
    pub vps: Vec<Bytes>,
    /// Sequence parameter sets (type 33).
    pub sps: Vec<Bytes>,
    /// Picture parameter sets (type 34).
    pub pps: Vec<Bytes>,
}

/// AV1 facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Av1Config {
    /// The sequence header OBU without size field; empty until seen.
    pub sequence_header: Bytes,
}

/// VP8 facts, from the last keyframe; zero until seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vp8Config {
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
}

/// VP9 facts, from the last keyframe; zero until seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vp9Config {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Profile 0 to 3.
    pub profile: u8,
}

/// AAC facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AacConfig {
    /// The AudioSpecificConfig (ISO/IEC 14496-3 section 1.6.2.1) as it was signalled.
    pub asc: Bytes,
    /// Samples per second of the core.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u8,
}

/// Opus facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusConfig {
    /// Channels, 1 or 2 (more for multiopus).
    pub channels: u8,
}

/// MPEG audio facts, from the last frame header; zero until seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MpegAudioConfig {
    /// Samples per second.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u8,
    /// Layer 1 to 3.
    pub layer: u8,
}

/// AC-3 facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ac3Config {
    /// Samples per second.
    pub sample_rate: u32,
    /// Channels including LFE.
    pub channels: u8,
}

/// FLAC facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlacConfig {
    /// The body of the STREAMINFO metadata block, 34 bytes (RFC 9639 section 8.2).
    pub stream_info: Bytes,
    /// Samples per second.
    pub sample_rate: u32,
    /// Channels, 1 to 8.
    pub channels: u8,
    /// Bits a sample, 4 to 32.
    pub bit_depth: u8,
}

/// Which companding law G.711 uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum G711Law {
    /// A-law (PCMA).
    A,
    /// µ-law (PCMU).
    Mu,
}

/// Rate and channels of plain audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioLayout {
    /// Samples per second.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u8,
}

/// Linear PCM facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LpcmConfig {
    /// Bits a sample: 8, 16 or 24.
    pub bit_depth: u8,
    /// Samples per second.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u8,
}

/// A track we carry without parsing: what its SDP said, unaltered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpaqueConfig {
    /// What the track is for.
    pub kind: Kind,
    /// The name people know, e.g. `M-JPEG`, `G722`, `KLV`, `Generic`.
    pub label: &'static str,
    /// Static payload type (RFC 3551) if it has one, else the dynamic one that was signalled.
    pub payload_type: u8,
    /// The value of `a=rtpmap` after the payload type, if any.
    pub rtpmap: Option<String>,
    /// The value of `a=fmtp` after the payload type, if any.
    pub fmtp: Option<String>,
    /// What the stream itself said of its configuration, where that is looked for: a `StreamMuxConfig` of LATM.
    pub in_band: Option<Bytes>,
}

impl OpaqueConfig {
    /// The value of a parameter of the fmtp line; names are compared without case, as RFC 4855 wants it.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.fmtp.as_deref()?.split(';').find_map(|pair| {
            let (key, value) = pair.trim().split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

impl Codec {
    /// What the track is for.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::H264(_) | Self::H265(_) | Self::Av1(_) | Self::Vp8(_) | Self::Vp9(_) => Kind::Video,
            Self::Aac(_)
            | Self::Opus(_)
            | Self::MpegAudio(_)
            | Self::Ac3(_)
            | Self::Flac(_)
            | Self::G711(..)
            | Self::Lpcm(_) => Kind::Audio,
            Self::Opaque(opaque) => opaque.kind,
        }
    }

    /// The name that MediaMTX's API uses.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::H264(_) => "H264",
            Self::H265(_) => "H265",
            Self::Av1(_) => "AV1",
            Self::Vp8(_) => "VP8",
            Self::Vp9(_) => "VP9",
            Self::Aac(_) => "MPEG-4 Audio",
            Self::Opus(_) => "Opus",
            Self::MpegAudio(_) => "MPEG-1/2 Audio",
            Self::Ac3(_) => "AC3",
            Self::Flac(_) => "FLAC",
            Self::G711(..) => "G711",
            Self::Lpcm(_) => "LPCM",
            Self::Opaque(opaque) => opaque.label,
        }
    }

    /// Whether all is known that a reader must know before the first unit.
    pub fn has_parameters(&self) -> bool {
        match self {
            Self::H264(config) => !config.sps.is_empty() && !config.pps.is_empty(),
            Self::H265(config) => !config.vps.is_empty() && !config.sps.is_empty() && !config.pps.is_empty(),
            Self::Av1(config) => !config.sequence_header.is_empty(),
            Self::Vp8(config) => config.width > 0,
            Self::Vp9(config) => config.width > 0,
            _ => true,
        }
    }

    /// Whether units depend on earlier ones, so that a reader can start at random access points only.
    pub const fn has_dependent_units(&self) -> bool {
        matches!(self, Self::H264(_) | Self::H265(_) | Self::Av1(_) | Self::Vp8(_) | Self::Vp9(_))
    }

    /// Whether two tracks can continue one another when a path's publisher changes: same kind, codec and channels.
    pub fn continues(&self, other: &Self) -> bool {
        core::mem::discriminant(self) == core::mem::discriminant(other)
            && match (self, other) {
                (Self::Aac(a), Self::Aac(b)) => a.channels == b.channels,
                (Self::Opus(a), Self::Opus(b)) => a.channels == b.channels,
                (Self::Ac3(a), Self::Ac3(b)) => a.channels == b.channels,
                (Self::Flac(a), Self::Flac(b)) => a.channels == b.channels && a.bit_depth == b.bit_depth,
                (Self::G711(law_a, a), Self::G711(law_b, b)) => law_a == law_b && a.channels == b.channels,
                (Self::Lpcm(a), Self::Lpcm(b)) => a.channels == b.channels && a.bit_depth == b.bit_depth,
                (Self::Opaque(a), Self::Opaque(b)) => a.label == b.label && a.rtpmap == b.rtpmap,
                _ => true,
            }
    }
}
