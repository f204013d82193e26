//! The way to the other nodes, if there are any.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::mpsc;
use weft_proto::wire::control::{Request, Response, Signal};
use weft_proto::wire::entry::NodeId;

use super::member::Member;
use crate::mesh::{CallError, Inquiry, Mesh, Nobody, PeerAddress, Transport};

/// The transport of a node: a mesh, or nobody where it is alone.
#[derive(Clone, Debug)]
pub enum Link {
    /// The node is alone.
    Alone,
    /// It has a mesh.
    Mesh(Mesh),
}

impl Link {
    /// The questions of other nodes; none come to a node that is alone.
    pub(super) fn inquiries(&self) -> mpsc::Receiver<Inquiry> {
        match self {
            Self::Alone => mpsc::channel(1).1,
            Self::Mesh(mesh) => mesh.inquiries(),
        }
    }
}

impl Member<Link> {
    /// Tells the others that this process ends, and closes the connections to them.
    pub async fn leave(&self) {
        if let Link::Mesh(mesh) = self.transport() {
            mesh.leave().await;
        }
    }
}

impl Transport for Link {
    async fn call(&self, to: NodeId, request: Request, within: Duration) -> Result<Response, CallError> {
        match self {
            Self::Alone => Nobody.call(to, request, within).await,
            Self::Mesh(mesh) => mesh.call(to, request, within).await,
        }
    }

    fn signal(&self, to: NodeId, signal: Signal) {
        if let Self::Mesh(mesh) = self {
            mesh.signal(to, signal);
        }
    }

    fn set_peers(&self, peers: BTreeMap<NodeId, PeerAddress>) {
        if let Self::Mesh(mesh) = self {
            mesh.set_peers(peers);
        }
    }

    fn set_removed(&self, removed: BTreeSet<NodeId>) {
        if let Self::Mesh(mesh) = self {
            mesh.set_removed(removed);
        }
    }

    fn round_trips(&self) -> BTreeMap<NodeId, Duration> {
        match self {
            Self::Alone => BTreeMap::new(),
            Self::Mesh(mesh) => mesh.round_trips(),
        }
    }

    fn set_incarnation(&self, incarnation: u64) {
        if let Self::Mesh(mesh) = self {
            mesh.set_incarnation(incarnation);
        }
    }
}
