//! The library's types as we use them, and the way between them and the wire.

use std::collections::{BTreeMap, BTreeSet};

use openraft::impls::EmptyNode;
use openraft::impls::leader_id_adv::LeaderId;
use openraft::vote::RaftLeaderId;
use weft_proto::wire::entry::{Answer, Entry, NodeId};
use weft_proto::wire::raft as wire;

use super::runtime::ControlRuntime;

openraft::declare_raft_types!(
    /// What this Raft is made of.
    pub(crate) Types:
        D = Entry,
        R = Answer,
        NodeId = NodeId,
        Node = EmptyNode,
        AsyncRuntime = ControlRuntime,
);

pub(crate) type LogId = openraft::type_config::alias::LogIdOf<Types>;
pub(crate) type Vote = openraft::type_config::alias::VoteOf<Types>;
pub(crate) type LogEntry = openraft::type_config::alias::EntryOf<Types>;
pub(crate) type StoredMembership = openraft::type_config::alias::StoredMembershipOf<Types>;
pub(crate) type Membership = openraft::Membership<NodeId, EmptyNode>;
pub(crate) type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<Types>;
pub(crate) type Snapshot = openraft::type_config::alias::SnapshotOf<Types, Vec<u8>>;
pub(crate) type Payload = openraft::EntryPayload<Entry, NodeId, EmptyNode>;

pub(crate) fn log_id(id: wire::LogId) -> LogId {
    LogId { leader_id: LeaderId::new(id.term, id.leader).to_committed(), index: id.index }
}

pub(crate) fn log_id_to_wire(id: LogId) -> wire::LogId {
    wire::LogId { term: id.leader_id.term, leader: id.leader_id.node_id, index: id.index }
}

pub(crate) fn vote(vote: wire::Vote) -> Vote {
    Vote { leader_id: LeaderId::new(vote.term, vote.node), committed: vote.committed }
}

pub(crate) fn vote_to_wire(vote: &Vote) -> wire::Vote {
    wire::Vote { term: vote.leader_id.term, node: vote.leader_id.node_id, committed: vote.committed }
}

/// `None` where the library refuses it: nobody votes, or a voter is no member.
pub(crate) fn membership(membership: wire::Membership) -> Option<Membership> {
    let voters: Vec<BTreeSet<NodeId>> =
        membership.voters.into_iter().map(|voters| voters.into_iter().collect()).collect();
    let members: BTreeMap<NodeId, EmptyNode> =
        membership.members.into_iter().map(|node| (node, EmptyNode::new())).collect();
    if voters.is_empty() && members.is_empty() {
        return Some(Membership::default());
    }
    Membership::new(voters, members).ok()
}

pub(crate) fn membership_to_wire(membership: &Membership) -> wire::Membership {
    wire::Membership {
        voters: membership.get_joint_config().iter().map(|voters| voters.iter().copied().collect()).collect(),
        members: membership.nodes().map(|(node, _)| *node).collect(),
    }
}

pub(crate) fn entry(entry: wire::LogEntry) -> Option<LogEntry> {
    let payload = match entry.payload {
        wire::Payload::Blank => Payload::Blank,
        wire::Payload::Entry(entry) => Payload::Normal(entry),
        wire::Payload::Membership(members) => Payload::Membership(membership(members)?),
    };
    Some(LogEntry { log_id: log_id(entry.id), payload })
}

pub(crate) fn entry_to_wire(entry: LogEntry) -> wire::LogEntry {
    let payload = match entry.payload {
        Payload::Blank => wire::Payload::Blank,
        Payload::Normal(entry) => wire::Payload::Entry(entry),
        Payload::Membership(members) => wire::Payload::Membership(membership_to_wire(&members)),
    };
    wire::LogEntry { id: log_id_to_wire(entry.log_id), payload }
}

pub(crate) fn stored_membership(id: Option<wire::LogId>, members: wire::Membership) -> Option<StoredMembership> {
    Some(StoredMembership::new(id.map(log_id), membership(members)?))
}
