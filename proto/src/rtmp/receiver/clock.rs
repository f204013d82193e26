//! Times of RTMP, milliseconds in 32 bits, as ticks of a track's clock.

use crate::time::ClockRate;

/// Timestamps without end out of those that wrap at 2^32 (49.7 days).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unwrapper {
    last: Option<(u32, i64)>,
}

impl Unwrapper {
    /// The next timestamp, which lies less than 2^31 ms before or after the one before.
    pub(super) fn millis(&mut self, timestamp: u32) -> i64 {
        let millis = match self.last {
            None => timestamp.into(),
            Some((last, millis)) => millis + i64::from(timestamp.wrapping_sub(last) as i32),
        };
        self.last = Some((timestamp, millis));
        millis
    }
}

/// Exact times of sound out of rounded ones: a frame begins where the one before ended, unless its timestamp says that
/// something lies between.
#[derive(Clone, Copy, Debug)]
pub(super) struct SampleClock {
    sample_rate: ClockRate,
    /// Where the next frame begins, in samples.
    next: Option<i64>,
}

/// Milliseconds are rounded down or to the nearest, both at the first frame and at this one.
const ROUNDING_MICROS: i64 = 1_200;

impl SampleClock {
    pub(super) const fn new(sample_rate: ClockRate) -> Self {
        Self { sample_rate, next: None }
    }

    /// Ticks of `rate` at which a frame of so many samples begins, whose timestamp is `micros`. `None`: it is not known
    /// how long the frame is.
    pub(super) fn ticks(&mut self, micros: i64, samples: Option<u32>, rate: ClockRate) -> i64 {
        let stamped = self.sample_rate.from_micros(micros);
        let tolerance = self.sample_rate.from_micros(ROUNDING_MICROS);
        let begin = self.next.filter(|next| (stamped - next).abs() <= tolerance).unwrap_or(stamped);
        self.next = samples.map(|samples| begin + i64::from(samples));
        if rate == self.sample_rate {
            return begin;
        }
        let (ticks, samples) = (i128::from(rate.hertz()), i128::from(self.sample_rate.hertz()));
        (i128::from(begin) * ticks + samples / 2).div_euclid(samples) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_go_on_behind_their_end() {
        let mut unwrapper = Unwrapper::default();
        assert_eq!(unwrapper.millis(u32::MAX - 10), 4_294_967_285);
        assert_eq!(unwrapper.millis(5), 4_294_967_301);
        assert_eq!(unwrapper.millis(u32::MAX), 4_294_967_295, "audio a little before video");
    }

    #[test]
    fn rounded_times_of_sound_become_exact() {
        let rate = ClockRate::new(44_100).unwrap();
        let mut clock = SampleClock::new(rate);
        for frame in 0..5_000i64 {
            let exact = frame * 1024;
            // Rounded down, as encoders do.
            let micros = exact * 1_000 / 44_100 * 1_000;
            assert_eq!(clock.ticks(micros, Some(1024), rate), exact, "{frame}");
        }
    }

    #[test]
    fn a_hole_stays_a_hole() {
        let rate = ClockRate::new(48_000).unwrap();
        let mut clock = SampleClock::new(rate);
        clock.ticks(0, Some(960), rate);
        assert_eq!(clock.ticks(100_000, Some(960), rate), 4_800);
        assert_eq!(clock.ticks(120_000, Some(960), rate), 5_760);
    }

    #[test]
    fn another_clock_counts_the_same_samples() {
        let mut clock = SampleClock::new(ClockRate::new(44_100).unwrap());
        let ticks: Vec<i64> =
            (0..4).map(|n| clock.ticks(n * 26_122 / 1_000 * 1_000, Some(1152), ClockRate::VIDEO)).collect();
        assert_eq!(ticks, [0, 2351, 4702, 7053]);
    }
}
