//! Units into parts and segments, at the marks.

use bytes::Bytes;

use super::rendition::{Rendition, Variant};
use crate::id::Epoch;
use crate::limits::HLS_PARTS_MAX;
use crate::media::{Marks, PartMark, SegmentMark, Track, TrackId, Tracks, Unit};
use crate::opaque::Assembler;
use crate::{mp4, ts};

/// A unit in its place in the log.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// The ownership it was published under.
    pub epoch: Epoch,
    /// The unit, its times in path time.
    pub unit: &'a Unit,
    /// Decoding time in path time, microseconds.
    pub dts_micros: i64,
    /// What is stamped before it.
    pub marks: Option<Marks>,
    /// The tracks in force from it on.
    pub tracks: &'a Tracks,
}

/// What the cutter made. Bodies stand in the order of the renditions; one that has nothing to say has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// A segment begins.
    Begin {
        /// The ownership it belongs to.
        epoch: Epoch,
        /// Its numbers.
        mark: SegmentMark,
        /// When, in path time, microseconds.
        start_micros: i64,
        /// The tracks in force.
        tracks: Tracks,
        /// Initialisation segments; none in transport streams.
        inits: Vec<Option<Bytes>>,
    },
    /// A part of it is complete.
    Part {
        /// Its numbers.
        mark: PartMark,
        /// How long it lasts, microseconds.
        duration_micros: i64,
        /// Its fragments.
        bodies: Vec<Option<Bytes>>,
    },
    /// The segment is complete.
    End {
        /// How long it lasts, microseconds.
        duration_micros: i64,
        /// Leading units in it.
        units: u32,
        /// Of transport streams, the segment; else it is its parts one behind the other.
        bodies: Vec<Option<Bytes>>,
        /// Another epoch begins before it was at its end.
        cut_short: bool,
    },
    /// Some of the segment is missing here: nobody shall be given the rest.
    Broken,
    /// The segment grew too large, as it does wherever it is cut: nobody shall be given it.
    TooLarge,
}

/// Cuts one stream for some renditions.
#[derive(Debug)]
pub struct Cutter {
    variant: Variant,
    renditions: Vec<Rendition>,
    segment_bytes_max: usize,
    open: Option<Open>,
    /// Segments passed over at the beginning.
    passed: u32,
    /// The last initialisation segments and the tracks they were made of.
    inits: Option<(Tracks, Vec<Option<Bytes>>)>,
}

/// The segment under construction.
#[derive(Debug)]
struct Open {
    epoch: Epoch,
    number: u64,
    discontinuities: u64,
    tracks: Tracks,
    start_micros: i64,
    part: PartMark,
    part_start_micros: i64,
    parts: u32,
    bytes: usize,
    leading_units: u32,
    /// Of tracks that fragments want put together, by their number. They begin anew with the segment, so that it is the
    /// same whoever cuts it, and from wherever.
    assemblers: Vec<Option<Assembler>>,
    /// Units of the open part; of the whole segment in transport streams.
    units: Vec<Unit>,
    /// Where in `units` the open part begins.
    part_from: usize,
    /// Of transport streams with more than one part nothing is published before the end.
    broken: bool,
}

/// Segments that are passed over at the beginning while the parameters of a track are not known.
const PASSED_MAX: u32 = 2;

impl Cutter {
    /// Cuts for these renditions. A segment larger than `segment_bytes_max` is given up.
    pub const fn new(variant: Variant, renditions: Vec<Rendition>, segment_bytes_max: usize) -> Self {
        Self { variant, renditions, segment_bytes_max, open: None, passed: 0, inits: None }
    }

    /// The renditions, in the order of the bodies.
    pub fn renditions(&self) -> &[Rendition] {
        &self.renditions
    }

