//! The owner's side of a log: path time, positions, groups and marks, given to each unit once. Pure.

use std::time::Duration;

use smallvec::SmallVec;
use weft_proto::id::{Epoch, Position};
use weft_proto::media::marks::{Cadence, Lead, Numbers, Stamper};
use weft_proto::media::{Track, TrackId, Tracks, Unit};
use weft_proto::time::Now;
use weft_proto::wire::relay::Reached;

use super::entry::Entry;
use super::log::Log;
use super::relayed::RelayedUnit;

/// A new publisher's first unit comes this long after the last of the one before, so that players see a gap, not an overlap.
const SPLICE_GAP_MICROS: i64 = 200_000;

/// A timestamp that leaps further than this, either way, is a publisher's clock that was set anew.
const LEAP_MICROS: i64 = 10_000_000;

/// Where no track has dependent units, a group begins each second.
const PLAIN_GROUP_MICROS: i64 = 1_000_000;

/// A path begins to count at 0.
const FIRST_NUMBERS: Numbers = Numbers { segment: 0, part: 0, discontinuities: 0, target_seconds: 0, settled: false };

/// A publisher that has not caught up by then has another idea of time, and nobody waits for it. How far it is back says nothing:
/// a node that was cut off gets at once what has come meanwhile.
const WITHHELD_MAX: Duration = Duration::from_secs(2);

/// Where parts are not wanted shorter, none is.
const PART_MIN: Duration = Duration::from_millis(100);

/// Turns the units of a path's publishers into entries of its log.
#[derive(Debug)]
pub struct Writer {
    epoch: Epoch,
    /// The ownership that the next leading unit begins.
    next_epoch: Option<Epoch>,
    /// Units of this ownership were left out, since then; the next group may be taken.
    withheld: Option<(Epoch, Now)>,
    next_seq: u64,
    /// The number of the present group's first unit.
    group: u64,
    birth: Now,
    generation: u32,
    stamper: Stamper,
    cadence: Cadence,
    /// Latest time given so far, microseconds of path time.
    latest_micros: Option<i64>,
    last_group_micros: Option<i64>,
    session: Option<Session>,
}

/// What holds for one publisher.
#[derive(Debug)]
struct Session {
    tracks: Tracks,
    leading: Option<TrackId>,
    /// Path time minus the publisher's time, microseconds; fixed by the first unit.
    offset_micros: Option<i64>,
    lines: SmallVec<[Line; 2]>,
    /// It waits for its turn: its times stay its own, and are tied to path time with that.
    waits: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Line {
    /// The offset in ticks of the track's clock, so that tick distances stay exact.
    offset_ticks: i64,
    started: bool,
    last_dts: Option<i64>,
}

impl Writer {
    /// A path born at `birth` under `epoch`.
    pub const fn new(epoch: Epoch, birth: Now, cadence: Cadence) -> Self {
        Self {
            epoch,
            next_epoch: None,
            withheld: None,
            next_seq: 0,
            group: 0,
            birth,
            generation: 0,
            stamper: Stamper::new(cadence, FIRST_NUMBERS, false),
            cadence,
            latest_micros: None,
            last_group_micros: None,
            session: None,
        }
    }

    /// The next publisher takes over with these tracks; says its generation.
    pub fn begin(&mut self, tracks: Tracks) -> u32 {
        if let Some(epoch) = self.next_epoch {
            self.begin_epoch(epoch);
        }
        self.generation += 1;
        let leading = tracks.leading();
        let lines = SmallVec::from_elem(Line::default(), tracks.len());
        self.session = Some(Session { tracks, leading, offset_micros: None, lines, waits: false });
        let follows = self.latest_micros.is_some() || self.stamper.numbers() != FIRST_NUMBERS;
        self.stamper = Stamper::new(self.cadence, self.stamper.numbers(), follows);
        self.last_group_micros = None;
        self.group = self.next_seq;
        self.generation
    }

    /// A publisher that waits begins, in a log of its own; says its generation.
    pub fn begin_waiting(&mut self, tracks: Tracks) -> u32 {
        let generation = self.begin(tracks);
        if let Some(session) = &mut self.session {
            session.waits = true;
        }
        generation
    }

    /// What another node's publisher sends comes from now on, and no publisher's of this one; says its generation.
    pub fn begin_relay(&mut self) -> u32 {
        self.generation += 1;
        self.session = None;
        self.generation
    }

    /// Goes on after an entry that came from another node.
    pub fn follow(&mut self, entry: &Entry) {
        self.next_epoch = None;
        self.epoch = entry.position.epoch;
        self.next_seq = entry.position.seq + 1;
        self.group = entry.group;
        self.latest_micros = Some(self.latest_micros.map_or(entry.dts_micros, |latest| latest.max(entry.dts_micros)));
        if let Some(marks) = entry.marks {
            self.stamper.follow(marks);
        }
    }

