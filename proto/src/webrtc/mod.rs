//! WebRTC's own words: what browsers say before and beside media, and what both ends make of it.

pub mod answer;
pub mod arrivals;
mod codecs;
pub mod description;
pub mod estimate;
pub mod fragment;
pub mod ice;
pub mod link;
pub mod missing;
pub mod negotiate;
pub mod stun;
