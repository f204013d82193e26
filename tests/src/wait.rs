//! Waiting for a state, with a limit.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// How often a state is looked at.
const EVERY: Duration = Duration::from_millis(20);

/// Looks until `state` gives something. Panics, naming `what`, when it has not within `seconds`.
pub fn until<T>(what: impl Display, seconds: u64, mut state: impl FnMut() -> Option<T>) -> T {
    let limit = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = state() {
            return found;
        }
        assert!(Instant::now() < limit, "after {seconds} s still waiting for {what}");
        std::thread::sleep(EVERY);
    }
}