    /// Whether a unit of another ownership is left out, for it would take readers back in time: this node was cut off, and went on
    /// with a publisher that the others had lost. They go on with the next group that comes after all that they have had.
    pub(super) fn withholds(&mut self, unit: &RelayedUnit, log: &Log, now: Now) -> bool {
        let (epoch, relayed) = (unit.position.epoch, &unit.relayed);
        if epoch == self.epoch {
            return false;
        }
        let track = relayed.unit.track;
        // When it is shown, not when it is decoded: by how much these differ is another matter for each publisher.
        let shown =
            |tracks: &Tracks, unit: &Unit| tracks.get(track).map_or(0, |track| track.clock_rate.to_micros(unit.pts));
        let of_track = log.from(log.first()).filter(|entry| entry.unit.track == track);
        let latest = of_track.map(|entry| shown(&entry.tracks, &entry.unit)).max();
        let own = shown(&relayed.tracks, &relayed.unit);
        let since = self.withheld.filter(|(of, _)| *of == epoch).map(|(_, since)| since);
        let is_back =
            latest.is_some_and(|latest| own <= latest) && since.is_none_or(|since| now.since(since) < WITHHELD_MAX);
        if is_back || since.is_some() && !relayed.group_start {
            self.withheld = Some((epoch, since.unwrap_or(now)));
            return true;
        }
        self.withheld = None;
        false
    }

    /// Goes on after what another node has reached, where that is further.
    pub fn reached_elsewhere(&mut self, reached: &Reached) {
        if self.latest_micros.is_none_or(|latest| reached.path_micros > latest) {
            self.latest_micros = Some(reached.path_micros);
            self.stamper = Stamper::new(self.cadence, reached.numbers, true);
        }
    }

    /// The path had units, and nobody remembers which: numbers go on above all that there can have been. Of no effect where some
    /// are known here.
    pub fn begin_anew(&mut self, now: Now) {
        if self.latest_micros.is_none() {
            let shortest = self.cadence.part.clamp(Duration::from_millis(1), PART_MIN);
            let parts = now.since(self.birth).as_micros() / shortest.as_micros();
            let highest = u64::try_from(parts).unwrap_or(0);
            let numbers = Numbers { segment: highest, part: highest, discontinuities: highest, ..FIRST_NUMBERS };
            self.stamper = Stamper::new(self.cadence, numbers, true);
        }
    }

    /// Where another node may go on; `None` before the first unit.
    pub fn reached(&self) -> Option<Reached> {
        let path_micros = self.latest_micros?;
        Some(Reached { epoch: self.epoch, path_micros, numbers: self.stamper.numbers() })
    }

    /// The path is older than was thought. Of no effect once it has had a unit.
    pub const fn set_birth(&mut self, birth: Now) -> bool {
        let is_new = self.latest_micros.is_none();
        if is_new {
            self.birth = birth;
        }
        is_new
    }

    /// Positions from now on are of this ownership. Their numbers go on. Under a publisher that goes on as well it begins with a
    /// leading unit, and that begins a segment: so what is cut misses nothing in between.
    pub fn set_epoch(&mut self, epoch: Epoch) {
        if self.session.as_ref().is_some_and(|session| !session.waits && session.offset_micros.is_some()) {
            self.next_epoch = Some(epoch);
            self.stamper.divide();
        } else {
            self.begin_epoch(epoch);
        }
    }

    fn begin_epoch(&mut self, epoch: Epoch) {
        self.next_epoch = None;
        self.epoch = epoch;
        self.group = self.next_seq;
    }

    /// Changes the parameters of the running publisher's tracks.
    pub fn set_tracks(&mut self, tracks: Tracks) {
        if let Some(session) = self.session.as_mut().filter(|session| session.tracks.len() == tracks.len()) {
            if session.tracks != tracks {
                self.stamper.parameters_changed();
            }
            session.tracks = tracks;
        }
    }

    /// The generation in force.
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// A unit was lost on the way in: it leaves a hole in the positions.
    pub const fn lose(&mut self, units: u32) {
        self.next_seq += units as u64;
    }

