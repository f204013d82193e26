//! One budget for the logs of all streams of a node; who holds most gives up first.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::Stream;

/// The node's budget. Streams register with it and report what they hold.
#[derive(Debug)]
pub struct Budget {
    max: usize,
    held: AtomicUsize,
    streams: Mutex<Vec<Weak<Stream>>>,
}

impl Budget {
    /// A budget of `max` bytes for all stream logs together.
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, held: AtomicUsize::new(0), streams: Mutex::new(Vec::new()) })
    }

    /// Bytes held by all logs.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Bytes that all logs may hold.
    pub const fn max(&self) -> usize {
        self.max
    }

    pub(super) fn register(&self, stream: &Arc<Stream>) {
        let mut streams = self.streams.lock();
        streams.retain(|known| known.strong_count() > 0);
        streams.push(Arc::downgrade(stream));
    }

    /// Takes note of a log that changed from `before` to `after` bytes; says whether the budget is overdrawn.
    pub(super) fn note(&self, before: usize, after: usize) -> bool {
        if after >= before {
            self.held.fetch_add(after - before, Ordering::Relaxed) + (after - before) > self.max
        } else {
            self.held.fetch_sub(before - after, Ordering::Relaxed);
            false
        }
    }

    /// Trims the largest logs until nine tenths are held, so that the next units do not trim again.
    pub(super) fn enforce(&self) {
        let target = self.max / 10 * 9;
        let mut streams: Vec<Arc<Stream>> = self.streams.lock().iter().filter_map(Weak::upgrade).collect();
        streams.sort_by_key(|stream| core::cmp::Reverse(stream.log_bytes()));
        for stream in streams {
            let over = self.held().saturating_sub(target);
            if over == 0 {
                break;
            }
            stream.shed(over);
        }
    }
}
