//! Puts the units of a path back into the order of their positions. Pure.
//!
//! Each track of each group comes on its own stream, and one may be late while another is not. A unit is passed on when what
//! it says comes before it has been passed on, or will not come: its stream was given up. What has waited too long is passed
//! on all the same; what comes after that has missed its place and is left out, which readers see as a hole; the next one says that
//! something was missed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use weft_proto::id::{Epoch, Position};
use weft_proto::media::TrackId;
use weft_proto::time::Now;
use weft_proto::wire::relay::{GroupHead, Relayed};

use crate::limits::RELAY_WAITING_BYTES_MAX;
use crate::stream::RelayedUnit;

/// A stream of a subscription: one track of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LaneKey {
    pub(super) epoch: Epoch,
    pub(super) group: u64,
    pub(super) track: TrackId,
}

#[derive(Debug, Default)]
struct Lane {
    publication: u32,
    waiting: VecDeque<(Now, Relayed)>,
    /// The highest number that has come.
    highest: Option<u64>,
    end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// All of it has come.
    Whole,
    /// The rest does not come.
    Dropped,
}

/// The order of one path.
#[derive(Debug)]
pub(super) struct Merge {
    patience: Duration,
    last: Option<Position>,
    /// What was here before, and is not to be missed now.
    begun: Option<Position>,
    /// The last number of each track that was passed on, and of which epoch these are.
    passed: (Epoch, BTreeMap<TrackId, u64>),
    lanes: BTreeMap<LaneKey, Lane>,
    waiting: usize,
    waiting_bytes: usize,
}

/// Streams of one path that are remembered: three groups of as many tracks as there may be.
pub(super) const LANES_MAX: usize = 96;

/// How long units of an epoch that is over are still waited for when those of the next are there.
const EPOCH_PATIENCE: Duration = Duration::from_millis(100);

impl From<&GroupHead> for LaneKey {
    fn from(head: &GroupHead) -> Self {
        Self { epoch: head.epoch, group: head.group, track: TrackId(head.track) }
    }
}

impl Merge {
    /// Goes on after `last`. Nothing waits for longer than `patience`.
    pub(super) const fn new(last: Option<Position>, patience: Duration) -> Self {
        let passed = (Epoch(0), BTreeMap::new());
        Self { patience, last, begun: last, passed, lanes: BTreeMap::new(), waiting: 0, waiting_bytes: 0 }
    }

    /// A stream has begun. False when there are more than there can be in earnest.
    pub(super) fn begin(&mut self, head: &GroupHead) -> bool {
        self.prune();
        if self.lanes.len() >= LANES_MAX {
            return false;
        }
        let lane = self.lanes.entry(head.into()).or_default();
        lane.publication = head.publication;
        // It may have been given up when another parent sent it.
        lane.end = None;
        true
    }

