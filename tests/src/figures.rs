//! Times that were measured, and what they come to.

use std::time::Duration;

/// Times of one kind.
#[derive(Clone, Debug)]
pub struct Figures {
    name: String,
    times: Vec<Duration>,
}

impl Figures {
    /// None yet.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), times: Vec::new() }
    }

    /// One more.
    pub fn add(&mut self, time: Duration) {
        self.times.push(time);
    }

    /// The time that this part of all did not exceed, by nearest rank.
    pub fn percentile(&self, part: f64) -> Duration {
        let mut sorted = self.times.clone();
        sorted.sort_unstable();
        let rank = (part * sorted.len() as f64).ceil().max(1.0) as usize;
        sorted.get(rank - 1).or(sorted.last()).copied().unwrap_or_default()
    }

    /// Prints them.
    pub fn print(&self) {
        self.print_with("");
    }

    /// Prints them, and more.
    #[expect(clippy::print_stdout, reason = "figures are for people")]
    pub fn print_with(&self, more: &str) {
        let [p50, p95, p99, max] = [0.5, 0.95, 0.99, 1.0].map(|part| self.percentile(part).as_secs_f64() * 1e3);
        let Self { name, times } = self;
        println!("{name}: p50 {p50:.1} p95 {p95:.1} p99 {p99:.1} max {max:.1} ms, {} runs {more}", times.len());
    }

    /// Fails when half of them took longer than this.
    pub fn assert_median(&self, longest: Duration) {
        let median = self.percentile(0.5);
        assert!(median <= longest, "{}: {median:?} is more than {longest:?}: {:?}", self.name, self.times);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Figures;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let mut figures = Figures::new("of a test");
        assert_eq!(figures.percentile(0.5), Duration::ZERO);
        (1..=100).rev().for_each(|ms| figures.add(Duration::from_millis(ms)));
        let of = |part| figures.percentile(part).as_millis();
        assert_eq!((of(0.5), of(0.95), of(0.99), of(1.0)), (50, 95, 99, 100));
    }
}
