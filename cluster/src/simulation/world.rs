//! A cluster and its machines.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep};
use weft_proto::id::PathName;

use super::checker::{Checker, Coverage, paths, sources};
use super::clients::{Clients, Readers};
use super::disk::SimDisk;
use super::doors::Doors;
use super::faults;
use super::net::{Net, SimTransport};
use super::process::Process;
use crate::clock::Clock;
use crate::membership::{Ended, Incarnations, Member, MemberConfig, MemberTimings};
use crate::mesh::PeerAddress;
use crate::ownership::{ClaimError, Kind, MemberFacts, MemberState, NodeId};
use crate::raft::Disk;

/// What is different from an ordinary run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    /// Prints every event.
    pub(super) aloud: bool,
    /// Disks acknowledge before they write.
    pub(super) lying_disks: bool,
}

/// What came of a run.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) violations: Vec<String>,
    pub(super) coverage: Coverage,
    pub(super) fingerprint: (u64, u64),
}

/// A machine: its disk and its clock stay when its process goes.
pub(super) struct Machine {
    pub(super) id: NodeId,
    pub(super) disk: SimDisk,
    pub(super) wall_start: &'static AtomicI64,
    pub(super) process: Option<Process>,
    pub(super) stopped: bool,
    /// Where the others were when the cluster was formed, or when it was let in.
    pub(super) remembered: Vec<(NodeId, String)>,
    /// It founds the cluster with these voters, unless it has done so.
    pub(super) founds: Option<BTreeSet<NodeId>>,
    member: Rc<RefCell<Option<Member<SimTransport>>>>,
}

pub(super) struct World {
    pub(super) chance: SmallRng,
    pub(super) checker: Checker,
    pub(super) net: Net,
    pub(super) machines: Vec<Machine>,
    pub(super) next_id: u64,
    readers: Readers,
    processes: u64,
    options: Options,
}

/// Where the wall clocks of the machines begin.
pub(super) const EPOCH_MICROS: i64 = 1_700_000_000_000_000;

/// Runs a cluster for some simulated seconds under faults.
pub(super) fn run(seed: u64, options: Options) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    crate::raft::seed(seed);
    LocalSet::new().block_on(&runtime, async move {
        let mut world = World::new(seed, options);
        world.live().await;
        let World { checker, .. } = world;
        Report { violations: checker.violations(), coverage: checker.coverage(), fingerprint: checker.fingerprint() }
    })
}

struct OnDisk(SimDisk);

impl Incarnations for OnDisk {
    fn next(&self) -> std::pin::Pin<Box<dyn Future<Output = std::io::Result<u64>> + Send + '_>> {
        Box::pin(async { Ok(self.0.next_incarnation()) })
    }
}

impl World {
    fn new(seed: u64, options: Options) -> Self {
        let mut chance = SmallRng::seed_from_u64(seed);
        let net = Net::new(chance.random());
        let mut world = Self {
            chance,
            checker: Checker::new(options.aloud),
            net,
            machines: Vec::new(),
            next_id: 1,
            readers: Readers::default(),
            processes: 0,
            options,
        };
        let count = [3, 3, 3, 4, 5][world.chance.random_range(0..5)];
        for _ in 0..count {
            world.add_machine();
        }
        world
    }

    /// One more machine, which does not run yet. Says which it is.
    pub(super) fn add_machine(&mut self) -> usize {
        let id = NodeId(self.next_id);
        self.next_id += 1;
        let machine = Machine {
            id,
            disk: SimDisk::new(self.chance.random(), self.options.lying_disks),
            // Leaked: clocks are copied everywhere, and a few bytes a run do not hurt.
            wall_start: Box::leak(Box::new(AtomicI64::new(EPOCH_MICROS))),
            process: None,
            stopped: false,
            remembered: Vec::new(),
            founds: None,
            member: Rc::default(),
        };
        self.machines.push(machine);
        self.machines.len() - 1
    }

    async fn live(&mut self) {
        self.form().await;
        if !self.checker.violations().is_empty() {
            return;
        }
        faults::storm(self).await;
        self.heal();
        self.settles().await;
        self.checker.nothing_is_lost();
    }

