//! The HLS door: playlists, segments and parts over HTTP, and the page that plays them.
//!
//! [`listener`] accepts on each worker and lets hyper speak HTTP; [`request`] says what a request comes to; [`session`]
//! knows the viewers. [`source`] is the other way round: what this node pulls. What is served is made by `egress::segments`, once for all viewers.

mod asking;
mod body;
pub mod door;
pub mod listener;
mod page;
mod patient;
mod request;
mod respond;
mod session;
pub mod source;
mod token;

pub use door::{Door, DoorConfig, Shared};
pub use session::{SessionRecord, Sessions};
