//! What a server's process has used, as its kernel counts it.

use std::fs;
use std::io;
use std::time::Duration;

/// Processes to be looked at from time to time.
#[derive(Clone, Debug)]
pub struct Sampler {
    pids: Vec<u32>,
    tick: Duration,
    page: u64,
}

/// One look: at all of them together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// User and system time since the process began.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub rss: u64,
}

impl Sampler {
    /// Looks at `pids` for the first time, so that a wrong one is told early.
    pub fn new(pids: &[u32]) -> io::Result<Self> {
        // SAFETY: sysconf takes no pointers.
        let (hertz, page) = unsafe { (libc::sysconf(libc::_SC_CLK_TCK), libc::sysconf(libc::_SC_PAGESIZE)) };
        let tick = Duration::from_secs(1) / u32::try_from(hertz).unwrap_or(100).max(1);
        let sampler = Self { pids: pids.to_vec(), tick, page: u64::try_from(page).unwrap_or(4_096) };
        sampler.look().map(|_| sampler)
    }

    /// Looks.
    pub fn look(&self) -> io::Result<Sample> {
        let mut sum = Sample::default();
        for pid in &self.pids {
            let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
            let (ticks, pages) = parse(&text).ok_or(io::ErrorKind::InvalidData)?;
            sum.cpu += self.tick * u32::try_from(ticks).unwrap_or(u32::MAX);
            sum.rss += pages * self.page;
        }
        Ok(sum)
    }
}

/// utime + stime and rss out of `/proc/PID/stat` (proc(5)). The name in parentheses may hold anything.
fn parse(stat: &str) -> Option<(u64, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    // The first field here is the third of the page: state.
    let field = |number: usize| rest.split_whitespace().nth(number - 3)?.parse::<u64>().ok();
    Some((field(14)? + field(15)?, field(24)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_past_strange_names() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 9 9 20 0 1 0 5 1000 321 18446744073709551615 1";
        assert_eq!(parse(stat), Some((300, 321)));
        assert_eq!(parse("7 nothing"), None);
    }

    #[test]
    fn we_can_look_at_ourselves() {
        let own = std::process::id();
        let sample = Sampler::new(&[own]).unwrap().look().unwrap();
        assert!(sample.rss > 100_000);
        let twice = Sampler::new(&[own, own]).unwrap().look().unwrap();
        assert!(twice.rss > sample.rss * 3 / 2 && twice.cpu >= sample.cpu * 2);
        assert!(Sampler::new(&[own, u32::MAX]).is_err());
    }
}
