//! What the extended headers of audio and video have in common (Enhanced RTMP v2, sections "Enhanced Audio" and
//! "Enhanced Video"): modifiers in front, then one track or several.

use super::{Body, FourCc, Tag, TagCodec, TagError, Tags};
use crate::limits::TRACKS_MAX;

/// Packet type of a modifier, in both.
const MOD_EX: u8 = 7;

/// Modifier type `TimestampOffsetNano`.
const MOD_NANO: u8 = 0;

/// Modifiers in front of one packet; there is one type of them.
const MODIFIERS_MAX: usize = 8;

/// How the tracks of a message stand behind each other (`AvMultitrackType`).
mod multitrack {
    pub(super) const ONE: u8 = 0;
    pub(super) const MANY: u8 = 1;
    pub(super) const MANY_CODECS: u8 = 2;
}

/// Packet type and modifiers.
pub(super) struct Head {
    pub(super) packet_type: u8,
    pub(super) nanos: u32,
}

/// Takes the modifiers in front of a packet, of which the first type is known.
pub(super) fn modifiers(body: &mut Body, first: u8) -> Result<Head, TagError> {
    let mut head = Head { packet_type: first, nanos: 0 };
    for _ in 0..MODIFIERS_MAX {
        if head.packet_type != MOD_EX {
            return Ok(head);
        }
        let mut size = usize::from(body.byte().ok_or(TagError::Ended)?) + 1;
        if size == 256 {
            size = usize::from(u16::from_be_bytes(body.array().ok_or(TagError::Ended)?)) + 1;
        }
        let mut data = body.split_to(size).ok_or(TagError::Ended)?;
        let types = body.byte().ok_or(TagError::Ended)?;
        head.packet_type = types & 0x0f;
        if types >> 4 == MOD_NANO
            && let Some(nanos) = data.u24()
        {
            // More than a millisecond is nonsense: the timestamp itself has those.
            head.nanos = nanos.min(999_999);
        }
    }
    Err(TagError::Bad("number of modifiers"))
}

/// Reads the tracks of a message whose packet type is `multitrack`, or its only track. `read` makes a track's packet out
/// of its bytes, the codec and the packet type.
pub(super) fn tracks(
    mut body: Body,
    head: &Head,
    multitrack: u8,
    codec_of: impl Fn(FourCc) -> TagCodec,
    read: impl Fn(Body, TagCodec, u8) -> Result<super::Packet, TagError>,
) -> Result<Tags, TagError> {
    let mut tags = Tags::new();
    let mut add = |track, codec, packet_type, body| {
        if tags.len() == TRACKS_MAX {
            return Err(TagError::TooMany);
        }
        let packet = read(body, codec, packet_type)?;
        tags.push(Tag { track, codec, nanos: head.nanos, packet });
        Ok(())
    };
    if head.packet_type != multitrack {
        let codec = codec_of(four_cc(&mut body)?);
        add(0, codec, head.packet_type, body)?;
        return Ok(tags);
    }
    let types = body.byte().ok_or(TagError::Ended)?;
    let (layout, packet_type) = (types >> 4, types & 0x0f);
    if layout > multitrack::MANY_CODECS {
        return Err(TagError::Bad("multitrack type"));
    }
    if packet_type == multitrack || packet_type == MOD_EX {
        return Err(TagError::Bad("packet type inside a multitrack packet"));
    }
    let shared = if layout == multitrack::MANY_CODECS { None } else { Some(codec_of(four_cc(&mut body)?)) };
    loop {
        let codec = match shared {
            Some(codec) => codec,
            None => codec_of(four_cc(&mut body)?),
        };
        let track = body.byte().ok_or(TagError::Ended)?;
        if layout == multitrack::ONE {
            add(track, codec, packet_type, body)?;
            return Ok(tags);
        }
        let size = body.u24().ok_or(TagError::Ended)? as usize;
        add(track, codec, packet_type, body.split_to(size).ok_or(TagError::Ended)?)?;
        debug_assert!(layout == multitrack::MANY || shared.is_none());
        if body.is_empty() {
            return Ok(tags);
        }
    }
}

fn four_cc(body: &mut Body) -> Result<FourCc, TagError> {
    body.array().map(FourCc).ok_or(TagError::Ended)
}
