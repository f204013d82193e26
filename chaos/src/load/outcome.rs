//! What all readers together have seen.

use serde::Serialize;

use crate::probe::reader::{Gauge, Harvest, Meter, Stall};

/// Middle and edges of a set of values, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Half of the values are at most this.
    pub p50: f64,
    /// 99 % of the values are at most this.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of nanoseconds; none of no values.
    pub fn of(mut values: Vec<u64>) -> Option<Self> {
        values.sort_unstable();
        let max = *values.last()?;
        let at = |share: f64| values[((values.len() as f64 * share).ceil() as usize).clamp(1, values.len()) - 1];
        let ms = |ns: u64| ns as f64 / 1e6;
        Some(Self { p50: ms(at(0.5)), p99: ms(at(0.99)), max: ms(max) })
    }
}

/// The sum of all gauges.
#[derive(Debug, Default)]
pub struct Total {
    /// Readers.
    pub readers: u64,
    /// Bytes out of their sockets in the measured window.
    pub window_bytes: u64,
    /// Complete video units.
    pub units: u64,
    /// Units never seen, or that never came before the end.
    pub units_lost: u64,
    /// Of these, units of which only a part came.
    pub incomplete: u64,
    /// Of these, units that a reader still lacked when all was over.
    pub tail: u64,
    /// Units seen more than once.
    pub duplicates: u64,
    /// Units seen after a later one.
    pub reordered: u64,
    /// Live units beyond the allowed latency.
    pub late: u64,
    /// Units with wrong bytes, on the readers that compare.
    pub corrupt: u64,
    /// Parts of HLS segments.
    pub parts: u64,
    /// AAC frames.
    pub audio_frames: u64,
    /// AAC frames lost.
    pub audio_lost: u64,
    /// RTP sequence numbers missing, both tracks.
    pub packets_lost: u64,
    /// RTP packets out of order, both tracks.
    pub packets_reordered: u64,
    /// Readers without a single decodable frame.
    pub blind: u64,
    /// Connections that ended early.
    pub ended: u64,
    /// From request to being let in.
    pub joined: Option<Spread>,
    /// Readers let in each second, from the first request to the last one's being let in.
    pub joins_per_second: Option<f64>,
    /// From request to first decodable frame.
    pub first_frame: Option<Spread>,
    /// Behind live two seconds after that.
    pub behind: Option<Spread>,
    /// Longest gap of each reader.
    pub gap: Option<Spread>,
    /// Of live units in the measured window.
    pub latency: Option<Spread>,
    /// Live units in that.
    pub latency_units: u64,
    /// Where readers got nothing, with their path and place.
    pub stalls: Vec<((u16, u16), Stall)>,
}

impl Total {
    /// Adds up. `sent[path]` is how many units each publisher had sent some time before the readers were stopped; whoever lacks
    /// one of these has lost it.
    pub fn of(harvests: &[Harvest], sent: &[u32]) -> Self {
        Self::over(harvests, sent, |_| true)
    }

    /// Adds up what came from one place.
    pub fn of_place(harvests: &[Harvest], sent: &[u32], place: usize) -> Self {
        Self::over(harvests, sent, |at| at == place)
    }

    fn over(harvests: &[Harvest], sent: &[u32], counts: impl Fn(usize) -> bool) -> Self {
        let mut total = Self::default();
        let gauges = harvests.iter().flat_map(|harvest| &harvest.gauges);
        let gauges: Vec<&Gauge> = gauges.filter(|gauge| counts(usize::from(gauge.place))).collect();
        for gauge in &gauges {
            total.add(gauge, sent.get(usize::from(gauge.path)).copied());
        }
        let spread =
            |value: fn(&Gauge) -> Option<u64>| Spread::of(gauges.iter().filter_map(|one| value(one)).collect());
        total.joined = spread(|gauge| Some(gauge.joined_ns.saturating_sub(gauge.asked_ns)));
        total.joins_per_second = joins_per_second(&gauges);
        total.first_frame = spread(|gauge| Some(gauge.first_frame_ns?.saturating_sub(gauge.asked_ns)));
        total.behind = spread(|gauge| gauge.behind_ns);
        total.gap = spread(|gauge| (gauge.gap_ns > 0).then_some(gauge.gap_ns));
        let mut sum = Meter::new(0);
        let meters = harvests.iter().flat_map(|harvest| harvest.meters.iter().enumerate());
        for (_, meter) in meters.filter(|(place, _)| counts(*place)) {
            // All have the same bounds, so adding cannot fail.
            let _ = sum.latency.add(&meter.latency);
            sum.units += meter.units;
            sum.bytes += meter.bytes;
        }
        total.units = sum.units;
        total.window_bytes = sum.bytes;
        total.latency_units = sum.latency.len();
        let ms = |share| sum.latency.value_at_quantile(share) as f64 / 1e3;
        total.latency = (!sum.latency.is_empty()).then(|| Spread { p50: ms(0.5), p99: ms(0.99), max: ms(1.0) });
        total
    }

