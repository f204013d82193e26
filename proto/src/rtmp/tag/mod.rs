//! The bodies of audio and video messages: FLV tags (Adobe's FLV 10.1, annex E.4) and those of Enhanced RTMP v2.

mod audio;
mod ex;
mod metadata;
mod video;
mod write;

use smallvec::SmallVec;

use super::Body;
use super::amf0::{AmfError, Value};
use crate::media::G711Law;

pub use audio::read_audio;
pub use metadata::{announced, on_metadata};
pub use video::read_video;
pub use write::{Carriage, Form, Written, carriage, write_config, write_unit};

/// A four-character name of a codec.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FourCc(pub [u8; 4]);

#[expect(missing_docs, reason = "the names are those of the codecs")]
impl FourCc {
    pub const AVC: Self = Self(*b"avc1");
    pub const HEVC: Self = Self(*b"hvc1");
    pub const AV1: Self = Self(*b"av01");
    pub const VP8: Self = Self(*b"vp08");
    pub const VP9: Self = Self(*b"vp09");
    pub const AAC: Self = Self(*b"mp4a");
    pub const MP3: Self = Self(*b".mp3");
    pub const OPUS: Self = Self(*b"Opus");
    pub const FLAC: Self = Self(*b"fLaC");
    pub const AC3: Self = Self(*b"ac-3");
    pub const EAC3: Self = Self(*b"ec-3");
}

impl core::fmt::Debug for FourCc {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{self}")
    }
}

impl core::fmt::Display for FourCc {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// A codec as a tag names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the codecs")]
pub enum TagCodec {
    Avc,
    Hevc,
    Av1,
    Vp8,
    Vp9,
    Aac,
    Mp3,
    Opus,
    Flac,
    Ac3,
    G711(G711Law, PlainAudio),
    Lpcm(PlainAudio),
    /// A codec of Enhanced RTMP that we don't carry.
    Foreign(FourCc),
    /// A codec number of FLV that we don't carry: Sorenson, Nellymoser, Speex and their like.
    Old(u8),
}

/// What an FLV audio tag says of plain samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainAudio {
    /// Samples per second.
    pub sample_rate: u32,
    /// Bits a sample, 8 or 16.
    pub bit_depth: u8,
    /// 1 or 2.
    pub channels: u8,
}

/// One packet of one track.
#[derive(Clone, Debug)]
pub struct Tag {
    /// The track's number; 0 is the first, and the only one without multitrack.
    pub track: u8,
    /// The codec.
    pub codec: TagCodec,
    /// Added to the message's timestamp (`TimestampOffsetNano`).
    pub nanos: u32,
    /// What it is.
    pub packet: Packet,
}

/// What a packet is.
#[derive(Clone, Debug)]
pub enum Packet {
    /// The codec's configuration record.
    Config(Body),
    /// A frame.
    Frame {
        /// Presentation minus decoding time, milliseconds.
        composition_millis: i32,
        /// The bytes.
        data: Body,
    },
    /// Where each channel of a codec that does not say belongs: how many there are.
    Channels(u8),
    /// HDR and what else describes the pictures, as named values.
    Metadata(Vec<Value>),
    /// The track ends, or nothing that concerns us.
    Nothing,
}

/// Tags of one message: one, or one for each track.
pub type Tags = SmallVec<[Tag; 1]>;

/// Why a message is no tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TagError {
    /// The message ended before the tag did, or a track is longer than its message.
    #[error("tag ended early")]
    Ended,
    /// A value that Enhanced RTMP forbids.
    #[error("bad value of {0}")]
    Bad(&'static str),
    /// More tracks than a stream may have.
    #[error("too many tracks in a tag")]
    TooMany,
    /// Metadata that cannot be read.
    #[error(transparent)]
    Amf(#[from] AmfError),
}

#[cfg(test)]
mod tests;
