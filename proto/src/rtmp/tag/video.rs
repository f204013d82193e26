//! Video tags (FLV 10.1, annex E.4.3; Enhanced RTMP v2, section "Enhanced Video").

use super::{Body, FourCc, Packet, Tag, TagCodec, TagError, Tags, ex};
use crate::limits::RTMP_METADATA_BYTES_MAX;
use crate::rtmp::amf0;

/// Codec numbers.
pub(super) mod codec {
    pub(in super::super) const AVC: u8 = 7;
    /// Not Adobe's: what encoders in China used before Enhanced RTMP.
    pub(in super::super) const HEVC: u8 = 12;
}

/// Types of frames.
pub(super) mod frame {
    pub(in super::super) const KEY: u8 = 1;
    pub(in super::super) const INTER: u8 = 2;
    /// Not a frame but a command to the player.
    pub(in super::super) const COMMAND: u8 = 5;
}

/// Types of packets with an AVC configuration (FLV) and of Enhanced RTMP.
pub(super) mod packet {
    pub(in super::super) const SEQUENCE_START: u8 = 0;
    pub(in super::super) const CODED_FRAMES: u8 = 1;
    /// Composition time is 0 and left out.
    pub(in super::super) const CODED_FRAMES_X: u8 = 3;
    pub(in super::super) const METADATA: u8 = 4;
    pub(in super::super) const MULTITRACK: u8 = 6;
}

/// The bit of the first byte that says that Enhanced RTMP follows.
pub(super) const EX_HEADER: u8 = 0x80;

/// Reads a video message.
pub fn read_video(mut body: Body) -> Result<Tags, TagError> {
    // An empty message is a sign of life of some encoders.
    let Some(first) = body.byte() else { return Ok(Tags::new()) };
    let frame_type = first >> 4 & 7;
    if first & EX_HEADER == 0 {
        return if frame_type == frame::COMMAND { Ok(Tags::new()) } else { read_old(body, first & 0x0f) };
    }
    let head = ex::modifiers(&mut body, first & 0x0f)?;
    if frame_type == frame::COMMAND && head.packet_type != packet::METADATA {
        return Ok(Tags::new());
    }
    ex::tracks(body, &head, packet::MULTITRACK, codec_of, read_packet)
}

fn codec_of(four_cc: FourCc) -> TagCodec {
    match four_cc {
        FourCc::AVC => TagCodec::Avc,
        FourCc::HEVC => TagCodec::Hevc,
        FourCc::AV1 => TagCodec::Av1,
        FourCc::VP8 => TagCodec::Vp8,
        FourCc::VP9 => TagCodec::Vp9,
        other => TagCodec::Foreign(other),
    }
}

fn read_packet(mut body: Body, codec: TagCodec, packet_type: u8) -> Result<Packet, TagError> {
    Ok(match packet_type {
        packet::SEQUENCE_START => Packet::Config(body),
        packet::CODED_FRAMES => {
            let composition_millis = match codec {
                TagCodec::Avc | TagCodec::Hevc => body.i24().ok_or(TagError::Ended)?,
                _ => 0,
            };
            Packet::Frame { composition_millis, data: body }
        }
        packet::CODED_FRAMES_X => Packet::Frame { composition_millis: 0, data: body },
        packet::METADATA if body.len() <= RTMP_METADATA_BYTES_MAX => {
            Packet::Metadata(amf0::read_all(&body.to_bytes())?)
        }
        _ => Packet::Nothing,
    })
}

fn read_old(mut body: Body, number: u8) -> Result<Tags, TagError> {
    let codec = match number {
        codec::AVC => TagCodec::Avc,
        codec::HEVC => TagCodec::Hevc,
        other => TagCodec::Old(other),
    };
    let packet = if matches!(codec, TagCodec::Old(_)) {
        Packet::Nothing
    } else {
        let packet_type = body.byte().ok_or(TagError::Ended)?;
        let composition_millis = body.i24().ok_or(TagError::Ended)?;
        match packet_type {
            packet::SEQUENCE_START => Packet::Config(body),
            packet::CODED_FRAMES => Packet::Frame { composition_millis, data: body },
            _ => Packet::Nothing,
        }
    };
    Ok(Tags::from_buf([Tag { track: 0, codec, nanos: 0, packet }]))
}
