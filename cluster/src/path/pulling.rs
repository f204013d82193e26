//! The registry's part in sources that this node pulls: it owns their paths before they are pulled, keeps them while they are,
//! and lets them go when nobody wants them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::prelude::*;
use tracing::{debug, warn};
use weft_proto::id::{Epoch, PathName};

use super::actor::Pulled;
use super::registry::Registry;
use crate::ownership::{ClaimError, Claiming};

/// The cluster has made this node the owner of a path whose source it is to pull.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Assigned {
    pub(crate) path: PathName,
    pub(crate) epoch: Epoch,
}

/// The path is not this node's any more, and its source is pulled no more.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Unassigned {
    pub(crate) path: PathName,
}

/// Somebody wants this node to pull the source in place of the node that does.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct TakeSource {
    pub(crate) path: PathName,
}

/// A reader wants a source that is pulled on demand.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Wanted {
    pub(crate) path: PathName,
}

/// Nobody wants it any more.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Unwanted {
    pub(crate) path: PathName,
}

/// Two nodes are connected to a source while one takes it over: that is agreed on soon, or not at all.
const CLAIM_WITHIN: Duration = Duration::from_millis(500);

/// A claim that is not waited for as long as others.
pub(super) fn soon(claim: Claiming) -> Claiming {
    Box::pin(async { tokio::time::timeout(CLAIM_WITHIN, claim).await.unwrap_or(Err(ClaimError::NoQuorum)) })
}

impl Registry {
    /// The path lives from now on, whether its source answers or not.
    fn keep(&mut self, path: &PathName, epoch: Epoch, ctx: &Context<Self>) {
        let Some(shared) = self.find_or_make(path, Some(epoch)) else { return };
        shared.pulled.store(true, Ordering::Release);
        let addr = self.actor(&shared, &ctx.address());
        shared.pending.fetch_add(1, Ordering::AcqRel);
        addr.do_send(Pulled);
    }

    /// The path lives no longer than it has a publisher or readers.
    fn release(&mut self, path: &PathName) {
        let Some(shared) = self.directory.find(path) else { return };
        shared.pulled.store(false, Ordering::Release);
        if shared.is_unused() {
            self.directory.paths.write().remove(path);
            self.actors.remove(path);
        }
    }

    /// This node's own word: the source is pulled no more, and the path is anybody's.
    fn give_up(&mut self, path: &PathName) {
        if self.directory.assignments.take(path) {
            self.release(path);
            self.directory.claimant.let_go(path);
        }
    }

    /// The path of a source that this node was to take over from another one is its own now, or is not.
    pub(super) fn taken(&mut self, path: &PathName, claimed: Result<Epoch, ClaimError>, ctx: &Context<Self>) {
        match claimed {
            Ok(epoch) => self.keep(path, epoch, ctx),
            Err(error) => {
                warn!(%path, "the source could not be taken over: {error}");
                self.directory.assignments.take(path);
                // It may be granted all the same, a moment later.
                self.directory.claimant.let_go(path);
            }
        }
    }

    /// The configuration has changed: sources that it has no longer are let go, others are pulled from where it says now.
    pub(super) fn review_assignments(&mut self, ctx: &Context<Self>) {
        for path in self.directory.assignments.paths() {
            match self.directory.policy.path(&path).and_then(|policy| policy.source) {
                None => self.give_up(&path),
                Some(source) => {
                    self.directory.assignments.give(&path, &source);
                    // It may be pulled on demand now.
                    if let Some(shared) = self.directory.find(&path) {
                        let addr = self.actor(&shared, &ctx.address());
                        shared.pending.fetch_add(1, Ordering::AcqRel);
                        addr.do_send(Pulled);
                    }
                }
            }
        }
    }
}

impl Handler<Assigned> for Registry {
    type Result = ();

    fn handle(&mut self, Assigned { path, epoch }: Assigned, ctx: &mut Self::Context) {
        // It may have been lost again meanwhile.
        if self.directory.assignments.of(&path).is_some() {
            self.keep(&path, epoch, ctx);
        }
    }
}

impl Handler<Unassigned> for Registry {
    type Result = ();

    fn handle(&mut self, Unassigned { path }: Unassigned, _: &mut Self::Context) {
        if self.directory.assignments.of(&path).is_none() {
            self.release(&path);
        }
    }
}

/// A source that is to be taken over has to give something within this time.
const TAKE_WITHIN: Duration = Duration::from_secs(10);

impl Handler<TakeSource> for Registry {
    type Result = ();

    fn handle(&mut self, TakeSource { path }: TakeSource, ctx: &mut Self::Context) {
        let source = self.directory.policy.path(&path).and_then(|policy| policy.source);
        let (Some(source), None) = (source, self.directory.assignments.of(&path)) else { return };
        self.taking.insert(path.clone());
        self.directory.assignments.give(&path, &source);
        ctx.run_later(TAKE_WITHIN, move |this, _| {
            if this.taking.remove(&path) {
                warn!(%path, "the source could not be taken over: it stays where it is");
                this.directory.assignments.take(&path);
            }
        });
    }
}

impl Handler<Wanted> for Registry {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, Wanted { path }: Wanted, _: &mut Self::Context) -> Self::Result {
        let claim = self.directory.claimant.claim_source(&path, false).into_actor(self);
        Box::pin(claim.map(move |claimed, this, ctx| match claimed {
            Ok(epoch) => match this.directory.policy.path(&path).and_then(|policy| policy.source) {
                Some(source) => {
                    this.directory.assignments.give(&path, &source);
                    this.keep(&path, epoch, ctx);
                }
                None => this.directory.claimant.let_go(&path),
            },
            // Another node was asked for it at the same time and pulls it.
            Err(ClaimError::Owned(_)) => {
                debug!(%path, "another node pulls the source");
                if let (Some(relays), Some(shared)) = (this.directory.relays.get(), this.directory.find(&path)) {
                    relays.want(shared);
                }
            }
            Err(error) => warn!(%path, "the source is not pulled: {error}"),
        }))
    }
}

impl Handler<Unwanted> for Registry {
    type Result = ();

    fn handle(&mut self, Unwanted { path }: Unwanted, _: &mut Self::Context) {
        let policy = self.directory.policy.path(&path);
        if policy.is_some_and(|policy| policy.source.is_some() && policy.life.on_demand.is_some()) {
            self.give_up(&path);
        }
    }
}
