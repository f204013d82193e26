//! Emptying a node: who is asked to go, who is still there, and the end of their time.

use std::sync::atomic::Ordering;

use super::Fabric;
use crate::path::{EndReason, ReaderRole};

/// Who is still here of those that a drain asks to go. Other nodes that take paths from here are none of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupants {
    /// Publishers and those that wait to be one, but for those of other nodes that are heard here.
    pub publishers: usize,
    /// Viewers.
    pub readers: usize,
}

impl Fabric {
    /// Takes no new sessions and asks publishers and readers to connect elsewhere. Idempotent.
    pub fn drain(&self) {
        if !self.inner.draining.swap(true, Ordering::AcqRel) {
            self.inner.directory.paths.read().values().for_each(|shared| shared.set_draining(true));
        }
    }

    /// Takes new sessions again. Readers that were not asked yet are not.
    pub fn undrain(&self) {
        if self.inner.draining.swap(false, Ordering::AcqRel) {
            self.inner.directory.paths.read().values().for_each(|shared| shared.set_draining(false));
        }
    }

    /// Whether the node takes no new sessions.
    pub fn is_draining(&self) -> bool {
        self.inner.draining.load(Ordering::Acquire)
    }

    /// The public host of another node to which clients may be sent.
    pub fn elsewhere(&self) -> Option<String> {
        self.inner.directory.claimant.elsewhere()
    }

    /// Who is here.
    pub fn occupants(&self) -> Occupants {
        let mut all = Occupants::default();
        for shared in self.inner.directory.paths.read().values() {
            all.publishers += usize::from(shared.publisher.lock().as_ref().is_some_and(|slot| !slot.relayed));
            all.publishers += shared.standbys.lock().len();
            all.readers += shared.readers.lock().values().filter(|slot| slot.role == ReaderRole::Viewer).count();
        }
        all
    }

    /// Ends all of them: their time to go is over.
    pub fn evict(&self) {
        for shared in self.inner.directory.paths.read().values() {
            // Those that wait first, or they would take over.
            shared.standbys.lock().iter().for_each(|slot| slot.end(EndReason::Drained));
            if let Some(slot) = shared.publisher.lock().as_ref().filter(|slot| !slot.relayed) {
                slot.end(EndReason::Drained);
            }
            for slot in shared.readers.lock().values().filter(|slot| slot.role == ReaderRole::Viewer) {
                // The first reason counts.
                let _ = slot.ended.set(EndReason::Drained);
            }
            shared.stream.bells().ring();
        }
    }
}
