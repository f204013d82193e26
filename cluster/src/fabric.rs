//! The interface that doors see, the same whether a path lives here or on another node.

#[cfg(test)]
mod claiming_test;
mod drain;

use std::collections::BTreeSet;
use std::num::NonZeroU8;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::{Actor, Addr};
use parking_lot::RwLock;
use tokio::sync::watch;
use tracing::warn;
use weft_proto::id::{Epoch, PathName};
use weft_proto::media::Tracks;
use weft_proto::time::{Now, WallClock};
use weft_proto::wire::relay::Reached;

use crate::clock::Clock;
use crate::membership::Host;
use crate::ownership::{Claimant, NodeId};
use crate::path::{
    Assigned, Assignment, Assignments, Directory, EndReason, Identity, Notice, Passed, PathShared, Policy, Promoted,
    PublishError, PublishRequest, PublisherSlot, ReaderRole, Reconfigured, Registry, RelayRequest, SessionId,
    SessionInfo, SubscribeError, SubscribeRequest, TakeSource, Unassigned,
};
use crate::publication::{Publication, Relaying};
use crate::relay::Relays;
use crate::stream::{Budget, Cursor, Join, WakeGate};
use crate::subscription::{Attendance, Subscription};

pub use drain::Occupants;

/// How a fabric begins.
pub struct FabricConfig {
    /// The node's label.
    pub node: String,
    /// Owns paths for this node.
    pub claimant: Arc<dyn Claimant>,
    /// Bytes that all stream logs may hold together.
    pub budget_bytes: usize,
    /// The configuration.
    pub policy: Arc<dyn Policy>,
    /// The node's clock.
    pub clock: Clock,
}

/// A session in a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionDescription {
    /// The door's name for its kind.
    pub kind: &'static str,
    /// Its public id.
    pub id: String,
}

/// A publisher that waits for its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandbyDescription {
    /// Who it is.
    pub session: SessionDescription,
    /// The lower the sooner its turn comes; 0 for one that came to be the active publisher.
    pub rank: u8,
    /// It could take over now: it sends, and decoding can begin with what it has sent.
    pub ready: bool,
}

/// A path as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathDescription {
    /// The path.
    pub name: PathName,
    /// The configuration entry that it matched.
    pub conf_name: String,
    /// The owner's label.
    pub node: String,
    /// The ownership.
    pub epoch: Epoch,
    /// Since when somebody publishes; `None` while nobody does.
    pub online_since: Option<WallClock>,
    /// Since when the path lives.
    pub available_since: WallClock,
    /// Who publishes.
    pub publisher: Option<SessionDescription>,
    /// Who waits on this node to publish, the next one first.
    pub standbys: Vec<StandbyDescription>,
    /// How often a standby has taken over on this node.
    pub takeovers: u64,
    /// Who reads.
    pub readers: Vec<SessionDescription>,
    /// To which nodes it is relayed from here.
    pub relays: Vec<NodeId>,
    /// The tracks in force.
    pub tracks: Option<Tracks>,
    /// Payload bytes from publishers.
    pub inbound_bytes: u64,
    /// Bytes to readers.
    pub outbound_bytes: u64,
    /// Units lost or damaged on the way in.
    pub inbound_units_in_error: u64,
    /// The newest group outgrew `groupMax`: new readers start live.
    pub group_overgrown: bool,
}

/// A node's fabric. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fabric {
    inner: Arc<Inner>,
}

/// What the fabric's parts share.
pub(crate) struct Inner {
    node: String,
    directory: Arc<Directory>,
    registry: OnceLock<Addr<Registry>>,
    draining: AtomicBool,
    quorum: watch::Sender<bool>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fabric").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Fabric {
    /// Begins on the current thread, which must run an actix system: the control thread.
    pub fn start(config: FabricConfig) -> Self {
        let directory = Arc::new(Directory {
            claimant: config.claimant,
            relays: OnceLock::new(),
            clock: config.clock,
            budget: Budget::new(config.budget_bytes),
            policy: config.policy,
            paths: RwLock::default(),
            assignments: Assignments::default(),
        });
        let inner = Arc::new(Inner {
            node: config.node,
            directory: directory.clone(),
            registry: OnceLock::new(),
            draining: AtomicBool::new(false),
            quorum: watch::Sender::default(),
        });
        let registry = Registry::new(directory).start();
        let _ = inner.registry.set(registry);
        Self { inner }
    }

