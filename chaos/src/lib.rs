//! Weft's storm: load, probes and experiments against any media server.
//!
//! This crate is the library behind the `weft-chaos` binary, so that tests can start the same publishers and readers.

//Xpub mod bare;
//Xpub mod cli;
//Xpub mod load;
pub mod probe;
