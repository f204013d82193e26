//! Units of one rendition that have been read and whose time has not come, within bounds that all renditions of a source
//! share.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use weft_proto::bitstream::Taken;
use weft_proto::media::Track;

use crate::limits::{HLS_AHEAD_BYTES_MAX, HLS_AHEAD_MAX};

/// What the renditions of a source have in common.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Rung when something was put on a shelf.
    pub(super) filled: Notify,
    bytes: Cell<usize>,
    /// The last time read, in ticks of 90 kHz, where times wrap.
    pub(super) near: Cell<Option<i64>>,
    /// There is much more than is to be kept from the live edge.
    pub(super) is_behind: Cell<bool>,
    /// All that there is was read, and more comes in parts of this duration: it is to be given out with no more delay.
    pub(super) edge: Cell<Option<Duration>>,
}

/// A unit that waits.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) taken: Taken,
    /// Its decoding time in microseconds.
    pub(super) micros: i64,
    /// The run of times that it belongs to.
    pub(super) discontinuity: u64,
}

impl Stored {
    /// What it takes: a unit may be of one byte.
    pub(super) fn bytes(&self) -> usize {
        self.taken.unit.payload.len() + size_of::<Self>()
    }
}

/// Units under one list of tracks.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The tracks; `None` for those that are left out.
    pub(super) tracks: Vec<Option<Track>>,
    /// The units of each.
    pub(super) lines: Vec<VecDeque<Stored>>,
    /// Units before it were missed.
    pub(super) jumped: bool,
    /// It was looked at.
    pub(super) seen: bool,
}

/// What one rendition has read.
#[derive(Debug)]
pub(super) struct Shelf {
    shared: Rc<Shared>,
    batches: RefCell<VecDeque<Batch>>,
    taken: Notify,
}

impl Shelf {
    pub(super) fn new(shared: Rc<Shared>) -> Self {
        Self { shared, batches: RefCell::default(), taken: Notify::new() }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// What follows is under this list of tracks.
    pub(super) fn begin(&self, tracks: Vec<Option<Track>>, jumped: bool) {
        let lines = tracks.iter().map(|_| VecDeque::new()).collect();
        self.batches.borrow_mut().push_back(Batch { tracks, lines, jumped, seen: false });
        self.shared.filled.notify_one();
    }

    /// Puts a unit of the last list of tracks behind the others.
    pub(super) fn put(&self, stored: Stored) {
        let mut batches = self.batches.borrow_mut();
        let line = usize::from(stored.taken.unit.track.0);
        let Some(batch) = batches.back_mut().filter(|batch| batch.tracks.get(line).is_some_and(Option::is_some)) else {
            return;
        };
        self.shared.bytes.set(self.shared.bytes.get() + stored.bytes());
        batch.lines[line].push_back(stored);
        self.shared.filled.notify_one();
    }

    /// Waits until there is room for more. A shelf that is empty always has some: one that is full must not keep another
    /// one from what is waited for.
    pub(super) async fn room(&self) {
        while !self.has_room() {
            self.taken.notified().await;
        }
    }

    /// Whether there is.
    pub(super) fn has_room(&self) -> bool {
        self.is_empty() || self.shared.bytes.get() < HLS_AHEAD_BYTES_MAX && self.ahead() < HLS_AHEAD_MAX
    }

    /// How long what is on it lasts.
    pub(super) fn ahead(&self) -> Duration {
        let batches = self.batches.borrow();
        let heard = |line: &VecDeque<Stored>| Some(line.back()?.micros - line.front()?.micros);
        let spans = batches.iter().map(|batch| batch.lines.iter().filter_map(heard).max().unwrap_or(0));
        Duration::from_micros(u64::try_from(spans.sum::<i64>()).unwrap_or(0))
    }

    /// Looks at the first batch; one behind it comes when that is empty.
    pub(super) fn first<T>(&self, look: impl FnOnce(&mut Batch) -> T) -> Option<T> {
        let mut batches = self.batches.borrow_mut();
        while batches.len() > 1 && batches[0].seen && batches[0].lines.iter().all(VecDeque::is_empty) {
            batches.pop_front();
        }
        batches.front_mut().map(look)
    }

    /// Run and time of the first unit of a line.
    pub(super) fn head(&self, line: usize) -> Option<(u64, i64)> {
        self.first(|batch| batch.lines.get(line)?.front().map(|unit| (unit.discontinuity, unit.micros))).flatten()
    }

    /// Takes the first unit of a line.
    pub(super) fn take(&self, line: usize) -> Option<Stored> {
        let stored = self.first(|batch| batch.lines.get_mut(line)?.pop_front()).flatten()?;
        self.shared.bytes.set(self.shared.bytes.get() - stored.bytes());
        self.taken.notify_one();
        Some(stored)
    }

    /// Whether there is no unit on it.
    pub(super) fn is_empty(&self) -> bool {
        self.batches.borrow().iter().all(|batch| batch.lines.iter().all(VecDeque::is_empty))
    }
}
