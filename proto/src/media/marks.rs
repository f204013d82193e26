//! Marks: what the owner stamps beside units, so that every node cuts a stream at the same places.
//!
//! A segment begins at a random access point of the leading track once the current one has its duration; a part begins
//! at any leading unit once the current one has its duration, and with each segment. Stamping is a pure function of the
//! units in their order: no clock, no history but [`Stamper`]'s own.

use core::time::Duration;

/// What is stamped before one unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// A segment begins with this unit.
    pub segment: Option<SegmentMark>,
    /// A part begins with this unit.
    pub part: Option<PartMark>,
}

/// The beginning of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentMark {
    /// Counts the segments of the path.
    pub number: u64,
    /// Counts the discontinuities of the path up to and including this segment.
    pub discontinuities: u64,
    /// This segment does not continue the one before.
    pub discontinuity: bool,
}

/// The beginning of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartMark {
    /// Counts from 0 inside its segment.
    pub number: u32,
    /// Decoding can begin with this part.
    pub independent: bool,
}

/// How long segments and parts are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cadence {
    /// A segment ends at the first random access point after this.
    pub segment: Duration,
    /// A part ends with the last leading unit that fits into this.
    pub part: Duration,
}

impl Default for Cadence {
    /// MediaMTX's defaults: `hlsSegmentDuration` 1 s, `hlsPartDuration` 200 ms.
    fn default() -> Self {
        Self { segment: Duration::from_secs(1), part: Duration::from_millis(200) }
    }
}

/// What the stamper needs to know of a unit of the leading track (of any track where none leads).
#[derive(Clone, Copy, Debug)]
pub struct Lead {
    /// Decoding time in path time, microseconds.
    pub dts_micros: i64,
    /// Decoding may start here.
    pub random_access: bool,
}

/// Numbers from which a new owner goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// The next segment's number.
    pub segment: u64,
    /// Discontinuities so far.
    pub discontinuities: u64,
}

/// Stamps the units of one epoch.
#[derive(Clone, Debug)]
pub struct Stamper {
    cadence: Cadence,
    next: Numbers,
    /// The next segment begins with a discontinuity.
    broken: bool,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    segment_start: i64,
    part_start: i64,
    part: u32,
    /// Duration of the last leading unit, the best guess for the next one's.
    step: i64,
    last: i64,
}

impl Stamper {
    /// Begins an epoch; `discontinuity` when it follows another one.
    pub const fn new(cadence: Cadence, next: Numbers, discontinuity: bool) -> Self {
        Self { cadence, next, broken: discontinuity, open: None }
    }

    /// Where a successor goes on.
    pub const fn numbers(&self) -> Numbers {
        self.next
    }

    /// Looks at the next leading unit and says what is stamped before it.
    pub fn stamp(&mut self, lead: Lead) -> Option<Marks> {
        match &mut self.open {
            None => lead.random_access.then(|| self.begin_segment(lead, 0)),
            Some(open) => {
                open.step = (lead.dts_micros - open.last).max(0);
                open.last = lead.dts_micros;
                let step = open.step;
                if lead.random_access && lead.dts_micros - open.segment_start >= micros(self.cadence.segment) {
                    return Some(self.begin_segment(lead, step));
                }
                // A part must not grow past its duration: end it before a unit that would not fit.
                if lead.dts_micros + step - open.part_start <= micros(self.cadence.part) {
                    return None;
                }
                open.part_start = lead.dts_micros;
                open.part = open.part.saturating_add(1);
                let part = PartMark { number: open.part, independent: lead.random_access };
                Some(Marks { segment: None, part: Some(part) })
            }
        }
    }

    fn begin_segment(&mut self, lead: Lead, step: i64) -> Marks {
        let discontinuity = core::mem::take(&mut self.broken);
        self.next.discontinuities += u64::from(discontinuity);
        let segment =
            SegmentMark { number: self.next.segment, discontinuities: self.next.discontinuities, discontinuity };
        self.next.segment += 1;
        self.open = Some(Open {
            segment_start: lead.dts_micros,
            part_start: lead.dts_micros,
            part: 0,
            step,
            last: lead.dts_micros,
        });
        Marks { segment: Some(segment), part: Some(PartMark { number: 0, independent: true }) }
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 25 fps, a keyframe every `gop` frames: `(frame, marks)` of what was stamped.
    fn stamp(frames: i64, gop: i64) -> Vec<(i64, Marks)> {
        let mut stamper = Stamper::new(Cadence::default(), Numbers { segment: 7, discontinuities: 2 }, true);
        (0..frames)
            .filter_map(|n| {
                let lead = Lead { dts_micros: n * 40_000, random_access: n % gop == 0 };
                stamper.stamp(lead).map(|marks| (n, marks))
            })
            .collect()
    }

    #[test]
    fn segments_begin_at_random_access_points_after_their_duration() {
        let marks = stamp(100, 20);
        let segments: Vec<(i64, u64)> =
            marks.iter().filter_map(|(n, m)| m.segment.map(|segment| (*n, segment.number))).collect();
        assert_eq!(segments, [(0, 7), (40, 8), (80, 9)]);
    }

    #[test]
    fn only_the_first_segment_of_an_epoch_is_a_discontinuity() {
        let marks = stamp(60, 30);
        let segments: Vec<SegmentMark> = marks.iter().filter_map(|(_, m)| m.segment).collect();
        assert_eq!(segments[0], SegmentMark { number: 7, discontinuities: 3, discontinuity: true });
        assert_eq!(segments[1], SegmentMark { number: 8, discontinuities: 3, discontinuity: false });
    }

    #[test]
    fn parts_hold_what_fits_and_restart_with_each_segment() {
        let marks = stamp(30, 25);
        let parts: Vec<(i64, u32, bool)> =
            marks.iter().filter_map(|(n, m)| m.part.map(|part| (*n, part.number, part.independent))).collect();
        assert_eq!(parts, [(0, 0, true), (5, 1, false), (10, 2, false), (15, 3, false), (20, 4, false), (25, 0, true)]);
    }

    #[test]
    fn nothing_is_stamped_before_the_first_random_access_point() {
        let mut stamper = Stamper::new(Cadence::default(), Numbers::default(), false);
        assert_eq!(stamper.stamp(Lead { dts_micros: 0, random_access: false }), None);
        assert!(stamper.stamp(Lead { dts_micros: 40_000, random_access: true }).is_some());
    }
}
