//! Playlists that name segments (sections 4.3.2 and 4.3.3).

use core::time::Duration;
use std::sync::Arc;

use super::attributes::Attributes;
use super::{PlaylistError, date, tag};
use crate::limits::{HLS_PLAYLIST_LINES_MAX, HLS_PLAYLIST_URI_BYTES_MAX};
use crate::time::WallClock;

/// A playlist of segments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RemoteMedia {
    /// `EXT-X-TARGETDURATION`: no segment is longer.
    pub target: Duration,
    /// The segments in order.
    pub segments: Vec<MediaSegment>,
    /// `EXT-X-ENDLIST`: no segment will follow.
    pub is_ended: bool,
    /// `EXT-X-PLAYLIST-TYPE:VOD`: all is there, from the beginning.
    pub is_on_demand: bool,
    /// `CAN-BLOCK-RELOAD`: the server answers when there is something new, if it is asked to.
    pub can_block: bool,
    /// `EXT-X-PART-INF`: no part is longer; none where segments have no parts.
    pub part_target: Option<Duration>,
    /// The segment that is not complete, where parts of it are listed: its duration is theirs, and its bytes are nowhere.
    pub open: Option<Box<MediaSegment>>,
    /// `EXT-X-PRELOAD-HINT`: what the next part will be. Only where its end is known.
    pub hint: Option<Resource>,
}

/// A segment.
#[derive(Clone, Debug, PartialEq)]
pub struct MediaSegment {
    /// Its number.
    pub sequence: u64,
    /// The number of the run of times that it belongs to: another one has other times.
    pub discontinuity: u64,
    /// Its bytes.
    pub resource: Resource,
    /// How long it lasts.
    pub duration: Duration,
    /// What must be read before it, for fragmented MP4 (`EXT-X-MAP`).
    pub map: Option<Arc<Resource>>,
    /// How it is encrypted.
    pub key: Option<Arc<Key>>,
    /// How its map is encrypted.
    pub map_key: Option<Arc<Key>>,
    /// When its first picture was taken.
    pub date: Option<WallClock>,
    /// It is missing (`EXT-X-GAP`).
    pub is_gap: bool,
    /// Its parts (`EXT-X-PART`), where they are listed.
    pub parts: Vec<MediaPart>,
}

/// A part of a segment (RFC 8216bis section 4.4.4.9).
#[derive(Clone, Debug, PartialEq)]
pub struct MediaPart {
    /// Its bytes.
    pub resource: Resource,
    /// How long it lasts.
    pub duration: Duration,
    /// Decoding may begin with it.
    pub is_independent: bool,
    /// It is missing.
    pub is_gap: bool,
}

/// Bytes that a server has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Where, mostly in relation to the playlist.
    pub uri: String,
    /// Which of them: where they begin, and how many. All, where it is not said.
    pub range: Option<(u64, u64)>,
}

/// How segments are encrypted (`EXT-X-KEY`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// In which way.
    pub method: Method,
    /// Where the key is.
    pub uri: String,
    /// The initialisation vector; the segment's number where none is said.
    pub vector: Option<[u8; 16]>,
}

/// Ways of encryption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// The whole segment with AES-128 in CBC mode.
    Aes128,
    /// Another one, by its name.
    Other(String),
}

impl Key {
    /// The initialisation vector of a segment (section 5.2).
    pub fn vector_of(&self, sequence: u64) -> [u8; 16] {
        self.vector.unwrap_or_else(|| u128::from(sequence).to_be_bytes())
    }
}

/// What holds for segments that follow.
#[derive(Debug, Default)]
struct Standing {
    playlist: RemoteMedia,
    sequence: u64,
    discontinuity: u64,
    map: Option<(Arc<Resource>, Option<Arc<Key>>)>,
    key: Option<Arc<Key>>,
    /// Of the next segment alone.
    duration: Option<Duration>,
    range: Option<(u64, Option<u64>)>,
    date: Option<WallClock>,
    is_gap: bool,
    parts: Vec<MediaPart>,
    /// Where the range before ended, and of what.
    range_end: Option<(String, u64)>,
    part_range_end: Option<(String, u64)>,
    /// Parts listed so far.
    all_parts: usize,
}

pub(super) fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> Result<RemoteMedia, PlaylistError> {
    let mut standing = Standing::default();
    for line in lines {
        match tag(line) {
            Some((name, value)) => standing.tag(name, value)?,
            None if line.starts_with('#') => {}
            None => standing.segment(line)?,
        }
    }
    standing.finish()
}

