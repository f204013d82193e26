//! WebRTC's own words: what browsers say before and beside media.

pub mod answer;
mod codecs;
pub mod description;
pub mod fragment;
pub mod ice;
pub mod negotiate;
pub mod stun;
