//! Weft's storm: load, probes and experiments against any media server.
//!
//! This crate is the library behind the `weft-chaos` binary, so that tests can start the same publishers and readers.

pub mod bare;
pub mod cli;
pub mod load;
pub mod probe;
