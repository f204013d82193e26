//! The child's end: one path of another node, as it is heard here.
//!
//! As long as somebody reads the path here, it is subscribed to at the parent that the tree names. When another one is
//! named (the path has moved, a node has come or gone), that one is subscribed to first, from the last unit on, and then the
//! old one is let go.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};
use tracing::{debug, info};
use weft_proto::id::{PathName, Position};
use weft_proto::media::Tracks;
use weft_proto::time::Now;
use weft_proto::wire::entry::NodeId;
use weft_proto::wire::relay::{
    Accepted, From, Live, RelayRefusal, Relayed, Subscribe, ToChild, ToParent, decode_tracks,
};

use super::inbox::{Inbox, Opening, Session};
use super::merge::{LaneKey, Merge};
use super::shard::Shard;
use super::{Relays, Route, words};
use crate::clock::Clock;
use crate::limits::RELAY_DEADLINE;
use crate::path::{Identity, PathShared, PublisherEvent, SessionInfo};
use crate::publication::Relaying;
use crate::stream::RelayedUnit;

/// How long readers wait at most for the rest of what a parent had when it was asked, if it has not said where its live edge is.
const CATCH_UP: Duration = Duration::from_millis(150);

/// How many nodes are asked that a parent has named instead of itself, and how long each may take. They carry the path and are
/// no further away than the parent; so all that can be wrong with them is known soon.
const OTHERS_MAX: usize = 4;
const OTHER_WITHIN: Duration = Duration::from_secs(1);

/// A path that nobody owns is not carried any more after this time; whoever reads it here is told nothing of that.
const OWNERLESS: Duration = Duration::from_millis(300);

/// Pause after an attempt in vain; it doubles up to a second.
const RETRY_FIRST: Duration = Duration::from_millis(20);
const RETRY_LAST: Duration = Duration::from_secs(1);

/// One path of another node.
pub(super) struct Upstream {
    path: Arc<PathShared>,
    state: RefCell<State>,
    /// The route, the feed or the session may have changed.
    changed: Notify,
    route: Cell<Option<Route>>,
    /// From whom it came last.
    parent: Cell<Option<NodeId>>,
    ended: Cell<bool>,
}

struct State {
    merge: Option<Merge>,
    /// Units that have their place and wait for readers to be let in.
    units: Vec<RelayedUnit>,
    feed: Option<Relaying>,
    /// The parent's last unit when it was asked; until it is here, readers wait.
    newest: Option<Position>,
    tracks: Option<Tracks>,
    timer: bool,
}

/// How carrying a path on a shard ends.
pub(super) enum Ending {
    /// It is not to be carried any more.
    Over,
    /// Its new parent's paths are carried by another shard.
    Moves(Moving),
}

/// A path on its way from one shard to another. Its subscription is over: the next one goes on after the last unit.
pub(super) struct Moving {
    pub(super) path: Arc<PathShared>,
    pub(super) parent: NodeId,
    feed: Option<Relaying>,
    tracks: Option<Tracks>,
}

impl Upstream {
    pub(super) fn new(path: Arc<PathShared>) -> Rc<Self> {
        Self::with(path, None, None)
    }

    /// Goes on with a path that another shard has carried.
    pub(super) fn continued(Moving { path, feed, tracks, .. }: Moving) -> Rc<Self> {
        Self::with(path, feed, tracks)
    }

    fn with(path: Arc<PathShared>, feed: Option<Relaying>, tracks: Option<Tracks>) -> Rc<Self> {
        let state = State { merge: None, units: Vec::new(), feed, newest: None, tracks, timer: false };
        Rc::new(Self {
            path,
            state: RefCell::new(state),
            changed: Notify::new(),
            route: Cell::new(None),
            parent: Cell::new(None),
            ended: Cell::new(false),
        })
    }

