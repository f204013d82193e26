//! Fragmented MP4 (ISO/IEC 14496-12 and CMAF, 23000-19): an initialisation segment and fragments of one or more tracks.
//!
//! Written by hand, box by box into one buffer: a fragment is made for each part of each stream, and its boxes are few.
//! Everything here is a pure function of tracks and units: no history, no clock. Units of opaque tracks are put together
//! before they come here, see [`crate::opaque::Assembler`]. [`Reader`] is the way back, of whatever others write.

mod boxes;
mod codecs;
mod durations;
mod entry;
mod fragment;
mod init;
mod read;
mod sample;

pub use codecs::rfc6381;
pub use durations::{durations, natural_duration};
pub use entry::carries;
pub use fragment::{Run, fragment};
pub use init::init;
pub use read::{Mp4Error, Reader};

use crate::time::ClockRate;

/// Seconds added to all times: a stream's first times may lie a little before zero, and boxes have no sign.
const HEAD_START_SECONDS: i64 = 10;

/// A decoding time as boxes have it, in the track's own clock.
fn box_time(rate: ClockRate, dts: i64) -> u64 {
    u64::try_from(dts.saturating_add(HEAD_START_SECONDS * i64::from(rate.hertz()))).unwrap_or(0)
}

#[cfg(test)]
mod tests;
