//! Which paths a node owns or waits for, and which nobody owns: found without going through all. Made of the paths, and kept
//! by [`Paths`](super::Paths) with each change of one.

use std::collections::{BTreeMap, BTreeSet};

use weft_proto::id::PathName;
use weft_proto::wire::entry::NodeId;

use super::Ownership;

/// Paths by what they are to whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    owned: BTreeMap<NodeId, BTreeSet<PathName>>,
    awaited: BTreeMap<NodeId, BTreeSet<PathName>>,
    idle: BTreeSet<PathName>,
}

impl Index {
    /// Of all paths.
    pub(super) fn of<'a>(paths: impl IntoIterator<Item = (&'a PathName, &'a Ownership)>) -> Self {
        let mut index = Self::default();
        paths.into_iter().for_each(|(path, ownership)| index.add(path, ownership));
        index
    }

    /// A path is so from now on.
    pub(super) fn add(&mut self, path: &PathName, ownership: &Ownership) {
        match ownership.owner_node() {
            Some(node) => drop(self.owned.entry(node).or_default().insert(path.clone())),
            None => drop(self.idle.insert(path.clone())),
        }
        for standby in &ownership.standbys {
            self.awaited.entry(standby.claim.node).or_default().insert(path.clone());
        }
    }

    /// A path is not so any more.
    pub(super) fn remove(&mut self, path: &PathName, ownership: &Ownership) {
        match ownership.owner_node() {
            Some(node) => take(&mut self.owned, node, path),
            None => drop(self.idle.remove(path)),
        }
        for standby in &ownership.standbys {
            take(&mut self.awaited, standby.claim.node, path);
        }
    }

    /// Those of a node, by name.
    pub(super) fn owned_by(&self, node: NodeId) -> impl Iterator<Item = &PathName> {
        self.owned.get(&node).into_iter().flatten()
    }

    /// How many those are.
    pub(super) fn count(&self, node: NodeId) -> usize {
        self.owned.get(&node).map_or(0, BTreeSet::len)
    }

    /// Those that a node waits for.
    pub(super) fn awaited_by(&self, node: NodeId) -> impl Iterator<Item = &PathName> {
        self.awaited.get(&node).into_iter().flatten()
    }

    /// Those for which anybody waits, each as often as nodes do.
    pub(super) fn awaited(&self) -> impl Iterator<Item = &PathName> {
        self.awaited.values().flatten()
    }

    /// Those of nobody.
    pub(super) fn idle(&self) -> impl Iterator<Item = &PathName> {
        self.idle.iter()
    }
}

/// Nodes without paths are not kept: they come and go.
fn take(sets: &mut BTreeMap<NodeId, BTreeSet<PathName>>, node: NodeId, path: &PathName) {
    if let Some(set) = sets.get_mut(&node) {
        set.remove(path);
        if set.is_empty() {
            sets.remove(&node);
        }
    }
}
