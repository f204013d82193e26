//! RTMP connections as the API shows them.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Serialize, Serializer};
use serde_json::json;
use uuid::Uuid;

use super::list::{Page, PageQuery};
use super::shapes::{RtspState, Timestamp};
use super::source::{ApiError, ApiSource};
use super::v3::uuid;

type Source = State<Arc<dyn ApiSource>>;
type Answer<T> = Result<Json<T>, ApiError>;

/// Which of the two RTMP servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtmpServer {
    /// RTMP.
    Plain,
    /// RTMPS.
    Secure,
}

/// An RTMP connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtmpConnInfo {
    /// Its id.
    pub id: Uuid,
    /// When it was accepted.
    pub created: Timestamp,
    /// The client.
    pub remote_addr: SocketAddr,
    /// What it does.
    pub state: RtspState,
    /// The path, empty while it has none.
    pub path: String,
    /// What followed `?` in the URL.
    pub query: String,
    /// Who was let in, empty for nobody in particular.
    pub user: String,
    /// What the client says it is.
    pub user_agent: String,
    /// Bytes received.
    pub inbound_bytes: u64,
    /// Bytes sent.
    pub outbound_bytes: u64,
    /// Units not sent because the client was too slow.
    pub outbound_frames_discarded: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    id: Uuid,
    created: Timestamp,
    remote_addr: SocketAddr,
    state: RtspState,
    path: &'a str,
    query: &'a str,
    user: &'a str,
    user_agent: &'a str,
    inbound_bytes: u64,
    outbound_bytes: u64,
    outbound_frames_discarded: u64,
    bytes_received: u64,
    bytes_sent: u64,
}

impl Serialize for RtmpConnInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Body {
            id: self.id,
            created: self.created,
            remote_addr: self.remote_addr,
            state: self.state,
            path: &self.path,
            query: &self.query,
            user: &self.user,
            user_agent: &self.user_agent,
            inbound_bytes: self.inbound_bytes,
            outbound_bytes: self.outbound_bytes,
            outbound_frames_discarded: self.outbound_frames_discarded,
            bytes_received: self.inbound_bytes,
            bytes_sent: self.outbound_bytes,
        }
        .serialize(serializer)
    }
}

/// The routes of one server.
pub(super) fn routes(server: RtmpServer) -> Router<Arc<dyn ApiSource>> {
    let word = if server == RtmpServer::Plain { "rtmp" } else { "rtmps" };
    Router::new()
        .route(&format!("/v3/{word}conns/list"), get(move |source, query| conns(server, source, query)))
        .route(&format!("/v3/{word}conns/get/{{id}}"), get(move |source, id| conn(server, source, id)))
        .route(&format!("/v3/{word}conns/kick/{{id}}"), post(move |source, id| kick(server, source, id)))
}

async fn conns(
    server: RtmpServer,
    State(source): Source,
    Query(query): Query<PageQuery>,
) -> Answer<Page<RtmpConnInfo>> {
    let mut all = source.rtmp_conns(server).await?;
    all.sort_unstable_by_key(|conn| (conn.created, conn.id));
    query.cut(all).map(Json)
}

async fn conn(server: RtmpServer, State(source): Source, Path(id): Path<String>) -> Answer<RtmpConnInfo> {
    let id = uuid(&id)?;
    let mut all = source.rtmp_conns(server).await?.into_iter();
    all.find(|conn| conn.id == id).map(Json).ok_or_else(no_connection)
}

async fn kick(server: RtmpServer, State(source): Source, Path(id): Path<String>) -> Answer<serde_json::Value> {
    if source.kick_rtmp_conn(server, uuid(&id)?).await? {
        Ok(Json(json!({"status": "ok"})))
    } else {
        Err(no_connection())
    }
}

fn no_connection() -> ApiError {
    ApiError::NotFound("connection not found".into())
}
