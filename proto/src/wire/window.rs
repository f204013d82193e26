//! What nodes ask each other about HLS: the window that another one has of a path, a segment of it, a file.
//!
//! It goes as question and answer over relay connections, which know neither. An answer that carries media is a length, a
//! head of that length, and the bytes that the head names, one behind the other.

use bincode::{Decode, Encode};
use bytes::{BufMut as _, Bytes, BytesMut};

use super::relay::{decode_tracks, encode_tracks};
use super::{from_bytes, messages, to_bytes};
use crate::hls::{Body, File, Handover, Part, Place, Rendition, Segment, Variant};
use crate::id::PathName;
use crate::limits::HLS_PARTS_MAX;
use crate::media::{PartMark, SegmentMark, Tracks};

messages! {
    /// What one node asks another.
    WindowAsk {
        /// Which complete segments there are, without their bodies.
        1 => Window(WindowWish),
        /// One segment, whole.
        2 => Segment(SegmentWish),
        /// One file's bytes.
        3 => File(FileWish),
    }
}

/// A wish for a window.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct WindowWish {
    /// Of which path.
    pub path: PathName,
    /// Of which kind of segments: [`variant_number`].
    pub variant: u8,
    /// Where nobody has asked for it yet, it shall be begun.
    pub begin: bool,
}

/// A wish for a segment.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SegmentWish {
    /// Of which path.
    pub path: PathName,
    /// Of which kind.
    pub variant: u8,
    /// Its number.
    pub number: u64,
}

/// A wish for a file.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FileWish {
    /// Of which path.
    pub path: PathName,
    /// Its name, as playlists write it.
    pub name: String,
}

/// Nodes with other kinds of segments have nothing for each other.
pub const fn variant_number(variant: Variant) -> u8 {
    match variant {
        Variant::Mpegts => 1,
        Variant::Fmp4 => 2,
        Variant::LowLatency => 3,
    }
}

/// A window, as it is told.
#[derive(Encode, Decode)]
struct WindowWords {
    renditions: Vec<String>,
    target_seconds: u32,
    part_target_micros: i64,
    heads: Heads,
}

/// Segments, and what several of them share.
#[derive(Default, Encode, Decode)]
struct Heads {
    /// Initialisation segments, by their digits.
    inits: Vec<(u64, Vec<u8>)>,
    /// As [`encode_tracks`] writes them.
    tracks: Vec<Vec<u8>>,
    segments: Vec<SegmentWords>,
}

#[derive(Encode, Decode)]
struct SegmentWords {
    id: u64,
    tail: Option<u64>,
    mark: SegmentMark,
    start_micros: i64,
    duration_micros: i64,
    /// Which of the lists of tracks.
    tracks: Option<u16>,
    /// Digits of the initialisation segment in each rendition.
    inits: Vec<Option<u64>>,
    parts: Vec<PartWords>,
    streams: Vec<Option<u32>>,
    units: u32,
    broken: bool,
}

#[derive(Encode, Decode)]
struct PartWords {
    mark: PartMark,
    duration_micros: i64,
    /// Length in each rendition.
    bodies: Vec<Option<u32>>,
}

/// Renditions that a path may have.
const RENDITIONS_MAX: usize = 64;

/// Segments in an answer at most.
const SEGMENTS_MAX: usize = 4096;

/// Ten years.
const TIME_MICROS_MAX: i64 = 10 * 366 * 86_400 * 1_000_000;

/// Bytes of the length before a head.
const LENGTH_BYTES: usize = 4;

/// Tells a window, without bodies.
pub fn encode_window(renditions: &[Rendition], handover: &Handover) -> Vec<u8> {
    let mut heads = Heads::default();
    handover.segments.iter().for_each(|segment| heads.put(segment));
    to_bytes(&WindowWords {
        renditions: renditions.iter().map(Rendition::to_string).collect(),
        target_seconds: handover.target_seconds,
        part_target_micros: handover.part_target_micros,
        heads,
    })
}

