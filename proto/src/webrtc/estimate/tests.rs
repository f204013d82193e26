//! The estimator at the end of a simulated way, with a sender that obeys it and a receiver that tells by [`Arrivals`].

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::arrivals::Arrivals;
use super::*;
use crate::rtp::rtcp::{RtcpItem, parse};

const MBIT: u64 = 1_000_000;

/// Bytes of a packet.
const PACKET: usize = 1200;

/// A way with a queue, in microseconds and bits per second.
#[derive(Clone, Copy, Debug)]
struct Way {
    rate: u64,
    delay: u64,
    /// Up to so much more for each packet, in which they keep their order.
    jitter: u64,
    /// Of a thousand packets.
    lost: u64,
    /// What would wait longer is lost.
    queue: u64,
}

const WIDE: Way = Way { rate: 10 * MBIT, delay: 20_000, jitter: 0, lost: 0, queue: u64::MAX };

/// A stream of 30 frames a second, each sent at once; every so many is so many times as large.
#[derive(Clone, Copy, Debug)]
struct Stream {
    rate: u64,
    group: u64,
    key: u64,
    /// Packets in a millisecond; the rest of a frame follows in the next ones.
    pace: usize,
}

const STREAM: Stream = Stream { rate: 2 * MBIT, group: 60, key: 1, pace: usize::MAX };

struct World {
    way: Way,
    stream: Stream,
    estimator: Estimator,
    arrivals: Arrivals,
    now: u64,
    /// When the last packet leaves the queue, and when the last one comes.
    busy: u64,
    last: u64,
    /// What is on its way, by its time.
    packets: BTreeMap<(u64, u16), ()>,
    feedback: BTreeMap<u64, Vec<Vec<u8>>>,
    sequence: u16,
    frames: u64,
    /// Bytes of frames that are still to be sent.
    left: usize,
    sent_bytes: u64,
    chance: u64,
    /// How far the receiver's clock is ahead, and by how many microseconds more each second.
    clock: u64,
    drift: u64,
}

impl World {
    fn new(way: Way, stream: Stream) -> Self {
        Self {
            way,
            stream,
            estimator: Estimator::default(),
            arrivals: Arrivals::new(),
            now: 1_000_000,
            busy: 0,
            last: 0,
            packets: BTreeMap::new(),
            feedback: BTreeMap::new(),
            sequence: 65_000,
            frames: 0,
            left: 0,
            sent_bytes: 0,
            chance: 0x9e37_79b9_7f4a_7c15,
            clock: 777_000_000,
            drift: 0,
        }
    }

    /// Xorshift.
    fn draw(&mut self, below: u64) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance % below.max(1)
    }

    /// An instant by the receiver's clock.
    fn theirs(&self, at: u64) -> Now {
        Now::from_micros(at + self.clock + at * self.drift / 1_000_000)
    }

    /// How long the queue is, in milliseconds.
    fn queue(&self) -> u64 {
        self.busy.saturating_sub(self.now) / 1000
    }

    /// Goes on for so many milliseconds; `each` looks after each of them.
    fn run(&mut self, millis: u64, mut each: impl FnMut(&Self)) {
        for _ in 0..millis {
            self.now += 1000;
            if self.now / 33_333 > self.frames {
                self.frames = self.now / 33_333;
                self.add_frame();
            }
            let mut packets = 0;
            while self.left > 0 && packets < self.stream.pace {
                let bytes = self.left.min(PACKET);
                self.left -= bytes;
                packets += 1;
                self.send(bytes);
            }
            self.receive();
            each(self);
        }
    }

    fn add_frame(&mut self) {
        let Stream { rate, group, key, .. } = self.stream;
        let times = if self.frames.is_multiple_of(group) { key } else { 1 };
        // So that all frames together have the rate of the stream.
        let usual = rate.min(self.estimator.estimate()) / 30 / 8 * group / (group + key - 1);
        self.left += (usual * times) as usize;
    }

    fn send(&mut self, bytes: usize) {
        self.estimator.sent(self.sequence, bytes, Now::from_micros(self.now));
        self.sequence = self.sequence.wrapping_add(1);
        let waits = self.busy.saturating_sub(self.now);
        if self.draw(1000) < self.way.lost || waits > self.way.queue {
            return;
        }
        self.busy = self.busy.max(self.now) + bytes as u64 * 8_000_000 / self.way.rate;
        let jitter = self.draw(self.way.jitter);
        self.sent_bytes += bytes as u64;
        self.last = (self.busy + self.way.delay + jitter).max(self.last + 1);
        self.packets.insert((self.last, self.sequence.wrapping_sub(1)), ());
    }

    fn receive(&mut self) {
        while let Some(entry) = self.packets.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let (at, sequence) = *entry.key();
            entry.remove();
            // The other end's clock is another one.
            self.arrivals.saw(sequence, self.theirs(at));
        }
        let packets = self.arrivals.feedback(self.theirs(self.now), 1, 2);
        if !packets.is_empty() {
            self.feedback.insert(self.now + self.way.delay, packets);
        }
        while let Some(entry) = self.feedback.first_entry().filter(|entry| *entry.key() <= self.now) {
            for packet in entry.remove() {
                let Some(RtcpItem::TransportFeedback(feedback)) = parse(&packet).next() else { panic!() };
                self.estimator.feedback(&feedback, Now::from_micros(self.now));
            }
        }
    }
}

