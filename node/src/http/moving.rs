//! `/cluster/paths/move`: another node pulls a path's source from now on. It connects first; then the path becomes its own,
//! and the node that had it lets go.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use weft_cluster::ownership::NodeId;
use weft_proto::id::PathName;

use super::cluster::{ClusterError, ClusterSource, PathView};
use super::failure;
use super::part::Question;
use super::whole::{WITHIN, Whole, words};

#[derive(Deserialize)]
struct Wish {
    path: String,
    node: String,
}

/// Whom a source is to move to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mover {
    /// The node that was asked.
    This,
    /// Another one.
    Other(NodeId),
}

/// The question to a node that it pull a path's source; its answer is `true` when it is about to.
pub fn take_source(path: &PathName) -> Vec<u8> {
    words(&Question::Take { path: path.to_string() })
}

/// Moves, and answers when it is done.
pub(super) async fn move_source(
    whole: Whole,
    source: Arc<dyn ClusterSource>,
    body: Bytes,
) -> Result<Json<PathView>, Response> {
    let wish = serde_json::from_slice::<Wish>(&body).ok();
    let wish = wish.and_then(|wish| Some((PathName::new(&wish.path).ok()?, wish.node)));
    let (path, node) = wish
        .ok_or_else(|| failure(StatusCode::BAD_REQUEST, "expected {\"path\": …, \"node\": …}, its label or its id"))?;
    let failed = |error: ClusterError| error.into_response();
    let mover = source.mover(path.clone(), node.clone()).await.map_err(failed)?;
    let is_willing = match (mover, &whole.others) {
        (Mover::This, _) => whole.source.take_source(&path),
        (Mover::Other(to), Some(others)) => {
            let answers = others.ask_each(vec![(to, take_source(&path))], WITHIN).await;
            answers.parts.iter().any(|part| serde_json::from_slice::<bool>(&part.answer).is_ok_and(|willing| willing))
        }
        (Mover::Other(_), None) => false,
    };
    if !is_willing {
        let message = format!("node {node} does not answer, or its configuration has no source for {path}");
        return Err(failed(ClusterError::Conflict(message)));
    }
    source.moved(path, node).await.map(Json).map_err(failed)
}
