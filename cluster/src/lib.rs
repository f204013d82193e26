//! The fabric of Weft: stream logs, path actors, ownership. Blind to protocols.
//!
//! Doors (protocol servers) see [`Fabric`]: publish, subscribe, describe. A door never learns where a path's owner is.
//! Actors decide who may publish and when to let go; media never passes through a mailbox: a [`Publication`] appends to
//! the stream's log, a [`Subscription`] reads from it, and the readers' workers are rung once per batch.
#![forbid(unsafe_code)]

mod clock;
mod fabric;
pub mod identity;
pub mod inquiry;
pub mod limits;
pub mod liveness;
pub mod membership;
pub mod mesh;
pub mod ownership;
pub mod path;
pub mod placement;
mod publication;
pub mod raft;
pub mod relay;
mod sabotage;
#[cfg(test)]
mod simulation;
mod storage;
pub mod stream;
mod subscription;

pub use clock::Clock;
pub use fabric::{Fabric, FabricConfig, Occupants, PathDescription, SessionDescription, StandbyDescription};
pub use path::{Assignment, PathPolicy, Policy, PublishError, PulledSource, SubscribeError};
pub use publication::Publication;
/// Names a cluster that begins now.
pub fn draw_cluster_id() -> weft_proto::wire::hello::ClusterId {
    weft_proto::wire::hello::ClusterId(rand::random())
}

pub use storage::{NodeState, Storage};
pub use subscription::{Attendance, Subscription, map_tracks};
