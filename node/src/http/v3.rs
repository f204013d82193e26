//! The handlers of `/v3`: lists, one out of them, and an end to it, each for all nodes.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;
use weft_proto::id::PathName;

use super::Access;
use super::kind::Kind;
use super::list::PageQuery;
use super::source::{ApiError, ApiSource};
use super::whole::{Missing, Whole};

type Source = State<Whole>;
type Answer = Result<Response, ApiError>;

/// Names the nodes that did not answer, where what is said would else be taken for all there is.
const MISSING_NODES: HeaderName = HeaderName::from_static("weft-missing-nodes");

/// The routes; those of a server only if it runs.
pub(super) fn routes(source: Arc<dyn ApiSource>, access: &Access) -> Router<Arc<dyn ApiSource>> {
    let kinds = [
        (Kind::Paths, true),
        (Kind::RtspConns, access.rtsp),
        (Kind::RtspSessions, access.rtsp),
        (Kind::RtspsConns, access.rtsps),
        (Kind::RtspsSessions, access.rtsps),
        (Kind::RtmpConns, access.rtmp),
        (Kind::RtmpsConns, access.rtmps),
        (Kind::HlsMuxers, access.hls),
        (Kind::HlsSessions, access.hls),
        (Kind::WebrtcSessions, access.webrtc),
    ];
    let first = Router::new().route("/v3/info", get(info)).route("/v3/paths/get/", get(no_name));
    let there = kinds.into_iter().filter_map(|(kind, is_there)| is_there.then_some(kind));
    there.fold(first, with).with_state(Whole { source, others: access.others.clone() })
}

fn with(routes: Router<Whole>, kind: Kind) -> Router<Whole> {
    let (word, name) = (kind.word(), if kind.is_named() { "{*name}" } else { "{name}" });
    let routes = routes
        .route(&format!("/v3/{word}/list"), get(move |source, query| list(kind, source, query)))
        .route(&format!("/v3/{word}/get/{name}"), get(move |source, name, query| one(kind, source, name, query)));
    if !kind.can_be_kicked() {
        return routes;
    }
    routes.route(&format!("/v3/{word}/kick/{name}"), post(move |source, name, query| kick(kind, source, name, query)))
}

async fn info(State(whole): Source) -> Response {
    let info = whole.source.info();
    Json(json!({"version": info.version, "started": info.started})).into_response()
}

async fn no_name() -> ApiError {
    ApiError::BadRequest("invalid name".into())
}

async fn list(kind: Kind, State(whole): Source, Query(query): Query<PageQuery>) -> Answer {
    let window = query.window()?;
    let listed = whole.list(kind, window.range(), query.is_local()).await?;
    let missing = listed.missing.clone();
    Ok(naming(&missing, Json(window.page(listed)).into_response()))
}

/// `?local=1`: only what this node has itself.
#[derive(Debug, Default, Deserialize)]
struct Scope {
    local: Option<String>,
}

impl Scope {
    fn is_local(&self) -> bool {
        super::list::is_set(self.local.as_deref())
    }
}

async fn one(kind: Kind, State(whole): Source, Path(name): Path<String>, Query(scope): Query<Scope>) -> Answer {
    let name = named(kind, name)?;
    let (value, missing) = whole.get(kind, &name, scope.is_local()).await?;
    Ok(naming(&missing, Json(value).into_response()))
}

async fn kick(kind: Kind, State(whole): Source, Path(name): Path<String>, Query(scope): Query<Scope>) -> Answer {
    whole.kick(kind, &named(kind, name)?, scope.is_local()).await?;
    Ok(Json(json!({"status": "ok"})).into_response())
}

/// A name or id out of a URL, as it stands in lists.
fn named(kind: Kind, text: String) -> Result<String, ApiError> {
    if kind.is_named() {
        // A name that no path can have belongs to no path.
        return PathName::new(&text).map(|_| text).map_err(|_| kind.not_found());
    }
    let id = Uuid::try_parse(&text).map_err(|error| ApiError::BadRequest(format!("invalid UUID: {error}")))?;
    Ok(id.to_string())
}

fn naming(missing: &Missing, mut response: Response) -> Response {
    let names = missing.iter().map(String::as_str).collect::<Vec<_>>().join(",");
    // A label with a line break in it cannot stand in a header; lists have it in their body.
    if !missing.is_empty()
        && let Ok(names) = HeaderValue::from_str(&names)
    {
        response.headers_mut().insert(MISSING_NODES, names);
    }
    response
}
