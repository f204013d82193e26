//! `MPEG-4 Video` (RFC 6416) and `MPEG-1/2 Video` (RFC 2250): frames in packets.

use core::fmt::Write as _;

use super::{config, jpeg};
use crate::bitstream::mpeg_video::{
    Headers, is_mpeg4_key, is_mpeg12_key, mpeg4_head, mpeg4_headers, mpeg12_head, mpeg12_headers,
};
use crate::media::{Codec, OpaqueConfig, Payload, Track, Unit};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standard {
    Mpeg4,
    Mpeg12,
}

impl Standard {
    fn of(opaque: &OpaqueConfig) -> Option<Self> {
        match opaque.label {
            "MPEG-4 Video" => Some(Self::Mpeg4),
            "MPEG-1/2 Video" => Some(Self::Mpeg12),
            _ => None,
        }
    }
}

/// What a container says of such a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
    /// `objectTypeIndication` (ISO/IEC 14496-1 table 5).
    pub object_type: u8,
    /// The headers that a decoder begins with.
    pub config: Vec<u8>,
}

/// Whether the track is one of these.
pub fn is_picture(opaque: &OpaqueConfig) -> bool {
    jpeg::is_jpeg(opaque) || Standard::of(opaque).is_some()
}

/// What is known of the track; `None` where it is none of these, or its `config` is not known or makes no sense.
pub fn picture(opaque: &OpaqueConfig) -> Option<Picture> {
    let config = config(opaque)?;
    if jpeg::is_jpeg(opaque) {
        let (width, height) = jpeg::size(&config)?;
        // Images bring all that a decoder wants.
        return Some(Picture { width, height, object_type: 0x6c, config: Vec::new() });
    }
    let standard = Standard::of(opaque)?;
    let (headers, object_type) = match standard {
        Standard::Mpeg4 => (mpeg4_headers(&config).ok()?, 0x20),
        Standard::Mpeg12 => {
            let headers = mpeg12_headers(&config).ok()?;
            // MPEG-2 of the main profile, MPEG-1.
            (headers, if headers.is_mpeg2 { 0x61 } else { 0x6a })
        }
    };
    let Headers { width, height, .. } = headers;
    Some(Picture { width, height, object_type, config })
}

/// Writes payloads one behind the other, without what only packets want.
pub fn put_frame(opaque: &OpaqueConfig, payloads: &[Payload], out: &mut Vec<u8>) {
    for payload in payloads {
        let at = out.len();
        let slices = payload.frames().flat_map(|frame| frame.slices());
        slices.for_each(|slice| out.extend_from_slice(slice));
        if Standard::of(opaque) == Some(Standard::Mpeg12) {
            strip_rfc2250(out, at);
        }
    }
}

/// Takes off the header before each payload of MPEG video (RFC 2250 section 3.4): four bytes, eight with T set.
fn strip_rfc2250(out: &mut Vec<u8>, at: usize) {
    let header = match out.get(at) {
        Some(first) if first & 4 != 0 => 8,
        _ => 4,
    };
    let end = (at + header).min(out.len());
    out.drain(at..end);
}

/// Joins frames, and keeps the last headers seen.
#[derive(Clone, Debug)]
pub(super) struct Joiner {
    standard: Standard,
    opaque: OpaqueConfig,
    seen: Vec<u8>,
}

impl Joiner {
    pub(super) fn new(track: &Track) -> Option<Self> {
        let Codec::Opaque(opaque) = &track.codec else { return None };
        Some(Self { standard: Standard::of(opaque)?, opaque: opaque.clone(), seen: Vec::new() })
    }

    pub(super) fn join(&mut self, unit: &Unit, payloads: &[Payload], mut out: impl FnMut(Unit)) {
        let mut frame = Vec::with_capacity(payloads.iter().map(Payload::len).sum());
        put_frame(&self.opaque, payloads, &mut frame);
        let (head, random_access) = match self.standard {
            Standard::Mpeg4 => (mpeg4_head(&frame), is_mpeg4_key(&frame)),
            Standard::Mpeg12 => (mpeg12_head(&frame), is_mpeg12_key(&frame)),
        };
        if !head.is_empty() && head != self.seen {
            self.seen = head.to_vec();
        }
        if !frame.is_empty() {
            out(Unit { random_access, marker: false, payload: Payload::single(frame.into()), ..unit.clone() });
        }
    }

    /// The track with the headers last seen as its `config`, where there were any.
    pub(super) fn known(&self, opaque: &OpaqueConfig) -> OpaqueConfig {
        with_config(opaque, &self.seen)
    }
}

/// The track with this `config` in place of its own, if there is one.
pub(crate) fn with_config(opaque: &OpaqueConfig, config: &[u8]) -> OpaqueConfig {
    if config.is_empty() {
        return opaque.clone();
    }
    let mut fmtp = String::from("config=");
    for byte in config {
        // Writing to a string cannot fail.
        let _ = write!(fmtp, "{byte:02x}");
    }
    let others = opaque.fmtp.iter().flat_map(|fmtp| fmtp.split(';')).map(str::trim);
    for other in others.filter(|other| !other.is_empty() && !is_config(other)) {
        fmtp = fmtp + ";" + other;
    }
    OpaqueConfig { fmtp: Some(fmtp), ..opaque.clone() }
}

fn is_config(pair: &str) -> bool {
    pair.split_once('=').is_some_and(|(key, _)| key.trim().eq_ignore_ascii_case("config"))
}

#[cfg(test)]
#[path = "video_tests.rs"]
mod tests;
