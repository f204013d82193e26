//! When the packets of a transport came, for the end that sends them: from their transport sequence numbers to feedback
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01). Pure.
//!
//! Driving: [`Arrivals::saw`] each packet of any source of the transport; when [`Arrivals::next_timeout`] is due, send what
//! [`Arrivals::feedback`] gives.

use core::time::Duration;

use crate::rtp::rtcp::{Arrival, FeedbackHead, write_transport_feedback};
use crate::time::Now;

/// From the first packet that was not told of to the feedback about it. Senders estimate quicker with less; 100 packets in 50 ms
/// make a feedback of 130 bytes, which is 2 % of what they carry at most.
const INTERVAL: Duration = Duration::from_millis(50);

/// Numbers that are remembered: 50 ms of 400 Mbit/s. They take 32 KB.
const REMEMBERED: usize = 2048;

/// So many packets are told of at once, without waiting: before any is forgotten.
const PENDING_MAX: i64 = 1024;

/// A packet that comes so much behind what was told of is told of with all that follows it. Later ones are not.
const LATE_MAX: i64 = 512;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    /// When each came, at its number modulo the length. Empty before the first packet.
    times: Vec<Option<Now>>,
    /// The newest number, unwrapped.
    newest: i64,
    /// The first number of the next feedback.
    begin: i64,
    due: Option<Now>,
    /// The number of the next feedback.
    number: u8,
}

impl Arrivals {
    /// Nothing has come.
    pub const fn new() -> Self {
        Self { times: Vec::new(), newest: 0, begin: 0, due: None, number: 0 }
    }

    /// A packet with this number has come.
    pub fn saw(&mut self, transport_sequence: u16, now: Now) {
        if self.times.is_empty() {
            self.times = vec![None; REMEMBERED];
            self.restart(i64::from(transport_sequence));
        }
        let ahead = i64::from(transport_sequence.wrapping_sub(self.newest as u16).cast_signed());
        let number = self.newest + ahead;
        if ahead >= REMEMBERED as i64 {
            self.restart(number);
        } else if ahead > 0 {
            (self.newest + 1..number).for_each(|passed| self.times[place(passed)] = None);
            self.begin = self.begin.max(number - REMEMBERED as i64 + 1);
        } else if self.is_known_or_late(number) {
            return;
        }
        self.times[place(number)] = Some(now);
        self.newest = self.newest.max(number);
        self.begin = self.begin.min(number);
        let due = if self.newest - self.begin >= PENDING_MAX { now } else { now.after(INTERVAL) };
        self.due = Some(self.due.map_or(due, |before| before.min(due)));
    }

    /// When [`Self::feedback`] is due; nothing while no packets come.
    pub const fn next_timeout(&self) -> Option<Now> {
        self.due
    }

    /// The feedbacks about all that came since the last ones, each a packet of RTCP. None before it is due. `media` is the source
    /// of any of the packets, `sender` this end's own.
    pub fn feedback(&mut self, now: Now, media: u32, sender: u32) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        if self.due.is_none_or(|due| due > now) {
            return packets;
        }
        self.due = None;
        let arrivals: Vec<Arrival> = (self.begin..=self.newest)
            .filter_map(|number| Some((number, self.times[place(number)]?)))
            .map(|(number, at)| Arrival { sequence: number as u16, at: i64::try_from(at.micros()).ok() })
            .collect();
        let (mut rest, mut base) = (&arrivals[..], self.begin as u16);
        while !rest.is_empty() {
            let mut packet = Vec::new();
            let head = FeedbackHead { sender, media, base, number: self.number };
            let taken = write_transport_feedback(&mut packet, &head, rest).max(1);
            base = rest[taken - 1].sequence.wrapping_add(1);
            rest = &rest[taken..];
            self.number = self.number.wrapping_add(1);
            packets.push(packet);
        }
        self.begin = self.newest + 1;
        packets
    }

    /// Of a number that is not newer than all others.
    fn is_known_or_late(&self, number: i64) -> bool {
        let is_late = self.begin - number > LATE_MAX || self.newest - number >= REMEMBERED as i64;
        is_late || self.times[place(number)].is_some()
    }

    /// Forgets all; the row of numbers begins there.
    fn restart(&mut self, number: i64) {
        self.times.fill(None);
        (self.newest, self.begin) = (number, number);
    }
}

