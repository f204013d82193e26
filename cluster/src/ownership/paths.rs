//! Who owns which path.

use std::collections::BTreeMap;

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};
use weft_proto::id::{Epoch, PathName};

use weft_proto::wire::entry::{ClaimId, Kind, NodeId, Refusal};

use super::index::Index;
use crate::limits::{PATHS_MAX, STANDBYS_MAX};

/// A node that owns a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Owner {
    /// The claim that was granted, with the node and its incarnation.
    pub claim: ClaimId,
    /// What feeds the path there.
    pub kind: Kind,
}

/// A publisher that waits for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Standby {
    /// The claim that is granted when its turn comes.
    pub claim: ClaimId,
    /// The lower the sooner; among equals the one that came first.
    pub rank: u8,
}

/// What is agreed about one path.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Ownership {
    /// The epoch of the last change of owner.
    pub epoch: Epoch,
    /// Who owns it; `None` while nobody does and its birth is remembered.
    pub owner: Option<Owner>,
    /// When it was born, microseconds since 1970: zero of its path time.
    pub born_micros: i64,
    /// Who waits, the next one first.
    pub standbys: Vec<Standby>,
}

/// All paths that are known.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    paths: BTreeMap<PathName, Ownership>,
    index: Index,
    /// What the last entry has changed.
    changed: Vec<PathName>,
}

/// Two are the same when their paths are: the index is made of these, and what has changed last is no part of it.
impl PartialEq for Paths {
    fn eq(&self, other: &Self) -> bool {
        self.paths == other.paths
    }
}

impl Eq for Paths {}

impl Encode for Paths {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.paths.encode(encoder)
    }
}

impl<Context> Decode<Context> for Paths {
    fn decode<D: Decoder<Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let paths = BTreeMap::decode(decoder)?;
        let index = Index::of(&paths);
        Ok(Self { paths, index, changed: Vec::new() })
    }
}

bincode::impl_borrow_decode!(Paths);

impl Ownership {
    /// The node that owns it.
    pub fn owner_node(&self) -> Option<NodeId> {
        self.owner.map(|owner| owner.claim.node)
    }
}

impl Paths {
    /// A path.
    pub fn get(&self, path: &PathName) -> Option<&Ownership> {
        self.paths.get(path)
    }

