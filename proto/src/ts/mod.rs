//! MPEG transport streams (ITU-T H.222.0 | ISO/IEC 13818-1): units in, packets of 188 bytes out, and back.
//!
//! [`Writer`] writes one program with the tracks that a transport stream can carry ([`carries`]). It knows no segments and
//! no clock: HLS, SRT, UDP and recordings put what it writes where they want. [`segment`] writes a piece that stands alone
//! and still continues the one before: all its counters begin at 0 and end where the next 0 follows.
//!
//! [`Demuxer`] reads any program that anybody sends.

mod access;
mod demux;
mod latm;
mod packet;
mod tables;
mod writer;

pub use demux::{Demuxed, Demuxer};
pub use packet::PACKET_BYTES;
pub use writer::{Writer, carries, segment};

#[cfg(test)]
mod tests;
