//! From one publisher to the next: the log of one that waits, and its newest group put behind the last unit of a path.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use weft_proto::id::{Epoch, PathName};
use weft_proto::media::{Tracks, Unit};
use weft_proto::time::{Now, WallClock};

use super::{Budget, LogLimits, Stream, StreamSettings};

impl Stream {
    /// A log of its own for a publisher that waits: no more than its newest group, with the publisher's own times.
    pub(crate) fn of_standby(
        path: PathName,
        tracks: Tracks,
        settings: &StreamSettings,
        budget: &Arc<Budget>,
    ) -> Arc<Self> {
        let log = LogLimits { keep: Duration::ZERO, ..settings.log };
        let settings = StreamSettings { log, ..settings.clone() };
        let never = (Now::from_micros(0), WallClock::default());
        let stream = Self::new(path, Epoch::default(), never, &settings, budget);
        stream.writer.lock().begin_waiting(tracks.clone());
        *stream.tracks.write() = Some(tracks);
        stream
    }

    /// The generation that pushes must carry.
    pub(crate) fn generation(&self) -> u32 {
        self.writer.lock().generation()
    }

    /// Whether there is a group that decoding can begin with.
    pub(crate) fn has_group(&self) -> bool {
        self.log.lock().entry_point().is_some()
    }

    /// The newest group, from its random access point on, and when each unit came.
    pub(crate) fn group(&self) -> Vec<(Unit, Now)> {
        let log = self.log.lock();
        let Some(point) = log.entry_point() else { return Vec::new() };
        log.from(point.index).map(|entry| (entry.unit.clone(), entry.arrived)).collect()
    }

    /// Begins a publisher's time with a group that it has sent before its turn: path time goes on as if its first unit had been
    /// pushed when it came. Says the generation that its pushes must carry.
    pub(crate) fn splice(&self, tracks: Tracks, group: Vec<(Unit, Now)>, now: Now) -> u32 {
        let inbound: usize = group.iter().map(|(unit, _)| unit.payload.len()).sum();
        self.counters.inbound_bytes.fetch_add(inbound as u64, Ordering::Relaxed);
        self.counters.takeovers.fetch_add(1, Ordering::Relaxed);
        let mut writer = self.writer.lock();
        let generation = writer.begin(tracks.clone());
        let overdrawn = {
            let mut log = self.log.lock();
            let before = log.bytes();
            for (unit, came) in group {
                if let Some(mut entry) = writer.admit(unit, came) {
                    // No reader is late because of what nobody could have read before.
                    entry.arrived = now;
                    log.push(Arc::new(entry));
                }
            }
            self.budget.note(before, log.bytes())
        };
        *self.tracks.write() = Some(tracks);
        drop(writer);
        self.bells.ring();
        if overdrawn {
            self.budget.enforce();
        }
        generation
    }
}

#[cfg(test)]
mod tests {
    use weft_proto::media::marks::Cadence;

    use super::super::testing::{at, tracks, unit};
    use super::*;

    fn settings() -> StreamSettings {
        StreamSettings { log: LogLimits::default(), cadence: Cadence::default() }
    }

    fn path() -> PathName {
        PathName::new("cam").unwrap()
    }

    /// A standby that has sent frames since frame 0, with a clock that stands at ten hours.
    fn standby(budget: &Arc<Budget>, frames: u64, gop: u64) -> Arc<Stream> {
        let stream = Stream::of_standby(path(), tracks(), &settings(), budget);
        for n in 0..frames {
            let ticks = 36_000 * 90_000 + n as i64 * 3600;
            stream.push(stream.generation(), &mut vec![unit(0, ticks, n % gop == 0, 100)], at(n)).unwrap();
        }
        stream
    }

    fn entries(stream: &Stream) -> Vec<(u64, i64, u32)> {
        let log = stream.log.lock();
        log.from(0).map(|entry| (entry.position.seq, entry.dts_micros, entry.generation)).collect()
    }

    #[test]
    fn a_standby_keeps_its_newest_group_and_nothing_else() {
        let budget = Budget::new(64 << 20);
        let stream = standby(&budget, 60, 25);
        let group = stream.group();
        assert_eq!((group.len(), group[0].1), (10, at(50)));
        assert!(group[0].0.random_access);
        assert_eq!(group[9].0.dts - group[0].0.dts, 9 * 3600, "its times are its own");
        drop((stream, group));
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn a_group_that_outgrows_its_bounds_is_no_beginning() {
        let budget = Budget::new(64 << 20);
        assert!(standby(&budget, 25 * 19, 10_000).has_group());
        assert!(!standby(&budget, 25 * 21, 10_000).has_group());
    }

    #[test]
    fn the_group_follows_the_last_unit_and_what_comes_later_keeps_its_distance() {
        let budget = Budget::new(64 << 20);
        let stream = Stream::new(path(), Epoch(1), (at(0), WallClock::default()), &settings(), &budget);
        let old = stream.begin(tracks());
        for n in 0..60 {
            stream.push(old, &mut vec![unit(0, n as i64 * 3600, n % 25 == 0, 100)], at(n)).unwrap();
        }
        let waits = standby(&budget, 60, 25);
        let generation = stream.splice(tracks(), waits.group(), at(60));
        assert!(stream.push(old, &mut vec![unit(0, 0, true, 10)], at(60)).is_err());
        let next = 36_000 * 90_000 + 60 * 3600;
        stream.push(generation, &mut vec![unit(0, next, false, 100)], at(60)).unwrap();
        let all = entries(&stream);
        let last = all.iter().rfind(|entry| entry.2 == old).copied().unwrap();
        let new: Vec<_> = all.iter().filter(|entry| entry.2 == generation).collect();
        assert_eq!(new.len(), 11);
        assert_eq!(new[0].1 - last.1, 200_000, "after the last unit, with a gap that players see");
        assert!(new.windows(2).all(|pair| pair[1].1 - pair[0].1 == 40_000 && pair[1].0 == pair[0].0 + 1));
    }

    #[test]
    fn after_a_long_silence_the_group_has_the_times_at_which_it_came() {
        let budget = Budget::new(64 << 20);
        let stream = Stream::new(path(), Epoch(1), (at(0), WallClock::default()), &settings(), &budget);
        let old = stream.begin(tracks());
        stream.push(old, &mut vec![unit(0, 0, true, 100)], at(0)).unwrap();
        let waits = standby(&budget, 60, 25);
        stream.splice(tracks(), waits.group(), at(60));
        assert_eq!(entries(&stream)[1].1, 50 * 40_000);
    }
}