    /// Gives a unit its place; `None` for what cannot be decoded because its track has not had a random access point.
    pub fn admit(&mut self, mut unit: Unit, now: Now) -> Option<Entry> {
        let session = self.session.as_mut()?;
        let track = session.tracks.get(unit.track)?.clone();
        let index = usize::from(unit.track.0);
        let dependent = track.codec.has_dependent_units();
        if dependent && !session.lines[index].started && !unit.random_access {
            return None;
        }
        self.anchor(&unit, &track, now);
        let session = self.session.as_mut()?;
        let line = &mut session.lines[index];
        line.started = true;
        if !session.waits {
            unit.pts += line.offset_ticks;
            unit.dts = (unit.dts + line.offset_ticks).max(line.last_dts.unwrap_or(i64::MIN));
            unit.pts = unit.pts.max(unit.dts);
            line.last_dts = Some(unit.dts);
        }
        let dts_micros = track.clock_rate.to_micros(unit.dts);
        let leads = session.leading.is_none_or(|leading| leading == unit.track);
        let tracks = session.tracks.clone();
        if let Some(epoch) = self.next_epoch.filter(|_| leads) {
            self.begin_epoch(epoch);
        }
        let group_start = leads && self.begins_group(&unit, dependent, dts_micros);
        let lead = Lead { dts_micros, random_access: if dependent { unit.random_access } else { group_start } };
        let marks = if leads { self.stamper.stamp(lead) } else { None };
        self.latest_micros = Some(self.latest_micros.map_or(dts_micros, |latest| latest.max(dts_micros)));
        let position = Position { epoch: self.epoch, seq: self.next_seq };
        if group_start {
            self.group = self.next_seq;
        }
        self.next_seq += 1;
        let (group, generation, publication) = (self.group, self.generation, self.generation);
        Some(Entry {
            position,
            unit,
            dts_micros,
            arrived: now,
            marks,
            group_start,
            group,
            generation,
            publication,
            missed: false,
            tracks,
        })
    }

    fn begins_group(&mut self, unit: &Unit, dependent: bool, dts_micros: i64) -> bool {
        let due = if dependent {
            unit.random_access
        } else {
            self.last_group_micros.is_none_or(|last| dts_micros - last >= PLAIN_GROUP_MICROS)
        };
        if due {
            self.last_group_micros = Some(dts_micros);
        }
        due
    }

    /// Ties the publisher's time to path time with its first unit, and anew when its clock leaps.
    fn anchor(&mut self, unit: &Unit, track: &Track, now: Now) {
        let Some(session) = self.session.as_mut().filter(|session| !session.waits) else { return };
        let micros = track.clock_rate.to_micros(unit.dts);
        let leapt = |line: &Line| {
            line.last_dts.is_some_and(|last| {
                track.clock_rate.to_micros((unit.dts + line.offset_ticks).saturating_sub(last)).abs() > LEAP_MICROS
            })
        };
        let known = session.offset_micros.is_some();
        if known && !leapt(&session.lines[usize::from(unit.track.0)]) {
            return;
        }
        let age = i64::try_from(now.since(self.birth).as_micros()).unwrap_or(i64::MAX);
        let earliest = self.latest_micros.map_or(age, |latest| latest + SPLICE_GAP_MICROS);
        let offset = age.max(earliest).saturating_sub(micros);
        session.offset_micros = Some(offset);
        for (line, (_, track)) in session.lines.iter_mut().zip(session.tracks.iter()) {
            line.offset_ticks = track.clock_rate.from_micros(offset);
        }
        if known {
            self.stamper = Stamper::new(self.cadence, self.stamper.numbers(), true);
        }
    }
}

#[cfg(test)]
mod tests {
    use weft_proto::media::{Codec, H264Config};

    use super::super::testing::{at, tracks, unit};
    use super::*;

    fn writer() -> Writer {
        let mut writer = Writer::new(Epoch(5), at(0), Cadence::default());
        writer.begin(tracks());
        writer
    }

    #[test]
    fn numbers_go_on_above_all_where_nobody_remembers_them() {
        let mut lost = Writer::new(Epoch(5), at(0), Cadence::default());
        lost.begin_anew(at(180));
        lost.begin(tracks());
        let first = lost.admit(unit(0, 0, true, 10), at(181)).unwrap();
        let segment = first.marks.and_then(|marks| marks.segment).unwrap();
        assert_eq!((segment.number, segment.discontinuities, segment.discontinuity), (72, 73, true));
        assert_eq!(first.dts_micros, 7_240_000, "times are those of the path's age");
        // Where some are known they go on.
        lost.begin_anew(at(225));
        lost.begin(tracks());
        let next = lost.admit(unit(0, 0, true, 10), at(225)).unwrap();
        assert_eq!(next.marks.and_then(|marks| marks.segment).map(|segment| segment.number), Some(73));
    }

