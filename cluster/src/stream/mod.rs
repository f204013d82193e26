//! A stream: the live media of one path on this node. Log, cursors, start and skip rules, budget, wake-ups.

mod budget;
mod cursor;
mod entry;
mod log;
mod relayed;
mod splice;
mod start;
#[cfg(test)]
pub(crate) mod testing;
mod wake;
mod writer;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use weft_proto::id::{Epoch, PathName};
use weft_proto::media::marks::Cadence;
use weft_proto::media::{Tracks, Unit};
use weft_proto::time::{Now, WallClock};
use weft_proto::wire::relay::Reached;

pub use budget::{Budget, Holder};
pub use cursor::{Cursor, Delivery, ReadState};
pub use entry::Entry;
pub use log::{EntryPoint, Log, LogLimits};
pub use start::{Join, Squeeze, Start, StartLimits, Times};
pub use wake::{StreamKey, WakeGate};
pub use writer::Writer;

pub(crate) use relayed::RelayedUnit;
pub(crate) use wake::Bells;

/// What there was of a path before this node owned it.
#[derive(Clone, Debug)]
pub(crate) enum Before {
    /// Nothing: the path is new.
    Nothing,
    /// Nobody remembers, but it is not new.
    Unknown,
    /// So far others know it.
    Reached(Reached),
}

/// What flowed through a stream since it was born.
#[derive(Debug, Default)]
pub struct Counters {
    /// Payload bytes pushed by publishers.
    pub inbound_bytes: AtomicU64,
    /// Bytes sent to readers, as their protocols count them.
    pub outbound_bytes: AtomicU64,
    /// Units lost or damaged on the way in.
    pub inbound_units_in_error: AtomicU64,
    /// How often a standby has taken over here.
    pub takeovers: AtomicU64,
}

/// The live media of one path on this node.
#[derive(Debug)]
pub struct Stream {
    key: StreamKey,
    path: PathName,
    epoch: AtomicU64,
    /// Microseconds of the node's clock, and since 1970.
    born: (AtomicU64, AtomicI64),
    log: Mutex<Log>,
    writer: Mutex<Writer>,
    tracks: RwLock<Option<Tracks>>,
    bells: Bells,
    keyframe_wanted: AtomicBool,
    counters: Counters,
    budget: Arc<Budget>,
}

/// How a stream is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSettings {
    /// What the log keeps.
    pub log: LogLimits,
    /// How segments and parts are marked.
    pub cadence: Cadence,
}

/// A publisher pushed although another one has taken its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another publisher has taken over the path")]
pub struct Replaced;

impl Stream {
    pub(crate) fn new(
        path: PathName,
        epoch: Epoch,
        born: (Now, WallClock),
        settings: &StreamSettings,
        budget: &Arc<Budget>,
    ) -> Arc<Self> {
        static KEYS: AtomicU64 = AtomicU64::new(1);
        let key = StreamKey(KEYS.fetch_add(1, Ordering::Relaxed));
        let stream = Arc::new(Self {
            key,
            path,
            epoch: AtomicU64::new(epoch.0),
            born: (AtomicU64::new(born.0.micros()), AtomicI64::new(born.1.unix_micros())),
            log: Mutex::new(Log::new(settings.log)),
            writer: Mutex::new(Writer::new(epoch, born.0, settings.cadence)),
            tracks: RwLock::new(None),
            bells: Bells::new(key),
            keyframe_wanted: AtomicBool::new(false),
            counters: Counters::default(),
            budget: budget.clone(),
        });
        let holder: Weak<Self> = Arc::downgrade(&stream);
        budget.register(holder);
        stream
    }

    /// Its name for workers.
    pub const fn key(&self) -> StreamKey {
        self.key
    }

    /// The path it belongs to.
    pub const fn path(&self) -> &PathName {
        &self.path
    }

    /// The ownership under which it is published; zero while this node has not owned it.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    /// What is pushed from now on belongs to this ownership. A lower one than before is not taken.
    pub(crate) fn set_epoch(&self, epoch: Epoch) {
        if self.epoch.fetch_max(epoch.0, Ordering::AcqRel) < epoch.0 {
            self.writer.lock().set_epoch(epoch);
        }
    }

