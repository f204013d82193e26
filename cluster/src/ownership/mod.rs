//! What the nodes of a cluster agree on, and how each agreed entry changes it. Pure: no clock, no chance, no network.
//!
//! [`State::apply`] is the whole of it: the same entries at the same indexes make the same state on every node, and each
//! entry's [`Answer`]. Who proposes entries, and when, is decided elsewhere. The rules that always hold, whatever is
//! proposed in whatever order:
//!
//! - A path has at most one owner, and each change of owner has a higher epoch than all before, also after a restore.
//! - A claim id is granted once. Asked again it gets the answer that it got.
//! - An owner is a member in the incarnation in which it claimed; what an earlier incarnation owned is released.
//! - What names an epoch or an incarnation that has passed changes nothing.

mod claimant;
mod claims;
mod fence;
mod index;
mod members;
mod paths;
mod state;
#[cfg(test)]
mod tests;
mod tokens;

#[cfg(test)]
pub(crate) use claimant::Alone;
pub use claimant::{ClaimError, Claimant, Claiming, OwnedBy, Reaching, Registering, Standing};
pub use fence::Fence;
pub use members::{Member, MemberState, Members};
pub use paths::{Owner, Ownership, Paths, Standby};
pub use state::State;
pub use weft_proto::wire::entry::{
    Answer, ClaimId, Entry, Invitation, Kind, MemberFacts, Move, NodeId, Refusal, SealKey, TokenHash,
};
