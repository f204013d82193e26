//! Paths: one actor per live path decides who may publish, who waits, when to let go. Media never passes through it.

mod actor;
mod assignments;
mod core;
mod directory;
mod pulling;
mod pulse;
mod refusal;
mod registry;
mod shared;
mod standbys;
mod standing;
mod tenure;

pub use self::core::{Command, Core, Event, Identity, OnDemand, PathSettings, ReaderRole, Refusal, SessionId};
pub use assignments::Assignment;
pub use directory::{PathPolicy, Policy, PulledSource};
pub use refusal::{PublishError, SubscribeError};
pub use registry::STANDBY_RANK;
pub use shared::{EndReason, PublisherEvent, SessionInfo};

pub(crate) use actor::Accepted;
pub(crate) use assignments::Assignments;
pub(crate) use directory::Directory;
pub(crate) use pulling::{Assigned, TakeSource, Unassigned};
pub(crate) use registry::{Notice, PublishRequest, Reconfigured, Registry, RelayRequest, SubscribeRequest};
pub(crate) use shared::{PathShared, PublisherSlot, ReaderSlot};
pub(crate) use standing::{Passed, Promoted};
#[cfg(test)]
pub(crate) use tenure::Tenure;
