//! Who lives: what one observer saw of the others, and what a majority of observers makes of it. Pure.
//!
//! False alarms are the trap: a pause of the observer looks like the silence of everybody else. So each observer looks
//! through a [`Window`] that begins anew whenever its own tick came late, and only [`Ballot`]s of a majority, each from an
//! uninterrupted window and about the same incarnation, end in a node's being down.

mod ballot;
mod window;

pub use ballot::Ballot;
pub use window::{Sight, Timings, Window};