    /// Lost units as a share of all, in percent.
    pub fn loss_percent(&self) -> f64 {
        self.units_lost as f64 * 100.0 / (self.units + self.units_lost).max(1) as f64
    }

    fn add(&mut self, gauge: &Gauge, sent: Option<u32>) {
        let tail = match (sent, gauge.units.highest()) {
            (Some(sent), Some(highest)) => u64::from(sent.saturating_sub(highest + 1)),
            _ => 0,
        };
        self.readers += 1;
        self.tail += tail;
        self.incomplete += gauge.incomplete;
        self.units_lost += gauge.units_lost() + tail;
        self.duplicates += gauge.units.duplicates;
        self.reordered += gauge.units.reordered;
        self.late += gauge.late;
        self.corrupt += gauge.corrupt;
        self.parts += gauge.parts;
        self.audio_frames += gauge.audio_frames;
        self.audio_lost += gauge.audio_lost();
        self.packets_lost += gauge.video.missing + gauge.audio.missing;
        self.packets_reordered += gauge.video.reordered + gauge.audio.reordered;
        self.blind += u64::from(gauge.first_frame_ns.is_none());
        self.ended += u64::from(gauge.ended);
        self.stalls.extend(gauge.stalls.iter().map(|stall| ((gauge.path, gauge.place), *stall)));
    }
}

fn joins_per_second(gauges: &[&Gauge]) -> Option<f64> {
    let from = gauges.iter().map(|gauge| gauge.asked_ns).min()?;
    let to = gauges.iter().map(|gauge| gauge.joined_ns).max()?;
    (to > from).then(|| gauges.len() as f64 * 1e9 / (to - from) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_are_counted_from_the_first_request_to_the_last_ones_end() {
        let gauges: Vec<Gauge> =
            (0..4).map(|n| Gauge::new(0, n * 100_000_000, n * 100_000_000 + 500_000, false)).collect();
        let harvests = [Harvest { gauges, meters: vec![Meter::new(1)] }];
        let total = Total::of(&harvests, &[]);
        assert_eq!(total.joined, Some(Spread { p50: 0.5, p99: 0.5, max: 0.5 }));
        assert!((total.joins_per_second.unwrap() - 13.31).abs() < 0.01);
        assert_eq!(Total::of(&[], &[]).joins_per_second, None);
    }

    #[test]
    fn spread_names_middle_and_edges() {
        let spread = Spread::of((1..=200).rev().map(|ms| ms * 1_000_000).collect()).unwrap();
        assert_eq!(spread, Spread { p50: 100.0, p99: 198.0, max: 200.0 });
        assert_eq!(Spread::of(vec![7_000_000]).unwrap().p50, 7.0);
        assert_eq!(Spread::of(Vec::new()), None);
    }

    #[test]
    fn a_reader_that_fell_silent_has_lost_the_rest() {
        let mut gauge = Gauge::new(1, 0, 0, false);
        for seq in 0..10 {
            gauge.units.note(seq);
        }
        let mut meter = Meter::new(1);
        meter.units = 10;
        let elsewhere = Gauge::new(1, 0, 0, false).at(1);
        let mut there = Meter::new(1);
        (there.units, there.bytes) = (3, 30);
        let harvests = [Harvest { gauges: vec![gauge, elsewhere], meters: vec![meter, there] }];
        let total = Total::of_place(&harvests, &[99, 15], 0);
        assert_eq!((total.tail, total.units_lost, total.blind), (5, 5, 1));
        let whole = Total::of(&harvests, &[99, 15]);
        assert_eq!((whole.units, whole.readers, whole.window_bytes), (13, 2, 30));
        assert!((total.loss_percent() - 33.333).abs() < 0.01);
    }
}
