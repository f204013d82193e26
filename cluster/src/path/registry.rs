//! The registry: finds or makes a path's actor, forwards to it, and makes a new one when it is lost.
//!
//! actix drops an actor whose handler panicked and does not restart it. The registry notices (a refused message, or its
//! own round once a second), rebuilds the core from [`PathShared`] and goes on: publishers and readers feel nothing.

use std::collections::{HashMap, HashSet};
use std::future::ready;
use std::num::NonZeroU8;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::prelude::*;
use tracing::error;
use weft_proto::id::{Epoch, PathName};
use weft_proto::media::{Codec, Kind, Tracks};
use weft_proto::time::{Now, WallClock};

use super::actor::{Accepted, Gone, OwnerChanged, PathActor, Publish, PublisherRole, SettingsChanged, Subscribe};
use super::core::{ReaderRole, SessionId};
use super::directory::Directory;
use super::pulling::soon;
use super::refusal::{PublishError, SubscribeError};
use super::shared::{EndReason, PathShared, ReaderSlot, SessionInfo};
use super::standing::Guarded;
use super::tenure::Tenure;
use crate::limits::PATHS_MAX;
use crate::ownership::ClaimError;
use crate::stream::{Before, Stream, StreamKey};

/// How often lost actors are looked for.
const ROUND: Duration = Duration::from_secs(1);

/// A path is new while it is younger: nobody can have taken it over from anybody.
const NEW_FOR: Duration = Duration::from_millis(100);

/// How often it is looked whether something else is agreed.
const FOLLOW: Duration = Duration::from_millis(20);

/// Knows the actor of every live path.
pub(crate) struct Registry {
    pub(super) directory: Arc<Directory>,
    pub(super) actors: HashMap<PathName, Addr<PathActor>>,
    next_session: AtomicU64,
    /// Says when paths are claimed and let go.
    pub(super) tenure: Tenure,
    /// Up to where what is agreed was looked at.
    followed: Option<u64>,
    /// The paths for which publishers wait.
    pub(super) guarded: Guarded,
    /// Paths of other nodes whose sources this one is about to take over.
    pub(super) taking: HashSet<PathName>,
}

/// A publisher for a path.
#[derive(Message)]
#[rtype(result = "Result<(Arc<PathShared>, Accepted), PublishError>")]
pub(crate) struct PublishRequest {
    pub(crate) path: PathName,
    pub(crate) info: SessionInfo,
    pub(crate) tracks: Tracks,
    /// It waits for its turn where another one is active; with which rank.
    pub(crate) standby: Option<u8>,
    /// It is a source that this node was given: the path is its own already, or somebody else's.
    pub(crate) pulled: bool,
}

/// A reader for a path.
#[derive(Message)]
#[rtype(result = "Result<(Arc<PathShared>, Arc<ReaderSlot>), SubscribeError>")]
pub(crate) struct SubscribeRequest {
    pub(crate) path: PathName,
    pub(crate) info: SessionInfo,
    pub(crate) role: ReaderRole,
}

/// Another node's publisher can be heard here.
#[derive(Message)]
#[rtype(result = "Result<Accepted, PublishError>")]
pub(crate) struct RelayRequest {
    pub(crate) shared: Arc<PathShared>,
    pub(crate) info: SessionInfo,
    pub(crate) tracks: Tracks,
}

/// A session ended.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Notice {
    pub(crate) path: PathName,
    pub(crate) publisher: bool,
    pub(crate) id: SessionId,
}

/// The configuration has changed.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Reconfigured;

/// A path's publisher has left; its readers may stay.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Unpublished {
    pub(crate) path: PathName,
}

/// An actor has nothing left to do.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct PathClosed {
    pub(crate) path: PathName,
    pub(crate) key: StreamKey,
}

impl Registry {
    pub(crate) fn new(directory: Arc<Directory>) -> Self {
        Self {
            directory,
            actors: HashMap::new(),
            next_session: AtomicU64::new(1),
            tenure: Tenure::default(),
            followed: None,
            guarded: Guarded::default(),
            taking: HashSet::new(),
        }
    }

    fn session(&self) -> SessionId {
        SessionId(self.next_session.fetch_add(1, Ordering::Relaxed))
    }