    /// Starts the process of a machine.
    pub(super) fn start(&mut self, n: usize) {
        self.processes += 1;
        let process = self.processes;
        let seed = self.chance.random();
        let machine = &mut self.machines[n];
        let id = machine.id;
        let incarnation = machine.disk.next_incarnation();
        self.checker.event(format_args!("{id}.{incarnation} starts"));
        let mail = self.net.open(id, process, incarnation);
        self.readers.borrow_mut().insert(id, (process, Default::default()));
        let doors = Arc::new(Doors::default());
        let config = MemberConfig {
            id,
            facts: facts(id),
            incarnation,
            incarnations: Arc::new(OnDisk(machine.disk.clone())),
            timings: MemberTimings { voter_replace_after: Duration::from_secs(3), ..MemberTimings::default() },
            disk: Arc::new(machine.disk.clone()),
            transport: SimTransport { node: id, net: self.net.clone() },
            clock: Clock::simulated(machine.wall_start),
            host: doors.clone(),
            observer: Some(self.checker.observer(id)),
        };
        let (disk, place, founds) = (machine.disk.clone(), machine.member.clone(), machine.founds.clone());
        let remembered = machine.remembered.clone();
        let (net, checker, readers) = (self.net.clone(), self.checker.clone(), self.readers.clone());
        machine.stopped = false;
        machine.process = Some(Process::start(async move {
            spawn_local(disk.clone().run());
            let transport = config.transport.clone();
            let Some(links) = transport.links() else { return };
            let (incoming, removed) = links.start(mail, checker.clone());
            let greeted = remembered.iter().filter(|(node, _)| *node != id);
            let peer =
                |(node, address): &(_, String)| (*node, PeerAddress { address: address.clone(), incarnation: 0 });
            links.set_peers(greeted.map(peer).collect());
            let image = disk.load().unwrap_or_default();
            let member = match Member::start(config, &image).await {
                Ok(member) => member,
                Err(error) => return checker.violation(format_args!("{id} does not start: {error}")),
            };
            member.remember(&remembered);
            let told = member.clone();
            spawn_local(async move {
                removed.notified().await;
                told.was_removed();
            });
            let is_new = image.vote.is_none() && image.log.is_empty() && image.snapshot.is_none();
            if let Some(voters) = founds.filter(|_| is_new) {
                let founding = member.clone();
                spawn_local(async move {
                    let base = u64::try_from(EPOCH_MICROS).unwrap_or_default();
                    if let Err(error) = founding.found(base, &voters).await {
                        panic!("the cluster is not founded: {error}");
                    }
                });
            }
            *place.borrow_mut() = Some(member.clone());
            Clients { member: member.clone(), doors, net, checker: checker.clone(), readers }.start(seed);
            let ended = member.run(incoming).await;
            checker.event(format_args!("{id} ends: {ended}"));
            if ended == Ended::Removed {
                checker.count("processes that were removed");
            } else {
                checker.violation(format_args!("{id} ended although it was the only process of its node: {ended}"));
            }
            member.consensus().shut_down().await;
        }));
    }

    /// Kills the process of a machine. What is not on its disk yet may be lost.
    pub(super) fn kill(&mut self, n: usize, lose: bool) {
        let machine = &mut self.machines[n];
        if machine.process.take().is_none() {
            return;
        }
        self.checker.count("kills");
        self.checker.event(format_args!("{} is killed", machine.id));
        machine.member.borrow_mut().take();
        if machine.disk.crash(lose) {
            self.checker.count("kills that lost writes");
        }
        self.readers.borrow_mut().remove(&machine.id);
        self.net.close(machine.id);
    }

    /// A machine burns down.
    pub(super) fn forget(&mut self, n: usize) {
        self.machines[n].disk.wipe();
        self.machines[n].founds = None;
        self.machines[n].remembered.clear();
    }