    /// Publishes to a path.
    pub async fn publish(
        &self,
        path: PathName,
        info: SessionInfo,
        tracks: Tracks,
    ) -> Result<Publication, PublishError> {
        self.publish_as(path, info, tracks, None).await
    }

    /// The same, for a publisher that may be a standby: then it publishes when the active publisher fails, and at once where
    /// there is none. Until then its newest group is kept on this node. The lower its rank, the sooner its turn comes.
    pub async fn publish_as(
        &self,
        path: PathName,
        info: SessionInfo,
        tracks: Tracks,
        standby: Option<NonZeroU8>,
    ) -> Result<Publication, PublishError> {
        if self.is_draining() {
            return Err(PublishError::Draining);
        }
        if self.inner.directory.policy.path(&path).is_some_and(|policy| policy.source.is_some()) {
            return Err(PublishError::Pulled);
        }
        let standby = standby.map(NonZeroU8::get);
        self.push(PublishRequest { path, info, tracks, standby, pulled: false }).await
    }

    /// Publishes what a source of this node's [`assignments`](Self::assignments) gives.
    pub async fn publish_source(
        &self,
        path: PathName,
        info: SessionInfo,
        tracks: Tracks,
    ) -> Result<Publication, PublishError> {
        if self.is_draining() {
            return Err(PublishError::Draining);
        }
        self.push(PublishRequest { path, info, tracks, standby: None, pulled: true }).await
    }

    async fn push(&self, request: PublishRequest) -> Result<Publication, PublishError> {
        let registry = self.inner.registry.get().ok_or(PublishError::Unavailable)?;
        let tracks = request.tracks.clone();
        let answer = registry.send(request).await.map_err(|_| PublishError::Unavailable)?;
        let (shared, accepted) = answer?;
        Ok(Publication::new(self.inner.clone(), shared, accepted.slot, tracks, accepted.events))
    }

    /// Whether publishing to a path would be accepted now. For protocols that must answer before they know the tracks;
    /// [`Self::publish_as`] still decides.
    pub fn may_publish(&self, path: &PathName, identity: &Identity, stands_by: bool) -> Result<(), PublishError> {
        if self.is_draining() {
            return Err(PublishError::Draining);
        }
        let policy = self.inner.directory.policy.path(path).ok_or(PublishError::NotConfigured)?;
        if policy.source.is_some() {
            return Err(PublishError::Pulled);
        }
        if stands_by || policy.life.standby {
            return Ok(());
        }
        let elsewhere = self.inner.directory.claimant.owner(path).is_some_and(|(node, _)| node != self.inner.node);
        if elsewhere && !policy.life.override_publisher {
            return Err(PublishError::PublishedElsewhere);
        }
        let Some(shared) = self.inner.directory.find(path) else { return Ok(()) };
        let silent_for = shared.silent_for(self.inner.directory.clock.now());
        match &*shared.publisher.lock() {
            Some(slot) if !slot.relayed && !policy.life.may_replace(&slot.info.identity, identity, silent_for) => {
                Err(PublishError::AlreadyPublished)
            }
            _ => Ok(()),
        }
    }

    /// Whether the path's publisher is on this node now.
    pub fn is_published_here(&self, path: &PathName) -> bool {
        let shared = self.inner.directory.find(path);
        shared.is_some_and(|shared| shared.publisher.lock().as_ref().is_some_and(|slot| !slot.relayed))
    }

    /// Reads a path. `gate` is rung when there is something to read.
    pub async fn subscribe(
        &self,
        path: PathName,
        info: SessionInfo,
        join: Join,
        gate: &Arc<WakeGate>,
    ) -> Result<Subscription, SubscribeError> {
        self.read(path, info, ReaderRole::Viewer, join, gate).await
    }

    /// Reads a path for the node itself, on behalf of viewers who [`attend`](Self::attend), or of a recording: counts
    /// for nobody, is not listed and wants no publisher.
    pub async fn subscribe_internal(
        &self,
        path: PathName,
        info: SessionInfo,
        join: Join,
        gate: &Arc<WakeGate>,
    ) -> Result<Subscription, SubscribeError> {
        self.read(path, info, ReaderRole::Internal, join, gate).await
    }

    /// Takes a viewer's place among the readers of a path without reading from its log: somebody who is served by an
    /// internal reader. Bound by `maxReaders`, listed, kicked and held as any other.
    pub async fn attend(&self, path: PathName, info: SessionInfo) -> Result<Attendance, SubscribeError> {
        self.place(path, info, ReaderRole::Viewer).await
    }

