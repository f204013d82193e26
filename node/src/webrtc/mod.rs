//! The WebRTC door: WHIP and WHEP over HTTP, media over one UDP port.
//!
//! [`request`] says what an HTTP request comes to; [`session`] is one browser from its offer to its end: [`secure`] makes its
//! packets its own, [`playing`] sends, [`publishing`] receives. [`mux`] finds a datagram's session. [`source`] is the other end:
//! streams that this node pulls by WHEP.

mod data;
pub mod door;
mod end;
mod mux;
mod offer;
mod outgoing;
mod page;
mod playing;
mod publishing;
mod request;
mod respond;
mod secure;
mod session;
pub mod source;
mod stats;
pub mod tcp;

/// The name that descriptions and reports say of what this node sends (RFC 3550 section 6.5.1).
const CNAME: &str = "weft";

pub use door::{Door, DoorConfig, IceServer, Shared};
pub use mux::Mux;
pub use secure::Certificate;
pub use stats::{Role, SessionCounters, SessionRecord, Sessions};
