//! How much may be on its way to a child: congestion control for live media.
//!
//! A model of the way, as BBR has it (draft-ietf-ccwg-bbr): the rate at which it delivers, and its round trip while nothing
//! queues. Twice their product may be on its way, so that a way which becomes wider is found out in a round trip, and a loss that
//! is not congestion costs nothing. What several round trips long is lost in heaps is taken for the end of a queue.
//!
//! Why not quinn's: its Cubic stands still where a packet in fifty is lost. Its BBR takes the shortest time between two
//! acknowledgements that it has ever seen for the rate, and the shortest round trip for that of today; so it bounds nothing,
//! until the round trip grows, and then too much. Nor are the bytes that it is told of packets that leave together those of each
//! one; so nothing here is made of them.

mod deliveries;
mod filter;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::congestion::{Controller, ControllerFactory};
use quinn_proto::RttEstimator;

use deliveries::{Deliveries, Sample};
use filter::{Greatest, Least};

/// Makes a controller for each connection.
#[derive(Debug, Default)]
pub(super) struct LiveConfig;

impl ControllerFactory for LiveConfig {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(Live::new(now, current_mtu))
    }
}

/// What may be on its way before anything is known: 50 Mbit/s over 40 ms. A path's newest group is wanted at once, and
/// what is too much for a way comes back as lost within a round trip.
const INITIAL_BYTES: u64 = 240_000;

/// What may be on its way in any case, in packets; and after nothing came through for long.
const PACKETS_MIN: u64 = 4;
const PACKETS_AFRESH: u64 = 16;

/// And while the round trip is measured: more would queue behind each other where packets are large and the way narrow, and
/// one alone is acknowledged late.
const PACKETS_PROBE: u64 = 2;

/// More than the product, that a burst of acknowledgements does not stop what is sent.
const PACKETS_MORE: u64 = 3;

/// For so long a busy machine may keep the other end from acknowledging what has come. Where the way is short, the product is a
/// few packets, and a picture would go in as many pieces.
const HELD_BACK: Duration = Duration::from_millis(5);

/// Gains over the product of rate and round trip: while the rate is still found to grow (2 / ln 2), and then.
const GAIN_STARTUP: f64 = 2.885;
const GAIN: f64 = 2.0;

/// The way is full when so many round trips have not made it this much quicker.
const FULL_ROUNDS: u32 = 3;
const GROWTH: f64 = 1.25;

/// A round trip that loses this share, and as many packets, is one too much.
const HEAVY_LOSS: f64 = 0.1;
const HEAVY_LOSS_PACKETS: u64 = 8;

/// After heavy losses a bound of this much over what came through; each round trip without them it grows by as much.
const CEILING: f64 = 1.25;

/// How long less is sent at least so that queues go empty: only then the round trip is known.
const PROBE: Duration = Duration::from_millis(50);

/// After so many seconds in which they never did by themselves.
const PROBE_SECONDS: u32 = 10;

/// Or after so long in which the round trip was longer than its own queue makes it: this many times, and by this much. A way that
/// has become longer is not filled before that is known; if it has become narrow too, players stand still meanwhile.
const SOON: Duration = Duration::from_millis(50);
const GROWN: f64 = 2.5;
const GROWN_BY: Duration = Duration::from_millis(2);

/// But not sooner after the last time: less goes over the way meanwhile.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// The controller of one connection.
#[derive(Clone, Debug)]
struct Live {
    packet: u64,
    window: u64,
    startup: Option<Startup>,
    deliveries: Deliveries,
    /// Bytes a second.
    rate: Greatest,
    round_trip: Least,
    /// Little was on its way at some time in the present second, so that its least round trip is true.
    drained: bool,
    /// Seconds in which it never was.
    full_seconds: u32,
    probe: Option<Probe>,
    /// When the last one was over.
    probed: Option<Instant>,
    moment: Moment,
    /// Above this packets were lost in heaps.
    ceiling: Option<u64>,
    round: Round,
}

