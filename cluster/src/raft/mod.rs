//! Raft: how the nodes come to agree on [`crate::ownership::Entry`]s. Everything of the `openraft` library stays in here.
//!
//! - [`Consensus`] is one node's part in it: it proposes, reads, answers the other nodes, and changes who votes.
//! - `Log` keeps votes and entries, `Machine` applies what is committed, `Network` speaks to the others.
//! - [`Disk`] is where it must all be before it counts; [`crate::Storage`] is one, and simulations have their own.
//!
//! All of it runs on one thread, in a `LocalSet`: see [`runtime`].

mod clock;
mod consensus;
mod disk;
mod log;
mod machine;
mod network;
mod rewrite;
mod runtime;
#[cfg(test)]
mod tests;
mod types;
mod watch;

pub use consensus::{Consensus, ConsensusConfig, ProposeError, RaftTimings, Standing, StartError};
pub use disk::{Disk, Done, Image, MemoryDisk, Write};
pub use machine::{Observer, SharedState};
pub use rewrite::{backup, begin_alone, everything, read_backup};
pub use runtime::seed;
