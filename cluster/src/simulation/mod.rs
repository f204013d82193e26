//! Whole clusters in one process, over a simulated network, disks and clocks, under every fault that we can think of.
//!
//! The members, the agreement and openraft are the real ones, and so is what decides in a node's registry and path actors
//! (`path::Tenure`, `path::Core`). What carries that out, actix's mailboxes, is not there: actix has a runtime and a clock
//! of its own, which nobody could stop, nor play again. Media is an epoch that a reader takes or does not. Each node is a `LocalSet`, so that a crash ends all its tasks
//! at once and a pause stops them all; time is tokio's paused clock, which jumps to the next timer when nobody has anything
//! to do. All chance comes from one seed: the same seed makes the same run, event for event.
//!
//! While it runs, `Checker` sees every entry that any node applies, every answer that any client gets and every frame that
//! any reader takes. At the end everything is healed, and the cluster must be well again within bounds.
//!
//! `WEFT_SEEDS=10000 cargo test --release -p weft-cluster simulation -- --nocapture` runs more seeds than the test command
//! does; `WEFT_SEED=17` runs one and prints its events, and with `RUST_LOG=openraft=debug` what Raft does in between.

mod checker;
mod clients;
mod disk;
mod doors;
mod faults;
mod joining;
mod links;
mod net;
mod process;
mod tests;
mod world;
