//! `/cluster`: who belongs, who leads, who owns what and why, tokens, removal, backup. The same from any node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use weft_proto::id::PathName;

use super::config::ConfigSource;
use super::drain::{self, NamedNode};
use super::kind::Kind;
use super::moving::Mover;
use super::shapes::Timestamp;
use super::source::ApiSource;
use super::whole::Whole;
use super::{Access, failure, moving};

/// An answer of the cluster.
pub type ClusterFuture<'a, T> = BoxFuture<'a, Result<T, ClusterError>>;

/// Why the cluster does not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// There is no such thing (404).
    #[error("{0}")]
    NotFound(String),
    /// It cannot be done as things are (409).
    #[error("{0}")]
    Conflict(String),
    /// The cluster cannot agree now (503).
    #[error("{0}")]
    Unavailable(String),
}

/// Answers for the cluster.
pub trait ClusterSource: Send + Sync {
    /// How the cluster is.
    fn status(&self) -> ClusterFuture<'_, StatusView>;

    /// Who owns what.
    fn paths(&self) -> ClusterFuture<'_, Vec<PathView>>;

    /// Who owns a path, since when, and what happened before.
    fn why(&self, path: PathName) -> ClusterFuture<'_, WhyView>;

    /// Whom a path that is pulled can be moved to by this name, an id or a label.
    fn mover(&self, path: PathName, node: String) -> ClusterFuture<'_, Mover>;

    /// Waits until the path is that node's.
    fn moved(&self, path: PathName, node: String) -> ClusterFuture<'_, PathView>;

    /// A token that lets one node in.
    fn invite(&self, valid_for: Duration) -> ClusterFuture<'_, TokenView>;

    /// Removes a node, named by its id or its label. Unless `force`, only if the others can still agree without it.
    fn remove(&self, node: String, force: bool) -> ClusterFuture<'_, NodeView>;

    /// The node with this id or label.
    fn named(&self, node: String) -> ClusterFuture<'_, NamedNode>;

    /// What is agreed, for [`weft cluster restore`](crate::cli). Without secrets.
    fn backup(&self) -> ClusterFuture<'_, Vec<u8>>;
}

/// How the cluster is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StatusView {
    /// The label of the node that leads, if this one knows.
    pub leader: Option<String>,
    /// Whether this node reaches a majority of the voters.
    pub quorum: bool,
    /// The level that the cluster speaks.
    pub level: u32,
    /// The node that answers.
    pub node: String,
    /// Raft's term.
    pub term: u64,
    /// The last entry of this node's log, and the last that it has applied.
    pub log: [Option<u64>; 2],
    /// The members.
    pub nodes: Vec<NodeView>,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeView {
    /// Its id.
    pub id: String,
    /// Its label.
    pub name: String,
    /// Rack, site or region.
    pub zone: String,
    /// `up`, `suspect`, `down`, `draining` or `joined`, when it has never come up.
    pub state: &'static str,
    /// `voter`, `learner` or `witness`.
    pub role: &'static str,
    /// Of its program.
    pub version: String,
    /// What other nodes dial.
    pub address: String,
    /// Counts its starts.
    pub incarnation: u64,
    /// Paths that it owns.
    pub paths: usize,
    /// There and back from the node that answers, in milliseconds.
    pub round_trip_ms: Option<f64>,
    /// How far its clock is ahead of that of the node that answers, in milliseconds.
    pub clock_offset_ms: Option<f64>,
    /// The connections between it and the node that answers over which paths go, as they were in the last second.
    pub relay_links: Vec<RelayLinkView>,
}

/// A connection over which paths go between two nodes, seen by the one that answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RelayLinkView {
    /// `from`, when paths come from that node, or `to`.
    pub way: &'static str,
    /// Which worker's it is.
    pub worker: usize,
    /// There and back, in milliseconds.
    pub round_trip_ms: f64,
    /// Of UDP payload.
    pub sent_bits_per_second: u64,
    /// Of UDP payload.
    pub received_bits_per_second: u64,
    /// Of the packets that the node that answers has sent.
    pub loss_percent: f64,
    /// What may be on its way at a time.
    pub window_bytes: u64,
    /// The largest packet that the way is known to carry that far; known where much is sent, as by a parent.
    pub packet_bytes: u16,
    /// Tracks whose next unit waits for a place in the connection.
    pub waiting_tracks: usize,
    /// How long the one that has waited longest has done so, in milliseconds.
    pub longest_wait_ms: f64,
}

