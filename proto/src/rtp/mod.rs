//! rtp

pub mod pack;
