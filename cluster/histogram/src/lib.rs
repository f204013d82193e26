//! What openraft uses of the crate `base2histogram`, in half a kilobyte for each histogram.
//!
//! openraft counts batches and stages of its own with it. Nobody here reads those figures; they are for its debug output.
//! One bucket for each power of two, so a percentile is at most twice too small.
#![forbid(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;

/// Bit lengths of a `u64`: 0 to 64.
const BUCKETS: usize = 65;

/// How often values of each bit length were recorded. `T` is there for the original's sake, which keeps periods apart by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram<T = ()> {
    counts: [u64; BUCKETS],
    periods: PhantomData<T>,
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Histogram<T> {
    /// Nothing recorded.
    pub const fn new() -> Self {
        Self { counts: [0; BUCKETS], periods: PhantomData }
    }

    /// Counts a value.
    pub const fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts a value so many times.
    pub const fn record_n(&mut self, value: u64, times: u64) {
        let bits = (u64::BITS - value.leading_zeros()) as usize;
        self.counts[bits] = self.counts[bits].saturating_add(times);
    }

    /// How many values were counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// A lower bound of the value below which `share` (0 to 1) of all lie; zero when there are none.
    pub fn percentile(&self, share: f64) -> u64 {
        let wanted = (share * self.total() as f64).ceil().max(1.0) as u64;
        let mut seen = 0u64;
        let found = self.counts.iter().position(|count| {
            seen = seen.saturating_add(*count);
            seen >= wanted
        });
        found.and_then(|bits| bits.checked_sub(1)).map_or(0, |shift| 1 << shift)
    }

    /// The percentiles that openraft prints.
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats {
            samples: self.total(),
            p0_1: self.percentile(0.001),
            p1: self.percentile(0.01),
            p5: self.percentile(0.05),
            p10: self.percentile(0.1),
            p50: self.percentile(0.5),
            p90: self.percentile(0.9),
            p99: self.percentile(0.99),
            p99_9: self.percentile(0.999),
        }
    }
}

/// Percentiles of a [`Histogram`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it: p99_9 is below which 99.9 % lie")]
pub struct PercentileStats {
    pub samples: u64,
    pub p0_1: u64,
    pub p1: u64,
    pub p5: u64,
    pub p10: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { samples, p50, p90, p99, .. } = self;
        write!(f, "[samples: {samples}, P50: {p50}, P90: {p90}, P99: {p99}]")
    }
}

/// Several histograms, one line each.
#[derive(Clone, Debug, Default)]
pub struct AsciiChart(Vec<(String, PercentileStats)>);

impl AsciiChart {
    /// An empty one.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// One more line.
    #[must_use]
    #[allow(clippy::needless_pass_by_value, reason = "as the original takes it")]
    pub fn add(mut self, name: impl Into<String>, histogram: Histogram) -> Self {
        self.0.push((name.into(), histogram.percentile_stats()));
        self
    }
}

impl fmt::Display for AsciiChart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, stats)| writeln!(f, "{name}: {stats}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_at_most_twice_too_small() {
        let mut histogram = Histogram::<()>::new();
        (1..=1000).for_each(|value| histogram.record(value));
        let stats = histogram.percentile_stats();
        assert_eq!((stats.samples, stats.p50, stats.p99), (1000, 256, 512));
        assert_eq!(Histogram::<()>::new().percentile(0.5), 0);
        histogram.record(u64::MAX);
        assert_eq!(histogram.percentile(1.0), 1 << 63);
    }
}
