//! The last limit of a test.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// Ends the whole test process when a test outlives its limit; dropped at the end of the test, it does nothing.
#[derive(Debug)]
#[must_use]
pub struct Deadline(#[expect(dead_code, reason = "dropping it is the sign")] Sender<()>);

impl Deadline {
    /// Gives the running test `seconds` to end. Its children die with it.
    #[expect(clippy::print_stderr, reason = "the last words of a test that hangs")]
    pub fn seconds(seconds: u64) -> Self {
        let name = std::thread::current().name().unwrap_or("a test").to_owned();
        let (alive, gone) = channel();
        std::thread::spawn(move || {
            if gone.recv_timeout(Duration::from_secs(seconds)) == Err(RecvTimeoutError::Timeout) {
                eprintln!("{name} did not end within {seconds} s");
                std::process::exit(124);
            }
        });
        Self(alive)
    }
}
