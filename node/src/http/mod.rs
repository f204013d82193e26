//! The HTTP API: MediaMTX's `/v3` with the same shapes, beside it `/cluster`, `/health` and `/ready`.
//!
//! [`router`] asks an [`ApiSource`] and turns answers into JSON; it holds no state and knows nothing of paths or sessions.
//! Whoever serves it must use `into_make_service_with_connect_info::<SocketAddr>()`: a request whose peer is not known is
//! treated as a stranger's.

mod access;
mod cluster;
mod config;
mod drain;
mod faults;
#[cfg(test)]
mod faults_test;
mod hls;
mod kind;
mod list;
mod moving;
mod part;
mod revisions;
mod round;
mod rtmp;
mod session;
mod shapes;
mod source;
#[cfg(test)]
mod tests;
mod v3;
mod webrtc;
mod whole;
#[cfg(test)]
mod whole_test;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::auth::{Authenticator, OpenMedia};

pub use cluster::{
    ClusterError, ClusterFuture, ClusterSource, NodeView, PathView, RelayLinkView, StatusView, TokenView, WhyView,
};
pub use config::{Asked, ConfigError, ConfigFuture, ConfigSource, Revision, Tried, Written};
pub use drain::{DrainView, DrainWish, NamedNode};
pub use faults::{
    Direction, FaultBandwidth, FaultBursts, FaultError, FaultKind, FaultSource, FaultView, FaultWish, Plane,
};
pub use hls::{HlsMuxerInfo, HlsSessionInfo};
pub use moving::{Mover, take_source};
pub use part::answer;
pub use rtmp::{RtmpConnInfo, RtmpServer};
pub use shapes::{
    CodecProps, PathInfo, PeerRef, ReaderRef, RelayRef, RtspConnInfo, RtspSessionInfo, RtspState, StandbyRef,
    Timestamp, TrackInfo, Tunnel,
};
pub use source::{ApiError, ApiFuture, ApiSource, Info, Readiness, RtspServer};
pub use webrtc::{WebrtcSessionInfo, WebrtcState};
pub use whole::Others;

/// Who may use the API, and which parts of it there are.
#[derive(Clone)]
pub struct Access {
    /// Asked for every request except those for `/health` and `/ready`.
    pub authenticator: Arc<dyn Authenticator>,
    /// Web origins that may ask; `*` is all.
    pub allow_origins: Vec<String>,
    /// Answers for the cluster; without it, `/cluster` is not there.
    pub cluster: Option<Arc<dyn ClusterSource>>,
    /// Knows the configuration; without it, `/v3/config` and `/cluster/config` are not there.
    pub config: Option<Arc<dyn ConfigSource>>,
    /// The other nodes, whose part belongs into each answer; without them the node is alone.
    pub others: Option<Arc<dyn Others>>,
    /// Keeps injected faults; without it, `/cluster/faults` is not there.
    pub faults: Option<Arc<dyn FaultSource>>,
    /// Whether the RTSP server runs: without it, its routes are not there.
    pub rtsp: bool,
    /// Whether the RTSPS server runs.
    pub rtsps: bool,
    /// Whether the HLS server runs.
    pub hls: bool,
    /// Whether the RTMP server runs.
    pub rtmp: bool,
    /// Whether the RTMPS server runs.
    pub rtmps: bool,
    /// Whether the WebRTC server runs.
    pub webrtc: bool,
}

impl Default for Access {
    /// Without users only this machine may ask, from any web origin.
    fn default() -> Self {
        Self {
            authenticator: Arc::new(OpenMedia),
            allow_origins: vec!["*".into()],
            cluster: None,
            config: None,
            others: None,
            faults: None,
            rtsp: true,
            rtsps: false,
            hls: false,
            rtmp: true,
            rtmps: false,
            webrtc: false,
        }
    }
}

/// The routes of the API.
pub fn router(source: Arc<dyn ApiSource>, access: Access) -> Router {
    let protected = v3::routes(source.clone(), &access)
        .merge(
            access.cluster.clone().map(|cluster| cluster::routes(cluster, source.clone(), &access)).unwrap_or_default(),
        )
        .merge(access.config.clone().map(config::routes).unwrap_or_default())
        .merge(access.faults.clone().map(faults::routes).unwrap_or_default())
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(access.authenticator.clone(), access::authenticate));
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .merge(protected)
        .layer(from_fn_with_state(Arc::<[String]>::from(access.allow_origins), access::cross_origin))
        .layer(map_response(no_sniffing))
        .with_state(source)
}

async fn health(State(source): State<Arc<dyn ApiSource>>) -> Response {
    let Info { version, uptime, .. } = source.info();
    Json(json!({"status": "up", "version": version, "uptime": uptime.as_secs()})).into_response()
}

async fn ready(State(source): State<Arc<dyn ApiSource>>) -> Response {
    match source.readiness().await {
        Readiness::Ready => Json(json!({"status": "ready"})).into_response(),
        Readiness::NotReady(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "not ready", "reason": reason}))).into_response()
        }
    }
}

async fn unknown_route() -> Response {
    failure(StatusCode::NOT_FOUND, "not found")
}

async fn wrong_method() -> Response {
    failure(StatusCode::METHOD_NOT_ALLOWED, "method not allowed")
}

/// Answers hold texts that clients chose; no browser shall take one for a page.
async fn no_sniffing(mut response: Response) -> Response {
    let value = axum::http::HeaderValue::from_static("nosniff");
    response.headers_mut().insert(axum::http::header::X_CONTENT_TYPE_OPTIONS, value);
    response
}

/// `{"status":"error","error":…}`.
fn failure(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({"status": "error", "error": error}))).into_response()
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            Self::BadRequest(error) => failure(StatusCode::BAD_REQUEST, &error),
            Self::NotFound(error) => failure(StatusCode::NOT_FOUND, &error),
            Self::Unavailable(error) => failure(StatusCode::SERVICE_UNAVAILABLE, &error),
            Self::Internal(error) => {
                tracing::error!(error, "API request failed");
                failure(StatusCode::INTERNAL_SERVER_ERROR, &error)
            }
        }
    }
}
