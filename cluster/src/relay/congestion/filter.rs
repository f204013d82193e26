//! The greatest rate and the least round trip of the last time. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// For as many round trips a rate is remembered.
const ROUNDS: u64 = 10;

/// The greatest of the last [`ROUNDS`] round trips.
#[derive(Clone, Debug, Default)]
pub(super) struct Greatest {
    /// By round trip; each one is greater than all after it.
    kept: VecDeque<(u64, f64)>,
}

impl Greatest {
    pub(super) fn get(&self) -> f64 {
        self.kept.front().map_or(0.0, |(_, value)| *value)
    }

    pub(super) fn note(&mut self, round: u64, value: f64) {
        while self.kept.back().is_some_and(|(_, known)| *known <= value) {
            self.kept.pop_back();
        }
        self.kept.push_back((round, value));
        while self.kept.front().is_some_and(|(noted, _)| noted + ROUNDS < round) {
            self.kept.pop_front();
        }
    }

    /// Forgets all but what came last: the way has changed.
    pub(super) fn forget_older(&mut self) {
        self.kept = self.kept.pop_back().into_iter().collect();
    }
}

/// A round trip is remembered for so many seconds.
const SECONDS: usize = 10;

/// What a round trip is taken for before there is one.
const UNKNOWN: Duration = Duration::from_millis(50);

/// The least of the last [`SECONDS`].
#[derive(Clone, Debug)]
pub(super) struct Least {
    /// Of each of the past seconds.
    past: VecDeque<Duration>,
    present: Option<Duration>,
    since: Instant,
}

impl Least {
    pub(super) const fn new(now: Instant) -> Self {
        Self { past: VecDeque::new(), present: None, since: now }
    }

    pub(super) fn get(&self) -> Duration {
        self.past.iter().copied().chain(self.present).min().unwrap_or(UNKNOWN)
    }

    pub(super) fn note(&mut self, value: Duration) {
        self.present = Some(self.present.map_or(value, |known| known.min(value)));
    }

    /// The least of the second that is over, once for each.
    pub(super) fn turn(&mut self, now: Instant) -> Option<Duration> {
        if now.saturating_duration_since(self.since) < Duration::from_secs(1) {
            return None;
        }
        self.since = now;
        let least = self.present.take()?;
        self.past.push_back(least);
        if self.past.len() > SECONDS {
            self.past.pop_front();
        }
        Some(least)
    }

    /// It is known to be this one now.
    pub(super) fn set(&mut self, value: Duration) {
        self.past.clear();
        self.present = Some(value);
    }
}
