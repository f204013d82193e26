//! Sound counted in samples: how many a frame has, and exact times out of rounded ones.

use super::{aac, ac3, flac, mpeg_audio, opus};
use crate::media::{Codec, Payload};
use crate::time::ClockRate;

/// Exact times of sound out of rounded ones: a frame begins where the one before ended, unless its timestamp says that
/// something lies between.
#[derive(Clone, Copy, Debug)]
pub struct SampleClock {
    sample_rate: ClockRate,
    /// Where the next frame begins, in samples.
    next: Option<i64>,
}

/// Containers that count milliseconds round them down or to the nearest, both at the first frame and at this one.
const ROUNDING_MICROS: i64 = 1_200;

impl SampleClock {
    /// For sound with so many samples a second.
    pub const fn new(sample_rate: ClockRate) -> Self {
        Self { sample_rate, next: None }
    }

    /// Ticks of `rate` at which a frame of so many samples begins, whose timestamp is `micros`. `None`: it is not known
    /// how long the frame is.
    pub fn ticks(&mut self, micros: i64, samples: Option<u32>, rate: ClockRate) -> i64 {
        let stamped = self.sample_rate.from_micros(micros);
        let tolerance = self.sample_rate.from_micros(ROUNDING_MICROS);
        let begin = self.next.filter(|next| next.abs_diff(stamped) <= tolerance as u64).unwrap_or(stamped);
        self.next = samples.map(|samples| begin.saturating_add(i64::from(samples)));
        if rate == self.sample_rate {
            return begin;
        }
        let (ticks, samples) = (i128::from(rate.hertz()), i128::from(self.sample_rate.hertz()));
        (i128::from(begin) * ticks + samples / 2).div_euclid(samples) as i64
    }
}

/// The clock in which units of a codec are counted outside of RTP, and samples a second, where the codec has samples.
/// RFC 3551 section 4.5.13: MPEG audio counts like video.
pub fn rates(codec: &Codec) -> (ClockRate, Option<ClockRate>) {
    let sample_rate = match codec {
        Codec::Aac(config) => config.sample_rate,
        Codec::Opus(_) => opus::SAMPLE_RATE,
        Codec::MpegAudio(config) => config.sample_rate,
        Codec::Ac3(config) => config.sample_rate,
        Codec::Flac(config) => config.sample_rate,
        Codec::G711(_, layout) => layout.sample_rate,
        Codec::Lpcm(config) => config.sample_rate,
        _ => 0,
    };
    let samples = ClockRate::new(sample_rate);
    let clock = samples.filter(|_| !matches!(codec, Codec::MpegAudio(_))).unwrap_or(ClockRate::VIDEO);
    (clock, samples)
}

/// Samples in a frame and channel; `None` where neither codec nor frame say.
pub fn samples_of(codec: &Codec, payload: &Payload) -> Option<u32> {
    let head = |head: &mut [u8]| payload.frames().next().map_or(0, |frame| frame.copy_prefix(head));
    let mut bytes = [0; flac::HEAD];
    match codec {
        Codec::Aac(config) => aac::AudioSpecificConfig::parse(&config.asc).ok().map(|asc| u32::from(asc.frame_samples)),
        Codec::Ac3(_) => Some(ac3::FRAME_SAMPLES),
        Codec::Opus(_) => {
            let len = head(&mut bytes[..2]);
            opus::packet_samples(&bytes[..len])
        }
        Codec::MpegAudio(_) => {
            head(&mut bytes);
            mpeg_audio::FrameHeader::parse(&bytes).ok().map(|header| header.samples.into())
        }
        Codec::Flac(_) => {
            let len = head(&mut bytes);
            flac::frame_samples(&bytes[..len])
        }
        Codec::G711(_, layout) => Some((payload.len() / usize::from(layout.channels.max(1))) as u32),
        Codec::Lpcm(config) => Some(
            (payload.len() / usize::from(config.channels.max(1)) / usize::from(config.bit_depth / 8).max(1)) as u32,
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounded_times_of_sound_become_exact() {
        let rate = ClockRate::new(44_100).unwrap();
        let mut clock = SampleClock::new(rate);
        for frame in 0..5_000i64 {
            let exact = frame * 1024;
            // Rounded down, as encoders do.
            let micros = exact * 1_000 / 44_100 * 1_000;
            assert_eq!(clock.ticks(micros, Some(1024), rate), exact, "{frame}");
        }
    }

    #[test]
    fn a_hole_stays_a_hole() {
        let rate = ClockRate::new(48_000).unwrap();
        let mut clock = SampleClock::new(rate);
        clock.ticks(0, Some(960), rate);
        assert_eq!(clock.ticks(100_000, Some(960), rate), 4_800);
        assert_eq!(clock.ticks(120_000, Some(960), rate), 5_760);
    }

    #[test]
    fn another_clock_counts_the_same_samples() {
        let mut clock = SampleClock::new(ClockRate::new(44_100).unwrap());
        let ticks: Vec<i64> =
            (0..4).map(|n| clock.ticks(n * 26_122 / 1_000 * 1_000, Some(1152), ClockRate::VIDEO)).collect();
        assert_eq!(ticks, [0, 2351, 4702, 7053]);
    }

    #[test]
    fn times_at_the_ends_of_the_world_make_no_panic() {
        let rate = ClockRate::new(48_000).unwrap();
        let mut clock = SampleClock::new(rate);
        for micros in [i64::MAX, i64::MIN, 0, i64::MAX] {
            clock.ticks(micros, Some(u32::MAX), ClockRate::VIDEO);
        }
    }
}