    /// A unit has come on a stream that has begun.
    pub(super) fn arrived(&mut self, key: LaneKey, relayed: Relayed, now: Now) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let position = Position { epoch: key.epoch, seq: relayed.seq };
        let is_passed = self.last.is_some_and(|last| position <= last);
        let is_first = lane.highest.is_none_or(|highest| relayed.seq > highest);
        if is_first {
            lane.highest = Some(relayed.seq);
        }
        if is_passed || !is_first {
            return;
        }
        self.waiting_bytes += relayed.unit.payload.len();
        lane.waiting.push_back((now, relayed));
        self.waiting += 1;
    }

    /// All of a stream has come.
    pub(super) fn finished(&mut self, key: LaneKey) {
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.end.get_or_insert(End::Whole);
        }
    }

    /// The rest of a track's group does not come; nothing of it may have.
    pub(super) fn dropped(&mut self, key: LaneKey) {
        if self.lanes.len() < LANES_MAX || self.lanes.contains_key(&key) {
            self.lanes.entry(key).or_default().end = Some(End::Dropped);
        }
    }

    /// Takes what can be passed on now, in order.
    pub(super) fn take(&mut self, now: Now, out: &mut Vec<RelayedUnit>) {
        while self.waiting > 0 {
            let Some(key) = self.next(now) else { return };
            let Some(lane) = self.lanes.get_mut(&key) else { return };
            let Some((_, relayed)) = lane.waiting.pop_front() else { return };
            self.waiting -= 1;
            self.waiting_bytes -= relayed.unit.payload.len();
            let position = Position { epoch: key.epoch, seq: relayed.seq };
            if self.last.is_some_and(|last| position <= last) {
                continue;
            }
            self.last = Some(position);
            let publication = lane.publication;
            let missed = self.pass(key, &relayed);
            out.push(RelayedUnit { position, publication, group: key.group, missed, relayed });
        }
    }

    /// Passes a unit on; says whether one that comes before it was not.
    fn pass(&mut self, key: LaneKey, unit: &Relayed) -> bool {
        let (epoch, passed) = &mut self.passed;
        if *epoch != key.epoch {
            *epoch = key.epoch;
            passed.clear();
        }
        let begun = self.begun;
        // Where the parent no longer had what comes after the last unit here, it begins with its newest group.
        let is_later = begun.is_some_and(|begun| begun.epoch == key.epoch && unit.seq > begun.seq + 1);
        let resumed_late = passed.is_empty() && is_later;
        let missed = resumed_late
            || unit.missed
            || unit.after.iter().any(|(track, seq)| {
                let was_here = begun.is_some_and(|begun| begun >= (Position { epoch: key.epoch, seq: *seq }));
                !was_here && passed.get(track) != Some(seq)
            });
        passed.insert(key.track, unit.seq);
        missed
    }

    /// When to look again although nothing has come.
    pub(super) fn wake_at(&self) -> Option<Now> {
        if self.waiting == 0 {
            return None;
        }
        let fronts = self.fronts();
        let first = fronts.clone().next().map(|(key, ..)| key.epoch)?;
        let due = |key: LaneKey, came: Now| {
            came.after(if key.epoch > first { EPOCH_PATIENCE.min(self.patience) } else { self.patience })
        };
        fronts.map(|(key, came, _)| due(key, came)).min()
    }

    /// The first unit of each stream, with when it came; oldest epochs first.
    fn fronts(&self) -> impl Iterator<Item = (LaneKey, Now, &Relayed)> + Clone {
        self.lanes.iter().filter_map(|(key, lane)| lane.waiting.front().map(|(came, unit)| (*key, *came, unit)))
    }

    /// The stream whose first unit is the next.
    fn next(&self, now: Now) -> Option<LaneKey> {
        let lowest = self.fronts().min_by_key(|(key, _, unit)| (key.epoch, unit.seq))?;
        let (key, came, unit) = lowest;
        if self.is_ready(key, unit) && !self.waits_for_older(key, came, now) {
            return Some(key);
        }
        if self.waiting_bytes > RELAY_WAITING_BYTES_MAX {
            return Some(key);
        }
        // Somebody has waited too long: then it is the turn of the lowest, whatever it waits for itself.
        let is_over = |key: LaneKey, came: Now| {
            let newer = key.epoch > lowest.0.epoch;
            now.since(came) >= if newer { EPOCH_PATIENCE.min(self.patience) } else { self.patience }
        };
        self.fronts().any(|(key, came, _)| is_over(key, came)).then_some(key)
    }

    /// Streams of an older epoch are still open, and it is not long that the first of this one is there.
    fn waits_for_older(&self, key: LaneKey, came: Now, now: Now) -> bool {
        now.since(came) < EPOCH_PATIENCE
            && self.last.is_some_and(|last| last.epoch < key.epoch)
            && self
                .lanes
                .range(..LaneKey { epoch: key.epoch, group: 0, track: TrackId(0) })
                .any(|(_, l)| l.end.is_none())
    }

    /// Whether all that comes before a unit has been passed on or does not come.
    fn is_ready(&self, key: LaneKey, unit: &Relayed) -> bool {
        unit.after.iter().all(|(track, seq)| self.is_settled(key.epoch, *track, *seq))
    }

    fn is_settled(&self, epoch: Epoch, track: TrackId, seq: u64) -> bool {
        if self.last.is_some_and(|last| last >= (Position { epoch, seq })) {
            return true;
        }
        let lanes = self.lanes.range(
            LaneKey { epoch, group: 0, track: TrackId(0) }..=LaneKey { epoch, group: seq, track: TrackId(u8::MAX) },
        );
        let lane = lanes.rev().find(|(key, _)| key.track == track).map(|(_, lane)| lane);
        lane.is_some_and(|lane| lane.end == Some(End::Dropped) && lane.highest.is_none_or(|highest| highest < seq))
    }

    /// Forgets streams that nothing can wait for any more.
    fn prune(&mut self) {
        let Some(last) = self.last else { return };
        // The newest of each track that has been passed in whole: a later one's first unit may name its units.
        let newer = |key: &LaneKey, all: &BTreeSet<LaneKey>| {
            all.range((std::ops::Bound::Excluded(*key), std::ops::Bound::Unbounded))
                .any(|other| other.track == key.track && last >= (Position { epoch: other.epoch, seq: other.group }))
        };
        let keys: BTreeSet<LaneKey> = self.lanes.keys().copied().collect();
        self.lanes.retain(|key, lane| {
            let is_done = lane.end.is_some() && lane.waiting.is_empty();
            let is_old = key.epoch < last.epoch || newer(key, &keys);
            !(is_done && is_old)
        });
    }
}

#[cfg(test)]
#[path = "merge_test.rs"]
mod tests;
