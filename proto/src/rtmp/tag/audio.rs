//! Audio tags (FLV 10.1, annex E.4.2; Enhanced RTMP v2, section "Enhanced Audio").

use super::{Body, FourCc, Packet, PlainAudio, Tag, TagCodec, TagError, Tags, ex};
use crate::media::G711Law;

/// Sound formats.
pub(super) mod format {
    pub(in super::super) const LPCM: u8 = 0;
    pub(in super::super) const MP3: u8 = 2;
    pub(in super::super) const LPCM_LITTLE_ENDIAN: u8 = 3;
    pub(in super::super) const G711_A: u8 = 7;
    pub(in super::super) const G711_MU: u8 = 8;
    pub(in super::super) const EX_HEADER: u8 = 9;
    pub(in super::super) const AAC: u8 = 10;
    pub(in super::super) const MP3_8K: u8 = 14;
}

/// Types of packets.
pub(super) mod packet {
    pub(in super::super) const SEQUENCE_START: u8 = 0;
    pub(in super::super) const CODED_FRAMES: u8 = 1;
    pub(in super::super) const CHANNELS: u8 = 4;
    pub(in super::super) const MULTITRACK: u8 = 5;
}

/// Samples per second by the two bits of the first byte.
pub(super) const RATES: [u32; 4] = [5_512, 11_025, 22_050, 44_100];

/// What G.711 has in FLV, whatever the bits say.
const G711_RATE: u32 = 8_000;

/// Reads an audio message.
pub fn read_audio(mut body: Body) -> Result<Tags, TagError> {
    let Some(first) = body.byte() else { return Ok(Tags::new()) };
    if first >> 4 == format::EX_HEADER {
        let head = ex::modifiers(&mut body, first & 0x0f)?;
        return ex::tracks(body, &head, packet::MULTITRACK, codec_of, read_packet);
    }
    let plain = PlainAudio {
        sample_rate: RATES[usize::from(first >> 2 & 3)],
        bit_depth: if first & 2 == 0 { 8 } else { 16 },
        channels: 1 + (first & 1),
    };
    let g711 = PlainAudio { sample_rate: G711_RATE, bit_depth: 8, ..plain };
    let codec = match first >> 4 {
        format::AAC => TagCodec::Aac,
        format::MP3 | format::MP3_8K => TagCodec::Mp3,
        format::G711_A => TagCodec::G711(G711Law::A, g711),
        format::G711_MU => TagCodec::G711(G711Law::Mu, g711),
        format::LPCM | format::LPCM_LITTLE_ENDIAN => TagCodec::Lpcm(plain),
        other => TagCodec::Old(other),
    };
    let packet = match codec {
        TagCodec::Old(_) => Packet::Nothing,
        TagCodec::Aac => match body.byte().ok_or(TagError::Ended)? {
            packet::SEQUENCE_START => Packet::Config(body),
            _ => Packet::Frame { composition_millis: 0, data: body },
        },
        _ => Packet::Frame { composition_millis: 0, data: body },
    };
    Ok(Tags::from_buf([Tag { track: 0, codec, nanos: 0, packet }]))
}

fn codec_of(four_cc: FourCc) -> TagCodec {
    match four_cc {
        FourCc::AAC => TagCodec::Aac,
        FourCc::MP3 => TagCodec::Mp3,
        FourCc::OPUS => TagCodec::Opus,
        FourCc::FLAC => TagCodec::Flac,
        FourCc::AC3 => TagCodec::Ac3,
        other => TagCodec::Foreign(other),
    }
}

fn read_packet(mut body: Body, _: TagCodec, packet_type: u8) -> Result<Packet, TagError> {
    Ok(match packet_type {
        packet::SEQUENCE_START => Packet::Config(body),
        packet::CODED_FRAMES => Packet::Frame { composition_millis: 0, data: body },
        packet::CHANNELS => {
            // Order, then count.
            let [_, channels] = body.array().ok_or(TagError::Ended)?;
            Packet::Channels(channels)
        }
        _ => Packet::Nothing,
    })
}
