//! The network: queues between nodes with delay, loss, repetition, disorder and partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};
use weft_proto::wire::control::{Request, Response, Signal};
use weft_proto::wire::entry::NodeId;

use super::links::{Door, Links, Mail};
use crate::mesh::{Backoff, CallError, Incoming, PeerAddress, Transport};

/// What happens to what is sent.
#[derive(Clone, Debug)]
pub(super) struct Weather {
    /// The least that a packet takes.
    pub(super) delay: Duration,
    /// How much more it may take.
    pub(super) jitter: Duration,
    /// Of a hundred signals so many are lost; requests are sent again instead, which takes longer.
    pub(super) loss: u32,
    /// Of a hundred signals so many come twice.
    pub(super) duplicates: u32,
    /// Signals are lost altogether: heartbeats fail while everything else works.
    pub(super) deaf_to_signals: bool,
}

impl Default for Weather {
    fn default() -> Self {
        let (delay, jitter) = (Duration::from_micros(200), Duration::from_micros(500));
        Self { delay, jitter, loss: 0, duplicates: 0, deaf_to_signals: false }
    }
}

/// The network of all nodes. Clones are the same network.
#[derive(Clone)]
pub(super) struct Net {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    chance: SmallRng,
    weather: Weather,
    /// From, to: nothing passes.
    walls: BTreeSet<(NodeId, NodeId)>,
    doors: BTreeMap<NodeId, Door>,
    /// Numbers connections.
    connections: u64,
}

impl Net {
    pub(super) fn new(seed: u64) -> Self {
        let chance = SmallRng::seed_from_u64(seed);
        let inner = Inner {
            chance,
            weather: Weather::default(),
            walls: BTreeSet::new(),
            doors: BTreeMap::new(),
            connections: 0,
        };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    pub(super) fn set_weather(&self, weather: Weather) {
        self.inner.lock().weather = weather;
    }

    /// Nothing passes in this direction from now on.
    pub(super) fn wall(&self, from: NodeId, to: NodeId) {
        self.inner.lock().walls.insert((from, to));
    }

    pub(super) fn heal(&self) {
        let mut inner = self.inner.lock();
        inner.walls.clear();
        inner.weather = Weather::default();
    }

    /// A process listens.
    pub(super) fn open(&self, node: NodeId, process: u64, incarnation: u64) -> Mail {
        let (door, mail) = Door::open(node, process, incarnation);
        self.inner.lock().doors.insert(node, door);
        mail
    }

    /// A process is gone: whoever has a lifeline to it, and can reach its machine, sees it break.
    pub(super) fn close(&self, node: NodeId) {
        let mut inner = self.inner.lock();
        let Some(door) = inner.doors.remove(&node) else { return };
        for (other, theirs) in &inner.doors {
            if let Some(incarnation) = theirs.connected_to(node, door.process)
                && !inner.walls.contains(&(node, *other))
            {
                theirs.deliver(Incoming::Cut { node, incarnation });
            }
        }
    }

    /// The number of a new connection.
    pub(super) fn connection(&self) -> u64 {
        let mut inner = self.inner.lock();
        inner.connections += 1;
        inner.connections
    }

    /// How long to wait before the next attempt to connect.
    pub(super) fn pause(&self, backoff: &mut Backoff) -> Duration {
        backoff.draw(&mut self.inner.lock().chance)
    }

    /// Whether packets pass both ways.
    pub(super) fn passes(&self, one: NodeId, other: NodeId) -> bool {
        let walls = &self.inner.lock().walls;
        !walls.contains(&(one, other)) && !walls.contains(&(other, one))
    }

    /// How long a packet takes; `None` when it is lost.
    fn way(&self, from: NodeId, to: NodeId, reliable: bool) -> Option<Duration> {
        let mut inner = self.inner.lock();
        if inner.walls.contains(&(from, to)) {
            return None;
        }
        let weather = inner.weather.clone();
        let jitter = inner.chance.random_range(0..=weather.jitter.as_micros() as u64);
        let mut delay = weather.delay + Duration::from_micros(jitter);
        while inner.chance.random_range(0..100) < weather.loss {
            if !reliable {
                return None;
            }
            delay += (delay * 2).max(Duration::from_millis(10));
        }
        (reliable || !weather.deaf_to_signals).then_some(delay)
    }

    /// Where a process is reached, and whose it is.
    pub(super) fn door_of(&self, process: u64) -> Option<(NodeId, Door)> {
        let inner = self.inner.lock();
        let found = inner.doors.iter().find(|(_, door)| door.process == process);
        found.map(|(node, door)| (*node, door.clone()))
    }

    pub(super) fn door(&self, node: NodeId) -> Option<Door> {
        self.inner.lock().doors.get(&node).cloned()
    }

    fn twice(&self) -> bool {
        let mut inner = self.inner.lock();
        let duplicates = inner.weather.duplicates;
        inner.chance.random_range(0..100) < duplicates
    }

    /// Takes something along one way. Whether it is walled off is looked at when it arrives, too.
    pub(super) async fn carry(&self, from: NodeId, to: NodeId, reliable: bool) -> bool {
        let Some(delay) = self.way(from, to, reliable) else { return false };
        sleep(delay).await;
        !self.inner.lock().walls.contains(&(from, to))
    }
}

/// A node's way into the network.
#[derive(Clone)]
pub(super) struct SimTransport {
    pub(super) node: NodeId,
    pub(super) net: Net,
}

impl SimTransport {
    /// What this process does about its connections; none of one that is gone.
    pub(super) fn links(&self) -> Option<Links> {
        Some(Links { node: self.node, net: self.net.clone(), door: self.net.door(self.node)? })
    }

