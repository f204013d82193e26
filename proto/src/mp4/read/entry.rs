//! Sample entries: what a track is.

use bytes::Bytes;

use super::Mp4Error;
use super::boxes::find;
use crate::bitstream::{aac, av1, flac, h264, h265, opus::OpusHead};
use crate::media::{Ac3Config, Codec, H264Config, H265Config, MpegAudioConfig, OpusConfig, Vp8Config, Vp9Config};

/// Bytes before the boxes of a visual entry (section 12.1.3) and of an audio entry (section 12.2.3).
const VISUAL: usize = 78;
const AUDIO: usize = 28;

/// The codec, and the bytes of the lengths before its NAL units; or the name of what is not taken.
pub(super) fn codec((kind, entry): ([u8; 4], &[u8])) -> Result<Result<(Codec, u8), String>, Mp4Error> {
    const BAD: Mp4Error = Mp4Error::Bad("a codec's configuration");
    const LENGTH_BYTES: u8 = 4;
    let boxes = |head: usize| entry.get(head..).ok_or(Mp4Error::Cut(kind));
    let record = |head: usize, kind: &[u8; 4]| -> Result<Option<Bytes>, Mp4Error> {
        Ok(find(boxes(head)?, kind)?.map(Bytes::copy_from_slice))
    };
    let plain = |codec| Ok(Ok((codec, 0)));
    match &kind {
        b"avc1" | b"avc3" => match record(VISUAL, b"avcC")? {
            Some(record) => {
                let parsed = h264::parse_avcc(&record).map_err(|_| BAD)?;
                Ok(Ok((Codec::H264(parsed.config), parsed.length_size)))
            }
            None => Ok(Ok((Codec::H264(H264Config::default()), LENGTH_BYTES))),
        },
        b"hvc1" | b"hev1" | b"dvh1" | b"dvhe" => match record(VISUAL, b"hvcC")? {
            Some(record) => {
                let parsed = h265::parse_hvcc(&record).map_err(|_| BAD)?;
                Ok(Ok((Codec::H265(parsed.config), parsed.length_size)))
            }
            None => Ok(Ok((Codec::H265(H265Config::default()), LENGTH_BYTES))),
        },
        b"av01" => plain(Codec::Av1(match record(VISUAL, b"av1C")? {
            Some(record) => av1::parse_av1c(&record).map_err(|_| BAD)?,
            None => Default::default(),
        })),
        b"vp08" => plain(Codec::Vp8(Vp8Config::default())),
        b"vp09" => plain(Codec::Vp9(Vp9Config::default())),
        b"Opus" => {
            let head = OpusHead::parse_mp4(&record(AUDIO, b"dOps")?.ok_or(BAD)?).map_err(|_| BAD)?;
            match head.channels {
                channels @ 1..=2 => plain(Codec::Opus(OpusConfig { channels })),
                more => Ok(Err(format!("Opus of {more} channels"))),
            }
        }
        b"ac-3" => plain(Codec::Ac3(Ac3Config { sample_rate: sample_rate(entry).unwrap_or(48_000), channels: 2 })),
        b"fLaC" => {
            // Version and flags, then the blocks as a FLAC file has them.
            let record = record(AUDIO, b"dfLa")?.filter(|record| record.len() > 4).ok_or(BAD)?;
            let header = [&b"fLaC"[..], &record[4..]].concat();
            plain(Codec::Flac(flac::parse_header(&header.into()).map_err(|_| BAD)?))
        }
        b"mp4a" => mp4a(entry),
        b"encv" | b"enca" => Ok(Err("encrypted".to_owned())),
        other => Ok(Err(other.escape_ascii().to_string())),
    }
}

/// The rate that an audio entry says, which cannot be above 65,535.
fn sample_rate(entry: &[u8]) -> Option<u32> {
    let rate = entry.get(24..26)?;
    Some(u32::from(u16::from_be_bytes([rate[0], rate[1]]))).filter(|rate| *rate > 0)
}

/// What MPEG-4 systems describe (ISO/IEC 14496-14 section 5.6).
fn mp4a(entry: &[u8]) -> Result<Result<(Codec, u8), String>, Mp4Error> {
    const CUT: Mp4Error = Mp4Error::Cut(*b"esds");
    // QuickTime's entries of versions 1 and 2 say more before their boxes.
    let head = AUDIO
        + match entry.get(8..10) {
            Some([0, 1]) => 16,
            Some([0, 2]) => 36,
            _ => 0,
        };
    let boxes = entry.get(head..).ok_or(CUT)?;
    let inside = find(boxes, b"wave")?;
    let esds = match find(boxes, b"esds")? {
        Some(esds) => esds,
        None => find(inside.unwrap_or_default(), b"esds")?.ok_or(CUT)?,
    };
    let (object_type, specific) = described(esds.get(4..).ok_or(CUT)?).ok_or(CUT)?;
    Ok(match object_type {
        0x40 | 0x66..=0x68 => match aac::config_from_asc(Bytes::copy_from_slice(specific)) {
            Ok(config) => Ok((Codec::Aac(config), 0)),
            Err(_) => return Err(Mp4Error::Bad("AudioSpecificConfig")),
        },
        // The frames say the rest.
        0x69 | 0x6b => Ok((Codec::MpegAudio(mpeg_audio(entry)), 0)),
        other => Err(format!("mp4a object type {other:#04x}")),
    })
}

fn mpeg_audio(entry: &[u8]) -> MpegAudioConfig {
    let channels = entry.get(17).copied().unwrap_or(2).clamp(1, 2);
    MpegAudioConfig { sample_rate: sample_rate(entry).unwrap_or(48_000), channels, layer: 3 }
}

/// The object type and the specific information of an elementary stream's descriptor (ISO/IEC 14496-1 section 7.2.6.5).
fn described(bytes: &[u8]) -> Option<(u8, &[u8])> {
    const ELEMENTARY: u8 = 3;
    const CONFIG: u8 = 4;
    const SPECIFIC: u8 = 5;
    let stream = Descriptor::parse(bytes).filter(|found| found.tag == ELEMENTARY)?.content;
    let flags = *stream.get(2)?;
    let mut at = 3 + if flags & 0x80 == 0 { 0 } else { 2 };
    if flags & 0x40 != 0 {
        at += 1 + usize::from(*stream.get(at)?);
    }
    at += if flags & 0x20 == 0 { 0 } else { 2 };
    let config = Descriptor::parse(stream.get(at..)?).filter(|found| found.tag == CONFIG)?.content;
    let object_type = *config.first()?;
    let mut rest = config.get(13..)?;
    while let Some(found) = Descriptor::parse(rest) {
        if found.tag == SPECIFIC {
            return Some((object_type, found.content));
        }
        rest = found.after;
    }
    Some((object_type, &[]))
}

/// A descriptor, its length in bytes of seven bits, and what follows it.
struct Descriptor<'a> {
    tag: u8,
    content: &'a [u8],
    after: &'a [u8],
}

impl<'a> Descriptor<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (tag, mut rest) = bytes.split_first()?;
        let mut length = 0usize;
        for _ in 0..4 {
            let (byte, after) = rest.split_first()?;
            rest = after;
            length = length << 7 | usize::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (content, after) = rest.split_at_checked(length)?;
        Some(Self { tag: *tag, content, after })
    }
}
