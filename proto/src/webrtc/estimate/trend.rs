//! The line through the delays of groups of packets, and the threshold that its slope is held against
//! (draft-ietf-rmcat-gcc-02 sections 5.3 and 5.4, with a line in place of the filter, as browsers have it).

use super::delay::Usage;

/// Groups through which the line is laid, how much of the delay before is kept when it is smoothed, and what the slope is
/// multiplied with: the values that browsers have.
const GROUPS: usize = 20;
const KEPT: f64 = 0.9;
const GAIN: f64 = 4.0;

/// So many groups make the slope count in full.
const CERTAIN: f64 = 60.0;

/// The threshold in milliseconds: its first value, its bounds, how quickly it follows up and down (per millisecond), and how much
/// larger a slope is not learned from (section 5.4).
const THRESHOLD: f64 = 12.5;
const THRESHOLD_LEAST: f64 = 6.0;
const THRESHOLD_MOST: f64 = 600.0;
const FOLLOW_UP: f64 = 0.0087;
const FOLLOW_DOWN: f64 = 0.039;
const OUTLIER: f64 = 15.0;

/// For so many milliseconds the slope must be above the threshold.
const OVER_MILLIS: f64 = 10.0;

/// Packets that were sent together: times in microseconds of two clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    pub(super) first_sent: i64,
    pub(super) last_sent: i64,
    pub(super) last_arrival: i64,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Trend {
    last: Option<Group>,
    /// The delay that the line begins from.
    first: i64,
    first_arrival: i64,
    smoothed: f64,
    /// Arrival and smoothed delay in milliseconds, each at its number modulo the length.
    points: [(f64, f64); GROUPS],
    count: usize,
    slope: f64,
    threshold: f64,
    /// For how long, and in how many groups, the slope was above the threshold.
    over: Option<(f64, u32)>,
}

impl Trend {
    pub(super) const fn new() -> Self {
        Self {
            last: None,
            first: 0,
            first_arrival: 0,
            smoothed: 0.0,
            points: [(0.0, 0.0); GROUPS],
            count: 0,
            slope: 0.0,
            threshold: THRESHOLD,
            over: None,
        }
    }

    /// A group is complete.
    pub(super) fn push(&mut self, group: &Group) -> Usage {
        let delay = group.last_arrival - group.last_sent;
        let Some(last) = self.last.replace(*group) else {
            (self.first, self.first_arrival) = (delay, group.last_arrival);
            return Usage::Normal;
        };
        self.smoothed = KEPT * self.smoothed + (1.0 - KEPT) * millis(delay - self.first);
        self.points[self.count % GROUPS] = (millis(group.last_arrival - self.first_arrival), self.smoothed);
        self.count += 1;
        if self.count < GROUPS {
            return Usage::Normal;
        }
        let slope = slope(&self.points).unwrap_or(self.slope);
        let usage = self.judge(slope, millis(group.last_sent - last.last_sent));
        self.learn(self.certain(slope), millis(group.last_arrival - last.last_arrival));
        self.slope = slope;
        usage
    }

    fn judge(&mut self, slope: f64, sending: f64) -> Usage {
        let certain = self.certain(slope);
        if certain > self.threshold {
            let (for_millis, groups) =
                self.over.map_or((sending / 2.0, 1), |(time, groups)| (time + sending, groups + 1));
            self.over = Some((for_millis, groups));
            if for_millis > OVER_MILLIS && groups > 1 && slope >= self.slope {
                self.over = None;
                return Usage::Over;
            }
            return Usage::Normal;
        }
        self.over = None;
        if certain < -self.threshold { Usage::Under } else { Usage::Normal }
    }

    fn learn(&mut self, certain: f64, millis: f64) {
        let size = certain.abs();
        if size <= self.threshold + OUTLIER {
            let follow = if size < self.threshold { FOLLOW_DOWN } else { FOLLOW_UP };
            self.threshold += follow * (size - self.threshold) * millis.clamp(0.0, 100.0);
            self.threshold = self.threshold.clamp(THRESHOLD_LEAST, THRESHOLD_MOST);
        }
    }

    fn certain(&self, slope: f64) -> f64 {
        (self.count as f64).min(CERTAIN) * slope * GAIN
    }
}

/// The slope of the line with the least squares; none where all came at once.
fn slope(points: &[(f64, f64); GROUPS]) -> Option<f64> {
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let (above, below) = points.iter().fold((0.0, 0.0), |(above, below), point| {
        let off = point.0 - x;
        (above + off * (point.1 - y), below + off * off)
    });
    (below > 0.0).then(|| above / below)
}

fn millis(micros: i64) -> f64 {
    micros as f64 / 1000.0
}
