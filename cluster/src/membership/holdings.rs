//! What this node serves, and what becomes of it when the cluster sees it differently. Pure.

use std::collections::BTreeMap;

use weft_proto::id::{Epoch, PathName};

use crate::ownership::{ClaimId, Kind, NodeId, State};

/// Who serves what this node owns, and hears when that changes. Must not wait.
pub trait Host: Send + Sync + 'static {
    /// Somebody else owns the path now, or nobody does: its publisher here has been replaced.
    fn lost(&self, path: &PathName, epoch: Epoch, owner: Option<NodeId>);

    /// The node owns the path under another epoch than before: it was thought dead and has claimed it again.
    fn renewed(&self, path: &PathName, epoch: Epoch);

    /// The node was made the owner of a path whose owner died. Says whether it will serve it; if not, it lets it go.
    fn assigned(&self, path: &PathName, epoch: Epoch) -> bool;
}

/// The paths that this node serves.
#[derive(Clone, Debug, Default)]
pub(super) struct Holdings {
    served: BTreeMap<PathName, Holding>,
    /// Paths that this node waits for, with the claims that are granted when its turn comes.
    waiting: BTreeMap<PathName, ClaimId>,
    next_number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Holding {
    claim: ClaimId,
    kind: Kind,
    /// Under which the claim was granted; none while nobody has answered.
    epoch: Option<Epoch>,
}

/// What is to be done after a look at what is agreed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// The path is somebody else's.
    Lost(PathName, Epoch, Option<NodeId>),
    /// The node's claim was forgotten with its last incarnation, and nobody else has the path.
    Reclaim(PathName, Kind),
    /// The node owns it and does not serve it.
    Unserved(PathName, Epoch, ClaimId),
}

impl Holdings {
    /// A new claim on a path, instead of any before.
    pub(super) fn begin(&mut self, path: &PathName, kind: Kind, node: NodeId, incarnation: u64) -> ClaimId {
        self.next_number += 1;
        let claim = ClaimId { node, incarnation, number: self.next_number };
        self.served.insert(path.clone(), Holding { claim, kind, epoch: None });
        claim
    }

    /// A claim under which this node waits for a path.
    pub(super) fn wait(&mut self, path: &PathName, node: NodeId, incarnation: u64) -> ClaimId {
        self.next_number += 1;
        let claim = ClaimId { node, incarnation, number: self.next_number };
        self.waiting.insert(path.clone(), claim);
        claim
    }

    /// The node waits no longer; under which claim it did.
    pub(super) fn stop_waiting(&mut self, path: &PathName) -> Option<ClaimId> {
        self.waiting.remove(path)
    }

    /// Whether the node was given a path without asking at that moment: by a dead node's plan, or because its turn came.
    pub(super) fn was_given(&self, path: &PathName, claim: ClaimId) -> bool {
        claim.number >= ClaimId::PLANNED || self.waiting.get(path) == Some(&claim)
    }

    /// A claim was granted. False when it is no longer the one that this node serves the path under.
    pub(super) fn granted(&mut self, path: &PathName, claim: ClaimId, epoch: Epoch) -> bool {
        let holding = self.served.get_mut(path).filter(|holding| holding.claim == claim);
        holding.map(|holding| holding.epoch = Some(epoch)).is_some()
    }

    /// A path that was planned for this node is served.
    pub(super) fn take(&mut self, path: &PathName, claim: ClaimId, epoch: Epoch) {
        self.waiting.remove(path);
        self.served.insert(path.clone(), Holding { claim, kind: Kind::Pulled, epoch: Some(epoch) });
    }

    /// A claim came to nothing.
    pub(super) fn abandon(&mut self, path: &PathName, claim: ClaimId) {
        if self.served.get(path).is_some_and(|holding| holding.claim == claim) {
            self.served.remove(path);
        }
    }

    /// The path is not served any more. That it is released follows from [`Self::look`].
    pub(super) fn let_go(&mut self, path: &PathName) {
        self.served.remove(path);
    }

    /// The epoch under which the node serves a path, when the state says the same.
    pub(super) fn epoch(&self, path: &PathName, state: &State) -> Option<Epoch> {
        let holding = self.served.get(path)?;
        let owner = state.paths().get(path)?.owner?;
        holding.epoch.filter(|_| owner.claim == holding.claim)
    }

    /// Whether the node serves the path, or is about to.
    pub(super) fn serves(&self, path: &PathName) -> bool {
        self.served.contains_key(path)
    }

    /// Compares with what is agreed.
    pub(super) fn look(&self, node: NodeId, incarnation: u64, state: &State) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (path, holding) in &self.served {
            let Some(held) = holding.epoch else { continue };
            let ownership = state.paths().get(path);
            let is_of_older = holding.claim.incarnation != incarnation;
            match ownership {
                Some(ownership) if ownership.owner.is_some_and(|owner| owner.claim == holding.claim) => {}
                // Not there yet: the answer to a claim may be faster than the log.
                Some(ownership) if ownership.epoch < held => {}
                // An older incarnation's paths are released when a new one is up; then they are claimed again.
                Some(ownership) if ownership.owner.is_none() && ownership.epoch == held && is_of_older => {
                    findings.push(Finding::Reclaim(path.clone(), holding.kind));
                }
                Some(ownership) if ownership.owner.is_none() && ownership.epoch == held => {}
                Some(ownership) => {
                    findings.push(Finding::Lost(path.clone(), ownership.epoch, ownership.owner_node()));
                }
                None if is_of_older => {
                    findings.push(Finding::Reclaim(path.clone(), holding.kind));
                }
                None => {}
            }
        }
        for (path, ownership) in state.paths().owned_by(node) {
            let Some(owner) = ownership.owner.filter(|owner| owner.claim.incarnation == incarnation) else { continue };
            if self.served.get(path).is_none_or(|holding| holding.claim != owner.claim) {
                findings.push(Finding::Unserved(path.clone(), ownership.epoch, owner.claim));
            }
        }
        findings
    }
}
