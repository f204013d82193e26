//! What is made once per stream and shared by all readers of a protocol, lazily, while somebody reads.

pub mod chunks;
pub mod rtp;
pub mod rtp_reader;
pub mod segments;