    /// The path's record, made anew when there is none; `None` when no configuration allows it or there are too many. With
    /// an epoch, what is published from now on belongs to that one.
    pub(super) fn find_or_make(&mut self, path: &PathName, epoch: Option<Epoch>) -> Option<Arc<PathShared>> {
        if let Some(shared) = self.directory.find(path) {
            epoch.into_iter().for_each(|epoch| shared.stream.set_epoch(epoch));
            return Some(shared);
        }
        let policy = self.directory.policy.path(path)?;
        let mut paths = self.directory.paths.write();
        if paths.len() >= PATHS_MAX {
            return None;
        }
        let clock = self.directory.clock;
        let born = self.born(path).unwrap_or((clock.now(), clock.wall()));
        let stream = Stream::new(path.clone(), epoch.unwrap_or_default(), born, &policy.stream, &self.directory.budget);
        let shared = Arc::new(PathShared::new(stream, policy));
        paths.insert(path.clone(), shared.clone());
        Some(shared)
    }

    /// A claim was answered: the path's actor decides, if the path is this node's.
    fn claimed(
        &mut self,
        path: &PathName,
        claimed: Result<Epoch, ClaimError>,
        info: SessionInfo,
        tracks: Tracks,
        standby: Option<u8>,
    ) -> ResponseActFuture<Self, Result<(Arc<PathShared>, Accepted), PublishError>> {
        self.tenure.answered(path);
        let epoch = match (claimed, standby) {
            (Ok(epoch), _) => Some(epoch),
            // Another node has the path: this publisher waits for it.
            (Err(ClaimError::Owned(_)), Some(_)) => None,
            (Err(error), _) => return Box::pin(fut::err(error.into())),
        };
        let Some(shared) = self.find_or_make(path, epoch) else {
            self.directory.claimant.let_go(path);
            return Box::pin(fut::err(PublishError::NotConfigured));
        };
        // Until it is let in nobody hears that the path is another node's by now: it is looked at once more afterwards.
        self.guarded.add(path);
        let role =
            standby.map_or(PublisherRole::Active, |rank| PublisherRole::Standby { rank, owned: epoch.is_some() });
        let reaching = if epoch.is_some() { self.reach(&shared) } else { Box::pin(ready(Before::Nothing)) };
        let id = self.session();
        let make = move || Publish { id, info: info.clone(), tracks: tracks.clone(), role };
        // While others are asked the path must stay.
        shared.pending.fetch_add(1, Ordering::AcqRel);
        Box::pin(reaching.into_actor(self).then(move |before, this, ctx| {
            shared.stream.go_on_after(&before, this.directory.clock.now());
            shared.pending.fetch_sub(1, Ordering::AcqRel);
            let answer = this.forward(shared.clone(), make, ctx);
            answer.map(|answer, _, _| {
                let accepted = answer.unwrap_or(Err(PublishError::Unavailable))?;
                Ok((shared, accepted))
            })
        }))
    }

    /// Whether somebody is about to publish or read: a claim is not answered yet, or the actor has something to do.
    pub(super) fn is_awaiting(&self, shared: &PathShared) -> bool {
        self.tenure.is_claiming(shared.stream.path()) || shared.pending.load(Ordering::Acquire) > 0
    }

    /// How far others have come with a path that this node owns now.
    pub(super) fn reach(&self, shared: &PathShared) -> Pin<Box<dyn Future<Output = Before>>> {
        let path = shared.stream.path();
        let born = self.born(path);
        born.into_iter().for_each(|born| shared.stream.set_born(born));
        // Whoever had the path before may have come further than is known here; of one that is new nobody knows anything.
        let is_new = born.is_none_or(|(born, _)| self.directory.clock.now().since(born) < NEW_FOR);
        if is_new {
            return Box::pin(ready(Before::Nothing));
        }
        let reaching = self.directory.claimant.reached(path);
        Box::pin(async move { reaching.await.map_or(Before::Unknown, Before::Reached) })
    }

    /// Tells the path's actor something.
    pub(super) fn tell<M>(&mut self, shared: &Arc<PathShared>, message: M, ctx: &Context<Self>)
    where
        M: Message + Send + 'static,
        M::Result: Send,
        PathActor: Handler<M>,
    {
        let addr = self.actor(shared, &ctx.address());
        shared.pending.fetch_add(1, Ordering::AcqRel);
        addr.do_send(message);
    }

    /// When the path was born, as the cluster remembers it.
    fn born(&self, path: &PathName) -> Option<(Now, WallClock)> {
        let wall = self.directory.relays.get()?.born(path)?;
        let (now, today) = (self.directory.clock.now(), self.directory.clock.wall());
        let age = u64::try_from(today.unix_micros().saturating_sub(wall.unix_micros())).unwrap_or(0);
        Some((Now::from_micros(now.micros().saturating_sub(age)), wall))
    }

