//! What a bad network does to packets that go one way. Pure: time and seed come from outside, and the same seed gives the same
//! fates.

use std::time::Duration;

use smallvec::SmallVec;
use weft_proto::time::Now;

/// What is done to packets. All of it may be combined; nothing is done by default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fault {
    /// Nothing passes.
    pub partition: bool,
    /// Each packet is late by this.
    pub delay: Duration,
    /// And by up to this more or less, but never so that packets overtake each other: that is `reorder`.
    pub jitter: Duration,
    /// How much a packet's jitter is that of the one before: 0 to 1.
    pub jitter_correlation: f64,
    /// The part of packets that is lost: 0 to 1.
    pub loss: f64,
    /// How much a packet's luck is that of the one before: 0 to 1. The part that is lost stays the same.
    pub loss_correlation: f64,
    /// Loss that comes in bursts.
    pub bursts: Option<Bursts>,
    /// The part of packets that comes twice.
    pub duplicate: f64,
    /// The part of packets that is held back, so that others overtake it.
    pub reorder: f64,
    /// For how long, at most.
    pub reorder_by: Duration,
    /// The part of packets in which a bit is turned.
    pub corrupt: f64,
    /// How much passes.
    pub bandwidth: Option<Bandwidth>,
}

/// Loss after Gilbert and Elliott: a good state and a bad one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bursts {
    /// The chance, at each packet, that a bad time begins.
    pub begin: f64,
    /// The chance, at each packet, that it ends: its mean length is one divided by this.
    pub end: f64,
    /// The part of packets that is lost in bad times.
    pub loss: f64,
}

/// A slow link with a queue before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bandwidth {
    /// Bits of UDP payload that pass each second.
    pub bits_per_second: u64,
    /// Bytes that wait. What comes when it is full is lost.
    pub queue_bytes: u64,
}

/// A fault that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadFault {
    /// A part or chance that is not from 0 to 1.
    #[error("{0} must be from 0 to 1")]
    Chance(&'static str),
    /// A time that is too long.
    #[error("{0} is longer than {longest} s", longest = DELAY_MAX.as_secs())]
    Delay(&'static str),
    /// A link on which nothing ever passes; that is a partition.
    #[error("the bandwidth is below 1 kbit/s")]
    Bandwidth,
}

impl Fault {
    /// Whether it can be.
    pub fn check(&self) -> Result<(), BadFault> {
        let bursts = self.bursts.unwrap_or(Bursts { begin: 0.0, end: 1.0, loss: 0.0 });
        let chances = [
            ("loss", self.loss),
            ("lossCorrelation", self.loss_correlation),
            ("jitterCorrelation", self.jitter_correlation),
            ("duplicate", self.duplicate),
            ("reorder", self.reorder),
            ("corrupt", self.corrupt),
            ("bursts.begin", bursts.begin),
            ("bursts.end", bursts.end),
            ("bursts.loss", bursts.loss),
        ];
        if let Some((name, _)) = chances.into_iter().find(|(_, chance)| !(0.0..=1.0).contains(chance)) {
            return Err(BadFault::Chance(name));
        }
        let delays = [("delay", self.delay), ("jitter", self.jitter), ("reorderBy", self.reorder_by)];
        if let Some((name, _)) = delays.into_iter().find(|(_, delay)| *delay > DELAY_MAX) {
            return Err(BadFault::Delay(name));
        }
        if self.bandwidth.is_some_and(|bandwidth| bandwidth.bits_per_second < 1000) {
            return Err(BadFault::Bandwidth);
        }
        Ok(())
    }
}

/// What becomes of a packet: each time that it arrives. Never: it is lost.
pub type Fate = SmallVec<[Arrival; 2]>;

/// A packet that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When.
    pub at: Now,
    /// The bit of it that is turned, if one is.
    pub turned: Option<usize>,
}

