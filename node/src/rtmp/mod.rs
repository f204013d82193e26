//! The RTMP door: RTMP and RTMPS, publish and read.
//!
//! [`door`] is what all connections share, [`listener`] accepts, [`session`] runs one connection and [`request`] does
//! what it asks for; [`publish`] is its publishing half, [`play`] its reading half.

mod colors;
pub mod door;
pub mod listener;
mod play;
mod publish;
mod request;
mod session;
pub mod source;
mod stats;

pub use door::{Door, DoorConfig, Shared};
pub use source::Sources;
pub use stats::{Connection, Connections, State};
