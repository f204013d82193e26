//! Orders of frames as encoders make them, in frames of 3,600 ticks (25 per second).

use proptest::prelude::*;

use super::*;
use crate::bitstream::testdata::*;
use crate::media::{H264Config, Vp8Config};

const FRAME: i64 = 3600;

fn h264(sps: &str) -> Codec {
    Codec::H264(H264Config { sps: vec![hex(sps)], pps: vec![] })
}

/// Decoding times of `order`, both in frames.
fn estimate(codec: &Codec, order: &[i64]) -> Vec<i64> {
    let mut estimator = DtsEstimator::new(codec);
    order.iter().map(|frame| estimator.dts(frame * FRAME, *frame == 0, codec)).collect()
}

fn check(order: &[i64], dts: &[i64]) {
    assert!(dts.is_sorted(), "{dts:?}");
    assert!(order.iter().zip(dts).all(|(pts, dts)| dts <= &(pts * FRAME)), "{dts:?}");
}

#[test]
fn announced_reordering_is_exact() {
    let order = [0, 4, 2, 1, 3, 8, 6, 5, 7, 12, 10, 9, 11];
    let dts = estimate(&h264(H264_SPS_HIGH), &order);
    let expected: Vec<i64> = (-2..11).map(|frame| frame * FRAME).collect();
    assert_eq!(dts, expected);
}

#[test]
fn baseline_is_never_late() {
    assert_eq!(estimate(&h264(H264_SPS_BASELINE), &[0, 1, 2, 5, 6]), [0, 1, 2, 5, 6].map(|n| n * FRAME));
}

#[test]
fn unannounced_b_frames_are_survived() {
    let order = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 12, 10, 11];
    check(&order, &estimate(&h264(H264_SPS_NO_VUI), &order));
}

#[test]
fn unannounced_pyramids_are_survived() {
    let order = [0, 4, 2, 1, 3, 8, 6, 5, 7, 12, 10, 9, 11];
    check(&order, &estimate(&h264(H264_SPS_NO_VUI), &order));
    let alternating = [0, 2, 1, 4, 3, 6, 5, 8, 7];
    let dts = estimate(&h264(H264_SPS_NO_VUI), &alternating);
    check(&alternating, &dts);
    assert_eq!(dts[8], 7 * FRAME, "no lag builds up");
}

#[test]
fn without_reordering_nothing_lags_whatever_the_rate() {
    for rate in [1, 3, 9] {
        let order: Vec<i64> = (0..20).map(|n| n * rate).collect();
        let dts = estimate(&h264(H264_SPS_NO_VUI), &order);
        check(&order, &dts);
        assert_eq!(dts[19], order[19] * FRAME);
    }
}

#[test]
fn a_jump_starts_anew() {
    let codec = h264(H264_SPS_BASELINE);
    let mut estimator = DtsEstimator::new(&codec);
    assert_eq!(estimator.dts(0, true, &codec), 0);
    assert_eq!(estimator.dts(JUMP + 1, false, &codec), JUMP + 1);
    assert_eq!(estimator.dts(5, false, &codec), 5);
}

#[test]
fn a_small_step_back_of_the_clock_is_forgotten() {
    let order: Vec<i64> = (100..150).chain(110..150).collect();
    let dts = estimate(&h264(H264_SPS_NO_VUI), &order);
    assert_eq!(dts[89], 149 * FRAME);
}

#[test]
fn other_codecs_decode_what_they_show() {
    let codec = Codec::Vp8(Vp8Config::default());
    assert_eq!(estimate(&codec, &[3, 4, 9]), [3, 4, 9].map(|n| n * FRAME));
}

proptest! {
    #[test]
    fn no_time_is_after_its_pts(times in prop::collection::vec(prop_oneof![any::<i64>(), -99_999i64..99_999], 0..60), guess: bool) {
        let codec = h264(if guess { H264_SPS_NO_VUI } else { H264_SPS_HIGH });
        let mut estimator = DtsEstimator::new(&codec);
        for pts in times {
            prop_assert!(estimator.dts(pts, false, &codec) <= pts);
        }
    }

    #[test]
    fn random_orders_within_the_depth_never_decrease(flips in prop::collection::vec(any::<bool>(), 0..100)) {
        // The announced depth is 2: swapping neighbours needs 1.
        let mut order: Vec<i64> = (0..100).collect();
        for (at, flip) in flips.iter().enumerate().filter(|(at, _)| at % 2 == 1) {
            if *flip && at + 1 < order.len() {
                order.swap(at, at + 1);
            }
        }
        check(&order, &estimate(&h264(H264_SPS_HIGH), &order));
    }
}
