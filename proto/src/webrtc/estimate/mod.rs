//! What the way to a reader carries: congestion control of the sending end by the feedback about all packets of a transport,
//! as in draft-ietf-rmcat-gcc-02. Pure.
//!
//! Driving: [`Estimator::sent`] each packet that got a transport sequence number, [`Estimator::feedback`] whatever comes of it,
//! and send no more than [`Estimator::estimate`]. `delay` and `trend` see from the times of arrival whether something waits on the
//! way, `rate` makes bits per second of it, `loss` caps them where much is lost.
//!
//! This end does not pad: often it sends less than the way carries. So the estimate begins high, it is never raised beyond one
//! and a half times of what was delivered, and it falls only where packets wait or are lost, never because little is sent.

mod delay;
mod delivered;
mod loss;
mod rate;
mod trend;

use core::time::Duration;

use crate::rtp::rtcp::TransportFeedback;
use crate::rtp::rtcp::transport::CLOCK_MICROS;
use crate::time::Now;

use delay::{Delay, Usage};
use delivered::Delivered;
use loss::Loss;
use rate::{Rate, Seen};

/// The estimate before anything is known, in bits per second: more than one stream has. What is too much is known from feedback
/// within some hundred milliseconds; what is too little would have to grow for many seconds.
pub const START: u64 = 50_000_000;

/// The estimate never falls below that, in bits per second: sound and what is said beside media always go.
pub const LEAST: u64 = 50_000;

/// Packets that wait for longer wait too long, and what is more is to be emptied in that time; but half of what the way carries
/// is sent in any case.
const WAITING: Duration = Duration::from_millis(150);
const EMPTIED_IN: Duration = Duration::from_secs(1);
const PART_LEAST: f64 = 0.5;

/// Packets that are remembered: 400 ms of 50 Mbit/s. They take 24 KB a reader.
const SENT_MAX: usize = 2048;

/// See the module.
#[derive(Clone, Debug)]
pub struct Estimator {
    /// What was sent, each at its number modulo the length. Empty before the first packet.
    sent: Vec<Sent>,
    /// The number after the last that was sent, and after the last that was told of.
    next: u16,
    told: Option<u16>,
    /// When the last packet came, in microseconds of the receiver's clock, unwrapped.
    arrived: Option<i64>,
    delay: Delay,
    delivered: Delivered,
    rate: Rate,
    loss: Loss,
    receiver: Option<u64>,
    round_trip: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    /// Microseconds, modulo 2^32: it is never asked how long ago an hour was.
    at: u32,
    sequence: u16,
    bytes: u16,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Nothing was sent, or it was delivered.
    Settled,
    Unknown,
    /// It was said not to have come. It still may.
    Lost,
}

impl Default for Estimator {
    fn default() -> Self {
        Self::new(START)
    }
}

impl Estimator {
    /// Begins with `start` bits per second, see [`START`].
    pub const fn new(start: u64) -> Self {
        Self {
            sent: Vec::new(),
            next: 0,
            told: None,
            arrived: None,
            delay: Delay::new(),
            delivered: Delivered::new(),
            rate: Rate::new(start as f64),
            loss: Loss::new(),
            receiver: None,
            round_trip: None,
        }
    }

    /// A packet of so many bytes, as they are on the way, was sent.
    pub fn sent(&mut self, transport_sequence: u16, bytes: usize, now: Now) {
        if self.sent.is_empty() {
            self.sent = vec![Sent { at: 0, sequence: 0, bytes: 0, fate: Fate::Settled }; SENT_MAX];
        }
        self.next = transport_sequence.wrapping_add(1);
        let bytes = u16::try_from(bytes).unwrap_or(u16::MAX);
        let at = now.micros() as u32;
        self.sent[place(transport_sequence)] = Sent { at, sequence: transport_sequence, bytes, fate: Fate::Unknown };
    }