#[derive(Clone, Debug)]
struct Startup {
    /// The window is not made smaller than this.
    floor: u64,
    /// The rate when it last grew, and the round trips since then.
    rate: f64,
    rounds: u32,
}

/// Little is sent, to see the round trip.
#[derive(Clone, Copy, Debug)]
struct Probe {
    until: Instant,
    least: Option<Duration>,
}

/// The least round trip of a moment of [`SOON`], which begins with an acknowledgement: nothing is known of the time before, in
/// which nothing was sent or somebody was kept from saying anything.
#[derive(Clone, Copy, Debug)]
struct Moment {
    since: Instant,
    least: Option<Duration>,
    /// Little was on its way at some time in it.
    drained: bool,
}

/// What happened in a round trip.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    delivered: u64,
    lost: u64,
}

impl Live {
    fn new(now: Instant, mtu: u16) -> Self {
        Self {
            packet: u64::from(mtu),
            window: INITIAL_BYTES,
            startup: Some(Startup { floor: INITIAL_BYTES, rate: 0.0, rounds: 0 }),
            deliveries: Deliveries::new(now),
            rate: Greatest::default(),
            round_trip: Least::new(now),
            drained: true,
            full_seconds: 0,
            probe: None,
            probed: None,
            moment: Moment { since: now, least: None, drained: true },
            ceiling: None,
            round: Round::default(),
        }
    }

    fn acknowledged(&mut self, now: Instant, sent: Instant, bytes: u64) {
        self.deliveries.acknowledged(now, sent, bytes);
        self.round.delivered += bytes;
        let round_trip = now.saturating_duration_since(sent);
        self.round_trip.note(round_trip);
        let least = |known: Option<Duration>| Some(known.map_or(round_trip, |known| known.min(round_trip)));
        if self.moment.least.is_none() {
            self.moment.since = now;
        }
        self.moment.least = least(self.moment.least);
        if let Some(probe) = &mut self.probe {
            probe.least = least(probe.least);
        }
    }

    /// `limited`: there was not always something to send.
    fn acknowledged_all(&mut self, now: Instant, in_flight: u64, limited: bool) {
        // Nor is it the way that bounds what is sent while the window is not nearly full.
        let limited = limited || in_flight + self.deliveries.newly() < self.in_flight_max() / 4 * 3;
        let Some(sample) = self.deliveries.sample(now, in_flight, limited) else { return };
        let is_drained = in_flight <= self.product(0.75);
        self.drained |= is_drained;
        self.moment.drained |= is_drained;
        self.learn(now, &sample);
        if sample.ends_round {
            self.end_round(limited);
        }
        self.fit(sample.bytes, limited);
    }

    fn learn(&mut self, now: Instant, sample: &Sample) {
        let is_free = !sample.limited && self.probe.is_none();
        // What was not sent as quickly as it could be says what the way carries at least.
        if sample.interval >= self.round_trip.get() && (is_free || sample.rate() > self.rate.get()) {
            self.rate.note(sample.round, sample.rate());
        }
        if let Some(Probe { until, least: Some(least) }) = self.probe
            && now >= until
        {
            self.probe = None;
            self.probed = Some(now);
            self.round_trip.set(least);
        }
        if let Some(past) = self.round_trip.turn(now) {
            let drained = core::mem::take(&mut self.drained);
            self.full_seconds = if drained { 0 } else { self.full_seconds + 1 };
            if self.full_seconds >= PROBE_SECONDS {
                self.probe(now, past);
            }
        }
        if now.saturating_duration_since(self.moment.since) >= SOON {
            self.end_moment(now);
        }
    }

    fn end_moment(&mut self, now: Instant) {
        let Moment { least, drained, .. } =
            core::mem::replace(&mut self.moment, Moment { since: now, least: None, drained: false });
        let is_soon = self.probed.is_some_and(|at| now.saturating_duration_since(at) < PROBE_EVERY);
        if let Some(past) = least.filter(|_| !drained && !is_soon)
            && past > self.round_trip.get().mul_f64(GROWN) + GROWN_BY
        {
            self.probe(now, past);
        }
    }