/// The least and the largest estimate of so many milliseconds, and the longest queue.
fn watch(world: &mut World, millis: u64) -> (u64, u64, u64) {
    let (mut least, mut most, mut queue) = (u64::MAX, 0, 0);
    world.run(millis, |world| {
        let estimate = world.estimator.estimate();
        (least, most, queue) = (least.min(estimate), most.max(estimate), queue.max(world.queue()));
    });
    (least, most, queue)
}

#[test]
fn a_stream_that_fits_is_never_throttled() {
    for rate in [10 * MBIT, 3 * MBIT] {
        for jitter in [0, 1_000, 5_000, 15_000, 30_000] {
            for (pace, key) in [(usize::MAX, 1), (usize::MAX, 5), (usize::MAX, 15), (1, 1), (1, 15)] {
                let mut world = World::new(Way { jitter, lost: 20, rate, ..WIDE }, Stream { key, pace, ..STREAM });
                let (found, ..) = watch(&mut world, 60_000);
                // Where a frame takes as long as the next one is away, much jitter may cost a step down.
                let part = if rate < 10 * MBIT && jitter >= 15_000 { 80 } else { 100 };
                let what = format!("{found} over {rate}, jitter of {jitter} us, key frames of {key}, paced by {pace}");
                assert!(found >= 2 * MBIT / 100 * part, "{what}");
            }
        }
    }
    let sound = Stream { rate: 64_000, group: 1, ..STREAM };
    let (least, ..) = watch(&mut World::new(Way { rate: 100_000, ..WIDE }, sound), 60_000);
    assert!(least >= 64_000, "{least}");
}

#[test]
fn a_narrow_way_is_found_within_two_seconds() {
    for (stream, rate, delay, key) in [
        (2 * MBIT, MBIT, 20_000, 1),
        (2 * MBIT, MBIT, 20_000, 5),
        (2 * MBIT, MBIT, 5_000, 1),
        (8 * MBIT, 4 * MBIT, 20_000, 1),
        (30 * MBIT, 15 * MBIT, 20_000, 3),
        (600_000, 300_000, 20_000, 1),
    ] {
        for comes_later in [false, true] {
            let mut world = World::new(Way { rate, delay, ..WIDE }, Stream { rate: stream, key, ..STREAM });
            if comes_later {
                world.way.rate = 50 * MBIT;
                watch(&mut world, 10_000);
                world.way.rate = rate;
            }
            let (.., first) = watch(&mut world, 2_000);
            let found = world.estimator.estimate();
            let (least, most, queue) = watch(&mut world, 60_000);
            let what = format!("{stream} over {rate}: queue {first} then {queue} ms, {found}, {least} to {most}");
            assert!((70..=105).contains(&(found * 100 / rate)), "{what}");
            assert!(least * 100 / rate >= 70 && most * 100 / rate <= 110, "{what}");
            assert!(first < 400 && queue < 250, "{what}");
        }
    }
}

