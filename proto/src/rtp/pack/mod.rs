//! Units into RTP payloads, one codec a file.
//!
//! Packing is a pure function: the same unit always gives the same packets, so that they can be made once for all
//! readers. Nothing is joined: a packet is put together from pieces of what arrived. Fragments of a unit have the
//! maximum size, all but the last, so that a batch of them can leave in one send (UDP GSO).

mod aac;
mod ac3;
mod av1;
mod cursor;
mod h264;
mod h265;
mod mpeg_audio;
mod opus;
mod plain;
mod vp8;
mod vp9;

use cursor::Cursor;

use crate::bitstream::{g711, lpcm};
use crate::media::{Codec, Frame, Unit};

/// Receives the packets of a unit. `put` is called any number of times between `begin` and `end`.
pub trait PacketSink {
    /// A packet begins. `ticks_after`: RTP timestamp of this packet minus the unit's own; 0 but where sound is split.
    fn begin(&mut self, ticks_after: u32);
    /// The next bytes of the packet's payload.
    fn put(&mut self, bytes: &[u8]);
    /// The packet is complete; `marker` is the marker bit of its header (RFC 3550 section 5.1).
    fn end(&mut self, marker: bool);
}

/// The least that a packet must be able to carry: a smaller limit counts as this.
pub const PAYLOAD_BYTES_MIN: usize = 64;

/// The most that a packet can carry where a frame must not be split: a datagram or interleaved frame of 64 KB.
const WHOLE_BYTES_MAX: usize = 65_000;

/// Packs a unit. `payload_bytes_max` counts the bytes after the RTP header, which is of 12 bytes.
///
/// A frame that its codec does not allow to be split (Opus, opaque tracks) is one packet, whatever its size up to 65,000.
pub fn pack(codec: &Codec, unit: &Unit, payload_bytes_max: usize, sink: &mut impl PacketSink) {
    let max = payload_bytes_max.max(PAYLOAD_BYTES_MIN);
    match codec {
        Codec::H264(_) => h264::pack(unit, max, sink),
        Codec::H265(_) => h265::pack(unit, max, sink),
        Codec::Av1(_) => av1::pack(unit, max, sink),
        Codec::Vp8(_) => vp8::pack(unit, max, sink),
        Codec::Vp9(_) => vp9::pack(unit, max, sink),
        Codec::Aac(_) => aac::pack(unit, max, sink),
        Codec::Opus(_) => opus::pack(unit, sink),
        Codec::MpegAudio(_) => mpeg_audio::pack(unit, max, sink),
        Codec::Ac3(_) => ac3::pack(unit, max, sink),
        Codec::G711(_, layout) => plain::pack_samples(unit, g711::sample_bytes(*layout), max, sink),
        Codec::Lpcm(config) => plain::pack_samples(unit, lpcm::sample_bytes(config), max, sink),
        // RTP has no format for FLAC: such a track is in no description, and nobody asks for it.
        Codec::Flac(_) => {}
        Codec::Opaque(_) => plain::pack_opaque(unit, sink),
    }
}

/// Puts a whole frame.
fn put_frame(frame: Frame<'_>, sink: &mut impl PacketSink) {
    frame.slices().iter().for_each(|slice| sink.put(slice));
}

/// How many frames from the first of `lens` fit into one packet of `room` bytes, with `overhead` bytes before each.
fn fitting(lens: impl Iterator<Item = usize>, overhead: usize, mut room: usize) -> usize {
    lens.take_while(|len| {
        let fits = *len <= usize::from(u16::MAX) && len + overhead <= room;
        room = room.saturating_sub(len + overhead);
        fits
    })
    .count()
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
