//! Raft's clock on this thread, which may go slower than the world's.
//!
//! The timings of openraft are fixed when it is made, and all of them are times of the clock that its runtime has. So where
//! the nodes are far apart that clock goes slower: heartbeats, elections and leases grow together, at any time, and keep
//! their proportions. What must hold for safety asks no clock: reads are confirmed by a majority each time.

use std::cell::Cell;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

use tokio::time::Instant;

#[derive(Clone, Copy, Debug)]
struct Pace {
    /// So much of the world's time is one of Raft's.
    slowness: u32,
    /// When it last changed, by both clocks.
    world: Instant,
    raft: Instant,
}

thread_local! {
    /// None while both are the same.
    static PACE: Cell<Option<Pace>> = const { Cell::new(None) };
}

/// From now on Raft's clock takes so long for what takes the world's one; 1 is its usual pace.
pub(crate) fn slow_down(slowness: u32) {
    let (world, raft) = (Instant::now(), RaftInstant::at_present().0);
    PACE.set(Some(Pace { slowness: slowness.max(1), world, raft }));
}

/// How long a time of Raft's takes in the world.
pub(crate) fn stretch(duration: Duration) -> Duration {
    PACE.get().map_or(duration, |pace| duration.saturating_mul(pace.slowness))
}

/// A time by Raft's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RaftInstant(Instant);

impl RaftInstant {
    fn at_present() -> Self {
        let now = Instant::now();
        Self(PACE.get().map_or(now, |pace| pace.raft + (now - pace.world) / pace.slowness))
    }

    /// When the world has come there, at the present pace.
    pub(crate) fn in_the_world(self) -> Instant {
        let ahead = self.0.saturating_duration_since(Self::at_present().0);
        Instant::now() + stretch(ahead)
    }
}

impl openraft::Instant for RaftInstant {
    fn now() -> Self {
        Self::at_present()
    }
}

impl Add<Duration> for RaftInstant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0 + duration)
    }
}

impl AddAssign<Duration> for RaftInstant {
    fn add_assign(&mut self, duration: Duration) {
        self.0 += duration;
    }
}

impl Sub<Duration> for RaftInstant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0 - duration)
    }
}

impl SubAssign<Duration> for RaftInstant {
    fn sub_assign(&mut self, duration: Duration) {
        self.0 -= duration;
    }
}

impl Sub for RaftInstant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.0 - earlier.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_slow_clock_never_goes_back_and_its_times_come_later() {
        let ms = Duration::from_millis;
        let start = RaftInstant::at_present();
        tokio::time::advance(ms(100)).await;
        assert_eq!(RaftInstant::at_present() - start, ms(100));
        slow_down(8);
        assert_eq!(RaftInstant::at_present() - start, ms(100), "a change of pace is no leap");
        tokio::time::advance(ms(80)).await;
        assert_eq!(RaftInstant::at_present() - start, ms(110));
        assert_eq!((start + ms(120)).in_the_world() - Instant::now(), ms(80));
        assert_eq!(stretch(ms(5)), ms(40));
        assert_eq!(start.in_the_world(), Instant::now(), "what is past is now");
        slow_down(1);
        tokio::time::advance(ms(10)).await;
        assert_eq!(RaftInstant::at_present() - start, ms(120));
    }
}
