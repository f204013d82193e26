//! Puts the packets of one source in order, drops duplicates and says where packets are missing.
//!
//! Driving: push each packet as it comes; whenever [`Reorder::next_timeout`] is due, call [`Reorder::handle_timeout`].
//! Call [`Reorder::restart`] when the SSRC changes. Packets in order pass straight through.

use core::time::Duration;

use super::Packet;
use crate::limits::{REORDER_PACKETS_MAX, REPAIR_PACKETS_MAX};
use crate::time::Now;

/// A packet in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// The packet.
    pub packet: Packet,
    /// Packets missing just before it. After a restart of the source, where nobody can tell how many, it is 1.
    pub lost_before: u32,
}

/// Orders packets by sequence number (RFC 3550 section 5.1; restarts as in appendix A.1).
///
/// A packet that comes early is held until those before it came, but never longer than the wait and never more than
/// [`REORDER_PACKETS_MAX`] numbers ahead, unless [`Self::holding`] says otherwise. What comes after its turn is dropped.
#[derive(Clone, Debug)]
pub struct Reorder {
    wait: Duration,
    /// Numbers ahead that are held. They wrap at 2^16, so it divides that.
    window: u16,
    /// The next sequence number to deliver; none before the first packet.
    next: Option<u16>,
    /// Numbers passed over since the last delivery.
    lost: u32,
    /// Early packets, each at its sequence number modulo the length. Empty until the first one comes early.
    held: Vec<Option<Held>>,
    held_count: usize,
    /// When the packet held longest must go.
    deadline: Option<Now>,
    /// The first packet after a jump: believed once its successor comes.
    suspect: Option<Packet>,
}

#[derive(Clone, Debug)]
struct Held {
    packet: Packet,
    due: Now,
}

impl Reorder {
    /// Holds early packets for `wait` at most. With [`Duration::ZERO`], for transports that keep order themselves, all is
    /// delivered at once and only gaps and duplicates are found.
    pub const fn new(wait: Duration) -> Self {
        let held = Vec::new();
        Self {
            wait,
            window: REORDER_PACKETS_MAX as u16,
            next: None,
            lost: 0,
            held,
            held_count: 0,
            deadline: None,
            suspect: None,
        }
    }

    /// The same, holding so many packets. `packets`: a power of two below 2,049.
    #[must_use]
    pub const fn holding(mut self, packets: usize) -> Self {
        debug_assert!(packets.is_power_of_two() && packets <= REPAIR_PACKETS_MAX);
        self.window = packets as u16;
        self
    }

    /// Takes a packet and delivers what is in order now.
    pub fn push(&mut self, packet: Packet, now: Now, out: &mut impl FnMut(Ordered)) {
        let next = *self.next.get_or_insert(packet.sequence);
        let ahead = packet.sequence.wrapping_sub(next);
        if ahead == 0 {
            self.suspect = None;
            self.deliver(packet, out);
            self.deliver_run(out);
        } else if ahead < DROPOUT_MAX {
            self.push_early(packet, ahead, now, out);
        } else if ahead.wrapping_neg() > MISORDER_MAX.max(self.window) {
            self.push_jump(packet, out);
        }
        // Else it is a duplicate, or later than we waited.
    }

    /// When [`Self::handle_timeout`] is to be called.
    pub const fn next_timeout(&self) -> Option<Now> {
        self.deadline
    }

    /// Delivers the packets whose wait is over, and those that follow them.
    pub fn handle_timeout(&mut self, now: Now, out: &mut impl FnMut(Ordered)) {
        while self.deadline.is_some_and(|deadline| deadline <= now) && self.pass_over_gap() {
            self.deliver_run(out);
        }
    }

    /// Delivers what is held and takes the next packet for the first of a new source.
    pub fn restart(&mut self, out: &mut impl FnMut(Ordered)) {
        self.flush(out);
        self.suspect = None;
        self.lost = u32::from(self.next.take().is_some());
    }

    /// In front of its turn by `ahead` packets.
    fn push_early(&mut self, packet: Packet, ahead: u16, now: Now, out: &mut impl FnMut(Ordered)) {
        self.suspect = None;
        if self.wait.is_zero() {
            self.pass_over(ahead);
            return self.deliver(packet, out);
        }
        self.make_room(packet.sequence, out);
        if Some(packet.sequence) == self.next {
            self.deliver(packet, out);
            return self.deliver_run(out);
        }
        if self.held.is_empty() {
            self.held = vec![None; usize::from(self.window)];
        }
        let due = now.after(self.wait);
        let place = self.slot_of(packet.sequence);
        let slot = &mut self.held[place];
        if slot.is_none() {
            *slot = Some(Held { packet, due });
            self.held_count += 1;
            self.deadline.get_or_insert(due);
        }
    }

