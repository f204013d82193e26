//! Brings the tracks of one publisher onto one time axis.
//!
//! RTP timestamps of different tracks begin anywhere (RFC 3550 section 5.1). Sender reports tie them to one wall clock;
//! until they come, arrival does. So the first units are held to let the reports come: for a moment while somebody waits
//! for them, longer while nobody does, so that all that is kept for later readers stands right. If reports come later
//! than that and disagree, the track that is early moves forward: no track ever goes back.

use core::time::Duration;
use smallvec::SmallVec;

use crate::media::TrackId;
use crate::time::{ClockRate, Now, WallClock};

/// How long first units are held for sender reports while somebody reads. ffmpeg sends them with the first packet.
pub const HOLD: Duration = Duration::from_millis(100);

/// The same while nobody reads. GStreamer's first reports come when RFC 3550 section 6.3.1 has them come at first: 1 to 3 s
/// after the first packets.
pub const HOLD_UNREAD: Duration = Duration::from_millis(3_500);

/// Offsets that differ less than this are left alone.
const TOLERANCE_MICROS: i64 = 1_000;

/// Offsets that differ more than this come from a clock that nobody set.
const NONSENSE_MICROS: i64 = 10_000_000;

/// Offsets of all tracks of a publisher.
#[derive(Clone, Debug)]
pub struct Aligner {
    lines: SmallVec<[Line; 2]>,
    first_at: Option<Now>,
    settled: bool,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    rate: ClockRate,
    /// First ticks and when they arrived.
    first: Option<(i64, Now)>,
    /// Wall clock of the first ticks, once a sender report tells.
    wall_micros: Option<i64>,
    /// Where the first ticks stand on the common axis, microseconds.
    at_micros: Option<i64>,
}

impl Aligner {
    /// For tracks with these clocks.
    pub fn new(rates: impl IntoIterator<Item = ClockRate>) -> Self {
        let line = |rate| Line { rate, first: None, wall_micros: None, at_micros: None };
        Self { lines: rates.into_iter().map(line).collect(), first_at: None, settled: false }
    }

    /// Takes note of a unit and of what sender reports say of its time.
    pub fn saw(&mut self, track: TrackId, ticks: i64, now: Now, wall: Option<WallClock>) {
        let Some(line) = self.lines.get_mut(usize::from(track.0)) else { return };
        self.first_at.get_or_insert(now);
        let (first, _) = *line.first.get_or_insert((ticks, now));
        if line.wall_micros.is_none() {
            line.wall_micros = wall.map(|wall| wall.unix_micros() - line.rate.to_micros(ticks - first));
            if self.settled && line.wall_micros.is_some() {
                self.correct();
            }
        }
    }

    /// Whether units can go: all tracks have reports, or the wait is over. `read`: somebody waits for them.
    pub fn is_ready(&mut self, now: Now, read: bool) -> bool {
        if self.settled {
            return true;
        }
        let Some(first_at) = self.first_at else { return false };
        let alone = self.lines.len() == 1;
        self.settled = alone || self.is_tied() || now.since(first_at) >= if read { HOLD } else { HOLD_UNREAD };
        self.settled
    }

    /// Whether sender reports of all tracks tie them together: no time will be corrected any more.
    pub fn is_tied(&self) -> bool {
        self.lines.iter().all(|line| line.wall_micros.is_some())
    }

    /// When [`Self::is_ready`] turns true by itself.
    pub fn deadline(&self, read: bool) -> Option<Now> {
        let hold = if read { HOLD } else { HOLD_UNREAD };
        self.first_at.filter(|_| !self.settled).map(|at| at.after(hold))
    }

    /// Whether units go as they come.
    pub const fn is_settled(&self) -> bool {
        self.settled
    }

    /// The unit's time on the common axis, in ticks of its track's clock. Call when ready.
    pub fn align(&mut self, track: TrackId, ticks: i64) -> i64 {
        let index = usize::from(track.0);
        if self.lines.get(index).is_some_and(|line| line.at_micros.is_none()) {
            self.place(index);
        }
        self.lines.get(index).map_or(ticks, |line| {
            let (first, _) = line.first.unwrap_or_default();
            ticks - first + line.rate.from_micros(line.at_micros.unwrap_or(0))
        })
    }

    /// Gives a track its place beside those that have one.
    fn place(&mut self, index: usize) {
        let line = self.lines[index];
        let Some((_, arrived)) = line.first else { return };
        let reference = self.lines.iter().find_map(|other| Some((other, other.at_micros?)));
        let at = reference.map_or(0, |(other, at)| match (line.wall_micros, other.wall_micros) {
            (Some(wall), Some(other_wall)) if (wall - other_wall).abs() < NONSENSE_MICROS => at + wall - other_wall,
            _ => {
                let (_, other_arrived) = other.first.unwrap_or_default();
                at + arrived.micros() as i64 - other_arrived.micros() as i64
            }
        });
        self.lines[index].at_micros = Some(at);
    }

