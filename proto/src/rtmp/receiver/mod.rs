//! A publisher's messages as tracks and units.
//!
//! First the tracks are gathered: from metadata, configuration records, first frames, within [`GATHER`]. Then
//! [`Receiver::begin`] fixes them, and units come out. A track that shows up later, or becomes another one, makes the
//! receiver ask for a new beginning.

mod clock;
mod line;

use std::collections::VecDeque;

use core::time::Duration;
use smallvec::SmallVec;

use super::Media;
use super::amf0::AmfError;
use super::message::kind;
use super::tag::{self, Packet, Tag, TagCodec, TagError, Tags};
use crate::limits::{RTMP_HELD_UNITS_MAX, RTMP_METADATA_BYTES_MAX, TRACKS_MAX, UNIT_BYTES_MAX};
use crate::media::{Codec, Kind, Track, TrackId, Tracks, Unit};
use crate::rtmp::{Body, amf0};
use crate::time::Now;
use clock::Unwrapper;
use line::Line;

/// How long tracks are waited for that metadata announces, or that may come without it, after the first frame.
pub const GATHER: Duration = Duration::from_secs(1);

/// A publisher on its way in.
#[derive(Debug, Default)]
pub struct Receiver {
    lines: Vec<Line>,
    /// What metadata announces.
    announced: SmallVec<[(Kind, u8); 2]>,
    unwrapper: Unwrapper,
    held: VecDeque<Held>,
    held_bytes: usize,
    first_frame_at: Option<Now>,
    running: bool,
    stale: bool,
    dropped: u32,
    /// Codecs that are left out, as they are named; each once.
    foreign: SmallVec<[(Kind, TagCodec); 2]>,
    told: usize,
}

/// A unit, and the codec where it changes with it.
#[derive(Debug)]
pub struct Received {
    /// The unit, its times in the publisher's own time.
    pub unit: Unit,
    /// The track's codec, where it is not what it was.
    pub codec: Option<Codec>,
}

#[derive(Debug)]
struct Held {
    line: usize,
    unit: Unit,
    codec: Option<Codec>,
}

