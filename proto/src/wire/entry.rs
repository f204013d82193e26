//! The entries of the log, and what comes of them.
//!
//! A variant that has been released is never edited: what must change is a new variant at the end, proposed only when
//! every member knows it ([`Entry::RaiseLevel`]). What an entry does is decided where the state is kept.

use core::fmt;

use bincode::{Decode, Encode};

use crate::id::{Epoch, PathName};

/// Names a node for ever: drawn when it joins, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct NodeId(pub u64);

impl From<u64> for NodeId {
    fn from(id: u64) -> Self {
        Self(id)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Names one wish of one process to own a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct ClaimId {
    /// Whose.
    pub node: NodeId,
    /// Of which of its processes.
    pub incarnation: u64,
    /// Counts the claims of the process. Claims made for it by a planner count from [`ClaimId::PLANNED`].
    pub number: u64,
}

impl ClaimId {
    /// The first number of claims that somebody else makes for a node: they never meet the node's own.
    pub const PLANNED: u64 = 1 << 63;
}

/// What a node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct MemberFacts {
    /// A label for people; need not be unique.
    pub name: String,
    /// What other nodes dial.
    pub address: String,
    /// What clients are told.
    pub public_host: String,
    /// Rack, site or region.
    pub zone: String,
    /// Of its program, for people.
    pub version: String,
    /// The highest level that it knows.
    pub level: u32,
    /// Votes and carries no media.
    pub witness: bool,
}

/// What feeds a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Kind {
    /// A client that publishes: only it can come back.
    Pushed,
    /// A source that any node can pull.
    Pulled,
}

/// The SHA-256 of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct TokenHash(pub [u8; 32]);

/// A token that is shown, by whom and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Invitation {
    /// Of the token.
    pub hash: TokenHash,
    /// The SHA-256 of the request for a certificate that came with it: whoever has lost the answer asks again with the same,
    /// and is not taken for somebody else with the same token.
    pub request: [u8; 32],
    /// By the proposer's clock, microseconds since 1970.
    pub now_micros: i64,
}

/// Something that is agreed on.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Entry {
    /// Epochs are above this from now on. Proposed at formation, restore and forced recovery with at least the present in
    /// microseconds since 1970, so that no epoch is ever given twice although the log begins anew.
    RaiseBase {
        /// The least that an epoch may be.
        base: u64,
    },
    /// The cluster speaks this level from now on.
    RaiseLevel {
        /// One that every member knows.
        level: u32,
    },
    /// A node belongs to the cluster.
    Join {
        /// Drawn by the node, never used before.
        node: NodeId,
        /// What it says of itself.
        facts: MemberFacts,
        /// What lets it in; none for the nodes of a formation.
        token: Option<Invitation>,
    },
    /// A node does not belong to the cluster any more.
    Remove {
        /// Which.
        node: NodeId,
    },
    /// A process of a member has started: all that its earlier ones owned is released.
    NodeUp {
        /// Which.
        node: NodeId,
        /// Counts its starts.
        incarnation: u64,
        /// What it says of itself now.
        facts: MemberFacts,
    },
    /// A majority has seen nothing of a member for too long. Void if it has started again meanwhile.
    NodeDown {
        /// Which.
        node: NodeId,
        /// The process that was not seen.
        incarnation: u64,
        /// Where its paths go. Part of the entry, so that it holds even when the proposer dies with it.
        plan: Vec<Move>,
    },
    /// A member takes no new publishers, or does again.
    Drain {
        /// Which.
        node: NodeId,
        /// In which incarnation.
        incarnation: u64,
        /// Whether it is drained from now on.
        drained: bool,
    },
    /// A node wants to own a path, for a publisher that it has.
    Claim {
        /// The same however often it is proposed.
        id: ClaimId,
        /// Which path.
        path: PathName,
        /// What feeds it.
        kind: Kind,
        /// By the claimant's clock, microseconds since 1970: the path's birth, if it is new.
        now_micros: i64,
        /// Take it from another owner, if it has one.
        take_over: bool,
    },
    /// An owner lets a path go.
    Release {
        /// Which path.
        path: PathName,
        /// Under which epoch it was owned.
        epoch: Epoch,
    },
    /// Nobody publishes or reads the path any more: its birth may be forgotten.
    Forget {
        /// Which path.
        path: PathName,
        /// The last epoch under which it was owned.
        epoch: Epoch,
    },
    /// A node has a publisher that waits for its turn.
    AddStandby {
        /// The standby's own claim: it is this one that is granted when its turn comes.
        id: ClaimId,
        /// For which path.
        path: PathName,
        /// The lower the sooner.
        rank: u8,
    },
    /// A standby has left.
    RemoveStandby {
        /// Its claim.
        id: ClaimId,
        /// Of which path.
        path: PathName,
    },
    /// A standby takes over from an owner that is suspected to be gone. Changes nothing when the owner has changed.
    Promote {
        /// Which path.
        path: PathName,
        /// The epoch that is taken over.
        epoch: Epoch,
        /// The standby's claim.
        id: ClaimId,
    },
    /// A token lets one node in.
    AddToken {
        /// Of the token, which nobody keeps.
        hash: TokenHash,
        /// Until when, microseconds since 1970.
        expires_micros: i64,
    },
    /// The configuration that all share.
    Configure {
        /// The revision that the author saw; 0 for the first.
        expected: u64,
        /// The whole of it. What it says is nothing to the cluster.
        document: String,
    },
    /// A key for what any node signs for clients and any other has to check. The first one stays.
    Seal {
        /// Random.
        key: SealKey,
    },
    /// Changes nothing. Stands for what the next release will bring, in tests of rolling upgrades.
    #[cfg(feature = "next-level")]
    Rehearse {
        /// Of the leader that proposed it.
        term: u64,
    },
}

