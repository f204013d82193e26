//! The state machines of both ends of an RTMP connection (Adobe's RTMP 1.0, section 7.2).
//!
//! Pure: messages and decisions in, actions and messages out. Media, timers and sockets stay with the session.

mod action;
mod capabilities;
mod client;
mod command;
mod server;
mod url;

pub use action::{Action, Media, Outcome, Pending, Refusal};
pub use capabilities::Capabilities;
pub use client::{ClientEvent, ClientMachine};
pub use server::{Client, ServerMachine};
pub use url::query_value;

use super::amf0::AmfError;

/// Why a connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MachineError {
    /// A command that cannot be read.
    #[error("command: {0}")]
    Amf(#[from] AmfError),
    /// A command without a name, or one that needs another one first.
    #[error("{0}")]
    Sequence(&'static str),
    /// A control message of the wrong length.
    #[error("control message of the wrong length")]
    Control,
}

/// Bytes after which a peer is to acknowledge, and that it may have under way. What ffmpeg and FMS use.
const WINDOW_BYTES: u32 = 2_500_000;

#[cfg(test)]
mod tests;
