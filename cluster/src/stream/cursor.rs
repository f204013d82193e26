//! A reader's place in a log: the start rule, the skip rule, pacing of a burst. Pure.

use std::sync::Arc;
use std::time::Duration;

use weft_proto::media::TrackId;
use weft_proto::time::{ClockRate, Now};

use super::entry::Entry;
use super::log::{EntryPoint, Log};
use super::start::{BURST, Join, Squeeze, Start, StartLimits, Times};
use crate::limits::BATCH_UNITS_MAX;

/// One unit on its way to one reader.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The unit in its place.
    pub entry: Arc<Entry>,
    /// Times are not the true ones but squeezed.
    pub squeeze: Option<Squeeze>,
}

impl Delivery {
    /// When this reader is to present the unit, in ticks of the track's clock.
    pub fn pts(&self, rate: ClockRate) -> i64 {
        self.squeeze.map_or(self.entry.unit.pts, |squeeze| squeeze.ticks(self.entry.unit.pts, rate))
    }

    /// When this reader is to decode the unit, in ticks of the track's clock.
    pub fn dts(&self, rate: ClockRate) -> i64 {
        self.squeeze.map_or(self.entry.unit.dts, |squeeze| squeeze.ticks(self.entry.unit.dts, rate))
    }
}

/// What a read left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadState {
    /// There is more to read at once.
    pub more: bool,
    /// The burst is paced: read again at this time.
    pub resume_at: Option<Now>,
    /// The reader waits for a random access point: the publisher should make one if it can.
    pub keyframe_wanted: bool,
}

/// A waiting unit older than this is skipped or its times squeezed: a player must not fall behind for ever.
const LAG_MAX: Duration = Duration::from_secs(1);

/// A waiting unit older than this is left out if nobody refers to it.
const DISCARD_LAG: Duration = Duration::from_millis(500);

/// Bytes of a paced burst that may go out at once. A default socket buffer of 208 KB holds about 90 packets of 1,400
/// bytes with the kernel's bookkeeping; 32 KB are 24 packets, which leaves room for what is still unread.
const PACE_BURST_BYTES: u64 = 32 << 10;

/// A reader's place.
#[derive(Debug)]
pub struct Cursor {
    join: Join,
    limits: StartLimits,
    begun: bool,
    next: u64,
    /// Entries before this index belong to the burst that a join or a skip began.
    burst_end: u64,
    squeeze: Option<Squeeze>,
    /// Bit per track: units are left out until a random access point.
    waiting: u32,
    generation: u32,
    skipped: u64,
    tokens: u64,
    paced_at: Now,
}

impl Cursor {
    /// A cursor that begins at its first read.
    pub const fn new(join: Join, limits: StartLimits) -> Self {
        Self {
            join,
            limits,
            begun: false,
            next: 0,
            burst_end: 0,
            squeeze: None,
            waiting: 0,
            generation: 0,
            skipped: 0,
            tokens: PACE_BURST_BYTES,
            paced_at: Now::from_micros(0),
        }
    }

    /// Units that this reader was not given although it was there, since the last call.
    pub const fn take_skipped(&mut self) -> u64 {
        core::mem::replace(&mut self.skipped, 0)
    }

    /// Takes up to a batch of what comes next.
    pub fn read(&mut self, log: &Log, now: Now, out: &mut Vec<Delivery>) -> ReadState {
        let mut state = ReadState::default();
        if !self.begun && self.awaits_group(log, now) {
            return state;
        }
        if !self.begun {
            self.begin(log, now);
            state.keyframe_wanted = self.waiting != 0;
        } else if self.must_skip(log, now) {
            self.skip(log, now);
            state.keyframe_wanted = self.waiting != 0;
        }
        for entry in log.from(self.next) {
            if out.len() >= BATCH_UNITS_MAX {
                state.more = true;
                break;
            }
            if let Some(at) = self.hold_for_pace(entry, now) {
                state.resume_at = Some(at);
                break;
            }
            self.next += 1;
            if self.admits(entry, now) {
                let squeeze = self.squeeze.filter(|squeeze| squeeze.covers(entry.dts_micros));
                out.push(Delivery { entry: entry.clone(), squeeze });
            }
        }
        state
    }

    /// The group to begin with is on its way from another node.
    fn awaits_group(&self, log: &Log, now: Now) -> bool {
        self.join.from == Start::NewestGroup && log.entry_point().is_none() && log.expected(now).is_some()
    }

    fn begin(&mut self, log: &Log, now: Now) {
        self.begun = true;
        match self.join.from {
            Start::Live => self.start_live(log),
            Start::NewestGroup => self.start_group(log, now),
            Start::Everything => self.start_at(log, log.first(), now),
            Start::After(position) => {
                let known = log.from(log.first()).position(|entry| entry.position > position);
                match known {
                    Some(ahead) if log.get(log.first()).is_some_and(|entry| entry.position <= position) => {
                        self.start_at(log, log.first() + ahead as u64, now);
                    }
                    _ => self.start_group(log, now),
                }
            }
        }
    }

    fn start_group(&mut self, log: &Log, now: Now) {
        match log.entry_point() {
            Some(point) if self.fits(log, point, now) => self.start_at(log, point.index, now),
            _ => self.start_live(log),
        }
    }

