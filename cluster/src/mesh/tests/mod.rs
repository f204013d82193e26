//! Meshes on the loopback, each on a thread and a runtime of its own, as in a node.

mod faulty;
mod hostile;
mod joining;
mod together;
mod traffic;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::oneshot;
use weft_proto::time::WallClock;
use weft_proto::wire::entry::NodeId;
use weft_proto::wire::hello::ClusterId;

use super::faults::Faults;
use super::{Incoming, Mesh, MeshConfig, MeshOutput, PeerAddress, Transport as _};
use crate::identity::{Authority, AuthoritySeed, Current};

/// A node's mesh and the thread that runs it.
struct Node {
    id: NodeId,
    incarnation: u64,
    mesh: Mesh,
    output: MeshOutput,
    identity: Current,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Node {
    fn start(authority: &Authority, id: u64) -> Self {
        Self::start_at(authority, id, 1, SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    fn start_at(authority: &Authority, id: u64, incarnation: u64, bind: SocketAddr) -> Self {
        Self::start_with(authority, id, incarnation, bind, None)
    }

    fn start_with(authority: &Authority, id: u64, incarnation: u64, bind: SocketAddr, faults: Option<Faults>) -> Self {
        let leaf = authority.issue(NodeId(id), now()).unwrap();
        let identity = Current::new(&leaf, authority.certificate().clone()).unwrap();
        let config = MeshConfig { bind, faults, ..config(incarnation, &identity) };
        let (made, made_out) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                made.send(Mesh::start(config).unwrap()).unwrap();
                let _ = stopped.await;
            });
        });
        let (mesh, output) = made_out.recv().unwrap();
        Self { id: NodeId(id), incarnation, mesh, output, identity, stop: Some(stop), thread: Some(thread) }
    }

    fn peer(&self) -> (NodeId, PeerAddress) {
        (self.id, PeerAddress { address: self.mesh.address().to_string(), incarnation: self.incarnation })
    }

    /// Ends as a killed process does: without a word. Its address.
    fn kill(mut self) -> SocketAddr {
        self.stop.take().unwrap().send(()).unwrap();
        self.thread.take().unwrap().join().unwrap();
        self.mesh.address()
    }

    fn is_connected_with(&self, others: usize) -> bool {
        let peers = self.mesh.peers();
        let held = peers.iter().filter(|peer| peer.link.is_some() && peer.lifeline).count();
        held == others && peers.len() == others && self.mesh.0.endpoint.open_connections() == others
    }

    fn is_linked_with(&self, other: &Self) -> bool {
        self.mesh.peers().iter().any(|peer| peer.node == other.id && peer.link.is_some() && peer.lifeline)
    }

    /// The next thing that comes in and is wanted.
    async fn next<T>(&mut self, mut wanted: impl FnMut(Incoming) -> Option<T>) -> T {
        let found = async {
            loop {
                let incoming = self.output.incoming.recv().await.expect("the mesh runs");
                if let Some(found) = wanted(incoming) {
                    return found;
                }
            }
        };
        tokio::time::timeout(LONGEST, found).await.expect("it comes in time")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn config(incarnation: u64, identity: &Current) -> MeshConfig {
    MeshConfig {
        bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        identity: identity.clone(),
        cluster: ClusterId([1; 16]),
        incarnation,
        levels: (1, 1),
        version: "test".into(),
        faults: None,
    }
}

fn authority() -> Authority {
    Authority::from_seed(&AuthoritySeed::draw()).unwrap()
}

fn now() -> WallClock {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    WallClock::from_unix_micros(i64::try_from(since.as_micros()).unwrap())
}

/// Tells every node of all others.
fn introduce<'a>(nodes: impl IntoIterator<Item = &'a Node> + Clone) {
    let all: BTreeMap<NodeId, PeerAddress> = nodes.clone().into_iter().map(Node::peer).collect();
    nodes.into_iter().for_each(|node| node.mesh.set_peers(all.clone()));
}

/// Waits for a state.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONGEST, "still not: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A pair that is connected.
async fn pair(authority: &Authority) -> (Node, Node) {
    let (a, b) = (Node::start(authority, 1), Node::start(authority, 2));
    introduce([&a, &b]);
    until("connected", || a.is_connected_with(1) && b.is_connected_with(1)).await;
    (a, b)
}

const LONGEST: Duration = Duration::from_secs(20);
