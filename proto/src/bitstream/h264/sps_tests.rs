//! Parameter sets of real encoders and devices.

use proptest::prelude::*;

use super::*;
use crate::bitstream::testdata::*;

fn sps(text: &str) -> Sps {
    Sps::parse(&hex(text)).unwrap()
}

#[test]
fn high_profile_with_pyramid() {
    let sps = sps(H264_SPS_HIGH);
    assert_eq!((sps.profile_idc, sps.level_idc, sps.width, sps.height), (100, 30, 640, 360));
    assert_eq!((sps.frame_rate, sps.reorder_frames), (FrameRate::new(50, 2), Some(2)));
}

#[test]
fn baseline_crops_and_never_reorders() {
    let sps = sps(H264_SPS_BASELINE);
    assert_eq!((sps.width, sps.height, sps.reorder_frames), (1920, 1080, Some(0)));
}

#[test]
fn full_chroma_crops_by_the_pixel() {
    let sps = sps(H264_SPS_444);
    assert_eq!((sps.width, sps.height, sps.chroma_format), (642, 362, 3));
}

#[test]
fn without_vui_the_order_is_unknown() {
    let sps = sps(H264_SPS_NO_VUI);
    assert_eq!((sps.width, sps.height, sps.frame_rate, sps.reorder_frames), (1920, 1080, None, None));
}

#[test]
fn a_short_vui_is_taken_as_far_as_it_goes() {
    let whole = hex(H264_SPS_HIGH);
    let cut = Sps::parse(&whole[..whole.len() - 3]).unwrap();
    assert_eq!((cut.width, cut.frame_rate, cut.reorder_frames), (640, FrameRate::new(50, 2), None));
}

#[test]
fn trailing_zeros_do_no_harm() {
    let mut padded = hex(H264_SPS_HIGH).to_vec();
    padded.extend([0, 0, 0]);
    assert_eq!(Sps::parse(&padded), Ok(sps(H264_SPS_HIGH)));
}

proptest! {
    #[test]
    fn broken_sets_are_errors(flips in prop::collection::vec((0usize..26, any::<u8>()), 1..6)) {
        let mut bytes = hex(H264_SPS_HIGH).to_vec();
        flips.iter().for_each(|(at, value)| bytes[*at] = *value);
        let _ = Sps::parse(&bytes);
    }
}
