//! What one observer saw of the other nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use weft_proto::time::Now;

use crate::ownership::NodeId;

/// When silence means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// How often [`Window::tick`] is called.
    pub tick: Duration,
    /// An observer whose tick comes this much late has been paused itself: it has seen nothing.
    pub late_max: Duration,
    /// A node that is silent for so long is suspected.
    pub suspect_after: Duration,
    /// A node that is silent for so long is down, in this observer's eyes.
    pub down_after: Duration,
}

impl Default for Timings {
    /// Heartbeats come every 100 ms. Three that are missing are a suspicion, six are a vote; detection takes 700 ms at the
    /// most, with a tick and a way across the network.
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self { tick: ms(50), late_max: ms(100), suspect_after: ms(300), down_after: ms(600) }
    }
}

impl Timings {
    /// The same for nodes whose packets take so long there and back: no suspicion before two round trips, no vote before
    /// four.
    #[must_use]
    pub fn for_round_trip(self, round_trip: Duration) -> Self {
        Self {
            suspect_after: self.suspect_after.max(round_trip * 2),
            down_after: self.down_after.max(round_trip * 4),
            ..self
        }
    }
}

/// How a node looks to an observer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// It was heard of a moment ago, or nothing can be said yet.
    Lives,
    /// It is silent, or its lifeline broke.
    Suspect,
    /// It has been silent for long enough, all of which this observer has seen.
    Down,
}

/// One observer's view.
#[derive(Clone, Debug)]
pub struct Window {
    timings: Timings,
    last_tick: Option<Now>,
    /// Since then no tick came late.
    since: Now,
    peers: BTreeMap<NodeId, Peer>,
    interruptions: u64,
}

#[derive(Clone, Copy, Debug)]
struct Peer {
    incarnation: u64,
    heard: Now,
    /// Its lifeline broke after it was last heard.
    cut: bool,
}

/// How long it may take until a node is connected that was not before: it is dialed again and again, ever more slowly.
const FIRST_WORD: Duration = Duration::from_secs(1);

impl Window {
    /// A window that opens now.
    pub const fn open(timings: Timings, now: Now) -> Self {
        Self { timings, last_tick: None, since: now, peers: BTreeMap::new(), interruptions: 0 }
    }

    /// Other times count from now on. The ticks come as often as before.
    pub const fn set_timings(&mut self, timings: Timings) {
        self.timings = timings;
    }

    /// Must be called every `tick`. A call that comes late shuts the window and opens it again.
    pub fn tick(&mut self, now: Now) {
        let late = self.timings.tick + self.timings.late_max;
        if self.last_tick.is_some_and(|last| now.since(last) > late) {
            self.since = now;
            self.interruptions += 1;
        }
        self.last_tick = Some(now);
    }

    /// A sign of life of a node's process. One of an older process is no sign.
    pub fn heard(&mut self, node: NodeId, incarnation: u64, now: Now) {
        let peer = self.peers.entry(node).or_insert(Peer { incarnation, heard: now, cut: false });
        if incarnation >= peer.incarnation {
            *peer = Peer { incarnation, heard: now, cut: false };
        }
    }

    /// It is agreed that a node's process is up: from now on it should be heard, and its silence counts, even if it dies before
    /// its first word. A node that this window has never heard of may have to be connected first.
    pub fn expect(&mut self, node: NodeId, incarnation: u64, now: Now) {
        match self.peers.get_mut(&node) {
            None => {
                let heard = now.after(FIRST_WORD);
                self.peers.insert(node, Peer { incarnation, heard, cut: false });
            }
            Some(peer) if peer.incarnation < incarnation => *peer = Peer { incarnation, heard: now, cut: false },
            Some(_) => {}
        }
    }

    /// The idle connection to this process was reset: the kernel of a dead process does that, and it is known at once.
    pub fn cut(&mut self, node: NodeId, incarnation: u64) {
        if let Some(peer) = self.peers.get_mut(&node).filter(|peer| peer.incarnation == incarnation) {
            peer.cut = true;
        }
    }

    /// A node does not belong to the cluster any more.
    pub fn forget(&mut self, node: NodeId) {
        self.peers.remove(&node);
    }

    /// How a node's process looks. Of one that was never heard of, or of another process, nothing can be said.
    pub fn sight(&self, node: NodeId, incarnation: u64, now: Now) -> Sight {
        let Some(peer) = self.peers.get(&node).filter(|peer| peer.incarnation == incarnation) else {
            return Sight::Lives;
        };
        // Of the silence only what this window saw counts.
        let silent = now.since(peer.heard.max(self.since));
        // Since the last tick this observer may have been paused as well.
        let awake = self.last_tick.is_some_and(|last| now.since(last) <= self.timings.tick + self.timings.late_max);
        match () {
            () if awake && silent >= self.timings.down_after => Sight::Down,
            () if peer.cut || awake && silent >= self.timings.suspect_after => Sight::Suspect,
            () => Sight::Lives,
        }
    }

    /// The process that was heard of last.
    pub fn incarnation(&self, node: NodeId) -> Option<u64> {
        self.peers.get(&node).map(|peer| peer.incarnation)
    }

