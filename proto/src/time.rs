//! Integer time. Pure code never asks a clock: whoever drives it passes [`Now`].

use core::num::NonZeroU32;
use core::time::Duration;

/// An instant on a node's monotonic clock, in microseconds since an arbitrary start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Now(u64);

impl Now {
    /// The instant `micros` microseconds after the clock's start.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the clock's start.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// Time elapsed since `earlier`; zero if `earlier` lies in the future.
    pub const fn since(self, earlier: Now) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// This instant moved forward by `by`, saturating.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        let micros = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

/// A wall-clock instant in microseconds since the unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallClock(i64);

impl WallClock {
    /// The instant `micros` microseconds after 1970-01-01T00:00:00Z.
    pub const fn from_unix_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub const fn unix_micros(self) -> i64 {
        self.0
    }
}

/// Seconds between the NTP era 0 (1900) and the unix epoch (RFC 5905 section 6).
const NTP_UNIX_SECONDS: i64 = 2_208_988_800;

/// A 64-bit NTP timestamp, seconds since 1900 in 32.32 fixed point (RFC 3550 section 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// The NTP form of a wall-clock instant (era 0, wraps in 2036).
    pub const fn from_wall(at: WallClock) -> Self {
        let micros = at.0 + NTP_UNIX_SECONDS * 1_000_000;
        let seconds = micros.div_euclid(1_000_000) as u64;
        let fraction = ((micros.rem_euclid(1_000_000) as u64) << 32) / 1_000_000;
        Self((seconds << 32) | fraction)
    }

    /// The wall-clock instant, rounded to the nearest microsecond.
    pub const fn to_wall(self) -> WallClock {
        let seconds = (self.0 >> 32) as i64 - NTP_UNIX_SECONDS;
        let micros = (((self.0 & 0xffff_ffff) * 1_000_000 + (1 << 31)) >> 32) as i64;
        WallClock(seconds * 1_000_000 + micros)
    }

    /// The middle 32 bits, as reports carry them (RFC 3550 section 6.4.1, LSR).
    pub const fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

/// Ticks per second of a track's clock. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClockRate(NonZeroU32);

impl ClockRate {
    /// 90 kHz, the clock of video in RTP (RFC 3551 section 5).
    pub const VIDEO: ClockRate = ClockRate::new(90_000).unwrap();

    /// A rate of `hertz` ticks per second; `None` when zero.
    pub const fn new(hertz: u32) -> Option<Self> {
        match NonZeroU32::new(hertz) {
            Some(hertz) => Some(Self(hertz)),
            None => None,
        }
    }

    /// Ticks per second.
    pub const fn hertz(self) -> u32 {
        self.0.get()
    }

    /// Converts ticks of this clock to microseconds, rounding to nearest.
    pub const fn to_micros(self, ticks: i64) -> i64 {
        rescale(ticks, self.0.get() as i128, 1_000_000)
    }

    /// Converts microseconds to ticks of this clock, rounding to nearest.
    pub const fn from_micros(self, micros: i64) -> i64 {
        rescale(micros, 1_000_000, self.0.get() as i128)
    }

    /// Converts ticks of this clock to those of another one, rounding to nearest.
    pub const fn convert(self, ticks: i64, to: ClockRate) -> i64 {
        if self.0.get() == to.0.get() { ticks } else { rescale(ticks, self.0.get() as i128, to.0.get() as i128) }
    }
}

const fn rescale(value: i64, from: i128, to: i128) -> i64 {
    (value as i128 * to + from / 2).div_euclid(from) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_round_trips_to_the_microsecond() {
        for micros in [0, 1, 999_999, 1_764_000_000_123_456] {
            let wall = WallClock::from_unix_micros(micros);
            assert_eq!(NtpTime::from_wall(wall).to_wall(), wall);
        }
    }

    #[test]
    fn unix_epoch_is_the_known_ntp_second() {
        assert_eq!(NtpTime::from_wall(WallClock::from_unix_micros(0)).0 >> 32, 2_208_988_800);
    }

    #[test]
    fn ticks_convert_both_ways_below_zero_too() {
        let rate = ClockRate::VIDEO;
        assert_eq!(rate.to_micros(-90), -1000);
        assert_eq!(rate.from_micros(-1000), -90);
        assert_eq!(ClockRate::new(44_100).unwrap().to_micros(1024), 23_220);
    }
}