    /// The tracks that a reader would get now, of a path here or on another node; where its publisher has to be brought it is
    /// waited for, as if to read.
    pub async fn tracks(&self, path: &PathName, info: SessionInfo) -> Result<Tracks, SubscribeError> {
        let live = self.inner.directory.find(path).filter(|shared| shared.publisher.lock().is_some());
        if let Some(tracks) = live.and_then(|shared| shared.stream.tracks()) {
            return Ok(tracks);
        }
        self.place(path.clone(), info, ReaderRole::Asking).await?.stream().tracks().ok_or(SubscribeError::NoStream)
    }

    async fn read(
        &self,
        path: PathName,
        info: SessionInfo,
        role: ReaderRole,
        join: Join,
        gate: &Arc<WakeGate>,
    ) -> Result<Subscription, SubscribeError> {
        let start = self.inner.directory.policy.path(&path).ok_or(SubscribeError::NotConfigured)?.start;
        let place = self.place(path, info, role).await?;
        let tracks = place.stream().tracks().ok_or(SubscribeError::NoStream)?;
        Ok(Subscription::new(place, gate, Cursor::new(join, start), tracks))
    }

    async fn place(&self, path: PathName, info: SessionInfo, role: ReaderRole) -> Result<Attendance, SubscribeError> {
        // Other nodes still take what is published here, and whoever reads here still gets it.
        if self.is_draining() && matches!(role, ReaderRole::Viewer | ReaderRole::Asking) {
            return Err(SubscribeError::Draining);
        }
        let registry = self.inner.registry.get().ok_or(SubscribeError::Unavailable)?;
        let request = SubscribeRequest { path, info, role };
        let (shared, slot) = registry.send(request).await.map_err(|_| SubscribeError::Unavailable)??;
        Ok(Attendance::new(self.inner.clone(), shared, slot))
    }

    /// Paths of other nodes are brought here from now on.
    pub fn set_relays(&self, relays: &Relays) {
        relays.set_fabric(&self.inner);
        // Set once, at the start.
        let _ = self.inner.directory.relays.set(relays.clone());
    }

    pub(crate) fn relays(&self) -> Option<&Relays> {
        self.inner.directory.relays.get()
    }

    /// Which sources this node is to pull, as that changes.
    pub fn assignments(&self) -> watch::Receiver<Vec<Assignment>> {
        self.inner.directory.assignments.watch()
    }

    /// What is known of a path; `None` when it is not live.
    pub fn describe(&self, path: &PathName) -> Option<PathDescription> {
        self.inner.directory.find(path).map(|shared| self.description(&shared))
    }

    /// The names of all live paths, in order.
    pub fn names(&self) -> Vec<PathName> {
        self.inner.directory.paths.read().keys().cloned().collect()
    }

    /// All live paths, by name.
    pub fn list(&self) -> Vec<PathDescription> {
        self.inner.directory.list().iter().map(|shared| self.description(shared)).collect()
    }

    /// Who owns a path, since when, under which epoch: in a sentence.
    pub fn why(&self, path: &PathName) -> String {
        let Some(description) = self.describe(path) else {
            return match self.inner.directory.claimant.owner(path) {
                Some((node, Epoch(epoch))) => format!("{path}: node {node} owns it under epoch {epoch}"),
                None => format!("{path}: nobody publishes or reads it, so no node owns it"),
            };
        };
        let Epoch(epoch) = description.epoch;
        let publisher = match &description.publisher {
            Some(publisher) => format!("{} {} publishes", publisher.kind, publisher.id),
            None => "its publisher is gone and its readers are held".to_owned(),
        };
        format!("{path}: node {} owns it under epoch {epoch}; {publisher}", description.node)
    }

    /// Ends the session with this public id; says whether there was one.
    pub fn kick(&self, id: &str) -> bool {
        self.inner.directory.paths.read().values().any(|shared| {
            let publisher = shared.publisher_with(|slot| slot.info.id == id);
            let reader = shared.readers.lock().values().find(|slot| slot.info.id == id).cloned();
            if let Some(slot) = &publisher {
                slot.end(EndReason::Kicked);
            }
            if let Some(slot) = &reader {
                let _ = slot.ended.set(EndReason::Kicked);
                shared.stream.bells().ring();
            }
            publisher.is_some() || reader.is_some()
        })
    }

