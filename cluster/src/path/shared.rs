//! What is known of a path outside its actor: enough to rebuild the actor when it is lost.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use weft_proto::time::{Now, WallClock};

use super::core::{Identity, ReaderRole, SessionId};
use super::directory::PathPolicy;
use super::pulse::Pulse;
use crate::stream::Stream;

/// How a door describes one of its sessions. The fabric only passes it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// The door's name for the kind of session, e.g. `rtspSession`.
    pub kind: &'static str,
    /// The session's public id.
    pub id: String,
    /// Who it is.
    pub identity: Identity,
}

/// Why a publication or subscription ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The publisher left and none followed within `readerHold`.
    PublisherGone,
    /// An operator ended it.
    Kicked,
    /// Another publisher took the path over.
    Replaced,
    /// The configuration does not allow the path any more.
    NotConfigured,
    /// The node is drained, and the time to go is over.
    Drained,
    /// The node shuts down.
    Shutdown,
}

impl EndReason {
    /// The reason in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PublisherGone => "the publisher left and none followed",
            Self::Kicked => "kicked by an operator",
            Self::NotConfigured => "the configuration no longer allows the path",
            Self::Replaced => "replaced by another publisher",
            Self::Drained => "the node is drained",
            Self::Shutdown => "the node shuts down",
        }
    }
}

/// What a publisher is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublisherEvent {
    /// A reader waits for a random access point.
    KeyframeWanted,
    /// No reader is left on an on-demand path.
    DemandGone,
    /// The node is being drained: connect elsewhere.
    Drain,
    /// It is over.
    Ended(EndReason),
}

/// A publisher as others see it.
#[derive(Debug)]
pub(crate) struct PublisherSlot {
    pub(crate) id: SessionId,
    pub(crate) info: SessionInfo,
    pub(crate) since: WallClock,
    pub(crate) events: mpsc::Sender<PublisherEvent>,
    pub(crate) ended: OnceLock<EndReason>,
    pub(crate) pulse: Pulse,
    /// It is another node's, heard here.
    pub(crate) relayed: bool,
    /// The lower the sooner its turn comes.
    pub(crate) rank: u8,
    /// Where its units go: into the path's stream, or as long as it waits into one of its own.
    pub(crate) outlet: Mutex<Outlet>,
}

/// Where a publisher's units go.
#[derive(Debug)]
pub(crate) struct Outlet {
    pub(crate) stream: Arc<Stream>,
    /// What pushes must carry.
    pub(crate) generation: u32,
}

impl PublisherSlot {
    /// The next of its events; once it has ended, that, for ever.
    pub(crate) fn poll_event(
        &self,
        events: &mut mpsc::Receiver<PublisherEvent>,
        cx: &mut Context<'_>,
    ) -> Poll<PublisherEvent> {
        if let Some(reason) = self.ended.get() {
            return Poll::Ready(PublisherEvent::Ended(*reason));
        }
        events.poll_recv(cx).map(|event| event.unwrap_or(PublisherEvent::Ended(EndReason::Shutdown)))
    }

    /// Ends it with a reason; the first reason counts.
    pub(crate) fn end(&self, reason: EndReason) {
        if self.ended.set(reason).is_ok() {
            // A full queue wakes the publisher all the same, and it looks at `ended` first.
            let _ = self.events.try_send(PublisherEvent::Ended(reason));
        }
    }
}

/// A reader as others see it.
#[derive(Debug)]
pub(crate) struct ReaderSlot {
    pub(crate) id: SessionId,
    pub(crate) info: SessionInfo,
    pub(crate) role: ReaderRole,
    pub(crate) ended: OnceLock<EndReason>,
    pub(crate) skipped: AtomicU64,
    /// It is to be asked to connect elsewhere, and was not told yet.
    pub(crate) drain: AtomicBool,
}

