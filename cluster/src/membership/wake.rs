//! Between the agreement and the member: what has been agreed, and that something has.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use weft_proto::id::PathName;

use crate::ownership::{Answer, Entry, NodeId, State};
use crate::raft::Observer;

/// Wakes the member when something has been agreed, says what, and lets others look.
pub(super) struct Wake {
    pub(super) notify: Notify,
    id: NodeId,
    agreed: Mutex<Agreed>,
    observer: Option<Arc<dyn Observer>>,
}

/// What has been agreed since the member looked last.
#[derive(Default)]
pub(super) struct Agreed {
    /// About these paths.
    pub(super) paths: Vec<PathName>,
    /// About who belongs to the cluster, and where they are.
    pub(super) members: bool,
    /// About this node itself: all that it owns is concerned.
    pub(super) itself: bool,
}

impl Agreed {
    /// As much as can be.
    const fn everything() -> Self {
        Self { paths: Vec::new(), members: true, itself: true }
    }

    fn add(&mut self, node: NodeId, entry: &Entry, state: &State) {
        self.paths.extend_from_slice(state.paths().changed());
        self.members |= matches!(entry, Entry::Join { .. } | Entry::Remove { .. } | Entry::NodeUp { .. });
        self.itself |= match entry {
            Entry::NodeUp { node: told, .. } | Entry::NodeDown { node: told, .. } | Entry::Remove { node: told } => {
                *told == node
            }
            _ => false,
        };
    }
}

impl Wake {
    pub(super) fn new(id: NodeId, observer: Option<Arc<dyn Observer>>) -> Self {
        Self { notify: Notify::new(), id, agreed: Mutex::new(Agreed::everything()), observer }
    }

    /// What has been agreed since the last time.
    pub(super) fn take(&self) -> Agreed {
        std::mem::take(&mut *self.agreed.lock())
    }
}

impl Observer for Wake {
    fn applied(&self, index: u64, entry: &Entry, answer: Answer, state: &State) {
        if let Some(observer) = &self.observer {
            observer.applied(index, entry, answer, state);
        }
        self.agreed.lock().add(self.id, entry, state);
        self.notify.notify_one();
    }

    fn installed(&self, state: &State) {
        if let Some(observer) = &self.observer {
            observer.installed(state);
        }
        *self.agreed.lock() = Agreed::everything();
        self.notify.notify_one();
    }
}
