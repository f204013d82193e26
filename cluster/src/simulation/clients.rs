//! Publishers and readers of one node: they claim, publish, read, wait and leave.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep};
use weft_proto::id::{Epoch, PathName};
use weft_proto::time::Now;

use super::checker::{Checker, paths};
use super::doors::{Doors, Todo};
use super::net::{Net, SimTransport};
use crate::membership::Member;
use crate::ownership::{Answer, ClaimError, Entry, Fence, Kind, NodeId};
use crate::path::SessionId;

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
            spawn_local(async move { clients.publisher(n, chance).await });
        }
        let (clients, chance) = (self.clone(), SmallRng::seed_from_u64(seed.rotate_left(17)));
        spawn_local(async move { clients.viewer(chance).await });
        let (clients, chance) = (self.clone(), SmallRng::seed_from_u64(!seed));
        spawn_local(async move { clients.onlooker(chance).await });
        let clients = self.clone();
        spawn_local(async move { clients.puller().await });
    }

    async fn publisher(&self, who: u64, mut chance: SmallRng) {
        let paths = paths();
        loop {
            sleep(Duration::from_millis(chance.random_range(1..400))).await;
            let path = &paths[chance.random_range(0..paths.len())];
            if chance.random_range(0..5) == 0 && !self.member.is_serving(path) {
                self.wait(path, &mut chance).await;
                continue;
            }
            let kind = if chance.random_range(0..4) == 0 { Kind::Pulled } else { Kind::Pushed };
            let floor = self.checker.floor();
            let take_over = self.doors.ask(path);
            match self.member.claim(path, kind, take_over).await {
                Ok(epoch) => {
                    let (accepted, is_new, todo) = self.doors.claimed(path, epoch, who, self.now(), &self.checker);
                    if is_new {
                        self.checker.owns(floor, self.member.id(), path, epoch);
                    }
                    self.carry_out(path, &todo);
                    let until = Instant::now() + Duration::from_millis(chance.random_range(10..1500));
                    if let Some(id) = accepted {
                        self.publish(path, id, until).await;
                    }
                }
                Err(error) => {
                    self.doors.refused(path);
                    if error == ClaimError::NoQuorum {
                        self.checker.count("claims without quorum");
                    }
                }
            }
        }
    }

    fn now(&self) -> Now {
        self.member.now()
    }

    /// What the path's actor and the registry would do.
    fn carry_out(&self, path: &PathName, todo: &Todo) {
        if todo.let_go {
            self.member.let_go(path);
        }
        if let Some(at) = todo.timer {
            let (this, path) = (self.clone(), path.clone());
            spawn_local(async move {
                sleep(at.since(this.now())).await;
                let todo = this.doors.timer(&path, this.now(), &this.checker);
                this.carry_out(&path, &todo);
            });
        }
    }

    /// Reads on its own node: while somebody does, the path stays owned there.
    async fn viewer(&self, mut chance: SmallRng) {
        let paths = paths();
        loop {
            sleep(Duration::from_millis(chance.random_range(1..300))).await;
            let path = &paths[chance.random_range(0..paths.len())];
            let (attached, todo) = self.doors.subscribe(path, self.now(), &self.checker);
            self.carry_out(path, &todo);
            if let Some(id) = attached {
                sleep(Duration::from_millis(chance.random_range(10..2000))).await;
                let todo = self.doors.gone(path, id, false, self.now(), &self.checker);
                self.carry_out(path, &todo);
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
    async fn publish(&self, path: &PathName, id: SessionId, until: Instant) {
        let mut last = None;
        while Instant::now() < until {
            let Some(epoch) = self.doors.publishes(path, id) else {
                self.checker.count("publishers replaced");
                break;
            };
            if last.replace(epoch).is_some_and(|last| last != epoch) {
                self.checker.count("paths reclaimed");
            }
            self.send(path, epoch);
            sleep(Duration::from_millis(40)).await;
        }
        let todo = self.doors.gone(path, id, true, self.now(), &self.checker);
        self.carry_out(path, &todo);
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
            for (path, epoch) in self.doors.take_assigned() {
                self.checker.count("paths assigned");
                let (accepted, todo) = self.doors.pull(&path, epoch, self.now(), &self.checker);
                self.carry_out(&path, &todo);
                let Some(id) = accepted else { continue };
                let this = self.clone();
                spawn_local(async move {
                    let until = Instant::now() + Duration::from_millis(700);
                    this.publish(&path, id, until).await;
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