/// Why a publisher cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiverError {
    /// A message that is no tag.
    #[error("media: {0}")]
    Tag(#[from] TagError),
    /// Metadata that cannot be read.
    #[error("metadata: {0}")]
    Metadata(#[from] AmfError),
}

impl Receiver {
    /// A publisher that has sent nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes media.
    pub fn media(&mut self, media: Media, now: Now) -> Result<(), ReceiverError> {
        match media {
            Media::Audio(timestamp, body) => self.tags(timestamp, Kind::Audio, tag::read_audio(body)?, now),
            Media::Video(timestamp, body) => self.tags(timestamp, Kind::Video, tag::read_video(body)?, now),
            Media::Data(_, body) => self.data(&body)?,
            Media::Aggregate(timestamp, body) => self.aggregate(timestamp, body, now)?,
        }
        Ok(())
    }

    /// Whether the tracks are known, as far as they will be.
    pub fn is_ready(&self, now: Now) -> bool {
        let Some(first_at) = self.first_frame_at.filter(|_| !self.running) else { return false };
        if !self.lines.iter().any(|line| line.track().is_some()) {
            return false;
        }
        let complete = self.lines.iter().all(|line| line.track().is_some());
        let seen = |kind, number| self.lines.iter().any(|line| (line.kind, line.number) == (kind, number));
        let expected = if self.announced.is_empty() {
            seen(Kind::Video, 0) && seen(Kind::Audio, 0)
        } else {
            self.announced.iter().all(|(kind, number)| seen(*kind, *number) || self.leaves_out(*kind))
        };
        complete && expected || now.since(first_at) >= GATHER || self.is_full()
    }

    /// When [`Self::is_ready`] turns true by itself.
    pub fn deadline(&self) -> Option<Now> {
        self.first_frame_at.filter(|_| !self.running).map(|at| at.after(GATHER))
    }

    /// Fixes the tracks, video first; `None` when there is none.
    pub fn begin(&mut self) -> Option<Tracks> {
        let mut order: Vec<usize> = (0..self.lines.len()).filter(|at| self.lines[*at].track().is_some()).collect();
        order.sort_by_key(|at| (self.lines[*at].kind != Kind::Video, self.lines[*at].number));
        let tracks: Vec<Track> = order.iter().filter_map(|at| self.lines[*at].track()).collect();
        let tracks = Tracks::new(tracks).ok()?;
        self.lines.iter_mut().for_each(|line| (line.id, line.replaced) = (None, false));
        for (id, at) in (0..).zip(order) {
            self.lines[at].id = Some(TrackId(id));
        }
        (self.running, self.stale) = (true, false);
        Some(tracks)
    }

    /// The next unit; none before [`Self::begin`], nor while a new beginning is wanted.
    pub fn take(&mut self) -> Option<Received> {
        while self.running {
            let Held { line, mut unit, codec } = self.held.pop_front()?;
            self.held_bytes -= unit.payload.len();
            // A unit of a track that was not known in time.
            let Some(id) = self.lines[line].id else { continue };
            unit.track = id;
            return Some(Received { unit, codec });
        }
        None
    }

    /// Whether tracks are not what [`Self::begin`] said: end that publication, and gather again. Units wait until then.
    pub fn take_stale(&mut self) -> bool {
        if self.running && self.stale {
            self.running = false;
            return true;
        }
        false
    }

    /// Frames since the last call of which nothing could be made.
    pub const fn take_dropped(&mut self) -> u32 {
        core::mem::replace(&mut self.dropped, 0)
    }

    /// A codec that is left out and has not been told yet.
    pub fn take_foreign(&mut self) -> Option<TagCodec> {
        let (_, codec) = *self.foreign.get(self.told)?;
        self.told += 1;
        Some(codec)
    }

    fn leaves_out(&self, kind: Kind) -> bool {
        self.foreign.iter().any(|(foreign, _)| *foreign == kind)
    }

    fn is_full(&self) -> bool {
        self.held.len() >= RTMP_HELD_UNITS_MAX || self.held_bytes >= UNIT_BYTES_MAX
    }

    fn tags(&mut self, timestamp: u32, kind: Kind, tags: Tags, now: Now) {
        let millis = self.unwrapper.millis(timestamp);
        for Tag { track, codec, nanos, packet } in tags {
            if matches!(codec, TagCodec::Foreign(_) | TagCodec::Old(_)) {
                if !self.foreign.contains(&(kind, codec)) && self.foreign.len() < TRACKS_MAX {
                    self.foreign.push((kind, codec));
                }
                continue;
            }
            let Some(at) = self.line_for(kind, track, codec) else { continue };
            match packet {
                Packet::Config(record) => {
                    if !self.lines[at].configure(&record) {
                        self.dropped += 1;
                    }
                }
                Packet::Channels(channels) => self.lines[at].set_channels(channels),
                Packet::Frame { composition_millis, data } => {
                    let micros = millis.saturating_mul(1_000) + i64::from(nanos / 1_000);
                    self.frame(at, micros, i64::from(composition_millis) * 1_000, data, now);
                }
                Packet::Metadata(_) | Packet::Nothing => {}
            }
            let line = &self.lines[at];
            // Known too late, or no more what it was.
            self.stale |= self.running && (line.replaced || line.id.is_none() && line.track().is_some());
        }
    }

    fn frame(&mut self, at: usize, micros: i64, composition_micros: i64, data: Body, now: Now) {
        if data.is_empty() {
            return;
        }
        let line = &mut self.lines[at];
        let before = line.track().is_some();
        let Some(taken) = line.frame(data) else {
            // Frames before the first keyframe of an unknown codec are no damage.
            self.dropped += u32::from(before);
            return;
        };
        let (pts, dts) = line.times(micros, composition_micros, &taken.payload);
        self.first_frame_at.get_or_insert(now);
        if self.is_full() {
            self.dropped += 1;
            return;
        }
        self.held_bytes += taken.payload.len();
        let unit = Unit {
            track: TrackId(0),
            pts,
            dts,
            captured: None,
            random_access: taken.random_access,
            discardable: taken.discardable,
            marker: false,
            payload: taken.payload,
        };
        self.held.push_back(Held { line: at, unit, codec: taken.codec });
    }

    fn line_for(&mut self, kind: Kind, number: u8, codec: TagCodec) -> Option<usize> {
        let known = self.lines.iter().position(|line| (line.kind, line.number) == (kind, number));
        match known {
            Some(at) => {
                if self.lines[at].tag_codec != codec {
                    // Another codec from here on: what is held of the old one goes with it.
                    let id = self.lines[at].id;
                    self.held.retain(|held| held.line != at);
                    self.held_bytes = self.held.iter().map(|held| held.unit.payload.len()).sum();
                    self.lines[at] = Line::new(kind, number, codec);
                    self.lines[at].replaced = id.is_some();
                    self.stale |= self.running && id.is_some();
                }
                Some(at)
            }
            None if self.lines.len() == TRACKS_MAX => None,
            None => {
                self.lines.push(Line::new(kind, number, codec));
                Some(self.lines.len() - 1)
            }
        }
    }

    fn data(&mut self, body: &Body) -> Result<(), ReceiverError> {
        if body.len() > RTMP_METADATA_BYTES_MAX {
            return Ok(());
        }
        let bytes = body.to_bytes();
        let mut reader = amf0::Reader::new(&bytes);
        // Other data (captions, cue points, a player's own) is nobody's but the sender's.
        if bytes.is_empty() || reader.value()?.as_str() != Some("onMetaData") {
            return Ok(());
        }
        let mut values = Vec::new();
        while !reader.is_empty() {
            values.push(reader.value()?);
        }
        self.announced = tag::announced(&values);
        Ok(())
    }

    /// FLV tags with their headers (RTMP 1.0 section 7.1.6); their times move so that the first has the message's.
    fn aggregate(&mut self, timestamp: u32, mut body: Body, now: Now) -> Result<(), ReceiverError> {
        /// Kind, length, timestamp with its high byte behind, stream id.
        const HEADER_BYTES: usize = 11;
        const BACK_POINTER_BYTES: usize = 4;
        let mut shift = None;
        while let Some(header) = body.array::<HEADER_BYTES>() {
            let length = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
            let own = u32::from_be_bytes([header[7], header[4], header[5], header[6]]);
            let part = body.split_to(length).ok_or(TagError::Ended)?;
            let at = own.wrapping_add(*shift.get_or_insert(timestamp.wrapping_sub(own)));
            match header[0] {
                kind::AUDIO => self.media(Media::Audio(at, part), now)?,
                kind::VIDEO => self.media(Media::Video(at, part), now)?,
                kind::DATA => self.media(Media::Data(at, part), now)?,
                _ => {}
            }
            body.split_to(BACK_POINTER_BYTES.min(body.len()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
