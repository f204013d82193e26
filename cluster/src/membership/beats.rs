//! Heartbeats: what this node says, what it hears, and what it makes of that. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use weft_proto::time::Now;
use weft_proto::wire::control::{Echo, Heartbeat, Sighting};

use crate::liveness::{Ballot, Sight, Timings, Window};
use crate::ownership::{MemberState, Members, NodeId};

/// What this node knows of the others by their heartbeats.
#[derive(Clone, Debug)]
pub struct Beats {
    id: NodeId,
    window: Window,
    ballot: Ballot,
    timings: Timings,
    number: u64,
    /// The last heartbeat of each node, to be echoed: number, its sender's clock, when it came.
    heard: BTreeMap<NodeId, (u64, i64, Now)>,
    links: BTreeMap<NodeId, LinkClock>,
    round_trips: BTreeMap<NodeId, Lowest>,
    /// When each process of a node was heard last; the newest two.
    processes: BTreeMap<NodeId, BTreeMap<u64, Now>>,
}

/// What two clocks and the way between them look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkClock {
    /// There and back, as measured by the best of the last heartbeats.
    pub round_trip: Duration,
    /// How far the other's wall clock is ahead of this one's, in microseconds, give or take half the round trip.
    pub offset_micros: i64,
    taken: Now,
}

/// The shortest round trip of this second and of the one before: what was long for so long is far away, and not only busy.
#[derive(Clone, Copy, Debug)]
struct Lowest {
    since: Now,
    latest: Duration,
    before: Duration,
}

impl Lowest {
    fn take(&mut self, round_trip: Duration, now: Now) {
        if now.since(self.since) >= LOWEST_OF {
            *self = Self { since: now, latest: round_trip, before: self.latest };
        } else {
            self.latest = self.latest.min(round_trip);
        }
    }
}

const LOWEST_OF: Duration = Duration::from_secs(1);

/// A better measurement stands so long against worse ones: clocks drift, ways change.
const LINK_CLOCK_VALID: Duration = Duration::from_secs(10);

impl Beats {
    /// Nothing is known yet.
    pub const fn new(id: NodeId, timings: Timings, now: Now) -> Self {
        Self {
            id,
            window: Window::open(timings, now),
            // Sights are said again with every tick; a voter that falls silent has no voice soon after.
            ballot: Ballot::new(timings.tick.saturating_mul(4)),
            timings,
            number: 0,
            heard: BTreeMap::new(),
            links: BTreeMap::new(),
            round_trips: BTreeMap::new(),
            processes: BTreeMap::new(),
        }
    }

    /// Once a tick: what to tell every member.
    pub fn tick(
        &mut self,
        members: &Members,
        incarnation: u64,
        now: Now,
        wall_micros: i64,
    ) -> Vec<(NodeId, Heartbeat)> {
        self.window.tick(now);
        for (node, member) in members.iter().filter(|(node, member)| *node != self.id && should_be_heard(member.state))
        {
            self.window.expect(node, member.incarnation, now);
        }
        self.number += 1;
        let sights = self.sights(members, now);
        self.ballot.retract(self.id);
        for sighting in &sights {
            let sight = if sighting.down { Sight::Down } else { Sight::Suspect };
            self.ballot.vote(self.id, sighting.node, sighting.incarnation, sight, now);
        }
        let others = members.iter().map(|(node, _)| node).filter(|node| *node != self.id);
        let heartbeat = |node| {
            let echo = self.heard.get(&node).map(|(number, theirs, came)| Echo {
                number: *number,
                wall_micros: *theirs,
                held_micros: micros(now.since(*came)),
            });
            let sights = sights.clone();
            (node, Heartbeat { incarnation, number: self.number, wall_micros, echo, sights })
        };
        others.map(heartbeat).collect()
    }

    /// Whom this node does not see well. Only members whose process should be there are looked at.
    fn sights(&self, members: &Members, now: Now) -> Vec<Sighting> {
        let looked_at = members.iter().filter(|(node, member)| *node != self.id && should_be_heard(member.state));
        looked_at
            .filter_map(|(node, member)| {
                let incarnation = member.incarnation;
                match self.window.sight(node, incarnation, now) {
                    Sight::Lives => None,
                    Sight::Suspect => Some(Sighting { node, incarnation, down: false }),
                    Sight::Down => Some(Sighting { node, incarnation, down: true }),
                }
            })
            .collect()
    }

    /// A heartbeat has come.
    pub fn heard(&mut self, from: NodeId, beat: &Heartbeat, now: Now, wall_micros: i64) {
        let processes = self.processes.entry(from).or_default();
        processes.insert(beat.incarnation, now);
        if processes.len() > 2 {
            processes.pop_first();
        }
        if self.window.incarnation(from).is_some_and(|known| beat.incarnation < known) {
            // Late words of a process that is gone.
            return;
        }
        self.window.heard(from, beat.incarnation, now);
        self.heard.insert(from, (beat.number, beat.wall_micros, now));
        self.ballot.retract(from);
        for sighting in &beat.sights {
            let sight = if sighting.down { Sight::Down } else { Sight::Suspect };
            self.ballot.vote(from, sighting.node, sighting.incarnation, sight, now);
        }
        if let Some(echo) = &beat.echo {
            self.measure(from, echo, beat.wall_micros, now, wall_micros);
        }
    }

