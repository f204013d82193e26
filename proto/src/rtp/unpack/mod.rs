//! Packets to units: one payload format a file.
//!
//! Driving: make one [`Unpacker`] a track; push every [`Ordered`] packet with its unwrapped timestamp; each call hands out
//! the units that became complete. An error concerns one packet: log it, count [`Unpacker::take_dropped`] and go on.
//!
//! What makes a unit of video complete, for devices differ:
//! - the marker bit, as all payload formats say; the unit goes out at once;
//! - another timestamp without a marker before it, for cameras that never set one;
//! - H.264 and H.265: a marker behind parameter sets alone ends nothing (cameras mark SPS, PPS and picture one by one):
//!   they go out with the picture of the same timestamp, or alone when the timestamp changes;
//! - H.264 and H.265: a sender that marks every slice gives itself away by a slice that is not its picture's first right
//!   behind a marker, at the same timestamp. From then on its units end where the timestamp changes.
//!
//! What is missing is never papered over: a packet lost inside a unit costs the whole unit. Where packets are lost behind
//! a finished unit, the next one is kept if it shows itself whole from its start (each format says how).

mod aac;
mod ac3;
mod assembler;
mod av1;
mod h264;
mod h265;
mod mpeg_audio;
mod nal;
mod partial;
mod vp8;
mod vp9;
mod whole;

use super::Ordered;
use crate::media::{Codec, Payload};
use crate::time::ClockRate;

/// What the session description says about the payload format beyond the codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// AAC: bits of an access unit's size (RFC 3640 section 4.1, `sizelength`).
    pub size_length: u8,
    /// AAC: bits of the first access unit's index (`indexlength`).
    pub index_length: u8,
    /// AAC: bits of the later access units' index (`indexdeltalength`).
    pub index_delta_length: u8,
}

impl Default for Format {
    /// The lengths of mode `AAC-hbr` (RFC 3640 section 3.3.6), which nearly all senders use.
    fn default() -> Self {
        Self { size_length: 13, index_length: 3, index_delta_length: 3 }
    }
}

/// A complete unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// The unit's extended RTP timestamp. For later units of the same packet the duration of the earlier is added.
    pub ticks: i64,
    /// The frames, shared with the packets.
    pub payload: Payload,
    /// The marker bit of the unit's last packet.
    pub marker: bool,
}

/// A packet that does not follow its payload format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("packet {sequence}: {reason}")]
pub struct UnpackError {
    /// Its sequence number.
    pub sequence: u16,
    /// What is wrong with it.
    pub reason: UnpackReason,
}

/// What is wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackReason {
    /// It ends inside a header or before what a length field promises.
    #[error("payload ends early")]
    Truncated,
    /// A fragment that continues nothing, although no packet is missing.
    #[error("fragment without a start")]
    FragmentWithoutStart,
    /// A fragment that contradicts the one it continues.
    #[error("fragments do not fit together")]
    FragmentMismatch,
    /// The audio frame does not begin with a valid header.
    #[error("no valid frame header")]
    BadFrameHeader,
    /// Not a multiple of the size of a sample.
    #[error("payload holds a broken sample")]
    BrokenSample,
    /// Part of the payload format that nobody is known to send.
    #[error("unsupported packet type {0}")]
    Unsupported(u8),
    /// The unit outgrew `UNIT_BYTES_MAX`, `UNIT_FRAMES_MAX` or `UNIT_SLICES_MAX`.
    #[error("unit is too large")]
    TooLarge,
}

/// Makes units of the packets of one track.
#[derive(Debug)]
pub struct Unpacker {
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    H264(h264::H264),
    H265(h265::H265),
    Av1(av1::Av1),
    Vp8(vp8::Vp8),
    Vp9(vp9::Vp9),
    Aac(aac::Aac),
    MpegAudio(mpeg_audio::MpegAudio),
    Ac3(ac3::Ac3),
    Whole(whole::Whole),
}

impl Unpacker {
    /// An unpacker for a track of this codec, whose timestamps tick at `clock_rate`.
    pub fn new(codec: &Codec, clock_rate: ClockRate, format: &Format) -> Self {
        let inner = match codec {
            Codec::H264(_) => Inner::H264(h264::H264::default()),
            Codec::H265(_) => Inner::H265(h265::H265::default()),
            Codec::Av1(_) => Inner::Av1(av1::Av1::default()),
            Codec::Vp8(_) => Inner::Vp8(vp8::Vp8::default()),
            Codec::Vp9(_) => Inner::Vp9(vp9::Vp9::default()),
            Codec::Aac(config) => Inner::Aac(aac::Aac::new(config, clock_rate, *format)),
            Codec::MpegAudio(_) => Inner::MpegAudio(mpeg_audio::MpegAudio::new(clock_rate)),
            Codec::Ac3(_) => Inner::Ac3(ac3::Ac3::new(clock_rate)),
            Codec::Lpcm(config) => Inner::Whole(whole::Whole::samples(config)),
            Codec::Opus(_) | Codec::Flac(_) | Codec::G711(..) | Codec::Opaque(_) => {
                Inner::Whole(whole::Whole::default())
            }
        };
        Self { inner }
    }

    /// Takes the next packet, whose timestamp is `ticks` when unwrapped, and hands out the units that are complete now.
    pub fn push(&mut self, ordered: &Ordered, ticks: i64, out: &mut impl FnMut(Unpacked)) -> Result<(), UnpackError> {
        let pushed = match &mut self.inner {
            Inner::H264(inner) => inner.push(ordered, ticks, out),
            Inner::H265(inner) => inner.push(ordered, ticks, out),
            Inner::Av1(inner) => inner.push(ordered, ticks, out),
            Inner::Vp8(inner) => inner.push(ordered, ticks, out),
            Inner::Vp9(inner) => inner.push(ordered, ticks, out),
            Inner::Aac(inner) => inner.push(ordered, ticks, out),
            Inner::MpegAudio(inner) => inner.push(ordered, ticks, out),
            Inner::Ac3(inner) => inner.push(ordered, ticks, out),
            Inner::Whole(inner) => inner.push(ordered, ticks, out),
        };
        pushed.map_err(|reason| UnpackError { sequence: ordered.packet.sequence, reason })
    }

    /// Units dropped because packets were lost or malformed, since the last call.
    pub fn take_dropped(&mut self) -> u32 {
        core::mem::take(match &mut self.inner {
            Inner::H264(inner) => inner.dropped(),
            Inner::H265(inner) => inner.dropped(),
            Inner::Av1(inner) => inner.dropped(),
            Inner::Vp8(inner) => inner.dropped(),
            Inner::Vp9(inner) => inner.dropped(),
            Inner::Aac(inner) => inner.dropped(),
            Inner::MpegAudio(inner) => inner.dropped(),
            Inner::Ac3(inner) => inner.dropped(),
            Inner::Whole(inner) => inner.dropped(),
        })
    }
}

#[cfg(test)]
mod tests;
