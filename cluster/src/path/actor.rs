//! The thin half of a path actor: feeds the core, carries out its commands.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use actix::prelude::*;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tracing::debug;
use weft_proto::media::Tracks;

use super::core::{Command, Core, Event, ReaderRole, Refusal, SessionId};
use super::pulling::{Unwanted, Wanted};
use super::pulse::Pulse;
use super::refusal::{PublishError, SubscribeError};
use super::registry::{PathClosed, Registry, Unpublished};
use super::shared::{EndReason, Outlet, PathShared, PublisherEvent, PublisherSlot, ReaderSlot, SessionInfo};
use super::standbys::Standby;
use super::standing::HandOver;
use crate::clock::Clock;
use crate::limits::{PATH_EVENTS_MAX, PATH_MAILBOX};
use crate::relay::Relays;

/// One path's actor. Holds nothing that [`PathShared`] does not tell as well.
pub(crate) struct PathActor {
    pub(super) core: Core,
    /// Commands of a rebuilt core, to be carried out at start.
    first: Vec<Command>,
    pub(super) shared: Arc<PathShared>,
    registry: Addr<Registry>,
    pub(super) clock: Clock,
    relays: Option<Relays>,
    timer: Option<SpawnHandle>,
    publishing: HashMap<SessionId, Publishing>,
    joining: HashMap<SessionId, Joining>,
}

struct Publishing {
    info: SessionInfo,
    tracks: Tracks,
    role: PublisherRole,
    reply: oneshot::Sender<Result<Accepted, PublishError>>,
}

struct Joining {
    slot: Arc<ReaderSlot>,
    reply: oneshot::Sender<Result<Arc<ReaderSlot>, SubscribeError>>,
}

/// What an accepted publisher gets.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) slot: Arc<PublisherSlot>,
    pub(crate) events: mpsc::Receiver<PublisherEvent>,
}

/// A publisher for this path.
#[derive(Message)]
#[rtype(result = "Result<Accepted, PublishError>")]
pub(crate) struct Publish {
    pub(crate) id: SessionId,
    pub(crate) info: SessionInfo,
    pub(crate) tracks: Tracks,
    pub(crate) role: PublisherRole,
}

/// As what a publisher comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PublisherRole {
    /// To be the active one.
    Active,
    /// To wait for its turn; to be the active one where this node owns the path and has none.
    Standby { rank: u8, owned: bool },
    /// It is another node's.
    Relayed,
}

/// A reader for this path.
#[derive(Message)]
#[rtype(result = "Result<Arc<ReaderSlot>, SubscribeError>")]
pub(crate) struct Subscribe {
    pub(crate) id: SessionId,
    pub(crate) info: SessionInfo,
    pub(crate) role: ReaderRole,
}

/// A publisher or reader has ended.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) enum Gone {
    Publisher(SessionId),
    Reader(SessionId),
}

/// Something else is agreed about the path's owner.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct OwnerChanged;

/// The path's source is pulled here from now on.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Pulled;

/// The path's policy has changed; the new one is in [`PathShared`].
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct SettingsChanged;

impl PathActor {
    /// A new path's actor.
    pub(crate) fn new(shared: Arc<PathShared>, registry: Addr<Registry>, clock: Clock, relays: Option<Relays>) -> Self {
        let core = Core::new(shared.policy().life.clone());
        Self::with_core((core, Vec::new()), shared, registry, clock, relays)
    }

    /// The successor of an actor that was lost.
    pub(crate) fn rebuild(
        shared: Arc<PathShared>,
        registry: Addr<Registry>,
        clock: Clock,
        relays: Option<Relays>,
    ) -> Self {
        let slot = shared.publisher.lock().clone();
        let relayed = slot.as_ref().is_some_and(|slot| slot.relayed);
        let publisher = slot.as_deref().map(standby);
        let standbys = shared.standbys.lock().iter().map(|slot| standby(slot)).collect();
        let readers: Vec<_> = shared.readers.lock().values().map(|slot| (slot.id, slot.role)).collect();
        let core = Core::rebuild(shared.policy().life.clone(), publisher, standbys, relayed, readers, clock.now());
        Self::with_core(core, shared, registry, clock, relays)
    }

    fn with_core(
        (core, first): (Core, Vec<Command>),
        shared: Arc<PathShared>,
        registry: Addr<Registry>,
        clock: Clock,
        relays: Option<Relays>,
    ) -> Self {
        let (publishing, joining) = (HashMap::new(), HashMap::new());
        Self { core, first, shared, registry, clock, relays, timer: None, publishing, joining }
    }