    /// How often the window was shut because a tick came late.
    pub const fn interruptions(&self) -> u64 {
        self.interruptions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const B: NodeId = NodeId(2);

    fn at(ms: u64) -> Now {
        Now::from_micros(ms * 1000)
    }

    /// A window that ticks from `from` to `to`, all milliseconds.
    fn run(window: &mut Window, from: u64, to: u64) {
        (from..=to).step_by(50).for_each(|ms| window.tick(at(ms)));
    }

    fn watching() -> Window {
        let mut window = Window::open(Timings::default(), at(0));
        run(&mut window, 0, 1000);
        window.heard(B, 1, at(1000));
        window
    }

    #[test]
    fn who_dies_before_its_first_word_is_down_all_the_same() {
        let mut window = watching();
        // Its next process is agreed to be up, and never heard.
        window.expect(B, 2, at(1000));
        run(&mut window, 1050, 1550);
        assert_eq!((window.sight(B, 2, at(1550)), window.sight(B, 1, at(1550))), (Sight::Suspect, Sight::Lives));
        window.expect(B, 2, at(1550));
        run(&mut window, 1600, 1600);
        assert_eq!(window.sight(B, 2, at(1600)), Sight::Down);
        // The same of one that this observer has not met since it began.
        let mut window = Window::open(Timings::default(), at(0));
        run(&mut window, 0, 100);
        window.expect(B, 1, at(100));
        run(&mut window, 150, 1650);
        assert_eq!(window.sight(B, 1, at(1650)), Sight::Suspect);
        run(&mut window, 1700, 1700);
        assert_eq!(window.sight(B, 1, at(1700)), Sight::Down);
        // What is agreed later than it is heard changes nothing.
        window.heard(B, 1, at(1700));
        window.expect(B, 1, at(1750));
        assert_eq!(window.sight(B, 1, at(1750)), Sight::Lives);
    }

    #[test]
    fn nodes_that_are_far_away_may_be_silent_for_longer() {
        let (usual, ms) = (Timings::default(), Duration::from_millis);
        assert_eq!(usual.for_round_trip(ms(40)), usual);
        assert_eq!(usual.for_round_trip(ms(150)), usual);
        let far = usual.for_round_trip(ms(320));
        assert_eq!((far.suspect_after, far.down_after, far.tick), (ms(640), ms(1280), usual.tick));
        let mut window = watching();
        window.set_timings(far);
        run(&mut window, 1050, 1600);
        assert_eq!(window.sight(B, 1, at(1600)), Sight::Lives);
        run(&mut window, 1650, 2300);
        assert_eq!(window.sight(B, 1, at(2300)), Sight::Down);
    }

    #[test]
    fn silence_is_a_suspicion_first_and_a_vote_later() {
        let mut window = watching();
        run(&mut window, 1050, 1250);
        assert_eq!(window.sight(B, 1, at(1290)), Sight::Lives);
        run(&mut window, 1300, 1550);
        assert_eq!(window.sight(B, 1, at(1550)), Sight::Suspect);
        run(&mut window, 1600, 1600);
        assert_eq!(window.sight(B, 1, at(1600)), Sight::Down);
        window.heard(B, 1, at(1610));
        assert_eq!(window.sight(B, 1, at(1610)), Sight::Lives);
    }

    #[test]
    fn an_observer_that_slept_has_seen_nothing() {
        let mut window = watching();
        // It is stopped for a minute, and goes on before it has read what came meanwhile.
        window.tick(at(61_000));
        assert_eq!((window.sight(B, 1, at(61_000)), window.interruptions()), (Sight::Lives, 1));
        run(&mut window, 61_050, 61_550);
        assert_eq!(window.sight(B, 1, at(61_550)), Sight::Suspect, "the silence counts from its waking");
    }

    #[test]
    fn an_observer_that_is_asked_before_its_late_tick_says_nothing() {
        let window = watching();
        assert_eq!(window.sight(B, 1, at(61_000)), Sight::Lives);
    }

    #[test]
    fn a_broken_lifeline_is_a_suspicion_at_once_and_no_more() {
        let mut window = watching();
        window.cut(B, 1);
        assert_eq!(window.sight(B, 1, at(1001)), Sight::Suspect);
        window.heard(B, 1, at(1002));
        assert_eq!(window.sight(B, 1, at(1002)), Sight::Lives, "it was the network");
        window.cut(B, 0);
        assert_eq!(window.sight(B, 1, at(1003)), Sight::Lives, "the lifeline of an older process");
    }

    #[test]
    fn what_an_older_process_said_is_no_sign_and_of_a_newer_nothing_is_known() {
        let mut window = watching();
        window.heard(B, 2, at(1100));
        window.heard(B, 1, at(1200));
        run(&mut window, 1050, 1700);
        assert_eq!(window.sight(B, 2, at(1700)), Sight::Down);
        assert_eq!(window.sight(B, 3, at(1700)), Sight::Lives);
        assert_eq!(window.incarnation(B), Some(2));
    }
}