    /// When the path was born: zero of path time.
    pub fn born(&self) -> Now {
        Now::from_micros(self.born.0.load(Ordering::Relaxed))
    }

    /// When the path was born, for people.
    pub fn born_wall(&self) -> WallClock {
        WallClock::from_unix_micros(self.born.1.load(Ordering::Relaxed))
    }

    /// The cluster remembers the path's birth. Of no effect once it has had a unit here.
    pub(crate) fn set_born(&self, (born, wall): (Now, WallClock)) {
        if self.writer.lock().set_birth(born) {
            self.born.0.store(born.micros(), Ordering::Relaxed);
            self.born.1.store(wall.unix_micros(), Ordering::Relaxed);
        }
    }

    /// How far the path has come here; `None` before its first unit.
    pub(crate) fn reached(&self) -> Option<Reached> {
        self.writer.lock().reached()
    }

    /// What this node publishes goes on after what there was before.
    pub(crate) fn go_on_after(&self, before: &Before, now: Now) {
        match before {
            Before::Nothing => {}
            Before::Unknown => self.writer.lock().begin_anew(now),
            Before::Reached(reached) => self.writer.lock().reached_elsewhere(reached),
        }
    }

    /// The tracks in force; `None` before the first publisher.
    pub fn tracks(&self) -> Option<Tracks> {
        self.tracks.read().clone()
    }

    /// What flowed so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Changes what the log keeps. How segments and parts are marked stays as it was when the stream was born: players hold
    /// a playlist to the durations that it began with.
    pub(crate) fn set_limits(&self, limits: LogLimits) {
        self.log.lock().set_limits(limits);
    }

    /// The budget that it stands in, with all that the node makes of it.
    pub const fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Bytes that the log weighs.
    pub fn log_bytes(&self) -> usize {
        self.log.lock().bytes()
    }

    /// Whether the newest group outgrew `groupMax`, so that new readers start live.
    pub fn is_overgrown(&self) -> bool {
        self.log.lock().is_overgrown()
    }

    /// Begins a publisher's time; says the generation that its pushes must carry.
    pub(crate) fn begin(&self, tracks: Tracks) -> u32 {
        let generation = self.writer.lock().begin(tracks.clone());
        *self.tracks.write() = Some(tracks);
        self.bells.ring();
        generation
    }

    /// Changes parameters of the running publisher's tracks.
    pub(crate) fn set_tracks(&self, generation: u32, tracks: Tracks) -> Result<(), Replaced> {
        let mut writer = self.writer.lock();
        if writer.generation() != generation {
            return Err(Replaced);
        }
        writer.set_tracks(tracks.clone());
        *self.tracks.write() = Some(tracks);
        Ok(())
    }

    /// Appends a batch and wakes each worker that reads the stream, once.
    pub(crate) fn push(&self, generation: u32, units: &mut Vec<Unit>, now: Now) -> Result<(), Replaced> {
        let mut writer = self.writer.lock();
        if writer.generation() != generation {
            units.clear();
            return Err(Replaced);
        }
        let inbound: usize = units.iter().map(|unit| unit.payload.len()).sum();
        self.counters.inbound_bytes.fetch_add(inbound as u64, Ordering::Relaxed);
        let overdrawn = {
            let mut log = self.log.lock();
            let before = log.bytes();
            for unit in units.drain(..) {
                if let Some(entry) = writer.admit(unit, now) {
                    log.push(Arc::new(entry));
                }
            }
            self.budget.note(before, log.bytes())
        };
        drop(writer);
        self.bells.ring();
        if overdrawn {
            self.budget.enforce();
        }
        Ok(())
    }

    /// Counts units that were lost on the way in and leaves a hole for them.
    pub(crate) fn lose(&self, generation: u32, units: u32) {
        self.counters.inbound_units_in_error.fetch_add(u64::from(units), Ordering::Relaxed);
        let mut writer = self.writer.lock();
        if writer.generation() == generation {
            writer.lose(units);
        }
    }

