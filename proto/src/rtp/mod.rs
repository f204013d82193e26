//! RTP and RTCP (RFC 3550): packets to units and back, and the reports that go with them.
//!
//! The way of a packet in: [`header`] parses it, [`stats`] counts it, [`reorder`] puts it in its place, [`clock`] unwraps
//! its timestamp and [`unpack`] makes units of it; [`receiver`] is all of these in one. [`align`] brings the tracks of one
//! publisher onto one time axis. The way out: [`pack`]. [`rtcp`] reads and writes reports and feedback.
//! [`extension`] reads and writes header extensions, [`rtx`] makes packets of repairs and back.

pub mod align;
pub mod clock;
pub mod extension;
pub mod header;
pub mod pack;
pub mod receiver;
pub mod reorder;
pub mod rtcp;
pub mod rtx;
pub mod stats;
pub mod unpack;

#[cfg(test)]
mod golden;

pub use align::Aligner;
pub use clock::{SenderClock, Timeline};
pub use header::{HEADER_BYTES, Header, Packet, PacketError};
pub use receiver::{Received, TrackReceiver, Verdict};
pub use reorder::{Ordered, Reorder};
pub use rtcp::{ReportBlock, RtcpItem};
pub use stats::ReceiverStats;
pub use unpack::{Format, UnpackError, Unpacked, Unpacker};