    /// Too far from the last packet to belong to it: a restarted source, or a stray (RFC 3550 appendix A.1).
    fn push_jump(&mut self, packet: Packet, out: &mut impl FnMut(Ordered)) {
        // A transport that keeps order has no strays.
        if self.wait.is_zero() {
            self.resync(packet.sequence, out);
            return self.deliver(packet, out);
        }
        match self.suspect.take() {
            Some(first) if first.sequence.wrapping_add(1) == packet.sequence => {
                self.resync(first.sequence, out);
                self.deliver(first, out);
                self.deliver(packet, out);
            }
            _ => self.suspect = Some(packet),
        }
    }

    fn resync(&mut self, sequence: u16, out: &mut impl FnMut(Ordered)) {
        self.restart(out);
        self.next = Some(sequence);
    }

    fn flush(&mut self, out: &mut impl FnMut(Ordered)) {
        while self.held_count > 0 && self.pass_over_gap() {
            self.deliver_run(out);
        }
    }

    /// Moves on until `sequence` is inside the window.
    fn make_room(&mut self, sequence: u16, out: &mut impl FnMut(Ordered)) {
        loop {
            let ahead = sequence.wrapping_sub(self.next.unwrap_or(sequence));
            let excess = ahead.saturating_sub(self.window - 1);
            if excess == 0 {
                return;
            }
            match self.gap() {
                Some(gap) if gap <= excess => self.pass_over(gap),
                _ => return self.pass_over(excess),
            }
            self.deliver_run(out);
        }
    }

    fn pass_over(&mut self, count: u16) {
        self.next = self.next.map(|next| next.wrapping_add(count));
        self.lost = self.lost.saturating_add(u32::from(count));
    }

    /// Moves on to the first packet held; false if there is none.
    fn pass_over_gap(&mut self) -> bool {
        let gap = self.gap();
        self.pass_over(gap.unwrap_or(0));
        gap.is_some()
    }

    /// Packets missing before the first one held.
    fn gap(&self) -> Option<u16> {
        let next = self.next?;
        (0..self.window).find(|ahead| matches!(self.held.get(self.slot_of(next.wrapping_add(*ahead))), Some(Some(_))))
    }

    fn deliver(&mut self, packet: Packet, out: &mut impl FnMut(Ordered)) {
        self.next = Some(packet.sequence.wrapping_add(1));
        out(Ordered { packet, lost_before: core::mem::take(&mut self.lost) });
    }

    /// Delivers the held packets whose turn it is.
    fn deliver_run(&mut self, out: &mut impl FnMut(Ordered)) {
        if self.held_count == 0 {
            return;
        }
        while let Some(next) = self.next
            && let Some(held) = {
                let place = self.slot_of(next);
                self.held[place].take()
            }
        {
            self.held_count -= 1;
            self.deliver(held.packet, out);
        }
        self.deadline = self.held.iter().flatten().map(|held| held.due).min();
    }

    const fn slot_of(&self, sequence: u16) -> usize {
        (sequence % self.window) as usize
    }
}

const _: () = assert!(REORDER_PACKETS_MAX.is_power_of_two() && REPAIR_PACKETS_MAX.is_power_of_two());
const _: () = assert!(REPAIR_PACKETS_MAX < DROPOUT_MAX as usize);

/// A jump ahead of this many packets or more is a restart (RFC 3550 appendix A.1, MAX_DROPOUT).
const DROPOUT_MAX: u16 = 3000;

