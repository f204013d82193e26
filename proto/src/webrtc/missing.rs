//! Which packets of one source are missing, and when to ask for them (RFC 4585 section 6.2.1). Pure.
//!
//! Driving: [`Missing::saw`] each packet of the source, [`Missing::restored`] each that a repair stood for; when
//! [`Missing::next_timeout`] is due, ask for what [`Missing::due`] says. [`Missing::take_given_up`] tells whether something is
//! gone for good: then a random access point is needed.

use core::time::Duration;
use std::collections::VecDeque;

use crate::time::Now;

/// For so long a packet of use may be on its way, where repairs come: two round trips of a continent, and less than people notice
/// who do not talk to each other.
pub const WAIT: Duration = Duration::from_millis(300);

/// A packet may come so much later than the one behind it without having been lost: what paths that share a way turn round lies
/// within a burst, and a burst of a frame is over by then. Asking at once costs a repair for each pair that was turned round.
const TOLERANCE: Duration = Duration::from_millis(5);

/// Or so many packets behind it may be there before: TCP takes the same number (RFC 5681 section 3.2). In a burst this is sooner.
const TOLERANCE_PACKETS: u16 = 3;

/// Nobody is asked again sooner: a sender's timers and its pacing take so long.
const AGAIN_MIN: Duration = Duration::from_millis(20);

/// The round trip before any was measured.
const ROUND_TRIP: Duration = Duration::from_millis(100);

/// So often a packet is asked for: where nine in ten of the repairs or their requests are lost, two in three still come.
/// Where that is not enough, neither is what is left of the picture.
const ASKED_MAX: u8 = 10;

/// Packets that may be missing at once: 512 of 1,200 bytes are 100 ms of 50 Mbit/s. Where more are, a random access point is less.
const MISSING_MAX: usize = 512;

/// What comes so much behind the newest packet does not belong to the same row of numbers.
const BEHIND_MAX: u16 = 2048;

/// See the module.
#[derive(Clone, Debug)]
pub struct Missing {
    wait: Duration,
    /// The newest number.
    newest: Option<u16>,
    /// In the order of their numbers.
    holes: VecDeque<Hole>,
    /// The first packet far behind: believed once its successor comes.
    suspect: Option<u16>,
    round_trip: Option<Duration>,
    /// Repairs come apart from the source, so what comes late in it was only turned round.
    is_repaired_apart: bool,
    given_up: u32,
}

#[derive(Clone, Copy, Debug)]
struct Hole {
    sequence: u16,
    since: Now,
    /// When it is to be asked for, next.
    due: Now,
    asked: u8,
    first_asked: Now,
}

impl Missing {
    /// Asks for packets for as long as they are of use: `wait` after it was noticed that they are missing, see [`WAIT`].
    pub const fn new(wait: Duration) -> Self {
        Self {
            wait,
            newest: None,
            holes: VecDeque::new(),
            suspect: None,
            round_trip: None,
            is_repaired_apart: false,
            given_up: 0,
        }
    }

    /// A packet of the source itself has come.
    pub fn saw(&mut self, sequence: u16, now: Now) {
        let newest = *self.newest.get_or_insert(sequence);
        let ahead = sequence.wrapping_sub(newest);
        let behind = ahead.wrapping_neg();
        let suspect = self.suspect.take();
        if ahead == 0 {
            return;
        }
        if ahead <= u16::MAX / 2 {
            self.advance(newest, ahead, now);
        } else if behind <= BEHIND_MAX {
            let is_repair = !self.is_repaired_apart;
            self.fill(sequence, is_repair, now);
        } else if suspect == Some(sequence.wrapping_sub(1)) {
            self.forget(1);
            self.newest = Some(sequence);
        } else {
            self.suspect = Some(sequence);
        }
    }

    /// A packet has come as a repair, on a stream of its own.
    pub fn restored(&mut self, sequence: u16, now: Now) {
        self.is_repaired_apart = true;
        self.fill(sequence, true, now);
    }

    /// What to ask for now, oldest first; it counts as asked for.
    pub fn due(&mut self, now: Now) -> Vec<u16> {
        let again = now.after(AGAIN_MIN.max(self.round_trip() * 5 / 4));
        let (wait, newest) = (self.wait, self.newest.unwrap_or_default());
        let before = self.holes.len();
        let mut asked = Vec::new();
        self.holes.retain_mut(|hole| {
            let is_due = hole.due_at(newest) <= now;
            if now >= hole.since.after(wait) || is_due && hole.asked >= ASKED_MAX {
                return false;
            }
            if is_due {
                if hole.asked == 0 {
                    hole.first_asked = now;
                }
                hole.asked += 1;
                hole.due = again;
                asked.push(hole.sequence);
            }
            true
        });
        self.give_up((before - self.holes.len()) as u32);
        asked
    }

