//! What a reader may rely on while nodes die, held against what it got. Pure: times come with the units.

use std::time::{Duration, Instant};

/// A unit as a reader got it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// When it arrived.
    pub at: Instant,
    /// Its publisher.
    pub who: u8,
    /// Which frame of the camera it is.
    pub number: u32,
    /// When it is to be shown.
    pub micros: i64,
    /// Decoding may start here; `None` where the protocol does not say so.
    pub random_access: Option<bool>,
}

/// The notes of one reader.
#[derive(Clone, Debug, Default)]
pub(super) struct Judge {
    last: Option<Seen>,
    /// The highest number of all publishers.
    highest: u32,
    since_mark: Verdict,
}

/// What came of it since the last mark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Units.
    pub units: usize,
    /// The longest time without one; it may have begun before the mark.
    pub gap: Duration,
    /// Frames that came from no publisher, while later ones did.
    pub lost: u32,
    /// To whom the path changed, in order.
    pub changes: Vec<u8>,
    /// Units since the last of these changes.
    pub units_since_change: usize,
    /// What must never be: times or numbers that go back, publishers that begin with what depends on others.
    pub broken: Vec<String>,
}

impl Judge {
    /// Takes note of a unit.
    pub(super) fn note(&mut self, seen: Seen) {
        let verdict = &mut self.since_mark;
        verdict.units += 1;
        verdict.units_since_change += 1;
        if let Some(last) = self.last {
            verdict.gap = verdict.gap.max(seen.at.duration_since(last.at));
            // Equal is where a session holds a time that would be earlier.
            if seen.micros < last.micros {
                let (from, to) = ((last.who, last.number), (seen.who, seen.number));
                let back = last.micros - seen.micros;
                verdict.broken.push(format!("time went back by {back} us, from frame {from:?} to frame {to:?}"));
            }
            if seen.who != last.who {
                verdict.changes.push(seen.who);
                verdict.units_since_change = 1;
                if seen.random_access == Some(false) {
                    verdict
                        .broken
                        .push(format!("publisher {} begins with {}, which depends on others", seen.who, seen.number));
                }
            } else if seen.number <= last.number {
                verdict.broken.push(format!("frame {} of {} came after {}", seen.number, seen.who, last.number));
            }
            verdict.lost += seen.number.saturating_sub(self.highest + 1);
        }
        self.highest = self.highest.max(seen.number);
        self.last = Some(seen);
    }

    /// Whose unit came last.
    pub(super) fn who(&self) -> Option<u8> {
        self.last.map(|seen| seen.who)
    }

    /// What came since the last mark is forgotten.
    pub(super) fn mark(&mut self) {
        self.since_mark = Verdict::default();
    }

    /// What came since the last mark.
    pub(super) const fn verdict(&self) -> &Verdict {
        &self.since_mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(begun: Instant, units: &[(u64, u8, u32, i64)]) -> Verdict {
        let mut judge = Judge::default();
        for (ms, who, number, micros) in units {
            let at = begun + Duration::from_millis(*ms);
            judge.note(Seen { at, who: *who, number: *number, micros: *micros, random_access: None });
        }
        judge.verdict().clone()
    }

    #[test]
    fn holes_and_gaps_are_counted_over_publishers() {
        let begun = Instant::now();
        // What the second repeats of the first is no loss, and what neither has brought is.
        let verdict =
            judged(begun, &[(0, 1, 10, 0), (40, 1, 12, 1), (300, 2, 11, 2), (340, 2, 12, 3), (380, 2, 14, 4)]);
        assert_eq!((verdict.lost, verdict.gap.as_millis(), verdict.units), (2, 260, 5));
        assert_eq!((verdict.changes, verdict.units_since_change, verdict.broken), (vec![2], 3, vec![]));
    }

    #[test]
    fn what_goes_back_is_seen() {
        let begun = Instant::now();
        assert_eq!(judged(begun, &[(0, 1, 10, 5), (1, 1, 11, 4)]).broken.len(), 1);
        assert_eq!(judged(begun, &[(0, 1, 10, 5), (1, 1, 11, 5)]).broken.len(), 0);
        assert_eq!(judged(begun, &[(0, 1, 10, 5), (1, 1, 10, 6)]).broken.len(), 1);
        // Two publishers that are interleaved.
        assert_eq!(judged(begun, &[(0, 1, 10, 5), (1, 2, 11, 6), (2, 1, 12, 7)]).changes, [2, 1]);
    }

    #[test]
    fn a_gap_may_have_begun_before_the_mark() {
        let (begun, mut judge) = (Instant::now(), Judge::default());
        let unit = |ms: u64, number| Seen {
            at: begun + Duration::from_millis(ms),
            who: 1,
            number,
            micros: i64::from(number),
            random_access: Some(true),
        };
        judge.note(unit(0, 1));
        judge.note(unit(900, 2));
        judge.mark();
        judge.note(unit(1000, 3));
        assert_eq!((judge.verdict().gap.as_millis(), judge.verdict().units), (100, 1));
    }
}