    /// Whether both are for the same life of the path.
    pub(super) fn carries(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.path, &other.path)
    }

    pub(super) fn name(&self) -> &PathName {
        self.path.stream.path()
    }

    /// Nobody reads it any more.
    pub(super) fn end(&self) {
        self.ended.set(true);
        self.changed.notify_one();
    }

    /// Something else is agreed: looks whether the path comes another way now.
    pub(super) fn look(&self, relays: &Relays) {
        let route = relays.route(self.name());
        if self.route.replace(route) != route {
            self.changed.notify_one();
        }
    }

    /// Carries the path for as long as it is read here and another node has it.
    pub(super) async fn run(self: &Rc<Self>, shard: &Rc<Shard>) -> Ending {
        let relays = &shard.relays;
        self.route.set(relays.route(self.name()));
        let mut session: Option<Session> = None;
        let mut pause = RETRY_FIRST;
        while !self.ended.get() {
            if session.as_ref().is_some_and(|session| session.inbox.is_over()) {
                self.leave(session.take());
            }
            let route = self.route.get();
            match route {
                None if session.is_none() => {
                    // Between two owners there may be none for a moment.
                    if timeout(OWNERLESS, self.leads_elsewhere(None)).await.is_err() {
                        // One may be agreed on that was not looked for yet.
                        self.look(relays);
                        if self.route.get().is_none() {
                            break;
                        }
                    }
                    continue;
                }
                Some(Route { parent, .. }) if relays.must_move(self.name(), parent) => {
                    self.leave(session);
                    return Ending::Moves(self.move_to(relays, parent));
                }
                Some(route) if session.as_ref().is_none_or(|session| session.route != route) => {
                    // A parent that is gone does not answer: another one may be named meanwhile.
                    let found = tokio::select! {
                        biased;
                        found = self.find(shard, route) => found,
                        () = self.leads_elsewhere(Some(route)) => Err(None),
                    };
                    match found {
                        Ok((next, accepted)) => {
                            pause = RETRY_FIRST;
                            self.leave(session.take());
                            self.switch(relays, &next, accepted);
                            session = Some(next);
                        }
                        Err(refusal) => {
                            debug!(path = %self.name(), ?route, ?refusal, "no relay yet");
                            if timeout(pause, self.leads_elsewhere(Some(route))).await.is_ok() {
                                pause = RETRY_FIRST;
                            } else {
                                pause = (pause * 2).min(RETRY_LAST);
                            }
                            continue;
                        }
                    }
                }
                _ => {}
            }
            if !self.attend(shard, session.as_mut()).await {
                break;
            }
        }
        self.leave(session);
        relays.0.above.lock().remove(self.name());
        self.state.borrow_mut().feed = None;
        Ending::Over
    }

    /// Waits until the path is to come another way than this, or not at all.
    async fn leads_elsewhere(&self, route: Option<Route>) {
        while !self.ended.get() && self.route.get() == route {
            self.changed.notified().await;
        }
    }

    /// Takes along what another shard needs to go on.
    fn move_to(&self, relays: &Relays, parent: NodeId) -> Moving {
        relays.0.above.lock().remove(self.name());
        let mut state = self.state.borrow_mut();
        // Readers have what was passed on; the rest is asked for again.
        state.merge = None;
        Moving { path: self.path.clone(), parent, feed: state.feed.take(), tracks: state.tracks.take() }
    }

    /// Asks the parent for the path, or those that it names instead; and it again, when none of them has the path.
    async fn find(
        self: &Rc<Self>,
        shard: &Rc<Shard>,
        route: Route,
    ) -> Result<(Session, Accepted), Option<RelayRefusal>> {
        let ask = |node, patience| async move {
            timeout(patience, self.subscribe(shard, route, node)).await.unwrap_or(Err(None))
        };
        let others = match ask(route.parent, RELAY_DEADLINE).await {
            Err(Some(RelayRefusal::Busy(others))) => others,
            answer => return answer,
        };
        for node in others.into_iter().filter(|node| *node != shard.relays.0.me).take(OTHERS_MAX) {
            if self.ended.get() || self.route.get() != Some(route) {
                return Err(None);
            }
            if let Ok(found) = ask(node, OTHER_WITHIN).await {
                return Ok(found);
            }
        }
        ask(route.parent, RELAY_DEADLINE).await
    }

    /// Asks a node for the path.
    async fn subscribe(
        self: &Rc<Self>,
        shard: &Rc<Shard>,
        route: Route,
        node: NodeId,
    ) -> Result<(Session, Accepted), Option<RelayRefusal>> {
        let peer = shard.peer(node).await.ok_or(None)?;
        let connection = peer.connection().ok_or(None)?.clone();
        let (send, mut recv) = connection.open_bi().await.map_err(|_| None)?;
        let id = send.id().index();
        let inbox = Inbox::new(self.clone(), shard.relays.0.clock);
        // Before it is asked for: media may be quicker than the answer.
        peer.deliver(id, inbox.clone());
        let session = Session { route, peer: peer.clone(), id, send, inbox };
        let mut session = Opening(Some(session));
        let from = self.path.stream.newest().map_or(From::NewestGroup, From::After);
        let (path, epoch, hops) = (self.name().clone(), route.epoch, vec![shard.relays.0.me]);
        let wish = ToParent::Subscribe(Subscribe { path, from, epoch, hops });
        let send = &mut session.0.as_mut().ok_or(None)?.send;
        words::write(send, wish.encode()).await.map_err(|_| None)?;
        #[cfg(feature = "next-level")]
        words::write(send, weft_proto::wire::word_of_the_next_level()).await.map_err(|_| None)?;
        let answer = words::read(&mut recv, RELAY_DEADLINE).await.map_err(|_| None)?;
        let accepted = match ToChild::decode(&answer) {
            Ok(Some(ToChild::Accepted(accepted))) => accepted,
            Ok(Some(ToChild::Refused(refusal))) => return Err(Some(refusal)),
            _ => return Err(None),
        };
        let session = session.0.take().ok_or(None)?;
        let inbox = session.inbox.clone();
        spawn_local(async move { inbox.hear(recv, connection).await });
        Ok((session, accepted))
    }

    /// Listens to a session from now on.
    fn switch(self: &Rc<Self>, relays: &Relays, session: &Session, accepted: Accepted) {
        let Accepted { epoch, tracks, above, newest } = accepted;
        info!(path = %self.name(), parent = %session.peer.node(), ?epoch, "the path comes from another node");
        self.parent.set(Some(session.peer.node()));
        relays.0.above.lock().insert(self.name().clone(), above);
        let mut state = self.state.borrow_mut();
        let patience = relays.0.latency_max;
        let last = self.path.stream.newest();
        // What the parent before has sent and not been passed on is asked for again.
        state.merge = Some(Merge::new(last, patience));
        state.units.clear();
        state.newest = newest;
        state.tracks = decode_tracks(&tracks).or(state.tracks.take());
        drop(state);
        session.inbox.open();
        self.changed.notify_one();
    }

    fn leave(&self, session: Option<Session>) {
        if let Some(mut session) = session {
            session.inbox.close();
            session.peer.forget(session.id);
            // Fails when the connection has ended.
            let _ = session.send.finish();
        }
    }

    /// Waits until something is to be done; false when the path is not to be carried any more.
    async fn attend(self: &Rc<Self>, shard: &Rc<Shard>, session: Option<&mut Session>) -> bool {
        if self.state.borrow().feed.is_none() && !self.let_in(shard).await {
            return false;
        }
        let event = poll_fn(|cx| match &mut self.state.borrow_mut().feed {
            Some(feed) => feed.poll_event(cx),
            None => std::task::Poll::Pending,
        });
        tokio::select! {
            () = self.changed.notified() => {}
            event = event => match event {
                PublisherEvent::Ended(reason) => {
                    debug!(path = %self.name(), ?reason, "the relay of a path is over");
                    return false;
                }
                PublisherEvent::DemandGone => return false,
                PublisherEvent::KeyframeWanted | PublisherEvent::Drain => {}
            },
        }
        if let Some(session) = session
            && self.path.stream.take_keyframe_wanted()
            && words::write(&mut session.send, ToParent::KeyframeWanted(()).encode()).await.is_err()
        {
            session.inbox.cut();
        }
        true
    }

    /// Lets readers in once all of them can begin at the live edge: it is known where that is, or all that the parent had is here.
    async fn let_in(self: &Rc<Self>, shard: &Rc<Shard>) -> bool {
        let clock = shard.relays.0.clock;
        let ready = async {
            while !self.knows_the_edge(clock.now()) && !self.has_caught_up() && !self.ended.get() {
                self.changed.notified().await;
            }
        };
        let _ = timeout(CATCH_UP, ready).await;
        let Some(tracks) = self.state.borrow().tracks.clone() else { return true };
        let Some(fabric) = shard.relays.fabric() else { return false };
        let identity = Identity { user: String::new(), address: None };
        let id = self.parent.get().map_or_else(String::new, |parent| parent.to_string());
        let info = SessionInfo { kind: RELAY_KIND, id, identity };
        match fabric.relay(self.path.clone(), info, tracks).await {
            Ok(feed) => {
                self.state.borrow_mut().feed = Some(feed);
                self.pass_on();
                true
            }
            // A publisher has come here meanwhile.
            Err(error) => {
                debug!(path = %self.name(), %error, "the relay of a path is not wanted");
                false
            }
        }
    }

    /// Readers begin there by themselves, whatever of the way is still missing. The first unit makes the epoch known.
    fn knows_the_edge(&self, now: Now) -> bool {
        self.path.stream.live(now).is_some() && !self.state.borrow().units.is_empty()
    }

    fn has_caught_up(&self) -> bool {
        let state = self.state.borrow();
        let Some(newest) = state.newest else { return state.tracks.is_some() };
        state.units.last().is_some_and(|unit| unit.position >= newest)
    }

    /// A unit has come, as the parent places it.
    pub(super) fn arrived(&self, key: LaneKey, relayed: Relayed, now: Now) {
        let mut state = self.state.borrow_mut();
        if state.tracks.as_ref().is_none_or(|known| !known.is_same_list(&relayed.tracks)) {
            state.tracks = Some(relayed.tracks.clone());
        }
        if let Some(merge) = &mut state.merge {
            merge.arrived(key, relayed, now);
        }
    }

    /// The parent's live edge, as it was so long ago.
    pub(super) fn is_live(&self, live: Live, ago: Duration, now: Now) {
        self.path.stream.expect(live, ago, now);
        self.wake();
    }

    pub(super) fn tracks(&self) -> Option<Tracks> {
        self.state.borrow().tracks.clone()
    }

    pub(super) fn with_merge<R>(&self, with: impl FnOnce(&mut Merge) -> R) -> Option<R> {
        self.state.borrow_mut().merge.as_mut().map(with)
    }

    /// There is something to be looked at.
    pub(super) fn wake(&self) {
        self.changed.notify_one();
    }

    /// Puts what has come in order, and into the log.
    pub(super) fn flush(self: &Rc<Self>, clock: Clock) {
        let now = clock.now();
        let mut state = self.state.borrow_mut();
        let State { merge, units, .. } = &mut *state;
        let Some(merge) = merge else { return };
        let before = units.len();
        merge.take(now, units);
        if let Some(unit) = units[before..].iter().find(|unit| unit.missed) {
            debug!(path = %self.name(), position = ?unit.position, after = ?unit.relayed.after, told = unit.relayed.missed, "something of a path has not come here");
        }
        let wake_at = merge.wake_at();
        let is_new = !units.is_empty();
        let is_fed = state.feed.is_some();
        if let Some(at) = wake_at.filter(|_| !core::mem::replace(&mut state.timer, true)) {
            let this = self.clone();
            spawn_local(async move {
                sleep(at.since(now).max(Duration::from_millis(1))).await;
                this.state.borrow_mut().timer = false;
                this.flush(clock);
            });
        }
        drop(state);
        if is_new && is_fed {
            self.pass_on();
        } else if is_new {
            self.changed.notify_one();
        }
    }

    fn pass_on(&self) {
        let mut state = self.state.borrow_mut();
        let State { feed, units, .. } = &mut *state;
        let Some(feed) = feed else { return };
        // A feed that was replaced says so itself.
        let _ = feed.push(units);
        if self.path.stream.is_keyframe_wanted() {
            self.changed.notify_one();
        }
    }
}

/// What a relay is called among publishers and readers.
pub(super) const RELAY_KIND: &str = "relay";
