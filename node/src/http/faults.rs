//! `/cluster/faults`: faults injected between this node and others, where `chaos` is on. Each node has its own.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::failure;
use super::source::ApiSource;

/// Why a fault is not put in force, or not ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// It cannot be (400).
    #[error("{0}")]
    BadRequest(String),
    /// There is no such fault, or no such node (404).
    #[error("{0}")]
    NotFound(String),
    /// There is no place for it, or a name means several nodes (409).
    #[error("{0}")]
    Conflict(String),
}

/// Keeps the faults of a node.
pub trait FaultSource: Send + Sync {
    /// Those in force.
    fn list(&self) -> Vec<FaultView>;

    /// Puts all of them in force, or none.
    fn add(&self, wishes: Vec<FaultWish>) -> Result<Vec<FaultView>, FaultError>;

    /// Ends one.
    fn remove(&self, id: u64) -> Result<(), FaultError>;

    /// Ends all.
    fn clear(&self);
}

/// A fault, and whom it concerns.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultWish {
    /// The label or id of a node, `IP`, `IP:PORT`, or `*` for everybody.
    pub peer: String,
    /// Which packets, as this node sees them.
    #[serde(default)]
    pub direction: Direction,
    /// Which connections.
    #[serde(default)]
    pub plane: Plane,
    /// What happens to packets.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// Decides about each packet; drawn, when it is not given.
    #[serde(default)]
    pub seed: Option<u64>,
    /// When the fault ends by itself: an hour at most.
    pub duration_seconds: f64,
}

/// Which way packets go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// To this node.
    In,
    /// From this node.
    Out,
    /// Both ways.
    #[default]
    Both,
}

/// Which connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Plane {
    /// Heartbeats, Raft, calls and lifelines.
    #[default]
    Control,
    /// Media of WebRTC, from and to its clients.
    Webrtc,
}

/// What happens to packets. All of it may be combined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FaultKind {
    /// Nothing passes.
    pub partition: bool,
    /// Each packet is late by this.
    pub delay_ms: f64,
    /// And by up to this more or less, in order.
    pub jitter_ms: f64,
    /// How much a packet's jitter is that of the one before: 0 to 1.
    pub jitter_correlation: f64,
    /// The part of packets that is lost: 0 to 1.
    pub loss: f64,
    /// How much a packet's luck is that of the one before: 0 to 1.
    pub loss_correlation: f64,
    /// Loss in bursts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bursts: Option<FaultBursts>,
    /// The part of packets that comes twice.
    pub duplicate: f64,
    /// The part of packets that others overtake.
    pub reorder: f64,
    /// By how much at most.
    pub reorder_by_ms: f64,
    /// The part of packets in which a bit is turned.
    pub corrupt: f64,
    /// How much passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<FaultBandwidth>,
}

/// Loss in bursts.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FaultBursts {
    /// The chance, at each packet, that a bad time begins.
    pub begin: f64,
    /// The chance, at each packet, that it ends.
    pub end: f64,
    /// The part of packets that is lost in it.
    pub loss: f64,
}

/// A slow link and its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultBandwidth {
    /// Bits of UDP payload a second.
    pub bits_per_second: u64,
    /// Bytes that wait before it.
    pub queue_bytes: u64,
}

/// A fault in force.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultView {
    /// Its number on this node.
    pub id: u64,
    /// The id of a node, `IP`, `IP:PORT` or `*`.
    pub peer: String,
    /// Which packets.
    pub direction: Direction,
    /// Which connections.
    pub plane: Plane,
    /// What happens to packets.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// The seed, as a text, for it is larger than what all readers of JSON can count.
    pub seed: String,
    /// When it ends by itself.
    pub remaining_seconds: f64,
}

type Source = State<Arc<dyn FaultSource>>;

/// The routes, with their own source.
pub(super) fn routes(source: Arc<dyn FaultSource>) -> Router<Arc<dyn ApiSource>> {
    Router::new()
        .route("/cluster/faults", get(list).post(add).delete(clear))
        .route("/cluster/faults/{id}", delete(remove))
        .with_state(source)
}

async fn list(State(source): Source) -> Json<Vec<FaultView>> {
    Json(source.list())
}

async fn add(State(source): Source, body: Bytes) -> Result<Json<Vec<FaultView>>, Response> {
    let wishes = parse(&body).map_err(|error| failure(StatusCode::BAD_REQUEST, &error))?;
    source.add(wishes).map(Json).map_err(IntoResponse::into_response)
}

/// One wish, or a list of them.
fn parse(body: &[u8]) -> Result<Vec<FaultWish>, String> {
    let is_list = body.trim_ascii_start().first() == Some(&b'[');
    let wishes = if is_list {
        serde_json::from_slice(body)
    } else {
        serde_json::from_slice::<FaultWish>(body).map(|wish| vec![wish])
    };
    wishes.map_err(|error| format!("expected a fault or a list of faults: {error}"))
}

async fn clear(State(source): Source) -> StatusCode {
    source.clear();
    StatusCode::NO_CONTENT
}

async fn remove(State(source): Source, Path(id): Path<u64>) -> Result<StatusCode, FaultError> {
    source.remove(id).map(|()| StatusCode::NO_CONTENT)
}

impl IntoResponse for FaultError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
        };
        failure(status, &self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::{Direction, Plane, parse};

    #[test]
    fn one_wish_or_several_are_read() {
        let one = r#"{"peer":"b","partition":true,"durationSeconds":5}"#;
        let [wish] = parse(one.as_bytes()).unwrap().try_into().unwrap();
        assert_eq!((wish.direction, wish.plane), (Direction::Both, Plane::Control));
        assert!(wish.kind.partition);
        let two = format!(r#" [{one},{{"peer":"*","direction":"in","loss":0.5,"seed":7,"durationSeconds":0.5}}]"#);
        let wishes = parse(two.as_bytes()).unwrap();
        assert_eq!((wishes[1].direction, wishes[1].seed, wishes[1].kind.loss), (Direction::In, Some(7), 0.5));
    }

    #[test]
    fn what_is_unknown_is_not_overlooked() {
        for bad in [
            r#"{"peer":"b","partition":true}"#,
            r#"{"peer":"b","los":0.1,"durationSeconds":5}"#,
            r#"{"peer":"b","plane":"media","durationSeconds":5}"#,
            r#"{"peer":"b","bandwidth":{"bitsPerSecond":1},"durationSeconds":5}"#,
            "",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
