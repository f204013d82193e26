//! `/v3/hlsmuxers` and `/v3/hlssessions`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::list::{Page, PageQuery};
use super::shapes::Timestamp;
use super::source::{ApiError, ApiSource};
use super::v3::{Answer, Source, no_session, page, uuid};

/// What makes HLS segments of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HlsMuxerInfo {
    /// The path.
    pub path: String,
    /// When it was started.
    pub created: Timestamp,
    /// When it was last asked for something.
    pub last_request: Timestamp,
    /// Bytes sent to viewers.
    pub outbound_bytes: u64,
    /// Frames that it was too slow for.
    pub outbound_frames_discarded: u64,
}

/// A viewer of HLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HlsSessionInfo {
    /// Its id.
    pub id: Uuid,
    /// When it began.
    pub created: Timestamp,
    /// The client.
    pub remote_addr: SocketAddr,
    /// What it watches.
    pub path: String,
    /// What followed `?` in the URL.
    pub query: String,
    /// Who was let in, empty for nobody in particular.
    pub user: String,
    /// What the client says it is.
    pub user_agent: String,
    /// Whether it is a content delivery network.
    #[serde(rename = "isCDN")]
    pub is_cdn: bool,
    /// Bytes sent.
    pub outbound_bytes: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MuxerBody<'a> {
    path: &'a str,
    created: Timestamp,
    last_request: Timestamp,
    outbound_bytes: u64,
    outbound_frames_discarded: u64,
    bytes_sent: u64,
}

impl Serialize for HlsMuxerInfo {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        MuxerBody {
            path: &self.path,
            created: self.created,
            last_request: self.last_request,
            outbound_bytes: self.outbound_bytes,
            outbound_frames_discarded: self.outbound_frames_discarded,
            bytes_sent: self.outbound_bytes,
        }
        .serialize(serializer)
    }
}

pub(super) fn routes() -> Router<Arc<dyn ApiSource>> {
    Router::new()
        .route("/v3/hlsmuxers/list", get(muxers))
        .route("/v3/hlsmuxers/get/{*name}", get(muxer))
        .route("/v3/hlssessions/list", get(sessions))
        .route("/v3/hlssessions/get/{id}", get(session))
        .route("/v3/hlssessions/kick/{id}", post(kick))
}

async fn muxers(State(source): Source, Query(query): Query<PageQuery>) -> Answer<Page<HlsMuxerInfo>> {
    let mut all = source.hls_muxers().await?;
    all.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    page(&query, all)
}

async fn muxer(State(source): Source, Path(name): Path<String>) -> Answer<HlsMuxerInfo> {
    let found = source.hls_muxers().await?.into_iter().find(|muxer| muxer.path == name);
    found.map(Json).ok_or_else(|| ApiError::NotFound("muxer not found".into()))
}

async fn sessions(State(source): Source, Query(query): Query<PageQuery>) -> Answer<Page<HlsSessionInfo>> {
    let mut all = source.hls_sessions().await?;
    all.sort_unstable_by_key(|session| (session.created, session.id));
    page(&query, all)
}

async fn session(State(source): Source, Path(id): Path<String>) -> Answer<HlsSessionInfo> {
    let id = uuid(&id)?;
    let found = source.hls_sessions().await?.into_iter().find(|session| session.id == id);
    found.map(Json).ok_or_else(no_session)
}

async fn kick(State(source): Source, Path(id): Path<String>) -> Answer<serde_json::Value> {
    if source.kick_hls_session(uuid(&id)?).await? { Ok(Json(json!({"status": "ok"}))) } else { Err(no_session()) }
}
