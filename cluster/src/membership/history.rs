//! What happened to each path last, as this node saw it: for people who ask why.

use std::collections::BTreeMap;

use parking_lot::RwLock;
use weft_proto::id::{Epoch, PathName};
use weft_proto::time::WallClock;

use crate::clock::Clock;
use crate::ownership::{Answer, Entry, Kind, NodeId, State};
use crate::raft::Observer;

/// Remembers the last change of each path that is known. It begins anew with each process.
#[derive(Debug)]
pub struct History {
    clock: Clock,
    paths: RwLock<BTreeMap<PathName, Story>>,
}

/// What is remembered of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// Since when its present owner has it.
    pub since: WallClock,
    /// The epoch of that.
    pub epoch: Epoch,
    /// Who owned it before, and what ended that, if this node saw it.
    pub before: Option<(NodeId, Reason)>,
    /// The present owner, if there is one.
    pub owner: Option<NodeId>,
}

/// Why a path changed its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its publisher left.
    Released,
    /// Another node's publisher took it over.
    TakenOver,
    /// Another node pulls its source.
    Moved,
    /// Its owner was dead, for all that a majority could see.
    Died,
    /// Its owner's process started again.
    Restarted,
    /// Two nodes suspected its owner, and a standby was ready.
    Suspected,
    /// Its owner was removed from the cluster.
    Removed,
}

impl Reason {
    /// In words, as the end of "node a lost it because".
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Released => "its publisher left",
            Self::TakenOver => "another publisher took it over",
            Self::Moved => "the other node pulls its source now",
            Self::Died => "a majority of the voters did not hear of it any more",
            Self::Restarted => "it started again",
            Self::Suspected => "two nodes suspected it and a standby was ready",
            Self::Removed => "it was removed from the cluster",
        }
    }

    const fn of(entry: &Entry) -> Option<Self> {
        Some(match entry {
            Entry::Release { .. } => Self::Released,
            Entry::Claim { kind: Kind::Pulled, .. } => Self::Moved,
            Entry::Claim { .. } => Self::TakenOver,
            Entry::NodeDown { .. } => Self::Died,
            Entry::NodeUp { .. } => Self::Restarted,
            Entry::Promote { .. } => Self::Suspected,
            Entry::Remove { .. } => Self::Removed,
            _ => return None,
        })
    }
}

impl History {
    /// Nothing has happened yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, paths: RwLock::default() }
    }

    /// What is remembered of a path.
    pub fn of(&self, path: &PathName) -> Option<Story> {
        self.paths.read().get(path).cloned()
    }

    fn look(&self, path: &PathName, state: &State, reason: Reason) {
        let Some(ownership) = state.paths().get(path) else { return };
        let owner = ownership.owner_node();
        let mut paths = self.paths.write();
        let known = paths.get(path);
        if known.is_some_and(|known| known.owner == owner && known.epoch == ownership.epoch) {
            return;
        }
        let before = known.and_then(|known| known.owner.map(|owner| (owner, reason)).or(known.before));
        paths.insert(path.clone(), Story { since: self.clock.wall(), epoch: ownership.epoch, before, owner });
    }
}

impl Observer for History {
    fn applied(&self, _: u64, entry: &Entry, answer: Answer, state: &State) {
        let Some(reason) = Reason::of(entry).filter(|_| !matches!(answer, Answer::Refused(_))) else {
            if let (Entry::Forget { path, .. }, Answer::Done) = (entry, answer) {
                self.paths.write().remove(path);
            }
            return;
        };
        state.paths().changed().iter().for_each(|path| self.look(path, state, reason));
    }

    fn installed(&self, state: &State) {
        self.paths.write().retain(|path, _| state.paths().get(path).is_some());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ownership::{ClaimId, MemberFacts};

    #[test]
    fn the_last_change_and_what_ended_the_time_before_are_remembered() {
        let (history, mut state) = (History::new(Clock::start()), State::default());
        let path = PathName::new("cam").unwrap();
        let mut index = 0;
        let mut apply = |entry: Entry| {
            index += 1;
            let answer = state.apply(index, &entry);
            history.applied(index, &entry, answer, &state);
        };
        let (a, b) = (NodeId(1), NodeId(2));
        for node in [a, b] {
            apply(Entry::Join { node, facts: MemberFacts::default(), token: None });
            apply(Entry::NodeUp { node, incarnation: 1, facts: MemberFacts::default() });
        }
        let claim = |node| {
            let id = ClaimId { node, incarnation: 1, number: 1 };
            Entry::Claim { id, path: path.clone(), kind: Kind::Pushed, now_micros: 0, take_over: false }
        };
        apply(claim(a));
        assert_eq!(history.of(&path).map(|story| (story.owner, story.before)), Some((Some(a), None)));
        apply(Entry::NodeDown { node: a, incarnation: 1, plan: Vec::new() });
        let story = history.of(&path).unwrap();
        assert_eq!((story.owner, story.before), (None, Some((a, Reason::Died))));
        apply(claim(b));
        let story = history.of(&path).unwrap();
        assert_eq!((story.owner, story.before), (Some(b), Some((a, Reason::Died))));
    }
}
