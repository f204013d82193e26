//! What a stream of a program is, by its type and descriptors, and how units are made of it.

use bytes::Bytes;

use super::pieces::Pieces;
use super::program::Entry;
use super::sound::{Framing, Sound};
use crate::bitstream::{Elementary, Taken, nal, opus};
use crate::limits::UNIT_FRAMES_MAX;
use crate::media::{Codec, H264Config, H265Config, OpusConfig, Payload, Track, TrackId};
use crate::time::ClockRate;

/// What comes out of a stream.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "handed on at once, never kept")]
pub(super) enum Output {
    /// The track is another one from here on.
    Renewed,
    /// A unit.
    Unit(Taken),
}

/// How units are made.
#[derive(Debug)]
pub(super) enum Form {
    /// H.264 and H.265: NAL units behind start codes.
    Pictures(Elementary),
    /// Opus behind control headers.
    Opus(Elementary),
    /// Frames of sound.
    Sound(Sound),
    /// What is carried as RTP carries it.
    Pieces(Pieces),
}

impl Form {
    /// By the program map; `Err` names what is not taken.
    pub(super) fn of(entry: &Entry) -> Result<Self, String> {
        let sound = |framing| Ok(Self::Sound(Sound::new(framing)));
        match entry.stream_type {
            0x01 | 0x02 => Ok(Self::Pieces(Pieces::mpeg12_video())),
            0x03 | 0x04 => sound(Framing::Mpeg),
            0x0f => sound(Framing::Adts),
            0x10 => Ok(Self::Pieces(Pieces::mpeg4_video())),
            0x11 => sound(Framing::Loas),
            0x1b => Ok(Self::Pictures(Elementary::new(Codec::H264(H264Config::default())))),
            0x24 => Ok(Self::Pictures(Elementary::new(Codec::H265(H265Config::default())))),
            0x81 => sound(Framing::Ac3),
            0x06 => private(entry),
            // MISB ST 1402: synchronous metadata, in access units of their own.
            0x15 if entry.registration() == Some(b"KLVA") => Ok(Self::Pieces(Pieces::klv(true))),
            0x15 => Err("timed metadata".to_owned()),
            0x87 => Err("E-AC-3".to_owned()),
            other => Err(format!("stream type {other:#04x}")),
        }
    }

    /// Whether a PES packet is an access unit of pictures.
    pub(super) const fn is_picture(&self) -> bool {
        match self {
            Self::Pictures(_) => true,
            Self::Pieces(pieces) => pieces.is_picture(),
            Self::Opus(_) | Self::Sound(_) => false,
        }
    }

    /// The track, once it is known.
    pub(super) fn track(&self) -> Option<Track> {
        match self {
            Self::Pictures(stream) | Self::Opus(stream) => stream.track(),
            Self::Sound(sound) => sound.track(),
            Self::Pieces(pieces) => pieces.track(),
        }
    }

    /// Makes units; says how many were of no use.
    pub(super) fn take(
        &mut self,
        track: TrackId,
        body: &Bytes,
        times: Option<(i64, Option<i64>)>,
        out: &mut impl FnMut(Output),
    ) -> u32 {
        match (self, times) {
            (Self::Sound(sound), times) => sound.take(track, body, times.map(|(pts, _)| pts), out),
            (_, None) => 1,
            (Self::Pictures(stream), Some((pts, dts))) => {
                let nals = nal::split_annex_b(body).take(UNIT_FRAMES_MAX);
                let before = stream.track().is_some();
                let times = (pts, Some(dts.unwrap_or(pts)));
                match stream.take(track, Payload::from_frames(nals), times, ClockRate::VIDEO) {
                    Some(taken) => out(Output::Unit(taken)),
                    // What comes before the first parameter sets is no damage.
                    None => return u32::from(before),
                }
                0
            }
            (Self::Opus(stream), Some((pts, _))) => take_opus(stream, track, body, pts, out),
            (Self::Pieces(pieces), Some((pts, dts))) => pieces.take(track, body, (pts, dts.unwrap_or(pts)), out),
        }
    }

    /// Something is missing.
    pub(super) fn lose(&mut self) {
        if let Self::Sound(sound) = self {
            sound.lose();
        }
    }
}

/// Private data (stream type 6): the descriptors say of what.
fn private(entry: &Entry) -> Result<Form, String> {
    /// ETSI EN 300 468 Annex D.
    const AC3: u8 = 0x6a;
    const ENHANCED_AC3: u8 = 0x7a;
    match entry.registration() {
        Some(b"Opus") => opus_of(entry),
        Some(b"KLVA") => Ok(Form::Pieces(Pieces::klv(false))),
        Some(b"AC-3") => Ok(Form::Sound(Sound::new(Framing::Ac3))),
        Some(b"HEVC") => Ok(Form::Pictures(Elementary::new(Codec::H265(H265Config::default())))),
        _ if entry.descriptor(AC3).is_some() => Ok(Form::Sound(Sound::new(Framing::Ac3))),
        _ if entry.descriptor(ENHANCED_AC3).is_some() => Err("E-AC-3".to_owned()),
        Some(name) => Err(format!("private data {}", name.escape_ascii())),
        None => Err("private data".to_owned()),
    }
}

/// Opus in transport streams (ETSI TS 103 591): an extension descriptor says the channels.
fn opus_of(entry: &Entry) -> Result<Form, String> {
    const EXTENSION: u8 = 0x7f;
    const OPUS: u8 = 0x80;
    let channels = match entry.descriptor(EXTENSION) {
        Some([OPUS, code, ..]) => *code,
        _ => 2,
    };
    match channels {
        // Two voices that are not a pair of stereo.
        0 => Ok(2),
        1 | 2 => Ok(channels),
        more => Err(format!("Opus of {more} channels")),
    }
    .map(|channels| Form::Opus(Elementary::new(Codec::Opus(OpusConfig { channels }))))
}

/// Packets of Opus, each behind a control header.
fn take_opus(stream: &mut Elementary, track: TrackId, body: &Bytes, pts: i64, out: &mut impl FnMut(Output)) -> u32 {
    let (mut at, mut time) = (0, pts);
    while at < body.len() {
        let Some((head, size)) = opus_control(&body[at..]) else { return 1 };
        let packet = body.slice(at + head..at + head + size);
        at += head + size;
        let samples = opus::packet_samples(&packet).unwrap_or_default();
        let times = (time, None);
        time += i64::from(samples) * i64::from(ClockRate::VIDEO.hertz()) / i64::from(opus::SAMPLE_RATE);
        if let Some(taken) = stream.take(track, Payload::single(packet), times, ClockRate::VIDEO) {
            out(Output::Unit(taken));
        }
    }
    0
}

/// Bytes of a control header and of the packet behind it; `None` when they are not all there.
fn opus_control(bytes: &[u8]) -> Option<(usize, usize)> {
    let flags = bytes.get(1)?;
    if bytes[0] != 0x7f || flags & 0xe0 != 0xe0 {
        return None;
    }
    let (mut at, mut size) = (2, 0);
    loop {
        let byte = *bytes.get(at)?;
        at += 1;
        size += usize::from(byte);
        if byte != 255 {
            break;
        }
    }
    // Samples to leave out at the beginning and at the end, and an extension.
    at += 2 * usize::from(flags >> 4 & 1) + 2 * usize::from(flags >> 3 & 1);
    if flags & 4 != 0 {
        at += 1 + usize::from(*bytes.get(at)?);
    }
    (at + size <= bytes.len()).then_some((at, size))
}
