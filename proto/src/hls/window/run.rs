//! How segments follow each other in a run: what was told before, what is missing between, and where there is a
//! discontinuity.
//!
//! A node that was cut off may have gone on with a publisher that the others had lost, and have told segments under numbers
//! that are another epoch's elsewhere. What was told stays. The others' segments follow once their numbers and their times
//! are beyond it, behind a discontinuity; so neither goes back.

use super::super::file::File;
use super::segment::Place;
use super::{Segment, Window};
use crate::id::Epoch;
use crate::media::SegmentMark;

/// By so much a segment that goes on with another epoch's may begin before that one ends: it was cut short, so it lasts as
/// long as its last unit does, and that is taken from the one before.
const SEAM_MICROS: i64 = 100_000;

/// The same where it is another publisher's, or may be one: times must not go back.
const AT_ONCE_MICROS: i64 = 5_000;

/// Discontinuities between two segments: more publishers do not come and go in the time of a window.
const BREAKS_MAX: u64 = 64;

/// A gap has a duration.
const GAP_MICROS_MIN: i64 = 1_000;

impl Window {
    /// Whether this number, or this time, was another epoch's here. Players keep what they were told; the others' segments go
    /// on after that.
    pub(super) fn is_told_otherwise(&self, epoch: Epoch, mark: SegmentMark, start_micros: i64) -> bool {
        let Some(last) = self.segments.back().filter(|last| last.id != File::epoch_id(epoch)) else { return false };
        if last.duration_micros.is_none() {
            return false;
        }
        match last.mark.number.checked_sub(mark.number) {
            // From further back it would take too long.
            Some(ahead) => ahead < self.limits.listed as u64,
            None => start_micros + seam(last.mark, mark) < last.end_micros(),
        }
    }

    /// A segment with this mark comes next. What never came between is missing, so that the run has no hole; where that is too
    /// much a new run begins. Says where in the run that stands which is new.
    pub(super) fn reach(&mut self, epoch: Epoch, mark: SegmentMark, start_micros: i64) -> usize {
        let known = self.segments.len();
        let Some(last) = self.segments.back_mut() else { return 0 };
        if last.duration_micros.is_none() {
            // Its end was lost, too.
            last.broken = true;
            last.guessed = true;
            last.duration_micros = Some((start_micros - last.start_micros).max(0));
        }
        let (id, before, from_micros) = (last.id, last.mark, last.end_micros());
        let Some(missing) = mark.number.checked_sub(before.number + 1) else { return self.begin_anew() };
        let unseen = mark.discontinuities.saturating_sub(before.discontinuities + u64::from(mark.discontinuity));
        let listed = self.limits.listed as u64;
        if missing > listed || unseen > missing + listed {
            return self.begin_anew();
        }
        for n in 0..missing {
            let mark = SegmentMark {
                number: before.number + 1 + n,
                discontinuities: before.discontinuities + unseen.min(n + 1),
                // Whoever was alone with another epoch may have counted as many.
                discontinuity: n < unseen.max(u64::from(id != File::epoch_id(epoch))),
                independent: true,
                target_seconds: before.target_seconds,
            };
            let missing = Segment::empty(id, mark, from_micros);
            self.segments.push_back(Segment { broken: true, guessed: true, duration_micros: Some(0), ..missing });
        }
        known
    }

    /// Forgets the run: what comes next does not follow it.
    fn begin_anew(&mut self) -> usize {
        self.before = self.segments.back().map(|last| last.place.discontinuities);
        self.segments.clear();
        0
    }

    /// Finds the place of each segment from this one on.
    pub(super) fn place_from(&mut self, first: usize) {
        self.spread();
        for at in first..self.segments.len() {
            let segment = &self.segments[at];
            let place = match at.checked_sub(1) {
                Some(before) => segment.place_after(&self.segments[before]),
                None => Place::first(segment.mark, self.before.take()),
            };
            self.segments[at].place = place;
        }
    }

