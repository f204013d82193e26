//! The handlers of `/v3`.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;
use weft_proto::id::PathName;

use super::Access;
use super::list::{Page, PageQuery};
use super::rtmp::{self, RtmpServer};
use super::shapes::{PathInfo, RtspConnInfo, RtspSessionInfo};
use super::source::{ApiError, ApiSource, RtspServer};

pub(super) type Source = State<Arc<dyn ApiSource>>;
pub(super) type Answer<T> = Result<Json<T>, ApiError>;

/// The routes; those of a server only if it runs.
pub(super) fn routes(access: &Access) -> Router<Arc<dyn ApiSource>> {
    let mut routes = Router::new()
        .route("/v3/info", get(info))
        .route("/v3/paths/list", get(paths))
        .route("/v3/paths/get/", get(no_name))
        .route("/v3/paths/get/{*name}", get(path));
    if access.rtsp {
        routes = routes.merge(rtsp(RtspServer::Plain, "rtsp"));
    }
    if access.rtsps {
        routes = routes.merge(rtsp(RtspServer::Secure, "rtsps"));
    }
    if access.rtmp {
        routes = routes.merge(rtmp::routes(RtmpServer::Plain));
    }
    if access.rtmps {
        routes = routes.merge(rtmp::routes(RtmpServer::Secure));
    }
    if access.hls {
        routes = routes.merge(super::hls::routes());
    }
    routes
}

fn rtsp(server: RtspServer, word: &str) -> Router<Arc<dyn ApiSource>> {
    Router::new()
        .route(&format!("/v3/{word}conns/list"), get(move |source, query| conns(server, source, query)))
        .route(&format!("/v3/{word}conns/get/{{id}}"), get(move |source, id| conn(server, source, id)))
        .route(&format!("/v3/{word}sessions/list"), get(move |source, query| sessions(server, source, query)))
        .route(&format!("/v3/{word}sessions/get/{{id}}"), get(move |source, id| session(server, source, id)))
        .route(&format!("/v3/{word}sessions/kick/{{id}}"), post(move |source, id| kick(server, source, id)))
}

async fn info(State(source): Source) -> Response {
    let info = source.info();
    Json(json!({"version": info.version, "started": info.started})).into_response()
}

async fn paths(State(source): Source, Query(query): Query<PageQuery>) -> Answer<Page<PathInfo>> {
    let mut all = source.paths().await?;
    all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    page(&query, all)
}

async fn no_name() -> ApiError {
    ApiError::BadRequest("invalid name".into())
}

async fn path(State(source): Source, Path(name): Path<String>) -> Answer<PathInfo> {
    let not_found = || ApiError::NotFound("path not found".into());
    // A name that no path can have belongs to no path.
    let name = PathName::new(&name).map_err(|_| not_found())?;
    source.path(name).await?.map(Json).ok_or_else(not_found)
}

async fn conns(
    server: RtspServer,
    State(source): Source,
    Query(query): Query<PageQuery>,
) -> Answer<Page<RtspConnInfo>> {
    let mut all = source.rtsp_conns(server).await?;
    all.sort_unstable_by_key(|conn| (conn.created, conn.id));
    page(&query, all)
}

async fn conn(server: RtspServer, State(source): Source, Path(id): Path<String>) -> Answer<RtspConnInfo> {
    let id = uuid(&id)?;
    let mut all = source.rtsp_conns(server).await?.into_iter();
    let found = all.find(|conn| conn.id == id);
    found.map(Json).ok_or_else(|| ApiError::NotFound("connection not found".into()))
}

async fn sessions(
    server: RtspServer,
    State(source): Source,
    Query(query): Query<PageQuery>,
) -> Answer<Page<RtspSessionInfo>> {
    let mut all = source.rtsp_sessions(server).await?;
    all.sort_unstable_by_key(|session| (session.created, session.id));
    page(&query, all)
}

async fn session(server: RtspServer, State(source): Source, Path(id): Path<String>) -> Answer<RtspSessionInfo> {
    let id = uuid(&id)?;
    let mut all = source.rtsp_sessions(server).await?.into_iter();
    all.find(|session| session.id == id).map(Json).ok_or_else(no_session)
}

async fn kick(server: RtspServer, State(source): Source, Path(id): Path<String>) -> Answer<serde_json::Value> {
    if source.kick_rtsp_session(server, uuid(&id)?).await? {
        Ok(Json(json!({"status": "ok"})))
    } else {
        Err(no_session())
    }
}

pub(super) fn no_session() -> ApiError {
    ApiError::NotFound("session not found".into())
}

/// A session's or connection's id out of a URL.
pub(super) fn uuid(text: &str) -> Result<Uuid, ApiError> {
    Uuid::try_parse(text).map_err(|error| ApiError::BadRequest(format!("invalid UUID: {error}")))
}

pub(super) fn page<T: Serialize>(query: &PageQuery, all: Vec<T>) -> Answer<Page<T>> {
    query.cut(all).map(Json)
}
