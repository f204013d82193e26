//! The RTSP door: RTSP and RTSPS, publish and read, over TCP, UDP and multicast.
//!
//! [`door`] is what all sessions share, [`listener`] accepts, [`session`] runs one connection; [`record`] is its
//! publishing half, [`play`] its reading half.

pub mod door;
pub mod listener;
pub mod multicast;
mod play;
mod record;
mod redirect;
mod request;
mod session;
pub mod source;
mod stats;

pub use door::{Door, DoorConfig, UdpPair};
pub use stats::{SessionRecord, Sessions};