    /// Those of which only the number is known share the time in which nothing is known.
    fn spread(&mut self) {
        let longest = i64::from(self.target_seconds) * 1_000_000 + 499_999;
        let mut at = 0;
        while let Some(first) = self.segments.get(at) {
            // Of one that began here it is known when.
            let is_unknown = |(n, one): &(usize, &Segment)| one.guessed && (*n == 0 || one.tracks.is_none());
            let count = self.segments.range(at..).enumerate().take_while(is_unknown).count();
            let Some(next) = self.segments.get(at + count).filter(|_| count > 0) else {
                at += 1;
                continue;
            };
            let before = at.checked_sub(1).map(|before| self.segments[before].end_micros());
            let from_micros = before.filter(|_| first.tracks.is_none()).unwrap_or(first.start_micros);
            let each = (next.start_micros - from_micros) / count as i64;
            let each = each.min(longest).max(GAP_MICROS_MIN);
            // What is longer than they may be lies before them: they begin behind a discontinuity then.
            let from_micros = match first.tracks {
                Some(_) => from_micros,
                None => from_micros.max(next.start_micros - each * count as i64),
            };
            for (n, segment) in (0..).zip(self.segments.range_mut(at..at + count)) {
                segment.start_micros = from_micros + each * n;
                segment.duration_micros = Some(each);
            }
            at += count;
        }
    }

    /// Whether a segment lies between what is known beside a place in the run. What does not is of another time: this node has
    /// had something else meanwhile.
    pub(super) fn fits(&self, at: usize, segment: &Segment) -> bool {
        let mut earlier = self.segments.range(..at).rev();
        let earlier = earlier.find_map(|before| match (before.guessed, &before.tracks) {
            (false, _) => Some(before.end_micros() - seam(before.mark, segment.mark)),
            (true, Some(_)) => Some(before.start_micros),
            (true, None) => None,
        });
        let mut later = self.segments.range(at + 1..);
        let later = later.find(|after| !after.guessed || after.tracks.is_some());
        let later = later.map(|after| after.start_micros + seam(segment.mark, after.mark));
        earlier.is_none_or(|end| end <= segment.start_micros) && later.is_none_or(|start| segment.end_micros() <= start)
    }

    /// Where in the run that begins which all nodes list: behind the last place at which an epoch's first segments are not here,
    /// for under their numbers this node has told something else.
    pub(super) fn common_from(&self) -> usize {
        let known = |at: &usize| self.segments[*at].tracks.is_some();
        let mut joints = (1..self.segments.len()).rev().filter(known).filter(|at| {
            let (before, segment) = (&self.segments[at - 1], &self.segments[*at]);
            let is_torn = segment.place.breaks > 0 || before.tracks.is_none();
            before.id != segment.id && !segment.mark.discontinuity && is_torn
        });
        joints.next().unwrap_or(0)
    }
}

const fn seam(before: SegmentMark, next: SegmentMark) -> i64 {
    let may_go_on = before.discontinuities == next.discontinuities && !next.independent;
    if may_go_on { SEAM_MICROS } else { AT_ONCE_MICROS }
}

impl Segment {
    fn place_after(&self, before: &Self) -> Place {
        let is_other = before.id != self.id && before.tracks.is_some() && self.tracks.is_some();
        // An owner that claims its path again goes on with the same publisher.
        let goes_on = self.mark.discontinuities == before.mark.discontinuities
            && !before.guessed
            && (before.end_micros() - self.start_micros).abs() <= seam(before.mark, self.mark);
        let torn = self.mark.discontinuity || is_other && !goes_on;
        let known = before.place.discontinuities;
        // Each one is a line: what another node says is not believed beyond that.
        let discontinuities = self.mark.discontinuities.min(known + BREAKS_MAX).max(known + u64::from(torn));
        Place { discontinuities, breaks: discontinuities - before.place.discontinuities }
    }
}

impl Place {
    /// Of a run's first segment, behind so many discontinuities of one before it.
    fn first(mark: SegmentMark, before: Option<u64>) -> Self {
        let breaks = u64::from(mark.discontinuity || before.is_some());
        let discontinuities = before.map_or(0, |before| before + 1).max(mark.discontinuities);
        Self { discontinuities, breaks: breaks.min(discontinuities) }
    }
}
