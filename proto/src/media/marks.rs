//! Marks: what the owner stamps beside units, so that every node cuts a stream at the same places.
//!
//! A segment begins at a random access point of the leading track once the current one has its duration; a part begins
//! at any leading unit once the current one has its duration, and with each segment. Stamping is a pure function of the
//! units in their order: no clock, no history but [`Stamper`]'s own.
//!
//! # What players demand of segments
//!
//! A playlist has a target duration, no segment may be longer (rounded to seconds), and it must not change (RFC 8216bis
//! section 4.4.3.1). So it is settled by the first segment of the path: the wanted duration or that segment's, whichever is
//! longer. Where a later group is longer than that, a segment begins in its middle, as late as the target allows; decoding
//! cannot begin with such a one, and the next random access point begins another. Only a picture that stands for longer
//! than the target by itself cannot be cut.
//!
//! # What players demand of parts
//!
//! HLS (RFC 8216bis section 4.4.3.7) wants no part longer than the part target, and none but a segment's last shorter than
//! 85 % of it. So parts are counted, not timed: a part takes the number of leading units whose duration comes nearest to
//! the wanted one, at least one. The number is found from the first units, and looked at again with each segment, with
//! some reluctance, so that jitter does not make it swing. With a constant frame rate all parts but the last of a segment
//! have the same duration then; where frames come irregularly only their number stays. A part is cut early where its
//! frames came so much later than usual that it would last half as long again.

use core::time::Duration;

use bincode::{Decode, Encode};

/// What is stamped before one unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Marks {
    /// A segment begins with this unit.
    pub segment: Option<SegmentMark>,
    /// A part begins with this unit.
    pub part: Option<PartMark>,
}

/// The beginning of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SegmentMark {
    /// Counts the segments of the path.
    pub number: u64,
    /// Counts the discontinuities of the path up to and including this segment.
    pub discontinuities: u64,
    /// This segment does not continue the one before.
    pub discontinuity: bool,
    /// Decoding can begin with it.
    pub independent: bool,
    /// The path's target duration, in seconds; 0 up to the segment that settles it.
    pub target_seconds: u32,
}

/// The beginning of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PartMark {
    /// Counts the parts of the path.
    pub number: u64,
    /// Counts from 0 inside its segment.
    pub index: u32,
    /// Decoding can begin with this part.
    pub independent: bool,
}

/// How long segments and parts are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cadence {
    /// A segment ends at the first random access point after this.
    pub segment: Duration,
    /// A part takes the number of leading units that comes nearest to this.
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Numbers {
    /// The next segment's number.
    pub segment: u64,
    /// The next part's number.
    pub part: u64,
    /// Discontinuities so far.
    pub discontinuities: u64,
    /// The longest segment so far, rounded to seconds; the path's target duration once that is settled.
    pub target_seconds: u32,
    /// A segment that ended by itself has settled the target duration.
    pub settled: bool,
}

/// Stamps the units of one epoch.
#[derive(Clone, Debug)]
pub struct Stamper {
    cadence: Cadence,
    next: Numbers,
    /// The next segment begins with a discontinuity.
    broken: bool,
    /// The next random access point begins a segment, however long the present one is.
    due: bool,
    /// The next leading unit begins a segment.
    divided: bool,
    /// Leading units of a part, once their duration is known.
    count: Option<u32>,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    segment_start: i64,
    part_start: i64,
    /// Leading units since the segment began.
    segment_units: u32,
    /// Leading units since the part began.
    part_units: u32,
    part_index: u32,
    last: i64,
}

/// How far the ideal number of units of a part may be from the one in force before that changes: more than half, so that a
/// ratio near a half does not make it swing.
const RELUCTANCE: f64 = 0.75;

/// The longest target duration that the first segment may settle, in seconds, unless longer segments are wanted: players
/// stay three of them behind live. Keyframes further apart than 10 s are rare.
const SETTLED_SECONDS_MAX: u32 = 10;

impl Stamper {
    /// Begins an epoch; `discontinuity` when it follows another one.
    pub const fn new(cadence: Cadence, next: Numbers, discontinuity: bool) -> Self {
        Self { cadence, next, broken: discontinuity, due: false, divided: false, count: None, open: None }
    }

    /// Where a successor goes on.
    pub const fn numbers(&self) -> Numbers {
        self.next
    }

    /// Goes on after what another stamper has stamped.
    pub fn follow(&mut self, marks: Marks) {
        if let Some(segment) = marks.segment {
            self.next.segment = segment.number + 1;
            self.next.discontinuities = segment.discontinuities;
            if segment.target_seconds > 0 {
                self.next.target_seconds = segment.target_seconds;
                self.next.settled = true;
            }
        }
        if let Some(part) = marks.part {
            self.next.part = part.number + 1;
        }
        // What comes next does not continue what was stamped elsewhere.
        self.broken = true;
    }