/// A secret that all nodes share. It signs; it does not let anybody into the cluster.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct SealKey(pub [u8; 32]);

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(<redacted>)")
    }
}

/// A path of a dead node and the node that goes on with it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Move {
    /// Which path.
    pub path: PathName,
    /// The epoch that the planner saw. Another one: the path stays without owner.
    pub epoch: Epoch,
    /// Who takes it.
    pub to: NodeId,
    /// The claim under which it does: a standby's, or one that the planner made for a source that is to be pulled.
    pub claim: ClaimId,
}

/// What came of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Answer {
    /// It was done.
    Done,
    /// The path is owned under this epoch.
    Owned(Epoch),
    /// The configuration has this revision.
    Revision(u64),
    /// It changed nothing.
    Refused(Refusal),
}

/// Why an entry changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Encode, Decode)]
#[non_exhaustive]
pub enum Refusal {
    /// No such member.
    #[error("the node is no member of the cluster")]
    NotAMember,
    /// The id has been used.
    #[error("the node's id has been used before")]
    IdUsed,
    /// The member has started again since, or its process is not the one that is meant.
    #[error("the node has another incarnation")]
    OtherIncarnation,
    /// The member is down or drained.
    #[error("the node takes no publishers")]
    NotServing,
    /// Somebody else owns the path.
    #[error("another node owns the path")]
    Owned(NodeId),
    /// The path's ownership has moved on, or there is none.
    #[error("the path has another epoch")]
    OtherEpoch,
    /// The claim is so old that nobody knows what became of it.
    #[error("the claim has expired")]
    Expired,
    /// As many as there may be are there.
    #[error("there are too many")]
    TooMany,
    /// No such token, or it has been used, or its time is over.
    #[error("the token is not valid")]
    BadToken,
    /// A member does not know that level, or it is not above the present one.
    #[error("the level cannot be raised to that")]
    BadLevel,
    /// Somebody has changed the configuration meanwhile: it has this revision.
    #[error("the configuration has revision {0}")]
    OtherRevision(u64),
    /// An older process of the node is still heard: the newer one is a second one, or has started just now.
    #[error("an older process of the node is still heard")]
    OlderLives,
    /// The node's program does not know the level that the cluster speaks.
    #[error("the cluster speaks a level that the node's program does not know: it needs a newer one")]
    TooOld,
}

/// For log lines: what it is and what it is about.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RaiseBase { base } => write!(f, "base {base}"),
            Self::RaiseLevel { level } => write!(f, "level {level}"),
            Self::Join { node, .. } => write!(f, "{node} joins"),
            Self::Remove { node } => write!(f, "{node} is removed"),
            Self::NodeUp { node, incarnation, .. } => write!(f, "{node}.{incarnation} is up"),
            Self::NodeDown { node, incarnation, .. } => write!(f, "{node}.{incarnation} is down"),
            Self::Drain { node, drained: true, .. } => write!(f, "{node} is drained"),
            Self::Drain { node, drained: false, .. } => write!(f, "{node} serves again"),
            Self::Claim { id, path, .. } => write!(f, "{id} claims {path}"),
            Self::Release { path, epoch: Epoch(epoch) } => write!(f, "{path} is released under {epoch}"),
            Self::Forget { path, .. } => write!(f, "{path} is forgotten"),
            Self::AddStandby { id, path, .. } => write!(f, "{id} waits for {path}"),
            Self::RemoveStandby { id, path } => write!(f, "{id} does not wait for {path}"),
            Self::Promote { path, id, .. } => write!(f, "{id} takes {path} over"),
            Self::AddToken { .. } => f.write_str("a token"),
            Self::Configure { expected, .. } => write!(f, "a configuration after {expected}"),
            Self::Seal { .. } => f.write_str("a key for what clients show"),
            #[cfg(feature = "next-level")]
            Self::Rehearse { term } => write!(f, "a rehearsal in term {term}"),
        }
    }
}

impl fmt::Display for ClaimId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.node, self.incarnation, self.number)
    }
}

/// For log lines.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Owned(Epoch(epoch)) => write!(f, "owned under {epoch}"),
            Self::Revision(revision) => write!(f, "revision {revision}"),
            Self::Refused(refusal) => write!(f, "refused: {refusal}"),
        }
    }
}
