//! The RTMP door: RTMP and RTMPS, publish and read.
//!
//! [`door`] is what all connections share, [`listener`] accepts, [`session`] runs one connection and [`request`] does
//! what it asks for; [`publish`] is its publishing half, [`play`] its reading half.

pub mod door;
pub mod listener;
mod play;
mod publish;
mod request;
mod session;
mod stats;

pub use door::{Door, DoorConfig, Shared};
pub use stats::{Connection, Connections, State};
