//! What the parts above need of the connections between nodes. Behind it stand QUIC in a cluster, nothing in a node that is
//! alone, and queues in a simulation.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use tokio::sync::oneshot;
use weft_proto::wire::control::{Request, Response, Signal};
use weft_proto::wire::entry::NodeId;

/// Sends to the other nodes.
pub trait Transport: Clone + Send + Sync + 'static {
    /// Sends a request and waits for the answer, at most so long.
    fn call(
        &self,
        to: NodeId,
        request: Request,
        within: Duration,
    ) -> impl Future<Output = Result<Response, CallError>> + Send;

    /// Sends a signal: it may be lost, and this never waits.
    fn signal(&self, to: NodeId, signal: Signal);

    /// Who there is and where, instead of what was said before. Connections to these are kept up, those to others closed.
    fn set_peers(&self, peers: BTreeMap<NodeId, PeerAddress>);

    /// Who was removed from the cluster: they are told so when they come.
    fn set_removed(&self, _: BTreeSet<NodeId>) {}

    /// There and back to each node to which there is a connection, as far as that is measured here.
    fn round_trips(&self) -> BTreeMap<NodeId, Duration> {
        BTreeMap::new()
    }

    /// The node goes on as another incarnation.
    fn set_incarnation(&self, _: u64) {}
}

/// Where a node is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// `host:port` of its control endpoint.
    pub address: String,
    /// A process of it that is known to have existed: older ones are not talked to.
    pub incarnation: u64,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// There is no connection: the request was not sent.
    #[error("the node cannot be reached")]
    Unreachable,
    /// It may have been sent, and nobody knows what came of it.
    #[error("the node did not answer in time")]
    TimedOut,
    /// The answer was no answer.
    #[error("the node answered with something else")]
    BadAnswer,
}

/// What comes in from other nodes.
#[derive(Debug)]
pub enum Incoming {
    /// A request.
    Call {
        /// Whose.
        from: NodeId,
        /// What is asked.
        request: Request,
        /// Where the answer goes.
        reply: oneshot::Sender<Response>,
    },
    /// A signal.
    Signal {
        /// Whose.
        from: NodeId,
        /// What is told.
        signal: Signal,
    },
    /// The lifeline of a process broke without a goodbye.
    Cut {
        /// Whose.
        node: NodeId,
        /// Which of its processes.
        incarnation: u64,
    },
}

/// The transport of a node that is alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody;

impl Transport for Nobody {
    async fn call(&self, _: NodeId, _: Request, _: Duration) -> Result<Response, CallError> {
        Err(CallError::Unreachable)
    }

    fn signal(&self, _: NodeId, _: Signal) {}

    fn set_peers(&self, _: BTreeMap<NodeId, PeerAddress>) {}
}
