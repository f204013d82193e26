//! Weft's doors: configuration, command line, HTTP API, access control and telemetry of a node.
//!
//! Floors, lowest first: [`clock`], [`ports`], [`config`], [`telemetry`]; [`auth`]; [`http`]; [`cli`].

pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod http;
pub mod ports;
pub mod telemetry;
