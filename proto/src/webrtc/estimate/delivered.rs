//! How much was delivered lately, by the times of arrival.

/// Microseconds of a bucket, and how many there are: half a second, in which a stream of 30 frames a second has 15.
const BUCKET_MICROS: i64 = 25_000;
const BUCKETS: usize = 20;

/// Nothing is said of what was measured for a shorter time, in microseconds.
const LEAST_MICROS: i64 = 250_000;

/// What comes by so many microseconds before what came was timed by another clock, or it was set back.
const CLOCK_LEAP_MICROS: i64 = 3_000_000;

/// Bytes by time of arrival.
#[derive(Clone, Debug)]
pub(super) struct Delivered {
    /// Each at its number modulo the length.
    buckets: [u32; BUCKETS],
    /// The number of the newest bucket.
    newest: i64,
    /// When the first and the last packet came.
    first: Option<i64>,
    last: i64,
}

impl Delivered {
    pub(super) const fn new() -> Self {
        Self { buckets: [0; BUCKETS], newest: 0, first: None, last: 0 }
    }

    /// A packet came then, in microseconds of the other end's clock.
    pub(super) fn push(&mut self, at: i64, bytes: u32) {
        let bucket = at.div_euclid(BUCKET_MICROS);
        if self.first.is_none() || self.last - at > CLOCK_LEAP_MICROS {
            *self = Self { first: Some(at), newest: bucket, last: at, ..Self::new() };
        }
        if bucket <= self.newest - BUCKETS as i64 {
            return;
        }
        let passed = (bucket - self.newest).clamp(0, BUCKETS as i64);
        (0..passed).for_each(|back| self.buckets[place(bucket - back)] = 0);
        self.newest = self.newest.max(bucket);
        self.last = self.last.max(at);
        let bytes_of = &mut self.buckets[place(bucket)];
        *bytes_of = bytes_of.saturating_add(bytes);
    }

    /// Bits per second of the last half second.
    pub(super) fn rate(&self) -> Option<f64> {
        let begin = ((self.newest + 1 - BUCKETS as i64) * BUCKET_MICROS).max(self.first?);
        let micros = self.last - begin;
        let bytes: u64 = self.buckets.iter().map(|bytes| u64::from(*bytes)).sum();
        (micros >= LEAST_MICROS).then(|| bytes as f64 * 8e6 / micros as f64)
    }
}

const fn place(bucket: i64) -> usize {
    bucket.rem_euclid(BUCKETS as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets of 1,250 bytes, one each 10 ms.
    fn push(delivered: &mut Delivered, from_millis: i64, packets: i64) -> Option<u64> {
        (0..packets).for_each(|n| delivered.push((from_millis + 10 * n) * 1000, 1250));
        delivered.rate().map(|rate| (rate / 1e5).round() as u64)
    }

    #[test]
    fn the_rate_is_that_of_half_a_second() {
        let mut delivered = Delivered::new();
        assert_eq!(push(&mut delivered, 7, 20), None, "too short a time");
        assert_eq!(push(&mut delivered, 207, 300), Some(10));
        assert_eq!(push(&mut delivered, 3307, 30), Some(8), "two tenths of a second without any");
        assert_eq!(push(&mut delivered, 60_000, 1), Some(0));
        delivered.push(59_400_000, 100_000);
        assert_eq!(push(&mut delivered, 60_010, 100), Some(10), "what comes late does not count");
    }

    #[test]
    fn a_clock_that_is_set_back_begins_anew() {
        let mut delivered = Delivered::new();
        push(&mut delivered, 3_600_000, 100);
        assert_eq!(push(&mut delivered, 5, 100), Some(10));
        assert_eq!(push(&mut delivered, -500_000_000, 100), Some(10));
    }
}