    /// All reports are known now: the track that is earliest in comparison to its wall clock moves forward.
    fn correct(&mut self) {
        let placed = |line: &Line| Some((line.at_micros?, line.wall_micros?));
        // Path time minus wall time: equal for all tracks that are aligned.
        let leads = self.lines.iter().filter_map(placed).map(|(at, wall)| at - wall);
        let (Some(latest), Some(earliest)) = (leads.clone().max(), leads.min()) else { return };
        if latest - earliest > NONSENSE_MICROS {
            return;
        }
        for line in &mut self.lines {
            if let Some((at, wall)) = placed(line) {
                let shift = latest - (at - wall);
                if shift > TOLERANCE_MICROS {
                    line.at_micros = Some(at + shift);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIDEO: TrackId = TrackId(0);
    const AUDIO: TrackId = TrackId(1);

    fn at(millis: u64) -> Now {
        Now::from_micros(1_000_000 + millis * 1000)
    }

    fn wall(millis: i64) -> Option<WallClock> {
        Some(WallClock::from_unix_micros(1_700_000_000_000_000 + millis * 1000))
    }

    fn aligner() -> Aligner {
        Aligner::new([ClockRate::VIDEO, ClockRate::new(48_000).unwrap()])
    }

    #[test]
    fn reports_of_all_tracks_settle_it_at_once() {
        let mut aligner = aligner();
        aligner.saw(VIDEO, 5_000_000, at(0), wall(100));
        assert!(!aligner.is_ready(at(0), true));
        aligner.saw(AUDIO, 77, at(30), wall(80));
        assert!(aligner.is_ready(at(30), true));
        assert_eq!(aligner.align(VIDEO, 5_000_000), 0);
        assert_eq!(aligner.align(AUDIO, 77), -960, "20 ms before the video, whenever it arrived");
    }

    #[test]
    fn without_reports_arrival_decides_after_the_hold() {
        let mut aligner = aligner();
        aligner.saw(VIDEO, 0, at(0), None);
        aligner.saw(AUDIO, 0, at(10), None);
        assert!(!aligner.is_ready(at(99), true));
        assert_eq!(aligner.deadline(true), Some(at(100)));
        assert!(aligner.is_ready(at(100), true));
        assert_eq!((aligner.align(VIDEO, 0), aligner.align(AUDIO, 0)), (0, 480));
    }

    #[test]
    fn while_nobody_reads_reports_are_waited_for_longer() {
        let mut aligner = aligner();
        aligner.saw(VIDEO, 0, at(0), None);
        aligner.saw(AUDIO, 0, at(0), None);
        assert!(!aligner.is_ready(at(2_000), false));
        assert_eq!(aligner.deadline(false), Some(at(3_500)));
        aligner.saw(VIDEO, 180_000, at(2_000), wall(2_000));
        aligner.saw(AUDIO, 96_000, at(2_000), wall(2_040));
        assert!(aligner.is_ready(at(2_000), false));
        assert_eq!((aligner.align(VIDEO, 0), aligner.align(AUDIO, 0)), (0, 1_920), "from the first unit on");
        assert!(aligner.is_settled());
    }

    #[test]
    fn late_reports_move_the_early_track_forward_never_one_back() {
        let mut aligner = aligner();
        aligner.saw(VIDEO, 0, at(0), None);
        aligner.saw(AUDIO, 0, at(0), None);
        assert!(aligner.is_ready(at(100), true));
        assert_eq!((aligner.align(VIDEO, 0), aligner.align(AUDIO, 0)), (0, 0));
        // The reports say that the audio belongs 50 ms after the video.
        aligner.saw(VIDEO, 9000, at(100), wall(100));
        aligner.saw(AUDIO, 4800, at(100), wall(150));
        assert_eq!((aligner.align(VIDEO, 0), aligner.align(AUDIO, 0)), (0, 2400));
    }

    #[test]
    fn a_clock_that_nobody_set_is_not_believed() {
        let mut aligner = aligner();
        aligner.saw(VIDEO, 0, at(0), wall(0));
        aligner.saw(AUDIO, 0, at(20), wall(3_600_000));
        assert!(aligner.is_ready(at(20), true));
        assert_eq!((aligner.align(VIDEO, 0), aligner.align(AUDIO, 0)), (0, 960));
    }
}
