//! What is missing of a run here and may be had from other nodes.
//!
//! What is listed never changes. So nothing is listed from a hole on until it is filled or given up: a gap is what nobody has.

use super::{Segment, Window};

impl Window {
    /// Numbers of the segments of which another node may have more: those first that hold back what comes after them, the oldest
    /// first; then those that are listed, the newest first.
    pub fn wanted(&self) -> impl Iterator<Item = u64> {
        let wanted = |broken: bool| self.segments.iter().filter(move |s| s.is_wanted() && s.broken == broken);
        wanted(true).chain(wanted(false).rev()).map(|segment| segment.mark.number)
    }

    /// The first segment that is not listed yet, nor what comes after it, because it is not known what there is of it.
    pub fn held_back(&self) -> Option<u64> {
        self.segments.iter().find(|segment| segment.is_held_back()).map(|segment| segment.mark.number)
    }

    /// Whether some of a segment was lost right after one of which the same is true and that nobody has: the way loses something
    /// again and again, and to wait for each one would let a playlist stand still.
    pub fn is_lost_again(&self, number: u64) -> bool {
        let began_here = |number| self.segment(number).filter(|segment| segment.broken && segment.tracks.is_some());
        let before = number.checked_sub(1).and_then(began_here);
        began_here(number).is_some() && before.is_some_and(|before| before.given_up)
    }

    /// The first complete segment that holds back what comes after it until it is here or nobody has it.
    pub fn hole(&self) -> Option<u64> {
        self.segments.iter().find(|segment| segment.broken && segment.is_wanted()).map(|segment| segment.mark.number)
    }

    /// Whether this is such a segment.
    pub fn is_hole(&self, number: u64) -> bool {
        self.position(number).is_some_and(|at| self.segments[at].broken && self.segments[at].is_wanted())
    }

    /// Whether all that it lists is here, up to a segment that is being made.
    pub fn is_whole(&self) -> bool {
        let is_open = self.segments.back().is_some_and(|last| last.duration_micros.is_none());
        is_open && !self.listed().any(Segment::is_wanted)
    }

    /// The segment that was cut short and has no agreed end yet.
    pub fn open_end(&self) -> Option<u64> {
        self.segments.iter().find(|segment| segment.open_end).map(|segment| segment.mark.number)
    }

    /// Ends a segment that was cut short as the node ends it that has heard most of it, this one or one of `others`: all
    /// nodes that ask each other come to the same.
    pub fn close_end(&mut self, number: u64, others: Vec<Segment>) {
        let Some(at) = self.position(number) else { return };
        let known = &mut self.segments[at];
        // One that has heard the next segment begin has all of it.
        let of_the_same = |other: &Segment| other.mark == known.mark && other.id == known.id && !other.broken;
        let best = others.into_iter().filter(of_the_same).max_by_key(Segment::extent);
        if let Some(best) = best.filter(|best| known.broken || best.extent() > known.extent()) {
            *known = Segment { place: known.place, ..best };
        }
        known.open_end = false;
        let duration = known.duration_micros.unwrap_or_default();
        self.raise_target(duration);
        self.place_from(at + 1);
    }

    /// Puts a segment that another node has into its place, if it is wanted there.
    pub fn fill(&mut self, segment: Segment) {
        if !self.takes(&segment) {
            return;
        }
        let (Some(at), Some(duration)) = (self.position(segment.mark.number), segment.duration_micros) else { return };
        let known = &mut self.segments[at];
        if known.broken {
            *known = Segment { place: known.place, ..segment };
        } else {
            // It is listed: only its bytes were away.
            (known.parts, known.streams) = (segment.parts, segment.streams);
        }
        self.raise_target(duration);
        self.place_from(at.max(1));
    }

    /// Whether a segment that another node has is what is wanted here.
    pub fn takes(&self, segment: &Segment) -> bool {
        let known = self.place_of(segment);
        known.is_some_and(|at| self.segments[at].tracks.is_some() || self.fits(at, segment))
    }

    /// Whether a segment is what is missing here, and has no place: while it was made elsewhere this node has told something else.
    pub fn refuses(&self, segment: &Segment) -> bool {
        let known = self.place_of(segment);
        known.is_some_and(|at| self.segments[at].tracks.is_none() && !self.fits(at, segment))
    }

    /// Nobody has more of a segment: what is not here is a gap.
    pub fn give_up(&mut self, number: u64) {
        if let Some(known) = self.position(number).map(|at| &mut self.segments[at])
            && known.is_wanted()
        {
            known.give_up();
        }
    }

    /// Nobody has more of a segment, and nothing is listed yet: the run begins behind it.
    pub fn begin_behind(&mut self, number: u64) {
        if let Some(at) = self.position(number) {
            self.segments.drain(..=at);
        }
    }

    fn position(&self, number: u64) -> Option<usize> {
        self.segments.iter().position(|segment| segment.mark.number == number)
    }

    /// Where a segment is wanted, whenever it was. Under the same number there may be something else: what was told of it stays,
    /// and so does its name. Where nothing is known but the number, it is of an epoch that stands beside it.
    fn place_of(&self, segment: &Segment) -> Option<usize> {
        let at = self.position(segment.mark.number)?;
        let known = &self.segments[at];
        let is_it = match (&known.tracks, known.broken) {
            (None, _) => self.is_of_epochs_beside(at, segment.id),
            (Some(_), true) => known.id == segment.id,
            (Some(_), false) => known.whole_id() == segment.whole_id(),
        };
        (known.is_wanted() && !segment.broken && is_it).then_some(at)
    }

    fn is_of_epochs_beside(&self, at: usize, id: u64) -> bool {
        let known = |segment: &&Segment| segment.tracks.is_some();
        let (before, after) = (self.segments.range(..at).rev().find(known), self.segments.range(at + 1..).find(known));
        let mut beside = before.into_iter().chain(after).peekable();
        beside.peek().is_none() || beside.any(|beside| beside.id == id)
    }
}
