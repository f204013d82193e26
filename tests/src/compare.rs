//! Is what came out what went in?
//!
//! Compared is the steady state: from the second keyframe that the reader received to the last but one packet. Every NAL
//! unit, OBU or audio frame must be there, equal and in order, except those that transports may add or take away:
//! delimiters, parameter sets, filler, padding, temporal delimiters. Times are compared after subtracting the first.

use bytes::Bytes;
use weft_proto::bitstream::aac::Adts;
use weft_proto::bitstream::av1::{obu, obu_type, split_obus};
use weft_proto::bitstream::nal::{split_annex_b, trimmed};
use weft_proto::bitstream::{h264, h265};
use weft_proto::media::Kind;

use crate::media::{Audio, Media, Video};
use crate::recording::{Packet, Recording};

/// What was found equal.
#[derive(Clone, Copy, Debug)]
pub struct Equal {
    /// Access units of video.
    pub video: usize,
    /// Frames of audio; bytes, where the codec has no frames.
    pub audio: usize,
}

/// How far times may differ, in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// Inside a track.
    pub track: i64,
    /// Between the tracks.
    pub offset: i64,
}

/// One access unit or audio frame.
#[derive(Clone, Debug)]
struct Access {
    micros: Option<i64>,
    frames: Vec<Bytes>,
}

/// A captured track and where it stands in the original.
struct Match {
    count: usize,
    /// The first captured unit's time, here and there.
    here: i64,
    there: i64,
}

/// Compares a reader's recording with the original, or says what differs first.
pub fn compare(media: Media, original: &Recording, read: &Recording, within: Tolerance) -> Result<Equal, String> {
    let start = second_keyframe(media.video, &read.video).ok_or("the reader never received a second keyframe")?;
    let from = read.video[start].micros.ok_or("the second keyframe has no time")?;
    let video = {
        let original = units(media, Kind::Video, &original.video);
        match_track("video", &original, &units(media, Kind::Video, without_last(&read.video[start..])), within.track)?
    };
    let late = read.audio.iter().position(|packet| packet.micros.is_some_and(|micros| micros >= from));
    let heard = without_last(&read.audio[late.ok_or("no audio after the second keyframe")?..]);
    let audio = if matches!(media.audio, Audio::Pcmu | Audio::Pcma) {
        match_samples(&original.audio, heard, within.track)?
    } else {
        let original = units(media, Kind::Audio, &original.audio);
        match_track("audio", &original, &units(media, Kind::Audio, heard), within.track)?
    };
    let drift = (video.here - video.there) - (audio.here - audio.there);
    if drift.abs() > within.offset {
        return Err(format!("video moved {drift} µs against audio"));
    }
    Ok(Equal { video: video.count, audio: audio.count })
}

/// The last packet may have been cut when the client was told to end.
fn without_last(packets: &[Packet]) -> &[Packet] {
    &packets[..packets.len().saturating_sub(1)]
}

/// Transport streams put a header before each frame of AAC.
fn without_adts(data: &Bytes) -> Bytes {
    match Adts::parse(data) {
        Ok(header) if header.frame_len == data.len() => data.slice(header.header_len..),
        _ => data.clone(),
    }
}

fn units(media: Media, kind: Kind, packets: &[Packet]) -> Vec<Access> {
    let frames = |data: &Bytes| match (kind, media.video) {
        (Kind::Video, video) => video_frames(video, data),
        (_, _) if matches!(media.audio, Audio::Aac | Audio::Latm) => vec![without_adts(data)],
        _ => vec![data.clone()],
    };
    let all = packets.iter().map(|packet| Access { micros: packet.micros, frames: frames(&packet.data) });
    all.filter(|access| !access.frames.is_empty()).collect()
}

/// A unit of one track, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timed {
    /// What must arrive of it.
    pub bytes: Vec<u8>,
    /// When to present it, in microseconds of whoever says it.
    pub micros: i64,
}

