//! Configuration: what a user may write, and what the node makes of it.
//!
//! [`keys`] is the table of keys, as data. `tree` reads YAML and keeps places; `check` holds one value against its key;
//! `layers` lays file, environment and command line over each other; `build` makes the typed [`Config`]; `rules` says what
//! must hold between keys. [`Config::load`] does all of it. What the nodes of a cluster share is a [`Document`]; [`Effective`]
//! is that over what a node itself says, and an [`Edit`] makes the next one. Nothing here knows how a key is served.

mod build;
mod check;
pub mod docs;
mod document;
mod edit;
mod effective;
mod env;
mod error;
mod json;
pub mod keys;
mod layers;
mod load;
mod model;
pub mod network;
mod paths;
mod rules;
pub mod sample;
mod settings;
mod shared;
mod sources;
#[cfg(test)]
mod tests;
mod tree;
pub mod value;

pub use document::{Document, Write};
pub use edit::{Edit, EditError, Fields, check_own, split};
pub use effective::{Effective, Imported, Local, import};
pub use error::{ConfigErrors, Origin, Problem, SourceFile, Spot};
pub use load::{Change, Loaded, Override, Source as LoadSource};
pub use model::{
    ApiConfig, BootstrapConfig, ClusterConfig, ClusterTimings, Config, Encryption, HlsConfig, HlsVariant,
    IceServerConfig, LogConfig, LogLevel, Mode, PathConfig, RtmpConfig, RtspAuthMethods, RtspConfig, RtspTransports,
    Source, StreamConfig, WebrtcConfig,
};
pub use paths::Paths;
pub use settings::{Changed, Settings};
pub use shared::{Difference, KeyValues, Shared};
pub use sources::{OnDemandConfig, RtspSourceTransport, SourceConfig, SourceProtocol, WhepSourceConfig};