    /// All, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&PathName, &Ownership)> {
        self.paths.iter()
    }

    /// Those of a node, by name.
    pub fn owned_by(&self, node: NodeId) -> impl Iterator<Item = (&PathName, &Ownership)> {
        self.index.owned_by(node).filter_map(|path| self.paths.get_key_value(path))
    }

    /// Those of a node for which others wait.
    pub fn awaited_of(&self, node: NodeId) -> impl Iterator<Item = &PathName> {
        let is_its = move |path: &&PathName| self.get(path).is_some_and(|known| known.owner_node() == Some(node));
        self.index.awaited().filter(is_its)
    }

    /// How many a node owns.
    pub fn owned_count(&self, node: NodeId) -> usize {
        self.index.count(node)
    }

    /// Those that nobody owns, by name.
    pub fn idle(&self) -> impl Iterator<Item = (&PathName, &Ownership)> {
        self.index.idle().filter_map(|path| self.paths.get_key_value(path))
    }

    /// The paths that the last entry has changed, or forgotten.
    pub fn changed(&self) -> &[PathName] {
        &self.changed
    }

    /// An entry is about to be applied.
    pub(super) fn begin(&mut self) {
        self.changed.clear();
    }

    /// Changes a path that is known; the index with it.
    fn edit<R>(&mut self, path: &PathName, change: impl FnOnce(&mut Ownership) -> R) -> Option<R> {
        let Self { paths, index, changed } = self;
        let ownership = paths.get_mut(path)?;
        index.remove(path, ownership);
        let result = change(ownership);
        index.add(path, ownership);
        changed.push(path.clone());
        Some(result)
    }

    /// Gives a path to a claimant. Whoever owned it does no longer.
    pub(super) fn own(&mut self, path: &PathName, owner: Owner, epoch: Epoch, now_micros: i64) -> Result<(), Refusal> {
        if !self.paths.contains_key(path) {
            if self.paths.len() >= PATHS_MAX {
                return Err(Refusal::TooMany);
            }
            let fresh = Ownership { epoch, owner: None, born_micros: now_micros, standbys: Vec::new() };
            self.index.add(path, &fresh);
            self.paths.insert(path.clone(), fresh);
        }
        self.edit(path, |ownership| {
            ownership.epoch = epoch;
            ownership.owner = Some(owner);
            // Who owns the path does not wait for it.
            ownership.standbys.retain(|standby| standby.claim.node != owner.claim.node);
        });
        Ok(())
    }

    /// The path, if it has this epoch.
    pub(super) fn at(&self, path: &PathName, epoch: Epoch) -> Result<&Ownership, Refusal> {
        self.paths.get(path).filter(|ownership| ownership.epoch == epoch).ok_or(Refusal::OtherEpoch)
    }

    /// Nobody owns the path any more.
    pub(super) fn release(&mut self, path: &PathName, epoch: Epoch) -> Result<(), Refusal> {
        self.at(path, epoch)?;
        self.edit(path, |ownership| ownership.owner = None);
        Ok(())
    }

    /// Forgets a path that nobody owns.
    pub(super) fn forget(&mut self, path: &PathName, epoch: Epoch) -> Result<(), Refusal> {
        if self.at(path, epoch)?.owner.is_some() {
            return Err(Refusal::OtherEpoch);
        }
        if let Some(ownership) = self.paths.remove(path) {
            self.index.remove(path, &ownership);
            self.changed.push(path.clone());
        }
        Ok(())
    }

    /// Takes everything from a node: what it owned has no owner, and it waits for nothing.
    pub(super) fn take_from(&mut self, node: NodeId) {
        let its: Vec<PathName> = self.index.owned_by(node).chain(self.index.awaited_by(node)).cloned().collect();
        for path in its {
            self.edit(&path, |ownership| {
                ownership.owner = ownership.owner.filter(|owner| owner.claim.node != node);
                ownership.standbys.retain(|standby| standby.claim.node != node);
            });
        }
    }

    /// Lets somebody wait; a second claim of the same node replaces its first.
    pub(super) fn add_standby(&mut self, path: &PathName, standby: Standby) -> Result<(), Refusal> {
        let ownership = self.paths.get(path).ok_or(Refusal::OtherEpoch)?;
        let Some(owner) = ownership.owner_node() else { return Err(Refusal::OtherEpoch) };
        if owner == standby.claim.node {
            return Err(Refusal::Owned(owner));
        }
        let others = ownership.standbys.iter().filter(|known| known.claim.node != standby.claim.node);
        if others.count() >= STANDBYS_MAX {
            return Err(Refusal::TooMany);
        }
        self.edit(path, |ownership| {
            ownership.standbys.retain(|known| known.claim.node != standby.claim.node);
            let at = ownership.standbys.partition_point(|known| known.rank <= standby.rank);
            ownership.standbys.insert(at, standby);
        });
        Ok(())
    }

    pub(super) fn remove_standby(&mut self, path: &PathName, id: ClaimId) -> Result<(), Refusal> {
        let ownership = self.paths.get(path).ok_or(Refusal::OtherEpoch)?;
        if ownership.standbys.iter().all(|standby| standby.claim != id) {
            return Err(Refusal::OtherEpoch);
        }
        self.edit(path, |ownership| ownership.standbys.retain(|standby| standby.claim != id));
        Ok(())
    }

    /// Whether what is found by the index is what is found by going through all.
    #[cfg(test)]
    pub(super) fn is_indexed(&self) -> bool {
        self.index == Index::of(&self.paths)
    }
}
