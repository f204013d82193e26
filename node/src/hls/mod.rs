//! The HLS door: playlists, segments and parts over HTTP, and the page that plays them.
//!
//! `web` accepts on each worker and lets hyper speak HTTP; [`request`] says what a request comes to; [`session`]
//! knows the viewers. [`source`] is the other way round: what this node pulls. What is served is made by `egress::segments`, once for all viewers.

mod asking;
pub mod door;
mod page;
mod request;
mod respond;
mod session;
pub mod source;
mod token;

pub use door::{Door, DoorConfig, Shared};
pub use session::{SessionRecord, Sessions};
