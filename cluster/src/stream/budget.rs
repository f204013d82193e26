//! One budget for all media that a node holds; who holds most gives up first.

use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

/// Who holds media: a stream's log, or what a door has made of it to hand out.
pub trait Holder: Debug + Send + Sync {
    /// Bytes held.
    fn held(&self) -> usize;

    /// Gives up so many bytes of the oldest, if there are as many to spare, and [notes](Budget::note) it. Called by
    /// anyone on any thread, without locks.
    fn shed(&self, bytes: usize);
}

/// The node's budget. Holders register with it and note what they hold.
#[derive(Debug)]
pub struct Budget {
    max: usize,
    held: AtomicUsize,
    holders: Mutex<Vec<Weak<dyn Holder>>>,
}

impl Budget {
    /// A budget of `max` bytes for all holders together.
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, held: AtomicUsize::new(0), holders: Mutex::new(Vec::new()) })
    }

    /// Bytes held by all.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Bytes that all may hold.
    pub const fn max(&self) -> usize {
        self.max
    }

    /// Adds a holder, until it is dropped.
    pub fn register(&self, holder: Weak<dyn Holder>) {
        let mut holders = self.holders.lock();
        holders.retain(|known| known.strong_count() > 0);
        holders.push(holder);
    }

    /// Takes note of a holder that changed from `before` to `after` bytes; says whether the budget is overdrawn. Then
    /// whoever noted it [enforces](Self::enforce) it, without locks.
    pub fn note(&self, before: usize, after: usize) -> bool {
        if after >= before {
            self.held.fetch_add(after - before, Ordering::Relaxed) + (after - before) > self.max
        } else {
            self.held.fetch_sub(before - after, Ordering::Relaxed);
            false
        }
    }

    /// Lets the largest holders shed until nine tenths are held, so that the next units do not shed again.
    pub fn enforce(&self) {
        let target = self.max / 10 * 9;
        let mut holders: Vec<(usize, Arc<dyn Holder>)> =
            self.holders.lock().iter().filter_map(Weak::upgrade).map(|holder| (holder.held(), holder)).collect();
        holders.sort_by_key(|(held, _)| core::cmp::Reverse(*held));
        for (_, holder) in holders {
            let over = self.held().saturating_sub(target);
            if over == 0 {
                break;
            }
            holder.shed(over);
        }
    }
}
