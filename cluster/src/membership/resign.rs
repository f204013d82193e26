//! Letting another node lead, as a node does that is about to go.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use weft_proto::wire::entry::NodeId;

use super::member::Member;
use crate::mesh::Transport;
use crate::ownership::MemberState;

/// How long the next leader may take: some elections.
const WITHIN: Duration = Duration::from_secs(2);

/// How often it is looked whether it leads.
const LOOK: Duration = Duration::from_millis(20);

impl<T: Transport> Member<T> {
    /// Asks another voter to lead, if this node leads; whether this node does not lead any more.
    pub async fn resign(&self) -> bool {
        let Some(next) = self.next_leader() else { return !self.consensus().standing().leads };
        self.consensus().transfer(next).await;
        let gone = async {
            while self.consensus().standing().leads {
                sleep(LOOK).await;
            }
        };
        timeout(WITHIN, gone).await.is_ok()
    }

    /// The voter that is up and has most of the log.
    fn next_leader(&self) -> Option<NodeId> {
        let standing = self.consensus().standing();
        if !standing.leads {
            return None;
        }
        let state = self.consensus().state().read();
        let is_up = |node: NodeId| state.members().get(node).is_some_and(|member| member.state == MemberState::Up);
        let others = standing.voters.iter().copied().filter(|node| *node != self.id() && is_up(*node));
        let has = |node: &NodeId| standing.replicated.iter().find(|(known, _)| known == node).and_then(|(_, at)| *at);
        others.max_by_key(has)
    }
}
