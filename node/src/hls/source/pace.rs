//! When units are due: segments come as bursts, and readers are to get them at the rate of their times. Pure.

use std::time::Duration;

use weft_proto::time::Now;

/// Who is later than this is not caught up with: everything after it is as late.
const LATE: Duration = Duration::from_millis(500);

/// How much faster time goes while much more is listed than is to be kept from the live edge, in percent.
const HASTE_PERCENT: i64 = 5;

/// Ties the times of units to the clock.
#[derive(Debug, Default)]
pub(super) struct Pacer {
    /// When, and the time of the unit that was due then.
    anchor: Option<(Now, i64)>,
    is_hasty: bool,
    /// What is before this time is due at once.
    passed: Option<i64>,
}

impl Pacer {
    /// When a unit of this time is due. The first one is due at once.
    pub(super) fn due(&mut self, micros: i64, now: Now) -> Now {
        let (at, from) = *self.anchor.get_or_insert((now, micros));
        if self.passed.is_some_and(|passed| micros < passed) {
            return now;
        }
        let due = moved(at, self.elapsed(micros.saturating_sub(from)));
        if now.since(due) <= LATE {
            return due;
        }
        self.anchor = Some((now, micros));
        now
    }

    /// The next unit is due at once.
    pub(super) const fn reset(&mut self) {
        self.anchor = None;
        self.passed = None;
    }

    /// A unit of this time is due now, and so are all before it.
    pub(super) const fn skip_to(&mut self, micros: i64, now: Now) {
        self.anchor = Some((now, micros));
        self.passed = Some(micros);
    }

    /// Whether what is behind is to be caught up with.
    pub(super) fn set_hasty(&mut self, is_hasty: bool, now: Now) {
        if let Some((at, from)) = self.anchor.filter(|_| self.is_hasty != is_hasty) {
            let passed = now.micros() as i64 - at.micros() as i64;
            let passed = if self.is_hasty { passed * (100 + HASTE_PERCENT) / 100 } else { passed };
            self.anchor = Some((now, from + passed));
        }
        self.is_hasty = is_hasty;
    }

    /// How long a span of times takes.
    const fn elapsed(&self, micros: i64) -> i64 {
        if self.is_hasty { (micros as i128 * 100 / (100 + HASTE_PERCENT) as i128) as i64 } else { micros }
    }
}

const fn moved(at: Now, by: i64) -> Now {
    Now::from_micros(at.micros().saturating_add_signed(by))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Now {
        Now::from_micros(10_000_000 + millis * 1_000)
    }

    #[test]
    fn a_burst_is_spread_over_its_times() {
        let mut pacer = Pacer::default();
        assert_eq!(pacer.due(7_000_000, at(0)), at(0));
        assert_eq!(pacer.due(7_040_000, at(0)), at(40));
        assert_eq!(pacer.due(6_980_000, at(0)), Now::from_micros(9_980_000), "a little before");
    }

    #[test]
    fn who_is_late_stays_late_and_goes_on_evenly() {
        let mut pacer = Pacer::default();
        pacer.due(0, at(0));
        assert_eq!(pacer.due(1_000_000, at(1_400)), at(1_000), "a little late");
        assert_eq!(pacer.due(1_040_000, at(5_000)), at(5_000));
        assert_eq!(pacer.due(1_080_000, at(5_000)), at(5_040));
    }

    #[test]
    fn what_is_read_before_the_live_edge_comes_as_a_burst() {
        let mut pacer = Pacer::default();
        pacer.due(0, at(0));
        pacer.skip_to(800_000, at(10));
        assert_eq!(
            [40_000, 760_000, 800_000, 840_000].map(|micros| pacer.due(micros, at(10))),
            [at(10), at(10), at(10), at(50)]
        );
        assert_eq!(pacer.due(1_000_000, at(1_000)), at(1_000), "and then as always: who is late stays late");
        assert_eq!(pacer.due(1_200_000, at(1_000)), at(1_200));
    }

    #[test]
    fn what_is_behind_is_caught_up_with_slowly() {
        let mut pacer = Pacer::default();
        pacer.due(0, at(0));
        pacer.set_hasty(true, at(1_000));
        assert_eq!(pacer.due(1_000_000, at(1_000)), at(1_000));
        assert_eq!(pacer.due(22_000_000, at(1_000)), at(21_000));
        pacer.set_hasty(false, at(21_000));
        assert_eq!(pacer.due(23_000_000, at(21_000)), at(22_000));
    }
}
