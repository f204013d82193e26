//! Tokens that let one node in each. Only their hashes are kept.

use std::collections::BTreeMap;

use bincode::{Decode, Encode};
use weft_proto::wire::entry::{Answer, Refusal, TokenHash};

use crate::limits::TOKENS_MAX;

/// Tokens that have not been used, and until when they may.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Tokens(BTreeMap<TokenHash, i64>);

impl Tokens {
    pub(super) fn add(&mut self, hash: TokenHash, expires_micros: i64) -> Answer {
        if self.0.len() >= TOKENS_MAX
            && let Some(first) = self.0.iter().min_by_key(|(_, expires)| **expires).map(|(hash, _)| *hash)
        {
            // The one that expires first goes: somebody who makes tokens without end harms only those.
            self.0.remove(&first);
        }
        self.0.insert(hash, expires_micros);
        Answer::Done
    }

    /// Whether the token lets somebody in at this time.
    pub(super) fn check(&self, hash: TokenHash, now_micros: i64) -> Result<(), Refusal> {
        let valid = self.0.get(&hash).is_some_and(|expires| now_micros < *expires);
        if valid { Ok(()) } else { Err(Refusal::BadToken) }
    }

    pub(super) fn spend(&mut self, hash: TokenHash) {
        self.0.remove(&hash);
    }
}