    /// Pulls the source of a path that another node pulls, and takes the path over when it is published here. Whether the
    /// configuration has a source for it.
    pub fn take_source(&self, path: &PathName) -> bool {
        let source = self.inner.directory.policy.path(path).and_then(|policy| policy.source);
        let (Some(_), Some(registry)) = (source, self.inner.registry.get()) else { return false };
        registry.do_send(TakeSource { path: path.clone() });
        true
    }

    /// Whether this node is part of a quorum, as it changes: only then sources may be pulled that are exclusive.
    pub fn quorum(&self) -> watch::Receiver<bool> {
        self.inner.quorum.subscribe()
    }

    /// The [`Policy`] answers differently from now on: live paths follow it. Publishers and readers stay, unless their
    /// path is not allowed any more.
    pub fn reconfigured(&self) {
        if let Some(registry) = self.inner.registry.get() {
            registry.do_send(Reconfigured);
        }
    }

    /// Ends every session: the node shuts down.
    pub fn shut_down(&self) {
        self.inner.draining.store(true, Ordering::Release);
        for shared in self.inner.directory.paths.read().values() {
            shared.end_all(EndReason::Shutdown);
        }
    }

    /// Tells the nodes that take paths from here, and those that paths come from, that this one goes. Behind [`Self::shut_down`].
    pub async fn close_relays(&self) {
        if let Some(relays) = self.inner.directory.relays.get() {
            relays.close().await;
        }
    }

    /// How many other nodes take a path from here.
    pub fn relays_of(&self, path: &PathName) -> usize {
        self.inner.children_of(path).len()
    }

    /// The node's label.
    pub fn node(&self) -> &str {
        &self.inner.node
    }

    /// The node's clock.
    pub fn clock(&self) -> Clock {
        self.inner.directory.clock
    }

    /// Makes the path's actor panic at its next message; for the test of the rebuild.
    #[doc(hidden)]
    pub fn panic_next(&self, path: &PathName) {
        if let Some(shared) = self.inner.directory.find(path) {
            shared.panic_next.store(true, Ordering::Release);
        }
    }

    /// The source that this node pulls for a path.
    fn source_of(&self, path: &PathName) -> Option<SessionDescription> {
        let source = self.inner.directory.assignments.of(path)?;
        Some(SessionDescription { kind: source.kind, id: String::new() })
    }

    fn owner_name(&self, path: &PathName) -> String {
        self.inner.directory.claimant.owner(path).map_or_else(|| self.inner.node.clone(), |(node, _)| node)
    }

    /// What the cluster tells this fabric of its paths.
    pub fn host(&self) -> Arc<dyn Host> {
        self.inner.clone()
    }

    fn description(&self, shared: &PathShared) -> PathDescription {
        let describe = |info: &SessionInfo| SessionDescription { kind: info.kind, id: info.id.clone() };
        let publisher = shared.publisher.lock().clone();
        let (stream, now) = (&shared.stream, self.inner.now());
        let standby = |slot: &Arc<PublisherSlot>| StandbyDescription {
            session: describe(&slot.info),
            rank: slot.rank,
            ready: slot.is_ready(now),
        };
        let mut standbys: Vec<_> = shared.standbys.lock().iter().map(standby).collect();
        standbys.sort_by_key(|standby| (standby.rank, !standby.ready));
        let counters = stream.counters();
        let readers = shared.readers.lock();
        let relays = readers.values().filter(|slot| slot.role == ReaderRole::Relay);
        let viewers = readers.values().filter(|slot| slot.role == ReaderRole::Viewer);
        PathDescription {
            name: stream.path().clone(),
            conf_name: shared.policy().conf_name.clone(),
            node: self.owner_name(stream.path()),
            epoch: stream.epoch(),
            online_since: publisher.as_ref().map(|slot| slot.since),
            available_since: stream.born_wall(),
            publisher: publisher.as_ref().map(|slot| describe(&slot.info)).or_else(|| self.source_of(stream.path())),
            standbys,
            takeovers: counters.takeovers.load(Ordering::Relaxed),
            readers: viewers.map(|slot| describe(&slot.info)).collect(),
            relays: relays.filter_map(|slot| node_of(&slot.info)).collect(),
            tracks: stream.tracks(),
            inbound_bytes: counters.inbound_bytes.load(Ordering::Relaxed),
            outbound_bytes: counters.outbound_bytes.load(Ordering::Relaxed),
            inbound_units_in_error: counters.inbound_units_in_error.load(Ordering::Relaxed),
            group_overgrown: stream.is_overgrown(),
        }
    }
}