/// A path and its owner.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PathView {
    /// The path.
    pub name: String,
    /// The label of the owner; none while it waits for one.
    pub node: Option<String>,
    /// The epoch. A text, for it is larger than what all readers of JSON can count.
    pub epoch: String,
    /// `pushed` or `pulled`, while it has an owner.
    pub kind: Option<&'static str>,
    /// The labels of nodes whose publishers wait, the next one first.
    pub standbys: Vec<String>,
    /// When the path was born.
    pub born: Timestamp,
}

/// Why a path is where it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WhyView {
    /// The path as the cluster sees it.
    #[serde(flatten)]
    pub path: PathView,
    /// In a sentence or two.
    pub why: String,
    /// On which ways it goes from node to node, as `from` and `to`.
    pub relays: Vec<Value>,
}

/// A token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenView {
    /// The text. It is shown once.
    pub token: String,
    /// Until when it lets a node in.
    pub expires: Timestamp,
}

type Source = State<Arc<dyn ClusterSource>>;

/// The routes, with their own sources.
pub(super) fn routes(
    source: Arc<dyn ClusterSource>,
    node: Arc<dyn ApiSource>,
    access: &Access,
) -> Router<Arc<dyn ApiSource>> {
    let whole = Whole { source: node, others: access.others.clone() };
    let (moved, config) = (whole.clone(), access.config.clone());
    Router::new()
        .route("/cluster/status", get(move |source| status(source, config.clone())))
        .route("/cluster/nodes", get(nodes))
        .route("/cluster/nodes/{node}", delete(remove))
        .route("/cluster/nodes/{node}/drain", {
            let [begins, looks] = [whole.clone(), whole.clone()];
            post(move |source, node, body| drain::begin(begins.clone(), source, node, body))
                .get(move |source, node| drain::look(looks.clone(), source, node))
        })
        .route("/cluster/nodes/{node}/undrain", {
            let whole = whole.clone();
            post(move |source, node| drain::end(whole.clone(), source, node))
        })
        .route("/cluster/paths", get(paths))
        .route(
            "/cluster/paths/move",
            post(move |State(source): Source, body| moving::move_source(moved.clone(), source, body)),
        )
        .route("/cluster/why/{*path}", get(move |source, path| why(whole.clone(), source, path)))
        .route("/cluster/tokens", post(invite))
        .route("/cluster/backup", get(backup))
        .with_state(source)
}

async fn status(State(source): Source, config: Option<Arc<dyn ConfigSource>>) -> Result<Json<Value>, ClusterError> {
    let mut status = serde_json::to_value(source.status().await?).unwrap_or_default();
    if let Some(config) = config {
        let in_force = config.in_force();
        status["configuration"] = json!({"revision": in_force.revision, "file": super::revisions::file(&in_force)});
    }
    Ok(Json(status))
}

async fn nodes(State(source): Source) -> Result<Json<Vec<NodeView>>, ClusterError> {
    Ok(Json(source.status().await?.nodes))
}

async fn paths(State(source): Source) -> Result<Json<Vec<PathView>>, ClusterError> {
    source.paths().await.map(Json)
}

async fn why(whole: Whole, State(source): Source, Path(path): Path<String>) -> Result<Json<WhyView>, Response> {
    let path = PathName::new(&path).map_err(|error| failure(StatusCode::BAD_REQUEST, &error.to_string()))?;
    let mut view = source.why(path.clone()).await.map_err(IntoResponse::into_response)?;
    // The nodes that carry it know how it comes to them. Who does not answer leaves a hole in the tree.
    if let Ok((mut path, missing)) = whole.get(Kind::Paths, path.as_str(), false).await {
        view.why += &who_is_next(&path, view.path.node.as_deref(), &view.path.standbys);
        view.relays = path["relays"].as_array_mut().map(std::mem::take).unwrap_or_default();
        view.why += &tree(&view.relays);
        if !missing.is_empty() {
            let names: Vec<String> = missing.into_iter().collect();
            view.why += &format!(" No answer from {}.", names.join(", "));
        }
    }
    Ok(Json(view))
}