/// A packet this far behind, or as far as packets are held, is late or a duplicate, one farther behind a restart (RFC 3550 appendix
/// A.1, MAX_MISORDER).
const MISORDER_MAX: u16 = 100;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    const WAIT: Duration = Duration::from_millis(100);

    struct Feed(Reorder, Vec<(u16, u32)>);

    impl Feed {
        fn new(wait: Duration) -> Self {
            Self(Reorder::new(wait), Vec::new())
        }

        fn push(&mut self, sequence: u16, millis: u64) {
            let packet =
                Packet { marker: false, payload_type: 96, sequence, timestamp: 0, ssrc: 1, payload: Bytes::new() };
            let Self(reorder, out) = self;
            reorder.push(packet, at(millis), &mut |o| out.push((o.packet.sequence, o.lost_before)));
        }

        fn timeout(&mut self, millis: u64) {
            let Self(reorder, out) = self;
            reorder.handle_timeout(at(millis), &mut |o| out.push((o.packet.sequence, o.lost_before)));
        }

        fn take(&mut self) -> Vec<(u16, u32)> {
            core::mem::take(&mut self.1)
        }
    }

    fn at(millis: u64) -> Now {
        Now::from_micros(millis * 1000)
    }

    fn delivered(wait: Duration, sequences: &[u16]) -> Vec<(u16, u32)> {
        let mut feed = Feed::new(wait);
        sequences.iter().for_each(|sequence| feed.push(*sequence, 0));
        feed.take()
    }

    #[test]
    fn packets_in_order_pass_at_once_and_across_the_wrap() {
        for wait in [Duration::ZERO, WAIT] {
            assert_eq!(delivered(wait, &[65534, 65535, 0, 1]), [(65534, 0), (65535, 0), (0, 0), (1, 0)]);
        }
    }

    #[test]
    fn duplicates_and_late_packets_are_dropped() {
        assert_eq!(delivered(WAIT, &[5, 5, 6, 4, 8, 8, 7]), [(5, 0), (6, 0), (7, 0), (8, 0)]);
        assert_eq!(delivered(Duration::ZERO, &[5, 5, 6, 4, 7]), [(5, 0), (6, 0), (7, 0)]);
    }

    #[test]
    fn a_repair_is_waited_for_however_many_packets_come_meanwhile() {
        let mut feed = Feed(Reorder::new(WAIT).holding(1024), Vec::new());
        feed.push(65_000, 0);
        (65_002..66_000u32).for_each(|sequence| feed.push(sequence as u16, 10));
        assert_eq!(feed.take(), [(65_000, 0)]);
        feed.push(65_001, 20);
        let came = feed.take();
        assert_eq!((came.len(), came[0], came[998]), (999, (65_001, 0), (463, 0)));
        // Repairs of what was given up long ago are no other source.
        feed.push(65_001, 300);
        feed.push(65_002, 301);
        feed.push(464, 302);
        assert_eq!(feed.take(), [(464, 0)]);
    }

    #[test]
    fn without_wait_a_gap_is_told_at_once() {
        assert_eq!(delivered(Duration::ZERO, &[65535, 2, 3]), [(65535, 0), (2, 2), (3, 0)]);
    }

    #[test]
    fn early_packets_go_when_their_wait_is_over() {
        let mut feed = Feed::new(WAIT);
        feed.push(1, 0);
        feed.push(3, 10);
        feed.push(6, 50);
        assert_eq!((feed.take(), feed.0.next_timeout()), (vec![(1, 0)], Some(at(110))));
        feed.timeout(109);
        assert_eq!(feed.take(), []);
        feed.timeout(110);
        assert_eq!((feed.take(), feed.0.next_timeout()), (vec![(3, 1)], Some(at(150))));
        feed.push(5, 120);
        feed.timeout(150);
        assert_eq!((feed.take(), feed.0.next_timeout()), (vec![(5, 1), (6, 0)], None));
    }

    #[test]
    fn a_full_window_moves_on_without_waiting() {
        let mut feed = Feed::new(WAIT);
        feed.push(0, 0);
        (2..=64).for_each(|sequence| feed.push(sequence, 0));
        assert_eq!(feed.take(), [(0, 0)]);
        feed.push(65, 0);
        assert_eq!(feed.take().first(), Some(&(2, 1)));
        feed.push(65 + 200, 0);
        assert_eq!(feed.take(), []);
        feed.timeout(100);
        assert_eq!(feed.take(), [(265, 199)]);
    }

    #[test]
    fn a_restarted_source_is_followed_after_two_packets_and_a_stray_is_not() {
        assert_eq!(delivered(WAIT, &[10, 40_000, 11, 12]), [(10, 0), (11, 0), (12, 0)]);
        assert_eq!(delivered(WAIT, &[10, 40_000, 40_001, 40_002]), [(10, 0), (40_000, 1), (40_001, 0), (40_002, 0)]);
        assert_eq!(delivered(Duration::ZERO, &[10, 40_000, 40_001]), [(10, 0), (40_000, 1), (40_001, 0)]);
    }

    #[test]
    fn a_restart_gives_out_what_is_held() {
        let mut feed = Feed::new(WAIT);
        [1, 3, 5].into_iter().for_each(|sequence| feed.push(sequence, 0));
        let Feed(reorder, out) = &mut feed;
        reorder.restart(&mut |o| out.push((o.packet.sequence, o.lost_before)));
        feed.push(3, 1);
        assert_eq!((feed.take(), feed.0.next_timeout()), (vec![(1, 0), (3, 1), (5, 1), (3, 1)], None));
    }

    proptest! {
        #[test]
        fn any_permutation_within_the_window_is_put_in_order(
            first: u16,
            order in Just((1..64u16).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let mut sequences = vec![first];
            sequences.extend(order.iter().map(|n| first.wrapping_add(*n)));
            let expected: Vec<_> = (0..64).map(|n| (first.wrapping_add(n), 0)).collect();
            prop_assert_eq!(delivered(WAIT, &sequences), expected);
        }

        #[test]
        fn whatever_comes_each_number_is_accounted_for(sequences in prop::collection::vec(0u16..400, 1..200)) {
            let mut feed = Feed::new(WAIT);
            sequences.iter().enumerate().for_each(|(n, sequence)| {
                feed.push(*sequence, n as u64 * 7);
                feed.timeout(n as u64 * 7);
            });
            feed.timeout(1_000_000);
            prop_assert_eq!(feed.0.next_timeout(), None);
            prop_assert_eq!(feed.0.held_count, 0);
            for pair in feed.take().windows(2) {
                // A jump back that two successors confirm is a restart; all else goes up by what is missing.
                let restart = pair[1].0 < pair[0].0 && pair[1].1 == 1;
                prop_assert!(restart || u32::from(pair[1].0 - pair[0].0) == pair[1].1 + 1);
            }
        }
    }
}
