//! The clocks of the storm. CLOCK_MONOTONIC is one clock for all processes of a machine, so a stamp written by one
//! process means the same in another; durations of work are CPU time, never wall time.

use std::os::unix::thread::JoinHandleExt;
use std::thread::JoinHandle;
use std::time::Duration;

/// Nanoseconds of CLOCK_MONOTONIC.
pub fn now_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// CPU time (user and system) that the calling thread has used.
pub fn thread_cpu() -> Duration {
    Duration::from_nanos(read(libc::CLOCK_THREAD_CPUTIME_ID))
}

/// CPU time (user and system) that this process has used.
pub fn process_cpu() -> Duration {
    Duration::from_nanos(read(libc::CLOCK_PROCESS_CPUTIME_ID))
}

/// CPU time that a running thread of ours has used so far; zero once it has ended.
pub fn cpu_of<T>(thread: &JoinHandle<T>) -> Duration {
    if thread.is_finished() {
        return Duration::ZERO;
    }
    let mut clock = 0;
    // SAFETY: the handle has not been joined, so its pthread id is valid; `clock` is written before the call returns.
    let failed = unsafe { libc::pthread_getcpuclockid(thread.as_pthread_t(), &raw mut clock) };
    if failed == 0 { Duration::from_nanos(read(clock)) } else { Duration::ZERO }
}

/// Sleeps until `at_ns` of [`now_ns`]; returns at once if that is past.
pub fn sleep_until(at_ns: u64) {
    let wait = at_ns.saturating_sub(now_ns());
    if wait > 0 {
        std::thread::sleep(Duration::from_nanos(wait));
    }
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec that outlives the call.
    let failed = unsafe { libc::clock_gettime(clock, &raw mut time) };
    if failed != 0 {
        return 0;
    }
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_move_forward() {
        let (wall, cpu) = (now_ns(), thread_cpu());
        let mut sum = 0u64;
        while now_ns() < wall + 2_000_000 {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(thread_cpu() > cpu);
        assert!(process_cpu() >= thread_cpu());
    }
}
