//! Publishers that wait: what the actor does with them, and how the registry keeps what the cluster knows of them true.
//!
//! The registry looks several times a second at each path for which somebody waits, here or elsewhere, and compares: what is
//! agreed is to be what is so. A lost answer, a node that was thought dead, a path that nobody owns any more: all are found
//! by the next look.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::prelude::*;
use tracing::{debug, info, warn};
use weft_proto::id::{Epoch, PathName};
use weft_proto::media::Tracks;
use weft_proto::time::Now;

use super::actor::PathActor;
use super::core::{Event, SessionId};
use super::registry::Registry;
use super::shared::{Outlet, PathShared, PublisherSlot};
use crate::ownership::OwnedBy;
use crate::stream::Stream;

/// How often all that wait are looked at. A stall is noticed so much later at the most.
const LOOK: Duration = Duration::from_millis(50);

/// A better publisher must have been well for so long to get its path back: one that comes and goes would take it to and fro.
const RETURN_AFTER: Duration = Duration::from_secs(5);

/// The paths for which somebody waits on this node, as the registry goes about it.
#[derive(Debug, Default)]
pub(super) struct Guarded {
    /// Publishers of this node wait for these, or did a moment ago.
    paths: BTreeSet<PathName>,
    /// Something is being asked of the cluster about these.
    asking: BTreeSet<PathName>,
    /// Since when somebody better than the active publisher waits elsewhere, and with which rank.
    returning: BTreeMap<PathName, (u8, Now)>,
}

impl Guarded {
    /// Somebody waits for the path.
    pub(super) fn add(&mut self, path: &PathName) {
        self.paths.insert(path.clone());
    }
}

/// Nobody here can take over: whoever waits on another node is to have the path.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct HandOver {
    pub(crate) path: PathName,
}

/// The cluster has given the path to this node, for a publisher that waits here.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Promoted {
    pub(crate) path: PathName,
    pub(crate) epoch: Epoch,
}

/// A standby of another node has taken the path over.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Passed {
    pub(crate) path: PathName,
}

/// It is time to look at who publishes and who waits.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Look;

/// This node owns the path, for a publisher of it that waits.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Turn;

/// Another node has the path now; the publisher here waits.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Demoted;

impl PublisherSlot {
    /// Whether it waits for its turn.
    pub(crate) fn waits(&self, shared: &PathShared) -> bool {
        self.outlet.lock().stream.key() != shared.stream.key()
    }

    /// Whether it could take over now: it sends, and decoding can begin with what it has sent.
    pub(crate) fn is_ready(&self, now: Now) -> bool {
        self.ended.get().is_none() && !self.pulse.has_stalled(now) && self.outlet.lock().stream.has_group()
    }
}

impl PathShared {
    /// Publishers that wait and could take over now, the next one first.
    pub(crate) fn ready(&self, now: Now) -> Vec<Arc<PublisherSlot>> {
        let mut ready: Vec<_> = self.standbys.lock().iter().filter(|slot| slot.is_ready(now)).cloned().collect();
        ready.sort_by_key(|slot| slot.rank);
        ready
    }

    /// The publisher of this node that is active.
    pub(crate) fn active(&self) -> Option<Arc<PublisherSlot>> {
        self.publisher.lock().clone().filter(|slot| !slot.relayed)
    }
}

impl PathActor {
    /// Where the units of one that waits go.
    pub(super) fn outlet_of_standby(&self, tracks: Tracks) -> Outlet {
        let (path, policy) = (self.shared.stream.path(), self.shared.policy());
        let stream = Stream::of_standby(path.clone(), tracks, &policy.stream, self.shared.stream.budget());
        Outlet { generation: stream.generation(), stream }
    }

    /// Tells the core who can take over now.
    pub(super) fn tell_ready(&mut self, ctx: &mut Context<Self>) {
        if !self.shared.standbys.lock().is_empty() {
            let ready = self.shared.ready(self.clock.now()).iter().map(|slot| slot.id).collect();
            self.feed(Event::Ready(ready), ctx);
        }
    }

    /// One that waited publishes from now on, beginning with the newest group that it has sent.
    pub(super) fn take_over(&self, id: SessionId) {
        let Some(slot) = take(&self.shared, id) else { return };
        let (stream, now) = (&self.shared.stream, self.clock.now());
        let mut outlet = slot.outlet.lock();
        let group = outlet.stream.group();
        let units = group.len();
        let Some(tracks) = outlet.stream.tracks() else { return };
        let generation = stream.splice(tracks, group, now);
        *outlet = Outlet { stream: stream.clone(), generation };
        drop(outlet);
        let (path, epoch) = (stream.path(), stream.epoch().0);
        info!(%path, epoch, kind = slot.info.kind, session = slot.info.id, units, "a standby has taken over");
        *self.shared.publisher.lock() = Some(slot);
    }