impl Timed {
    /// A packet of H.264 or AAC, of a track as ffmpeg names it: `v`, `a:1`.
    ///
    /// # Panics
    /// When the packet has no time.
    pub fn of(track: &str, packet: &Packet) -> Self {
        let is_video = track.starts_with('v');
        let bytes = if is_video { essence(Video::H264, &packet.data) } else { without_adts(&packet.data).to_vec() };
        Self { bytes, micros: packet.micros.expect("packets have times") }
    }
}

/// Every unit read is the one sent, none is missing between them, and its time is right against the first.
///
/// # Errors
/// Says what is not so.
pub fn match_run(sent: &[Timed], read: &[Timed], tolerance_micros: i64) -> Result<(), String> {
    let first = read.first().ok_or("nothing was read")?;
    let at = sent.iter().position(|unit| unit.bytes == first.bytes).ok_or("the first unit was never sent")?;
    for (index, (got, sent_now)) in read.iter().zip(&sent[at..]).enumerate() {
        if got.bytes != sent_now.bytes {
            return Err(format!("unit {index} after number {at} is another one"));
        }
        let drift = (got.micros - first.micros) - (sent_now.micros - sent[at].micros);
        if drift.abs() > tolerance_micros {
            return Err(format!("unit {index} after number {at} is {drift} µs late against the first"));
        }
    }
    Ok(())
}

/// What must arrive of an access unit, in one piece.
pub fn essence(video: Video, data: &Bytes) -> Vec<u8> {
    video_frames(video, data).concat()
}

/// What must arrive of an access unit.
fn video_frames(video: Video, data: &Bytes) -> Vec<Bytes> {
    use obu::{PADDING, SEQUENCE_HEADER, TEMPORAL_DELIMITER};
    match video {
        Video::H264 | Video::H264Reordered => {
            nal_units(data).filter(|nal| !(h264::nal::SPS..=h264::nal::FILLER).contains(&(nal[0] & 0x1f))).collect()
        }
        Video::H265 => nal_units(data)
            .filter(|nal| !(h265::nal::VPS..=h265::nal::FILLER).contains(&((nal[0] >> 1) & 0x3f)))
            .collect(),
        Video::Av1 => split_obus(data)
            .map(|unit| unit.expect("clients write whole OBUs"))
            .filter(|unit| ![TEMPORAL_DELIMITER, SEQUENCE_HEADER, PADDING].contains(&obu_type(unit.header[0])))
            .map(|unit| [unit.header, unit.body].concat().into())
            .collect(),
        Video::Vp8 | Video::Vp9 => vec![data.clone()],
    }
}

/// NAL units of a packet, behind lengths or start codes, without trailing zeros.
fn nal_units(data: &Bytes) -> impl Iterator<Item = Bytes> {
    let units = length_prefixed(data).unwrap_or_else(|| split_annex_b(data).collect());
    units.into_iter().map(|nal| nal.slice(..trimmed(&nal).len())).filter(|nal| !nal.is_empty())
}

/// `None` unless lengths of four bytes lead exactly to the end. A start code is a length that does not.
fn length_prefixed(data: &Bytes) -> Option<Vec<Bytes>> {
    let (mut rest, mut units) = (data.clone(), Vec::new());
    while !rest.is_empty() {
        let end = 4 + u32::from_be_bytes(*rest.first_chunk()?) as usize;
        if end > rest.len() {
            return None;
        }
        units.push(rest.split_to(end).slice(4..));
    }
    Some(units)
}

fn second_keyframe(video: Video, packets: &[Packet]) -> Option<usize> {
    let keys = packets.iter().enumerate().filter(|(_, packet)| is_keyframe(video, &packet.data));
    keys.map(|(index, _)| index).nth(1)
}

