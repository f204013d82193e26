//! The stream log: one bounded ring per stream, one writer, any number of cursors.
//!
//! The log itself knows no readers. A cursor is an index that its reader keeps; what the log trims under a slow
//! reader is that reader's loss alone. Pure: time comes in with the entries.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use weft_proto::id::Position;
use weft_proto::time::Now;

use super::entry::Entry;

/// How much a log keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// What is younger than this stays, within the budget. Older units stay only as part of the newest group.
    pub keep: Duration,
    /// A group that outgrows this many bytes ends as an entry point.
    pub group_bytes_max: usize,
    /// A group that outgrows this age ends as an entry point.
    pub group_age_max: Duration,
}

impl Default for LogLimits {
    /// `groupMax` of 32 MB or 20 s, and 4 s kept.
    fn default() -> Self {
        Self { keep: Duration::from_secs(4), group_bytes_max: 32 << 20, group_age_max: Duration::from_secs(20) }
    }
}

/// Where a reader can begin decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryPoint {
    /// Index of the group's first entry.
    pub index: u64,
    /// Its decoding time in path time, microseconds.
    pub dts_micros: i64,
    /// Bytes from there to the head.
    pub bytes: usize,
}

/// The ring.
#[derive(Debug)]
pub struct Log {
    limits: LogLimits,
    entries: VecDeque<Arc<Entry>>,
    /// Index of the first entry kept.
    first: u64,
    bytes: usize,
    newest_group: Option<Group>,
    /// Largest decoding time of any entry so far.
    live_micros: i64,
    expected: Option<Expected>,
}

/// Where the live edge is, although what lies before it has not all come here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Decoding time of the live edge, microseconds of path time.
    pub live_micros: i64,
    /// When it was there; it moves on with the time.
    pub at: Now,
    /// The last entry before it: when that one is here there is nothing to expect.
    pub newest: Position,
}

/// What is expected for longer than this does not come any more.
const EXPECTED_FOR: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug)]
struct Group {
    index: u64,
    dts_micros: i64,
    arrived: Now,
    bytes: usize,
    /// Outgrew its bounds: no longer an entry point.
    overgrown: bool,
}

impl Log {
    /// An empty log.
    pub const fn new(limits: LogLimits) -> Self {
        Self {
            limits,
            entries: VecDeque::new(),
            first: 0,
            bytes: 0,
            newest_group: None,
            live_micros: i64::MIN,
            expected: None,
        }
    }

    /// Changes how much is kept, from the next entry on.
    pub const fn set_limits(&mut self, limits: LogLimits) {
        self.limits = limits;
    }

    /// Appends an entry and trims what the limits no longer allow.
    pub fn push(&mut self, entry: Arc<Entry>) {
        let weight = entry.weight();
        if entry.group_start {
            self.newest_group = Some(Group {
                index: self.head(),
                dts_micros: entry.dts_micros,
                arrived: entry.arrived,
                bytes: 0,
                overgrown: false,
            });
        }
        if let Some(group) = &mut self.newest_group {
            group.bytes += weight;
            group.overgrown |= group.bytes > self.limits.group_bytes_max
                || entry.arrived.since(group.arrived) > self.limits.group_age_max;
        }
        self.live_micros = self.live_micros.max(entry.dts_micros);
        self.bytes += weight;
        let now = entry.arrived;
        self.entries.push_back(entry);
        self.trim(now);
    }