    /// Tracks or their parameters change with the next unit: the next random access point begins a segment of its own,
    /// after a discontinuity. Before the first segment there is nothing to separate.
    pub const fn parameters_changed(&mut self) {
        if self.open.is_some() {
            self.broken = true;
            self.due = true;
        }
    }

    /// The next leading unit begins a segment, whatever it is: it belongs to another ownership, and goes on with the same stream.
    pub const fn divide(&mut self) {
        self.divided = self.open.is_some();
    }

    /// Looks at the next leading unit and says what is stamped before it.
    pub fn stamp(&mut self, lead: Lead) -> Option<Marks> {
        let Some(open) = &mut self.open else {
            return lead.random_access.then(|| self.begin_segment(lead));
        };
        let step = (lead.dts_micros - open.last).max(0);
        open.last = lead.dts_micros;
        open.segment_units = open.segment_units.saturating_add(1);
        open.part_units = open.part_units.saturating_add(1);
        let open = *open;
        let count = *self.count.get_or_insert_with(|| ideal(self.cadence.part, step).round().max(1.0) as u32);
        let elapsed = lead.dts_micros - open.segment_start;
        if !self.next.settled {
            self.next.target_seconds = self.next.target_seconds.max(seconds(elapsed));
        }
        // Half a unit's grace: jitter must not double the length of a segment.
        let long_enough = elapsed + step / 2 >= micros(self.cadence.segment);
        let part = lead.dts_micros - open.part_start;
        let long = micros(self.cadence.part).max(step).saturating_mul(3) / 2;
        let is_part = open.part_units >= count || part + step > long.saturating_add(step / 2);
        // Where the next chance lies beyond the target.
        let last = elapsed + step / 2 + if is_part { part.max(step) } else { step } > self.longest();
        if lead.random_access && (self.due || long_enough) || last || self.divided {
            if long_enough && !self.next.settled {
                let wanted = seconds(micros(self.cadence.segment) + 499_999);
                self.next.target_seconds = self.next.target_seconds.max(wanted);
                self.next.settled = true;
            }
            self.reconsider(elapsed);
            return Some(self.begin_segment(lead));
        }
        if !is_part {
            return None;
        }
        let open = self.open.as_mut()?;
        open.part_start = lead.dts_micros;
        open.part_units = 0;
        open.part_index = open.part_index.saturating_add(1);
        let index = open.part_index;
        Some(Marks { segment: None, part: Some(self.part(index, lead.random_access)) })
    }

    /// How long a segment may be, microseconds: what is rounded to the target.
    fn longest(&self) -> i64 {
        let wanted = seconds(micros(self.cadence.segment) + 499_999);
        let target = if self.next.settled { self.next.target_seconds } else { wanted.max(SETTLED_SECONDS_MAX) };
        i64::from(target) * 1_000_000 + 499_999
    }

    /// Looks at the number of units of a part again, now that a segment shows how long they are on average.
    fn reconsider(&mut self, elapsed: i64) {
        let Some((open, count)) = self.open.zip(self.count) else { return };
        let ideal = ideal(self.cadence.part, elapsed / i64::from(open.segment_units.max(1)));
        if (ideal - f64::from(count)).abs() > RELUCTANCE {
            self.count = Some(ideal.round().max(1.0) as u32);
        }
    }

    const fn part(&mut self, index: u32, independent: bool) -> PartMark {
        let number = self.next.part;
        self.next.part += 1;
        PartMark { number, index, independent }
    }

    fn begin_segment(&mut self, lead: Lead) -> Marks {
        self.divided = false;
        // One that decoding cannot begin with is to be short.
        self.due = !lead.random_access;
        // What was announced begins with a random access point, not with a cut in between.
        let discontinuity = lead.random_access && core::mem::take(&mut self.broken);
        self.next.discontinuities += u64::from(discontinuity);
        let segment = SegmentMark {
            number: self.next.segment,
            discontinuities: self.next.discontinuities,
            discontinuity,
            independent: lead.random_access,
            target_seconds: if self.next.settled { self.next.target_seconds } else { 0 },
        };
        self.next.segment += 1;
        self.open = Some(Open {
            segment_start: lead.dts_micros,
            part_start: lead.dts_micros,
            segment_units: 0,
            part_units: 0,
            part_index: 0,
            last: lead.dts_micros,
        });
        Marks { segment: Some(segment), part: Some(self.part(0, lead.random_access)) }
    }
}

/// How many units of this duration make a part; a unit without duration counts as a millisecond.
fn ideal(part: Duration, step: i64) -> f64 {
    micros(part) as f64 / step.max(1_000) as f64
}

/// A duration as a target duration counts it: rounded to the nearest second.
fn seconds(micros: i64) -> u32 {
    u32::try_from((micros + 500_000) / 1_000_000).unwrap_or(u32::MAX)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "marks_tests.rs"]
mod tests;
