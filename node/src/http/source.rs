//! What the API asks, and of whom: the node implements [`ApiSource`] over its fabric and its servers.

use std::time::Duration;

use futures_util::future::BoxFuture;
use uuid::Uuid;
use weft_proto::id::PathName;

use super::drain::{DrainView, DrainWish};
use super::hls::{HlsMuxerInfo, HlsSessionInfo};
use super::rtmp::{RtmpConnInfo, RtmpServer};
use super::shapes::{PathInfo, RtspConnInfo, RtspSessionInfo, Timestamp};
use super::webrtc::WebrtcSessionInfo;

/// An answer that may come from another thread.
pub type ApiFuture<'a, T> = BoxFuture<'a, Result<T, ApiError>>;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The question makes no sense (400).
    #[error("{0}")]
    BadRequest(String),
    /// There is no such thing (404).
    #[error("{0}")]
    NotFound(String),
    /// Who could know does not answer (503).
    #[error("{0}")]
    Unavailable(String),
    /// Our fault (500); it is logged.
    #[error("{0}")]
    Internal(String),
}

/// About the node itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The node's label.
    pub node: String,
    /// Of the program.
    pub version: String,
    /// When it started.
    pub started: Timestamp,
    /// How long ago that was, by a clock that nobody sets.
    pub uptime: Duration,
}

/// Whether clients should be sent to this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Yes.
    Ready,
    /// No, and why.
    NotReady(String),
}

/// Which of the two RTSP servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtspServer {
    /// RTSP.
    Plain,
    /// RTSPS.
    Secure,
}

/// Answers the API's questions, for this node alone. Lists may come in any order.
pub trait ApiSource: Send + Sync {
    /// About the node itself.
    fn info(&self) -> Info;

    /// Whether clients should be sent here.
    fn readiness(&self) -> BoxFuture<'_, Readiness>;

    /// The names of all paths that are there.
    fn path_names(&self) -> ApiFuture<'_, Vec<String>>;

    /// One path, if it is there.
    fn path(&self, name: PathName) -> ApiFuture<'_, Option<PathInfo>>;

    /// Pulls the path's source here, and takes the path over once it gives something; false where nothing says what to pull.
    fn take_source(&self, _path: &PathName) -> bool {
        false
    }

    /// Connections of an RTSP server.
    fn rtsp_conns(&self, server: RtspServer) -> ApiFuture<'_, Vec<RtspConnInfo>>;

    /// Sessions of an RTSP server.
    fn rtsp_sessions(&self, server: RtspServer) -> ApiFuture<'_, Vec<RtspSessionInfo>>;

    /// Ends a session; `false` if there is none with this id.
    fn kick_rtsp_session(&self, server: RtspServer, id: Uuid) -> ApiFuture<'_, bool>;

    /// What makes HLS segments.
    fn hls_muxers(&self) -> ApiFuture<'_, Vec<HlsMuxerInfo>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Viewers of HLS.
    fn hls_sessions(&self) -> ApiFuture<'_, Vec<HlsSessionInfo>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Ends a viewer's session; `false` if there is none with this id.
    fn kick_hls_session(&self, _id: Uuid) -> ApiFuture<'_, bool> {
        Box::pin(std::future::ready(Ok(false)))
    }

    /// Sessions of WebRTC.
    fn webrtc_sessions(&self) -> ApiFuture<'_, Vec<WebrtcSessionInfo>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Ends a session of WebRTC; `false` if there is none with this id.
    fn kick_webrtc_session(&self, _id: Uuid) -> ApiFuture<'_, bool> {
        Box::pin(std::future::ready(Ok(false)))
    }

    /// Empties the node, or does not, or says how far it is.
    fn drain(&self, wish: DrainWish) -> ApiFuture<'_, DrainView>;

    /// Connections of an RTMP server.
    fn rtmp_conns(&self, server: RtmpServer) -> ApiFuture<'_, Vec<RtmpConnInfo>>;

    /// Ends a connection; `false` if there is none with this id.
    fn kick_rtmp_conn(&self, server: RtmpServer, id: Uuid) -> ApiFuture<'_, bool>;
}
