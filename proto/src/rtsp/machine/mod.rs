//! The state machines of both ends of an RTSP session (RFC 2326 appendix A).
//!
//! Pure: requests and decisions in, actions and responses out. Media, timers and sockets stay with the session.

mod action;
mod checks;
mod client;
mod server;
mod setup;

pub use action::{Action, Outcome, Pending, RtpInfo, State};
pub use client::{ClientEvent, ClientMachine};
pub use server::ServerMachine;
pub use setup::{Capabilities, SetUpTrack};