    /// The number of the connection that this node uses to another one.
    fn connection(&self, to: NodeId) -> Option<u64> {
        self.net.door(self.node)?.connection(to)
    }

    /// Where what is sent on a connection arrives, if that process still has it.
    fn end(&self, to: NodeId, connection: u64) -> Option<Door> {
        self.net.door(to).filter(|door| door.connection(self.node) == Some(connection))
    }

    async fn exchange(&self, to: NodeId, request: Request) -> Result<Response, CallError> {
        let stuck = std::future::pending::<Result<Response, CallError>>;
        let Some(connection) = self.connection(to) else { return Err(CallError::Unreachable) };
        if !self.net.carry(self.node, to, true).await {
            return stuck().await;
        }
        // A connection ends with the process that it was made to, and nobody says so.
        let Some(door) = self.end(to, connection) else { return stuck().await };
        let (reply, answer) = oneshot::channel();
        if !door.deliver(Incoming::Call { from: self.node, request, reply }) {
            return Err(CallError::Unreachable);
        }
        let Ok(answer) = answer.await else { return stuck().await };
        if self.net.carry(to, self.node, true).await { Ok(answer) } else { stuck().await }
    }
}

impl Transport for SimTransport {
    async fn call(&self, to: NodeId, request: Request, within: Duration) -> Result<Response, CallError> {
        timeout(within, self.exchange(to, request)).await.unwrap_or(Err(CallError::TimedOut))
    }

    fn signal(&self, to: NodeId, signal: Signal) {
        let Some(connection) = self.connection(to) else { return };
        let copies = 1 + usize::from(self.net.twice());
        for _ in 0..copies {
            let (this, signal) = (self.clone(), signal.clone());
            spawn_local(async move {
                if this.net.carry(this.node, to, false).await
                    && let Some(door) = this.end(to, connection)
                {
                    door.deliver(Incoming::Signal { from: this.node, signal });
                }
            });
        }
    }

    fn set_peers(&self, peers: BTreeMap<NodeId, PeerAddress>) {
        if let Some(links) = self.links() {
            links.set_peers(peers);
        }
    }

    fn set_removed(&self, removed: BTreeSet<NodeId>) {
        if let Some(links) = self.links() {
            links.set_removed(removed);
        }
    }

    fn set_incarnation(&self, incarnation: u64) {
        if let Some(links) = self.links() {
            links.set_incarnation(incarnation);
        }
    }
}
