//! The multivariant playlist (section 4.4.6).

use super::rendition::{Rendition, Variant};
use super::template::Template;
use super::window::{Segment, Window};
use crate::media::{Codec, Kind, Tracks};
use crate::mp4::rfc6381;
use crate::opaque;

/// What the multivariant playlist says of a rendition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RenditionFacts {
    /// The most that a listed segment takes, bits a second.
    pub bandwidth: u64,
    /// What the listed segments take together, bits a second.
    pub average_bandwidth: u64,
    /// Names of its codecs.
    pub codecs: Vec<String>,
    /// Width and height of the picture.
    pub resolution: Option<(u32, u32)>,
    /// Channels of the sound.
    pub channels: Option<u8>,
}

impl RenditionFacts {
    /// Looks at what is listed.
    fn of(window: &Window, index: usize, rendition: Rendition, variant: Variant) -> Self {
        let complete: Vec<(&Segment, i64)> =
            window.listed().filter_map(|segment| Some((segment, segment.duration_micros?))).collect();
        let rate = |bytes: usize, micros: i64| (bytes as u64 * 8).saturating_mul(1_000_000) / micros.max(1) as u64;
        let bandwidth = complete.iter().map(|(segment, micros)| rate(segment.bytes(index), *micros)).max().unwrap_or(0);
        let bytes = complete.iter().map(|(segment, _)| segment.bytes(index)).sum();
        let micros = complete.iter().map(|(_, micros)| micros).sum();
        let tracks: Option<&Tracks> = window.listed().rev().find_map(|segment| segment.tracks.as_ref());
        let mut facts = Self { bandwidth, average_bandwidth: rate(bytes, micros), ..Self::default() };
        for (_, track) in tracks.into_iter().flat_map(|tracks| rendition.tracks(variant, tracks)) {
            facts.codecs.extend(rfc6381(&track.codec));
            match track.kind() {
                Kind::Video => facts.resolution = resolution(&track.codec),
                Kind::Audio => facts.channels = channels(&track.codec),
                Kind::Data => {}
            }
        }
        facts
    }
}

/// Writes the playlist.
pub fn multivariant_playlist(window: &Window, renditions: &[Rendition], variant: Variant) -> Template {
    let facts: Vec<RenditionFacts> = renditions
        .iter()
        .enumerate()
        .map(|(index, rendition)| RenditionFacts::of(window, index, *rendition, variant))
        .collect();
    let mut text = Template::default();
    text.line(format_args!("#EXTM3U"));
    let version = if variant == Variant::Mpegts { 3 } else { 9 };
    text.line(format_args!("#EXT-X-VERSION:{version}"));
    let sounds = || renditions.iter().zip(&facts).filter(|(rendition, _)| matches!(rendition, Rendition::Audio(_)));
    for (index, (rendition, facts)) in sounds().enumerate() {
        let default = if index == 0 { "YES" } else { "NO" };
        let channels = facts.channels.map_or_else(String::new, |channels| format!("CHANNELS=\"{channels}\","));
        text.tag(
            format_args!(
                "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"{rendition}\",DEFAULT={default},AUTOSELECT=YES,{channels}"
            ),
            format_args!("{rendition}_stream.m3u8"),
            "",
        );
    }
    // The rendition that a player begins with: the picture, or else the first sound.
    let Some((first, own)) = renditions.first().zip(facts.first()) else { return text };
    let loudest = sounds().map(|(_, facts)| facts.bandwidth).max().unwrap_or(0);
    let loudest_average = sounds().map(|(_, facts)| facts.average_bandwidth).max().unwrap_or(0);
    let (mut bandwidth, mut average) = (own.bandwidth, own.average_bandwidth);
    if *first == Rendition::Video {
        bandwidth += loudest;
        average += loudest_average;
    }
    let mut codecs: Vec<&str> = Vec::new();
    for name in own.codecs.iter().chain(sounds().flat_map(|(_, facts)| &facts.codecs)) {
        if !codecs.contains(&name.as_str()) {
            codecs.push(name);
        }
    }
    let mut line = format!("#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},AVERAGE-BANDWIDTH={average}");
    line += &format!(",CODECS=\"{}\"", codecs.join(","));
    if let Some((width, height)) = own.resolution {
        line += &format!(",RESOLUTION={width}x{height}");
    }
    if let Some(rate) = frame_rate(window).filter(|_| own.resolution.is_some()) {
        line += &format!(",FRAME-RATE={rate:.3}");
    }
    if sounds().next().is_some() {
        line += ",AUDIO=\"audio\"";
    }
    text.line(format_args!("{line}"));
    text.uri(format_args!("{first}_stream.m3u8"));
    text
}

/// Leading units a second in the newest complete segment.
fn frame_rate(window: &Window) -> Option<f64> {
    let segment = window.listed().rev().find(|segment| segment.units > 0 && segment.duration_micros > Some(0))?;
    Some(f64::from(segment.units) * 1e6 / segment.duration_micros? as f64)
}

fn resolution(codec: &Codec) -> Option<(u32, u32)> {
    use crate::bitstream::{av1, h264, h265};
    match codec {
        Codec::H264(config) => h264::Sps::parse(config.sps.first()?).ok().map(|sps| (sps.width, sps.height)),
        Codec::H265(config) => h265::Sps::parse(config.sps.first()?).ok().map(|sps| (sps.width, sps.height)),
        Codec::Av1(config) => {
            av1::SequenceHeader::parse(&config.sequence_header).ok().map(|sequence| (sequence.width, sequence.height))
        }
        Codec::Vp9(config) => Some((config.width, config.height)),
        _ => None,
    }
}

fn channels(codec: &Codec) -> Option<u8> {
    match codec {
        Codec::Aac(config) => Some(config.channels),
        Codec::Opus(config) => Some(config.channels),
        Codec::MpegAudio(config) => Some(config.channels),
        Codec::Ac3(config) => Some(config.channels),
        Codec::Flac(config) => Some(config.channels),
        Codec::Opaque(config) => channels(&opaque::codec(config)?),
        _ => None,
    }
}