    /// Reads on for a cursor.
    pub(crate) fn read(&self, cursor: &mut Cursor, now: Now, out: &mut Vec<Delivery>) -> ReadState {
        let state = cursor.read(&self.log.lock(), now, out);
        if state.keyframe_wanted {
            self.want_keyframe();
        }
        state
    }

    /// Notes that a reader waits for a random access point; requests are coalesced until the publisher takes them.
    pub(crate) fn want_keyframe(&self) {
        self.keyframe_wanted.store(true, Ordering::Release);
    }

    /// Takes the coalesced keyframe request.
    pub(crate) fn take_keyframe_wanted(&self) -> bool {
        self.keyframe_wanted.load(Ordering::Relaxed) && self.keyframe_wanted.swap(false, Ordering::AcqRel)
    }

    /// Whether somebody waits for a random access point.
    pub(crate) fn is_keyframe_wanted(&self) -> bool {
        self.keyframe_wanted.load(Ordering::Relaxed)
    }

    pub(crate) const fn bells(&self) -> &Bells {
        &self.bells
    }
}

impl Holder for Stream {
    fn held(&self) -> usize {
        self.log_bytes()
    }

    fn shed(&self, bytes: usize) {
        let mut log = self.log.lock();
        let before = log.bytes();
        log.shed(before.saturating_sub(bytes));
        self.budget.note(before, log.bytes());
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.budget.note(self.log.get_mut().bytes(), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{at, tracks, unit};
    use super::*;

    fn stream(name: &str, budget: &Arc<Budget>) -> Arc<Stream> {
        let settings = StreamSettings { log: LogLimits::default(), cadence: Cadence::default() };
        Stream::new(PathName::new(name).unwrap(), Epoch(1), (at(0), WallClock::default()), &settings, budget)
    }

    #[test]
    fn a_replaced_publisher_cannot_push() {
        let budget = Budget::new(1 << 20);
        let stream = stream("a", &budget);
        let old = stream.begin(tracks());
        let new = stream.begin(tracks());
        assert_eq!(stream.push(old, &mut vec![unit(0, 0, true, 10)], at(0)), Err(Replaced));
        assert_eq!(stream.push(new, &mut vec![unit(0, 0, true, 10)], at(0)), Ok(()));
    }

    #[test]
    fn the_largest_stream_pays_for_an_overdrawn_budget() {
        let budget = Budget::new(1 << 20);
        let (small, large) = (stream("small", &budget), stream("large", &budget));
        let generation = small.begin(tracks());
        small.push(generation, &mut vec![unit(0, 0, true, 100_000)], at(0)).unwrap();
        let held = small.log_bytes();
        let generation = large.begin(tracks());
        for n in 0..100 {
            large.push(generation, &mut vec![unit(0, n * 3600, n == 0, 20_000)], at(n as u64)).unwrap();
        }
        assert!(budget.held() <= budget.max());
        assert_eq!(small.log_bytes(), held);
        drop((small, large));
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn what_doors_hold_stands_in_the_same_budget() {
        #[derive(Debug)]
        struct Door(AtomicU64);
        impl Holder for Door {
            fn held(&self) -> usize {
                self.0.load(Ordering::Relaxed) as usize
            }
            fn shed(&self, bytes: usize) {
                self.0.fetch_sub(bytes as u64, Ordering::Relaxed);
            }
        }
        let budget = Budget::new(1 << 20);
        let door = Arc::new(Door(AtomicU64::new(1_000_000)));
        let holder: Weak<Door> = Arc::downgrade(&door);
        budget.register(holder);
        budget.note(0, door.held());
        let stream = stream("a", &budget);
        let generation = stream.begin(tracks());
        stream.push(generation, &mut vec![unit(0, 0, true, 100_000)], at(0)).unwrap();
        assert!(door.held() < 1_000_000, "the larger one pays for the smaller");
        assert!(stream.log_bytes() > 100_000);
    }
}
