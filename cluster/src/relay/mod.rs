//! Relays: a path that lives on another node, carried here once for all who read it here.
//!
//! A relay is a reader at one end ([`parent`]) and a publisher at the other ([`upstream`]). Its log is a copy of the owner's,
//! with the same positions, times and marks, and whoever reads it does not notice that it is one.
//!
//! All of it runs on the workers: each has a [`shard`] with sockets of its own, and a path belongs to one shard of the node
//! that takes it: which one, [`spread`] says.

mod carrier;
mod congestion;
mod inbox;
mod lane;
mod links;
mod merge;
mod names;
mod parent;
mod peer;
mod question;
mod shard;
mod spread;
#[cfg(test)]
mod tests;
mod tree;
mod turns;
mod upstream;
mod words;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use weft_proto::id::{Epoch, PathName};
use weft_proto::time::WallClock;
use weft_proto::wire::entry::NodeId;

use self::names::Names;
use self::question::Question;
use self::shard::{Job, Shard};
use self::spread::Spread;
use self::upstream::Moving;
use crate::clock::Clock;
use crate::fabric::Inner;
use crate::identity::Current;
use crate::mesh::faults::Faults;
use crate::ownership::{Member, MemberState};
use crate::path::{Identity, PathShared, SessionInfo};
use crate::raft::SharedState;
use crate::subscription::Attendance;

pub use self::links::{LinkWay, RelayLink};
pub use self::question::Answers;
pub use self::shard::RelaySocket;

/// What relays are made of.
#[derive(Clone)]
pub struct RelayConfig {
    /// Who the node is.
    pub me: NodeId,
    /// Its certificate.
    pub identity: Current,
    /// What is agreed.
    pub state: SharedState,
    /// The node's clock.
    pub clock: Clock,
    /// A group that is older than this is given up as soon as there is a newer one.
    pub latency_max: Duration,
    /// The faults that are injected into the sockets; none where that is not enabled.
    pub faults: Option<Faults>,
}

/// The relays of a node. Cheap to clone.
#[derive(Clone)]
pub struct Relays(Arc<Shared>);

struct Shared {
    me: NodeId,
    identity: Current,
    state: SharedState,
    clock: Clock,
    latency_max: Duration,
    faults: Option<Faults>,
    fabric: OnceLock<Weak<Inner>>,
    /// Who knows what other nodes ask.
    answers: OnceLock<Arc<dyn Answers>>,
    shards: Mutex<Shards>,
    /// Where nodes were found.
    names: Names,
    /// What is known of all shards' connections.
    links: Mutex<Vec<RelayLink>>,
    /// Through whom paths come here, the owner first.
    above: Mutex<HashMap<PathName, Vec<NodeId>>>,
    /// Nodes that this one does not see well, and how often these have changed.
    unseen: Mutex<(BTreeSet<NodeId>, u64)>,
}

/// The shards, and what each carries. One lock for both: a path's jobs come to its shard in the order of their decisions.
#[derive(Default)]
struct Shards {
    jobs: Vec<UnboundedSender<Job>>,
    spread: Spread,
}

impl Shards {
    fn tell(&self, shard: Option<usize>, job: Job) {
        if let Some(jobs) = shard.and_then(|shard| self.jobs.get(shard)) {
            // A worker that is gone carries nothing: the node is ending.
            let _ = jobs.send(job);
        }
    }
}

/// The way that a path comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Route {
    parent: NodeId,
    epoch: Epoch,
}

impl Relays {
    /// Relays without sockets: [`Self::open`] gives them some.
    pub fn new(config: RelayConfig) -> Self {
        let RelayConfig { me, identity, state, clock, latency_max, faults } = config;
        Self(Arc::new(Shared {
            me,
            identity,
            state,
            clock,
            latency_max,
            faults,
            fabric: OnceLock::new(),
            answers: OnceLock::new(),
            shards: Mutex::default(),
            names: Names::default(),
            links: Mutex::default(),
            above: Mutex::default(),
            unseen: Mutex::default(),
        }))
    }

    /// Binds a socket for each shard, all to this address. With port 0 the system chooses one.
    pub fn bind(address: SocketAddr, shards: usize) -> io::Result<Vec<RelaySocket>> {
        shard::bind(address, shards)
    }

