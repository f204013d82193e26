//! What people want to know of a track, as MediaMTX's API shows it in `codecProps`.

use std::borrow::Cow;

use super::{av1, h264, h265};
use crate::media::{Av1Config, Codec, G711Law, H264Config, H265Config};

/// A value of `codecProps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prop {
    /// A JSON number.
    Number(u32),
    /// A JSON string.
    Text(Cow<'static, str>),
    /// A JSON boolean.
    Flag(bool),
}

/// Names and values in the API's order; none (JSON `null`) for codecs without any. What the stream has not said yet is
/// 0 or empty.
pub fn codec_props(codec: &Codec) -> Vec<(&'static str, Prop)> {
    match codec {
        Codec::H264(config) => h264_props(config),
        Codec::H265(config) => h265_props(config),
        Codec::Av1(config) => av1_props(config),
        Codec::Vp9(config) => vec![number("profile", config.profile)],
        Codec::Opus(config) => vec![number("channelCount", config.channels)],
        Codec::Aac(config) => layout(config.sample_rate, config.channels).into(),
        Codec::Ac3(config) => layout(config.sample_rate, config.channels).into(),
        Codec::G711(law, plain) => {
            let [rate, channels] = layout(plain.sample_rate, plain.channels);
            vec![("muLaw", Prop::Flag(*law == G711Law::Mu)), rate, channels]
        }
        Codec::Lpcm(config) => {
            let [rate, channels] = layout(config.sample_rate, config.channels);
            vec![number("bitDepth", config.bit_depth), rate, channels]
        }
        Codec::Vp8(_) | Codec::MpegAudio(_) | Codec::Flac(_) | Codec::Opaque(_) => Vec::new(),
    }
}

fn h264_props(config: &H264Config) -> Vec<(&'static str, Prop)> {
    match config.sps.first().and_then(|sps| h264::Sps::parse(sps).ok()) {
        None => video(0, 0, Cow::Borrowed(""), String::new()),
        Some(sps) => {
            let profile = named(h264::profile_name(sps.profile_idc), sps.profile_idc);
            video(sps.width, sps.height, profile, h264::level_name(sps.level_idc))
        }
    }
}

fn h265_props(config: &H265Config) -> Vec<(&'static str, Prop)> {
    match config.sps.first().and_then(|sps| h265::Sps::parse(sps).ok()) {
        None => video(0, 0, Cow::Borrowed(""), String::new()),
        Some(sps) => {
            let profile = named(h265::profile_name(sps.general.profile_idc), sps.general.profile_idc);
            video(sps.width, sps.height, profile, h265::level_name(sps.general.level_idc))
        }
    }
}

fn av1_props(config: &Av1Config) -> Vec<(&'static str, Prop)> {
    let header = av1::SequenceHeader::parse(&config.sequence_header).ok();
    let [width, height, profile, level, tier] = header.map_or([0; 5], |header| {
        [header.width, header.height, header.profile.into(), header.level_idx.into(), header.tier.into()]
    });
    vec![
        number("width", width),
        number("height", height),
        number("profile", profile),
        number("level", level),
        number("tier", tier),
    ]
}

fn video(width: u32, height: u32, profile: Cow<'static, str>, level: String) -> Vec<(&'static str, Prop)> {
    vec![
        number("width", width),
        number("height", height),
        ("profile", Prop::Text(profile)),
        ("level", Prop::Text(level.into())),
    ]
}

fn layout(sample_rate: u32, channels: u8) -> [(&'static str, Prop); 2] {
    [number("sampleRate", sample_rate), number("channelCount", channels)]
}

fn named(name: Option<&'static str>, profile_idc: u8) -> Cow<'static, str> {
    name.map_or_else(|| profile_idc.to_string().into(), Cow::Borrowed)
}

fn number(name: &'static str, value: impl Into<u32>) -> (&'static str, Prop) {
    (name, Prop::Number(value.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitstream::testdata::*;
    use crate::media::{AudioLayout, Vp8Config};

    fn text(text: &'static str) -> Prop {
        Prop::Text(text.into())
    }

    #[test]
    fn video_props_name_profile_and_level() {
        let config = H264Config { sps: vec![hex(H264_SPS_BASELINE)], pps: vec![] };
        let expected = [
            ("width", Prop::Number(1920)),
            ("height", Prop::Number(1080)),
            ("profile", text("Baseline")),
            ("level", text("4")),
        ];
        assert_eq!(codec_props(&Codec::H264(config)), expected);
        let config = H265Config { sps: vec![hex(H265_SPS_MAIN10)], ..H265Config::default() };
        assert_eq!(codec_props(&Codec::H265(config))[2..], [("profile", text("Main 10")), ("level", text("4.1"))]);
    }

    #[test]
    fn what_is_unknown_is_empty() {
        let props = codec_props(&Codec::H264(H264Config::default()));
        assert_eq!((&props[0].1, &props[3].1), (&Prop::Number(0), &text("")));
        assert_eq!(codec_props(&Codec::Vp8(Vp8Config::default())), []);
    }

    #[test]
    fn companding_law_is_a_flag() {
        let props = codec_props(&Codec::G711(G711Law::Mu, AudioLayout { sample_rate: 8000, channels: 1 }));
        assert_eq!(props[0], ("muLaw", Prop::Flag(true)));
    }
}
