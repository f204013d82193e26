//! Weft's doors: configuration, command line, HTTP API, access control and telemetry of a node.
//!
//! Floors, lowest first: [`limits`], [`clock`], [`ports`], [`exit`], [`config`], [`telemetry`], [`worker`], [`egress`], [`ingress`], [`source`],
//! [`auth`]; [`web`]; [`rtsp`], [`rtmp`], [`hls`], [`webrtc`], [`http`]; [`app`]; [`cli`]. Protocol folders never import each other; `app` alone knows every
//! part.

pub mod app;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod egress;
pub mod exit;
pub mod hls;
pub mod http;
pub mod ingress;
pub mod limits;
pub mod ports;
pub mod rtmp;
pub mod rtsp;
pub mod source;
pub mod telemetry;
pub mod web;
pub mod webrtc;
pub mod worker;