    /// Sends little for a moment, whose round trips are about this long so far.
    fn probe(&mut self, now: Instant, past: Duration) {
        if self.probe.is_none() {
            self.full_seconds = 0;
            self.probe = Some(Probe { until: now + PROBE.max(past * 2), least: None });
        }
    }

    fn end_round(&mut self, limited: bool) {
        let Round { delivered, lost } = core::mem::take(&mut self.round);
        let is_heavy = lost >= HEAVY_LOSS_PACKETS * self.packet && lost as f64 > HEAVY_LOSS * (lost + delivered) as f64;
        if is_heavy {
            self.startup = None;
            self.rate.forget_older();
            self.ceiling = Some((delivered as f64 * CEILING) as u64);
        } else if let Some(ceiling) = self.ceiling {
            let raised = (ceiling as f64 * CEILING) as u64 + self.packet;
            self.ceiling = Some(raised).filter(|ceiling| *ceiling < self.product(GAIN));
        }
        if let Some(startup) = self.startup.as_mut().filter(|_| !limited) {
            if self.rate.get() >= startup.rate * GROWTH {
                (startup.rate, startup.rounds) = (self.rate.get(), 0);
            } else {
                startup.rounds += 1;
            }
            if startup.rounds >= FULL_ROUNDS {
                self.startup = None;
            }
        }
    }

    /// Brings the window to what the model says: down at once, up by what has come through.
    fn fit(&mut self, delivered: u64, limited: bool) {
        let target = match &self.startup {
            Some(startup) => self.product(GAIN_STARTUP).max(startup.floor),
            None => self.product(1.0) + self.product(GAIN - 1.0).max(self.held_back()) + PACKETS_MORE * self.packet,
        };
        let target = target.min(self.ceiling.unwrap_or(u64::MAX)).max(PACKETS_MIN * self.packet);
        let grown = if limited { self.window } else { self.window + delivered };
        self.window = grown.min(target);
    }

    /// What comes through while the other end is kept from saying so, bytes.
    fn held_back(&self) -> u64 {
        (self.rate.get() * HELD_BACK.as_secs_f64()) as u64
    }

    /// This much of what the way holds, bytes.
    fn product(&self, gain: f64) -> u64 {
        (self.rate.get() * self.round_trip.get().as_secs_f64() * gain) as u64
    }

    fn lost(&mut self, is_persistent: bool, bytes: u64) {
        self.round.lost += bytes;
        if is_persistent {
            // Nothing came through for long: whatever was known is of another time.
            let floor = PACKETS_AFRESH * self.packet;
            self.window = floor;
            self.startup = Some(Startup { floor, rate: 0.0, rounds: 0 });
            self.rate = Greatest::default();
            self.ceiling = None;
        }
    }

    fn in_flight_max(&self) -> u64 {
        match self.probe {
            // QUIC sends while less than that is on its way, with what it is about to send.
            Some(_) => self.window.min(self.product(0.5)).max(PACKETS_PROBE * self.packet + 1),
            None => self.window,
        }
    }
}

impl Controller for Live {
    fn on_sent(&mut self, now: Instant, _: u64, _: u64) {
        self.deliveries.sent(now);
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, _: bool, _: &RttEstimator) {
        self.acknowledged(now, sent, bytes);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, _: Option<u64>) {
        self.acknowledged_all(now, in_flight, app_limited);
    }

    fn on_congestion_event(&mut self, _: Instant, _: Instant, is_persistent_congestion: bool, lost_bytes: u64) {
        self.lost(is_persistent_congestion, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.packet = u64::from(new_mtu);
    }

    fn window(&self) -> u64 {
        self.in_flight_max()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        INITIAL_BYTES
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
