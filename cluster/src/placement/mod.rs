//! Where sources that nodes pull are to be: members, loads and paths in, a wanted layout out. Pure.
//!
//! Another part makes the layout true and may be run again at any time; the plan of a dead node is carried in the entry
//! that says it is down.

mod plan;

pub(crate) use plan::mix;
pub use plan::{Candidate, Source, place, spread};
