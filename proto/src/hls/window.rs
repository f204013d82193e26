//! A run of segments without holes: what is listed, what may still be asked for, and what must be waited for.

use std::collections::VecDeque;

use bytes::Bytes;

use super::cutter::Cut;
use super::file::{File, FileKind, Reload, init_id};
use crate::id::Epoch;
use crate::media::{PartMark, SegmentMark, Tracks};

/// How much a window keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowLimits {
    /// Complete segments in a playlist at least, `hlsSegmentCount`.
    pub listed: usize,
}

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
    /// Its numbers.
    pub mark: SegmentMark,
    /// When it begins, microseconds of path time.
    pub start_micros: i64,
    /// How long it lasts, once it is complete.
    pub duration_micros: Option<i64>,
    /// The tracks in force; none in a gap.
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
    /// No other node has it either.
    pub given_up: bool,
    /// It was cut short, and other nodes may have heard more of it: what is listed is what the one has that heard most.
    pub open_end: bool,
}

/// How far a window is: what blocking reloads wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Standing {
    /// Number of the segment under construction.
    pub segment: u64,
    /// Parts of it that are complete.
    pub parts: u32,
}

/// What becomes of a blocking reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It can be answered.
    Now,
    /// Not yet.
    Wait,
    /// It asks too far ahead (section 6.2.5.2).
    TooFar,
}

/// What a file is to a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Its bytes, in pieces.
    Here(Vec<Bytes>),
    /// It is listed, and being fetched from another node.
    Away,
    /// The part that comes next.
    Next,
    /// It was never here, or is no longer.
    Gone,
    /// Nothing is known of its epoch or its content.
    Unknown,
}

/// Segments that are no longer listed stay for as many more: players that have an old playlist still ask for them
/// (section 6.2.2 wants a segment to outlive the longest playlist that lists it).
const RETAINED: usize = 2;

/// By so much nodes may think differently of where a segment ends that was cut short.
const FITS_MICROS: i64 = 5_000;

/// Parts ahead that a reload may ask for: three where parts last less than a second (section 6.2.5.2).
const ADVANCE_PARTS_MAX: u32 = 3;

/// The run.
#[derive(Clone, Debug)]
pub struct Window {
    limits: WindowLimits,
    segments: VecDeque<Segment>,
    renditions: usize,
    target_seconds: u32,
    settled: bool,
    part_target_micros: i64,
    /// What is cut now is known already.
    repeats: bool,
}

/// What one node's window tells another's, whose own begins later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handover {
    /// Complete segments without a hole, the oldest first.
    pub segments: Vec<Segment>,
    /// See [`Window::target_seconds`].
    pub target_seconds: u32,
    /// See [`Window::part_target_micros`].
    pub part_target_micros: i64,
}

impl Window {
    /// An empty run of so many renditions.
    pub const fn new(limits: WindowLimits, renditions: usize) -> Self {
        Self {
            limits,
            segments: VecDeque::new(),
            renditions,
            target_seconds: 1,
            settled: false,
            part_target_micros: 0,
            repeats: false,
        }
    }

    /// A run that goes on where another node's stands.
    pub fn after(limits: WindowLimits, renditions: usize, before: Handover) -> Self {
        let Handover { segments, target_seconds, part_target_micros } = before;
        let mut window = Self::new(limits, renditions);
        window.settled = target_seconds > 0 && !segments.is_empty();
        window.target_seconds = target_seconds.max(1);
        window.part_target_micros = part_target_micros;
        window.segments = segments.into();
        window.trim();
        window
    }

    /// What another node's window can go on with.
    pub fn handover(&self) -> Handover {
        let complete = self.segments.iter().filter(|segment| segment.duration_micros.is_some());
        Handover {
            segments: complete.cloned().collect(),
            target_seconds: if self.settled { self.target_seconds } else { 0 },
            part_target_micros: self.part_target_micros,
        }
    }

