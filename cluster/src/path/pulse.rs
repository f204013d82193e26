//! How often a publisher sends, and whether it has stopped.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use weft_proto::time::Now;

/// A publisher that sends nothing for so long has stalled, if it usually sends more often.
const STALL_MIN: Duration = Duration::from_millis(500);

/// It has stalled after so many of its usual intervals.
const STALL_INTERVALS: u32 = 3;

/// Nobody is waited for longer than this, however seldom it sends.
const STALL_MAX: Duration = Duration::from_secs(30);

/// Who has just begun may take so long until its first unit: tracks are brought onto one time axis, which takes 3.5 s where
/// nobody reads.
const FIRST_UNIT: Duration = Duration::from_secs(10);

/// The usual interval is the longest of the last few; it falls by a 64th with each that is shorter. A stream of 50 units a second
/// that comes in one piece each second has an interval of half a second at the least.
const DECAY: u64 = 64;

/// When a publisher sent last, and how long it usually takes. Written by its session, read by others.
#[derive(Debug)]
pub(crate) struct Pulse {
    last_micros: AtomicU64,
    /// Zero until something has come.
    usual_micros: AtomicU64,
    /// Since when it has sent without a stall.
    well_micros: AtomicU64,
}

impl Pulse {
    /// Of one that has sent nothing yet.
    pub(crate) const fn begin(now: Now) -> Self {
        let [last_micros, well_micros] = [AtomicU64::new(now.micros()), AtomicU64::new(now.micros())];
        Self { last_micros, usual_micros: AtomicU64::new(0), well_micros }
    }

    /// Something was sent.
    pub(crate) fn beat(&self, now: Now) {
        let gap = micros(self.silent_for(now).min(self.stall_after()));
        let usual = self.usual_micros.load(Ordering::Relaxed);
        if usual == 0 || self.has_stalled(now) {
            self.well_micros.store(now.micros(), Ordering::Relaxed);
        }
        let usual = if usual == 0 { 1 } else { gap.max(usual - usual / DECAY) };
        self.usual_micros.store(usual, Ordering::Relaxed);
        self.last_micros.store(now.micros(), Ordering::Relaxed);
    }

    /// How long nothing has come.
    pub(crate) fn silent_for(&self, now: Now) -> Duration {
        now.since(Now::from_micros(self.last_micros.load(Ordering::Relaxed)))
    }

    /// For how long it has sent without a stall.
    pub(crate) fn well_for(&self, now: Now) -> Duration {
        now.since(Now::from_micros(self.well_micros.load(Ordering::Relaxed)))
    }

    /// Whether it has stopped sending.
    pub(crate) fn has_stalled(&self, now: Now) -> bool {
        self.silent_for(now) > self.stall_after()
    }

    fn stall_after(&self) -> Duration {
        match self.usual_micros.load(Ordering::Relaxed) {
            0 => FIRST_UNIT,
            usual => (Duration::from_micros(usual) * STALL_INTERVALS).clamp(STALL_MIN, STALL_MAX),
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Now {
        Now::from_micros(ms * 1000)
    }

    /// One that has sent at these times, milliseconds.
    fn sent(at: impl IntoIterator<Item = u64>) -> (Pulse, u64) {
        let pulse = Pulse::begin(ms(0));
        let last = at.into_iter().inspect(|at| pulse.beat(ms(*at))).last().unwrap();
        (pulse, last)
    }

    fn stalls_after(pulse: &Pulse, last: u64) -> u64 {
        (0..60_000).find(|more| pulse.has_stalled(ms(last + more))).unwrap()
    }

    #[test]
    fn who_sends_often_has_stalled_after_half_a_second() {
        let (pulse, last) = sent((0..100).map(|n| n * 40));
        assert_eq!(stalls_after(&pulse, last), 501);
    }

    #[test]
    fn who_sends_seldom_is_waited_for_three_times_as_long_as_usual() {
        let (pulse, last) = sent((1..20).map(|n| n * 1000));
        assert_eq!(stalls_after(&pulse, last), 3001);
        let (pulse, last) = sent((1..20).map(|n| n * 20_000));
        assert_eq!(stalls_after(&pulse, last), 30_001, "and never longer than half a minute");
    }

    #[test]
    fn who_sends_a_second_at_once_has_not_stalled_between_two_pieces() {
        let (pulse, last) = sent((1..20).flat_map(|piece| (0..50).map(move |n| piece * 1000 + n / 10)));
        assert!(stalls_after(&pulse, last) > 1200, "{}", stalls_after(&pulse, last));
    }

    #[test]
    fn who_has_sent_nothing_yet_is_given_time() {
        assert_eq!(stalls_after(&Pulse::begin(ms(0)), 0), 10_001);
    }

    #[test]
    fn a_silence_that_has_ended_is_no_habit() {
        let (pulse, _) = sent((0..100).map(|n| n * 40));
        pulse.beat(ms(60_000));
        assert_eq!(pulse.well_for(ms(60_500)).as_millis(), 500);
        (1..100).for_each(|n| pulse.beat(ms(60_000 + n * 40)));
        assert!(stalls_after(&pulse, 60_000 + 99 * 40) <= 520);
    }
}
