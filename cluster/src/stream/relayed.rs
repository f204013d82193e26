//! A stream that is fed by another node: its log is a copy, with the same positions, times and marks.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use weft_proto::id::{Epoch, Position};
use weft_proto::media::Tracks;
use weft_proto::time::Now;
use weft_proto::wire::relay::{Live, Relayed};

use super::log::Expected;
use super::{Entry, Replaced, Stream};

/// A unit as it stands in the log of another node.
#[derive(Debug)]
pub(crate) struct RelayedUnit {
    pub(crate) position: Position,
    pub(crate) publication: u32,
    pub(crate) group: u64,
    /// What comes before it has not all come here.
    pub(crate) missed: bool,
    pub(crate) relayed: Relayed,
}

impl Stream {
    /// Begins to be fed by another node; says the generation that what is fed must carry.
    pub(crate) fn begin_relay(&self, tracks: Tracks) -> u32 {
        let generation = self.writer.lock().begin_relay();
        *self.tracks.write() = Some(tracks);
        self.bells.ring();
        generation
    }

    /// Appends what another node has sent, in order, and wakes the workers. `last` is the publisher of the unit before, as the
    /// owner counts it; another one gives another generation. What is not after all that the log has is left out.
    pub(crate) fn relay(
        &self,
        generation: &mut u32,
        last: &mut Option<(Epoch, u32)>,
        units: &mut Vec<RelayedUnit>,
        now: Now,
    ) -> Result<(), Replaced> {
        let mut writer = self.writer.lock();
        if writer.generation() != *generation {
            units.clear();
            return Err(Replaced);
        }
        let inbound: usize = units.iter().map(|unit| unit.relayed.unit.payload.len()).sum();
        self.counters.inbound_bytes.fetch_add(inbound as u64, Ordering::Relaxed);
        let mut tracks = None;
        let overdrawn = {
            let mut log = self.log.lock();
            let before = log.bytes();
            for unit in units.drain(..) {
                // A node that knows a higher epoch takes no lower one.
                if unit.position.epoch < self.epoch() || log.last_position().is_some_and(|last| unit.position <= last) {
                    continue;
                }
                if writer.withholds(&unit, &log, now) {
                    continue;
                }
                self.epoch.fetch_max(unit.position.epoch.0, Ordering::AcqRel);
                let publisher = (unit.position.epoch, unit.publication);
                if last.replace(publisher).is_some_and(|last| last != publisher) {
                    *generation = writer.begin_relay();
                }
                let entry = entry(unit, *generation, now);
                writer.follow(&entry);
                tracks = Some(entry.tracks.clone());
                log.push(Arc::new(entry));
            }
            self.budget.note(before, log.bytes())
        };
        if let Some(tracks) = tracks
            && self.tracks.read().as_ref().is_none_or(|known| !known.is_same_list(&tracks))
        {
            *self.tracks.write() = Some(tracks);
        }
        drop(writer);
        self.bells.ring();
        if overdrawn {
            self.budget.enforce();
        }
        Ok(())
    }

    /// A parent has said how far the path has come there, `before` ago: readers begin at that edge.
    pub(crate) fn expect(&self, live: Live, before: Duration, now: Now) {
        let at = Now::from_micros(now.micros().saturating_sub(u64::try_from(before.as_micros()).unwrap_or(u64::MAX)));
        self.log.lock().expect(Expected { live_micros: live.micros, at, newest: live.newest });
        self.bells.ring();
    }

    /// How far the path has come, here or as a parent has said it; `None` while nothing is known.
    pub(crate) fn live(&self, now: Now) -> Option<Live> {
        let log = self.log.lock();
        let newest = log.expected(now).map(|expected| expected.newest).or(log.last_position())?;
        Some(Live { micros: log.live_micros(now)?, newest })
    }

    /// Where a relay that sends this stream begins: index of the log, and what was published before it.
    pub(crate) fn find(&self, from: weft_proto::wire::relay::From) -> u64 {
        use weft_proto::wire::relay::From;
        let log = self.log.lock();
        let newest = || log.entry_point().map_or_else(|| log.head(), |point| point.index);
        match from {
            From::NewestGroup => newest(),
            From::Everything => log.first(),
            From::After(position) => log.after(position).unwrap_or_else(newest),
        }
    }