    /// Numbers of the segments of which another node may have more, the newest first.
    pub fn wanted(&self) -> impl Iterator<Item = u64> {
        let wanted = self.segments.iter().rev().filter(|segment| segment.is_wanted());
        wanted.map(|segment| segment.mark.number)
    }

    /// A complete segment.
    pub fn segment(&self, number: u64) -> Option<&Segment> {
        self.segments.iter().find(|segment| segment.mark.number == number && segment.duration_micros.is_some())
    }

    /// The segment that was cut short and has no agreed end yet. What is listed stays as it is until it has one.
    pub fn open_end(&self) -> Option<u64> {
        self.segments.iter().find(|segment| segment.open_end).map(|segment| segment.mark.number)
    }

    /// Ends a segment that was cut short as the node ends it that has heard most of it, this one or one of `others`: all
    /// nodes that ask each other come to the same.
    pub fn close_end(&mut self, number: u64, others: Vec<Segment>) {
        let Some(place) = self.segments.iter_mut().find(|segment| segment.mark.number == number) else { return };
        // One that has heard the next segment begin has all of it.
        let of_the_same = |other: &Segment| other.mark == place.mark && other.id == place.id && !other.broken;
        let best = others.into_iter().filter(of_the_same).max_by_key(Segment::extent);
        if let Some(best) = best.filter(|best| place.broken || best.extent() > place.extent()) {
            *place = best;
        }
        place.open_end = false;
        let duration = place.duration_micros.unwrap_or_default();
        self.raise_target(duration);
    }

    /// Puts a segment that another node has into its place, if it is wanted there.
    pub fn fill(&mut self, mut segment: Segment) {
        let takes = self.takes(&segment);
        let place = self.segments.iter_mut().find(|place| place.mark.number == segment.mark.number);
        if let (Some(place), Some(duration), true) = (place, segment.duration_micros, takes) {
            // What stands before it here may be something else than there.
            segment.mark.discontinuity |= place.tracks.is_some() && place.mark.discontinuity;
            *place = segment;
            self.raise_target(duration);
        }
    }

    /// Whether a segment that another node has is what is wanted here.
    pub fn takes(&self, segment: &Segment) -> bool {
        let Some(at) = self.segments.iter().position(|place| place.mark.number == segment.mark.number) else {
            return false;
        };
        let before = at.checked_sub(1).and_then(|before| self.segments.get(before));
        let (place, after) = (&self.segments[at], self.segments.get(at + 1));
        // Where what stands beside it is of another time, this node has had something else meanwhile.
        let end = |segment: &Segment| segment.start_micros + segment.duration_micros.unwrap_or_default();
        let fits = before.is_none_or(|before| end(before) <= segment.start_micros + FITS_MICROS)
            && after.is_none_or(|after| end(segment) <= after.start_micros + FITS_MICROS);
        place.takes(segment) && (fits || place.tracks.is_some())
    }

    /// Nobody has more of a segment: what is not here is a gap.
    pub fn give_up(&mut self, number: u64) {
        if let Some(place) = self.segments.iter_mut().find(|place| place.mark.number == number && place.is_wanted()) {
            place.broken = true;
            place.given_up = true;
            place.parts.clear();
        }
    }

