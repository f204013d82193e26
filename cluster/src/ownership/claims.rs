//! Claims that were decided, so that each id is granted once, however often and however late it is proposed.

use std::collections::BTreeMap;

use bincode::{Decode, Encode};
use weft_proto::wire::entry::{Answer, ClaimId, NodeId, Refusal};

use crate::limits::CLAIMS_REMEMBERED;

/// What became of claims: the answers of each node's present process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Claims {
    by_node: BTreeMap<NodeId, Decided>,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Decided {
    incarnation: u64,
    answers: BTreeMap<u64, Answer>,
    /// Numbers up to this one have been forgotten.
    forgotten: Option<u64>,
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
