//! RTP time: 32-bit timestamps unwrapped into 64-bit ticks, and ticks mapped to the sender's wall clock.

use crate::time::{ClockRate, NtpTime, WallClock};

/// Unwraps the 32-bit timestamps of one source into ticks that do not wrap.
///
/// Each timestamp is taken for the nearest to the one before, so it may step back (B-frames) as well as forward, by less
/// than 2^31 ticks: 6.6 hours at 90 kHz. The first one keeps its value.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timeline {
    last: Option<i64>,
}

impl Timeline {
    /// A timeline that has seen nothing yet.
    pub const fn new() -> Self {
        Self { last: None }
    }

    /// The ticks of the next packet's timestamp.
    pub fn extend(&mut self, timestamp: u32) -> i64 {
        let ticks = self.nearest(timestamp);
        self.last = Some(ticks);
        ticks
    }

    /// The ticks of a timestamp that is not a packet's, such as a sender report's. Later packets are not measured against
    /// it, unless none came yet.
    pub fn peek(&mut self, timestamp: u32) -> i64 {
        let ticks = self.nearest(timestamp);
        self.last.get_or_insert(ticks);
        ticks
    }

    fn nearest(&self, timestamp: u32) -> i64 {
        match self.last {
            None => i64::from(timestamp),
            Some(last) => last.wrapping_add(i64::from(timestamp.wrapping_sub(last as u32) as i32)),
        }
    }
}

/// Maps a track's ticks to the sender's wall clock by its sender reports (RFC 3550 section 6.4.1).
///
/// Cameras send nonsense: NTP time 0, the time since power-on, or a report made before their clock was set. A report from
/// before 2001 is ignored, and one that disagrees with the one before by more than a second waits until the next agrees.
#[derive(Clone, Copy, Debug, Default)]
pub struct SenderClock {
    /// Newest first.
    reports: [Option<Report>; 3],
}

#[derive(Clone, Copy, Debug)]
struct Report {
    wall_micros: i64,
    ticks: i64,
}

impl SenderClock {
    /// A clock that knows nothing yet.
    pub const fn new() -> Self {
        Self { reports: [None; 3] }
    }

    /// Takes a sender report: wall clock and the same instant in ticks of the track (see [`Timeline::peek`]).
    pub fn report(&mut self, ntp: NtpTime, ticks: i64) {
        let wall_micros = ntp.to_wall().unix_micros();
        if wall_micros >= PLAUSIBLE_WALL_MICROS_MIN {
            let [newest, second, _] = self.reports;
            self.reports = [Some(Report { wall_micros, ticks }), newest, second];
        }
    }

    /// The wall clock at `ticks`, once a credible report is there.
    pub fn wall(&self, ticks: i64, rate: ClockRate) -> Option<WallClock> {
        let report = self.trusted(rate)?;
        Some(WallClock::from_unix_micros(report.wall_at(ticks, rate)))
    }

    /// The newest report that the one before it confirms; the older one while only two contradict each other.
    fn trusted(&self, rate: ClockRate) -> Option<&Report> {
        match &self.reports {
            [None, ..] => None,
            [Some(only), None, _] => Some(only),
            [Some(newest), Some(second), _] if newest.agrees(second, rate) => Some(newest),
            [_, Some(second), None] => Some(second),
            [_, Some(second), Some(third)] => second.agrees(third, rate).then_some(second),
        }
    }
}

impl Report {
    fn wall_at(&self, ticks: i64, rate: ClockRate) -> i64 {
        self.wall_micros.saturating_add(rate.to_micros(ticks.saturating_sub(self.ticks)))
    }

    fn agrees(&self, older: &Report, rate: ClockRate) -> bool {
        older.wall_at(self.ticks, rate).abs_diff(self.wall_micros) <= DISAGREEMENT_MICROS_MAX
    }
}

/// 2001-01-01 in unix microseconds. Devices without a set clock start in 1900, 1970 or 2000.
const PLAUSIBLE_WALL_MICROS_MIN: i64 = 978_307_200_000_000;

/// Reports are seconds apart and a camera's crystal drifts by microseconds in that time; a second is a set clock.
const DISAGREEMENT_MICROS_MAX: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: i64 = 1_764_000_000_000_000;

    fn ntp(micros: i64) -> NtpTime {
        NtpTime::from_wall(WallClock::from_unix_micros(micros))
    }

    fn wall(clock: &SenderClock, ticks: i64) -> Option<i64> {
        clock.wall(ticks, ClockRate::VIDEO).map(WallClock::unix_micros)
    }

    #[test]
    fn timestamps_wrap_forward_and_back() {
        let mut timeline = Timeline::new();
        assert_eq!(timeline.extend(0xffff_ff00), 0xffff_ff00);
        assert_eq!(timeline.extend(0x100), 0x1_0000_0100);
        assert_eq!(timeline.extend(0xffff_fff0), 0xffff_fff0, "a B-frame from before the wrap");
        assert_eq!(timeline.extend(0x200), 0x1_0000_0200);
    }

    #[test]
    fn a_source_may_step_below_its_first_timestamp() {
        let mut timeline = Timeline::new();
        assert_eq!(timeline.extend(10), 10);
        assert_eq!(timeline.extend(0xffff_fff0), -16);
    }

    #[test]
    fn peeking_moves_nothing_once_packets_came() {
        let mut timeline = Timeline::new();
        assert_eq!(timeline.peek(0xffff_fff0), 0xffff_fff0);
        assert_eq!(timeline.extend(0x10), 0x1_0000_0010);
        assert_eq!(timeline.peek(0x7fff_0000), 0x1_7fff_0000);
        assert_eq!(timeline.extend(0x20), 0x1_0000_0020);
    }

    #[test]
    fn a_report_maps_ticks_to_wall_clock_both_ways() {
        let mut clock = SenderClock::new();
        assert_eq!(wall(&clock, 0), None);
        clock.report(ntp(WALL), 90_000);
        assert_eq!(wall(&clock, 180_000), Some(WALL + 1_000_000));
        assert_eq!(wall(&clock, 0), Some(WALL - 1_000_000));
    }

    #[test]
    fn ntp_zero_and_time_since_power_on_are_no_time() {
        let mut clock = SenderClock::new();
        clock.report(NtpTime(0), 0);
        clock.report(NtpTime(4000 << 32), 90_000);
        clock.report(ntp(4_000_000_000), 90_000);
        assert_eq!(wall(&clock, 0), None);
    }

    #[test]
    fn a_jump_counts_once_the_next_report_confirms_it() {
        let mut clock = SenderClock::new();
        clock.report(ntp(WALL), 0);
        clock.report(ntp(WALL + 5_000_100), 450_000);
        clock.report(ntp(WALL + 1_000_000_000), 900_000);
        assert_eq!(wall(&clock, 450_000), Some(WALL + 5_000_100));
        clock.report(ntp(WALL + 1_005_000_000), 1_350_000);
        assert_eq!(wall(&clock, 900_000), Some(WALL + 1_000_000_000));
    }

    #[test]
    fn a_clock_that_only_jumps_is_not_believed() {
        let mut clock = SenderClock::new();
        for n in 0..3 {
            clock.report(ntp(WALL + n * 1_000_000_000), 0);
        }
        assert_eq!(wall(&clock, 0), None);
    }

    #[test]
    fn extremes_saturate() {
        let mut clock = SenderClock::new();
        clock.report(NtpTime(u64::MAX), i64::MIN);
        clock.report(NtpTime(u64::MAX), i64::MAX);
        let _ = wall(&clock, i64::MAX);
    }
}