/// The state of one direction to or from one peer.
#[derive(Clone, Debug)]
pub struct Link {
    chance: Chance,
    /// The last values of what is correlated.
    luck: f64,
    shift: f64,
    is_bad: bool,
    /// When the slow link has sent all that waits.
    free_at: Now,
    /// The latest arrival of those in order.
    last: Now,
}

impl Link {
    /// A link whose fates follow from the seed.
    pub fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let (luck, shift) = (chance.next(), chance.next());
        Self { chance, luck, shift, is_bad: false, free_at: Now::default(), last: Now::default() }
    }

    /// Decides about a packet of so many bytes.
    pub fn pass(&mut self, fault: &Fault, now: Now, bytes: usize) -> Fate {
        // Every packet takes the same draws, so that a seed means the same whatever is switched on.
        let is_lost = self.loses(fault);
        let [duplicate, reorder, hold, corrupt, bit] = [(); 5].map(|()| self.chance.next());
        if self.chance.next() >= fault.jitter_correlation {
            self.shift = self.chance.next();
        } else {
            self.chance.next();
        }
        if fault.partition || is_lost {
            return Fate::new();
        }
        let Some(sent) = self.send(fault.bandwidth, now, bytes) else { return Fate::new() };
        let turned = (corrupt < fault.corrupt && bytes > 0).then(|| scale(bit, bytes * 8));
        let late = micros(fault.delay) + (self.shift * 2.0 - 1.0) * micros(fault.jitter);
        let at = sent.after(Duration::from_micros(whole(late)));
        let arrival = if reorder < fault.reorder {
            let held = Duration::from_micros(whole(hold * micros(fault.reorder_by)));
            Arrival { at: at.max(self.last).after(held), turned }
        } else {
            self.last = at.max(self.last);
            Arrival { at: self.last, turned }
        };
        let mut fate = Fate::from_slice(&[arrival]);
        if duplicate < fault.duplicate {
            fate.push(arrival);
        }
        fate
    }

    fn loses(&mut self, fault: &Fault) -> bool {
        let (again, fresh, turn, burst) =
            (self.chance.next(), self.chance.next(), self.chance.next(), self.chance.next());
        // The last value again, or a new one: so that values stay spread evenly and as many are lost as are to be.
        if again >= fault.loss_correlation {
            self.luck = fresh;
        }
        let in_burst = fault.bursts.is_some_and(|bursts| {
            self.is_bad = if self.is_bad { turn >= bursts.end } else { turn < bursts.begin };
            self.is_bad && burst < bursts.loss
        });
        self.luck < fault.loss || in_burst
    }

    /// When a packet has left the slow link; `None` if there is no place for it.
    fn send(&mut self, bandwidth: Option<Bandwidth>, now: Now, bytes: usize) -> Option<Now> {
        let Some(Bandwidth { bits_per_second, queue_bytes }) = bandwidth else { return Some(now) };
        let waiting = self.free_at.since(now).as_micros() * u128::from(bits_per_second) / 8_000_000;
        if waiting + bytes as u128 > u128::from(queue_bytes) {
            return None;
        }
        let takes = (bytes as u128 * 8_000_000).div_ceil(u128::from(bits_per_second.max(1)));
        self.free_at = self.free_at.max(now).after(Duration::from_micros(u64::try_from(takes).unwrap_or(u64::MAX)));
        Some(self.free_at)
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014). Our own, for a seed must mean the same in every release.
#[derive(Clone, Debug)]
struct Chance(u64);

impl Chance {
    /// From 0 up to, but not, 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn micros(time: Duration) -> f64 {
    time.as_micros() as f64
}

/// Rounded down, never below zero.
fn whole(micros: f64) -> u64 {
    micros.max(0.0) as u64
}

fn scale(chance: f64, count: usize) -> usize {
    ((chance * count as f64) as usize).min(count.saturating_sub(1))
}

/// Longer delays are partitions that cost memory.
const DELAY_MAX: Duration = Duration::from_secs(30);