    /// The active publisher waits from now on.
    pub(super) fn demote(&self, id: SessionId) {
        let Some(slot) = self.shared.publisher.lock().take_if(|slot| slot.id == id) else { return };
        let stream = &self.shared.stream;
        if let Some(tracks) = stream.tracks() {
            *slot.outlet.lock() = self.outlet_of_standby(tracks);
        }
        info!(path = %stream.path(), kind = slot.info.kind, session = slot.info.id, "the publisher stands by from now on");
        self.shared.standbys.lock().push(slot);
    }
}

fn take(shared: &PathShared, id: SessionId) -> Option<Arc<PublisherSlot>> {
    let mut standbys = shared.standbys.lock();
    let at = standbys.iter().position(|slot| slot.id == id)?;
    Some(standbys.remove(at))
}

impl Handler<Look> for PathActor {
    type Result = ();

    fn handle(&mut self, _: Look, ctx: &mut Self::Context) {
        self.arrived();
        self.tell_ready(ctx);
        let now = self.clock.now();
        let Some(active) = self.shared.active() else { return };
        if active.pulse.has_stalled(now) {
            self.feed(Event::Stalled { id: active.id }, ctx);
            if self.core.publisher() != Some(active.id) {
                let (path, silent_for) = (self.shared.stream.path(), active.pulse.silent_for(now));
                warn!(%path, session = active.info.id, ?silent_for, "the publisher sends nothing any more");
            }
        } else if let Some(better) =
            self.shared.ready(now).first().filter(|slot| slot.pulse.well_for(now) >= RETURN_AFTER)
        {
            self.feed(Event::Recovered { id: better.id }, ctx);
        }
    }
}

impl Handler<Turn> for PathActor {
    type Result = ();

    fn handle(&mut self, _: Turn, ctx: &mut Self::Context) {
        self.arrived();
        self.tell_ready(ctx);
        self.feed(Event::Turn, ctx);
    }
}

impl Handler<Demoted> for PathActor {
    type Result = ();

    fn handle(&mut self, _: Demoted, ctx: &mut Self::Context) {
        self.arrived();
        // Meanwhile it may have come back.
        if self.is_elsewhere() {
            self.feed(Event::Passed, ctx);
        }
    }
}

impl Registry {
    /// Begins to look after those that wait.
    pub(super) fn guard(ctx: &mut Context<Self>) {
        ctx.run_interval(LOOK, Self::look);
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        let awaited = self.directory.claimant.awaited();
        let paths: BTreeSet<PathName> = self.guarded.paths.iter().chain(&awaited).cloned().collect();
        self.guarded.returning.retain(|path, _| paths.contains(path));
        for path in paths {
            match self.directory.find(&path) {
                Some(shared) => self.look_at(&shared, ctx),
                None => self.abandon(&path),
            }
        }
    }

    fn look_at(&mut self, shared: &Arc<PathShared>, ctx: &mut Context<Self>) {
        let (path, now) = (shared.stream.path().clone(), self.directory.clock.now());
        let is_quiet = !self.is_awaiting(shared);
        self.tell(shared, Look, ctx);
        let standing = self.directory.claimant.standing(&path);
        // Somebody may be on the way to those that wait.
        let is_settled = standing.owner != OwnedBy::Nobody || shared.active().is_none();
        if is_quiet && is_settled && shared.standbys.lock().is_empty() {
            self.guarded.paths.remove(&path);
        }
        let best = shared.ready(now).first().map(|slot| slot.rank);
        let active = shared.active();
        match (standing.owner, best) {
            (OwnedBy::This, _) if active.is_some() => self.give_back(shared, standing.best_elsewhere, now),
            // Somebody may be about to publish.
            (OwnedBy::This, _) if !is_quiet => {}
            (OwnedBy::This, Some(_)) => self.assigned(shared.clone(), standing.epoch, ctx),
            (OwnedBy::This, None) => self.directory.claimant.hand_over(&path),
            // It may not have heard of it, if it was being let in.
            (OwnedBy::Other, _) if active.is_some() => self.tell(shared, Demoted, ctx),
            (OwnedBy::Nobody, _) if active.is_some() && is_quiet => self.claim_again(shared.clone(), ctx),
            (_, Some(_)) if active.is_some() => {}
            (OwnedBy::Other, Some(rank)) if standing.registered != best => self.register(&path, rank, ctx),
            (OwnedBy::Nobody, Some(_)) if standing.is_next || standing.best_elsewhere.is_none() => {
                self.claim_for_standby(shared.clone(), ctx);
            }
            (_, None) if standing.registered.is_some() => self.directory.claimant.stand_down(&path),
            _ => {}
        }
    }

    /// Nobody uses the path here any more.
    fn abandon(&mut self, path: &PathName) {
        self.guarded.paths.remove(path);
        let standing = self.directory.claimant.standing(path);
        if standing.registered.is_some() {
            self.directory.claimant.stand_down(path);
        } else if standing.owner == OwnedBy::This && !self.tenure.is_claiming(path) {
            self.directory.claimant.hand_over(path);
        }
    }

