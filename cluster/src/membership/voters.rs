//! Who votes. Pure: what is known of the members in, the next change out.
//!
//! An odd number of them, at most five. A voter that is gone is replaced when it has been gone for long; until then it may
//! come back. Their number never falls by itself: it would make a minority the majority.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use weft_proto::time::Now;

use crate::ownership::{MemberState, Members, NodeId};

/// Voters of a cluster of five nodes and more. Each entry waits for the disks of a majority, and five survive two deaths.
pub const VOTERS_MAX: usize = 5;

/// A node whose log is behind by so few entries has caught up: it gets them with the next message.
const BEHIND_MAX: u64 = 64;

/// A change of who votes and who listens. One is made at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Let a member listen.
    Listen(NodeId),
    /// These vote from now on.
    Vote(BTreeSet<NodeId>),
    /// A node that is no member any more listens no more.
    Leave(NodeId),
}

/// What the leader knows.
#[derive(Clone, Debug)]
pub struct Electorate<'a> {
    /// Who belongs to the cluster.
    pub members: &'a Members,
    /// Who votes.
    pub voters: &'a BTreeSet<NodeId>,
    /// Who is to vote, where a change has begun and nobody has ended it.
    pub changing_to: Option<&'a BTreeSet<NodeId>>,
    /// Who listens.
    pub learners: &'a BTreeSet<NodeId>,
    /// How far each node's log has come.
    pub replicated: &'a BTreeMap<NodeId, u64>,
    /// The end of the leader's log.
    pub last: u64,
    /// Since when members are down, as the leader saw it.
    pub down_since: &'a BTreeMap<NodeId, Now>,
    /// How long a voter may be down before another one takes its place.
    pub replace_after: Duration,
}

impl Electorate<'_> {
    /// What is to be changed next; `None` when all is as it should be, or has to wait.
    pub fn next_change(&self, now: Now) -> Option<Change> {
        if let Some(voters) = self.changing_to {
            return Some(Change::Vote(voters.clone()));
        }
        let all = || self.voters.iter().chain(self.learners).copied();
        if let Some(node) = self.members.iter().map(|(node, _)| node).find(|node| all().all(|known| known != *node)) {
            return Some(Change::Listen(node));
        }
        if let Some(gone) = self.learners.iter().find(|node| self.members.get(**node).is_none()) {
            return Some(Change::Leave(*gone));
        }
        let mut voters = self.voters.clone();
        // Voters of the formation that have not come yet stay: they are expected.
        voters.retain(|node| !self.members.was_removed(*node));
        let missing = self.wanted().saturating_sub(voters.len());
        let added = self.choose(&voters, missing);
        // Two at once where the number must stay odd: one more voter alone makes nothing safer.
        let odd = added.len() - (voters.len() + added.len() + 1) % 2 * usize::from(!added.is_empty());
        voters.extend(added.into_iter().take(odd));
        if voters != *self.voters && !voters.is_empty() {
            return Some(Change::Vote(voters));
        }
        self.replacement(now)
    }

    /// Who votes first where these nodes form a cluster: an odd number, this one among them.
    pub fn first(me: NodeId, nodes: impl IntoIterator<Item = NodeId>) -> BTreeSet<NodeId> {
        let mut voters: Vec<NodeId> = nodes.into_iter().filter(|node| *node != me).collect();
        voters.insert(0, me);
        voters.truncate(odd(voters.len().min(VOTERS_MAX)));
        voters.into_iter().collect()
    }

    /// As many voters as the members allow: an odd number.
    fn wanted(&self) -> usize {
        let most = self.members.iter().len().min(VOTERS_MAX);
        odd(most)
    }

    /// Members that could vote at once, those of zones with few voters first.
    fn choose(&self, voters: &BTreeSet<NodeId>, count: usize) -> Vec<NodeId> {
        let zone = |node| self.members.get(node).map_or("", |member| member.facts.zone.as_str());
        let mut chosen: Vec<NodeId> = Vec::new();
        while chosen.len() < count {
            let ready = self.learners.iter().copied().filter(|node| self.is_ready(*node) && !chosen.contains(node));
            let crowd = |node: &NodeId| {
                let same = voters.iter().chain(&chosen).filter(|voter| zone(**voter) == zone(*node)).count();
                (same, *node)
            };
            let Some(next) = ready.min_by_key(crowd) else { break };
            chosen.push(next);
        }
        chosen
    }

    fn is_ready(&self, node: NodeId) -> bool {
        let up = self.members.get(node).is_some_and(|member| member.state == MemberState::Up);
        up && self.replicated.get(&node).is_some_and(|at| at.saturating_add(BEHIND_MAX) >= self.last)
    }

    fn replacement(&self, now: Now) -> Option<Change> {
        let long_gone = |node: &&NodeId| {
            let down = self.down_since.get(*node);
            down.is_some_and(|since| now.since(*since) >= self.replace_after)
        };
        let dead = self.voters.iter().find(long_gone)?;
        let mut voters = self.voters.clone();
        voters.remove(dead);
        voters.insert(*self.choose(&voters, 1).first()?);
        Some(Change::Vote(voters))
    }
}