/// The renditions and the window that were told: bodies are away, and segments follow each other without a hole. `None` for
/// anything else.
pub fn decode_window(bytes: &[u8]) -> Option<(Vec<Rendition>, Handover)> {
    let words: WindowWords = from_bytes(bytes)?;
    let renditions: Option<Vec<Rendition>> = words.renditions.iter().map(|name| name.parse().ok()).collect();
    let renditions = renditions.filter(|list| !list.is_empty() && list.len() <= RENDITIONS_MAX)?;
    let segments = words.heads.take(renditions.len())?;
    let follow = |pair: &[Segment]| pair[0].mark.number.checked_add(1) == Some(pair[1].mark.number);
    if !segments.windows(2).all(follow) {
        return None;
    }
    let WindowWords { target_seconds, part_target_micros, .. } = words;
    Some((renditions, Handover { segments, target_seconds, part_target_micros: part_target_micros.max(0) }))
}

/// Tells a segment with its bodies; `None` when some of it is not here.
pub fn encode_segment(segment: &Segment) -> Option<Vec<Bytes>> {
    let mut heads = Heads::default();
    heads.put(segment);
    let head = to_bytes(&heads);
    let mut start = BytesMut::with_capacity(LENGTH_BYTES + head.len());
    start.put_u32(u32::try_from(head.len()).ok()?);
    start.put_slice(&head);
    let mut pieces = vec![start.freeze()];
    for body in bodies(segment) {
        match body {
            Body::Nothing => {}
            Body::Here(bytes) => pieces.push(bytes.clone()),
            Body::Away(_) => return None,
        }
    }
    Some(pieces)
}

/// The segment that was told, for so many renditions.
pub fn decode_segment(mut bytes: Bytes, renditions: usize) -> Option<Segment> {
    let length = bytes.split_to_checked(LENGTH_BYTES)?;
    let length = u32::from_be_bytes(length.as_ref().try_into().ok()?) as usize;
    let head = bytes.split_to_checked(length)?;
    let mut segments = from_bytes::<Heads>(&head)?.take(renditions)?;
    let mut segment = segments.pop().filter(|_| segments.is_empty())?;
    let own = segment.parts.iter_mut().flat_map(|part| &mut part.bodies).chain(&mut segment.streams);
    for body in own {
        if let Body::Away(length) = *body {
            *body = Body::Here(bytes.split_to_checked(length as usize)?);
        }
    }
    bytes.is_empty().then_some(segment)
}

trait SplitChecked: Sized {
    fn split_to_checked(&mut self, at: usize) -> Option<Self>;
}

impl SplitChecked for Bytes {
    fn split_to_checked(&mut self, at: usize) -> Option<Self> {
        (at <= self.len()).then(|| self.split_to(at))
    }
}

/// In the order in which they are told.
fn bodies(segment: &Segment) -> impl Iterator<Item = &Body> {
    segment.parts.iter().flat_map(|part| &part.bodies).chain(&segment.streams)
}

fn length(body: &Body) -> Option<u32> {
    (!body.is_empty()).then(|| u32::try_from(body.len()).unwrap_or(u32::MAX))
}

fn away(length: Option<u32>) -> Body {
    length.map_or(Body::Nothing, Body::Away)
}

impl Heads {
    fn put(&mut self, segment: &Segment) {
        let Some(duration_micros) = segment.duration_micros else { return };
        for (id, init) in segment.inits.iter().flatten() {
            if !self.inits.iter().any(|(known, _)| known == id) {
                self.inits.push((*id, init.to_vec()));
            }
        }
        let tracks = segment.tracks.as_ref().map(|tracks| self.tracks_index(&encode_tracks(tracks)));
        let part = |part: &Part| PartWords {
            mark: part.mark,
            duration_micros: part.duration_micros,
            bodies: part.bodies.iter().map(length).collect(),
        };
        self.segments.push(SegmentWords {
            id: segment.id,
            tail: segment.tail,
            mark: segment.mark,
            start_micros: segment.start_micros,
            duration_micros,
            tracks,
            inits: segment.inits.iter().map(|init| init.as_ref().map(|(id, _)| *id)).collect(),
            parts: segment.parts.iter().map(part).collect(),
            streams: segment.streams.iter().map(length).collect(),
            units: segment.units,
            broken: segment.broken,
        });
    }

