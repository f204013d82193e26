//! Paths: one actor per live path decides who may publish, who waits, when to let go. Media never passes through it.

mod actor;
mod core;
mod directory;
mod pulse;
mod refusal;
mod registry;
mod shared;
mod standbys;
mod standing;
mod tenure;

pub use self::core::{Command, Core, Event, Identity, OnDemand, PathSettings, ReaderRole, Refusal, SessionId};
pub use directory::{PathPolicy, Policy};
pub use refusal::{PublishError, SubscribeError};
pub use registry::STANDBY_RANK;
pub use shared::{EndReason, PublisherEvent, SessionInfo};

pub(crate) use actor::Accepted;
pub(crate) use directory::Directory;
pub(crate) use registry::{Notice, PublishRequest, Reconfigured, Registry, RelayRequest, SubscribeRequest};
pub(crate) use shared::{PathShared, PublisherSlot, ReaderSlot};
pub(crate) use standing::{Assigned, Passed};
#[cfg(test)]
pub(crate) use tenure::Tenure;