    /// Bytes of units that are held for the part, or the transport stream, under construction.
    pub fn held(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.units.iter().map(|unit| unit.payload.len()).sum())
    }

    /// Takes the next unit of the log.
    pub fn push(&mut self, piece: &Piece<'_>, out: &mut Vec<Cut>) {
        if let Some(marks) = piece.marks {
            match (marks.segment, marks.part) {
                (Some(segment), Some(part)) => {
                    let of_one_epoch = self.is_of_open(piece);
                    let follows = self.open.as_ref().is_some_and(|open| open.number + 1 == segment.number);
                    let misses_end = match of_one_epoch {
                        true => !follows,
                        false => self.open.as_ref().is_some_and(|open| open.misses_end_before(segment)),
                    };
                    if misses_end {
                        // The segments between are missing here, and with them this one's end.
                        self.lost(out);
                    }
                    let continues = of_one_epoch && follows && !segment.discontinuity;
                    self.end(continues.then_some(piece), Some(piece.epoch), out);
                    self.begin(piece, segment, part, out);
                }
                (None, Some(part)) if self.is_of_open(piece) => self.next_part(piece, part, out),
                _ => {}
            }
        }
        // What comes under another epoch before its first mark belongs to no segment: nobody knows how much of it others hear.
        if !self.is_of_open(piece) {
            return;
        }
        let Some(open) = self.open.as_mut().filter(|open| !open.broken) else { return };
        open.bytes += piece.unit.payload.len();
        open.leading_units += u32::from(leads(&open.tracks, piece.unit.track));
        if open.bytes > self.segment_bytes_max || open.parts >= HLS_PARTS_MAX {
            open.broken = true;
            open.units = Vec::new();
            open.part_from = 0;
            out.push(Cut::TooLarge);
            return;
        }
        match open.assemblers.get_mut(usize::from(piece.unit.track.0)).and_then(Option::as_mut) {
            Some(assembler) => assembler.push(piece.unit, |unit| open.units.push(unit)),
            None => open.units.push(piece.unit.clone()),
        }
    }

    fn is_of_open(&self, piece: &Piece<'_>) -> bool {
        self.open.as_ref().is_some_and(|open| open.epoch == piece.epoch)
    }

    /// Units of this ownership are missing here that others have. How much was heard of the end of another one is told by what
    /// follows it.
    pub fn missed(&mut self, epoch: Epoch, out: &mut Vec<Cut>) {
        if self.open.as_ref().is_some_and(|open| open.epoch == epoch) {
            self.lost(out);
        }
    }

    /// Units are missing that others have: the open segment cannot be made.
    pub fn lost(&mut self, out: &mut Vec<Cut>) {
        if let Some(open) = self.open.as_mut().filter(|open| !open.broken) {
            open.broken = true;
            open.units = Vec::new();
            open.part_from = 0;
            out.push(Cut::Broken);
        }
    }

    /// Nothing follows: ends what is open.
    pub fn finish(&mut self, out: &mut Vec<Cut>) {
        self.end(None, None, out);
    }

    fn begin(&mut self, piece: &Piece<'_>, mark: SegmentMark, part: PartMark, out: &mut Vec<Cut>) {
        if self.inits.is_none() && !mark.independent {
            // Nobody could begin with it.
            return;
        }
        let tracks = piece.tracks.clone();
        if self.inits.is_none() && self.passed < PASSED_MAX {
            // Players that begin without sound never look for it again: wait for its first frame, but not for ever.
            self.passed += 1;
            if self.renditions.iter().any(|rendition| rendition.is_incomplete(self.variant, &tracks)) {
                return;
            }
        }
        let inits = match &self.inits {
            Some((known, inits)) if *known == tracks => inits.clone(),
            _ => self.renditions.iter().map(|rendition| self.init(*rendition, &tracks)).collect(),
        };
        self.inits = Some((tracks.clone(), inits.clone()));
        let start_micros = piece.dts_micros;
        out.push(Cut::Begin { epoch: piece.epoch, mark, start_micros, tracks: tracks.clone(), inits });
        let assemblers = match self.variant {
            Variant::Mpegts => Vec::new(),
            _ => {
                let carried = |track: &&Track| self.variant.carries(&track.codec);
                tracks.iter().map(|(_, track)| Some(track).filter(carried).and_then(Assembler::new)).collect()
            }
        };
        self.open = Some(Open {
            epoch: piece.epoch,
            number: mark.number,
            discontinuities: mark.discontinuities,
            assemblers,
            tracks,
            start_micros,
            part,
            part_start_micros: start_micros,
            parts: 0,
            bytes: 0,
            leading_units: 0,
            units: Vec::new(),
            part_from: 0,
            broken: false,
        });
    }

    fn init(&self, rendition: Rendition, tracks: &Tracks) -> Option<Bytes> {
        match self.variant {
            Variant::Mpegts => None,
            _ => mp4::init(rendition.tracks(self.variant, tracks).into_iter().map(|(_, track)| track)),
        }
    }

    fn next_part(&mut self, piece: &Piece<'_>, mark: PartMark, out: &mut Vec<Cut>) {
        self.end_part(Some(piece), out);
        if let Some(open) = &mut self.open {
            open.part = mark;
            open.part_start_micros = piece.dts_micros;
            open.parts += 1;
            open.part_from = open.units.len();
        }
    }

    /// Ends the open part before `next`, which continues it, if anything does.
    fn end_part(&mut self, next: Option<&Piece<'_>>, out: &mut Vec<Cut>) {
        let Some(open) = self.open.as_mut().filter(|open| !open.broken) else { return };
        let units = &open.units[open.part_from..];
        let end_micros =
            next.map_or_else(|| end_of(&open.tracks, units, open.part_start_micros), |next| next.dts_micros);
        let duration_micros = (end_micros - open.part_start_micros).max(0);
        let bodies = match self.variant {
            Variant::Mpegts => Vec::new(),
            _ => {
                let next = next.map(|next| (next.unit.track, next.unit.dts));
                let make = |rendition: &Rendition| {
                    let tracks = rendition.tracks(self.variant, &open.tracks);
                    fragment(open.part.number, &tracks, units, next)
                };
                let bodies = self.renditions.iter().map(make).collect();
                open.units.clear();
                open.part_from = 0;
                bodies
            }
        };
        out.push(Cut::Part { mark: open.part, duration_micros, bodies });
    }

    /// Ends the open segment before `next`, which continues it, if anything does. `epoch`: of what comes next.
    fn end(&mut self, next: Option<&Piece<'_>>, epoch: Option<Epoch>, out: &mut Vec<Cut>) {
        let end_micros = next.map(|next| next.dts_micros).or_else(|| {
            let open = self.open.as_ref()?;
            Some(end_of(&open.tracks, &open.units[open.part_from..], open.part_start_micros))
        });
        self.end_part(next, out);
        let (Some(open), Some(end_micros)) = (self.open.take(), end_micros) else { return };
        let bodies = match self.variant {
            Variant::Mpegts if !open.broken => {
                let make = |rendition: &Rendition| {
                    let tracks = rendition.tracks(self.variant, &open.tracks);
                    ts::segment(tracks, &open.units).map(Bytes::from)
                };
                self.renditions.iter().map(make).collect()
            }
            _ => Vec::new(),
        };
        let duration_micros = (end_micros - open.start_micros).max(0);
        let cut_short = epoch.is_some_and(|epoch| epoch != open.epoch);
        out.push(Cut::End { duration_micros, units: open.leading_units, bodies, cut_short });
    }
}

