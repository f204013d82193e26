//! One time axis over discontinuities: what follows one goes on where the units before it ended. Pure.

/// A time that leaps further than this within a run of times is a clock that was set anew, as the fabric takes it.
const LEAP_MICROS: i64 = 10_000_000;

/// The distance to the unit before where it is not known: a picture of 25 a second.
const STEP_MICROS: i64 = 40_000;

/// Runs of times that are remembered: of two renditions one may be behind the other.
const RUNS_MAX: usize = 4;

/// Adds what brings the times of all runs onto one axis.
#[derive(Debug, Default)]
pub(super) struct Axis {
    /// What was added to the times of the last runs.
    runs: Vec<(u64, i64)>,
    /// The latest time given out.
    latest: Option<i64>,
}

/// What is known of one track.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Line {
    last: Option<(u64, i64)>,
    step: Option<i64>,
    shift: i64,
}

impl Axis {
    /// What is to be added to a time of a track; to be asked in the order of its units, and again as often as one likes.
    pub(super) fn shift(&mut self, line: &mut Line, run: u64, micros: i64) -> i64 {
        match line.last {
            Some((same, last)) if same == run => {
                let distance = micros - last;
                if distance.abs() > LEAP_MICROS {
                    line.shift = self.shift_of(line, run, micros);
                } else if (1..1_000_000).contains(&distance) {
                    line.step = Some(distance);
                }
            }
            _ => line.shift = self.shift_of(line, run, micros),
        }
        line.last = Some((run, micros));
        line.shift
    }

    /// A unit was given out with this time.
    pub(super) fn gave(&mut self, micros: i64) {
        self.latest = self.latest.max(Some(micros));
    }

    /// Another track may have gone over to that run, or leapt, before. But a server that does not count what is no longer listed
    /// uses a number again, for other times.
    fn shift_of(&mut self, line: &Line, run: u64, micros: i64) -> i64 {
        let latest = self.latest.unwrap_or(micros);
        let fits = |shift: &i64| (micros + shift - latest).abs() <= LEAP_MICROS;
        let known = self.runs.iter().rev().find(|(own, _)| *own == run).map(|(_, shift)| *shift).filter(fits);
        known.unwrap_or_else(|| self.begin(line, run, micros))
    }

    fn begin(&mut self, line: &Line, run: u64, micros: i64) -> i64 {
        let shift = self.latest.map_or(0, |latest| latest + line.step.unwrap_or(STEP_MICROS) - micros);
        if self.runs.len() == RUNS_MAX {
            self.runs.remove(0);
        }
        self.runs.push((run, shift));
        shift
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times of units as they are given out.
    fn give(axis: &mut Axis, line: &mut Line, run: u64, times: &[i64]) -> Vec<i64> {
        let one = |micros: &i64| {
            let time = micros + axis.shift(line, run, *micros);
            axis.gave(time);
            time
        };
        times.iter().map(one).collect()
    }

    #[test]
    fn what_follows_a_discontinuity_goes_on_behind_what_was_before() {
        let (mut axis, mut video, mut audio) = (Axis::default(), Line::default(), Line::default());
        assert_eq!(give(&mut axis, &mut video, 0, &[1_000_000, 1_020_000]), [1_000_000, 1_020_000]);
        assert_eq!(give(&mut axis, &mut audio, 0, &[1_010_000]), [1_010_000]);
        assert_eq!(give(&mut axis, &mut video, 1, &[50_000_000, 50_020_000]), [1_040_000, 1_060_000]);
        assert_eq!(give(&mut axis, &mut audio, 1, &[50_010_000]), [1_050_000], "the tracks keep together");
    }

    #[test]
    fn a_number_that_comes_back_is_no_promise() {
        let (mut axis, mut video) = (Axis::default(), Line::default());
        give(&mut axis, &mut video, 0, &[100_000_000, 100_020_000]);
        give(&mut axis, &mut video, 1, &[50_000_000_000, 50_000_020_000]);
        assert_eq!(give(&mut axis, &mut video, 0, &[50_000_040_000]), [100_080_000]);
        assert_eq!(give(&mut axis, &mut video, 1, &[7_000_000]), [100_100_000]);
    }

    #[test]
    fn leaps_that_nobody_announced_are_closed_too() {
        let (mut axis, mut video, mut audio) = (Axis::default(), Line::default(), Line::default());
        give(&mut axis, &mut video, 0, &[100_000_000, 100_020_000]);
        give(&mut axis, &mut audio, 0, &[100_000_000, 100_020_000]);
        assert_eq!(give(&mut axis, &mut video, 0, &[0, 20_000]), [100_040_000, 100_060_000]);
        assert_eq!(give(&mut axis, &mut audio, 0, &[100_030_000, 10_000]), [100_030_000, 100_050_000]);
        assert_eq!(give(&mut axis, &mut video, 0, &[5_000_000]), [105_040_000], "a hole stays a hole");
    }
}