    /// The path's actor, alive.
    pub(super) fn actor(&mut self, shared: &Arc<PathShared>, registry: &Addr<Self>) -> Addr<PathActor> {
        let path = shared.stream.path();
        if let Some(addr) = self.actors.get(path).filter(|addr| addr.connected()) {
            return addr.clone();
        }
        let (record, registry, clock) = (shared.clone(), registry.clone(), self.directory.clock);
        let relays = self.directory.relays.get().cloned();
        let actor = if self.actors.contains_key(path) {
            error!(%path, "path actor lost, rebuilding it");
            shared.pending.store(0, Ordering::Release);
            PathActor::rebuild(record, registry, clock, relays)
        } else {
            PathActor::new(record, registry, clock, relays)
        };
        let addr = actor.start();
        self.actors.insert(path.clone(), addr.clone());
        addr
    }

    /// Sends to the path's actor and, when that is lost under the message, once more to its successor.
    fn forward<M>(&mut self, shared: Arc<PathShared>, make: impl Fn() -> M + 'static, ctx: &Context<Self>) -> Forward<M>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        PathActor: Handler<M>,
    {
        let registry = ctx.address();
        let first = self.actor(&shared, &registry);
        shared.pending.fetch_add(1, Ordering::AcqRel);
        let sent = first.send(make()).into_actor(self);
        Box::pin(sent.then(move |result, this, _| {
            let retry = result.is_err().then(|| {
                let second = this.actor(&shared, &registry);
                shared.pending.fetch_add(1, Ordering::AcqRel);
                second.send(make())
            });
            async move {
                match (result, retry) {
                    (Ok(answer), _) => Some(answer),
                    (Err(_), Some(retry)) => retry.await.ok(),
                    (Err(_), None) => None,
                }
            }
            .into_actor(this)
        }))
    }
}

/// The rank of a publisher that waits and names none: there is room before and behind it.
pub const STANDBY_RANK: NonZeroU8 = NonZeroU8::new(100).unwrap();

/// The first track that nobody could take over at any known place: what is not parsed has no random access points.
fn unspliceable(tracks: &Tracks) -> Option<&'static str> {
    let codecs = tracks.iter().map(|(_, track)| &track.codec);
    codecs.filter(|codec| matches!(codec, Codec::Opaque(opaque) if opaque.kind != Kind::Data)).map(Codec::label).next()
}

type Forward<M> = ResponseActFuture<Registry, Option<<M as Message>::Result>>;

impl Registry {
    /// Looks whether paths that have readers and no publisher are another node's by now.
    fn follow(&mut self, ctx: &mut Context<Self>) {
        let Some(relays) = self.directory.relays.get().cloned() else { return };
        if !relays.has_news(&mut self.followed) {
            return;
        }
        let unpublished = |shared: &&Arc<PathShared>| shared.publisher.lock().is_none();
        let waiting: Vec<_> = self.directory.paths.read().values().filter(unpublished).cloned().collect();
        for shared in waiting {
            if relays.is_elsewhere(shared.stream.path()) {
                self.tell(&shared, OwnerChanged, ctx);
            }
        }
    }
}

impl Actor for Registry {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(PATHS_MAX);
        ctx.run_interval(ROUND, |this, ctx| {
            let lost: Vec<PathName> =
                this.actors.iter().filter(|(_, addr)| !addr.connected()).map(|(path, _)| path.clone()).collect();
            for path in lost {
                match this.directory.find(&path) {
                    Some(shared) => drop(this.actor(&shared, &ctx.address())),
                    None => drop(this.actors.remove(&path)),
                }
            }
        });
        ctx.run_interval(FOLLOW, Self::follow);
        Self::guard(ctx);
    }
}

impl Handler<PublishRequest> for Registry {
    type Result = ResponseActFuture<Self, Result<(Arc<PathShared>, Accepted), PublishError>>;

    fn handle(&mut self, request: PublishRequest, _: &mut Self::Context) -> Self::Result {
        let Some(policy) = self.directory.policy.path(&request.path) else {
            return Box::pin(fut::err(PublishError::NotConfigured));
        };
        let PublishRequest { path, info, tracks, standby, pulled } = request;
        let standby = standby.or_else(|| policy.life.standby.then_some(STANDBY_RANK.get())).filter(|_| !pulled);
        if let Some(track) = standby.and_then(|_| unspliceable(&tracks)) {
            return Box::pin(fut::err(PublishError::NoRandomAccess(track)));
        }
        // Owned before it is published, on whichever node.
        let take_over = self.tenure.ask(&path, &policy.life) && standby.is_none();
        let is_taken = pulled && self.taking.remove(&path);
        let claimant = &self.directory.claimant;
        let claim = match pulled {
            true if is_taken => soon(claimant.claim_source(&path, true)),
            true => claimant.held(&path),
            false => claimant.claim(&path, take_over),
        };
        Box::pin(claim.into_actor(self).then(move |claimed, this, ctx| {
            if is_taken {
                this.taken(&path, claimed, ctx);
            }
            this.claimed(&path, claimed, info, tracks, standby)
        }))
    }
}