    /// As NTP does it (RFC 5905 section 8): of the four times, two are ours and two are the other's.
    fn measure(&mut self, from: NodeId, echo: &Echo, theirs_micros: i64, now: Now, wall_micros: i64) {
        let whole = wall_micros.saturating_sub(echo.wall_micros);
        let held = i64::try_from(echo.held_micros).unwrap_or(i64::MAX);
        let Ok(round_trip) = u64::try_from(whole.saturating_sub(held)) else {
            // Our own clock was set back in between.
            return;
        };
        let offset_micros = theirs_micros.saturating_sub(wall_micros).saturating_add((round_trip / 2) as i64);
        let round_trip = Duration::from_micros(round_trip);
        let lowest =
            self.round_trips.entry(from).or_insert(Lowest { since: now, latest: round_trip, before: round_trip });
        lowest.take(round_trip, now);
        let link = LinkClock { round_trip, offset_micros, taken: now };
        let known = self.links.entry(from).or_insert(link);
        if round_trip <= known.round_trip || now.since(known.taken) > LINK_CLOCK_VALID {
            *known = link;
        }
    }

    /// The lifeline of a process broke.
    pub fn cut(&mut self, node: NodeId, incarnation: u64) {
        self.window.cut(node, incarnation);
        self.processes.entry(node).and_modify(|processes| {
            processes.remove(&incarnation);
        });
    }

    /// What the voters make of a member together.
    pub fn verdict(&self, node: NodeId, incarnation: u64, voters: &BTreeSet<NodeId>, now: Now) -> Sight {
        self.ballot.verdict(node, incarnation, voters, now)
    }

    /// Whether an older process of a node has said just now that it lives: then a newer one is a second one.
    pub fn older_lives(&self, node: NodeId, incarnation: u64, now: Now) -> bool {
        let older = self.processes.get(&node).into_iter().flat_map(|processes| processes.range(..incarnation));
        older.map(|(_, heard)| now.since(*heard)).any(|silent| silent < self.timings.suspect_after)
    }

    /// Whether this node has just heard of a process, and nothing bad since.
    pub fn lives(&self, node: NodeId, incarnation: u64, now: Now) -> bool {
        let heard = self.heard.get(&node).is_some_and(|(_, _, came)| now.since(*came) < self.timings.suspect_after);
        heard
            && self.window.incarnation(node) == Some(incarnation)
            && self.window.sight(node, incarnation, now) == Sight::Lives
    }

    /// Whom this node does not see well.
    pub fn unseen(&self, members: &Members, now: Now) -> BTreeSet<NodeId> {
        self.sights(members, now).into_iter().map(|sighting| sighting.node).collect()
    }

    /// Whether any process of a node was heard since this one began.
    pub fn has_heard(&self, node: NodeId) -> bool {
        self.heard.contains_key(&node)
    }

    /// A node is no member any more.
    pub fn forget(&mut self, node: NodeId) {
        self.window.forget(node);
        self.ballot.forget(node);
        self.heard.remove(&node);
        self.links.remove(&node);
        self.round_trips.remove(&node);
        self.processes.remove(&node);
    }

    /// What is known of the way to a node and of its clock.
    pub fn link(&self, node: NodeId) -> Option<LinkClock> {
        self.links.get(&node).copied()
    }

    /// The shortest round trip to a node within the last second or two.
    pub fn round_trip(&self, node: NodeId) -> Option<Duration> {
        self.round_trips.get(&node).map(|lowest| lowest.latest.min(lowest.before))
    }

    /// Silence means something after other times from now on.
    pub const fn set_timings(&mut self, timings: Timings) {
        self.timings = timings;
        self.window.set_timings(timings);
    }

    /// How often this node was late itself, so that its sights did not count.
    pub const fn interruptions(&self) -> u64 {
        self.window.interruptions()
    }
}

const fn should_be_heard(state: MemberState) -> bool {
    matches!(state, MemberState::Up | MemberState::Draining)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: NodeId = NodeId(1);
    const OTHER: NodeId = NodeId(2);

    fn at(ms: u64) -> Now {
        Now::from_micros(ms * 1000)
    }

    fn beat(incarnation: u64, echo: Option<Echo>) -> Heartbeat {
        Heartbeat { incarnation, number: 1, wall_micros: 0, echo, sights: Vec::new() }
    }

    #[test]
    fn who_says_goodbye_for_its_older_incarnation_is_no_second_process() {
        let mut beats = Beats::new(ME, Timings::default(), at(0));
        beats.heard(OTHER, &beat(1, None), at(1000), 0);
        assert!(beats.older_lives(OTHER, 2, at(1010)), "an older one was heard a moment ago");
        beats.cut(OTHER, 1);
        assert!(!beats.older_lives(OTHER, 2, at(1010)));
        // A second process would go on.
        beats.heard(OTHER, &beat(1, None), at(1050), 0);
        assert!(beats.older_lives(OTHER, 2, at(1060)));
    }

    #[test]
    fn a_way_is_as_long_as_the_shortest_round_trip_of_a_second_or_two() {
        let mut beats = Beats::new(ME, Timings::default(), at(0));
        let mut measure = |ms: u64, round_trip: u64| {
            let echo = Echo { number: 1, wall_micros: 0, held_micros: 0 };
            beats.heard(OTHER, &beat(1, Some(echo)), at(ms), (round_trip * 1000) as i64);
            beats.round_trip(OTHER).map(|way| way.as_millis())
        };
        assert_eq!(measure(0, 1), Some(1));
        assert_eq!(measure(50, 90), Some(1));
        assert_eq!(measure(1000, 300), Some(1), "of the second before");
        assert_eq!(measure(1950, 310), Some(1));
        assert_eq!(measure(2000, 305), Some(300));
        assert_eq!(measure(2050, 2), Some(2));
    }
}
