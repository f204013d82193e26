//! How much was delivered lately, by the times of arrival.

/// Microseconds of a bucket, and how many there are: half a second, in which a stream of 30 frames a second has 15.
const BUCKET_MICROS: i64 = 25_000;
const BUCKETS: usize = 20;

/// Nothing is said of what was measured for a shorter time, in microseconds.
const LEAST_MICROS: i64 = 250_000;

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
        if self.first.is_none() {
            (self.first, self.newest, self.last) = (Some(at), bucket, at);
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