    /// Shows the entries from `index` on until one is not wanted. Returns the index of that one, or of the next to come; `None`
    /// where `index` has been trimmed.
    pub(crate) fn look(&self, index: u64, mut wants: impl FnMut(&Arc<Entry>) -> bool) -> Option<u64> {
        let log = self.log.lock();
        if index < log.first() {
            return None;
        }
        let wanted = log.from(index).take_while(|entry| wants(entry)).count();
        Some(index + wanted as u64)
    }

    /// The last unit's place.
    pub(crate) fn newest(&self) -> Option<Position> {
        self.log.lock().last_position()
    }

    /// The newest group that decoding can begin with: index and entry of its first unit.
    pub(crate) fn newest_group(&self) -> Option<(u64, Arc<Entry>)> {
        let log = self.log.lock();
        let index = log.entry_point()?.index;
        Some((index, log.get(index)?.clone()))
    }

    /// Index of the oldest entry that is kept, and of the one after the newest.
    pub(crate) fn bounds(&self) -> (u64, u64) {
        let log = self.log.lock();
        (log.first(), log.head())
    }
}

fn entry(unit: RelayedUnit, generation: u32, now: Now) -> Entry {
    let RelayedUnit { position, publication, group, missed, relayed } = unit;
    let Relayed { unit, marks, group_start, tracks, .. } = relayed;
    let dts_micros = tracks.get(unit.track).map_or(0, |track| track.clock_rate.to_micros(unit.dts));
    Entry {
        position,
        unit,
        dts_micros,
        arrived: now,
        marks,
        group_start,
        group,
        generation,
        publication,
        missed,
        tracks,
    }
}

#[cfg(test)]
mod tests {
    use weft_proto::id::PathName;
    use weft_proto::media::marks::Cadence;
    use weft_proto::time::WallClock;

    use super::super::testing::{at, tracks, unit};
    use super::super::{Budget, LogLimits, StreamSettings};
    use super::*;

    /// Frames of an ownership, with a group each second.
    fn frames(epoch: u64, frames: std::ops::Range<u64>) -> Vec<RelayedUnit> {
        let frame = |n: u64| {
            let (key, position) = (n.is_multiple_of(25), Position { epoch: Epoch(epoch), seq: n });
            let unit = unit(0, n as i64 * 3600, key, 10);
            let (marks, after) = (None, Vec::new());
            let relayed = Relayed { seq: n, unit, marks, group_start: key, missed: false, tracks: tracks(), after };
            RelayedUnit { position, publication: 1, group: n / 25 * 25, missed: false, relayed }
        };
        frames.map(frame).collect()
    }

    /// This node was alone with an epoch for four seconds, and gets at once what the others have had meanwhile.
    #[test]
    fn what_is_not_after_all_that_readers_had_is_left_out_however_old_it_is() {
        let settings = StreamSettings { log: LogLimits::default(), cadence: Cadence::default() };
        let born = (at(0), WallClock::default());
        let stream = Stream::new(PathName::new("cam").unwrap(), Epoch(1), born, &settings, &Budget::new(64 << 20));
        let (mut generation, mut last) = (stream.begin_relay(tracks()), None);
        let mut relay = |mut units: Vec<RelayedUnit>, now| {
            stream.relay(&mut generation, &mut last, &mut units, now).unwrap();
            let newest = stream.newest().unwrap();
            (newest.epoch.0, newest.seq)
        };
        assert_eq!(relay(frames(1, 0..110), at(110)), (1, 109));
        assert_eq!(relay(frames(2, 10..125), at(110)), (1, 109));
        assert_eq!(relay(frames(2, 125..130), at(111)), (2, 129));
        // Whoever has another idea of time is waited for, but not for long; then its next group is taken.
        assert_eq!(relay(frames(3, 0..26), at(130)), (2, 129));
        assert_eq!(relay(frames(3, 26..75), at(179)), (2, 129));
        assert_eq!(relay(frames(3, 75..76), at(180)), (3, 75));
    }
}
