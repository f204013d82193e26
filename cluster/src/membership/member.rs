//! The shell around a node's part in its cluster: hears, is heard, ticks, and does what the pure parts say.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::MissedTickBehavior;
use tracing::{debug, info, warn};
use weft_proto::id::PathName;
use weft_proto::time::{Now, WallClock};
use weft_proto::wire::control::{Proposed, Request, Response, Signal};

use super::beats::Beats;
use super::config::{Incarnations, MemberConfig, MemberTimings};
use super::distance::Distance;
use super::holdings::{Holdings, Host};
use super::steward::{Duty, Steward};
use super::voters::Change;
use super::wake::Wake;
use crate::clock::Clock;
use crate::liveness::Sight;
use crate::mesh::{Incoming, PeerAddress, Transport};
use crate::ownership::{Answer, Entry, MemberFacts, NodeId, Refusal};
use crate::raft::{Consensus, ConsensusConfig, Image, Standing, StartError};

/// A node's part in its cluster. Clones are the same part. To be used on the thread, and in the `LocalSet`, where it was
/// started.
pub struct Member<T> {
    pub(super) shared: Arc<Shared<T>>,
}

impl<T> Clone for Member<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

pub(super) struct Shared<T> {
    pub(super) id: NodeId,
    pub(super) facts: MemberFacts,
    pub(super) incarnations: Arc<dyn Incarnations>,
    pub(super) timings: MemberTimings,
    pub(super) consensus: Consensus<T>,
    pub(super) transport: T,
    pub(super) clock: Clock,
    pub(super) host: Arc<dyn Host>,
    pub(super) inner: Mutex<Inner>,
    pub(super) wake: Arc<Wake>,
}

pub(super) struct Inner {
    pub(super) incarnation: u64,
    pub(super) beats: Beats,
    steward: Steward,
    pub(super) holdings: Holdings,
    /// Tasks that run, so that none is started twice.
    pub(super) running: BTreeSet<Task>,
    pub(super) peers: BTreeMap<NodeId, PeerAddress>,
    /// Where nodes were before it was agreed that they are members.
    pub(super) remembered: BTreeMap<NodeId, PeerAddress>,
    pub(super) removed_since: Option<Now>,
    pub(super) distance: Distance,
    /// Whom this node followed when it last looked.
    leader: Option<NodeId>,
    /// How often it had been late by then.
    interruptions: u64,
    /// Why this node takes no part any more.
    pub(super) ended: Option<Ended>,
}

impl Inner {
    /// Says what a person would look for who wonders why something took long.
    fn note(&mut self, standing: &Standing) {
        if self.leader != standing.leader {
            self.leader = standing.leader;
            match standing.leader {
                Some(leader) => info!(%leader, term = standing.term, "a node leads"),
                None => info!(term = standing.term, "no node leads, as far as this one knows"),
            }
        }
        let interruptions = self.beats.interruptions();
        if self.interruptions != interruptions {
            self.interruptions = interruptions;
            debug!(interruptions, "this node was late itself: it has seen nobody's silence");
        }
    }
}

/// Why a node takes no part any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// A newer process with this node's id has come up.
    #[error("another process with this node's id has started")]
    Superseded,
    /// An older process with this node's id goes on.
    #[error("another process with this node's id is running")]
    Duplicate,
    /// The node was removed.
    #[error("the node was removed from the cluster")]
    Removed,
    /// The cluster speaks a level that this program does not know.
    #[error("the cluster speaks a level that this program does not know: it needs a newer one")]
    TooOld,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    Up,
    Change,
    Level,
    Compact,
    Down(NodeId),
    /// Promoting, forgetting, releasing or claiming a path.
    Path(PathName),
}

