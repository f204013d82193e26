//! What is listed under `/v3`.

use serde::{Deserialize, Serialize};

use super::source::ApiError;

/// What is listed. Its name goes to other nodes: one that is in a release stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Paths,
    RtspConns,
    RtspSessions,
    RtspsConns,
    RtspsSessions,
    RtmpConns,
    RtmpsConns,
    HlsMuxers,
    HlsSessions,
    WebrtcSessions,
}

impl Kind {
    /// As it stands in URLs.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Paths => "paths",
            Self::RtspConns => "rtspconns",
            Self::RtspSessions => "rtspsessions",
            Self::RtspsConns => "rtspsconns",
            Self::RtspsSessions => "rtspssessions",
            Self::RtmpConns => "rtmpconns",
            Self::RtmpsConns => "rtmpsconns",
            Self::HlsMuxers => "hlsmuxers",
            Self::HlsSessions => "hlssessions",
            Self::WebrtcSessions => "webrtcsessions",
        }
    }

    /// Whether one of it has a path's name, and not an id.
    pub(super) const fn is_named(self) -> bool {
        matches!(self, Self::Paths | Self::HlsMuxers)
    }

    /// Whether one of it can be ended. A connection of RTSP is ended by its session.
    pub(super) const fn can_be_kicked(self) -> bool {
        !matches!(self, Self::Paths | Self::HlsMuxers | Self::RtspConns | Self::RtspsConns)
    }

    /// What one of it is called.
    pub(super) const fn one(self) -> &'static str {
        match self {
            Self::Paths => "path",
            Self::HlsMuxers => "muxer",
            Self::RtspConns | Self::RtspsConns | Self::RtmpConns | Self::RtmpsConns => "connection",
            Self::RtspSessions | Self::RtspsSessions | Self::HlsSessions | Self::WebrtcSessions => "session",
        }
    }

    /// There is none.
    pub(super) fn not_found(self) -> ApiError {
        ApiError::NotFound(format!("{} not found", self.one()))
    }
}