    /// Takes what the cutter made.
    pub fn take(&mut self, cut: Cut) {
        match cut {
            Cut::Begin { epoch, mut mark, start_micros, tracks, inits } => {
                // What was taken over from another node reaches further than where the log begins here.
                self.repeats = self.segments.iter().any(|known| known.is_same_or_later(epoch, mark));
                if self.repeats || self.is_told_otherwise(epoch, mark, start_micros) {
                    self.repeats = true;
                    return;
                }
                self.fill_gap(&mut mark, start_micros);
                self.target_seconds = self.target_seconds.max(mark.target_seconds);
                self.settled |= mark.target_seconds > 0;
                self.trim();
                let inits = inits.into_iter().map(|init| init.map(|init| (init_id(&init), init))).collect();
                self.segments.push_back(Segment {
                    tracks: Some(tracks),
                    inits,
                    ..empty(File::epoch_id(epoch), mark, start_micros)
                });
            }
            _ if self.repeats => {}
            Cut::Part { mark, duration_micros, bodies } => {
                let bodies = bodies.into_iter().map(Body::from).collect();
                let Some(open) = self.open_mut() else { return };
                open.parts.push(Part { mark, duration_micros, bodies });
                let elapsed = open.parts.iter().map(|part| part.duration_micros).sum();
                self.part_target_micros = self.part_target_micros.max(duration_micros);
                self.raise_target(elapsed);
            }
            Cut::End { duration_micros, units, bodies, cut_short } => {
                let Some(open) = self.open_mut() else { return };
                open.duration_micros = Some(duration_micros);
                open.units = units;
                open.streams = bodies.into_iter().map(Body::from).collect();
                open.tail = cut_short.then(|| open.tail_id());
                open.open_end = cut_short;
                self.raise_target(duration_micros);
                self.trim();
            }
            Cut::Broken => {
                if let Some(open) = self.open_mut() {
                    open.broken = true;
                    open.parts.clear();
                }
            }
        }
    }

    /// Segments that a playlist lists, the open one last: as many as are wanted, and three target durations at least
    /// (section 6.2.2).
    pub fn listed(&self) -> impl DoubleEndedIterator<Item = &Segment> + ExactSizeIterator {
        let short = i64::from(self.target_seconds) * 3_000_000;
        let (mut complete, mut micros) = (0, 0);
        let enough = self.segments.iter().rev().take_while(|segment| {
            let wanted = complete < self.limits.listed || micros < short;
            complete += usize::from(segment.duration_micros.is_some());
            micros += segment.duration_micros.unwrap_or_default();
            wanted
        });
        let skip = self.segments.len() - enough.count();
        self.segments.range(skip..)
    }

    /// Whether there is a playlist yet: when it is settled how long segments are, and one is complete.
    pub fn is_ready(&self) -> bool {
        self.settled && self.segments.iter().any(|segment| segment.duration_micros.is_some())
    }

    /// Whether it goes on here without a hole: what is missing nobody else has either.
    pub fn is_whole(&self) -> bool {
        let is_hole = |segment: &Segment| segment.broken && segment.is_wanted();
        self.segments.back().is_some_and(|last| last.duration_micros.is_none()) && !self.segments.iter().any(is_hole)
    }

    /// How far the run is.
    pub fn standing(&self) -> Standing {
        let Some(last) = self.segments.back() else { return Standing::default() };
        match last.duration_micros {
            Some(_) => Standing { segment: last.mark.number + 1, parts: 0 },
            None => Standing { segment: last.mark.number, parts: last.parts.len() as u32 },
        }
    }

    /// `EXT-X-TARGETDURATION`: as it was settled for the path. Grows only where one picture stands for longer.
    pub const fn target_seconds(&self) -> u32 {
        self.target_seconds
    }

    /// The longest part so far, microseconds.
    pub const fn part_target_micros(&self) -> i64 {
        self.part_target_micros
    }

    /// Number that the next part will have.
    pub fn next_part(&self) -> Option<u64> {
        let last = self.segments.iter().rev().find_map(|segment| segment.parts.last())?;
        Some(last.mark.number + 1)
    }

    /// What becomes of a reload that waits.
    pub fn verdict(&self, reload: Reload) -> Verdict {
        let Some(segment) = reload.segment else { return Verdict::Now };
        let standing = self.standing();
        if segment < standing.segment {
            return Verdict::Now;
        }
        let far = segment > standing.segment.saturating_add(1)
            || segment == standing.segment
                && reload.part.is_some_and(|part| part > standing.parts.saturating_add(ADVANCE_PARTS_MAX));
        match reload.part {
            // A part behind a segment's last means the next segment's first: not before that begins.
            Some(part) if segment == standing.segment && part < standing.parts => Verdict::Now,
            _ if far && self.is_ready() => Verdict::TooFar,
            _ => Verdict::Wait,
        }
    }

