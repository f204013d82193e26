//! What a node says that wants to join, before it has a certificate, and what it is told.

use bincode::{Decode, Encode};

use super::entry::{MemberFacts, NodeId};
use super::hello::ClusterId;
use super::messages;

messages! {
    /// From the node that wants to join: one message, and no other.
    JoinAsk {
        /// Let me in.
        1 => Join(JoinRequest),
    }
}

messages! {
    /// To it.
    JoinAnswer {
        /// You are in.
        1 => Joined(Joined),
        /// You are not.
        2 => Refused(JoinRefusal),
    }
}

/// A wish to join.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct JoinRequest {
    /// The secret of its token.
    pub secret: [u8; 32],
    /// The id that it has drawn for itself.
    pub node: NodeId,
    /// A request for a certificate (PKCS #10, DER).
    pub csr: Vec<u8>,
    /// What it says of itself.
    pub facts: MemberFacts,
}

impl core::fmt::Debug for JoinRequest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "JoinRequest {{ node: {}, facts: {:?}, .. }}", self.node, self.facts)
    }
}

/// All that a new member needs.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Joined {
    /// Which cluster it is in.
    pub cluster: ClusterId,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// The authority's certificate, DER: the one that its token pins.
    pub authority: Vec<u8>,
    /// The members and where they are.
    pub members: Vec<(NodeId, String)>,
}

/// Why a node is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Encode, Decode)]
#[non_exhaustive]
pub enum JoinRefusal {
    /// No such token, or it has been used, or its time is over.
    #[error("the token is not valid: it is used, expired or of another cluster")]
    BadToken,
    /// The request for a certificate is none.
    #[error("the certificate request cannot be read")]
    BadRequest,
    /// The id has been used.
    #[error("the node's id has been used before")]
    IdUsed,
    /// As many members as there may be are there.
    #[error("the cluster has as many members as it may have")]
    TooMany,
    /// The cluster speaks a level that the node does not know.
    #[error("the cluster speaks a level that this program does not know: it needs a newer one")]
    Level,
    /// The cluster cannot decide now: it has no leader, or too much to do. Worth another try.
    #[error("the cluster cannot decide at the moment")]
    NotNow,
}