    pub(super) fn feed(&mut self, event: Event, ctx: &mut Context<Self>) {
        let commands = self.core.handle(event, self.clock.now());
        self.carry_out(commands, ctx);
    }

    fn carry_out(&mut self, commands: Vec<Command>, ctx: &mut Context<Self>) {
        for command in commands {
            match command {
                Command::Accept(id) => self.accept(id),
                Command::RefusePublisher(id) => {
                    if let Some(publishing) = self.publishing.remove(&id) {
                        let _ = publishing.reply.send(Err(PublishError::AlreadyPublished));
                    }
                }
                Command::Replace(id) => self.replace(id),
                Command::StandBy(id) => self.accept(id),
                Command::TakeOver(id) => self.take_over(id),
                Command::Demote(id) => self.demote(id),
                Command::HandOver => self.registry.do_send(HandOver { path: self.shared.stream.path().clone() }),
                Command::Attach(id) => self.attach(id),
                Command::Wait(_) => {}
                Command::RefuseReader(id, refusal) => self.refuse_reader(id, refusal),
                Command::EndReaders => self.shared.end_readers(EndReason::PublisherGone),
                Command::Demand => self.demand(),
                Command::DemandGone => {
                    self.tell_publisher(PublisherEvent::DemandGone);
                    self.end_relay();
                    let path = self.shared.stream.path().clone();
                    self.registry.do_send(Unwanted { path });
                }
                Command::EndRelay => self.end_relay(),
                Command::Arm(at) => {
                    let delay = at.since(self.clock.now());
                    let armed = ctx.run_later(delay, |actor, ctx| actor.feed(Event::Timer, ctx));
                    if let Some(old) = self.timer.replace(armed) {
                        ctx.cancel_future(old);
                    }
                }
                Command::Close => {
                    let stream = &self.shared.stream;
                    self.registry.do_send(PathClosed { path: stream.path().clone(), key: stream.key() });
                }
            }
        }
    }

    /// A publisher is wanted: of another node, or a source.
    fn demand(&self) {
        let path = self.shared.stream.path();
        debug!(%path, "publisher wanted");
        match self.relays.as_ref().filter(|_| self.is_elsewhere()) {
            Some(relays) => relays.want(self.shared.clone()),
            None if self.shared.policy().source.is_some() => self.registry.do_send(Wanted { path: path.clone() }),
            None => {}
        }
    }

    fn end_relay(&self) {
        if let Some(relays) = &self.relays {
            relays.forget(self.shared.stream.path());
        }
    }

    fn accept(&mut self, id: SessionId) {
        let Some(Publishing { info, tracks, role, reply }) = self.publishing.remove(&id) else { return };
        let (sender, events) = mpsc::channel(PATH_EVENTS_MAX);
        let stream = &self.shared.stream;
        let waits = self.core.publisher() != Some(id);
        let outlet = match role {
            _ if waits => self.outlet_of_standby(tracks),
            PublisherRole::Relayed => Outlet { generation: stream.begin_relay(tracks), stream: stream.clone() },
            _ => Outlet { generation: stream.begin(tracks), stream: stream.clone() },
        };
        let slot = Arc::new(PublisherSlot {
            id,
            info,
            since: self.clock.wall(),
            events: sender,
            ended: Default::default(),
            pulse: Pulse::begin(self.clock.now()),
            relayed: role == PublisherRole::Relayed,
            rank: role.rank(),
            outlet: Mutex::new(outlet),
        });
        if waits {
            self.shared.standbys.lock().push(slot.clone());
        } else {
            *self.shared.publisher.lock() = Some(slot.clone());
        }
        // If the session is gone meanwhile, dropping the reply tells the registry, which sends `Gone`.
        let _ = reply.send(Ok(Accepted { slot, events }));
    }

    fn replace(&self, id: SessionId) {
        let mut publisher = self.shared.publisher.lock();
        if let Some(slot) = publisher.take_if(|slot| slot.id == id) {
            slot.end(EndReason::Replaced);
        }
    }

    fn attach(&mut self, id: SessionId) {
        let Some(Joining { slot, reply }) = self.joining.remove(&id) else { return };
        self.shared.readers.lock().insert(id, slot.clone());
        let _ = reply.send(Ok(slot));
    }

    fn refuse_reader(&mut self, id: SessionId, refusal: Refusal) {
        let Some(joining) = self.joining.remove(&id) else { return };
        let error = match refusal {
            Refusal::NoStream => SubscribeError::NoStream,
            Refusal::TooManyReaders => SubscribeError::TooManyReaders,
        };
        let _ = joining.reply.send(Err(error));
    }