    #[test]
    fn another_epoch_under_the_same_publisher_begins_a_segment_with_a_leading_unit() {
        let mut writer = writer();
        let admit = |writer: &mut Writer, track: u8, n: i64| {
            let ticks = if track == 0 { n * 3600 } else { n * 1920 };
            writer.admit(unit(track, ticks, n == 0, 10), at(n as u64)).unwrap()
        };
        for n in 0..3 {
            admit(&mut writer, 0, n);
        }
        writer.set_epoch(Epoch(6));
        let sound = admit(&mut writer, 1, 3);
        assert_eq!(sound.position.epoch, Epoch(5), "it belongs to what is open");
        let first = admit(&mut writer, 0, 3);
        assert_eq!((first.position.epoch, first.position.seq), (Epoch(6), 4));
        let segment = first.marks.and_then(|marks| marks.segment).unwrap();
        assert_eq!((segment.number, segment.independent, segment.discontinuity), (1, false, false));
        let next = writer.admit(unit(0, 4 * 3600, true, 10), at(4)).unwrap();
        assert_eq!(next.marks.and_then(|marks| marks.segment).map(|segment| segment.number), Some(2));
    }

    #[test]
    fn times_begin_at_the_paths_age_and_keep_their_distances() {
        let mut writer = writer();
        let first = writer.admit(unit(0, 77_000_000, true, 10), at(25)).unwrap();
        let second = writer.admit(unit(0, 77_003_600, false, 10), at(26)).unwrap();
        assert_eq!(first.dts_micros, 1_000_000);
        assert_eq!(second.unit.dts - first.unit.dts, 3600);
        let audio = writer.admit(unit(1, 41_066_667, true, 10), at(26)).unwrap();
        assert!((audio.dts_micros - first.dts_micros).abs() <= 21, "the tracks keep their offset");
    }

    #[test]
    fn a_successor_goes_on_after_the_last_unit_with_a_discontinuity() {
        let mut writer = writer();
        writer.admit(unit(0, 0, true, 10), at(0)).unwrap();
        let last = writer.admit(unit(0, 90_000, false, 10), at(2)).unwrap();
        assert_eq!(writer.begin(tracks()), 2);
        let next = writer.admit(unit(0, 5, true, 10), at(3)).unwrap();
        assert!(next.dts_micros - last.dts_micros >= SPLICE_GAP_MICROS - 11);
        assert!(next.marks.unwrap().segment.unwrap().discontinuity);
        assert_eq!(next.marks.unwrap().segment.unwrap().number, 1);
        assert_eq!((next.generation, next.position), (2, Position { epoch: Epoch(5), seq: 2 }));
    }

    #[test]
    fn a_dependent_track_waits_for_its_random_access_point_audio_does_not() {
        let mut writer = writer();
        assert!(writer.admit(unit(0, 0, false, 10), at(0)).is_none());
        assert!(writer.admit(unit(1, 0, true, 10), at(0)).is_some());
        assert!(writer.admit(unit(0, 3600, true, 10), at(1)).unwrap().group_start);
    }

    #[test]
    fn a_publisher_whose_clock_leaps_back_still_goes_forward() {
        let mut writer = writer();
        writer.admit(unit(0, 900_000_000, true, 10), at(0)).unwrap();
        let before = writer.admit(unit(0, 900_003_600, false, 10), at(1)).unwrap();
        let after = writer.admit(unit(0, 0, true, 10), at(2)).unwrap();
        let later = writer.admit(unit(0, 3600, false, 10), at(3)).unwrap();
        assert!(after.dts_micros > before.dts_micros);
        assert_eq!(later.unit.dts - after.unit.dts, 3600);
        assert!(after.marks.unwrap().segment.unwrap().discontinuity);
    }

    #[test]
    fn plain_tracks_begin_a_group_each_second() {
        let mut writer = Writer::new(Epoch(1), at(0), Cadence::default());
        let audio = tracks().get(TrackId(1)).unwrap().clone();
        writer.begin(Tracks::new(vec![audio]).unwrap());
        let groups = (0..150).filter(|n| writer.admit(unit(0, n * 960, true, 10), at(*n as u64)).unwrap().group_start);
        assert_eq!(groups.collect::<Vec<_>>(), [0, 50, 100]);
    }

    #[test]
    fn new_parameters_begin_a_segment_with_a_discontinuity() {
        let mut writer = writer();
        writer.admit(unit(0, 0, true, 10), at(0)).unwrap();
        let changed =
            tracks().with_codec(TrackId(0), Codec::H264(H264Config { sps: vec![], pps: vec![b"x"[..].into()] }));
        writer.set_tracks(changed.clone());
        let next = writer.admit(unit(0, 3600, true, 10), at(1)).unwrap();
        assert!(next.marks.unwrap().segment.unwrap().discontinuity);
        writer.set_tracks(changed);
        assert_eq!(writer.admit(unit(0, 7200, true, 10), at(2)).unwrap().marks, None, "nothing changed");
    }

    #[test]
    fn lost_units_leave_a_hole_in_positions() {
        let mut writer = writer();
        writer.admit(unit(0, 0, true, 10), at(0)).unwrap();
        writer.lose(3);
        assert_eq!(writer.admit(unit(0, 3600, false, 10), at(1)).unwrap().position.seq, 4);
    }
}
