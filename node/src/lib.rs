//! Weft's doors: configuration, command line, HTTP API, access control and telemetry of a node.

pub mod auth;
pub mod config;
pub mod ports;
pub mod telemetry;
