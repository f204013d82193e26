//! How a node comes to its seat in a cluster, at its first start and at every other.
//!
//! - A node that is **alone** is a cluster of one without a mesh.
//! - One that was in a cluster comes back with the certificate that it has.
//! - One with a **token** asks the nodes that the token names to be let in.
//! - Nodes with a **secret** find each other: whoever finds a cluster joins it, and when all are there and none is in one,
//!   the one with the lowest id founds it, with all of them as its voters (up to five, an odd number): nothing is agreed
//!   before a majority of them is there, and from then on any minority may die. A node that has data never founds again, and
//!   clusters never merge.
//! - One that has none of these founds a cluster for others to join.

mod doorkeeper;
mod files;
mod formation;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tracing::info;
use weft_proto::time::WallClock;
use weft_proto::wire::LEVELS;
use weft_proto::wire::entry::NodeId;
use weft_proto::wire::hello::ClusterId;
use weft_proto::wire::token::Token;

use self::files::Papers;
use super::config::Incarnations;
use super::link::Link;
use super::thread::Joining;
use crate::clock::Clock;
use crate::identity::{Current, IdentityError};
use crate::mesh::faults::Faults;
use crate::mesh::{Incoming, JoinError, Mesh, MeshConfig, PeerAddress, Transport};
use crate::ownership::MemberFacts;
use crate::raft::StartError;
use crate::storage::{NodeState, Storage};

/// How a node is to come into a cluster, if it is in none.
#[derive(Clone, Debug)]
pub enum Way {
    /// It stays alone.
    Alone,
    /// It founds one.
    Found,
    /// It finds the others by a secret that all have.
    Bootstrap {
        /// So many nodes form the cluster.
        expect: usize,
        /// Where they are, `host:port`; itself may be among them.
        peers: Vec<String>,
        /// At least 16 bytes that nobody can guess.
        secret: Vec<u8>,
    },
    /// It was invited.
    Token(Token),
}

/// What a node needs to know of itself to take its seat.
#[derive(Clone, Debug)]
pub struct SeatConfig {
    /// How it comes in.
    pub way: Way,
    /// Where its mesh listens.
    pub bind: SocketAddr,
    /// Where its papers are.
    pub folder: PathBuf,
    /// What puts them there.
    pub storage: Option<Storage>,
    /// Who it is.
    pub state: NodeState,
    /// Of its program, for people.
    pub version: String,
    /// The faults that are injected between it and others; none where that is not enabled.
    pub faults: Option<Faults>,
}