/// A path's stream, sessions and settings.
#[derive(Debug)]
pub(crate) struct PathShared {
    pub(crate) stream: Arc<Stream>,
    /// What the configuration says of it; replaced when that changes.
    policy: Mutex<Arc<PathPolicy>>,
    pub(crate) publisher: Mutex<Option<Arc<PublisherSlot>>>,
    /// Publishers of this node that wait for their turn.
    pub(crate) standbys: Mutex<Vec<Arc<PublisherSlot>>>,
    pub(crate) readers: Mutex<HashMap<SessionId, Arc<ReaderSlot>>>,
    /// Requests on their way to the actor: while there are any, the path must not be forgotten.
    pub(crate) pending: AtomicUsize,
    /// This node pulls its source: it is kept, and listed, also while the source does not answer.
    pub(crate) pulled: AtomicBool,
    /// The test of the rebuild makes the actor panic.
    pub(crate) panic_next: AtomicBool,
}

impl PathShared {
    /// A path that nobody uses yet.
    pub(crate) fn new(stream: Arc<Stream>, policy: PathPolicy) -> Self {
        Self {
            stream,
            policy: Mutex::new(Arc::new(policy)),
            publisher: Mutex::default(),
            standbys: Mutex::default(),
            readers: Mutex::default(),
            pending: AtomicUsize::new(0),
            pulled: AtomicBool::new(false),
            panic_next: AtomicBool::new(false),
        }
    }

    /// What the configuration says of it.
    pub(crate) fn policy(&self) -> Arc<PathPolicy> {
        self.policy.lock().clone()
    }

    /// Takes another policy; whether it differs.
    pub(crate) fn set_policy(&self, policy: PathPolicy) -> bool {
        let mut current = self.policy.lock();
        if **current == policy {
            return false;
        }
        self.stream.set_limits(policy.stream.log);
        *current = Arc::new(policy);
        true
    }

    /// The publisher of this node with this id, be it that it waits.
    pub(crate) fn publisher_with(&self, is_it: impl Fn(&PublisherSlot) -> bool) -> Option<Arc<PublisherSlot>> {
        let active = self.publisher.lock().clone().filter(|slot| is_it(slot));
        active.or_else(|| self.standbys.lock().iter().find(|slot| is_it(slot)).cloned())
    }

    /// Ends all publishers and readers.
    pub(crate) fn end_all(&self, reason: EndReason) {
        if let Some(slot) = &*self.publisher.lock() {
            slot.end(reason);
        }
        self.standbys.lock().iter().for_each(|slot| slot.end(reason));
        self.end_readers(reason);
    }

    /// How long the publisher has pushed nothing; zero without one.
    pub(crate) fn silent_for(&self, now: Now) -> std::time::Duration {
        self.publisher.lock().as_ref().map_or(std::time::Duration::ZERO, |slot| slot.pulse.silent_for(now))
    }

    /// Whether nobody uses the path.
    pub(crate) fn is_unused(&self) -> bool {
        let is_kept = self.pending.load(Ordering::Acquire) > 0 || self.pulled.load(Ordering::Acquire);
        !is_kept && self.publisher.lock().is_none() && self.standbys.lock().is_empty() && self.readers.lock().is_empty()
    }

    /// The node is being drained, or no longer: publisher and readers are to be told.
    pub(crate) fn set_draining(&self, draining: bool) {
        if draining {
            let publishers = self.publisher.lock().iter().chain(&*self.standbys.lock()).cloned().collect::<Vec<_>>();
            for slot in publishers {
                let _ = slot.events.try_send(PublisherEvent::Drain);
            }
        }
        for slot in self.readers.lock().values() {
            slot.drain.store(draining, Ordering::Release);
        }
        if draining {
            self.stream.bells().ring();
        }
    }

    /// Ends all readers.
    pub(crate) fn end_readers(&self, reason: EndReason) {
        for slot in self.readers.lock().values() {
            let _ = slot.ended.set(reason);
        }
        self.stream.bells().ring();
    }
}