impl<T: Transport> Member<T> {
    /// Starts with what is on the disk; `image` is what [`Disk::load`] gave. [`Self::run`] must follow.
    pub async fn start(config: MemberConfig<T>, image: &Image) -> Result<Self, StartError> {
        let wake = Arc::new(Wake::new(config.id, config.observer));
        let consensus = Consensus::start(
            ConsensusConfig {
                id: config.id,
                disk: config.disk,
                transport: config.transport.clone(),
                observer: wake.clone(),
                timings: config.timings.raft,
            },
            image,
        )
        .await?;
        let inner = Inner {
            incarnation: config.incarnation,
            beats: Beats::new(config.id, config.timings.liveness, config.clock.now()),
            steward: Steward::new(config.timings.voter_replace_after),
            holdings: Holdings::default(),
            running: BTreeSet::new(),
            peers: BTreeMap::new(),
            remembered: BTreeMap::new(),
            removed_since: None,
            distance: Distance::new(config.timings.raft.heartbeat),
            leader: None,
            interruptions: 0,
            ended: None,
        };
        let shared = Shared {
            id: config.id,
            facts: config.facts,
            incarnations: config.incarnations,
            timings: config.timings,
            consensus,
            transport: config.transport,
            clock: config.clock,
            host: config.host,
            inner: Mutex::new(inner),
            wake,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The agreement below.
    pub fn consensus(&self) -> &Consensus<T> {
        &self.shared.consensus
    }

    /// Who this node is.
    pub fn id(&self) -> NodeId {
        self.shared.id
    }

    /// The incarnation that it has now: another one than at its start, when the others thought it dead.
    pub fn incarnation(&self) -> u64 {
        self.shared.inner.lock().incarnation
    }

    /// Begins a new cluster with these voters, of whom this node is one, and with epochs above `base`. Alone, it is done when
    /// this returns. With others nobody leads, and nothing is agreed, before a majority of them has come and has written who
    /// they are; then the leader raises the base, and each of them says that it is a member.
    pub async fn found(&self, base: u64, voters: &BTreeSet<NodeId>) -> Result<(), StartError> {
        self.shared.consensus.initialize(voters).await?;
        self.shared.consensus.campaign().await;
        if voters.len() > 1 {
            return Ok(());
        }
        let within = Duration::from_secs(10);
        for entry in [Entry::RaiseBase { base }, self.own_join()] {
            let done = self.shared.consensus.propose(entry, within).await;
            done.map_err(|error| StartError::Raft(error.to_string()))?;
        }
        Ok(())
    }

    /// This node is a member.
    pub(super) fn own_join(&self) -> Entry {
        Entry::Join { node: self.shared.id, facts: self.shared.facts.clone(), token: None }
    }

    /// Where others are who were there when the cluster was formed, or when this node joined: voters that are no members yet
    /// are found there.
    pub fn remember(&self, addresses: &[(NodeId, String)]) {
        let others = addresses.iter().filter(|(node, _)| *node != self.shared.id);
        let peer =
            |(node, address): &(NodeId, String)| (*node, PeerAddress { address: address.clone(), incarnation: 0 });
        let known: BTreeMap<NodeId, PeerAddress> = others.map(peer).collect();
        let mut inner = self.shared.inner.lock();
        inner.peers.clone_from(&known);
        inner.remembered = known;
    }

    /// Lives until it is told to end, or must.
    pub async fn run(&self, mut incoming: mpsc::Receiver<Incoming>) -> Ended {
        let mut tick = tokio::time::interval(self.shared.timings.liveness.tick);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = tick.tick() => self.tick(),
                () = self.shared.wake.notify.notified() => self.review(false),
                Some(event) = incoming.recv() => self.take(event),
            }
            if let Some(ended) = self.shared.inner.lock().ended {
                return ended;
            }
        }
    }

    /// The way to the others.
    pub(super) fn transport(&self) -> &T {
        &self.shared.transport
    }

    /// The node's wall clock.
    pub fn wall(&self) -> WallClock {
        self.shared.clock.wall()
    }

    /// Whether a node is a member, as far as this one knows.
    pub fn knows(&self, node: NodeId) -> bool {
        self.shared.consensus.state().read().members().get(node).is_some()
    }

    /// Whether a node is to vote that is no member yet: one of the formation.
    pub fn awaits(&self, node: NodeId) -> bool {
        let is_gone = self.shared.consensus.state().read().members().was_removed(node);
        !is_gone && self.shared.consensus.standing().voters.contains(&node)
    }

    /// Where the members are, and those that are to be.
    pub fn addresses(&self) -> Vec<(NodeId, String)> {
        let mut addresses = BTreeMap::from([(self.shared.id, self.shared.facts.address.clone())]);
        let remembered = self.shared.inner.lock().remembered.clone();
        let awaited = remembered.into_iter().filter(|(node, _)| self.awaits(*node));
        addresses.extend(awaited.map(|(node, peer)| (node, peer.address)));
        let state = self.shared.consensus.state().read();
        addresses.extend(state.members().iter().map(|(node, member)| (node, member.facts.address.clone())));
        addresses.into_iter().collect()
    }

    pub(crate) fn now(&self) -> Now {
        self.shared.clock.now()
    }

    pub(super) fn wall_micros(&self) -> i64 {
        self.shared.clock.wall().unix_micros()
    }

    /// Starts a task unless it runs. What it fails at is seen again with the next tick, not at once: where the disk is full
    /// it would fail for ever without a pause.
    pub(super) fn once<F>(&self, task: Task, make: impl FnOnce(Self) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        if self.shared.inner.lock().running.insert(task.clone()) {
            let work = make(self.clone());
            let member = self.clone();
            spawn_local(async move {
                work.await;
                member.shared.inner.lock().running.remove(&task);
            });
        }
    }

    fn tick(&self) {
        let (now, wall_micros) = (self.now(), self.wall_micros());
        let standing = self.shared.consensus.standing();
        let state = self.shared.consensus.state().read();
        let mut inner = self.shared.inner.lock();
        let incarnation = inner.incarnation;
        let beats = inner.beats.tick(state.members(), incarnation, now, wall_micros);
        let Inner { steward, beats: seen, .. } = &mut *inner;
        let mut duties = steward.duties(&state, &standing, seen, now, wall_micros);
        duties.extend(steward.place_sources(&state, &standing, &self.shared.host.sources(), now, wall_micros));
        // Who is not heard by the others is no part of them, whomever it hears.
        let is_heard = seen.verdict(self.shared.id, incarnation, &standing.voters, now) == Sight::Lives;
        let is_part = is_heard && self.reaches_quorum(&standing, &state, &inner, now);
        let unseen = inner.beats.unseen(state.members(), now);
        inner.note(&standing);
        self.follow(&mut inner, &standing, now);
        drop(inner);
        drop(state);
        self.shared.host.quorum(is_part);
        self.shared.host.unseen(unseen);
        for (node, beat) in beats {
            self.shared.transport.signal(node, Signal::Heartbeat(beat));
        }
        for duty in duties {
            self.perform(duty);
        }
        if self.shared.consensus.is_heavy() {
            self.once(Task::Compact, |member| async move { member.shared.consensus.compact().await });
        }
        self.review(true);
    }

