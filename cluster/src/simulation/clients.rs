//! Publishers and readers of one node: they claim, publish, read, wait and leave.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep};
use weft_proto::id::{Epoch, PathName};

use super::checker::{Checker, paths};
use super::net::{Net, SimTransport};
use crate::membership::{ClaimError, Host, Member};
use crate::ownership::{Answer, Entry, Fence, Kind, NodeId};

/// What the doors of a node would hear.
#[derive(Default)]
pub(super) struct Doors {
    inner: Mutex<DoorsInner>,
}

#[derive(Default)]
struct DoorsInner {
    lost: BTreeSet<PathName>,
    assigned: Vec<(PathName, Epoch)>,
    epochs: BTreeMap<PathName, Epoch>,
}

impl Host for Doors {
    fn lost(&self, path: &PathName, _: Epoch, _: Option<NodeId>) {
        self.inner.lock().lost.insert(path.clone());
    }

    fn renewed(&self, path: &PathName, epoch: Epoch) {
        self.inner.lock().epochs.insert(path.clone(), epoch);
    }

    fn assigned(&self, path: &PathName, epoch: Epoch) -> bool {
        self.inner.lock().assigned.push((path.clone(), epoch));
        true
    }
}

/// Readers of all nodes, by the process in which they are.
pub(super) type Readers = Rc<RefCell<BTreeMap<NodeId, (u64, Fence)>>>;

/// The clients of one process.
#[derive(Clone)]
pub(super) struct Clients {
    pub(super) member: Member<SimTransport>,
    pub(super) doors: Arc<Doors>,
    pub(super) net: Net,
    pub(super) checker: Checker,
    pub(super) readers: Readers,
}

impl Clients {
    /// Starts them all.
    pub(super) fn start(&self, seed: u64) {
        for n in 0..3 {
            let (clients, chance) = (self.clone(), SmallRng::seed_from_u64(seed ^ n << 32));
            spawn_local(async move { clients.publisher(chance).await });
        }
        let (clients, chance) = (self.clone(), SmallRng::seed_from_u64(!seed));
        spawn_local(async move { clients.onlooker(chance).await });
        let clients = self.clone();
        spawn_local(async move { clients.puller().await });
    }

    async fn publisher(&self, mut chance: SmallRng) {
        let paths = paths();
        loop {
            sleep(Duration::from_millis(chance.random_range(1..400))).await;
            let path = &paths[chance.random_range(0..paths.len())];
            let busy = self.member.is_serving(path);
            if busy {
                continue;
            }
            if chance.random_range(0..5) == 0 {
                self.wait(path, &mut chance).await;
                continue;
            }
            let kind = if chance.random_range(0..4) == 0 { Kind::Pulled } else { Kind::Pushed };
            let take_over = chance.random_range(0..2) == 0;
            self.doors.inner.lock().lost.remove(path);
            let floor = self.checker.floor();
            match self.member.claim(path, kind, take_over).await {
                Ok(epoch) => {
                    self.checker.owns(floor, self.member.id(), path, epoch);
                    let until = Instant::now() + Duration::from_millis(chance.random_range(10..1500));
                    self.publish(path, epoch, until).await;
                }
                Err(ClaimError::NoQuorum) => self.checker.count("claims without quorum"),
                Err(_) => {}
            }
        }
    }

    async fn wait(&self, path: &PathName, chance: &mut SmallRng) {
        if self.member.stand_by(path, chance.random_range(0..3)).await.is_ok() {
            self.checker.count("standbys");
            sleep(Duration::from_millis(chance.random_range(10..2000))).await;
            if !self.member.is_serving(path) {
                self.member.stand_down(path).await;
            }
        }
    }

    /// Frames until the publisher leaves, or is told that it has lost the path.
    async fn publish(&self, path: &PathName, mut epoch: Epoch, until: Instant) {
        while Instant::now() < until {
            if self.doors.inner.lock().lost.remove(path) {
                self.checker.count("publishers replaced");
                return;
            }
            if let Some(renewed) = self.doors.inner.lock().epochs.remove(path) {
                self.checker.count("paths reclaimed");
                epoch = renewed;
            }
            self.send(path, epoch);
            sleep(Duration::from_millis(40)).await;
        }
        self.member.let_go(path);
    }

    /// A frame to the readers on every node.
    fn send(&self, path: &PathName, epoch: Epoch) {
        let me = self.member.id();
        let nodes: Vec<NodeId> = self.readers.borrow().keys().copied().collect();
        for node in nodes {
            let (this, path) = (self.clone(), path.clone());
            spawn_local(async move {
                if node == me || this.net.carry(me, node, true).await {
                    this.receive(node, &path, epoch);
                }
            });
        }
    }

    fn receive(&self, node: NodeId, path: &PathName, epoch: Epoch) {
        let mut readers = self.readers.borrow_mut();
        let Some((process, fence)) = readers.get_mut(&node) else { return };
        if fence.admit(path, epoch) {
            self.checker.taken(*process, path, epoch);
        } else {
            self.checker.count("frames fenced off");
        }
    }

    /// Takes what the cluster gives the node.
    async fn puller(&self) {
        loop {
            sleep(Duration::from_millis(10)).await;
            let assigned = std::mem::take(&mut self.doors.inner.lock().assigned);
            for (path, epoch) in assigned {
                self.checker.count("paths assigned");
                let this = self.clone();
                spawn_local(async move {
                    let until = Instant::now() + Duration::from_millis(700);
                    this.publish(&path, epoch, until).await;
                });
            }
        }
    }

    /// Reads, and writes the configuration.
    async fn onlooker(&self, mut chance: SmallRng) {
        loop {
            sleep(Duration::from_millis(chance.random_range(50..800))).await;
            let floor = self.checker.floor();
            if self.member.consensus().catch_up(Duration::from_secs(1)).await.is_err() {
                continue;
            }
            let applied = self.member.consensus().state().applied();
            self.checker.has_read(floor, applied.unwrap_or(0));
            if chance.random_range(0..3) == 0 {
                self.configure(&mut chance).await;
            }
        }
    }

    async fn configure(&self, chance: &mut SmallRng) {
        let state = self.member.consensus().state();
        let expected = state.read().configuration().map_or(0, |(revision, _)| revision);
        let document = format!("paths: {}", chance.random_range(0..u32::MAX));
        let entry = Entry::Configure { expected, document };
        let floor = self.checker.floor();
        if let Ok((index, answer @ Answer::Revision(_))) =
            self.member.consensus().propose(entry.clone(), Duration::from_secs(2)).await
        {
            self.checker.answered(floor, index, entry, answer);
        }
    }
}