#[test]
fn a_short_queue_that_loses_what_is_too_much_is_found_too() {
    let mut world = World::new(Way { rate: MBIT, queue: 100_000, ..WIDE }, STREAM);
    watch(&mut world, 3_000);
    let (least, most, _) = watch(&mut world, 60_000);
    assert!(least >= MBIT / 2 && most <= MBIT * 12 / 10, "{least} to {most}");
}

#[test]
fn after_the_way_is_wide_again_the_estimate_grows() {
    let mut world = World::new(WIDE, STREAM);
    watch(&mut world, 10_000);
    world.way.rate = MBIT;
    watch(&mut world, 20_000);
    assert!(world.estimator.estimate() < 2 * MBIT);
    world.way.rate = 10 * MBIT;
    watch(&mut world, 15_000);
    let (least, most, _) = watch(&mut world, 60_000);
    assert!(least >= 2 * MBIT && most <= 3 * MBIT + MBIT / 5, "{least} to {most}");
}

#[test]
fn little_loss_does_not_throttle_and_much_does() {
    let least = |lost| watch(&mut World::new(Way { lost, ..WIDE }, STREAM), 30_000).0;
    assert_eq!(least(20), START);
    assert!(least(50) >= 2 * MBIT);
    assert!(watch(&mut World::new(Way { lost: 200, ..WIDE }, STREAM), 3_000).0 < 2 * MBIT);
    let mut world = World::new(Way { lost: 200, ..WIDE }, STREAM);
    watch(&mut world, 5_000);
    let throttled = world.estimator.estimate();
    assert!(throttled < MBIT, "{throttled}");
    world.way.lost = 0;
    watch(&mut world, 15_000);
    assert!(world.estimator.estimate() > 2 * throttled, "it grows again");
}

#[test]
fn the_estimate_is_not_raised_beyond_what_was_delivered_and_stays_when_less_is_sent() {
    let mut world = World::new(WIDE, STREAM);
    world.estimator = Estimator::new(MBIT);
    let (least, most, _) = watch(&mut world, 60_000);
    assert!(least >= MBIT && (2 * MBIT..=32 * MBIT / 10).contains(&most), "{least} to {most}");
    world.stream.rate = MBIT / 10;
    let (least, after, _) = watch(&mut world, 60_000);
    assert_eq!((least, after), (most, most));
    world.stream.rate = 0;
    assert_eq!(watch(&mut world, 60_000).0, most);
    world.stream.rate = 2 * MBIT;
    assert!(watch(&mut world, 60_000).0 >= 2 * MBIT);
}

#[test]
fn a_way_that_becomes_longer_is_not_taken_for_a_queue_for_long() {
    let mut world = World::new(WIDE, STREAM);
    watch(&mut world, 10_000);
    world.way.delay += 60_000;
    watch(&mut world, 10_000);
    assert!(watch(&mut world, 60_000).0 >= 2 * MBIT);
}

#[test]
fn clocks_that_drift_and_begin_anew_change_nothing() {
    let mut world = World::new(WIDE, STREAM);
    // The sender's microseconds wrap 32 bits, the receiver's what a feedback can say.
    world.now = u64::from(u32::MAX) - 5_000_000;
    world.frames = world.now / 33_333;
    world.clock = CLOCK_MICROS.cast_unsigned() - 10_000_000 - world.now;
    world.drift = 100;
    assert_eq!(watch(&mut world, 120_000).0, START);
    let round_trip = world.estimator.round_trip().unwrap().as_millis();
    assert!((40..100).contains(&round_trip), "{round_trip} ms");
}

