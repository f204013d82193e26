//! What goes over the control connection of two nodes: requests with their answers, and signals, which may be lost.

use bincode::{Decode, Encode};

use super::entry::{Answer, Entry, NodeId};
use super::messages;
use super::raft::{Append, Appended, SnapshotPart, Transfer, Vote, VoteRequest, VoteResponse};
use super::relay::Reached;
use crate::id::PathName;

messages! {
    /// Something that one node asks of another.
    Request {
        /// Raft's AppendEntries.
        1 => Append(Append),
        /// Raft's RequestVote.
        2 => Vote(VoteRequest),
        /// Would you vote so?
        3 => PreVote(VoteRequest),
        /// A part of a snapshot; the next one is sent when this one is answered.
        4 => Snapshot(SnapshotPart),
        /// Take over as leader.
        5 => Transfer(Transfer),
        /// Put this into the log.
        16 => Propose(Entry),
        /// Up to which entry must I have read to know all that is agreed now?
        17 => ReadIndex(()),
        /// I vote: give me the authority's key, so that I can let others in.
        18 => AuthorityKey(()),
        /// My certificate runs out: sign this request for another one (PKCS #10, DER).
        19 => Certificate(Vec<u8>),
        /// I have become the owner of this path: how far has it come where you are?
        24 => Reached(PathName),
        /// What do you have? Asked by those above, in words that only they know.
        25 => Inquire(Vec<u8>),
    }
}

messages! {
    /// The answer to a [`Request`].
    Response {
        /// To `Append`.
        1 => Appended(Appended),
        /// To `Vote` and `PreVote`.
        2 => Voted(VoteResponse),
        /// To `Snapshot`: the follower's vote, when the part was taken.
        4 => SnapshotTaken(Vote),
        /// To `Transfer`.
        5 => Transferred(bool),
        /// To `Propose`.
        16 => Proposed(Proposed),
        /// To `ReadIndex`.
        17 => ReadIndex(ReadIndex),
        /// To `AuthorityKey`, as PEM.
        18 => AuthorityKey(String),
        /// To `Certificate`, as DER.
        19 => Certificate(Vec<u8>),
        /// To `Reached`; nothing where the path is not known.
        24 => Reached(Option<Reached>),
        /// To `Inquire`, in words of those above.
        25 => Inquired(Vec<u8>),
        /// The node cannot answer: it is shutting down, or has lost its disk.
        32 => Unable(()),
        /// The node does not know this kind of request.
        33 => Unsupported(()),
        /// The node has too many requests to take another one.
        34 => Busy(()),
    }
}

messages! {
    /// Something that one node tells another, in a datagram.
    Signal {
        /// I live.
        1 => Heartbeat(Heartbeat),
        /// I leave in an orderly way.
        2 => Goodbye(Goodbye),
    }
}

/// What came of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Proposed {
    /// It is in the log at this index, and this came of it.
    Done {
        /// Its place.
        index: u64,
        /// What came of it.
        answer: Answer,
    },
    /// Another node leads, or nobody.
    NotLeader(Option<NodeId>),
}

/// The answer to a question for the read index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ReadIndex {
    /// All that was agreed before the question is at or below this.
    At(Option<u64>),
    /// Another node leads, or nobody.
    NotLeader(Option<NodeId>),
    /// The leader could not make sure that it still leads.
    Unsure,
}

/// A sign of life.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Heartbeat {
    /// Of which process of the sender.
    pub incarnation: u64,
    /// Counts the sender's heartbeats.
    pub number: u64,
    /// When it was sent, by the sender's wall clock, microseconds since 1970.
    pub wall_micros: i64,
    /// The number of the receiver's last heartbeat that the sender has seen, when that was sent by the receiver's clock, and
    /// how long ago it came, in microseconds: so the receiver learns round trip and clock offset.
    pub echo: Option<Echo>,
    /// What the sender thinks of others that are not well. Whom it does not name it sees alive.
    pub sights: Vec<Sighting>,
}

/// A heartbeat of the receiver that the sender has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Echo {
    /// Its number.
    pub number: u64,
    /// When it was sent, by the receiver's wall clock.
    pub wall_micros: i64,
    /// How long the sender has had it.
    pub held_micros: u64,
}

/// What an observer thinks of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Sighting {
    /// About whom.
    pub node: NodeId,
    /// About which of its processes.
    pub incarnation: u64,
    /// It is down, not only suspect.
    pub down: bool,
}

/// An orderly end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Goodbye {
    /// Of which process.
    pub incarnation: u64,
}
