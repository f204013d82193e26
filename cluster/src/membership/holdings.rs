//! What this node serves, and what becomes of it when the cluster sees it differently. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weft_proto::id::{Epoch, PathName};
use weft_proto::wire::relay::Reached;

use crate::ownership::{ClaimId, Kind, NodeId, Owner, Ownership, State};

/// Who serves what this node owns, and hears when that changes. Must not wait.
pub trait Host: Send + Sync + 'static {
    /// Somebody else owns the path now, or nobody does: its publisher here has been replaced.
    fn lost(&self, path: &PathName, epoch: Epoch, owner: Option<NodeId>);

    /// A publisher of another node that waited has the path now: the one here is to wait in its place.
    fn passed(&self, path: &PathName) {
        self.lost(path, Epoch::default(), None);
    }

    /// The node owns the path under another epoch than before: it was thought dead and has claimed it again.
    fn renewed(&self, path: &PathName, epoch: Epoch);

    /// The node was made the owner of a path whose owner died, or let a publisher of this node have its turn. Says whether it will serve it; if not, it lets it go.
    fn assigned(&self, path: &PathName, epoch: Epoch) -> bool;

    /// The paths whose sources somebody has to pull always: a leader sees to it that somebody does.
    fn sources(&self) -> Arc<[PathName]> {
        Arc::default()
    }

    /// Whether the node is part of a quorum that hears it as well. Said with every tick.
    fn quorum(&self, _there: bool) {}

    /// Nodes of which this one has not heard for a moment, or whose lifeline broke. Said with every tick, and when one breaks.
    fn unseen(&self, _nodes: BTreeSet<NodeId>) {}

    /// How far a path has come here, for the node that has become its owner.
    fn reached(&self, _: &PathName) -> Option<Reached> {
        None
    }
}

/// The paths that this node serves.
#[derive(Clone, Debug, Default)]
pub(super) struct Holdings {
    served: BTreeMap<PathName, Holding>,
    /// Paths that this node waits for, with the claims that are granted when its turn comes.
    waiting: BTreeMap<PathName, ClaimId>,
    next_number: u64,
    /// Paths about which something has changed since the last look.
    changed: BTreeSet<PathName>,
    /// Anything may have changed.
    all_changed: bool,
    /// Paths at which the last look found something. What was done about it may fail, so they are looked at again.
    doubtful: BTreeSet<PathName>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Holding {
    claim: ClaimId,
    kind: Kind,
    /// Under which the claim was granted; none while nobody has answered.
    epoch: Option<Epoch>,
    /// The claims of those that waited for the path at the last look.
    awaited: Vec<ClaimId>,
}

/// What is to be done after a look at what is agreed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// The path is somebody else's.
    Lost(PathName, Epoch, Option<NodeId>),
    /// The path is another node's, whose publisher has waited for it.
    Passed(PathName, Epoch, NodeId),
    /// The node's claim was forgotten with its last incarnation, and nobody else has the path.
    Reclaim(PathName, Kind),
    /// The node owns it and does not serve it.
    Unserved(PathName, Epoch, Owner),
}

/// What is agreed, and for whom it is looked at.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) node: NodeId,
    pub(super) incarnation: u64,
    pub(super) state: &'a State,
}

impl Holdings {
    /// A new claim on a path, instead of any before.
    pub(super) fn begin(&mut self, path: &PathName, kind: Kind, node: NodeId, incarnation: u64) -> ClaimId {
        self.next_number += 1;
        let claim = ClaimId { node, incarnation, number: self.next_number };
        self.served.insert(path.clone(), Holding { claim, kind, epoch: None, awaited: Vec::new() });
        self.changed.insert(path.clone());
        claim
    }

    /// A claim under which this node waits for a path.
    pub(super) fn wait(&mut self, path: &PathName, node: NodeId, incarnation: u64) -> ClaimId {
        self.next_number += 1;
        let claim = ClaimId { node, incarnation, number: self.next_number };
        self.waiting.insert(path.clone(), claim);
        self.changed.insert(path.clone());
        claim
    }

    /// The node waits no longer; under which claim it did.
    pub(super) fn stop_waiting(&mut self, path: &PathName) -> Option<ClaimId> {
        self.changed.insert(path.clone());
        self.waiting.remove(path)
    }

    /// Whether the node was given a path without asking at that moment: by a dead node's plan, or because its turn came.
    pub(super) fn was_given(&self, path: &PathName, claim: ClaimId) -> bool {
        claim.number >= ClaimId::PLANNED || self.waiting.get(path) == Some(&claim)
    }

    /// A claim was granted. False when it is no longer the one that this node serves the path under.
    pub(super) fn granted(&mut self, path: &PathName, claim: ClaimId, epoch: Epoch) -> bool {
        // The log may have been faster than the answer, and may already say something else.
        self.changed.insert(path.clone());
        let holding = self.served.get_mut(path).filter(|holding| holding.claim == claim);
        holding.map(|holding| holding.epoch = Some(epoch)).is_some()
    }

    /// A path that was planned for this node is served.
    pub(super) fn take(&mut self, path: &PathName, owner: Owner, epoch: Epoch) {
        self.waiting.remove(path);
        self.changed.insert(path.clone());
        let Owner { claim, kind } = owner;
        self.served.insert(path.clone(), Holding { claim, kind, epoch: Some(epoch), awaited: Vec::new() });
    }