    fn tracks_index(&mut self, tracks: &[u8]) -> u16 {
        let known = self.tracks.iter().position(|known| known == tracks).unwrap_or_else(|| {
            self.tracks.push(tracks.to_vec());
            self.tracks.len() - 1
        });
        u16::try_from(known).unwrap_or(u16::MAX)
    }

    /// The segments, if each of them can be one with so many renditions.
    fn take(&self, renditions: usize) -> Option<Vec<Segment>> {
        if self.segments.len() > SEGMENTS_MAX {
            return None;
        }
        let inits: Vec<(u64, Bytes)> =
            self.inits.iter().map(|(id, init)| (*id, Bytes::copy_from_slice(init))).collect();
        let tracks: Option<Vec<Tracks>> = self.tracks.iter().map(|tracks| decode_tracks(tracks)).collect();
        let tracks = tracks?;
        self.segments.iter().map(|words| words.segment(renditions, &inits, &tracks)).collect()
    }
}

impl SegmentWords {
    /// Whether its numbers are so small that nothing made of them overflows.
    fn is_credible(&self) -> bool {
        let is_time = |micros: i64| (0..TIME_MICROS_MAX).contains(&micros);
        let is_count = |number: u64| number < u64::MAX >> 1;
        is_time(self.start_micros.saturating_abs())
            && is_time(self.duration_micros)
            && self.parts.len() <= HLS_PARTS_MAX as usize + 1
            && self.parts.iter().all(|part| is_time(part.duration_micros) && is_count(part.mark.number))
            && is_count(self.mark.number)
            && is_count(self.mark.discontinuities)
            && self.mark.discontinuities >= u64::from(self.mark.discontinuity)
    }

    fn segment(&self, renditions: usize, inits: &[(u64, Bytes)], tracks: &[Tracks]) -> Option<Segment> {
        let fits = |count: usize| count == renditions || count == 0;
        let all_fit = self.parts.iter().all(|part| fits(part.bodies.len()));
        if !all_fit || !fits(self.inits.len()) || !fits(self.streams.len()) || !self.is_credible() {
            return None;
        }
        let init = |id: &Option<u64>| match id {
            None => Some(None),
            Some(id) => inits.iter().find(|(known, _)| known == id).cloned().map(Some),
        };
        let part = |part: &PartWords| Part {
            mark: part.mark,
            duration_micros: part.duration_micros,
            bodies: part.bodies.iter().copied().map(away).collect(),
        };
        Some(Segment {
            id: self.id,
            tail: self.tail,
            mark: self.mark,
            place: Place::default(),
            start_micros: self.start_micros,
            duration_micros: Some(self.duration_micros),
            tracks: match self.tracks {
                None => None,
                Some(index) => Some(tracks.get(usize::from(index))?.clone()),
            },
            inits: self.inits.iter().map(init).collect::<Option<_>>()?,
            parts: self.parts.iter().map(part).collect(),
            streams: self.streams.iter().copied().map(away).collect(),
            units: self.units,
            broken: self.broken,
            guessed: false,
            given_up: false,
            open_end: false,
        })
    }
}

/// A file's name, as it is asked for.
pub fn file_wish(path: PathName, file: &File) -> WindowAsk {
    WindowAsk::File(FileWish { path, name: file.to_string() })
}

#[cfg(test)]
#[path = "window_test.rs"]
mod tests;