    /// The members whose processes run.
    pub(super) fn members(&self) -> impl Iterator<Item = Member<SimTransport>> + '_ {
        let running = self.machines.iter().filter(|machine| !machine.stopped);
        running.filter_map(|machine| machine.member.borrow().clone())
    }

    fn heal(&mut self) {
        self.checker.event("all is healed");
        self.net.heal();
        for n in 0..self.machines.len() {
            let machine = &mut self.machines[n];
            machine.disk.set_latency(Duration::from_millis(2));
            machine.disk.set_full(false);
            machine.stopped = false;
            if let Some(process) = &machine.process {
                process.resume();
            }
            let stopped =
                machine.member.borrow().as_ref().is_some_and(|member| member.consensus().standing().stopped.is_some());
            if stopped {
                self.kill(n, true);
            }
            if self.machines[n].process.is_none() {
                self.start(n);
            }
        }
    }

    /// Everybody has everything, and serves.
    async fn settles(&mut self) {
        for n in 0..self.machines.len() {
            self.let_in(self.machines[n].id).await;
        }
        self.wait_until("the cluster is well again", |world| world.is_well()).await;
        let Some(member) = self.members().next() else { return };
        for path in paths() {
            // Clients take paths from each other all the time, but a claim is answered.
            if member.is_serving(&path) {
                continue;
            }
            let floor = self.checker.floor();
            match member.claim(&path, Kind::Pushed, true).await {
                Ok(epoch) => self.checker.owns(floor, member.id(), &path, epoch),
                // One of this node's own clients was there a moment later.
                Err(ClaimError::Owned(node)) if node == member.id() => {}
                Err(error) => self.checker.violation(format_args!("{path} cannot be claimed after all: {error}")),
            }
            member.let_go(&path);
        }
        self.wait_until("every owner serves or lets go", |world| world.members().all(|member| member.is_settled()))
            .await;
        self.wait_until("each source is pulled by one", |world| {
            let pull = |source: &PathName| world.members().filter(|member| member.is_serving(source)).count();
            sources().iter().all(|source| pull(source) == 1)
        })
        .await;
    }

    /// All members are up, all logs lead to the same, everybody who should vote does, and nobody who did counts any more.
    pub(super) fn is_well(&self) -> bool {
        let members: Vec<_> = self.members().collect();
        let Some(first) = members.first() else { return false };
        let standing = first.consensus().standing();
        let all_up = members.iter().all(|member| {
            let state = member.consensus().state().read();
            state.members().iter().len() == self.machines.len()
                && state.members().iter().all(|(_, member)| member.state == MemberState::Up)
        });
        let wanted = self.machines.len() - (self.machines.len() + 1) % 2;
        let agree = members.iter().all(|member| {
            let theirs = member.consensus().standing();
            let is_settled = theirs.changing_to.is_none() && theirs.voters == standing.voters;
            theirs.leader.is_some() && theirs.leader == standing.leader && is_settled
        });
        let incarnations = members.iter().all(|member| {
            let state = first.consensus().state().read();
            state.members().get(member.id()).is_some_and(|known| known.incarnation == member.incarnation())
        });
        members.len() == self.machines.len() && all_up && agree && incarnations && standing.voters.len() == wanted
    }

    pub(super) async fn wait_until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + WELL_WITHIN;
        while !is_so(self) {
            if Instant::now() > deadline {
                let standings: BTreeMap<_, _> = self
                    .members()
                    .map(|member| (member.id(), (member.consensus().standing(), member.incarnation())))
                    .collect();
                let members = self.members().next().map(|member| {
                    let state = member.consensus().state().read();
                    state
                        .members()
                        .iter()
                        .map(|(id, member)| (id, member.incarnation, member.state))
                        .collect::<Vec<_>>()
                });
                self.checker.violation(format_args!("not in {WELL_WITHIN:?}: {what}: {standings:?} {members:?}"));
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Moves the wall clock of a machine.
    pub(super) fn jump(&self, n: usize, micros: i64) {
        self.machines[n].wall_start.fetch_add(micros, Ordering::Relaxed);
    }
}

/// The bound for being well again after everything is healed.
pub(super) const WELL_WITHIN: Duration = Duration::from_secs(15);

pub(super) fn facts(node: NodeId) -> MemberFacts {
    MemberFacts { name: format!("n{}", node.0), level: 1, ..MemberFacts::default() }
}
