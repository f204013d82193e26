//! How far other nodes have come with a path that this one has taken over: time and numbers go on from there.

use std::time::Duration;

use futures_util::future::join_all;
use weft_proto::id::PathName;
use weft_proto::wire::control::{Request, Response};
use weft_proto::wire::relay::Reached;

use super::member::Member;
use crate::mesh::Transport;
use crate::ownership::NodeId;

/// How long the others are asked. The path's new publisher waits for it, once.
const ASK: Duration = Duration::from_millis(50);

impl<T: Transport> Member<T> {
    /// Asks all nodes that are heard; the furthest that anybody says.
    pub(super) async fn reached(&self, path: &PathName) -> Option<Reached> {
        let now = self.now();
        // Who is silent, or has just been cut, is not waited for.
        let others: Vec<NodeId> = {
            let state = self.consensus().state().read();
            let inner = self.shared.inner.lock();
            let heard =
                state.members().iter().filter(|(node, member)| inner.beats.lives(*node, member.incarnation, now));
            heard.map(|(node, _)| node).collect()
        };
        let asked = others.into_iter().map(|node| self.transport().call(node, Request::Reached(path.clone()), ASK));
        let answers = join_all(asked).await.into_iter().filter_map(|answer| match answer {
            Ok(Response::Reached(reached)) => reached,
            _ => None,
        });
        answers.max_by_key(|reached| (reached.path_micros, reached.epoch))
    }
}