    /// Whether another node owns the path.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.relays.as_ref().is_some_and(|relays| relays.is_elsewhere(self.shared.stream.path()))
    }

    fn tell_publisher(&self, event: PublisherEvent) {
        if let Some(slot) = &*self.shared.publisher.lock() {
            let _ = slot.events.try_send(event);
        }
    }

    /// A request left the registry's hands.
    pub(super) fn arrived(&self) {
        self.shared.pending.fetch_sub(1, Ordering::AcqRel);
        if self.shared.panic_next.swap(false, Ordering::AcqRel) {
            panic!("asked to by a test");
        }
    }
}

impl PublisherRole {
    /// Who comes to be the active one is the best that there is.
    const fn rank(self) -> u8 {
        match self {
            Self::Standby { rank, .. } => rank,
            Self::Active | Self::Relayed => 0,
        }
    }
}

/// What the core knows of a publisher.
fn standby(slot: &PublisherSlot) -> Standby {
    Standby { id: slot.id, identity: slot.info.identity.clone(), rank: slot.rank }
}

impl Actor for PathActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(PATH_MAILBOX);
        let first = core::mem::take(&mut self.first);
        self.carry_out(first, ctx);
    }
}

impl Handler<Publish> for PathActor {
    type Result = ResponseFuture<Result<Accepted, PublishError>>;

    fn handle(&mut self, message: Publish, ctx: &mut Self::Context) -> Self::Result {
        self.arrived();
        let Publish { id, info, tracks, role } = message;
        let identity = info.identity.clone();
        let (reply, answer) = oneshot::channel();
        self.publishing.insert(id, Publishing { info, tracks, role, reply });
        let silent_for = self.shared.silent_for(self.clock.now());
        let event = match role {
            PublisherRole::Active => Event::Publish { id, identity, silent_for },
            PublisherRole::Standby { rank, owned } => Event::StandBy { id, identity, rank, owned },
            PublisherRole::Relayed => Event::Relay { id },
        };
        self.feed(event, ctx);
        Box::pin(async { answer.await.unwrap_or(Err(PublishError::Unavailable)) })
    }
}

impl Handler<Subscribe> for PathActor {
    type Result = ResponseFuture<Result<Arc<ReaderSlot>, SubscribeError>>;

    fn handle(&mut self, message: Subscribe, ctx: &mut Self::Context) -> Self::Result {
        self.arrived();
        let Subscribe { id, info, role } = message;
        let (reply, answer) = oneshot::channel();
        let (ended, skipped, drain) = Default::default();
        let slot = Arc::new(ReaderSlot { id, info, role, ended, skipped, drain });
        self.joining.insert(id, Joining { slot, reply });
        let elsewhere = self.is_elsewhere();
        self.feed(Event::Subscribe { id, role, elsewhere }, ctx);
        Box::pin(async { answer.await.unwrap_or(Err(SubscribeError::Unavailable)) })
    }
}

impl Handler<OwnerChanged> for PathActor {
    type Result = ();

    fn handle(&mut self, _: OwnerChanged, ctx: &mut Self::Context) {
        self.arrived();
        if self.is_elsewhere() {
            self.feed(Event::Elsewhere, ctx);
        }
    }
}

impl Handler<Pulled> for PathActor {
    type Result = ();

    fn handle(&mut self, _: Pulled, ctx: &mut Self::Context) {
        self.arrived();
        self.feed(Event::Pulled, ctx);
    }
}

impl Handler<SettingsChanged> for PathActor {
    type Result = ();

    fn handle(&mut self, _: SettingsChanged, ctx: &mut Self::Context) {
        self.arrived();
        let settings = self.shared.policy().life.clone();
        self.feed(Event::Settings(settings), ctx);
    }
}

impl Handler<Gone> for PathActor {
    type Result = ();

    fn handle(&mut self, message: Gone, ctx: &mut Self::Context) {
        self.arrived();
        match message {
            Gone::Publisher(id) => {
                self.tell_ready(ctx);
                self.feed(Event::PublisherGone { id }, ctx);
                if self.core.publisher().is_none() && self.is_elsewhere() {
                    self.feed(Event::Elsewhere, ctx);
                } else if self.core.publisher().is_none() {
                    self.registry.do_send(Unpublished { path: self.shared.stream.path().clone() });
                }
            }
            Gone::Reader(id) => {
                self.joining.remove(&id);
                self.feed(Event::ReaderGone { id }, ctx);
            }
        }
    }
}
