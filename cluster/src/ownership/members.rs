//! Who belongs to the cluster.

use std::collections::{BTreeMap, BTreeSet};

use bincode::{Decode, Encode};
use weft_proto::wire::entry::{Answer, MemberFacts, NodeId, Refusal};

use crate::limits::MEMBERS_MAX;

/// How a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum MemberState {
    /// Not started since it joined.
    Joined,
    /// Serving.
    Up,
    /// Serving, but taking no new publishers.
    Draining,
    /// Not seen by a majority.
    Down,
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Member {
    /// What it says of itself.
    pub facts: MemberFacts,
    /// Counts its starts; 0 before the first.
    pub incarnation: u64,
    /// How it is.
    pub state: MemberState,
}

/// All nodes of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Members {
    members: BTreeMap<NodeId, Member>,
    /// Ids of nodes that were removed: they never come back.
    removed: BTreeSet<NodeId>,
}

impl Member {
    /// Whether it may own paths that it does not own yet.
    pub fn is_serving(&self) -> bool {
        self.state == MemberState::Up && !self.facts.witness
    }
}

impl Members {
    /// Whether a node may own paths that it does not own yet.
    pub fn is_serving(&self, node: NodeId) -> bool {
        self.get(node).is_some_and(Member::is_serving)
    }

    /// A member.
    pub fn get(&self, node: NodeId) -> Option<&Member> {
        self.members.get(&node)
    }

    /// All, by id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (NodeId, &Member)> + Clone {
        self.members.iter().map(|(id, member)| (*id, member))
    }

    /// Whether a node belonged to the cluster and does not any more.
    pub fn was_removed(&self, node: NodeId) -> bool {
        self.removed.contains(&node)
    }

    /// All of those.
    pub const fn removed(&self) -> &BTreeSet<NodeId> {
        &self.removed
    }

    /// The highest level that every member knows.
    pub fn common_level(&self) -> Option<u32> {
        self.members.values().map(|member| member.facts.level).min()
    }

    pub(super) fn join(&mut self, node: NodeId, facts: &MemberFacts) -> Answer {
        if self.members.contains_key(&node) || self.removed.contains(&node) {
            return Answer::Refused(Refusal::IdUsed);
        }
        if self.members.len() >= MEMBERS_MAX {
            return Answer::Refused(Refusal::TooMany);
        }
        let member = Member { facts: facts.clone(), incarnation: 0, state: MemberState::Joined };
        self.members.insert(node, member);
        Answer::Done
    }

    pub(super) fn remove(&mut self, node: NodeId) -> Answer {
        if self.members.remove(&node).is_none() {
            return Answer::Refused(Refusal::NotAMember);
        }
        self.removed.insert(node);
        Answer::Done
    }

    // Joined | Up | Draining | Down => Up
    pub(super) fn up(&mut self, node: NodeId, incarnation: u64, facts: &MemberFacts) -> Answer {
        let Some(member) = self.members.get_mut(&node) else { return Answer::Refused(Refusal::NotAMember) };
        if incarnation <= member.incarnation {
            return Answer::Refused(Refusal::OtherIncarnation);
        }
        *member = Member { facts: facts.clone(), incarnation, state: MemberState::Up };
        Answer::Done
    }

    // Up | Draining => Down
    pub(super) fn down(&mut self, node: NodeId, incarnation: u64) -> Answer {
        let broken = crate::sabotage::NO_INCARNATION_CHECK.is_on().then(|| self.get(node)).flatten();
        let incarnation = broken.map_or(incarnation, |member| member.incarnation);
        match self.started(node, incarnation) {
            Ok(member) => {
                member.state = MemberState::Down;
                Answer::Done
            }
            Err(refusal) => Answer::Refused(refusal),
        }
    }

    // Up <=> Draining
    pub(super) fn drain(&mut self, node: NodeId, incarnation: u64, drained: bool) -> Answer {
        match self.started(node, incarnation) {
            Ok(member) => {
                member.state = if drained { MemberState::Draining } else { MemberState::Up };
                Answer::Done
            }
            Err(refusal) => Answer::Refused(refusal),
        }
    }

    /// Whether this process of the node may own what it does not own yet.
    pub(super) fn check_serving(&self, node: NodeId, incarnation: u64) -> Result<(), Refusal> {
        let member = self.members.get(&node).ok_or(Refusal::NotAMember)?;
        if member.incarnation != incarnation {
            return Err(Refusal::OtherIncarnation);
        }
        if member.is_serving() { Ok(()) } else { Err(Refusal::NotServing) }
    }

    fn started(&mut self, node: NodeId, incarnation: u64) -> Result<&mut Member, Refusal> {
        let member = self.members.get_mut(&node).ok_or(Refusal::NotAMember)?;
        if member.incarnation != incarnation {
            return Err(Refusal::OtherIncarnation);
        }
        match member.state {
            MemberState::Up | MemberState::Draining => Ok(member),
            MemberState::Joined | MemberState::Down => Err(Refusal::NotServing),
        }
    }
}
