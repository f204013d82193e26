//! What the voters say of the nodes, and what that makes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use weft_proto::time::Now;

use super::window::Sight;
use crate::ownership::NodeId;

/// Votes about each node, as the leader has received them.
#[derive(Clone, Debug)]
pub struct Ballot {
    /// A vote that is older says nothing any more.
    valid_for: Duration,
    votes: BTreeMap<NodeId, BTreeMap<NodeId, Vote>>,
}

#[derive(Clone, Copy, Debug)]
struct Vote {
    incarnation: u64,
    sight: Sight,
    at: Now,
}

impl Ballot {
    /// Nobody has voted. `valid_for`: voters say again what they see within this time.
    pub const fn new(valid_for: Duration) -> Self {
        Self { valid_for, votes: BTreeMap::new() }
    }

    /// A voter says what it sees of a node's process; replaces what it said before.
    pub fn vote(&mut self, voter: NodeId, about: NodeId, incarnation: u64, sight: Sight, now: Now) {
        self.votes.entry(about).or_default().insert(voter, Vote { incarnation, sight, at: now });
    }

    /// What the voters together see of a node's process. Down takes a majority of all voters, its own vote included where
    /// it has one; suspicion takes two observers.
    pub fn verdict(&self, about: NodeId, incarnation: u64, voters: &BTreeSet<NodeId>, now: Now) -> Sight {
        let valid = |vote: &&Vote| vote.incarnation == incarnation && now.since(vote.at) <= self.valid_for;
        let votes = self.votes.get(&about).into_iter().flatten();
        // A node's own word about itself is none.
        let others = votes.filter(|(voter, _)| **voter != about && voters.contains(voter)).map(|(_, vote)| vote);
        let (mut down, mut suspect) = (0, 0);
        for vote in others.filter(valid) {
            down += usize::from(vote.sight == Sight::Down);
            suspect += usize::from(vote.sight != Sight::Lives);
        }
        match () {
            () if down > voters.len() / 2 => Sight::Down,
            () if suspect >= SUSPECTING_MIN => Sight::Suspect,
            () => Sight::Lives,
        }
    }

    /// A voter sees everybody alive, until it says otherwise.
    pub fn retract(&mut self, voter: NodeId) {
        for votes in self.votes.values_mut() {
            votes.remove(&voter);
        }
    }

    /// A node does not belong to the cluster any more: its votes and those about it go.
    pub fn forget(&mut self, node: NodeId) {
        self.votes.remove(&node);
        for votes in self.votes.values_mut() {
            votes.remove(&node);
        }
    }
}

/// One observer may sit behind a broken switch; two that do are a partition, in which a splice too many does no harm.
const SUSPECTING_MIN: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: Duration = Duration::from_millis(200);

    fn voters(count: u64) -> BTreeSet<NodeId> {
        (1..=count).map(NodeId).collect()
    }

    fn at(ms: u64) -> Now {
        Now::from_micros(ms * 1000)
    }

    /// Nodes 2, 3 and so on say this about node 1.
    fn said(sights: &[Sight]) -> Ballot {
        let mut ballot = Ballot::new(VALID);
        for (voter, sight) in (2..).zip(sights) {
            ballot.vote(NodeId(voter), NodeId(1), 7, *sight, at(0));
        }
        ballot
    }

    #[test]
    fn down_takes_a_majority_of_all_voters() {
        let down = |sights: &[Sight], of| said(sights).verdict(NodeId(1), 7, &voters(of), at(100)) == Sight::Down;
        assert!(down(&[Sight::Down, Sight::Down], 3));
        assert!(!down(&[Sight::Down, Sight::Suspect], 3));
        assert!(!down(&[Sight::Down, Sight::Down], 5));
        assert!(down(&[Sight::Down, Sight::Down, Sight::Down], 5));
        assert!(!down(&[Sight::Down], 2), "of two nodes neither can outvote the other");
    }

    #[test]
    fn suspicion_takes_two() {
        let sight = |sights: &[Sight]| said(sights).verdict(NodeId(1), 7, &voters(5), at(100));
        assert_eq!(sight(&[Sight::Suspect]), Sight::Lives);
        assert_eq!(sight(&[Sight::Suspect, Sight::Down]), Sight::Suspect);
    }

    #[test]
    fn old_votes_those_of_strangers_and_those_about_another_process_do_not_count() {
        let ballot = said(&[Sight::Down, Sight::Down]);
        assert_eq!(ballot.verdict(NodeId(1), 7, &voters(3), at(201)), Sight::Lives);
        assert_eq!(ballot.verdict(NodeId(1), 8, &voters(3), at(100)), Sight::Lives);
        let others = [1, 2, 9].map(NodeId).into();
        assert_eq!(ballot.verdict(NodeId(1), 7, &others, at(100)), Sight::Lives);
    }

    #[test]
    fn a_node_has_no_voice_about_itself_and_may_change_its_mind_about_others() {
        let mut ballot = said(&[Sight::Down]);
        ballot.vote(NodeId(1), NodeId(1), 7, Sight::Down, at(0));
        assert_eq!(ballot.verdict(NodeId(1), 7, &voters(3), at(100)), Sight::Lives);
        ballot.vote(NodeId(3), NodeId(1), 7, Sight::Down, at(50));
        assert_eq!(ballot.verdict(NodeId(1), 7, &voters(3), at(100)), Sight::Down);
        ballot.vote(NodeId(3), NodeId(1), 7, Sight::Lives, at(60));
        assert_eq!(ballot.verdict(NodeId(1), 7, &voters(3), at(100)), Sight::Lives);
    }
}