    /// Finds a file of the rendition that stands at `index` among the renditions.
    pub fn find(&self, file: &File, index: usize) -> Found {
        if file.kind == FileKind::Init {
            let inits = self.segments.iter().filter_map(|segment| segment.inits.get(index)?.as_ref());
            let found = inits.rev().find(|(id, _)| *id == file.id).map(|(_, init)| init.clone());
            return found.map_or(Found::Unknown, |init| Found::Here(vec![init]));
        }
        if !self.segments.iter().any(|segment| segment.id == file.id || segment.tail == Some(file.id)) {
            return Found::Unknown;
        }
        let whole = |number| {
            self.segments.iter().find(|segment| segment.mark.number == number && segment.whole_id() == file.id)
        };
        match file.kind {
            FileKind::Part(number) => self.find_part(file.id, number, index),
            FileKind::Segment(number) => whole(number).map_or(Found::Gone, |segment| segment.body(index)),
            FileKind::TsSegment(number) => whole(number).map_or(Found::Gone, |segment| segment.stream(index)),
            FileKind::Init => Found::Unknown,
        }
    }

    fn find_part(&self, id: u64, number: u64, index: usize) -> Found {
        if self.next_part() == Some(number) {
            return Found::Next;
        }
        let mut parts = self.segments.iter().rev().flat_map(|segment| segment.parts.iter().map(move |p| (segment, p)));
        let part = parts.find(|(segment, part)| part.mark.number == number && segment.part_id(part) == id);
        part.map_or(Found::Gone, |(_, part)| collect(part.bodies.get(index)))
    }

    fn open_mut(&mut self) -> Option<&mut Segment> {
        self.segments.back_mut().filter(|last| last.duration_micros.is_none())
    }

    /// The target must be no less than any segment's length, rounded to the nearest second.
    fn raise_target(&mut self, duration_micros: i64) {
        let seconds = u32::try_from((duration_micros + 500_000) / 1_000_000).unwrap_or(u32::MAX);
        self.target_seconds = self.target_seconds.max(seconds);
    }

    /// Whether this number, or this time, was another epoch's here: this node was cut off from the others and went on with a
    /// publisher that they had lost. Players keep what they were told; the others' segments go on after that.
    fn is_told_otherwise(&self, epoch: Epoch, mark: SegmentMark, start_micros: i64) -> bool {
        let Some(last) = self.segments.back().filter(|last| last.id != File::epoch_id(epoch)) else { return false };
        let Some(duration) = last.duration_micros else { return false };
        match last.mark.number.checked_sub(mark.number) {
            // From further back it would take too long.
            Some(ahead) => ahead < self.limits.listed as u64,
            None => start_micros < last.start_micros + duration,
        }
    }

    /// Lists what never came as gaps, so that the run has no hole; begins a new run where it is too much.
    fn fill_gap(&mut self, mark: &mut SegmentMark, start_micros: i64) {
        let Some(last) = self.segments.back_mut() else { return };
        if last.duration_micros.is_none() {
            // Its end was lost, too.
            last.broken = true;
            last.duration_micros = Some((start_micros - last.start_micros).max(0));
        }
        let (id, mut before) = (last.id, last.mark);
        let from_micros = last.start_micros + last.duration_micros.unwrap_or_default();
        let missing = mark.number.checked_sub(before.number + 1);
        let unseen = mark.discontinuities.checked_sub(before.discontinuities + u64::from(mark.discontinuity));
        let (Some(missing), Some(mut unseen)) = (missing, unseen) else { return self.segments.clear() };
        if unseen == missing + 1 && !mark.discontinuity {
            // It was said of a segment that is not listed here.
            mark.discontinuity = true;
            unseen -= 1;
        }
        if missing > self.limits.listed as u64 || unseen > missing {
            return self.segments.clear();
        }
        let each = (start_micros - from_micros).max(0) / (missing as i64).max(1);
        for n in 0..missing {
            let discontinuity = n < unseen;
            before = SegmentMark {
                number: before.number + 1,
                discontinuities: before.discontinuities + u64::from(discontinuity),
                discontinuity,
                independent: true,
                target_seconds: before.target_seconds,
            };
            let mut gap = empty(id, before, from_micros + each * n as i64);
            gap.duration_micros = Some(each);
            gap.broken = true;
            self.raise_target(each);
            self.segments.push_back(gap);
        }
    }

