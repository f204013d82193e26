//! A run of segments without holes: what is listed, what may still be asked for, and what must be waited for.

mod holes;
mod run;
mod segment;

use std::collections::VecDeque;

use bytes::Bytes;

use self::segment::collect;
pub use self::segment::{Body, Part, Place, Segment};
use super::cutter::Cut;
use super::file::{File, FileKind, Reload, init_id};
use crate::media::SegmentMark;

/// How much a window keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowLimits {
    /// Complete segments in a playlist at least, `hlsSegmentCount`.
    pub listed: usize,
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
    /// Discontinuities of a run that was forgotten, and which the next one does not follow.
    before: Option<u64>,
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
            before: None,
        }
    }

    /// A run that goes on where another node's stands.
    pub fn after(limits: WindowLimits, renditions: usize, before: Handover) -> Self {
        let Handover { segments, target_seconds, part_target_micros } = before;
        let mut window = Self::new(limits, renditions);
        window.settled = target_seconds > 0 && !segments.is_empty();
        window.target_seconds = target_seconds.max(1);
        window.part_target_micros = part_target_micros;
        // What is missing there is missing everywhere: else it was not told yet.
        let told = segments.into_iter().map(|segment| Segment { given_up: segment.broken, ..segment });
        window.segments = told.collect();
        window.place_from(0);
        window.trim();
        window
    }

    /// What another node's window can go on with: what is listed here and by all.
    pub fn handover(&self) -> Handover {
        let is_told = |segment: &&Segment| segment.duration_micros.is_some() && !segment.is_held_back();
        let segments = self.segments.range(self.common_from()..).take_while(is_told).map(|segment| {
            let Place { discontinuities, breaks } = segment.place;
            let mark = SegmentMark { discontinuities, discontinuity: breaks > 0, ..segment.mark };
            Segment { mark, place: Place::default(), guessed: false, given_up: false, ..segment.clone() }
        });
        Handover {
            segments: segments.collect(),
            target_seconds: if self.settled { self.target_seconds } else { 0 },
            part_target_micros: self.part_target_micros,
        }
    }

    /// A complete segment.
    pub fn segment(&self, number: u64) -> Option<&Segment> {
        self.segments.iter().find(|segment| segment.mark.number == number && segment.duration_micros.is_some())
    }

    /// Takes what the cutter made.
    pub fn take(&mut self, cut: Cut) {
        match cut {
            Cut::Begin { epoch, mark, start_micros, tracks, inits } => {
                // What was taken over from another node reaches further than where the log begins here.
                self.repeats = self.segments.iter().any(|known| known.is_same_or_later(epoch, mark))
                    || self.is_told_otherwise(epoch, mark, start_micros);
                if self.repeats {
                    return;
                }
                let first_new = self.reach(epoch, mark, start_micros);
                self.target_seconds = self.target_seconds.max(mark.target_seconds);
                self.settled |= mark.target_seconds > 0;
                let inits = inits.into_iter().map(|init| init.map(|init| (init_id(&init), init))).collect();
                let segment = Segment::empty(File::epoch_id(epoch), mark, start_micros);
                self.segments.push_back(Segment { tracks: Some(tracks), inits, ..segment });
                self.place_from(first_new);
                self.trim();
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
                // What is broken is named as those do who have it.
                open.tail = (cut_short && !open.broken).then(|| open.tail_id());
                open.open_end = cut_short;
                // Of what was lost it is not known how long it lasts.
                open.guessed = open.broken && !open.given_up;
                if !open.guessed {
                    self.raise_target(duration_micros);
                }
                self.trim();
            }
            // Its parts that are complete are listed, and stay.
            Cut::Broken => {
                if let Some(open) = self.open_mut() {
                    open.broken = true;
                }
            }
            Cut::TooLarge => {
                if let Some(open) = self.open_mut() {
                    open.give_up();
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
