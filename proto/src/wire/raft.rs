//! The messages of Raft, in terms of its paper (Ongaro, "Consensus: Bridging Theory and Practice", 2014). The library that
//! runs it has types of its own, which may change with its version; these do not.

use bincode::{Decode, Encode};

use super::entry::{Entry, NodeId};

/// The name of an entry in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LogId {
    /// The term of the leader that wrote it.
    pub term: u64,
    /// That leader.
    pub leader: NodeId,
    /// Its place.
    pub index: u64,
}

/// Whom a node follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Vote {
    /// Of which term.
    pub term: u64,
    /// For whom.
    pub node: NodeId,
    /// It has been elected.
    pub committed: bool,
}

/// Who votes, and who only listens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Membership {
    /// The sets of voters: one, or two while it changes from the first to the second.
    pub voters: Vec<Vec<NodeId>>,
    /// All members, voters included.
    pub members: Vec<NodeId>,
}

/// What stands at a place of the log.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Payload {
    /// A new leader's first word.
    Blank,
    /// Something that is agreed on.
    Entry(Entry),
    /// Who votes from here on.
    Membership(Membership),
}

/// A place of the log.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LogEntry {
    /// Its name.
    pub id: LogId,
    /// What stands there.
    pub payload: Payload,
}

/// AppendEntries: the leader's log goes on so. Without entries it is a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Append {
    /// The leader's.
    pub vote: Vote,
    /// The entry before the first of these.
    pub previous: Option<LogId>,
    /// The entries.
    pub entries: Vec<LogEntry>,
    /// What is committed, so far as the leader knows.
    pub committed: Option<LogId>,
}

/// The follower's answer to [`Append`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Appended {
    /// All of it is durable.
    All,
    /// It is durable up to here.
    Upto(Option<LogId>),
    /// The entry before the first is not in the follower's log.
    Conflict,
    /// The follower follows somebody else.
    HigherVote(Vote),
}

/// RequestVote, and the question before it whether one would be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct VoteRequest {
    /// The vote that is asked for.
    pub vote: Vote,
    /// The end of the candidate's log.
    pub last: Option<LogId>,
    /// The present leader asked the candidate to take over: its lease does not stand against this vote.
    pub leadership_transfer: bool,
}

/// The voter's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct VoteResponse {
    /// The voter's own vote.
    pub vote: Vote,
    /// Whether it was given.
    pub granted: bool,
    /// The end of the voter's log.
    pub last: Option<LogId>,
}

/// A part of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SnapshotPart {
    /// The leader's.
    pub vote: Vote,
    /// The last entry that is in it.
    pub last: Option<LogId>,
    /// Who votes at that entry, and which entry said so.
    pub membership: (Option<LogId>, Membership),
    /// Where the part belongs.
    pub offset: u64,
    /// The snapshot's length.
    pub total: u64,
    /// The part's bytes.
    pub bytes: Vec<u8>,
}

/// The leader asks a follower to take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Transfer {
    /// The leader's vote.
    pub from: Vote,
    /// Who is to lead.
    pub to: NodeId,
    /// What its log must hold.
    pub last: Option<LogId>,
}