    /// When [`Self::due`] has something to do.
    pub fn next_timeout(&self) -> Option<Now> {
        let newest = self.newest?;
        self.holes.iter().map(|hole| hole.due_at(newest).min(hole.since.after(self.wait))).min()
    }

    /// Packets that are not waited for any more, since the last call. What follows one may not be decodable before the next random
    /// access point.
    pub const fn take_given_up(&mut self) -> u32 {
        core::mem::replace(&mut self.given_up, 0)
    }

    /// Packets that are missing now.
    pub fn len(&self) -> usize {
        self.holes.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.holes.is_empty()
    }

    /// From asking for a packet to its repair, smoothed; 100 ms before the first.
    pub fn round_trip(&self) -> Duration {
        self.round_trip.unwrap_or(ROUND_TRIP)
    }

    /// The newest packet has come, `ahead` numbers behind the one before.
    fn advance(&mut self, newest: u16, ahead: u16, now: Now) {
        let gap = ahead - 1;
        self.newest = Some(newest.wrapping_add(ahead));
        if self.holes.len() + usize::from(gap) > MISSING_MAX {
            return self.forget(u32::from(gap));
        }
        let due = now.after(TOLERANCE);
        let hole = |n| Hole { sequence: newest.wrapping_add(n), since: now, due, asked: 0, first_asked: now };
        self.holes.extend((1..ahead).map(hole));
    }

    fn fill(&mut self, sequence: u16, is_repair: bool, now: Now) {
        let Some(place) = self.holes.iter().position(|hole| hole.sequence == sequence) else { return };
        let Some(hole) = self.holes.remove(place) else { return };
        if is_repair && hole.asked > 0 {
            self.measure(now.since(hole.first_asked), hole.asked);
        }
    }

    /// Smoothed as by RFC 6298 section 2. Nobody knows which request a repair answers: it is counted from the first one, but where
    /// there were several it weighs little. A round trip that is too short would ask twice for everything.
    fn measure(&mut self, sample: Duration, asked: u8) {
        let weight = if asked == 1 { 8 } else { 32 };
        self.round_trip = Some(match self.round_trip {
            None => sample,
            Some(before) => before - before / weight + sample / weight,
        });
    }

    /// Gives up all that is missing, and `more`.
    fn forget(&mut self, more: u32) {
        self.give_up(self.holes.len() as u32 + more);
        self.holes.clear();
    }

    const fn give_up(&mut self, count: u32) {
        self.given_up = self.given_up.saturating_add(count);
    }
}