/// The odd number below or at this one; 0 for none.
const fn odd(number: usize) -> usize {
    number.saturating_sub((number + 1) % 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ownership::{Entry, MemberFacts, State};

    /// Members 1 to `count`, all up; one in ten zones.
    fn members(count: u64) -> State {
        let mut state = State::default();
        for node in 1..=count {
            let facts = MemberFacts { zone: format!("zone {}", node % 2), ..MemberFacts::default() };
            let node = NodeId(node);
            state.apply(node.0 * 2, &Entry::Join { node, facts: facts.clone(), token: None });
            state.apply(node.0 * 2 + 1, &Entry::NodeUp { node, incarnation: 1, facts });
        }
        state
    }

    fn nodes(ids: impl IntoIterator<Item = u64>) -> BTreeSet<NodeId> {
        ids.into_iter().map(NodeId).collect()
    }

    struct Leader {
        state: State,
        voters: BTreeSet<NodeId>,
        changing_to: Option<BTreeSet<NodeId>>,
        learners: BTreeSet<NodeId>,
        replicated: BTreeMap<NodeId, u64>,
        down_since: BTreeMap<NodeId, Now>,
    }

    impl Leader {
        fn of(count: u64, voters: impl IntoIterator<Item = u64>) -> Self {
            let voters = nodes(voters);
            let learners = &nodes(1..=count) - &voters;
            let replicated = nodes(1..=count).into_iter().map(|node| (node, 1000)).collect();
            Self { state: members(count), voters, changing_to: None, learners, replicated, down_since: BTreeMap::new() }
        }

        fn next(&self, now: u64) -> Option<Change> {
            let electorate = Electorate {
                members: self.state.members(),
                voters: &self.voters,
                changing_to: self.changing_to.as_ref(),
                learners: &self.learners,
                replicated: &self.replicated,
                last: 1000,
                down_since: &self.down_since,
                replace_after: Duration::from_secs(600),
            };
            electorate.next_change(Now::from_micros(now * 1_000_000))
        }
    }

    #[test]
    fn a_cluster_grows_to_three_and_to_five_and_no_further() {
        assert_eq!(Leader::of(1, [1]).next(0), None);
        assert_eq!(Leader::of(2, [1]).next(0), None, "two voters are no better than one");
        assert_eq!(Leader::of(3, [1]).next(0), Some(Change::Vote(nodes([1, 2, 3]))));
        assert_eq!(Leader::of(4, [1, 2, 3]).next(0), None);
        assert_eq!(Leader::of(5, [1, 2, 3]).next(0), Some(Change::Vote(nodes(1..=5))));
        assert_eq!(Leader::of(9, 1..=5).next(0), None);
    }

    #[test]
    fn the_first_voters_are_the_founder_and_as_many_others_as_make_an_odd_number() {
        let first = |count: u64| Electorate::first(NodeId(2), (1..=count).map(NodeId));
        assert_eq!(first(0), nodes([2]));
        assert_eq!(first(2), nodes([2]));
        assert_eq!(first(3), nodes([1, 2, 3]));
        assert_eq!(first(4), nodes([1, 2, 3]));
        assert_eq!(first(7), nodes([1, 2, 3, 4, 5]));
    }

    #[test]
    fn a_voter_of_the_formation_stays_until_it_is_missed_for_long() {
        let mut leader = Leader::of(2, [1, 2, 9]);
        leader.learners = nodes([]);
        assert_eq!(leader.next(0), None, "it is expected");
        leader.down_since.insert(NodeId(9), Now::from_micros(0));
        assert_eq!(leader.next(600), None, "nobody can take its place");
        let mut leader = Leader { voters: nodes([1, 2, 9]), ..Leader::of(3, [1, 2]) };
        leader.learners = nodes([3]);
        leader.down_since.insert(NodeId(9), Now::from_micros(0));
        assert_eq!(leader.next(599), None);
        assert_eq!(leader.next(600), Some(Change::Vote(nodes([1, 2, 3]))));
    }

    #[test]
    fn a_member_listens_first_and_votes_when_it_has_caught_up() {
        let mut leader = Leader::of(3, [1]);
        leader.learners.remove(&NodeId(3));
        assert_eq!(leader.next(0), Some(Change::Listen(NodeId(3))));
        leader.learners.insert(NodeId(3));
        leader.replicated.insert(NodeId(3), 10);
        assert_eq!(leader.next(0), None);
    }

    #[test]
    fn a_dead_voter_is_replaced_when_it_has_been_dead_for_long_and_somebody_can() {
        let mut leader = Leader::of(4, [1, 2, 3]);
        leader.down_since.insert(NodeId(2), Now::from_micros(0));
        assert_eq!(leader.next(599), None);
        assert_eq!(leader.next(600), Some(Change::Vote(nodes([1, 3, 4]))));
        let mut alone = Leader::of(3, [1, 2, 3]);
        alone.down_since.insert(NodeId(2), Now::from_micros(0));
        assert_eq!(alone.next(6000), None, "their number does not fall");
    }

    #[test]
    fn who_is_removed_votes_no_more_and_leaves() {
        let mut leader = Leader::of(4, [1, 2, 3]);
        leader.state.apply(100, &Entry::Remove { node: NodeId(2) });
        assert_eq!(leader.next(0), Some(Change::Vote(nodes([1, 3, 4]))));
        leader.voters = nodes([1, 3, 4]);
        leader.learners = nodes([2]);
        assert_eq!(leader.next(0), Some(Change::Leave(NodeId(2))));
    }

    #[test]
    fn a_change_that_a_dead_leader_began_is_ended() {
        let mut leader = Leader::of(4, 1..=4);
        leader.changing_to = Some(nodes([1, 2, 4]));
        assert_eq!(leader.next(0), Some(Change::Vote(nodes([1, 2, 4]))));
    }

    #[test]
    fn voters_are_spread_over_the_zones() {
        let mut leader = Leader::of(5, [1]);
        // 1, 3, 5 stand in one zone, 2 and 4 in the other.
        leader.state.apply(100, &Entry::Remove { node: NodeId(5) });
        leader.learners.remove(&NodeId(5));
        assert_eq!(leader.next(0), Some(Change::Vote(nodes([1, 2, 3]))));
    }
}
