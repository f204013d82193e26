//! What a node agrees with the others before it goes: that it is given nothing more, and who goes on with what it has.

use std::time::Duration;

use weft_proto::id::PathName;

use super::steward::candidates;
use super::thread::Cluster;
use crate::ownership::{Answer, Entry, Kind, NodeId};
use crate::placement::{Source, place};
use crate::raft::ProposeError;

impl Cluster {
    /// Agrees that this node takes no new publishers, or does again: others give it nothing, and take nothing through it.
    pub async fn set_drained(&self, drained: bool, within: Duration) -> Result<(u64, Answer), ProposeError> {
        let asked = self.ask(move |member| async move {
            let entry = Entry::Drain { node: member.id(), incarnation: member.incarnation(), drained };
            member.consensus().propose(entry, within).await
        });
        asked.await.unwrap_or(Err(ProposeError::Stopped))
    }

    /// Lets another node lead, if this one does and another can; whether this one does not lead any more.
    pub async fn resign(&self) -> bool {
        self.ask(|member| async move { member.resign().await }).await.unwrap_or(true)
    }

    /// Promotes the standbys that wait on other nodes for what this one owns: they go on with it from their newest random access
    /// points. How many there were.
    pub async fn hand_to_standbys(&self, within: Duration) -> Result<usize, ProposeError> {
        let entries: Vec<Entry> = {
            let state = self.state.read();
            let owned = state.paths().owned_by(self.id);
            let waits = owned.filter_map(|(path, ownership)| {
                let standby =
                    ownership.standbys.iter().find(|standby| state.members().is_serving(standby.claim.node))?;
                Some(Entry::Promote { path: path.clone(), epoch: ownership.epoch, id: standby.claim })
            });
            waits.collect()
        };
        let count = entries.len();
        for entry in entries {
            self.propose(entry, within).await?;
        }
        Ok(count)
    }

    /// The sources that this node pulls, and who is to pull each of them instead.
    pub fn sources_elsewhere(&self) -> Vec<(PathName, NodeId)> {
        let state = self.state.read();
        let others = candidates(&state, Some(self.id));
        let pulled = state
            .paths()
            .owned_by(self.id)
            .filter(|(_, ownership)| ownership.owner.is_some_and(|owner| owner.kind == Kind::Pulled));
        let placed = pulled.filter_map(|(path, _)| {
            let source = Source { path: path.clone(), zone: String::new() };
            Some((path.clone(), place(&source, &others)?))
        });
        placed.collect()
    }
}