#[test]
fn neither_a_pause_nor_a_clock_that_is_set_throttles() {
    for rate in [MBIT, 10 * MBIT] {
        let mut world = World::new(Way { rate, ..WIDE }, STREAM);
        watch(&mut world, 10_000);
        for pause in [200, 700, 3_000, 30_000] {
            world.stream.rate = 0;
            watch(&mut world, pause);
            world.stream.rate = 2 * MBIT;
            let (least, _, queue) = watch(&mut world, 5_000);
            assert!(least >= MBIT / 2 * rate / MBIT && queue < 400, "{least} and {queue} ms after {pause} ms");
        }
        world.clock += 3_600_000_000;
        let (least, _, queue) = watch(&mut world, 5_000);
        assert!(least >= MBIT / 2 * rate / MBIT && queue < 400, "{least} and {queue} ms");
    }
}

#[test]
fn a_receiver_may_say_that_less_is_carried() {
    let mut estimator = Estimator::default();
    assert_eq!(estimator.estimate(), START);
    estimator.remb(MBIT);
    assert_eq!(estimator.estimate(), MBIT);
    estimator.remb(0);
    assert_eq!(estimator.estimate(), LEAST);
    estimator.remb(100 * MBIT);
    assert_eq!(estimator.estimate(), START);
}

#[test]
fn what_is_told_twice_counts_once() {
    let mut estimator = Estimator::default();
    let mut arrivals = Arrivals::new();
    let at = |millis: u64| Now::from_micros(millis * 1000);
    for n in 0..400u16 {
        estimator.sent(n, PACKET, at(u64::from(n)));
        arrivals.saw(n, at(u64::from(n) + 20));
    }
    let packets = arrivals.feedback(at(500), 1, 2);
    for packet in [&packets, &packets, &packets].into_iter().flatten() {
        let Some(RtcpItem::TransportFeedback(feedback)) = parse(packet).next() else { panic!() };
        estimator.feedback(&feedback, at(500));
    }
    let delivered = estimator.delivered.rate().unwrap() as u64;
    assert!((9_500_000..9_900_000).contains(&delivered), "1,200 bytes a millisecond, and not {delivered}");
}

/// Packets that are sent every 40 ms and take so many milliseconds each, from the one with this number on.
fn take(delay: &mut Delay, first: i64, millis: &[i64]) -> Usage {
    for (n, millis) in millis.iter().enumerate() {
        let sent = (first + n as i64) * 40_000;
        delay.push(sent, sent + millis * 1000, 1200);
    }
    delay.take_usage()
}

#[test]
fn what_rises_like_a_queue_and_is_none_is_found_out() {
    let mut delay = Delay::new();
    assert_eq!(take(&mut delay, 0, &[5, 5, 5, 20, 30]), Usage::Normal);
    assert_eq!(take(&mut delay, 5, &[45]), Usage::Over);
    delay.heeded(true, 8 * 40_000);
    // Nothing waited for the packet that was sent next, before less was sent.
    assert_eq!(take(&mut delay, 6, &[5, 5]), Usage::Mistaken);
    assert_eq!(take(&mut delay, 8, &[5, 20, 30, 38, 5]), Usage::Normal, "it has learned");
    assert_eq!(take(&mut delay, 13, &[5, 40, 80, 120]), Usage::Over);
    delay.heeded(true, 17 * 40_000);
    assert_eq!(take(&mut delay, 17, &[80, 40, 5, 5]), Usage::Normal, "a queue that was emptied");
    assert_eq!(take(&mut delay, 21, &[5, 60, 120, 180]), Usage::Over);
    delay.heeded(false, 25 * 40_000);
    assert_eq!(take(&mut delay, 25, &[240]), Usage::Over, "nothing was done about it");
    delay.heeded(true, 26 * 40_000);
    assert_eq!(take(&mut delay, 26, &[300, 360]), Usage::Normal, "it is told of once");
}

#[test]
fn what_is_known_before_it_was_heeded_is_not_told() {
    let mut delay = Delay::new();
    assert_eq!(take(&mut delay, 0, &[5, 5, 5, 20, 30, 45, 5, 5]), Usage::Normal);
}

