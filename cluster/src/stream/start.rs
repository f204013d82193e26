//! The start rule: how a joining player gets the newest group at once and still stands at the live edge.
//!
//! True times would leave a player one group behind for ever: it would show the group's first frame now and keep the
//! distance. So the times of what is sent in the burst are squeezed into the time that the burst takes, ending at the
//! live edge, where true times go on.

use std::time::Duration;

use weft_proto::time::ClockRate;

/// How a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Join {
    /// Where.
    pub from: Start,
    /// With which times.
    pub times: Times,
    /// Reader-side limit of a burst in bytes a second; `None` where the transport paces itself.
    pub pace: Option<u32>,
}

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With what comes next; dependent tracks from their next random access point.
    Live,
    /// With the newest group.
    NewestGroup,
    /// After this position, or with the newest group where it is unknown or gone.
    After(weft_proto::id::Position),
    /// With the oldest that is kept.
    Everything,
}

/// Which times a burst has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// As published: relays, recorders, forwarders, HLS.
    True,
    /// Squeezed to the live edge: players.
    Squeezed,
}

/// Bounds of a group that players are started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartLimits {
    /// `startMax` in bytes.
    pub bytes_max: usize,
    /// `startMax` in time.
    pub age_max: Duration,
}

impl Default for StartLimits {
    fn default() -> Self {
        Self { bytes_max: 8 << 20, age_max: Duration::from_secs(10) }
    }
}

/// Time that a burst takes over a transport that paces itself. A frame every 0.4 ms at 250 frames a group: distinct
/// times for every player, and far below the 300 ms that a player may be behind.
pub(crate) const BURST: Duration = Duration::from_millis(100);

/// A mapping of path time that squeezes what lies before the live edge. Keeps order, ends at the live edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Squeeze {
    live_micros: i64,
    span_micros: i64,
    into_micros: i64,
}

impl Squeeze {
    /// Squeezes the time from `begin_micros` to `live_micros` into `into`; `None` when it fits already.
    pub fn new(begin_micros: i64, live_micros: i64, into: Duration) -> Option<Self> {
        let span_micros = live_micros - begin_micros;
        let into_micros = i64::try_from(into.as_micros()).unwrap_or(i64::MAX);
        (span_micros > into_micros).then_some(Self { live_micros, span_micros, into_micros })
    }

    /// Where a time of path time falls, microseconds.
    pub fn micros(&self, time: i64) -> i64 {
        if time >= self.live_micros {
            return time;
        }
        let before = i128::from(self.live_micros - time) * i128::from(self.into_micros) / i128::from(self.span_micros);
        self.live_micros - before as i64
    }

    /// Where a time in ticks of a track's clock falls, in the same ticks.
    pub fn ticks(&self, time: i64, rate: ClockRate) -> i64 {
        let micros = rate.to_micros(time);
        if micros >= self.live_micros { time } else { rate.from_micros(self.micros(micros)) }
    }

    /// Whether units at this decoding time are still squeezed.
    pub const fn covers(&self, micros: i64) -> bool {
        micros < self.live_micros
    }

    /// The earliest true time of audio that belongs to the squeezed span: what is older is left out.
    pub const fn audio_from(&self) -> i64 {
        self.live_micros - self.into_micros
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_seconds_fall_into_a_tenth_and_end_at_the_live_edge() {
        let squeeze = Squeeze::new(0, 10_000_000, BURST).unwrap();
        assert_eq!(squeeze.micros(0), 9_900_000);
        assert_eq!(squeeze.micros(5_000_000), 9_950_000);
        assert_eq!(squeeze.micros(10_000_000), 10_000_000);
        assert_eq!(squeeze.micros(10_040_000), 10_040_000);
    }

    #[test]
    fn order_is_kept_for_presentation_times_too() {
        let squeeze = Squeeze::new(0, 1_000_000, BURST).unwrap();
        let mapped: Vec<i64> = (0..30).map(|n| squeeze.ticks(n * 3600, ClockRate::VIDEO)).collect();
        assert!(mapped.windows(2).all(|pair| pair[0] < pair[1]), "{mapped:?}");
    }

    #[test]
    fn what_already_fits_is_left_alone() {
        assert_eq!(Squeeze::new(900_000, 1_000_000, BURST), None);
    }
}