    /// The other end has told which packets came, and when.
    pub fn feedback(&mut self, feedback: &TransportFeedback<'_>, now: Now) {
        if self.sent.is_empty() {
            return;
        }
        let (mut next, mut newest) = (feedback.base, None);
        for arrival in feedback.arrivals() {
            self.lose(next, arrival.sequence);
            next = arrival.sequence.wrapping_add(1);
            let Some((age, bytes)) = self.settle(arrival.sequence, now) else { continue };
            newest = Some(age);
            if let Some(at) = arrival.at {
                let at = self.unwrap(at);
                self.delivered.push(at, bytes);
                self.delay.push(now.micros() as i64 - age, at, bytes);
            }
        }
        self.lose(next, feedback.base.wrapping_add(feedback.count));
        let Some(age) = newest else { return };
        self.measure(Duration::from_micros(age.cast_unsigned()));
        let delivered = self.delivered.rate();
        let seen = Seen {
            usage: self.delay.take_usage(),
            delivered,
            carried: self.delay.carried(delivered),
            round_trip: self.round_trip.unwrap_or_default(),
        };
        let is_less = self.rate.update(&seen, now);
        if seen.usage == Usage::Over {
            self.delay.heeded(is_less, now.micros() as i64);
        }
        self.loss.update(self.rate.bits(), now);
    }

    /// The other end has said what it believes that the way carries, in bits per second (REMB). It counts until it says otherwise.
    pub const fn remb(&mut self, bits: u64) {
        self.receiver = Some(bits);
    }

    /// What may be sent, in bits per second of packets as they were told to [`Self::sent`].
    pub fn estimate(&self) -> u64 {
        let bits = (self.rate.bits().min(self.loss.cap()) * self.part()) as u64;
        self.receiver.map_or(bits, |most| bits.min(most)).max(LEAST)
    }

    /// From sending a packet to the feedback about it, smoothed. The time for which the other end keeps it is in it.
    pub const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// How long packets wait on the way now, as far as it is known.
    pub fn waiting(&self) -> Duration {
        self.delay.waiting()
    }

    /// What is sent of what the way carries while packets wait for long: the rest empties the queue. Where that is long, 15 % less
    /// would take many seconds.
    fn part(&self) -> f64 {
        let long = self.waiting().saturating_sub(WAITING).as_secs_f64();
        (1.0 - long / EMPTIED_IN.as_secs_f64()).max(PART_LEAST)
    }

    /// A packet was delivered: for the first time it gives how old it is, in microseconds, and its bytes.
    fn settle(&mut self, sequence: u16, now: Now) -> Option<(i64, u32)> {
        let sent = self.sent.get_mut(place(sequence)).filter(|sent| sent.sequence == sequence)?;
        let before = core::mem::replace(&mut sent.fate, Fate::Settled);
        let age = i64::from((now.micros() as u32).wrapping_sub(sent.at));
        let bytes = u32::from(sent.bytes);
        match before {
            Fate::Settled => return None,
            Fate::Unknown => self.loss.delivered(bytes),
            Fate::Lost => self.loss.came_after_all(),
        }
        Some((age, bytes))
    }

    /// Packets from `from` up to `to` did not come, so far. Each number is looked at once, whatever is said how often; what was
    /// not sent is not looked at.
    fn lose(&mut self, from: u16, to: u16) {
        let end = if is_ahead(to, self.next) { self.next } else { to };
        let begin = self.told.filter(|told| is_ahead(*told, from)).unwrap_or(from);
        if self.told.is_none_or(|told| is_ahead(end, told)) {
            self.told = Some(end);
        }
        if !is_ahead(end, begin) {
            return;
        }
        for back in 1..=end.wrapping_sub(begin).min(SENT_MAX as u16) {
            let sequence = end.wrapping_sub(back);
            let sent = &mut self.sent[place(sequence)];
            if sent.sequence == sequence && sent.fate == Fate::Unknown {
                sent.fate = Fate::Lost;
                self.loss.lost(u32::from(sent.bytes));
            }
        }
    }

    /// A time of the other end's clock, which begins anew every twelve days.
    fn unwrap(&mut self, at: i64) -> i64 {
        let last = *self.arrived.get_or_insert(at);
        let half = CLOCK_MICROS / 2;
        let ahead = (at - last + half).rem_euclid(CLOCK_MICROS) - half;
        self.arrived = Some(last + ahead);
        last + ahead
    }

    /// RFC 6298 section 2.
    fn measure(&mut self, sample: Duration) {
        self.round_trip = Some(self.round_trip.map_or(sample, |before| before - before / 8 + sample / 8));
    }
}

/// Whether a number comes after another one.
const fn is_ahead(sequence: u16, of: u16) -> bool {
    sequence.wrapping_sub(of).cast_signed() > 0
}

const fn place(sequence: u16) -> usize {
    sequence as usize % SENT_MAX
}

#[cfg(test)]
mod tests;