impl Standing {
    fn tag(&mut self, name: &str, value: &str) -> Result<(), PlaylistError> {
        let number = |name| value.trim().parse::<u64>().map_err(|_| PlaylistError::Tag(name));
        match name {
            "#EXT-X-TARGETDURATION" => {
                // A whole number, which some write as another one.
                self.playlist.target = seconds(value).ok_or(PlaylistError::Tag("EXT-X-TARGETDURATION"))?;
            }
            "#EXT-X-MEDIA-SEQUENCE" if self.playlist.segments.is_empty() => {
                self.sequence = number("EXT-X-MEDIA-SEQUENCE")?;
            }
            "#EXT-X-DISCONTINUITY-SEQUENCE" if self.playlist.segments.is_empty() => {
                self.discontinuity = number("EXT-X-DISCONTINUITY-SEQUENCE")?;
            }
            "#EXTINF" => {
                let value = value.split(',').next().unwrap_or_default();
                self.duration = Some(seconds(value).ok_or(PlaylistError::Tag("EXTINF"))?);
            }
            "#EXT-X-BYTERANGE" => self.range = Some(range(value).ok_or(PlaylistError::Tag("EXT-X-BYTERANGE"))?),
            "#EXT-X-DISCONTINUITY" => self.discontinuity = self.discontinuity.saturating_add(1),
            "#EXT-X-PROGRAM-DATE-TIME" => self.date = date::parse(value.trim()),
            "#EXT-X-GAP" => self.is_gap = true,
            "#EXT-X-KEY" => self.key = key(Attributes::new(value))?.map(Arc::new),
            "#EXT-X-MAP" => self.map = Some((map(Attributes::new(value))?.into(), self.key.clone())),
            // What was skipped counts: only whoever asked for it gets such a playlist.
            "#EXT-X-SKIP" => return Err(PlaylistError::Tag("EXT-X-SKIP")),
            "#EXT-X-PART-INF" => {
                let target = Attributes::new(value).get("PART-TARGET").and_then(seconds);
                // Segments can be read without.
                self.playlist.part_target = target.filter(|target| !target.is_zero());
            }
            "#EXT-X-SERVER-CONTROL" => {
                self.playlist.can_block = Attributes::new(value).get("CAN-BLOCK-RELOAD") == Some("YES");
            }
            "#EXT-X-PART" => self.part(Attributes::new(value))?,
            "#EXT-X-PRELOAD-HINT" => self.playlist.hint = hint(Attributes::new(value)).or(self.playlist.hint.take()),
            "#EXT-X-ENDLIST" => self.playlist.is_ended = true,
            "#EXT-X-PLAYLIST-TYPE" => self.playlist.is_on_demand = value.trim() == "VOD",
            _ => {}
        }
        Ok(())
    }

    fn segment(&mut self, uri: &str) -> Result<(), PlaylistError> {
        let range = self.range.take();
        let range = place(range, &mut self.range_end, uri).ok_or(PlaylistError::Tag("EXT-X-BYTERANGE"))?;
        let duration = self.duration.take().unwrap_or(self.playlist.target);
        let segment = self.take(Resource { uri: uri.to_owned(), range }, duration);
        self.playlist.segments.push(segment);
        self.sequence = self.sequence.checked_add(1).ok_or(PlaylistError::Tag("EXT-X-MEDIA-SEQUENCE"))?;
        Ok(())
    }

    fn take(&mut self, resource: Resource, duration: Duration) -> MediaSegment {
        let (map, map_key) = self.map.clone().unzip();
        MediaSegment {
            sequence: self.sequence,
            discontinuity: self.discontinuity,
            resource,
            duration,
            map,
            key: self.key.clone(),
            map_key: map_key.flatten(),
            date: self.date.take(),
            is_gap: core::mem::take(&mut self.is_gap),
            parts: core::mem::take(&mut self.parts),
        }
    }

