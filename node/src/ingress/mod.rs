//! What comes in and has no protocol of its own any more: packets to units in the fabric.

pub mod rtp;
