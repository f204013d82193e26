//! The harness of Weft's whole-system tests: real servers, real clients, and a measure of what arrives.
//!
//! A test starts a [`server::Server`] of its own on free ports, lets [`clients`] publish a [`media::Media`] file and read
//! it back, and hands what they wrote to [`compare`]. Where a client's own buffering would hide what is measured, the
//! small reader of [`rtsp`] stands in.
//!
//! Three rules keep the tests honest. They wait for states, never for time ([`wait`]). Every wait has a limit, and every
//! test a last one ([`deadline`]). A tool that is missing is a failure that names it, never a skipped test ([`tools`]).
//!
//! Everything is loopback, and everything a test starts ends with it: a child dies with the thread that started it.

pub mod balancer;
pub mod browser;
pub mod camera;
pub mod clients;
pub mod cluster;
pub mod compare;
pub mod compose;
pub mod deadline;
pub mod decoded;
pub mod ffmpeg;
pub mod figures;
pub mod hls;
pub mod http;
pub mod media;
pub mod namespace;
pub mod network;
pub mod numbered;
pub mod origin;
pub mod ports;
pub mod process;
pub mod publisher;
pub mod pulled;
pub mod raw;
pub mod recording;
pub mod rtc;
pub mod rtmp;
pub mod rtsp;
pub mod rust_files;
pub mod server;
pub mod standin;
pub mod storm;
pub mod tools;
pub mod urls;
pub mod wait;
