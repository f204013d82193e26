//! How quickly what is sent arrives (draft-cheng-iccrg-delivery-rate-estimation). Pure.
//!
//! A packet that is acknowledged says what was delivered since it was sent. Over that time, or that in which it was sent, if that
//! is longer, it is the rate: so neither acknowledgements that come at once nor bursts that leave at once make a way look
//! quicker than it is.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Packets that leave within this time share what is noted of them.
const TOGETHER: Duration = Duration::from_micros(500);

/// What is noted at most: two seconds of them.
const NOTED_MAX: usize = 4096;

/// The way as it was when packets were sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Instant,
    /// Bytes that had arrived, and when the last of them had.
    delivered: u64,
    delivered_at: Instant,
    /// When the packet was sent that was acknowledged last.
    first_at: Instant,
    limited: bool,
}

/// What acknowledgements say that come together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Bytes that they acknowledge.
    pub(super) bytes: u64,
    delivered: u64,
    /// In which time.
    pub(super) interval: Duration,
    /// There was not always something to send.
    pub(super) limited: bool,
    /// Counts round trips.
    pub(super) round: u64,
    /// A round trip is over.
    pub(super) ends_round: bool,
}

impl Sample {
    /// Bytes a second.
    pub(super) fn rate(&self) -> f64 {
        self.delivered as f64 / self.interval.as_secs_f64().max(1e-6)
    }
}

/// What was sent and has arrived.
#[derive(Clone, Debug)]
pub(super) struct Deliveries {
    sent: VecDeque<Sent>,
    delivered: u64,
    delivered_at: Instant,
    first_at: Instant,
    limited: bool,
    /// Nothing was on its way after the last acknowledgements.
    idle: bool,
    /// What the present acknowledgements say so far.
    bytes: u64,
    latest: Option<(Sent, Instant)>,
    round: u64,
    /// A packet that was sent when so much had arrived ends the round trip.
    round_ends: u64,
}

impl Deliveries {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            sent: VecDeque::new(),
            delivered: 0,
            delivered_at: now,
            first_at: now,
            limited: true,
            idle: true,
            bytes: 0,
            latest: None,
            round: 0,
            round_ends: 0,
        }
    }

    pub(super) fn sent(&mut self, now: Instant) {
        if core::mem::take(&mut self.idle) {
            (self.delivered_at, self.first_at) = (now, now);
        } else if let Some(last) = self.sent.back()
            && last.delivered == self.delivered
            && now.saturating_duration_since(last.at) < TOGETHER
        {
            return;
        }
        if self.sent.len() >= NOTED_MAX {
            self.sent.pop_front();
        }
        let Self { delivered, delivered_at, first_at, limited, .. } = *self;
        self.sent.push_back(Sent { at: now, delivered, delivered_at, first_at, limited });
    }

    pub(super) fn acknowledged(&mut self, now: Instant, sent: Instant, bytes: u64) {
        self.delivered += bytes;
        self.delivered_at = now;
        self.bytes += bytes;
        let after = self.sent.partition_point(|noted| noted.at <= sent);
        let Some(noted) = after.checked_sub(1).and_then(|index| self.sent.get(index)) else { return };
        if self.latest.is_none_or(|(_, latest)| latest <= sent) {
            self.latest = Some((*noted, sent));
        }
    }

    /// Bytes that were acknowledged since the last sample.
    pub(super) const fn newly(&self) -> u64 {
        self.bytes
    }

    /// What the acknowledgements since the last call say; `limited`: nothing more is there to be sent.
    pub(super) fn sample(&mut self, now: Instant, in_flight: u64, limited: bool) -> Option<Sample> {
        self.idle = in_flight == 0;
        self.limited = limited;
        let bytes = core::mem::take(&mut self.bytes);
        let (noted, sent) = self.latest.take()?;
        while self.sent.get(1).is_some_and(|next| next.at <= noted.at) {
            self.sent.pop_front();
        }
        self.first_at = sent;
        let ends_round = noted.delivered >= self.round_ends;
        if ends_round {
            self.round += 1;
            self.round_ends = self.delivered;
        }
        let arriving = now.saturating_duration_since(noted.delivered_at);
        let leaving = sent.saturating_duration_since(noted.first_at);
        Some(Sample {
            bytes,
            delivered: self.delivered - noted.delivered,
            interval: arriving.max(leaving),
            limited: noted.limited || limited,
            round: self.round,
            ends_round,
        })
    }
}