    /// Opens a shard on this thread, which must run a `LocalSet`, for as long as that runs.
    pub fn open(&self, socket: RelaySocket) -> io::Result<()> {
        Shard::open(self.clone(), socket).map(drop)
    }

    pub(crate) fn set_fabric(&self, fabric: &Arc<Inner>) {
        let _ = self.0.fabric.set(Arc::downgrade(fabric));
    }

    fn fabric(&self) -> Option<Arc<Inner>> {
        self.0.fabric.get()?.upgrade()
    }

    /// Brings a path of another node here.
    pub(crate) fn want(&self, path: Arc<PathShared>) {
        let name = path.stream.path();
        // Without another owner its shard finds out that there is nothing to bring.
        let parent = self.route(name).map_or(self.0.me, |route| route.parent);
        let mut shards = self.0.shards.lock();
        let shard = shards.spread.want(name, parent);
        shards.tell(shard, Job::Want(path));
    }

    /// Nobody reads the path here any more.
    pub(crate) fn forget(&self, path: &PathName) {
        let mut shards = self.0.shards.lock();
        let shard = shards.spread.forget(path);
        shards.tell(shard, Job::Forget(path.clone()));
    }

    /// Other nodes' questions go there.
    pub(crate) fn set_answers(&self, answers: Arc<dyn Answers>) {
        // Set once, at the start.
        let _ = self.0.answers.set(answers);
    }

    /// Asks another node; `None` when it knows nothing, says more than `bytes_max`, or does not answer `within` that time.
    pub(crate) async fn ask(
        &self,
        node: NodeId,
        question: Vec<u8>,
        within: Duration,
        bytes_max: usize,
    ) -> Option<Bytes> {
        let (answer, answered) = oneshot::channel();
        {
            let shards = self.0.shards.lock();
            let question = Question { node, question, bytes_max, answer };
            shards.tell(shards.spread.choose_from(node), Job::Ask(question));
        }
        tokio::time::timeout(within, answered).await.ok()?.ok()?
    }

    /// The nodes that may have something of a path, first the one that it comes from.
    pub(crate) fn others(&self, path: &PathName) -> Vec<NodeId> {
        let parent = self.route(path).map(|route| route.parent);
        let state = self.0.state.read();
        let serves = |(node, member): (NodeId, &Member)| {
            let is_there = matches!(member.state, MemberState::Up | MemberState::Draining) && !member.facts.witness;
            (is_there && node != self.0.me && Some(node) != parent).then_some(node)
        };
        parent.into_iter().chain(state.members().iter().filter_map(serves)).collect()
    }

    /// Another shard, with its number and what it is to do.
    fn open_shard(&self) -> (usize, UnboundedReceiver<Job>) {
        let (jobs, queue) = mpsc::unbounded_channel();
        let mut shards = self.0.shards.lock();
        shards.jobs.push(jobs);
        (shards.spread.open(), queue)
    }

    /// How a shard's connections were in the last second.
    fn measured(&self, shard: usize, links: Vec<RelayLink>) {
        let mut bits = HashMap::new();
        for link in links.iter().filter(|link| link.way == LinkWay::From) {
            *bits.entry(link.node).or_default() += link.received_bits;
        }
        self.0.shards.lock().spread.measured(shard, &bits);
        let mut all = self.0.links.lock();
        all.retain(|link| link.worker != shard);
        all.extend(links);
    }

    /// All connections over which paths go from node to node, as they were in the last second.
    pub fn links(&self) -> Vec<RelayLink> {
        let mut links = self.0.links.lock().clone();
        links.sort_by_key(|link| (link.node, link.way == LinkWay::To, link.worker));
        links
    }

    /// This node does not see these well: nothing is taken through them, before it is agreed that they are gone. A wrong guess
    /// costs another way for a while.
    pub(crate) fn set_unseen(&self, nodes: BTreeSet<NodeId>) {
        let mut unseen = self.0.unseen.lock();
        if unseen.0 != nodes {
            *unseen = (nodes, unseen.1 + 1);
        }
    }

    /// What routes follow from: it changes when they may.
    fn standing(&self) -> (Option<u64>, u64) {
        (self.0.state.applied(), self.0.unseen.lock().1)
    }