    /// A claim came to nothing.
    pub(super) fn abandon(&mut self, path: &PathName, claim: ClaimId) {
        self.changed.insert(path.clone());
        if self.served.get(path).is_some_and(|holding| holding.claim == claim) {
            self.served.remove(path);
        }
    }

    /// The path is not served any more. That it is released follows from [`Self::look`].
    pub(super) fn let_go(&mut self, path: &PathName) {
        self.changed.insert(path.clone());
        self.served.remove(path);
    }

    /// What is agreed about these paths has changed.
    pub(super) fn note(&mut self, changed: impl IntoIterator<Item = PathName>) {
        self.changed.extend(changed);
    }

    /// Anything may have changed: another incarnation, another state.
    pub(super) const fn note_all(&mut self) {
        self.all_changed = true;
    }

    /// The epoch under which the node serves a path, when the state says the same.
    pub(super) fn epoch(&self, path: &PathName, state: &State) -> Option<Epoch> {
        let holding = self.served.get(path)?;
        let owner = state.paths().get(path)?.owner?;
        holding.epoch.filter(|_| owner.claim == holding.claim)
    }

    /// The epoch under which a path was granted to the node, although it may not have read that in the log yet.
    pub(super) fn granted_epoch(&self, path: &PathName, state: &State) -> Option<Epoch> {
        let holding = self.served.get(path)?;
        let epoch = holding.epoch?;
        let is_its = match state.paths().get(path) {
            Some(known) if known.epoch >= epoch => known.owner.is_some_and(|owner| owner.claim == holding.claim),
            _ => true,
        };
        is_its.then_some(epoch)
    }

    /// Whether the node serves the path, or is about to.
    pub(super) fn serves(&self, path: &PathName) -> bool {
        self.served.contains_key(path)
    }

    /// Compares with what is agreed what has changed since the last time; with `again` also that which was found then.
    pub(super) fn look(&mut self, view: View<'_>, again: bool) -> Vec<Finding> {
        let changed = std::mem::take(&mut self.changed);
        if std::mem::take(&mut self.all_changed) {
            let findings = self.look_at_all(view);
            self.served.iter_mut().for_each(|(path, holding)| holding.remember(path, view));
            self.doubtful = findings.iter().map(|finding| finding.path().clone()).collect();
            return findings;
        }
        let paths = if again { &std::mem::take(&mut self.doubtful) | &changed } else { changed };
        let mut findings = Vec::new();
        for path in &paths {
            let found = self.look_at(path, view);
            self.served.entry(path.clone()).and_modify(|holding| holding.remember(path, view));
            if found.is_some() {
                self.doubtful.insert(path.clone());
            } else if !again {
                self.doubtful.remove(path);
            }
            findings.extend(found);
        }
        findings
    }

    /// Compares all of it with what is agreed.
    pub(super) fn look_at_all(&self, view: View<'_>) -> Vec<Finding> {
        let owned = view.state.paths().owned_by(view.node).map(|(path, _)| path);
        let unserved = owned.filter(|path| !self.served.contains_key(*path));
        self.served.keys().chain(unserved).filter_map(|path| self.look_at(path, view)).collect()
    }

    fn look_at(&self, path: &PathName, view: View<'_>) -> Option<Finding> {
        let ownership = view.state.paths().get(path);
        self.served.get(path).and_then(|holding| is_missing(path, holding, ownership, view)).or_else(|| {
            let ownership = ownership?;
            let owner = ownership.owner.filter(|owner| owner.claim.node == view.node)?;
            let is_served = self.served.get(path).is_some_and(|holding| holding.claim == owner.claim);
            let is_its = owner.claim.incarnation == view.incarnation && !is_served;
            is_its.then(|| Finding::Unserved(path.clone(), ownership.epoch, owner))
        })
    }
}

impl Holding {
    /// Keeps in mind who waits for the path while it is this node's.
    fn remember(&mut self, path: &PathName, view: View<'_>) {
        if let Some(ownership) = view.state.paths().get(path)
            && ownership.owner.is_some_and(|owner| owner.claim == self.claim)
        {
            self.awaited = ownership.standbys.iter().map(|standby| standby.claim).collect();
        }
    }
}

impl Finding {
    fn path(&self) -> &PathName {
        match self {
            Self::Lost(path, ..) | Self::Passed(path, ..) | Self::Reclaim(path, _) | Self::Unserved(path, ..) => path,
        }
    }
}

/// Whether a path that is served is this node's.
fn is_missing(path: &PathName, holding: &Holding, ownership: Option<&Ownership>, view: View<'_>) -> Option<Finding> {
    let held = holding.epoch?;
    let is_of_older = holding.claim.incarnation != view.incarnation;
    match ownership {
        Some(ownership) if ownership.owner.is_some_and(|owner| owner.claim == holding.claim) => None,
        // Not there yet: the answer to a claim may be faster than the log.
        Some(ownership) if ownership.epoch < held => None,
        // An older incarnation's paths are released when a new one is up; then they are claimed again.
        Some(ownership) if ownership.owner.is_none() && ownership.epoch == held => {
            is_of_older.then(|| Finding::Reclaim(path.clone(), holding.kind))
        }
        Some(Ownership { owner: Some(owner), epoch, .. }) if holding.awaited.contains(&owner.claim) => {
            Some(Finding::Passed(path.clone(), *epoch, owner.claim.node))
        }
        Some(ownership) => Some(Finding::Lost(path.clone(), ownership.epoch, ownership.owner_node())),
        None => is_of_older.then(|| Finding::Reclaim(path.clone(), holding.kind)),
    }
}
