use super::*;
use std::collections::VecDeque;

/// A way, and a queue before it.
#[derive(Clone, Copy)]
struct Way {
    bytes_per_ms: u64,
    queue: u64,
    /// Each way.
    delay_ms: u64,
    /// Every so many packets one is lost; 0 for none.
    loses_every: u64,
}

const PACKET: u64 = 1200;

/// 10.5 Mbit/s with 49 ms of queue, 10 ms away.
const NARROW: Way = Way { bytes_per_ms: 1312, queue: 64_000, delay_ms: 10, loses_every: 0 };

struct Packet {
    sent_ms: u64,
    /// When its acknowledgement is back.
    arrives_ms: u64,
    /// Nothing has come behind it, so that it is not acknowledged at once (RFC 9000 section 13.2.1).
    alone: bool,
}

/// For so long the other end may keep an acknowledgement back.
const KEPT_BACK_MS: u64 = 25;

/// Sends over a way as quinn does: as much as the window allows, spread over the round trip.
struct World {
    begin: Instant,
    packet: u64,
    ms: u64,
    way: Way,
    live: Live,
    on_way: VecDeque<Packet>,
    /// When what is queued has left.
    free_at: f64,
    count: u64,
    tokens: f64,
    smoothed_ms: f64,
    arrived: u64,
    queued_max_ms: f64,
    lost: u64,
}

impl World {
    fn new(way: Way) -> Self {
        Self::with_packets(way, PACKET)
    }

    fn with_packets(way: Way, packet: u64) -> Self {
        let begin = Instant::now();
        Self {
            begin,
            packet,
            ms: 0,
            way,
            live: Live::new(begin, packet as u16),
            on_way: VecDeque::new(),
            free_at: 0.0,
            count: 0,
            tokens: 0.0,
            smoothed_ms: 50.0,
            arrived: 0,
            queued_max_ms: 0.0,
            lost: 0,
        }
    }

    fn at(&self, ms: u64) -> Instant {
        self.begin + Duration::from_millis(ms)
    }

    /// A millisecond in which `offered` packets are there to be sent; those that are not are not kept.
    fn step(&mut self, offered: u64) {
        self.ms += 1;
        self.take_acknowledgements(offered);
        let window = self.live.window();
        self.tokens = (self.tokens + window as f64 * 1.25 / self.smoothed_ms).min(10.0 * self.packet as f64);
        for _ in 0..offered {
            let in_flight = self.on_way.len() as u64 * self.packet;
            if in_flight + self.packet >= window || self.tokens < self.packet as f64 {
                break;
            }
            self.tokens -= self.packet as f64;
            self.send();
        }
    }

    fn send(&mut self) {
        self.count += 1;
        let now = self.ms as f64;
        let begins = self.free_at.max(now);
        let queued_ms = begins - now;
        let is_full = queued_ms * self.way.bytes_per_ms as f64 > self.way.queue as f64;
        let is_lost = self.count.is_multiple_of(self.way.loses_every);
        self.live.on_sent(self.at(self.ms), self.packet, self.count);
        if is_full || is_lost {
            self.lost += 1;
            self.live.lost(false, self.packet);
            return;
        }
        self.queued_max_ms = self.queued_max_ms.max(queued_ms);
        self.free_at = begins + self.packet as f64 / self.way.bytes_per_ms as f64;
        let arrives_ms = self.free_at as u64 + 2 * self.way.delay_ms;
        let mut packet = Packet { sent_ms: self.ms, arrives_ms: arrives_ms + KEPT_BACK_MS, alone: true };
        if let Some(before) = self.on_way.back_mut().filter(|before| before.alone) {
            (packet.arrives_ms, packet.alone) = (arrives_ms, false);
            (before.arrives_ms, before.alone) = (before.arrives_ms.min(arrives_ms), false);
        }
        self.on_way.push_back(packet);
    }

    fn take_acknowledgements(&mut self, offered: u64) {
        let mut any = false;
        while let Some(packet) = self.on_way.pop_front_if(|packet| packet.arrives_ms <= self.ms) {
            any = true;
            self.arrived += self.packet;
            let sample = (self.ms - packet.sent_ms) as f64;
            self.smoothed_ms += (sample - self.smoothed_ms) / 8.0;
            let (now, sent) = (self.at(self.ms), self.at(packet.sent_ms));
            self.live.acknowledged(now, sent, self.packet);
        }
        if any {
            let in_flight = self.on_way.len() as u64 * self.packet;
            let now = self.at(self.ms);
            self.live.acknowledged_all(now, in_flight, offered == 0);
        }
    }