/// Why a node has no seat.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeatError {
    /// The cluster does not let it in.
    #[error("cannot join the cluster: {0}")]
    Join(#[from] JoinError),
    /// Keys and certificates are not in order.
    #[error("cannot prove who this node is: {0}")]
    Identity(#[from] IdentityError),
    /// The disk or the network.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Raft does not start.
    #[error("{0}")]
    Start(#[from] StartError),
    /// Clusters never merge.
    #[error("this node has a state of its own and cannot join another cluster with it: give it a new data folder")]
    HasData,
    /// A cluster needs a disk.
    #[error("a node of a cluster must be able to write its data folder")]
    NoDisk,
}

/// A node's seat.
pub(super) struct Seat {
    pub(super) link: Link,
    pub(super) joining: Joining,
    pub(super) incoming: mpsc::Receiver<Incoming>,
    /// What is to run beside the member, if there is a mesh.
    pub(super) door: Option<Door>,
    /// Where the others were when the cluster was formed, or when the node joined.
    pub(super) members: Vec<(NodeId, String)>,
}

/// What the doorkeeper needs.
pub(super) struct Door {
    pub(super) mesh: Mesh,
    pub(super) output: crate::mesh::MeshOutput,
    pub(super) papers: Papers,
    /// The hash that bootstrapping nodes come with, where there is a secret.
    pub(super) welcome: Option<weft_proto::wire::entry::TokenHash>,
    pub(super) to_member: mpsc::Sender<Incoming>,
}

impl SeatConfig {
    /// Takes the seat. On the cluster thread. It may take as long as it takes for others to come.
    /// `is_new`: its disk holds nothing that was agreed.
    pub(super) async fn take(self, facts: &MemberFacts, clock: Clock, is_new: bool) -> Result<Seat, SeatError> {
        let founding = Joining::Found(self.state.epoch_base);
        if matches!(self.way, Way::Alone) && self.state.cluster.is_none() {
            let (_, incoming) = mpsc::channel(1);
            return Ok(Seat { link: Link::Alone, joining: founding, incoming, door: None, members: Vec::new() });
        }
        let storage = self.storage.clone().ok_or(SeatError::NoDisk)?;
        let welcome = formation::welcome(&self.way);
        if let Some(cluster) = self.state.cluster {
            let papers = Papers::read(&self.folder, storage, clock.wall()).await?;
            let joining = if self.state.founder { founding } else { Joining::LetIn };
            let (mesh, output) = self.start_mesh(&papers.current, cluster)?;
            let members = files::members(&self.folder);
            greet(&mesh, members.clone());
            return Ok(seat(mesh, output, papers, welcome, joining).among(members));
        }
        match &self.way {
            Way::Alone | Way::Found => self.found(storage, clock.wall()).await,
            // Clusters never merge: a node that was alone, or was restored, is one already, and others may join it.
            Way::Bootstrap { secret, .. } if !is_new => self.open_up(secret, storage, clock.wall()).await,
            Way::Token(_) if !is_new => Err(SeatError::HasData),
            Way::Token(token) => self.join(token, facts, storage).await,
            Way::Bootstrap { expect, peers, secret } => {
                self.form(*expect, peers, secret, facts, storage, clock.wall()).await
            }
        }
    }

    fn start_mesh(&self, current: &Current, cluster: ClusterId) -> io::Result<(Mesh, crate::mesh::MeshOutput)> {
        Mesh::start(MeshConfig {
            bind: self.bind,
            identity: current.clone(),
            cluster,
            incarnation: self.state.incarnation,
            levels: LEVELS,
            version: self.version.clone(),
            faults: self.faults.clone(),
        })
    }

    /// Which cluster the node is in is written last: without it its papers count for nothing.
    async fn settle(&self, storage: &Storage, cluster: ClusterId, founder: bool) -> io::Result<()> {
        let state = NodeState { cluster: Some(cluster), founder, ..self.state.clone() };
        storage.remember(&state).await
    }

    async fn found(&self, storage: Storage, now: WallClock) -> Result<Seat, SeatError> {
        let papers = Papers::draw(self.state.id, storage.clone(), now).await?;
        let cluster = ClusterId(rand::random());
        self.settle(&storage, cluster, true).await?;
        info!("this node founds a cluster");
        let (mesh, output) = self.start_mesh(&papers.current, cluster)?;
        Ok(seat(mesh, output, papers, None, Joining::Found(self.state.epoch_base)))
    }

    async fn join(&self, token: &Token, facts: &MemberFacts, storage: Storage) -> Result<Seat, SeatError> {
        let key = files::waiting_key(&self.folder, &storage).await?;
        let joined = formation::join_until_decided(token, self.state.id, &key, facts).await?;
        let papers = Papers::of(joined.leaf, joined.authority, storage.clone()).await?;
        files::keep_members(&storage, &joined.members).await?;
        self.settle(&storage, joined.cluster, false).await?;
        files::forget_waiting_key(&self.folder);
        info!("the cluster has let this node in");
        let (mesh, output) = self.start_mesh(&papers.current, joined.cluster)?;
        greet(&mesh, joined.members.clone());
        Ok(seat(mesh, output, papers, None, Joining::LetIn).among(joined.members))
    }
}

impl Seat {
    /// With these around.
    fn among(self, members: Vec<(NodeId, String)>) -> Self {
        Self { members, ..self }
    }
}

/// Connects to those who are known to be members. Who they are now, the log will say.
fn greet(mesh: &Mesh, members: Vec<(NodeId, String)>) {
    let peer = |(node, address)| (node, PeerAddress { address, incarnation: 0 });
    mesh.set_peers(members.into_iter().map(peer).collect());
}

fn seat(
    mesh: Mesh,
    output: crate::mesh::MeshOutput,
    papers: Papers,
    welcome: Option<weft_proto::wire::entry::TokenHash>,
    joining: Joining,
) -> Seat {
    let (to_member, incoming) = mpsc::channel(crate::limits::INCOMING_MAX);
    let link = Link::Mesh(mesh.clone());
    let door = Some(Door { mesh, output, papers, welcome, to_member });
    Seat { link, joining, incoming, door, members: Vec::new() }
}

/// Counts incarnations in the node's file.
#[derive(Debug)]
pub struct StoredIncarnations {
    storage: Option<Storage>,
    last: Mutex<u64>,
}

impl StoredIncarnations {
    /// After this one; without storage they are counted in memory.
    pub fn after(last: u64, storage: Option<Storage>) -> Arc<Self> {
        Arc::new(Self { storage, last: Mutex::new(last) })
    }
}

impl Incarnations for StoredIncarnations {
    fn next(&self) -> Pin<Box<dyn Future<Output = io::Result<u64>> + Send + '_>> {
        Box::pin(async move {
            let next = *self.last.lock() + 1;
            if let Some(storage) = &self.storage {
                storage.count(next).await?;
            }
            *self.last.lock() = next;
            Ok(next)
        })
    }
}
