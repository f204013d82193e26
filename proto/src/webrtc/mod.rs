//! WebRTC's own words: what browsers say before and beside media.

pub mod description;
pub mod stun;
