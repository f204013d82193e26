//! RTP and RTCP (RFC 3550): packets to units, and the reports that go with them.
//!
//! The way of a packet in: [`header`] parses it, [`stats`] counts it, [`reorder`] puts it in its place, [`clock`] unwraps
//! its timestamp and [`unpack`] makes units of it. [`rtcp`] reads and writes reports.

pub mod clock;
pub mod header;
pub mod reorder;
pub mod rtcp;
pub mod stats;
pub mod unpack;

#[cfg(test)]
mod golden;

pub use clock::{SenderClock, Timeline};
pub use header::{Header, Packet, PacketError};
pub use reorder::{Ordered, Reorder};
pub use rtcp::{ReportBlock, RtcpItem};
pub use stats::ReceiverStats;
pub use unpack::{Format, UnpackError, Unpacked, Unpacker};
