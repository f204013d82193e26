//! Claims that were decided, so that each id is granted once, however often and however late it is proposed.

use std::collections::BTreeMap;

use super::entry::{Answer, Refusal};
use super::members::NodeId;
use crate::limits::CLAIMS_REMEMBERED;

/// Names one wish of one process to own a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimId {
    /// Whose.
    pub node: NodeId,
    /// Of which of its processes.
    pub incarnation: u64,
    /// Counts the claims of the process. Claims made for it by a planner count from [`ClaimId::PLANNED`].
    pub number: u64,
}

/// What became of claims: the answers of each node's present process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Claims {
    by_node: BTreeMap<NodeId, Decided>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Decided {
    incarnation: u64,
    answers: BTreeMap<u64, Answer>,
    /// Numbers up to this one have been forgotten.
    forgotten: Option<u64>,
}

impl ClaimId {
    /// The first number of claims that somebody else makes for a node: they never meet the node's own.
    pub const PLANNED: u64 = 1 << 63;
}

impl Claims {
    /// What was answered, or [`Refusal::Expired`] where that is no longer known; `None` for a claim that is new.
    pub(super) fn decided(&self, id: ClaimId) -> Option<Answer> {
        let decided = self.by_node.get(&id.node).filter(|decided| decided.incarnation == id.incarnation)?;
        let known = decided.answers.get(&id.number).copied();
        let forgotten = decided.forgotten.is_some_and(|forgotten| id.number <= forgotten);
        known.or(forgotten.then_some(Answer::Refused(Refusal::Expired)))
    }

    /// Keeps an answer. Refusals are kept as well: a claim that was refused is not granted later under the same id.
    pub(super) fn decide(&mut self, id: ClaimId, answer: Answer) {
        let fresh = || Decided { incarnation: id.incarnation, answers: BTreeMap::new(), forgotten: None };
        let decided = self.by_node.entry(id.node).or_insert_with(fresh);
        if decided.incarnation != id.incarnation {
            *decided = fresh();
        }
        decided.answers.insert(id.number, answer);
        if decided.answers.len() > CLAIMS_REMEMBERED
            && let Some((number, _)) = decided.answers.pop_first()
            // Planned claims come with a `NodeDown`, which is void when it is proposed again.
            && number < ClaimId::PLANNED
        {
            decided.forgotten = decided.forgotten.max(Some(number));
        }
    }

    /// Another process of the node, or none: nobody asks for the answers any more.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.by_node.remove(&node);
    }
}
