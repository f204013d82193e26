//! Sees to it that somebody pulls each source that is always to be pulled. Pure: what is agreed and what is wanted in, who
//! is to pull what out. Where a dead node's sources go is not decided here: the entry that says it is down says that too.

use std::collections::BTreeMap;
use std::time::Duration;

use weft_proto::id::PathName;
use weft_proto::time::Now;

use super::steward::{SOURCE_COST, candidates};
use crate::ownership::{MemberState, NodeId, State};
use crate::placement::{Candidate, Source, place, spread};
use crate::raft::Standing;

/// What the leader remembers of the sources that it has placed.
#[derive(Clone, Debug)]
pub(super) struct Placer {
    /// Since when this node leads, and what was last in its log then.
    leads_since: Option<(Now, Option<u64>)>,
    placed: BTreeMap<PathName, Placed>,
}

/// The last node that a source was given to.
#[derive(Clone, Copy, Debug)]
struct Placed {
    node: NodeId,
    incarnation: u64,
    at: Now,
}

/// Nodes that start together are waited for, so that the first one is not given everything.
const SETTLE: Duration = Duration::from_secs(2);

/// A node that was given a source and lets it go within this time cannot pull it: its configuration lacks the path.
const TRIED_FOR: Duration = Duration::from_secs(1);

/// Such a node is not given the source again for so long.
const SPARED_FOR: Duration = Duration::from_secs(10);

impl Placer {
    /// Nothing is placed yet.
    pub(super) const fn new() -> Self {
        Self { leads_since: None, placed: BTreeMap::new() }
    }

    /// Which of the wanted sources that nobody pulls go to which process of which node.
    pub(super) fn place(
        &mut self,
        state: &State,
        standing: &Standing,
        wanted: &[PathName],
        now: Now,
    ) -> Vec<(PathName, NodeId, u64)> {
        if !standing.leads {
            (self.leads_since, self.placed) = (None, BTreeMap::new());
            return Vec::new();
        }
        let (leads_since, last) = *self.leads_since.get_or_insert((now, standing.last));
        // A new leader may have to read first what others have agreed on.
        if standing.applied < last
            || state.base() == 0
            || now.since(leads_since) < SETTLE && !is_complete(state, standing)
        {
            return Vec::new();
        }
        self.look_at_placed(state, now);
        let nobodys = |path: &&PathName| state.paths().get(path).and_then(|known| known.owner_node()).is_none();
        let (tried, fresh): (Vec<&PathName>, Vec<&PathName>) =
            wanted.iter().filter(nobodys).partition(|path| self.placed.contains_key(*path));
        let all = candidates(state, None);
        let sources: Vec<Source> = fresh.into_iter().map(source).collect();
        let mut found: Vec<_> = spread(&sources, &all, SOURCE_COST).into_iter().zip(sources).collect();
        found.extend(
            tried.into_iter().filter_map(|path| Some((self.place_again(path, state, &all, now)?, source(path)))),
        );
        let taken = found.into_iter().filter_map(|(node, source)| {
            let node = node?;
            let incarnation = state.members().get(node)?.incarnation;
            self.placed.insert(source.path.clone(), Placed { node, incarnation, at: now });
            Some((source.path, node, incarnation))
        });
        taken.collect()
    }

    /// What a node has kept, or what was long ago, is no attempt any more.
    fn look_at_placed(&mut self, state: &State, now: Now) {
        self.placed.retain(|path, placed| {
            let owner = state.paths().get(path).and_then(|known| known.owner_node());
            let is_kept = owner == Some(placed.node) && now.since(placed.at) >= TRIED_FOR;
            let is_same = state.members().get(placed.node).is_some_and(|it| it.incarnation == placed.incarnation);
            !is_kept && is_same && now.since(placed.at) < SPARED_FOR
        });
    }

    /// Another node for a source that was not kept; `None` while the first may still be at it.
    fn place_again(&self, path: &PathName, state: &State, all: &[Candidate], now: Now) -> Option<Option<NodeId>> {
        let placed = self.placed.get(path)?;
        let serves = state.members().get(placed.node).is_some_and(crate::ownership::Member::is_serving);
        if serves && now.since(placed.at) < TRIED_FOR {
            return None;
        }
        let others: Vec<Candidate> = all.iter().filter(|candidate| candidate.node != placed.node).cloned().collect();
        Some(place(&source(path), &others))
    }
}

/// Whether all nodes that are to be there have come.
fn is_complete(state: &State, standing: &Standing) -> bool {
    let members = state.members();
    let have_started = members.iter().all(|(_, member)| member.state != MemberState::Joined);
    have_started && standing.voters.iter().all(|voter| members.get(*voter).is_some() || members.was_removed(*voter))
}

fn source(path: &PathName) -> Source {
    Source { path: path.clone(), zone: String::new() }
}

#[cfg(test)]
#[path = "placer_test.rs"]
mod tests;