    /// Tells the other ends of all connections that this one goes, for the end of the node: they need not wait for a timer.
    pub(crate) async fn close(&self) {
        let closed: Vec<_> = {
            let shards = self.0.shards.lock();
            let close = |jobs: &UnboundedSender<Job>| {
                let (done, closed) = oneshot::channel();
                // A worker that is gone has no connections.
                let _ = jobs.send(Job::Close(done));
                closed
            };
            shards.jobs.iter().map(close).collect()
        };
        for closed in closed {
            let _ = closed.await;
        }
    }

    /// A shard has come to an end with a wish for the path.
    fn done(&self, path: &PathName) {
        self.0.shards.lock().spread.done(path);
    }

    #[cfg(test)]
    fn shard_of(&self, path: &PathName) -> Option<usize> {
        self.0.shards.lock().spread.shard_of(path)
    }

    /// Whether a path that comes from this parent now belongs to another shard.
    fn must_move(&self, path: &PathName, parent: NodeId) -> bool {
        self.0.shards.lock().spread.must_move(path, parent)
    }

    /// Gives a path to the shard that those of its parent belong to.
    fn hand_over(&self, moving: Moving) {
        let mut shards = self.0.shards.lock();
        let name = moving.path.stream.path().clone();
        match shards.spread.move_to(&name, moving.parent) {
            Some(shard) => shards.tell(Some(shard), Job::Continue(moving)),
            None => shards.spread.done(&name),
        }
    }

    /// Whether another node owns the path.
    pub(crate) fn is_elsewhere(&self, path: &PathName) -> bool {
        let state = self.0.state.read();
        state.paths().get(path).and_then(|ownership| ownership.owner_node()).is_some_and(|owner| owner != self.0.me)
    }

    /// Whether something was agreed since `seen`.
    pub(crate) fn has_news(&self, seen: &mut Option<u64>) -> bool {
        let applied = self.0.state.applied();
        core::mem::replace(seen, applied) != applied
    }

    /// When a path was born, as it is agreed.
    pub(crate) fn born(&self, path: &PathName) -> Option<WallClock> {
        let state = self.0.state.read();
        state.paths().get(path).map(|ownership| WallClock::from_unix_micros(ownership.born_micros))
    }

    /// From whom the path is to be taken; `None` when no other node owns it.
    fn route(&self, path: &PathName) -> Option<Route> {
        let state = self.0.state.read();
        let ownership = state.paths().get(path)?;
        let owner = ownership.owner_node().filter(|owner| *owner != self.0.me)?;
        let unseen = self.0.unseen.lock();
        // Through a node that is drained nobody begins to take anything, but for what it owns.
        let candidates = state.members().iter().filter(|(node, member)| match member.state {
            _ if member.facts.witness => false,
            _ if unseen.0.contains(node) && *node != owner => false,
            MemberState::Draining => [self.0.me, owner].contains(node),
            state => state == MemberState::Up,
        });
        let candidates = candidates.map(|(node, member)| tree::Candidate { node, zone: &member.facts.zone });
        let parent = tree::parent(path, self.0.me, owner, candidates);
        Some(Route { parent, epoch: ownership.epoch })
    }

    /// Of a node's present process, as far as is known.
    fn incarnation(&self, node: NodeId) -> u64 {
        self.0.state.read().members().get(node).map_or(0, |member| member.incarnation)
    }

    fn is_member(&self, node: NodeId) -> bool {
        self.0.state.read().members().get(node).is_some()
    }

    /// Where a node's relays listen: the port after that of its control.
    fn address(&self, node: NodeId) -> Option<String> {
        let state = self.0.state.read();
        let (host, port) = state.members().get(node)?.facts.address.rsplit_once(':')?;
        let port = port.parse::<u16>().ok()?.checked_add(1)?;
        Some(format!("{host}:{port}"))
    }

    /// A child's place among the readers of a path here.
    async fn attend(&self, path: &PathName, child: NodeId) -> Option<Attendance> {
        let identity = Identity { user: String::new(), address: None };
        let info = SessionInfo { kind: upstream::RELAY_KIND, id: child.to_string(), identity };
        self.fabric()?.attend_relay(path.clone(), info).await
    }
}

impl std::fmt::Debug for Relays {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relays").field("me", &self.0.me).finish_non_exhaustive()
    }
}