    /// The path goes back to a better publisher on another node, if it is to, once that has been well for long enough.
    fn give_back(&mut self, shared: &PathShared, best_elsewhere: Option<u8>, now: Now) {
        let path = shared.stream.path();
        let present = shared.active().map_or(0, |active| active.rank);
        let better = best_elsewhere.filter(|rank| shared.policy().life.standby_return && *rank < present);
        let Some(rank) = better else {
            self.guarded.returning.remove(path);
            return;
        };
        let waits = self.guarded.returning.entry(path.clone()).or_insert((rank, now));
        if waits.0 != rank {
            *waits = (rank, now);
        }
        if now.since(waits.1) >= RETURN_AFTER {
            info!(%path, "the path goes back to a better publisher");
            self.guarded.returning.remove(path);
            self.directory.claimant.hand_over(path);
        }
    }

    /// Lets the cluster know that a publisher of this node waits.
    fn register(&mut self, path: &PathName, rank: u8, ctx: &mut Context<Self>) {
        if !self.guarded.asking.insert(path.clone()) {
            return;
        }
        let asked = self.directory.claimant.stand_by(path, rank).into_actor(self);
        let path = path.clone();
        let answered = asked.map(move |answer, this, _| {
            this.guarded.asking.remove(&path);
            match answer {
                Ok(()) => info!(%path, rank, "the cluster knows of the standby"),
                // Seen again with the next look.
                Err(error) => debug!(%path, %error, "the cluster does not know of the standby yet"),
            }
        });
        ctx.spawn(answered);
    }

    /// A path that nobody owns any more becomes this node's, for a publisher that waits.
    fn claim_for_standby(&mut self, shared: Arc<PathShared>, ctx: &mut Context<Self>) {
        let path = shared.stream.path().clone();
        if !self.guarded.asking.insert(path.clone()) {
            return;
        }
        let claim = self.directory.claimant.claim(&path, false).into_actor(self);
        let claimed = claim.map(move |claimed, this, ctx| {
            this.guarded.asking.remove(&path);
            if let Ok(epoch) = claimed {
                this.assigned(shared, epoch, ctx);
            }
        });
        ctx.spawn(claimed);
    }

    /// A path that is published here is nobody's: it was given to another node, which had nothing to give, while its publisher
    /// was let in. Where this node was granted the path, what it has read is only not that far yet.
    fn claim_again(&mut self, shared: Arc<PathShared>, ctx: &mut Context<Self>) {
        let path = shared.stream.path().clone();
        if !self.guarded.asking.insert(path.clone()) {
            return;
        }
        self.tenure.ask(&path, &shared.policy().life);
        let (claimant, is_pulled) = (self.directory.claimant.clone(), shared.pulled.load(Ordering::Acquire));
        let claim = {
            let path = path.clone();
            async move {
                match claimant.held(&path).await {
                    Err(_) if is_pulled => claimant.claim_source(&path, false).await,
                    Err(_) => claimant.claim(&path, false).await,
                    held => held,
                }
            }
        };
        let claimed = claim.into_actor(self).map(move |claimed, this, _| {
            this.guarded.asking.remove(&path);
            this.tenure.answered(&path);
            let is_there = this.directory.find(&path).is_some_and(|present| Arc::ptr_eq(&present, &shared));
            match claimed {
                Ok(epoch) if is_there && shared.active().is_some() => shared.stream.set_epoch(epoch),
                // The publisher has left meanwhile.
                Ok(_) => this.directory.claimant.let_go(&path),
                // Seen again with the next look.
                Err(error) => debug!(%path, %error, "the path is not claimed again yet"),
            }
        });
        ctx.spawn(claimed);
    }

    /// The path is this node's, and one of its publishers that wait is to have it.
    fn assigned(&mut self, shared: Arc<PathShared>, epoch: Epoch, ctx: &mut Context<Self>) {
        if !self.guarded.asking.insert(shared.stream.path().clone()) {
            return;
        }
        shared.stream.set_epoch(epoch);
        let reaching = self.reach(&shared);
        let reached = reaching.into_actor(self).map(move |before, this, ctx| {
            shared.stream.go_on_after(&before, this.directory.clock.now());
            this.guarded.asking.remove(shared.stream.path());
            this.tell(&shared, Turn, ctx);
        });
        ctx.spawn(reached);
    }
}

impl Handler<HandOver> for Registry {
    type Result = ();

    fn handle(&mut self, HandOver { path }: HandOver, _: &mut Self::Context) {
        self.directory.claimant.hand_over(&path);
    }
}

impl Handler<Promoted> for Registry {
    type Result = ();

    fn handle(&mut self, Promoted { path, epoch }: Promoted, ctx: &mut Self::Context) {
        match self.directory.find(&path) {
            Some(shared) => self.assigned(shared, epoch, ctx),
            None => self.abandon(&path),
        }
    }
}

impl Handler<Passed> for Registry {
    type Result = ();

    fn handle(&mut self, Passed { path }: Passed, ctx: &mut Self::Context) {
        let Some(shared) = self.directory.find(&path) else { return };
        self.guarded.add(&path);
        self.tell(&shared, Demoted, ctx);
    }
}
