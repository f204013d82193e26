//! How far the other nodes are, and what that does to the timings. Pure.
//!
//! The timings of a cluster are made for nodes whose packets take up to one heartbeat there and back. Where they take longer,
//! everything takes so many times longer, in whole steps: so a cluster on one site has exactly the timings that are
//! documented, and no other cluster ever has one that is shorter than its packets allow.

use std::time::Duration;

use weft_proto::time::Now;

/// Follows the longest of the round trips to the other voters.
#[derive(Clone, Debug)]
pub struct Distance {
    /// The longest round trip for which the timings are made.
    step: Duration,
    factor: u32,
    /// What the last round trips wanted instead.
    other: Option<Other>,
}

#[derive(Clone, Copy, Debug)]
struct Other {
    is_longer: bool,
    since: Now,
    /// The nearest to the present factor that was wanted since then.
    factor: u32,
}

/// So long all round trips must be longer. A busy machine makes single ones long, seldom all.
const LONGER_AFTER: Duration = Duration::from_secs(1);

/// So long all of them must be shorter: timings that are too long cost time when a leader dies, too short ones cost leaders.
const SHORTER_AFTER: Duration = Duration::from_secs(10);

/// With heartbeats of 40 ms this is a second there and back, further than any place on Earth.
const FACTOR_MAX: u32 = 25;

impl Distance {
    /// Timings that are made for round trips up to `step`.
    pub const fn new(step: Duration) -> Self {
        Self { step, factor: 1, other: None }
    }

    /// Takes the longest of the last round trips. Says how many times longer than usual everything takes from now on, when
    /// that changes.
    pub fn look(&mut self, round_trip: Option<Duration>, now: Now) -> Option<u32> {
        let wanted = self.wanted(round_trip?);
        if wanted == self.factor {
            self.other = None;
            return None;
        }
        let is_longer = wanted > self.factor;
        let known = self.other.filter(|other| other.is_longer == is_longer);
        let other = known.map_or(Other { is_longer, since: now, factor: wanted }, |known| {
            let factor = if is_longer { known.factor.min(wanted) } else { known.factor.max(wanted) };
            Other { factor, ..known }
        });
        self.other = Some(other);
        let patience = if is_longer { LONGER_AFTER } else { SHORTER_AFTER };
        if now.since(other.since) < patience {
            return None;
        }
        self.other = None;
        self.factor = other.factor;
        Some(other.factor)
    }

    /// The longest round trip for which the timings are right now.
    pub fn reach(&self) -> Duration {
        self.step * self.factor
    }

    fn wanted(&self, round_trip: Duration) -> u32 {
        let steps = round_trip.as_micros().div_ceil(self.step.as_micros().max(1));
        u32::try_from(steps).unwrap_or(FACTOR_MAX).clamp(1, FACTOR_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(40);

    /// What comes of round trips, one every 50 ms: the changes, and when they were made.
    fn changes(round_trips: impl IntoIterator<Item = u64>) -> Vec<(u64, u32)> {
        let mut distance = Distance::new(STEP);
        let look = |(n, ms): (u64, u64)| {
            let at = n * 50;
            Some((at, distance.look(Some(Duration::from_millis(ms)), Now::from_micros(at * 1000))?))
        };
        (0..).zip(round_trips).filter_map(look).collect()
    }

    fn of(ms: u64, count: usize) -> impl Iterator<Item = u64> {
        std::iter::repeat_n(ms, count)
    }

    #[test]
    fn nodes_on_one_site_have_the_usual_timings() {
        assert_eq!(changes(of(0, 1000).chain(of(40, 1000))), []);
        // A machine that is busy now and then changes nothing.
        assert_eq!(changes((0..1000).map(|n| if n % 10 == 0 { 1 } else { 90 })), []);
    }

    #[test]
    fn nodes_that_are_far_apart_have_longer_ones_after_a_second() {
        assert_eq!(changes(of(41, 100)), [(1000, 2)]);
        assert_eq!(changes(of(300, 100)), [(1000, 8)]);
        assert_eq!(changes(of(60_000, 100)), [(1000, FACTOR_MAX)]);
        // The least of what was wanted: a delay that grows is followed, and a peak is not.
        assert_eq!(changes(of(100, 10).chain(of(900, 10)).chain(of(100, 10))), [(1000, 3)]);
    }

    #[test]
    fn they_are_shortened_when_nothing_was_long_for_ten_seconds() {
        let back = of(300, 40).chain(of(1, 199)).chain(of(90, 1)).chain(of(1, 250));
        // The one of 90 ms wants 3, which is what is dared first; 10 s later nothing wants more than 1.
        assert_eq!(changes(back), [(1000, 8), (12_000, 3), (22_050, 1)]);
    }

    #[test]
    fn who_has_no_measurement_changes_nothing() {
        let mut distance = Distance::new(STEP);
        assert_eq!(distance.look(None, Now::from_micros(0)), None);
        assert_eq!(distance.reach(), STEP);
    }
}