#[test]
fn a_decrease_that_was_a_mistake_is_taken_back() {
    let at = |millis: u64| Now::from_micros(millis * 1000);
    let seen = |usage| Seen { usage, delivered: Some(2e6), carried: Some(1e6), round_trip: Duration::from_millis(50) };
    let mut rate = Rate::new(5e6);
    assert!(rate.update(&seen(Usage::Over), at(0)));
    assert_eq!(rate.bits(), 850_000.0);
    assert!(!rate.update(&seen(Usage::Over), at(40)), "what is sent now is not to be seen yet");
    assert!(!rate.update(&seen(Usage::Mistaken), at(60)));
    assert_eq!(rate.bits(), 5e6);
    rate.update(&seen(Usage::Mistaken), at(70));
    assert_eq!(rate.bits(), 5e6, "once");
}

#[test]
fn losses_are_counted_once_and_only_of_what_was_sent() {
    let mut estimator = Estimator::default();
    let at = |millis: u64| Now::from_micros(millis * 1000);
    (0..100u16).for_each(|n| estimator.sent(n.wrapping_sub(50), PACKET, at(u64::from(n))));
    // A run of what did not come: the 40 numbers from -50 on, then 30,000 of them.
    for (count, chunks) in [(40u16, vec![40u16]), (40, vec![40]), (30_000, vec![0x1fff; 4]), (30_000, vec![0x1fff; 4])]
    {
        let mut packet = vec![0x8f, 205, 255, 255, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xce];
        packet.extend_from_slice(&count.to_be_bytes());
        packet.extend_from_slice(&[0; 4]);
        chunks.iter().for_each(|chunk| packet.extend_from_slice(&chunk.to_be_bytes()));
        let Some(RtcpItem::TransportFeedback(feedback)) = parse(&packet).next() else { panic!() };
        estimator.feedback(&feedback, at(200));
        assert_eq!(estimator.loss.counted(), if count == 40 { (40, 40) } else { (100, 100) });
    }
}

#[test]
fn a_way_that_changes_all_the_time_is_followed() {
    for (pace, jitter) in [(1, 0), (1, 10_000), (usize::MAX, 0), (usize::MAX, 10_000)] {
        let mut world = World::new(Way { jitter, ..WIDE }, Stream { rate: 4 * MBIT, pace, key: 4, ..STREAM });
        let (mut room, mut queues) = (0, Vec::new());
        for _ in 0..200 {
            // From half a Mbit/s to eight.
            world.way.rate = (MBIT / 2) << world.draw(5);
            queues.push(watch(&mut world, 3_000).2);
            room += world.way.rate.min(4 * MBIT) * 3;
        }
        queues.sort_unstable();
        let used = world.sent_bytes * 8 * 100 / room;
        let what = format!("{used} %, {} {} {} ms", queues[100], queues[180], queues[199]);
        // From eight to a half the queue grows by seven milliseconds in each, until the first feedback tells of it.
        assert!(used >= 30 && queues[100] < 150 && queues[180] < 400 && queues[199] < 3_000, "{what}");
    }
}

proptest! {
    #[test]
    fn no_feedback_makes_it_panic(
        bodies in prop::collection::vec((any::<u16>(), any::<u16>(), prop::collection::vec(any::<u8>(), 0..60)), 1..20),
        sent in prop::collection::vec(any::<u16>(), 0..200),
    ) {
        let mut estimator = Estimator::default();
        for (n, (base, count, body)) in bodies.iter().enumerate() {
            let now = Now::from_micros(n as u64 * 50_000);
            sent.iter().for_each(|sequence| estimator.sent(*sequence, PACKET, now));
            let [b0, b1] = base.to_be_bytes();
            let [c0, c1] = count.to_be_bytes();
            let head = [0x8f, 205, 255, 255, 0, 0, 0, 1, 0, 0, 0, 2, b0, b1, c0, c1];
            if let Some(RtcpItem::TransportFeedback(feedback)) = parse(&[&head[..], body].concat()).next() {
                estimator.feedback(&feedback, now);
            }
            prop_assert!((LEAST..=START).contains(&estimator.estimate()));
        }
    }
}