/// ` If it fails, rtspSession 1 on node b takes over.` The owner's own standbys come first, then the nodes as they are agreed
/// on; of each the best that is ready.
fn who_is_next(path: &Value, owner: Option<&str>, registered: &[String]) -> String {
    let standbys = path["standbys"].as_array().map_or(&[][..], Vec::as_slice);
    let best_of = |node: &str| standbys.iter().find(|standby| standby["node"] == node && standby["ready"] == true);
    let next = owner.into_iter().chain(registered.iter().map(String::as_str)).find_map(best_of);
    match next.map(|next| (&next["type"], &next["id"], &next["node"])) {
        Some((Value::String(kind), Value::String(id), Value::String(node))) => {
            format!(" If its publisher fails, {kind} {id} on node {node} takes over.")
        }
        _ if standbys.is_empty() => String::new(),
        _ => " None of those that stand by can take over now.".to_owned(),
    }
}

/// ` Relayed from a to b, c; from b to d.`
fn tree(relays: &[Value]) -> String {
    let mut ways = BTreeMap::<&str, Vec<&str>>::new();
    for relay in relays {
        if let (Some(from), Some(to)) = (relay["from"].as_str(), relay["to"].as_str()) {
            ways.entry(from).or_default().push(to);
        }
    }
    let ways: Vec<String> = ways.iter().map(|(from, to)| format!("from {from} to {}", to.join(", "))).collect();
    if ways.is_empty() { String::new() } else { format!(" Relayed {}.", ways.join("; ")) }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Invitation {
    valid_for_seconds: u64,
}

/// A token is for a day at most; by default for an hour.
const TOKEN_SECONDS: std::ops::RangeInclusive<u64> = 1..=86_400;
const TOKEN_SECONDS_DEFAULT: u64 = 3600;

async fn invite(State(source): Source, body: Bytes) -> Result<Json<TokenView>, Response> {
    let wish = if body.is_empty() {
        Ok(Invitation { valid_for_seconds: TOKEN_SECONDS_DEFAULT })
    } else {
        serde_json::from_slice::<Invitation>(&body)
    };
    let wish = wish.ok().filter(|wish| TOKEN_SECONDS.contains(&wish.valid_for_seconds));
    let wish = wish.ok_or_else(|| {
        failure(StatusCode::BAD_REQUEST, "expected {\"validForSeconds\": n} with n between 1 and 86400")
    })?;
    let token = source.invite(Duration::from_secs(wish.valid_for_seconds)).await;
    token.map(Json).map_err(IntoResponse::into_response)
}

#[derive(Deserialize)]
struct Force {
    #[serde(default)]
    force: bool,
}

async fn remove(
    State(source): Source,
    Path(node): Path<String>,
    Query(force): Query<Force>,
) -> Result<Json<NodeView>, ClusterError> {
    source.remove(node, force.force).await.map(Json)
}

async fn backup(State(source): Source) -> Result<Response, ClusterError> {
    let bytes = source.backup().await?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}

impl IntoResponse for ClusterError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, Json(json!({"status": "error", "error": self.to_string()}))).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_would_take_over_in_words() {
        let standby = |id: &str, node: &str, ready: bool| json!({"type": "t", "id": id, "node": node, "ready": ready});
        let path = json!({"standbys": [standby("1", "b", true), standby("2", "a", false), standby("3", "c", true)]});
        let registered = ["c".to_owned(), "b".to_owned()];
        let next = |owner| who_is_next(&path, Some(owner), &registered);
        assert_eq!(next("a"), " If its publisher fails, t 3 on node c takes over.");
        assert_eq!(next("b"), " If its publisher fails, t 1 on node b takes over.");
        assert_eq!(who_is_next(&path, Some("a"), &[]), " None of those that stand by can take over now.");
        assert_eq!(who_is_next(&json!({}), Some("a"), &[]), "");
    }

    #[test]
    fn the_tree_of_relays_in_words() {
        let relays = [("a", "b"), ("b", "d"), ("a", "c")].map(|(from, to)| json!({"from": from, "to": to}));
        assert_eq!(tree(&relays), " Relayed from a to b, c; from b to d.");
        assert_eq!(tree(&[]), "");
    }
}
