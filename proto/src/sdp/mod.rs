//! Session descriptions (RFC 8866): tracks to SDP and back.
//!
//! The syntax is `sdp-types`'; here are the repairs that real cameras need before it, and what each codec's `rtpmap` and
//! `fmtp` mean. A media section that we cannot make sense of becomes an opaque track and is carried as it is.

mod fmtp;
mod media;
mod names;
mod parse;
mod repair;
mod write;

pub(crate) use names::label_named;
pub use parse::{SdpError, parse};
pub use write::{WriteDelivery, WriteParams, is_described, payload_type, write};

use crate::media::{Kind, Track};

/// What an SDP says, as far as we use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The session's name (`s=`), may be empty.
    pub title: String,
    /// The aggregate control URI (`a=control` of the session, RFC 2326 appendix C.1.1), often `*`.
    pub control: Option<String>,
    /// The media sections in order; one to [`crate::limits::TRACKS_MAX`].
    pub media: Vec<MediaDescription>,
}

/// The track that one format makes under this payload type, with the values of its `rtpmap` and `fmtp`.
pub(crate) fn track_of(kind: Kind, payload_type: u8, rtpmap: &str, fmtp: Option<&str>) -> Track {
    let media = match kind {
        Kind::Video => "video",
        Kind::Audio => "audio",
        Kind::Data => "application",
    };
    media::Format { media, payload_type, rtpmap: Some(rtpmap), fmtp }.track().0
}

/// One media section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaDescription {
    /// Codec and clock.
    pub track: Track,
    /// The payload type that packets bear.
    pub payload_type: u8,
    /// How AAC access units are packed; meaningless for other codecs.
    pub au_headers: AuHeaderLengths,
    /// The control URI of the track (`a=control`), absolute or relative.
    pub control: Option<String>,
    /// Who sends.
    pub direction: Direction,
    /// The port of `m=`, 0 where RTSP is to negotiate it.
    pub port: u16,
    /// The address of `c=`, of the section or else of the session, without TTL.
    pub address: Option<String>,
}

/// Who sends (RFC 8866 section 6.7), seen from who reads the description of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both ways, or not said.
    #[default]
    Both,
    /// The reader of the description only receives: an ordinary track.
    RecvOnly,
    /// The reader of the description only sends: an ONVIF back channel (ONVIF streaming specification section 5.3).
    SendOnly,
    /// Nobody sends.
    Inactive,
}

/// Bits of the fields before AAC access units (RFC 3640 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuHeaderLengths {
    /// Bits of the size of an access unit (`sizelength`).
    pub size: u8,
    /// Bits of the index of the first access unit (`indexlength`).
    pub index: u8,
    /// Bits of the index difference of those after it (`indexdeltalength`).
    pub index_delta: u8,
}

impl Default for AuHeaderLengths {
    /// Those of AAC-hbr (RFC 3640 section 3.3.6).
    fn default() -> Self {
        Self { size: 13, index: 3, index_delta: 3 }
    }
}

impl MediaDescription {
    /// Whether packets go from the player to the camera.
    pub const fn is_back_channel(&self) -> bool {
        matches!(self.direction, Direction::SendOnly)
    }
}

#[cfg(test)]
mod tests;