impl Open {
    /// Whether its end is missing here when this comes next, of another epoch: then the segments between are of its own. They may
    /// be of the other one instead, unless this is its first: behind a discontinuity, or in the middle of a group where an owner
    /// has claimed its path again. Else nodes ask each other how much they have heard.
    const fn misses_end_before(&self, next: SegmentMark) -> bool {
        let goes_on = next.discontinuities == self.discontinuities && !next.independent;
        next.number > self.number + 1 && (next.discontinuity || goes_on)
    }
}

/// Whether marks are stamped on units of this track.
fn leads(tracks: &Tracks, track: TrackId) -> bool {
    tracks.leading().is_none_or(|leading| leading == track)
}

/// When the last leading unit ends, microseconds of path time: what a part without a successor lasts to.
fn end_of(tracks: &Tracks, units: &[Unit], start_micros: i64) -> i64 {
    let Some(last) = units.iter().rfind(|unit| leads(tracks, unit.track)) else { return start_micros };
    let Some(track) = tracks.get(last.track) else { return start_micros };
    let own: Vec<&Unit> = units.iter().filter(|unit| unit.track == last.track).collect();
    let duration = mp4::durations(track, &own, None).last().copied().unwrap_or_default();
    track.clock_rate.to_micros(last.dts + i64::from(duration))
}

/// The fragment of one rendition: its tracks' units, each lasting up to the next. `next` is the unit that ends the part.
fn fragment(number: u64, tracks: &[(TrackId, &Track)], units: &[Unit], next: Option<(TrackId, i64)>) -> Option<Bytes> {
    let own: Vec<Vec<&Unit>> =
        tracks.iter().map(|(id, _)| units.iter().filter(|unit| unit.track == *id).collect()).collect();
    let durations: Vec<Vec<u32>> = tracks
        .iter()
        .zip(&own)
        .map(|((id, track), units)| {
            let next = next.filter(|(leading, _)| leading == id).map(|(_, dts)| dts);
            mp4::durations(track, units, next)
        })
        .collect();
    let runs: Vec<mp4::Run<'_>> = (1..)
        .zip(tracks)
        .zip(own.iter().zip(&durations))
        .map(|((number, (_, track)), (units, durations))| mp4::Run { number, track, units, durations })
        .collect();
    // Numbers of fragments begin with 1 and have 32 bits.
    mp4::fragment((number as u32).wrapping_add(1), &runs)
}
