//! How long samples last. A part must not wait for what comes after it, nor remember what came before.

use crate::bitstream::{aac, ac3, flac, g711, h264, h265, lpcm, mpeg_audio, opus};
use crate::media::{Codec, Track, Unit};

/// What a unit lasts by itself, in ticks of its track's clock: sound says so, and pictures whose rate is known.
pub fn natural_duration(track: &Track, unit: &Unit) -> Option<i64> {
    let hertz = i64::from(track.clock_rate.hertz());
    let samples = |count: u32, rate: u32| (rate > 0).then(|| i64::from(count) * hertz / i64::from(rate));
    let frame_rate = match &track.codec {
        Codec::Aac(config) => {
            let frame = aac::AudioSpecificConfig::parse(&config.asc).ok()?.frame_samples;
            return samples(frame.into(), config.sample_rate);
        }
        Codec::Opus(_) => {
            let mut head = [0; 2];
            let len = unit.payload.frames().next()?.copy_prefix(&mut head);
            return samples(opus::packet_samples(&head[..len])?, opus::SAMPLE_RATE);
        }
        Codec::MpegAudio(_) => {
            let mut head = [0; mpeg_audio::HEADER];
            unit.payload.frames().next()?.copy_prefix(&mut head);
            let header = mpeg_audio::FrameHeader::parse(&head).ok()?;
            return samples(header.samples.into(), header.config.sample_rate);
        }
        Codec::Flac(config) => {
            let mut head = [0; flac::HEAD];
            let len = unit.payload.frames().next()?.copy_prefix(&mut head);
            return samples(flac::frame_samples(&head[..len])?, config.sample_rate);
        }
        Codec::Ac3(config) => return samples(ac3::FRAME_SAMPLES, config.sample_rate),
        Codec::G711(_, layout) => {
            let count = unit.payload.len() / g711::sample_bytes(*layout).max(1);
            return samples(count as u32, layout.sample_rate);
        }
        Codec::Lpcm(config) => {
            let count = unit.payload.len() / lpcm::sample_bytes(config).max(1);
            return samples(count as u32, config.sample_rate);
        }
        Codec::H264(config) => h264::Sps::parse(config.sps.first()?).ok()?.frame_rate,
        Codec::H265(config) => h265::Sps::parse(config.sps.first()?).ok()?.frame_rate,
        _ => None,
    };
    let rate = frame_rate?;
    Some(hertz * i64::from(rate.den) / i64::from(rate.num)).filter(|ticks| *ticks > 0)
}

/// Ticks of each unit of one track: up to the next one; the last up to `next`, the decoding time of the unit that follows
/// where it is known. Else the last lasts as long as it says itself, or as the one before it, or a thirtieth of a second.
pub fn durations(track: &Track, units: &[&Unit], next: Option<i64>) -> Vec<u32> {
    let mut ticks: Vec<i64> = units.windows(2).map(|pair| pair[1].dts - pair[0].dts).collect();
    if let Some(last) = units.last() {
        let guess = || {
            natural_duration(track, last)
                .or_else(|| ticks.last().copied().filter(|before| *before > 0))
                .unwrap_or_else(|| i64::from(track.clock_rate.hertz()) / 30)
        };
        let end = next.map_or_else(guess, |next| next - last.dts);
        ticks.push(end);
    }
    ticks.into_iter().map(|ticks| u32::try_from(ticks.max(0)).unwrap_or(u32::MAX)).collect()
}
