//! The node's clocks. The only place of the fabric that asks the machine for the time.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use weft_proto::time::{Now, WallClock};

/// A monotonic clock that all parts of a node share, and the wall clock beside it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose [`Now`] begins one hour in, so that "a while ago" never falls before its start.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The present on the monotonic clock.
    pub fn now(&self) -> Now {
        Now::from_micros(HEAD_START_MICROS + u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX / 2))
    }

    /// The monotonic instant as the runtime's timers want it.
    pub fn instant(&self, at: Now) -> Instant {
        self.start + std::time::Duration::from_micros(at.micros().saturating_sub(HEAD_START_MICROS))
    }

    /// The present on the wall clock. For people and capture times only: no rule depends on it.
    pub fn wall(&self) -> WallClock {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        WallClock::from_unix_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

const HEAD_START_MICROS: u64 = 3_600_000_000;
