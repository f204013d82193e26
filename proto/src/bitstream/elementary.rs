//! One elementary stream out of a container on its way in: access units to units.

use super::samples::{SampleClock, rates, samples_of};
use super::{DtsEstimator, Inspector};
use crate::media::{Codec, Payload, Track, TrackId, Unit};
use crate::time::ClockRate;

/// Makes units of the access units of one stream, as a container stamps them.
#[derive(Clone, Debug)]
pub struct Elementary {
    inspector: Inspector,
    clock_rate: ClockRate,
    samples: Option<SampleClock>,
    /// The container does not say when to decode.
    estimated: Option<DtsEstimator>,
}

/// A unit, and the codec where its parameters change with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The unit, in the time of whoever sent it.
    pub unit: Unit,
    /// The track's codec, where it is not what it was.
    pub codec: Option<Codec>,
    /// The clock of the unit's times.
    pub clock_rate: ClockRate,
}

impl Elementary {
    /// Begins with what the container says of the codec.
    pub fn new(codec: Codec) -> Self {
        let (clock_rate, samples) = rates(&codec);
        Self { inspector: Inspector::new(codec), clock_rate, samples: samples.map(SampleClock::new), estimated: None }
    }

    /// The codec with the parameters last seen.
    pub const fn codec(&self) -> &Codec {
        self.inspector.codec()
    }

    /// The track, once all is known that a reader must know.
    pub fn track(&self) -> Option<Track> {
        let codec = self.inspector.codec();
        codec.has_parameters().then(|| Track { codec: codec.clone(), clock_rate: self.clock_rate })
    }

    /// The clock of the units' times.
    pub const fn clock_rate(&self) -> ClockRate {
        self.clock_rate
    }

    /// Takes an access unit whose times are ticks of `rate`. Without a decoding time it is found out. `None`: nothing is
    /// left of it, or it is unusable.
    pub fn take(
        &mut self,
        track: TrackId,
        payload: Payload,
        (pts, dts): (i64, Option<i64>),
        rate: ClockRate,
    ) -> Option<Taken> {
        let inspected = self.inspector.inspect(payload)?;
        let codec = inspected.codec_changed.then(|| self.inspector.codec().clone());
        let (pts, dts) = match &mut self.samples {
            // What counts in samples is not rounded again.
            Some(_) if rate == self.clock_rate => (pts, pts),
            Some(clock) => {
                let samples = samples_of(self.inspector.codec(), &inspected.payload);
                let ticks = clock.ticks(rate.to_micros(pts), samples, self.clock_rate);
                (ticks, ticks)
            }
            None => {
                let convert = |ticks| rate.convert(ticks, self.clock_rate);
                let pts = convert(pts);
                let estimated = &mut self.estimated;
                let dts = dts.map(convert).unwrap_or_else(|| {
                    let codec = self.inspector.codec();
                    let estimator = estimated.get_or_insert_with(|| DtsEstimator::new(codec));
                    estimator.dts(pts, inspected.random_access, codec)
                });
                (pts, dts.min(pts))
            }
        };
        let unit = Unit {
            track,
            pts,
            dts,
            captured: None,
            random_access: inspected.random_access,
            discardable: inspected.discardable,
            marker: false,
            payload: inspected.payload,
        };
        Some(Taken { unit, codec, clock_rate: self.clock_rate })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::bitstream::aac::{build_asc, config_from_asc};
    use crate::bitstream::testdata::*;
    use crate::media::H264Config;

    #[test]
    fn pictures_are_known_with_their_parameter_sets() {
        let mut stream = Elementary::new(Codec::H264(H264Config::default()));
        assert_eq!(stream.track(), None);
        let sets = crate::bitstream::h264::parse_avcc(&hex(AVCC)).unwrap().config;
        let frames = [sets.sps[0].clone(), sets.pps[0].clone(), Bytes::from_static(&[0x65, 0x88, 0x80])];
        let times = (1_280, Some(640));
        let rate = ClockRate::new(12_800).unwrap();
        let taken = stream.take(TrackId(3), Payload::from_frames(frames), times, rate).unwrap();
        assert_eq!((taken.unit.track, taken.unit.pts, taken.unit.dts), (TrackId(3), 9_000, 4_500));
        assert!(taken.unit.random_access && taken.codec.is_some());
        assert_eq!(stream.track().unwrap().codec, Codec::H264(sets));
    }

    #[test]
    fn sound_keeps_to_its_samples() {
        let asc = build_asc(2, 44_100, 2).unwrap();
        let mut stream = Elementary::new(Codec::Aac(config_from_asc(asc).unwrap()));
        for frame in 0..1_000 {
            let payload = Payload::single(Bytes::from_static(&[0x21, 1]));
            let stamped = frame * 1_024 * 90_000 / 44_100;
            let taken = stream.take(TrackId(0), payload, (stamped, None), ClockRate::VIDEO).unwrap();
            assert_eq!(taken.unit.pts, frame * 1_024);
        }
    }
}
