//! Emptying a node before it is stopped: `/cluster/nodes/{node}/drain`, the same from any node.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use weft_cluster::inquiry::Answers;

use super::cluster::{ClusterError, ClusterSource};
use super::failure;
use super::part::Question;
use super::whole::{WITHIN, Whole, words};

/// What a node is asked about its drain.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DrainWish {
    /// Empty yourself; who is still there after this time is sent away.
    #[serde(rename_all = "camelCase")]
    Begin {
        /// Seconds; without it nobody is sent away.
        deadline_seconds: Option<f64>,
    },
    /// Take everything again.
    End,
    /// How far are you?
    Look,
}

/// How far a node is with its drain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainView {
    /// Its label.
    pub node: String,
    /// Whether it takes nothing new.
    pub draining: bool,
    /// Whether the others have agreed to that: they give it nothing then.
    pub agreed: bool,
    /// Publishers that are still there.
    pub publishers: usize,
    /// Readers that are still there.
    pub readers: usize,
    /// Until they are sent away.
    pub seconds_left: Option<f64>,
}

/// A node that was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedNode {
    /// Which it is.
    pub id: weft_cluster::ownership::NodeId,
    /// Its label.
    pub name: String,
    /// It is the one that is asked.
    pub here: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Deadline {
    deadline_seconds: Option<f64>,
}

/// A day: nobody waits longer for viewers to go.
const DEADLINE_MAX: Duration = Duration::from_secs(86_400);

type Source = State<Arc<dyn ClusterSource>>;

pub(super) async fn begin(
    whole: Whole,
    State(source): Source,
    Path(node): Path<String>,
    body: Bytes,
) -> Result<Json<DrainView>, Response> {
    let wish = if body.is_empty() { Some(Deadline::default()) } else { serde_json::from_slice(&body).ok() };
    let may = |seconds: f64| (0.0..=DEADLINE_MAX.as_secs_f64()).contains(&seconds);
    let wish = wish.filter(|wish: &Deadline| wish.deadline_seconds.is_none_or(may)).ok_or_else(|| {
        failure(StatusCode::BAD_REQUEST, "expected nothing, or {\"deadlineSeconds\": n} with n up to 86400")
    })?;
    let wish = DrainWish::Begin { deadline_seconds: wish.deadline_seconds };
    ask(&whole, &source, node, wish).await.map_err(IntoResponse::into_response)
}

pub(super) async fn end(
    whole: Whole,
    State(source): Source,
    Path(node): Path<String>,
) -> Result<Json<DrainView>, ClusterError> {
    ask(&whole, &source, node, DrainWish::End).await
}

pub(super) async fn look(
    whole: Whole,
    State(source): Source,
    Path(node): Path<String>,
) -> Result<Json<DrainView>, ClusterError> {
    ask(&whole, &source, node, DrainWish::Look).await
}

async fn ask(
    whole: &Whole,
    source: &Arc<dyn ClusterSource>,
    node: String,
    wish: DrainWish,
) -> Result<Json<DrainView>, ClusterError> {
    let NamedNode { id, name, here } = source.named(node).await?;
    let silent = || ClusterError::Unavailable(format!("node {name} does not answer"));
    if here {
        return whole.source.drain(wish).await.map(Json).map_err(|error| ClusterError::Unavailable(error.to_string()));
    }
    let others = whole.others.as_ref().ok_or_else(silent)?;
    let Answers { parts, .. } = others.ask_each(vec![(id, words(&Question::Drain(wish)))], WITHIN).await;
    let view = parts.first().and_then(|part| serde_json::from_slice(&part.answer).ok());
    view.map(Json).ok_or_else(silent)
}