    fn part(&mut self, attributes: Attributes<'_>) -> Result<(), PlaylistError> {
        const TAG: PlaylistError = PlaylistError::Tag("EXT-X-PART");
        let uri = attributes.get("URI").ok_or(TAG)?;
        let said = match attributes.get("BYTERANGE") {
            Some(text) => Some(range(text).ok_or(TAG)?),
            None => None,
        };
        let range = place(said, &mut self.part_range_end, uri).ok_or(TAG)?;
        let duration = attributes.get("DURATION").and_then(seconds).ok_or(TAG)?;
        let is = |name| attributes.get(name) == Some("YES");
        self.all_parts += 1;
        if self.all_parts > HLS_PLAYLIST_LINES_MAX || uri.len() > HLS_PLAYLIST_URI_BYTES_MAX {
            return Err(PlaylistError::TooLarge);
        }
        let resource = Resource { uri: uri.to_owned(), range };
        self.parts.push(MediaPart { resource, duration, is_independent: is("INDEPENDENT"), is_gap: is("GAP") });
        Ok(())
    }

    /// What is listed behind the last segment is one that is not complete.
    fn finish(mut self) -> Result<RemoteMedia, PlaylistError> {
        if !self.parts.is_empty() {
            let duration = self.parts.iter().map(|part| part.duration).sum();
            let nowhere = Resource { uri: String::new(), range: None };
            self.playlist.open = Some(Box::new(self.take(nowhere, duration)));
        }
        Ok(self.playlist)
    }
}

/// Where a range is: one that does not say where it begins does so where the one before ended, if that was of the same resource.
fn place(
    range: Option<(u64, Option<u64>)>,
    before: &mut Option<(String, u64)>,
    uri: &str,
) -> Option<Option<(u64, u64)>> {
    let range = match range {
        None => None,
        Some((length, Some(start))) => Some((start, length)),
        Some((length, None)) => Some((before.take().filter(|(before, _)| before == uri).map(|(_, end)| end)?, length)),
    };
    *before = range.map(|(start, length)| (uri.to_owned(), start.saturating_add(length)));
    Some(range)
}

/// The next part. One that only says where it begins goes on with parts that nobody knows yet.
fn hint(attributes: Attributes<'_>) -> Option<Resource> {
    if attributes.get("TYPE") != Some("PART") {
        return None;
    }
    let uri = attributes.get("URI").filter(|uri| uri.len() <= HLS_PLAYLIST_URI_BYTES_MAX)?.to_owned();
    let number = |name| attributes.get(name).map(|text| text.parse::<u64>().ok());
    match (number("BYTERANGE-START"), number("BYTERANGE-LENGTH")) {
        (None, None) => Some(Resource { uri, range: None }),
        (start, Some(Some(length))) => Some(Resource { uri, range: Some((start.unwrap_or(Some(0))?, length)) }),
        _ => None,
    }
}

/// A duration in seconds; a day at most.
fn seconds(text: &str) -> Option<Duration> {
    const DAY: f64 = 86_400.0;
    let seconds: f64 = text.trim().parse().ok()?;
    (0.0..=DAY).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

/// `length[@start]`.
fn range(text: &str) -> Option<(u64, Option<u64>)> {
    let text = text.trim();
    match text.split_once('@') {
        Some((length, start)) => Some((length.parse().ok()?, Some(start.parse().ok()?))),
        None => Some((text.parse().ok()?, None)),
    }
    .filter(|(length, _)| *length > 0)
}

fn map(attributes: Attributes<'_>) -> Result<Resource, PlaylistError> {
    const TAG: PlaylistError = PlaylistError::Tag("EXT-X-MAP");
    let uri = attributes.get("URI").ok_or(TAG)?.to_owned();
    let range = match attributes.get("BYTERANGE") {
        Some(text) => range(text).map(|(length, start)| Some((start.unwrap_or(0), length))).ok_or(TAG)?,
        None => None,
    };
    Ok(Resource { uri, range })
}

fn key(attributes: Attributes<'_>) -> Result<Option<Key>, PlaylistError> {
    const TAG: PlaylistError = PlaylistError::Tag("EXT-X-KEY");
    let method = match attributes.get("METHOD").ok_or(TAG)? {
        "NONE" => return Ok(None),
        "AES-128" => Method::Aes128,
        other => Method::Other(other.to_owned()),
    };
    let vector = match attributes.get("IV") {
        Some(text) => {
            let digits = text.strip_prefix("0x").or(text.strip_prefix("0X")).ok_or(TAG)?;
            Some(u128::from_str_radix(digits, 16).map_err(|_| TAG)?.to_be_bytes())
        }
        None => None,
    };
    Ok(Some(Key { method, uri: attributes.get("URI").unwrap_or_default().to_owned(), vector }))
}
