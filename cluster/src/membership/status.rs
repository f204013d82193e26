//! What a node knows of its cluster, for people and their programs.

use weft_proto::time::Now;

use super::beats::LinkClock;
use super::member::{Inner, Member};
use crate::liveness::Sight;
use crate::mesh::Transport;
use crate::ownership::{MemberFacts, MemberState, NodeId, State};
use crate::raft::Standing;

/// What this node knows of its cluster, for people and their programs.
#[derive(Clone, Debug)]
pub struct MemberStatus {
    /// Whether this node reaches a majority of the voters and a leader. Without it, running streams go on, and new claims
    /// wait.
    pub quorum: bool,
    /// The members.
    pub nodes: Vec<NodeStatus>,
    /// The level that the cluster speaks.
    pub level: u32,
    /// How often this node was late itself.
    pub interruptions: u64,
    /// Where it stands in Raft.
    pub standing: Standing,
}

/// What this node knows of a member.
#[derive(Clone, Debug)]
pub struct NodeStatus {
    /// Which.
    pub id: NodeId,
    /// What it says of itself.
    pub facts: MemberFacts,
    /// Of its process.
    pub incarnation: u64,
    /// As agreed.
    pub state: MemberState,
    /// Observers do not see it well.
    pub suspect: bool,
    /// It votes.
    pub voter: bool,
    /// Paths that it owns.
    pub owned: usize,
    /// The way to it, and its clock.
    pub link: Option<LinkClock>,
}

impl<T: Transport> Member<T> {
    /// What this node knows of its cluster.
    pub fn status(&self) -> MemberStatus {
        let now = self.now();
        let standing = self.shared.consensus.standing();
        let state = self.shared.consensus.state().read();
        let inner = self.shared.inner.lock();
        let node = |(id, member): (NodeId, &crate::ownership::Member)| NodeStatus {
            id,
            facts: member.facts.clone(),
            incarnation: member.incarnation,
            state: member.state,
            suspect: inner.beats.verdict(id, member.incarnation, &standing.voters, now) != Sight::Lives,
            voter: standing.voters.contains(&id),
            owned: state.paths().owned_count(id),
            link: inner.beats.link(id),
        };
        MemberStatus {
            quorum: self.reaches_quorum(&standing, &state, &inner, now),
            nodes: state.members().iter().map(node).collect(),
            level: state.level(),
            interruptions: inner.beats.interruptions(),
            standing,
        }
    }

    /// Whether a majority of the voters was heard a moment ago, and somebody leads.
    pub(super) fn reaches_quorum(&self, standing: &Standing, state: &State, inner: &Inner, now: Now) -> bool {
        let heard = |id: &&NodeId| {
            let member = state.members().get(**id);
            **id == self.shared.id || member.is_some_and(|member| inner.beats.lives(**id, member.incarnation, now))
        };
        let reach = standing.voters.iter().filter(heard).count();
        standing.leader.is_some() && standing.stopped.is_none() && reach > standing.voters.len() / 2
    }
}
