//! Why a path takes no publisher or reader.

use crate::ownership::ClaimError;

/// Why a publisher is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The path's configuration keeps the present publisher.
    #[error("someone is already publishing to this path, and overridePublisher is off")]
    AlreadyPublished,
    /// Another node has a publisher for it, and the path's configuration keeps that one.
    #[error("someone is already publishing to this path on another node, and overridePublisher is off")]
    PublishedElsewhere,
    /// It is to stand by, and nobody knows where decoding of this codec can begin.
    #[error("a publisher of {0} cannot stand by: it is not known where decoding of it can begin")]
    NoRandomAccess(&'static str),
    /// The nodes that have to agree cannot be reached.
    #[error("the cluster has no quorum: new publishers have to wait")]
    NoQuorum,
    /// No configuration entry allows the path, or there are too many paths.
    #[error("the path is not configured")]
    NotConfigured,
    /// A node pulls the path's stream.
    #[error("the path has a `source`: nobody can publish to it")]
    Pulled,
    /// The node takes no new sessions.
    #[error("the node is being drained")]
    Draining,
    /// The cluster gives the node no paths.
    #[error("the node takes no publishers: it is a witness, is being drained, was removed, or has lost its disk")]
    NotServing,
    /// The fabric cannot answer.
    #[error("the node cannot take publishers right now")]
    Unavailable,
}

/// Why a reader is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// Nobody publishes to the path.
    #[error("no one is publishing to this path")]
    NoStream,
    /// The path has all the readers it may have.
    #[error("the path has reached its maximum number of readers")]
    TooManyReaders,
    /// No configuration entry allows the path, or there are too many paths.
    #[error("the path is not configured")]
    NotConfigured,
    /// The node takes no new sessions.
    #[error("the node is being drained")]
    Draining,
    /// The fabric cannot answer.
    #[error("the node cannot take readers right now")]
    Unavailable,
}

impl From<ClaimError> for PublishError {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Owned(_) => Self::PublishedElsewhere,
            ClaimError::NoQuorum => Self::NoQuorum,
            ClaimError::NotServing => Self::NotServing,
            ClaimError::TooMany => Self::NotConfigured,
        }
    }
}