    /// Index of the first entry kept.
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// Index after the last entry.
    pub fn head(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Weight of what is kept.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The live edge is ahead of what is here.
    pub const fn expect(&mut self, expected: Expected) {
        self.expected = Some(expected);
    }

    /// What is still to come of what there was elsewhere.
    pub fn expected(&self, now: Now) -> Option<Expected> {
        self.expected.filter(|expected| {
            now.since(expected.at) < EXPECTED_FOR && self.last_position().is_none_or(|last| last < expected.newest)
        })
    }

    /// Decoding time of the live edge, microseconds of path time; `None` while nothing came.
    pub fn live_micros(&self, now: Now) -> Option<i64> {
        let expected = self.expected(now).map(|expected| {
            let since = i64::try_from(now.since(expected.at).as_micros()).unwrap_or(i64::MAX);
            expected.live_micros.saturating_add(since)
        });
        expected.max((self.live_micros != i64::MIN).then_some(self.live_micros))
    }

    /// The newest place where decoding can begin; `None` when there is none, or its group is overgrown.
    pub fn entry_point(&self) -> Option<EntryPoint> {
        let group = self.newest_group.filter(|group| !group.overgrown && group.index >= self.first)?;
        Some(EntryPoint { index: group.index, dts_micros: group.dts_micros, bytes: group.bytes })
    }

    /// Whether the newest group outgrew its bounds, so that new readers start live.
    pub fn is_overgrown(&self) -> bool {
        self.newest_group.is_some_and(|group| group.overgrown)
    }

    /// The entry at `index`, if it is kept.
    pub fn get(&self, index: u64) -> Option<&Arc<Entry>> {
        self.entries.get(usize::try_from(index.checked_sub(self.first)?).ok()?)
    }

    /// The place of the last entry; `None` while nothing is kept.
    pub fn last_position(&self) -> Option<Position> {
        self.entries.back().map(|entry| entry.position)
    }

    /// Index of the first entry after a place, while that place is kept.
    pub fn after(&self, position: Position) -> Option<u64> {
        let first = self.entries.front()?;
        let ahead = self.entries.partition_point(|entry| entry.position <= position);
        (first.position <= position).then(|| self.first + ahead as u64)
    }

    /// The entries from `index` on.
    pub fn from(&self, index: u64) -> impl Iterator<Item = &Arc<Entry>> {
        let skip = usize::try_from(index.saturating_sub(self.first)).unwrap_or(usize::MAX).min(self.entries.len());
        self.entries.range(skip..)
    }

    /// Gives up media until at most `target` bytes are kept: old groups first, then the newest group's head.
    pub fn shed(&mut self, target: usize) {
        while self.bytes > target && self.entries.len() > 1 {
            self.drop_first();
        }
    }

    fn trim(&mut self, now: Now) {
        let pinned = self.entry_point().map_or(u64::MAX, |point| point.index);
        while let Some(first) = self.entries.front() {
            let old = now.since(first.arrived) > self.limits.keep || self.bytes > self.bytes_max();
            if !old || self.first >= pinned || self.entries.len() == 1 {
                break;
            }
            self.drop_first();
        }
    }

    /// Two largest groups: the one being written and what a reader may still need of the one before.
    const fn bytes_max(&self) -> usize {
        self.limits.group_bytes_max * 2
    }

    fn drop_first(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= entry.weight();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::entry;
    use super::*;

    /// A log of `frames` frames 40 ms apart with a group every `gop`.
    fn filled(limits: LogLimits, frames: u64, gop: u64, bytes: usize) -> Log {
        let mut log = Log::new(limits);
        for n in 0..frames {
            log.push(entry(n, n % gop == 0, bytes));
        }
        log
    }

    fn limits(keep_secs: u64) -> LogLimits {
        LogLimits { keep: Duration::from_secs(keep_secs), ..LogLimits::default() }
    }

    #[test]
    fn the_newest_group_stays_however_old_its_head_is() {
        let log = filled(limits(1), 240, 250, 1000);
        assert_eq!(log.first(), 0);
        assert_eq!(log.entry_point().unwrap().index, 0);
    }

    #[test]
    fn what_is_older_than_the_newest_group_goes_after_its_time() {
        let log = filled(limits(1), 260, 50, 1000);
        assert_eq!(log.entry_point().unwrap().index, 250);
        // 1 s are 25 frames: 259 - 25 is the oldest that may stay.
        assert_eq!(log.first(), 234);
    }

    #[test]
    fn an_overgrown_group_is_no_entry_point_and_loses_its_head() {
        let log = filled(limits(4), 25 * 25, 10_000, 1000);
        assert!(log.is_overgrown());
        assert_eq!(log.entry_point(), None);
        assert!(log.head() - log.first() <= 4 * 25 + 1);
    }

    #[test]
    fn a_group_overgrows_by_bytes_too() {
        let bounds = LogLimits { group_bytes_max: 100_000, ..limits(4) };
        let log = filled(bounds, 200, 10_000, 1000);
        assert!(log.is_overgrown());
        assert!(log.bytes() <= 200_000);
    }

    #[test]
    fn the_next_group_is_an_entry_point_again() {
        let bounds = LogLimits { group_bytes_max: 100_000, ..limits(4) };
        let log = filled(bounds, 301, 150, 1000);
        assert_eq!(log.entry_point().unwrap().index, 300);
    }

    #[test]
    fn shedding_takes_the_oldest_and_forgets_an_entry_point_that_is_gone() {
        let mut log = filled(limits(100), 60, 50, 1000);
        let half = log.bytes() / 2;
        log.shed(half);
        assert!(log.bytes() <= half);
        assert_eq!(log.entry_point().unwrap().index, 50);
        log.shed(0);
        assert_eq!(log.entry_point(), None);
        assert_eq!(log.head(), 60);
    }
}
