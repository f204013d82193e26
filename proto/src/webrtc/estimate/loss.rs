//! A cap where much is lost (draft-ietf-rmcat-gcc-02 section 6). Little loss says nothing: radio loses packets.

use core::time::Duration;

use super::LEAST;
use crate::time::Now;

/// Loss is judged after so long at least, and so many packets: of sixty, two in a hundred lost each way seldom are seven.
const JUDGED_AFTER: Duration = Duration::from_millis(500);
const JUDGED_PACKETS: u32 = 60;

/// Above this part the cap falls, below that it grows.
const MUCH: f64 = 0.1;
const LITTLE: f64 = 0.02;

/// Growth each time that little was lost.
const MORE: f64 = 1.05;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Loss {
    since: Option<Now>,
    packets: u32,
    lost: u32,
    bytes: u64,
    cap: f64,
}

impl Loss {
    pub(super) const fn new() -> Self {
        Self { since: None, packets: 0, lost: 0, bytes: 0, cap: f64::INFINITY }
    }

    /// Bits per second.
    pub(super) const fn cap(&self) -> f64 {
        self.cap
    }

    pub(super) fn delivered(&mut self, bytes: u32) {
        self.packets += 1;
        self.bytes += u64::from(bytes);
    }

    pub(super) fn lost(&mut self, bytes: u32) {
        self.delivered(bytes);
        self.lost += 1;
    }

    /// A packet that was counted as lost.
    pub(super) const fn came_after_all(&mut self) {
        self.lost = self.lost.saturating_sub(1);
    }

    /// Packets, and those of them that were lost.
    #[cfg(test)]
    pub(super) const fn counted(&self) -> (u32, u32) {
        (self.packets, self.lost)
    }

    /// Judges when it is time. `bits`: the estimate without this cap.
    pub(super) fn update(&mut self, bits: f64, now: Now) {
        let passed = now.since(*self.since.get_or_insert(now));
        if passed < JUDGED_AFTER || self.packets < JUDGED_PACKETS {
            return;
        }
        let part = f64::from(self.lost) / f64::from(self.packets);
        if part > MUCH {
            // Of what was sent, not of what would have been allowed: that may be far more.
            let sent = self.bytes as f64 * 8.0 / passed.as_secs_f64();
            self.cap = (self.cap.min(bits).min(sent) * (1.0 - part / 2.0)).max(LEAST as f64);
        } else if part < LITTLE {
            self.cap *= MORE;
            if self.cap > bits {
                self.cap = f64::INFINITY;
            }
        }
        *self = Self { since: Some(now), cap: self.cap, ..Self::new() };
    }
}