    /// As much as goes for so long; the share of the way that was used.
    fn fill(&mut self, ms: u64) -> f64 {
        let before = self.arrived;
        (self.queued_max_ms, self.lost) = (0.0, 0);
        for _ in 0..ms {
            self.step(100);
        }
        (self.arrived - before) as f64 / (self.way.bytes_per_ms * ms) as f64
    }
}

#[test]
fn a_way_is_used_whole_and_its_queue_is_not_filled() {
    let mut world = World::new(NARROW);
    world.fill(2_000);
    let used = world.fill(10_000);
    assert!(used > 0.97, "{used}");
    assert!(world.queued_max_ms < 30.0, "{} ms wait", world.queued_max_ms);
    assert_eq!(world.lost, 0);
}

#[test]
fn large_packets_do_not_make_a_way_look_longer() {
    let near = Way { delay_ms: 0, ..NARROW };
    let mut world = World::with_packets(near, 6400);
    world.fill(2_000);
    world.way.delay_ms = 5;
    world.fill(2_000);
    let used = world.fill(10_000);
    assert!(used > 0.95, "{used}");
    let round_trip = world.live.round_trip.get();
    assert!(round_trip < Duration::from_millis(22), "{round_trip:?} where 10 ms and a packet of 5 are the least");
    assert_eq!(world.lost, 0);
}

#[test]
fn a_way_that_loses_a_packet_in_fifty_is_used_whole() {
    let far = Way { delay_ms: 30, loses_every: 50, ..NARROW };
    let mut world = World::new(far);
    world.fill(2_000);
    let used = world.fill(10_000);
    assert!(used > 0.95, "{used}");
}

#[test]
fn a_way_that_becomes_longer_is_used_whole_again() {
    let near = Way { delay_ms: 0, ..NARROW };
    let mut world = World::new(near);
    world.fill(5_000);
    world.way.delay_ms = 20;
    world.fill(2_500);
    let used = world.fill(20_000);
    assert!(used > 0.95, "{used}");
}

#[test]
fn a_way_that_becomes_narrow_and_longer_is_used_soon() {
    for delay_ms in [5, 15] {
        let mut world = World::new(Way { bytes_per_ms: 12_000, delay_ms: 0, ..NARROW });
        world.fill(3_000);
        (world.way.bytes_per_ms, world.way.delay_ms) = (1312, delay_ms);
        let first = world.fill(500);
        let then = world.fill(500);
        let after = world.fill(5_000);
        assert!(first > 0.55 && then > 0.95 && after > 0.95, "{first}, {then} and {after}");
    }
}

#[test]
fn a_way_that_becomes_narrow_loses_little_and_not_for_long() {
    let mut world = World::new(Way { bytes_per_ms: 12_000, ..NARROW });
    world.fill(3_000);
    world.way.bytes_per_ms = 1312;
    world.fill(600);
    let sent = world.arrived / PACKET;
    let used = world.fill(5_000);
    assert!(used > 0.95, "{used} after {sent}");
    assert_eq!(world.lost, 0, "packets lost half a second later");
}

#[test]
fn a_way_that_becomes_wide_is_used_within_a_second() {
    let mut world = World::new(NARROW);
    world.fill(5_000);
    world.way.bytes_per_ms *= 8;
    world.fill(1_000);
    let used = world.fill(1_000);
    assert!(used > 0.9, "{used}");
}

#[test]
fn who_sends_little_may_still_send_much_at_once() {
    let mut world = World::new(Way { bytes_per_ms: 12_000, ..NARROW });
    for frame in 0..1000u64 {
        // Eight packets a picture, 80 a keyframe, for 40 s.
        let packets = if frame % 50 == 0 { 80 } else { 8 };
        (0..40).for_each(|ms| world.step(if ms == 0 { packets } else { 0 }));
    }
    assert_eq!(world.live.window(), INITIAL_BYTES);
}

#[test]
fn an_acknowledgement_that_is_kept_back_after_a_pause_is_no_longer_way() {
    let mut world = World::new(Way { bytes_per_ms: 12_000, delay_ms: 0, ..NARROW });
    world.fill(3_000);
    for _ in 0..20 {
        (0..100).for_each(|_| world.step(0));
        // A burst whose first acknowledgement is late, as from a busy machine.
        world.free_at = (world.ms + 8) as f64;
        world.step(100);
        for _ in 0..20 {
            world.step(0);
            assert!(world.live.probe.is_none(), "at {} ms", world.ms);
        }
    }
}

#[test]
fn after_a_long_silence_it_begins_small() {
    let mut world = World::new(NARROW);
    world.fill(2_000);
    world.live.lost(true, 10 * PACKET);
    assert_eq!(world.live.window(), PACKETS_AFRESH * PACKET);
    assert!(world.fill(2_000) > 0.9);
}