impl Handler<SubscribeRequest> for Registry {
    type Result = ResponseActFuture<Self, Result<(Arc<PathShared>, Arc<ReaderSlot>), SubscribeError>>;

    fn handle(&mut self, request: SubscribeRequest, ctx: &mut Self::Context) -> Self::Result {
        let Some(shared) = self.find_or_make(&request.path, None) else {
            return Box::pin(fut::err(SubscribeError::NotConfigured));
        };
        let id = self.session();
        let SubscribeRequest { info, role, .. } = request;
        let make = move || Subscribe { id, info: info.clone(), role };
        let answer = self.forward(shared.clone(), make, ctx);
        Box::pin(answer.map(|answer, _, _| {
            let slot = answer.unwrap_or(Err(SubscribeError::Unavailable))?;
            Ok((shared, slot))
        }))
    }
}

impl Handler<RelayRequest> for Registry {
    type Result = ResponseActFuture<Self, Result<Accepted, PublishError>>;

    fn handle(&mut self, request: RelayRequest, ctx: &mut Self::Context) -> Self::Result {
        let RelayRequest { shared, info, tracks } = request;
        // It may have been closed, and made anew for others, while another node was asked.
        if !self.directory.find(shared.stream.path()).is_some_and(|present| Arc::ptr_eq(&present, &shared)) {
            return Box::pin(fut::err(PublishError::Unavailable));
        }
        let id = self.session();
        let role = PublisherRole::Relayed;
        let make = move || Publish { id, info: info.clone(), tracks: tracks.clone(), role };
        Box::pin(self.forward(shared, make, ctx).map(|answer, _, _| answer.unwrap_or(Err(PublishError::Unavailable))))
    }
}

impl Handler<Notice> for Registry {
    type Result = ();

    fn handle(&mut self, notice: Notice, ctx: &mut Self::Context) {
        let Some(shared) = self.directory.find(&notice.path) else { return };
        let gone = if notice.publisher { Gone::Publisher(notice.id) } else { Gone::Reader(notice.id) };
        self.tell(&shared, gone, ctx);
    }
}

impl Handler<Reconfigured> for Registry {
    type Result = ();

    fn handle(&mut self, _: Reconfigured, ctx: &mut Self::Context) {
        self.review_assignments(ctx);
        for shared in self.directory.list() {
            match self.directory.policy.path(shared.stream.path()) {
                Some(policy) => {
                    if shared.set_policy(policy) {
                        self.tell(&shared, SettingsChanged, ctx);
                    }
                }
                None => shared.end_all(EndReason::NotConfigured),
            }
        }
    }
}

impl Handler<Unpublished> for Registry {
    type Result = ();

    fn handle(&mut self, gone: Unpublished, _: &mut Self::Context) {
        let Some(shared) = self.directory.find(&gone.path) else { return };
        // What is pulled is owned also while its source does not answer.
        let is_pulled = shared.pulled.load(Ordering::Acquire);
        let has_publisher = shared.publisher.lock().is_some();
        if !has_publisher && !is_pulled && !self.is_awaiting(&shared) {
            self.directory.claimant.hand_over(&gone.path);
        }
        let has_publisher = has_publisher || is_pulled;
        if self.tenure.lets_go_unpublished(&gone.path, has_publisher, &shared.policy().life) {
            self.directory.claimant.let_go(&gone.path);
        }
    }
}

impl Handler<PathClosed> for Registry {
    type Result = ();

    fn handle(&mut self, closed: PathClosed, _: &mut Self::Context) {
        let mut paths = self.directory.paths.write();
        let forget =
            paths.get(&closed.path).is_some_and(|shared| shared.stream.key() == closed.key && shared.is_unused());
        if forget {
            paths.remove(&closed.path);
            if self.tenure.lets_go_closed(&closed.path) {
                self.directory.claimant.let_go(&closed.path);
            }
            self.actors.remove(&closed.path);
        }
    }
}
