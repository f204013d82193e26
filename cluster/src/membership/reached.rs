//! How far other nodes have come with a path that this one has taken over: time and numbers go on from there.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout_at};
use weft_proto::id::PathName;
use weft_proto::wire::control::{Request, Response};
use weft_proto::wire::relay::Reached;

use super::member::Member;
use crate::mesh::{CallError, Transport};
use crate::ownership::{MemberState, NodeId};

/// How long the others are asked. The path's new publisher waits for it, once.
const ASK: Duration = Duration::from_millis(50);

/// The same for a node that should be there and has not been heard since this process began: they are about to be connected.
/// Without its word the path would begin anew, although its readers there hold what came before.
const ACQUAINT: Duration = Duration::from_millis(250);

/// How often it is looked whether they are.
const LOOK: Duration = Duration::from_millis(5);

impl<T: Transport> Member<T> {
    /// Asks all nodes that are heard, and those that must be soon; the furthest that anybody says.
    pub(super) async fn reached(&self, path: &PathName) -> Option<Reached> {
        let now = self.now();
        // Who is silent, or has just been cut, is not waited for.
        let (heard, unheard): (Vec<NodeId>, Vec<NodeId>) = {
            let state = self.consensus().state().read();
            let inner = self.shared.inner.lock();
            let others = state.members().iter().filter(|(node, _)| *node != self.id());
            let is_asked = |(node, member): &(NodeId, &crate::ownership::Member)| {
                let is_up = matches!(member.state, MemberState::Up | MemberState::Draining);
                inner.beats.lives(*node, member.incarnation, now) || is_up && !inner.beats.has_heard(*node)
            };
            others.filter(is_asked).map(|(node, _)| node).partition(|node| inner.beats.has_heard(*node))
        };
        let heard = join_all(heard.into_iter().map(|node| self.ask_reached(node, path)));
        let unheard = join_all(unheard.into_iter().map(|node| self.ask_once_connected(node, path)));
        let (heard, unheard) = tokio::join!(heard, unheard);
        let answers = heard.into_iter().chain(unheard).filter_map(|answer| answer.ok().flatten());
        answers.max_by_key(|reached| (reached.path_micros, reached.epoch))
    }

    async fn ask_reached(&self, node: NodeId, path: &PathName) -> Result<Option<Reached>, CallError> {
        match self.transport().call(node, Request::Reached(path.clone()), ASK).await? {
            Response::Reached(reached) => Ok(reached),
            _ => Ok(None),
        }
    }

    async fn ask_once_connected(&self, node: NodeId, path: &PathName) -> Result<Option<Reached>, CallError> {
        let asking = async {
            loop {
                match self.ask_reached(node, path).await {
                    Err(CallError::Unreachable) => sleep(LOOK).await,
                    answer => return answer,
                }
            }
        };
        timeout_at(Instant::now() + ACQUAINT, asking).await.unwrap_or(Err(CallError::TimedOut))
    }
}
