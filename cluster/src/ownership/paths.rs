//! Who owns which path.

use std::collections::BTreeMap;

use bincode::{Decode, Encode};
use weft_proto::id::{Epoch, PathName};

use weft_proto::wire::entry::{ClaimId, Kind, NodeId, Refusal};

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
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Paths {
    paths: BTreeMap<PathName, Ownership>,
}

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

    /// Those of a node.
    pub fn owned_by(&self, node: NodeId) -> impl Iterator<Item = (&PathName, &Ownership)> {
        self.paths.iter().filter(move |(_, ownership)| ownership.owner_node() == Some(node))
    }

    /// Gives a path to a claimant. Whoever owned it does no longer.
    pub(super) fn own(&mut self, path: &PathName, owner: Owner, epoch: Epoch, now_micros: i64) -> Result<(), Refusal> {
        if !self.paths.contains_key(path) && self.paths.len() >= PATHS_MAX {
            return Err(Refusal::TooMany);
        }
        let fresh = || Ownership { epoch, owner: None, born_micros: now_micros, standbys: Vec::new() };
        let ownership = self.paths.entry(path.clone()).or_insert_with(fresh);
        ownership.epoch = epoch;
        ownership.owner = Some(owner);
        // Who owns the path does not wait for it.
        ownership.standbys.retain(|standby| standby.claim.node != owner.claim.node);
        Ok(())
    }

    /// The path, if it has this epoch.
    pub(super) fn at(&mut self, path: &PathName, epoch: Epoch) -> Result<&mut Ownership, Refusal> {
        self.paths.get_mut(path).filter(|ownership| ownership.epoch == epoch).ok_or(Refusal::OtherEpoch)
    }

    /// Forgets a path that nobody owns.
    pub(super) fn forget(&mut self, path: &PathName, epoch: Epoch) -> Result<(), Refusal> {
        if self.at(path, epoch)?.owner.is_some() {
            return Err(Refusal::OtherEpoch);
        }
        self.paths.remove(path);
        Ok(())
    }

    /// Takes everything from a node: what it owned has no owner, and it waits for nothing.
    pub(super) fn take_from(&mut self, node: NodeId) {
        for ownership in self.paths.values_mut() {
            ownership.owner = ownership.owner.filter(|owner| owner.claim.node != node);
            ownership.standbys.retain(|standby| standby.claim.node != node);
        }
    }

    /// Lets somebody wait; a second claim of the same node replaces its first.
    pub(super) fn add_standby(&mut self, path: &PathName, standby: Standby) -> Result<(), Refusal> {
        let ownership = self.paths.get_mut(path).ok_or(Refusal::OtherEpoch)?;
        let Some(owner) = ownership.owner_node() else { return Err(Refusal::OtherEpoch) };
        if owner == standby.claim.node {
            return Err(Refusal::Owned(owner));
        }
        ownership.standbys.retain(|known| known.claim.node != standby.claim.node);
        if ownership.standbys.len() >= STANDBYS_MAX {
            return Err(Refusal::TooMany);
        }
        let at = ownership.standbys.partition_point(|known| known.rank <= standby.rank);
        ownership.standbys.insert(at, standby);
        Ok(())
    }

    pub(super) fn remove_standby(&mut self, path: &PathName, id: ClaimId) -> Result<(), Refusal> {
        let ownership = self.paths.get_mut(path).ok_or(Refusal::OtherEpoch)?;
        let before = ownership.standbys.len();
        ownership.standbys.retain(|standby| standby.claim != id);
        if ownership.standbys.len() < before { Ok(()) } else { Err(Refusal::OtherEpoch) }
    }
}
