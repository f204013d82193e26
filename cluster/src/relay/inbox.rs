//! A subscription at a parent: what is said to it, and where what comes from it goes.

use std::cell::Cell;
use std::rc::Rc;

use quinn::{Connection, RecvStream, SendStream};
use tokio::sync::Notify;
use weft_proto::id::PathName;
use weft_proto::media::TrackId;
use weft_proto::wire::relay::{Dropped, GroupHead, GroupReader, Relayed, ToChild};

use super::merge::{LaneKey, Merge};
use super::peer::Peer;
use super::upstream::Upstream;
use super::{Route, words};
use crate::clock::Clock;
use crate::limits::RELAY_DEADLINE;

/// A subscription at a parent.
pub(super) struct Session {
    /// The way that was asked for; the peer is another one when the parent has sent this node there.
    pub(super) route: Route,
    pub(super) peer: Rc<Peer>,
    pub(super) id: u64,
    pub(super) send: SendStream,
    pub(super) inbox: Rc<Inbox>,
}

/// Where the media of one subscription goes.
pub(super) struct Inbox {
    upstream: Rc<Upstream>,
    clock: Clock,
    phase: Cell<Phase>,
    changed: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The parent has not answered, or the one before is still listened to.
    Waiting,
    /// Its media is the path's.
    Active,
    /// It is over.
    Over,
}

impl Inbox {
    /// One whose media is not the path's yet.
    pub(super) fn new(upstream: Rc<Upstream>, clock: Clock) -> Rc<Self> {
        Rc::new(Self { upstream, clock, phase: Cell::new(Phase::Waiting), changed: Notify::new() })
    }

    /// Its media is the path's from now on.
    pub(super) fn open(&self) {
        self.turn(Phase::Active);
    }

    /// Nothing is taken any more.
    pub(super) fn close(&self) {
        self.turn(Phase::Over);
    }

    pub(super) fn is_over(&self) -> bool {
        self.phase.get() == Phase::Over
    }

    fn turn(&self, phase: Phase) {
        self.phase.set(phase);
        self.changed.notify_waiters();
    }

    pub(super) fn path(&self) -> &PathName {
        self.upstream.name()
    }

    /// A stream of media begins: waits until it is this subscription's turn; false when that is over.
    pub(super) async fn begin(&self, head: &GroupHead) -> bool {
        loop {
            let changed = self.changed.notified();
            match self.phase.get() {
                Phase::Waiting => changed.await,
                Phase::Active => break,
                Phase::Over => return false,
            }
        }
        self.with_merge(|merge| merge.begin(head)).unwrap_or(false)
    }

    /// Lets a reader know the tracks, so that equal ones stay one list.
    pub(super) fn expect(&self, reader: &mut GroupReader) {
        if let Some(tracks) = self.upstream.tracks() {
            reader.expect(&tracks);
        }
    }

    pub(super) fn arrived(&self, key: LaneKey, relayed: Relayed) {
        if self.phase.get() == Phase::Active {
            self.upstream.arrived(key, relayed, self.clock.now());
        }
    }

    pub(super) fn flush(&self) {
        self.upstream.flush(self.clock);
    }

    pub(super) fn finished(&self, key: LaneKey) {
        self.with_merge(|merge| merge.finished(key));
        self.flush();
    }

    pub(super) fn dropped(&self, key: LaneKey) {
        self.with_merge(|merge| merge.dropped(key));
        self.flush();
    }

    fn with_merge<R>(&self, with: impl FnOnce(&mut Merge) -> R) -> Option<R> {
        if self.phase.get() != Phase::Active {
            return None;
        }
        self.upstream.with_merge(with)
    }

    /// The connection has ended, or the parent has nothing more.
    pub(super) fn cut(&self) {
        self.close();
        self.upstream.wake();
    }

    /// What the parent says, until it says no more.
    pub(super) async fn hear(&self, mut recv: RecvStream, connection: Connection) {
        while let Ok(frame) = words::read(&mut recv, RELAY_DEADLINE).await {
            match ToChild::decode(&frame) {
                Ok(Some(ToChild::Dropped(Dropped { epoch, group, track }))) => {
                    self.dropped(LaneKey { epoch, group, track: TrackId(track) });
                }
                Ok(Some(ToChild::Live(live))) => {
                    self.upstream.is_live(live, connection.rtt() / 2, self.clock.now());
                }
                Ok(Some(ToChild::Ended(()) | ToChild::Refused(_))) | Err(_) => break,
                // A newer parent may say more.
                Ok(_) => {}
            }
        }
        self.cut();
    }
}

/// A session whose parent has not answered: nothing is delivered to it when it fails.
pub(super) struct Opening(pub(super) Option<Session>);

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(session) = &mut self.0 {
            session.inbox.close();
            session.peer.forget(session.id);
            let _ = session.send.finish();
        }
    }
}
