//! Paths: one actor per live path decides who may publish, who waits, when to let go. Media never passes through it.

mod actor;
mod core;
mod directory;
mod refusal;
mod registry;
mod shared;

pub use self::core::{Command, Core, Event, Identity, OnDemand, PathSettings, ReaderRole, Refusal, SessionId};
pub use directory::{PathPolicy, Policy};
pub use refusal::{PublishError, SubscribeError};
pub use shared::{EndReason, PublisherEvent, SessionInfo};

pub(crate) use actor::Accepted;
pub(crate) use directory::Directory;
pub(crate) use registry::{Notice, PublishRequest, Reconfigured, Registry, RelayRequest, SubscribeRequest};
pub(crate) use shared::{PathShared, PublisherSlot, ReaderSlot};