    fn fits(&self, log: &Log, point: EntryPoint, now: Now) -> bool {
        let age = log.live_micros(now).unwrap_or(point.dts_micros) - point.dts_micros;
        self.join.times == Times::True
            || (point.bytes <= self.limits.bytes_max && age <= self.limits.age_max.as_micros() as i64)
    }

    fn start_live(&mut self, log: &Log) {
        self.next = log.head();
        self.burst_end = self.next;
        self.squeeze = None;
        self.waiting = log.from(log.head().saturating_sub(1)).next().map_or(0, |last| dependent_tracks(last));
    }

    fn start_at(&mut self, log: &Log, index: u64, now: Now) {
        self.next = index.max(log.first());
        self.burst_end = log.head();
        self.tokens = PACE_BURST_BYTES;
        self.paced_at = now;
        let Some(first) = log.get(self.next) else { return };
        // Only the track that the entry point belongs to can begin right there.
        self.waiting = dependent_tracks(first) & !bit(first.unit.track);
        if first.unit.random_access {
            self.generation = first.generation;
        }
        self.squeeze_burst(log, first.dts_micros, now);
    }

    fn squeeze_burst(&mut self, log: &Log, from_micros: i64, now: Now) {
        let Some(live) = log.live_micros(now).filter(|_| self.join.times == Times::Squeezed) else { return };
        let bytes: usize = log.from(self.next).map(|entry| entry.unit.payload.len()).sum();
        let paced = self
            .join
            .pace
            .map_or(Duration::ZERO, |pace| Duration::from_micros(bytes as u64 * 1_000_000 / u64::from(pace.max(1))));
        self.squeeze = Squeeze::new(from_micros, live, paced.max(BURST));
    }

    /// Falling behind: what comes next is gone, or has waited too long.
    fn must_skip(&self, log: &Log, now: Now) -> bool {
        if self.next < log.first() {
            return true;
        }
        self.join.times == Times::Squeezed
            && self.next >= self.burst_end
            && log.get(self.next).is_some_and(|entry| now.since(entry.arrived) > LAG_MAX)
    }

    /// A skip is a join: to a newer entry point if there is one; else on from here, with its times squeezed, while it
    /// is kept; else live.
    fn skip(&mut self, log: &Log, now: Now) {
        let from = self.next;
        match log.entry_point() {
            Some(point) if point.index > from && self.fits(log, point, now) => self.start_at(log, point.index, now),
            _ if from >= log.first() => {
                let waiting = self.waiting;
                self.start_at(log, from, now);
                self.waiting = waiting;
            }
            _ => self.start_live(log),
        }
        self.skipped += self.next - from;
    }

    /// Whether this reader gets the entry. Leaves out what cannot be decoded yet and what a late reader can do without.
    fn admits(&mut self, entry: &Entry, now: Now) -> bool {
        if entry.generation != self.generation {
            // A publisher begins each dependent track with a random access point: nothing to wait for.
            self.generation = entry.generation;
            self.waiting = 0;
            self.squeeze = self.squeeze.filter(|squeeze| squeeze.covers(entry.dts_micros));
        }
        let track = bit(entry.unit.track);
        if self.waiting & track != 0 {
            if !entry.unit.random_access {
                return false;
            }
            self.waiting &= !track;
        }
        if let Some(squeeze) = self.squeeze {
            let dependent = dependent_tracks(entry) & track != 0;
            if !dependent && entry.dts_micros < squeeze.audio_from() {
                return false;
            }
        }
        let late = self.next > self.burst_end && now.since(entry.arrived) > DISCARD_LAG;
        if late && entry.unit.discardable && self.join.times == Times::Squeezed {
            self.skipped += 1;
            return false;
        }
        true
    }

    /// Spends the pace's tokens on a unit of the burst, or says when there will be enough.
    fn hold_for_pace(&mut self, entry: &Entry, now: Now) -> Option<Now> {
        let pace = u64::from(self.join.pace?.max(1));
        if self.next >= self.burst_end && !self.squeeze.is_some_and(|squeeze| squeeze.covers(entry.dts_micros)) {
            return None;
        }
        let earned = u64::try_from(now.since(self.paced_at).as_micros()).unwrap_or(u64::MAX).saturating_mul(pace);
        self.tokens = self.tokens.saturating_add(earned / 1_000_000).min(PACE_BURST_BYTES);
        self.paced_at = now;
        // A unit larger than the bucket goes when the bucket is full; the debt is paid before the next.
        let cost = (entry.unit.payload.len() as u64).min(PACE_BURST_BYTES);
        if self.tokens < cost {
            let wait = (cost - self.tokens) * 1_000_000 / pace + 1;
            return Some(now.after(Duration::from_micros(wait)));
        }
        self.tokens -= cost;
        None
    }
}

const fn bit(track: TrackId) -> u32 {
    1u32 << (track.0 & 31)
}

/// Bit per track whose units depend on earlier ones.
fn dependent_tracks(entry: &Entry) -> u32 {
    entry.tracks.iter().filter(|(_, track)| track.codec.has_dependent_units()).fold(0, |bits, (id, _)| bits | bit(id))
}

#[cfg(test)]
#[path = "cursor_test.rs"]
mod tests;