    fn trim(&mut self) {
        let kept = self.listed().len().max(self.limits.listed) * RETAINED;
        while self.segments.len() > kept {
            self.segments.pop_front();
        }
        // Parts are listed near the end only, and a segment's body is made of them; transport streams need none.
        for segment in self.segments.iter_mut().filter(|segment| segment.duration_micros.is_some()) {
            segment.parts.retain(|part| !part.bodies.is_empty());
        }
    }

    /// Bytes of all that it keeps.
    pub fn held(&self) -> usize {
        self.segments.iter().map(Segment::held).sum()
    }

    /// Gives up so many bytes of the oldest: first what is no longer listed, then the run's beginning. The newest complete
    /// segment stays.
    pub fn shed(&mut self, bytes: usize) {
        let mut left = bytes;
        while left > 0 && self.segments.iter().filter(|segment| segment.duration_micros.is_some()).count() > 1 {
            left = left.saturating_sub(self.segments.pop_front().map_or(0, |segment| segment.held()));
        }
    }

    /// Number of renditions.
    pub const fn renditions(&self) -> usize {
        self.renditions
    }
}

impl Segment {
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

    /// The bytes of a complete segment of fragmented MP4: its parts.
    fn body(&self, index: usize) -> Found {
        if self.broken || self.duration_micros.is_none() || self.inits.get(index).is_none_or(Option::is_none) {
            return Found::Gone;
        }
        collect(self.parts.iter().filter_map(|part| part.bodies.get(index)))
    }

    fn stream(&self, index: usize) -> Found {
        collect(self.streams.get(index).filter(|_| !self.broken))
    }

    fn bodies(&self) -> impl Iterator<Item = &Body> {
        self.parts.iter().flat_map(|part| &part.bodies).chain(&self.streams)
    }

    /// Bytes in all renditions that are here.
    fn held(&self) -> usize {
        self.bodies().map(|body| if let Body::Here(bytes) = body { bytes.len() } else { 0 }).sum()
    }

    /// How much of it was heard: of two ends the one with more is listed.
    fn extent(&self) -> (bool, bool, u32, usize, Option<u64>) {
        (!self.broken, self.tail.is_none(), self.units, self.bodies().map(Body::len).sum(), self.tail)
    }

    /// Whether that of another node may stand here. Under the same number there may be something else: what was told of it stays,
    /// and so does its name.
    fn takes(&self, other: &Self) -> bool {
        let is_same = if self.broken { self.id == other.id } else { self.whole_id() == other.whole_id() };
        self.is_wanted() && (self.tracks.is_none() || is_same)
    }

    /// Whether another node may have more of it.
    fn is_wanted(&self) -> bool {
        let is_away = || self.bodies().any(|body| matches!(body, Body::Away(_)));
        self.duration_micros.is_some() && !self.given_up && !self.open_end && (self.broken || is_away())
    }

    fn is_same_or_later(&self, epoch: Epoch, mark: SegmentMark) -> bool {
        self.duration_micros.is_some() && self.id == File::epoch_id(epoch) && self.mark.number >= mark.number
    }

    fn tail_id(&self) -> u64 {
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
fn collect<'a>(bodies: impl IntoIterator<Item = &'a Body>) -> Found {
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

const fn empty(id: u64, mark: SegmentMark, start_micros: i64) -> Segment {
    Segment {
        id,
        tail: None,
        mark,
        start_micros,
        duration_micros: None,
        tracks: None,
        inits: Vec::new(),
        parts: Vec::new(),
        streams: Vec::new(),
        units: 0,
        broken: false,
        given_up: false,
        open_end: false,
    }
}