const fn place(number: i64) -> usize {
    number.rem_euclid(REMEMBERED as i64) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rtp::rtcp::{RtcpItem, parse};

    fn at(millis: u64) -> Now {
        Now::from_micros(millis * 1000)
    }

    /// The first number of the feedbacks, how many they tell of, and what has come with its time in milliseconds.
    fn told(packets: &[Vec<u8>]) -> (u16, usize, Vec<(u16, i64)>) {
        let mut all = (0, 0, Vec::new());
        for (n, packet) in packets.iter().enumerate() {
            let Some(RtcpItem::TransportFeedback(feedback)) = parse(packet).next() else { panic!() };
            assert_eq!((feedback.sender, feedback.media), (2, 1));
            if n == 0 {
                all.0 = feedback.base;
            }
            all.1 += usize::from(feedback.count);
            all.2.extend(feedback.arrivals().map(|arrival| (arrival.sequence, arrival.at.unwrap() / 1000)));
        }
        all
    }

    #[test]
    fn what_came_is_told_fifty_milliseconds_later() {
        let mut arrivals = Arrivals::new();
        assert_eq!((arrivals.next_timeout(), arrivals.feedback(at(0), 1, 2).len()), (None, 0));
        [(65_535, 100), (0, 101), (3, 120)].iter().for_each(|(number, millis)| arrivals.saw(*number, at(*millis)));
        assert_eq!(arrivals.next_timeout(), Some(at(150)));
        assert!(arrivals.feedback(at(149), 1, 2).is_empty(), "not due");
        let expected = (65_535, 5, vec![(65_535, 100), (0, 101), (3, 120)]);
        assert_eq!(told(&arrivals.feedback(at(150), 1, 2)), expected);
        assert_eq!((arrivals.next_timeout(), arrivals.feedback(at(500), 1, 2).len()), (None, 0), "nothing new");
    }

    #[test]
    fn what_is_lost_between_two_feedbacks_is_told_by_the_second() {
        let mut arrivals = Arrivals::new();
        arrivals.saw(10, at(0));
        assert_eq!(told(&arrivals.feedback(at(50), 1, 2)).0, 10);
        arrivals.saw(14, at(60));
        assert_eq!(told(&arrivals.feedback(at(110), 1, 2)), (11, 4, vec![(14, 60)]));
    }

    #[test]
    fn what_comes_late_is_told_with_all_behind_it() {
        let mut arrivals = Arrivals::new();
        [(10, 0), (12, 1), (12, 2)].iter().for_each(|(number, millis)| arrivals.saw(*number, at(*millis)));
        assert_eq!(told(&arrivals.feedback(at(50), 1, 2)), (10, 3, vec![(10, 0), (12, 1)]), "the first of two counts");
        arrivals.saw(11, at(70));
        arrivals.saw(13, at(71));
        assert_eq!(told(&arrivals.feedback(at(120), 1, 2)), (11, 3, vec![(11, 70), (12, 1), (13, 71)]));
    }

    #[test]
    fn a_packet_before_the_first_is_told_too() {
        let mut arrivals = Arrivals::new();
        [(1, 0), (65_535, 1)].iter().for_each(|(number, millis)| arrivals.saw(*number, at(*millis)));
        assert_eq!(told(&arrivals.feedback(at(60), 1, 2)), (65_535, 3, vec![(65_535, 1), (1, 0)]));
    }

    #[test]
    fn many_packets_are_told_of_at_once() {
        let mut arrivals = Arrivals::new();
        (0..=1024).for_each(|number| arrivals.saw(number, at(1)));
        assert_eq!(arrivals.next_timeout(), Some(at(1)));
        let packets = arrivals.feedback(at(1), 1, 2);
        assert_eq!(told(&packets).2.len(), 1025);
        assert!(packets.iter().all(|packet| packet.len() < 1200));
    }

    #[test]
    fn numbers_that_jump_begin_anew() {
        let mut arrivals = Arrivals::new();
        [(0, 0), (1, 0), (20_000, 1)].iter().for_each(|(number, millis)| arrivals.saw(*number, at(*millis)));
        assert_eq!(told(&arrivals.feedback(at(60), 1, 2)), (20_000, 1, vec![(20_000, 1)]));
        arrivals.saw(19_000, at(70));
        assert_eq!(arrivals.next_timeout(), None, "too late");
    }

    proptest! {
        #[test]
        fn each_packet_is_told_of_whatever_the_order(
            first: u16,
            order in Just((0..200u16).collect::<Vec<_>>()).prop_shuffle(),
            every in 1usize..60,
        ) {
            let mut arrivals = Arrivals::new();
            let mut known = std::collections::BTreeMap::new();
            for (n, ahead) in order.iter().enumerate() {
                arrivals.saw(first.wrapping_add(*ahead), at(n as u64));
                if n % every == 0 {
                    known.extend(told(&arrivals.feedback(at(n as u64), 1, 2)).2);
                }
            }
            known.extend(told(&arrivals.feedback(at(1000), 1, 2)).2);
            let expected = order.iter().enumerate().map(|(n, ahead)| (first.wrapping_add(*ahead), n as i64));
            prop_assert_eq!(known, expected.collect());
        }

        #[test]
        fn no_numbers_make_it_panic(numbers: Vec<u16>) {
            let mut arrivals = Arrivals::new();
            for (n, number) in numbers.iter().enumerate() {
                let now = at(n as u64 * 9);
                arrivals.saw(*number, now);
                let _ = arrivals.feedback(now, 1, 2);
                prop_assert!(arrivals.newest - arrivals.begin < REMEMBERED as i64);
            }
        }
    }
}
