//! Bits per second from what goes on on the way: more each second while nothing waits, less at once where a queue grows
//! (draft-ietf-rmcat-gcc-02 section 5.5).

use core::time::Duration;

use super::LEAST;
use super::delay::Usage;
use crate::time::Now;

/// Where a queue grows, that part of what the way carries is sent: the rest empties the queue.
const LESS: f64 = 0.85;

/// Growth a second while it is not known what the way carries.
const MORE: f64 = 1.08;

/// The estimate is not raised beyond so much of what was delivered: nothing is known about more.
const PROVEN: f64 = 1.5;

/// Where what is delivered is within this part of what the way has carried, growth is by packets, if that is less.
const NEAR: f64 = 0.1;

/// Bits of a packet by which it grows in each time of response, and how long the other end takes to respond beside the round trip.
const PACKET_BITS: f64 = 9600.0;
const RESPONSE: Duration = Duration::from_millis(100);

/// What a new measurement of what the way carries counts beside those before: few are of the same queue.
const FRESH: f64 = 0.3;

/// What is known when feedback has come; rates are in bits per second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) usage: Usage,
    /// What was delivered lately.
    pub(super) delivered: Option<f64>,
    /// What the way carries, if something waits.
    pub(super) carried: Option<f64>,
    pub(super) round_trip: Duration,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Rate {
    bits: f64,
    updated: Option<Now>,
    lessened: Option<Now>,
    /// What the way has carried when something waited.
    capacity: Option<f64>,
    /// Both as they were before it was lessened the last time.
    before: Option<(f64, Option<f64>)>,
}

impl Rate {
    pub(super) const fn new(start: f64) -> Self {
        Self { bits: start, updated: None, lessened: None, capacity: None, before: None }
    }

    pub(super) const fn bits(&self) -> f64 {
        self.bits
    }

    /// Says whether less is sent from now on.
    pub(super) fn update(&mut self, seen: &Seen, now: Now) -> bool {
        let passed = self.updated.replace(now).map_or(Duration::ZERO, |before| now.since(before));
        match seen.usage {
            Usage::Over => return self.lessen(seen, now),
            // The queue shrinks: let it.
            Usage::Under => {}
            Usage::Normal => self.grow(seen, passed.min(Duration::from_secs(1))),
            Usage::Mistaken => self.take_back(),
        }
        false
    }

    fn lessen(&mut self, seen: &Seen, now: Now) -> bool {
        // What was sent since the last time is not to be seen before.
        let is_early = self.lessened.is_some_and(|last| now.since(last) < seen.round_trip);
        let Some(carried) = seen.carried.filter(|_| !is_early) else { return false };
        self.before = Some((self.bits, self.capacity));
        self.bits = self.bits.min(LESS * carried).max(LEAST as f64);
        self.lessened = Some(now);
        self.capacity = Some(match self.capacity {
            Some(before) if (carried - before).abs() < 2.0 * NEAR * before => before + FRESH * (carried - before),
            _ => carried,
        });
        true
    }

    /// The last time that it was lessened was a mistake.
    fn take_back(&mut self) {
        if let Some((bits, capacity)) = self.before.take() {
            (self.bits, self.capacity) = (self.bits.max(bits), capacity);
        }
    }

    fn grow(&mut self, seen: &Seen, passed: Duration) {
        let Some(delivered) = seen.delivered else { return };
        let most = PROVEN * delivered;
        if self.bits >= most {
            return;
        }
        self.capacity = self.capacity.filter(|capacity| delivered <= (1.0 + NEAR) * capacity);
        let is_near = self.capacity.is_some_and(|capacity| delivered >= (1.0 - NEAR) * capacity);
        let passed = passed.as_secs_f64();
        let mut grown = self.bits * MORE.powf(passed);
        if is_near {
            let response = (seen.round_trip + RESPONSE).as_secs_f64();
            grown = grown.min(self.bits + PACKET_BITS / response * passed);
        }
        self.bits = grown.min(most);
    }
}
