//! A segment of a run: what there is of it here, what it is named, and where it stands.

use bytes::Bytes;

use super::super::file::{File, init_id};
use super::Found;
use crate::id::Epoch;
use crate::media::{PartMark, SegmentMark, Tracks};

/// What there is of a part, or of a transport stream's segment, in one rendition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing, for anybody.
    Nothing,
    /// Its bytes.
    Here(Bytes),
    /// So many bytes, which another node has and this one has not fetched yet.
    Away(u32),
}

/// A part that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its numbers.
    pub mark: PartMark,
    /// How long it lasts, microseconds.
    pub duration_micros: i64,
    /// What there is of it in each rendition.
    pub bodies: Vec<Body>,
}

/// A segment, complete or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The digits of its epoch.
    pub id: u64,
    /// The digits that it and its last part are named by instead, when another epoch cut it short: nodes may have heard
    /// different amounts of its end, so these are digits of its content.
    pub tail: Option<u64>,
    /// Its numbers, as they were stamped.
    pub mark: SegmentMark,
    /// How it follows what stands before it in the run.
    pub place: Place,
    /// When it begins, microseconds of path time.
    pub start_micros: i64,
    /// How long it lasts, once it is complete.
    pub duration_micros: Option<i64>,
    /// The tracks in force; none where nothing is known of it but its number.
    pub tracks: Option<Tracks>,
    /// Initialisation segment of each rendition, with the digits of its name.
    pub inits: Vec<Option<(u64, Bytes)>>,
    /// Its parts so far.
    pub parts: Vec<Part>,
    /// Transport stream of each rendition.
    pub streams: Vec<Body>,
    /// Leading units in it.
    pub units: u32,
    /// Some of it is missing here.
    pub broken: bool,
    /// How long it lasts is not known: only what comes next.
    pub guessed: bool,
    /// No other node has it either.
    pub given_up: bool,
    /// It was cut short, and other nodes may have heard more of it: what is listed is what the one has that heard most.
    pub open_end: bool,
}

/// How a segment follows what stands before it in the run of this node. Where all nodes have had the same, it is as stamped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Discontinuities of the run up to and including this segment.
    pub discontinuities: u64,
    /// So many of them stand right before it.
    pub breaks: u64,
}

impl Segment {
    /// One of which nothing is here.
    pub(super) const fn empty(id: u64, mark: SegmentMark, start_micros: i64) -> Self {
        Self {
            id,
            tail: None,
            mark,
            place: Place { discontinuities: 0, breaks: 0 },
            start_micros,
            duration_micros: None,
            tracks: None,
            inits: Vec::new(),
            parts: Vec::new(),
            streams: Vec::new(),
            units: 0,
            broken: false,
            guessed: false,
            given_up: false,
            open_end: false,
        }
    }

    /// Whether a rendition has nothing to give for this segment.
    pub fn is_gap(&self, index: usize) -> bool {
        self.broken
            || (self.duration_micros.is_some() && self.body(index) == Found::Gone && self.stream(index) == Found::Gone)
    }

    /// The digits that the whole of it is named by.
    pub fn whole_id(&self) -> u64 {
        self.tail.unwrap_or(self.id)
    }

    /// The digits that a part of it is named by.
    pub fn part_id(&self, part: &Part) -> u64 {
        let is_last = self.parts.last().is_some_and(|last| last.mark.number == part.mark.number);
        self.tail.filter(|_| is_last).unwrap_or(self.id)
    }

    /// Bytes of a complete segment in a rendition.
    pub fn bytes(&self, index: usize) -> usize {
        let parts = self.parts.iter().filter_map(|part| part.bodies.get(index));
        parts.chain(self.streams.get(index)).map(Body::len).sum()
    }

    /// When it ends, so far as that is known, microseconds of path time.
    pub(super) fn end_micros(&self) -> i64 {
        self.start_micros + self.duration_micros.unwrap_or_default()
    }

    /// The bytes of a complete segment of fragmented MP4: its parts.
    pub(super) fn body(&self, index: usize) -> Found {
        if self.broken || self.duration_micros.is_none() || self.inits.get(index).is_none_or(Option::is_none) {
            return Found::Gone;
        }
        collect(self.parts.iter().filter_map(|part| part.bodies.get(index)))
    }

    pub(super) fn stream(&self, index: usize) -> Found {
        collect(self.streams.get(index).filter(|_| !self.broken))
    }

    fn bodies(&self) -> impl Iterator<Item = &Body> {
        self.parts.iter().flat_map(|part| &part.bodies).chain(&self.streams)
    }

    /// Bytes in all renditions that are here.
    pub(super) fn held(&self) -> usize {
        self.bodies().map(|body| if let Body::Here(bytes) = body { bytes.len() } else { 0 }).sum()
    }

    /// How much of it was heard: of two ends the one with more is listed.
    pub(super) fn extent(&self) -> (bool, bool, u32, usize, Option<u64>) {
        (!self.broken, self.tail.is_none(), self.units, self.bodies().map(Body::len).sum(), self.tail)
    }

    /// Whether another node may have more of it.
    pub(super) fn is_wanted(&self) -> bool {
        let is_away = || self.bodies().any(|body| matches!(body, Body::Away(_)));
        self.duration_micros.is_some() && !self.given_up && !self.open_end && (self.broken || is_away())
    }

    /// What is not here is a gap.
    pub(super) fn give_up(&mut self) {
        self.broken = true;
        self.given_up = true;
        self.parts.clear();
    }

    /// What was cut of this epoch before is not cut anew.
    pub(super) fn is_same_or_later(&self, epoch: Epoch, mark: SegmentMark) -> bool {
        self.duration_micros.is_some() && self.id == File::epoch_id(epoch) && self.mark.number >= mark.number
    }

    /// Whether it is not listed yet, for another node may have more of it.
    pub(super) const fn is_held_back(&self) -> bool {
        self.open_end || self.broken && !self.given_up
    }

    /// The digits of its end's content.
    pub(super) fn tail_id(&self) -> u64 {
        let last = self.parts.last().map(|part| &part.bodies).filter(|_| self.streams.is_empty());
        let mut content = Vec::new();
        for body in last.unwrap_or(&self.streams) {
            if let Body::Here(bytes) = body {
                content.extend_from_slice(bytes);
            }
        }
        init_id(&content)
    }
}

impl Body {
    /// Its length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Here(bytes) => bytes.len(),
            Self::Away(bytes) => *bytes as usize,
        }
    }

    /// Whether there is nothing.
    pub const fn is_empty(&self) -> bool {
        matches!(self, Self::Nothing)
    }
}

impl From<Option<Bytes>> for Body {
    fn from(bytes: Option<Bytes>) -> Self {
        bytes.map_or(Self::Nothing, Self::Here)
    }
}

/// All of these together.
pub(super) fn collect<'a>(bodies: impl IntoIterator<Item = &'a Body>) -> Found {
    let mut pieces = Vec::new();
    for body in bodies {
        match body {
            Body::Nothing => {}
            Body::Here(bytes) => pieces.push(bytes.clone()),
            Body::Away(_) => return Found::Away,
        }
    }
    if pieces.is_empty() { Found::Gone } else { Found::Here(pieces) }
}