impl Hole {
    /// When it is to be asked for, when the newest packet is that.
    fn due_at(&self, newest: u16) -> Now {
        let is_plain = newest.wrapping_sub(self.sequence) >= TOLERANCE_PACKETS;
        if self.asked == 0 && is_plain { self.since } else { self.due }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Now {
        Now::from_micros(millis * 1000)
    }

    fn seen(sequences: &[u16]) -> Missing {
        let mut missing = Missing::new(WAIT);
        sequences.iter().for_each(|sequence| missing.saw(*sequence, at(0)));
        missing
    }

    #[test]
    fn nothing_is_asked_for_while_packets_come_in_order() {
        let mut missing = seen(&[65_534, 65_535, 0, 1, 1, 2]);
        assert_eq!((missing.next_timeout(), missing.due(at(1000)), missing.take_given_up()), (None, vec![], 0));
    }

    #[test]
    fn packets_that_were_turned_round_are_not_asked_for() {
        let mut missing = seen(&[1, 3]);
        assert_eq!(missing.due(at(4)), []);
        missing.saw(2, at(4));
        assert!(missing.is_empty());
        assert_eq!((missing.due(at(1000)), missing.next_timeout(), missing.take_given_up()), (vec![], None, 0));
    }

    #[test]
    fn a_packet_is_asked_for_after_three_later_ones_or_five_milliseconds() {
        let mut missing = seen(&[65_534, 0, 1]);
        assert_eq!((missing.due(at(0)), missing.next_timeout()), (vec![], Some(at(5))));
        missing.saw(2, at(1));
        assert!(missing.next_timeout() <= Some(at(1)));
        assert_eq!(missing.due(at(1)), [65_535]);
        let mut missing = seen(&[1, 3]);
        assert_eq!(missing.due(at(5)), [2]);
        assert_eq!(missing.due(at(5)), [], "once");
    }

    #[test]
    fn it_is_asked_for_again_after_a_round_trip_and_given_up_after_the_wait() {
        let mut missing = seen(&[1, 3, 4, 5]);
        let mut asked = vec![];
        while let Some(now) = missing.next_timeout() {
            asked.extend(missing.due(now).iter().map(|sequence| (*sequence, now)));
        }
        assert_eq!(asked, [(2, at(0)), (2, at(125)), (2, at(250))]);
        assert_eq!((missing.take_given_up(), missing.take_given_up()), (1, 0));
    }

    #[test]
    fn the_round_trip_is_that_of_repairs() {
        let mut missing = seen(&[1, 3, 4, 5]);
        assert_eq!(missing.due(at(0)), [2]);
        missing.restored(2, at(40));
        assert_eq!((missing.round_trip(), missing.is_empty()), (Duration::from_millis(40), true));
        // What is late in the source is no repair, once repairs come apart.
        missing.saw(7, at(50));
        assert_eq!(missing.due(at(55)), [6]);
        missing.saw(6, at(56));
        assert_eq!(missing.round_trip(), Duration::from_millis(40));
        missing.saw(9, at(60));
        assert_eq!(
            (missing.due(at(65)), missing.next_timeout()),
            (vec![8], Some(at(115))),
            "a round trip and a quarter"
        );
    }

    #[test]
    fn repairs_in_the_source_itself_measure_the_round_trip_too() {
        let mut missing = seen(&[1, 3, 4, 5]);
        assert_eq!(missing.due(at(0)), [2]);
        missing.saw(2, at(30));
        assert_eq!(missing.round_trip(), Duration::from_millis(30));
    }

    #[test]
    fn requests_that_are_lost_hardly_lengthen_the_round_trip() {
        let mut missing = seen(&[0]);
        let mut now = 0;
        for n in 1..200 {
            missing.saw(2 * n, at(now));
            let Some(first) = missing.next_timeout() else { panic!() };
            missing.due(first);
            let asked = first.after(if n % 5 == 0 { missing.round_trip() * 5 / 4 } else { Duration::ZERO });
            missing.due(asked);
            missing.restored(2 * n - 1, asked.after(Duration::from_millis(50)));
            now += 500;
        }
        let round_trip = missing.round_trip().as_millis();
        assert!((50..60).contains(&round_trip), "{round_trip} ms");
    }

    #[test]
    fn a_packet_is_asked_for_ten_times_at_most() {
        let mut missing = Missing::new(Duration::from_secs(10));
        [1, 3].iter().for_each(|sequence| missing.saw(*sequence, at(0)));
        let mut asked = 0;
        while let Some(now) = missing.next_timeout() {
            asked += missing.due(now).len();
        }
        assert_eq!((asked, missing.take_given_up()), (10, 1));
    }

    #[test]
    fn a_jump_forgets_all_and_is_told() {
        let mut missing = seen(&[1, 3]);
        missing.saw(5000, at(0));
        assert_eq!((missing.len(), missing.next_timeout(), missing.take_given_up()), (0, None, 4997));
        missing.saw(5002, at(0));
        assert_eq!(missing.due(at(5)), [5001], "it goes on from there");
    }

    #[test]
    fn a_source_that_began_anew_is_followed_after_two_packets() {
        let mut missing = seen(&[40_000, 20_000]);
        assert_eq!(missing.take_given_up(), 0, "it may be a stray");
        missing.saw(20_001, at(0));
        assert_eq!(missing.take_given_up(), 1);
        missing.saw(20_003, at(0));
        assert_eq!(missing.due(at(5)), [20_002]);
    }

    proptest! {
        #[test]
        fn whatever_comes_it_stays_bounded_and_ends(
            sequences in prop::collection::vec(prop_oneof![8 => 0u16..600, 1 => any::<u16>()], 1..300),
        ) {
            let mut missing = Missing::new(WAIT);
            for (n, sequence) in sequences.iter().enumerate() {
                let now = at(n as u64 * 3);
                missing.saw(*sequence, now);
                prop_assert!(missing.len() <= MISSING_MAX);
                prop_assert!(missing.due(now).len() <= MISSING_MAX);
                prop_assert!(missing.next_timeout().is_none_or(|due| due > now));
            }
            let mut rounds = 0;
            while let Some(now) = missing.next_timeout() {
                missing.due(now);
                rounds += 1;
            }
            prop_assert!(rounds < 10_000 && missing.is_empty());
        }
    }
}