fn is_keyframe(video: Video, data: &Bytes) -> bool {
    match video {
        Video::H264 | Video::H264Reordered => nal_units(data).any(|nal| nal[0] & 0x1f == h264::nal::IDR),
        Video::H265 => {
            nal_units(data).any(|nal| (h265::nal::IRAP_FIRST..=h265::nal::CRA).contains(&((nal[0] >> 1) & 0x3f)))
        }
        Video::Av1 => split_obus(data).flatten().any(|unit| obu_type(unit.header[0]) == obu::SEQUENCE_HEADER),
        // RFC 7741 section 4.3: the inverse key frame flag.
        Video::Vp8 => data[0] & 1 == 0,
        Video::Vp9 => weft_proto::bitstream::vp9::FrameHeader::parse(data).is_ok_and(|head| head.keyframe.is_some()),
    }
}

fn match_track(name: &str, original: &[Access], read: &[Access], within: i64) -> Result<Match, String> {
    let first = read.first().ok_or_else(|| format!("{name}: nothing was received"))?;
    let at = original.iter().position(|access| access.frames == first.frames);
    let at =
        at.ok_or_else(|| format!("{name}: the first unit received was never sent ({})", describe(&first.frames)))?;
    let mut base = None;
    for (index, (got, sent)) in read.iter().zip(&original[at..]).enumerate() {
        if got.frames != sent.frames {
            return Err(format!(
                "{name}: unit {index} after the start is {}, not {}{}",
                describe(&got.frames),
                describe(&sent.frames),
                elsewhere(original, at + index, got)
            ));
        }
        let (Some(here), Some(there)) = (got.micros, sent.micros) else {
            return Err(format!("{name}: unit {index} has no time"));
        };
        let (first_here, first_there) = *base.get_or_insert((here, there));
        let drift = (here - first_here) - (there - first_there);
        if drift.abs() > within {
            return Err(format!("{name}: unit {index} is {drift} µs late against the first"));
        }
    }
    let (here, there) = base.ok_or_else(|| format!("{name}: nothing to compare"))?;
    Ok(Match { count: read.len(), here, there })
}

/// G.711 has no frames: the samples must go on, however they are cut.
fn match_samples(original: &[Packet], read: &[Packet], within: i64) -> Result<Match, String> {
    const RATE: i64 = 8000;
    const NEEDLE: usize = 80;
    let join = |packets: &[Packet]| packets.iter().flat_map(|packet| packet.data.to_vec()).collect::<Vec<u8>>();
    let (sent, got) = (join(original), join(read));
    if got.len() < NEEDLE {
        return Err("audio: too few samples".into());
    }
    let at = sent.windows(NEEDLE).position(|window| *window == got[..NEEDLE]).ok_or("audio: never sent")?;
    let same = got.iter().zip(&sent[at..]).take_while(|(a, b)| a == b).count();
    if same < got.len().min(sent.len() - at) {
        return Err(format!("audio: differs after {same} samples"));
    }
    let time = |samples: usize| samples as i64 * 1_000_000 / RATE;
    let mut done = 0;
    let first = read[0].micros.ok_or("audio: the first packet has no time")?;
    for packet in read {
        let drift = packet.micros.ok_or("audio: a packet has no time")? - first - time(done);
        if drift.abs() > within {
            return Err(format!("audio: sample {done} is {drift} µs late against the first"));
        }
        done += packet.data.len();
    }
    let there = original[0].micros.ok_or("the original has no times")? + time(at);
    Ok(Match { count: got.len(), here: first, there })
}

fn describe(frames: &[Bytes]) -> String {
    let each = frames.iter().map(|frame| format!("{}:{:02x?}", frame.len(), &frame[..frame.len().min(6)]));
    format!("[{}]", each.collect::<Vec<_>>().join(" "))
}

fn elsewhere(original: &[Access], expected: usize, got: &Access) -> String {
    original.iter().position(|access| access.frames == got.frames).map_or_else(
        || "; it was never sent".to_owned(),
        |at| format!("; it is {} units further", at as i64 - expected as i64),
    )
}