impl Host for Inner {
    fn lost(&self, path: &PathName, _: Epoch, owner: Option<NodeId>) {
        if self.directory.assignments.take(path)
            && let Some(registry) = self.registry.get()
        {
            registry.do_send(Unassigned { path: path.clone() });
        }
        let Some(shared) = self.directory.find(path) else { return };
        let Some(slot) = shared.publisher.lock().clone() else { return };
        if slot.rank > 0 && owner.is_some() {
            // Who has come to stand by goes on doing so.
            self.passed(path);
        } else {
            slot.end(EndReason::Replaced);
        }
    }

    fn renewed(&self, path: &PathName, epoch: Epoch) {
        if let Some(shared) = self.directory.find(path) {
            shared.stream.set_epoch(epoch);
        }
    }

    fn passed(&self, path: &PathName) {
        if let Some(registry) = self.registry.get() {
            registry.do_send(Passed { path: path.clone() });
        }
    }

    fn assigned(&self, path: &PathName, epoch: Epoch) -> bool {
        let Some(registry) = self.registry.get() else { return false };
        if self.directory.find(path).is_some_and(|shared| !shared.standbys.lock().is_empty()) {
            registry.do_send(Promoted { path: path.clone(), epoch });
            return true;
        }
        let Some(source) = self.directory.policy.path(path).and_then(|policy| policy.source) else {
            warn!(%path, "the cluster gives this node a path for which it has no source and nobody who waits: it lets it go");
            return false;
        };
        self.directory.assignments.give(path, &source);
        registry.do_send(Assigned { path: path.clone(), epoch });
        true
    }

    fn quorum(&self, there: bool) {
        self.quorum.send_if_modified(|known| std::mem::replace(known, there) != there);
    }

    fn sources(&self) -> Arc<[PathName]> {
        self.directory.policy.sources()
    }

    fn unseen(&self, nodes: BTreeSet<NodeId>) {
        if let Some(relays) = self.directory.relays.get() {
            relays.set_unseen(nodes);
        }
    }

    fn reached(&self, path: &PathName) -> Option<Reached> {
        self.directory.find(path)?.stream.reached()
    }
}

impl Inner {
    /// The nodes that take a path from here, each as often as it does.
    pub(crate) fn children_of(&self, path: &PathName) -> Vec<NodeId> {
        let Some(shared) = self.directory.find(path) else { return Vec::new() };
        let readers = shared.readers.lock();
        let relays = readers.values().filter(|slot| slot.role == ReaderRole::Relay);
        relays.filter_map(|slot| node_of(&slot.info)).collect()
    }

    /// A child's place among the readers of a path.
    pub(crate) async fn attend_relay(self: &Arc<Self>, path: PathName, info: SessionInfo) -> Option<Attendance> {
        let registry = self.registry.get()?;
        let request = SubscribeRequest { path, info, role: ReaderRole::Relay };
        let (shared, slot) = registry.send(request).await.ok()?.ok()?;
        Some(Attendance::new(self.clone(), shared, slot))
    }

    /// What is heard of another node's publisher goes into the path's stream.
    pub(crate) async fn relay(
        self: &Arc<Self>,
        shared: Arc<PathShared>,
        info: SessionInfo,
        tracks: Tracks,
    ) -> Result<Relaying, PublishError> {
        let registry = self.registry.get().ok_or(PublishError::Unavailable)?;
        let request = RelayRequest { shared: shared.clone(), info, tracks };
        let accepted = registry.send(request).await.map_err(|_| PublishError::Unavailable)??;
        Ok(Relaying::new(self.clone(), shared, accepted))
    }

    pub(crate) fn now(&self) -> Now {
        self.directory.clock.now()
    }

    /// Tells the registry that a session ended.
    pub(crate) fn notice(&self, path: PathName, publisher: bool, id: SessionId) {
        if let Some(registry) = self.registry.get() {
            registry.do_send(Notice { path, publisher, id });
        }
    }
}

/// The node whose relay it is.
fn node_of(relay: &SessionInfo) -> Option<NodeId> {
    u64::from_str_radix(&relay.id, 16).ok().map(NodeId)
}

#[cfg(test)]
#[path = "fabric_test.rs"]
mod tests;
