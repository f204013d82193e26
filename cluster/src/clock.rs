//! The node's clocks. The only place of the fabric that asks the machine for the time.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use weft_proto::time::{Now, WallClock};

/// A monotonic clock that all parts of a node share, and the wall clock beside it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    wall: Wall,
}

#[derive(Clone, Copy, Debug)]
enum Wall {
    Machine,
    /// Microseconds since 1970 at the clock's start; it goes on with the monotonic clock, and a simulation sets it.
    Simulated(&'static AtomicI64),
}

impl Clock {
    /// A clock whose [`Now`] begins one hour in, so that "a while ago" never falls before its start.
    pub fn start() -> Self {
        Self { start: Instant::now(), wall: Wall::Machine }
    }

    /// A clock of a simulation: time is the runtime's, which may be paused, and the wall clock is what `start_micros` says
    /// plus the time that has passed.
    pub fn simulated(start_micros: &'static AtomicI64) -> Self {
        Self { start: Instant::now(), wall: Wall::Simulated(start_micros) }
    }

    /// The present on the monotonic clock.
    pub fn now(&self) -> Now {
        Now::from_micros(HEAD_START_MICROS + u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX / 2))
    }

    /// The monotonic instant as the runtime's timers want it.
    pub fn instant(&self, at: Now) -> std::time::Instant {
        self.start.into_std() + Duration::from_micros(at.micros().saturating_sub(HEAD_START_MICROS))
    }

    /// The present on the wall clock. For people and capture times only: no rule depends on it.
    pub fn wall(&self) -> WallClock {
        if let Wall::Simulated(start) = self.wall {
            let passed = i64::try_from(self.start.elapsed().as_micros()).unwrap_or(i64::MAX);
            return WallClock::from_unix_micros(start.load(Ordering::Relaxed).saturating_add(passed));
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        WallClock::from_unix_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

const HEAD_START_MICROS: u64 = 3_600_000_000;
