//! Configs as encoders and devices signal them.

use proptest::prelude::*;

use super::*;
use crate::bitstream::testdata::hex;

fn asc(text: &str) -> AudioSpecificConfig {
    AudioSpecificConfig::parse(&hex(text)).unwrap()
}

#[test]
fn low_complexity_stereo() {
    let config = asc("1190");
    assert_eq!((config.object_type, config.sample_rate, config.channels, config.frame_samples), (2, 48_000, 2, 1024));
    assert_eq!((config.extension_rate, config.parametric_stereo), (None, false));
}

#[test]
fn sbr_in_hierarchical_signalling() {
    let config = asc("2b118800");
    assert_eq!((config.object_type, config.sample_rate, config.channels), (2, 24_000, 2));
    assert_eq!((config.extension_rate, config.parametric_stereo), (Some(48_000), false));
}

#[test]
fn ps_in_hierarchical_signalling() {
    let config = asc("eb098800");
    assert_eq!((config.object_type, config.sample_rate, config.channels), (2, 24_000, 1));
    assert_eq!((config.extension_rate, config.parametric_stereo), (Some(48_000), true));
}

#[test]
fn sbr_and_ps_behind_a_plain_config() {
    // As ffmpeg writes it for AAC LC, 22,050 Hz mono, made to 44,100 Hz stereo.
    let config = asc("138856e5a5 4880".replace(' ', "").as_str());
    assert_eq!((config.sample_rate, config.channels), (22_050, 1));
    assert_eq!((config.extension_rate, config.parametric_stereo), (Some(44_100), true));
}

#[test]
fn ffmpeg_appends_an_extension_that_says_nothing() {
    let config = asc("119056e500");
    assert_eq!((config.sample_rate, config.channels, config.extension_rate), (48_000, 2, None));
}

#[test]
fn channels_listed_in_the_config() {
    // 5.1 as a program config element: two front, one back and one LFE element.
    let config = asc("1180 04 c8 44 00 20 00 c4 0c 00".replace(' ', "").as_str());
    assert_eq!((config.sample_rate, config.object_type), (48_000, 2));
}

#[test]
fn adts_of_ffmpeg() {
    let adts = Adts::parse(&hex("fff14c8024fffcde")).unwrap();
    assert_eq!((adts.object_type, adts.sample_rate, adts.channels), (2, 48_000, 2));
    assert_eq!((adts.header_len, adts.frame_len), (7, 295));
    assert_eq!(Adts::build(2, 48_000, 2, 288).unwrap(), hex("fff14c8024fffc").as_ref());
}

proptest! {
    #[test]
    fn configs_round_trip(object_type in 1u8..=4, rate in 1u32..200_000, channels in 1u8..=6) {
        let config = AudioSpecificConfig::parse(&build_asc(object_type, rate, channels).unwrap()).unwrap();
        prop_assert_eq!((config.object_type, config.sample_rate, config.channels), (object_type, rate, channels));
    }

    #[test]
    fn adts_round_trips(object_type in 1u8..=4, rate in 0usize..13, channels in 1u8..=6, len in 0usize..8000) {
        let head = Adts::build(object_type, RATES[rate], channels, len).unwrap();
        let expected = Adts { object_type, sample_rate: RATES[rate], channels, header_len: 7, frame_len: len + 7 };
        prop_assert_eq!(Adts::parse(&head), Ok(expected));
    }

    #[test]
    fn broken_configs_are_errors(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = AudioSpecificConfig::parse(&bytes);
        let _ = Adts::parse(&bytes);
    }
}
