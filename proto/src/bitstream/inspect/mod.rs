//! The look that every unit gets as it arrives.

mod nal;
mod obu;
mod sets;

use bytes::Bytes;
use nal::NalInspector;

use super::{ac3, latm, mpeg_audio, vp8, vp9};
use crate::media::{Codec, OpaqueConfig, Payload, Vp8Config, Vp9Config};

/// Looks at every unit of one track as it arrives, cleans it and says what the fabric must know of it.
///
/// Delimiters, filler and end marks are dropped. Parameter sets are collected into the codec, and each unit at which
/// decoding can start begins with all that are in force, once. A unit that needs no change is given back as it came.
#[derive(Clone, Debug)]
pub struct Inspector {
    codec: Codec,
    nal: NalInspector,
    /// The codec changed with a unit of which nothing was left.
    changed: bool,
}

/// What is left of a unit, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// The unit without what nobody needs.
    pub payload: Payload,
    /// Decoding may start here: keyframe or recovery point, with its parameter sets in front.
    pub random_access: bool,
    /// No other unit refers to this one. Never set for sound: it is little, and a hole in it is heard.
    pub discardable: bool,
    /// [`Inspector::codec`] is not what it was before.
    pub codec_changed: bool,
}

/// What a codec's own look found.
#[derive(Debug)]
struct Look {
    payload: Payload,
    random_access: bool,
    discardable: bool,
}

impl Look {
    /// A unit that stands alone.
    const fn alone(payload: Payload) -> Self {
        Self { payload, random_access: true, discardable: false }
    }
}

impl Inspector {
    /// Starts with what is known of the codec from signalling. Parameter sets in there are cleaned like all others.
    pub fn new(codec: Codec) -> Self {
        let codec = match codec {
            Codec::H264(_) | Codec::H265(_) => nal::cleaned(codec),
            Codec::Av1(config) => Codec::Av1(obu::cleaned(config)),
            other => other,
        };
        Self { codec, nal: NalInspector::default(), changed: false }
    }

    /// The codec, with parameter sets as last seen.
    pub const fn codec(&self) -> &Codec {
        &self.codec
    }

    /// Looks at the next unit. `None`: nothing is left (only delimiters or parameter sets), or it is unusable.
    pub fn inspect(&mut self, payload: Payload) -> Option<Inspected> {
        if payload.is_empty() {
            return None;
        }
        let look = match &mut self.codec {
            Codec::H264(_) | Codec::H265(_) => self.nal.inspect(&mut self.codec, payload, &mut self.changed),
            Codec::Av1(config) => obu::inspect(config, payload, &mut self.changed),
            Codec::Vp8(config) => inspect_vp8(config, payload, &mut self.changed),
            Codec::Vp9(config) => inspect_vp9(config, payload, &mut self.changed),
            Codec::MpegAudio(config) => {
                let mut head = [0; mpeg_audio::HEADER];
                head_of(&payload, &mut head);
                let seen = mpeg_audio::FrameHeader::parse(&head).ok().map(|header| header.config);
                replace(config, seen, &mut self.changed);
                Some(Look::alone(payload))
            }
            Codec::Ac3(config) => {
                let mut head = [0; ac3::HEAD];
                head_of(&payload, &mut head);
                let seen = ac3::FrameHeader::parse(&head).ok().map(|header| header.config);
                replace(config, seen, &mut self.changed);
                Some(Look::alone(payload))
            }
            Codec::Opaque(config) => {
                let seen = latm_configuration(config, &payload);
                replace(&mut config.in_band, seen.map(Some), &mut self.changed);
                Some(Look::alone(payload))
            }
            Codec::Aac(_) | Codec::Opus(_) | Codec::Flac(_) | Codec::G711(..) | Codec::Lpcm(_) => {
                Some(Look::alone(payload))
            }
        }?;
        let codec_changed = core::mem::take(&mut self.changed);
        let Look { payload, random_access, discardable } = look;
        Some(Inspected { payload, random_access, discardable, codec_changed })
    }
}

/// The configuration that a payload of LATM brings. It comes in one piece: sound is short.
fn latm_configuration(config: &OpaqueConfig, payload: &Payload) -> Option<Bytes> {
    let mut slices = payload.frames().flat_map(|frame| frame.slices());
    let only = slices.next().filter(|_| latm::is_configured_in_band(config))?;
    slices.next().is_none().then(|| latm::in_band(only)).flatten()
}

fn inspect_vp8(config: &mut Vp8Config, payload: Payload, changed: &mut bool) -> Option<Look> {
    let mut head = [0; vp8::HEAD];
    let head = head_of(&payload, &mut head);
    let seen = vp8::keyframe(head);
    // A keyframe whose head is broken can be decoded by nobody, nor can what follows it.
    if vp8::is_keyframe(*head.first()?) && seen.is_none() {
        return None;
    }
    replace(config, seen, changed);
    Some(Look { payload, random_access: seen.is_some(), discardable: false })
}

fn inspect_vp9(config: &mut Vp9Config, payload: Payload, changed: &mut bool) -> Option<Look> {
    let mut head = [0; vp9::HEAD];
    let header = vp9::FrameHeader::parse(head_of(&payload, &mut head)).ok()?;
    let last_byte = payload.frames().last().and_then(|frame| frame.slices().last()?.last().copied())?;
    replace(config, header.keyframe, changed);
    // Other frames of a superframe may change references that the first one leaves alone.
    let discardable = header.discardable && payload.frames().len() == 1 && !vp9::is_superframe(last_byte);
    Some(Look { payload, random_access: header.keyframe.is_some(), discardable })
}

/// The beginning of the first frame, as much as there is of it.
fn head_of<'a>(payload: &Payload, head: &'a mut [u8]) -> &'a [u8] {
    let len = payload.frames().next().map_or(0, |frame| frame.copy_prefix(head));
    &head[..len]
}

fn replace<T: PartialEq>(config: &mut T, seen: Option<T>, changed: &mut bool) {
    if let Some(seen) = seen
        && *config != seen
    {
        *config = seen;
        *changed = true;
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