    /// Sources are wanted that nobody pulls yet; with the next tick it would be seen as well.
    pub(super) fn place_sources(&self) {
        let (now, wall_micros) = (self.now(), self.wall_micros());
        let (standing, sources) = (self.shared.consensus.standing(), self.shared.host.sources());
        let duties = {
            let state = self.shared.consensus.state().read();
            self.shared.inner.lock().steward.place_sources(&state, &standing, &sources, now, wall_micros)
        };
        duties.into_iter().for_each(|duty| self.perform(duty));
    }

    fn perform(&self, duty: Duty) {
        let task = match &duty {
            Duty::Change(_) => Task::Change,
            Duty::Propose(Entry::NodeDown { node, .. }) => Task::Down(*node),
            Duty::Propose(Entry::Promote { path, .. } | Entry::Forget { path, .. } | Entry::Claim { path, .. }) => {
                Task::Path(path.clone())
            }
            Duty::Propose(_) => Task::Level,
        };
        self.once(task, |member| async move {
            let consensus = &member.shared.consensus;
            match duty {
                Duty::Propose(entry) => {
                    if matches!(entry, Entry::NodeDown { .. }) {
                        warn!("{entry}: a majority of the voters has not heard of it");
                    }
                    // What fails is seen again with the next tick.
                    let _ = consensus.propose(entry, PROPOSE).await;
                }
                Duty::Change(Change::Listen(node)) => drop(consensus.add_learner(node).await),
                Duty::Change(Change::Leave(node)) => drop(consensus.remove_learner(node).await),
                Duty::Change(Change::Vote(voters)) => {
                    info!(?voters, "voters change");
                    consensus.change_voters(voters).await;
                }
            }
        });
    }

    fn cut(&self, node: NodeId, incarnation: u64) {
        let (now, state) = (self.now(), self.shared.consensus.state().read());
        let mut inner = self.shared.inner.lock();
        inner.beats.cut(node, incarnation);
        let unseen = inner.beats.unseen(state.members(), now);
        drop((inner, state));
        self.shared.host.unseen(unseen);
    }

    fn take(&self, event: Incoming) {
        match event {
            Incoming::Signal { from, signal: Signal::Heartbeat(beat) } => {
                let (now, wall_micros) = (self.now(), self.wall_micros());
                self.shared.inner.lock().beats.heard(from, &beat, now, wall_micros);
            }
            Incoming::Signal { from, signal: Signal::Goodbye(goodbye) } => {
                self.cut(from, goodbye.incarnation);
            }
            Incoming::Cut { node, incarnation } => {
                debug!(%node, incarnation, "lifeline cut");
                self.cut(node, incarnation);
            }
            Incoming::Call { request: Request::Reached(path), reply, .. } => {
                // Who asked may have gone.
                let _ = reply.send(Response::Reached(self.shared.host.reached(&path)));
            }
            Incoming::Call { from, request, reply } => {
                if let Some(refusal) = self.refuses(from, &request) {
                    // Who asked may have gone.
                    let _ = reply.send(refusal);
                    return;
                }
                let consensus = self.shared.consensus.clone();
                spawn_local(async move {
                    let _ = reply.send(consensus.answer(from, request).await);
                });
            }
        }
    }

    /// What is not even asked of the agreement.
    fn refuses(&self, from: NodeId, request: &Request) -> Option<Response> {
        let Request::Propose(entry) = request else { return None };
        let now = self.now();
        if let Entry::NodeUp { node, incarnation, .. } = entry {
            let beats = &self.shared.inner.lock().beats;
            if *node != from {
                return Some(Response::Unable(()));
            }
            if beats.older_lives(*node, *incarnation, now) {
                let answer = Answer::Refused(Refusal::OlderLives);
                return Some(Response::Proposed(Proposed::Done { index: 0, answer }));
            }
        }
        let state = self.shared.consensus.state().read();
        let stranger = state.members().iter().len() > 0 && state.members().get(from).is_none();
        // A voter of the formation says itself that it is a member.
        let joins = matches!(entry, Entry::Join { node, token: None, .. } if *node == from)
            && !state.members().was_removed(from)
            && self.shared.consensus.standing().voters.contains(&from);
        (stranger && !joins).then_some(Response::Unable(()))
    }
}

/// How long one proposal of the member itself is tried. It is made again if it is still right.
pub(super) const PROPOSE: Duration = Duration::from_secs(3);
