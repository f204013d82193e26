//! Times of RTMP: milliseconds in 32 bits.

/// Timestamps without end out of those that wrap at 2^32 (49.7 days).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unwrapper {
    last: Option<(u32, i64)>,
}

impl Unwrapper {
    /// The next timestamp, which lies less than 2^31 ms before or after the one before.
    pub(super) fn millis(&mut self, timestamp: u32) -> i64 {
        let millis = match self.last {
            None => timestamp.into(),
            Some((last, millis)) => millis + i64::from(timestamp.wrapping_sub(last) as i32),
        };
        self.last = Some((timestamp, millis));
        millis
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_go_on_behind_their_end() {
        let mut unwrapper = Unwrapper::default();
        assert_eq!(unwrapper.millis(u32::MAX - 10), 4_294_967_285);
        assert_eq!(unwrapper.millis(5), 4_294_967_301);
        assert_eq!(unwrapper.millis(u32::MAX), 4_294_967_295, "audio a little before video");
    }
}
