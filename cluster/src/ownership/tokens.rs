//! Tokens that let one node in each. Only their hashes are kept.

use std::collections::BTreeMap;

use bincode::{Decode, Encode};
use weft_proto::wire::entry::{Answer, Invitation, NodeId, Refusal, TokenHash};

use crate::limits::TOKENS_MAX;

/// Tokens and until when they may be used, or asked about again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Tokens {
    valid: BTreeMap<TokenHash, i64>,
    spent: BTreeMap<TokenHash, Spent>,
}

/// Whom a token has let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct Spent {
    node: NodeId,
    request: [u8; 32],
    expires_micros: i64,
}

impl Tokens {
    pub(super) fn add(&mut self, hash: TokenHash, expires_micros: i64) -> Answer {
        // The one that expires first goes: somebody who makes tokens without end harms only those.
        make_room(&mut self.valid, |expires| *expires);
        self.valid.insert(hash, expires_micros);
        Answer::Done
    }

    /// Whether the token lets somebody in at this time.
    pub(super) fn check(&self, invitation: &Invitation) -> Result<(), Refusal> {
        let valid = self.valid.get(&invitation.hash).is_some_and(|expires| invitation.now_micros < *expires);
        if valid { Ok(()) } else { Err(Refusal::BadToken) }
    }

    /// Whether this was asked before, by this node, and granted.
    pub(super) fn was_spent(&self, invitation: &Invitation, node: NodeId) -> bool {
        let spent = self.spent.get(&invitation.hash);
        spent.is_some_and(|spent| {
            spent.node == node && spent.request == invitation.request && invitation.now_micros < spent.expires_micros
        })
    }

    pub(super) fn spend(&mut self, invitation: &Invitation, node: NodeId) {
        let Some(expires_micros) = self.valid.remove(&invitation.hash) else { return };
        make_room(&mut self.spent, |spent| spent.expires_micros);
        self.spent.insert(invitation.hash, Spent { node, request: invitation.request, expires_micros });
    }
}

fn make_room<T>(tokens: &mut BTreeMap<TokenHash, T>, expires: impl Fn(&T) -> i64) {
    if tokens.len() >= TOKENS_MAX
        && let Some(first) = tokens.iter().min_by_key(|(_, token)| expires(token)).map(|(hash, _)| *hash)
    {
        tokens.remove(&first);
    }
}
