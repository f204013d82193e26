//! Bytes that real encoders and devices made, in hexadecimal.

use bytes::Bytes;

/// The bytes of a hexadecimal text.
pub(crate) fn hex(text: &str) -> Bytes {
    assert!(text.len().is_multiple_of(2));
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// x264, High@3.0, 640x360 at 25 fps, two B frames, pyramid.
pub(crate) const H264_SPS_HIGH: &str = "6764001eacd940a02ff97011000003000100000300320f162d96";
/// The PPS to it.
pub(crate) const H264_PPS_HIGH: &str = "68ebe3cb22c0";
/// x264, Constrained Baseline@4.0, 1920x1080 (cropped from 1088) at 30 fps.
pub(crate) const H264_SPS_BASELINE: &str = "6742c028da01e0089f970110000003001000000303c0f1832a";
/// x264, High 4:4:4 Predictive@3.0, 642x362 (crop unit is one pixel), no B frames.
pub(crate) const H264_SPS_444: &str = "67f4001e919640290bf8f9f011000003000100000300320f162e48";
/// x264, Main@3.0, 640x360 with periodic intra refresh.
pub(crate) const H264_SPS_MAIN: &str = "674d401eda0280bfe5c044000003000400000300c83c58ba80";
/// The SEI with the recovery point of an intra refresh (x264).
pub(crate) const H264_SEI_RECOVERY: &str = "060602344080";
/// Main@4.0, 1920x1080, without VUI, as many cameras send it (made by hand).
pub(crate) const H264_SPS_NO_VUI: &str = "674d0028e5603c0113f2a0";
/// `avcC` as ffmpeg 5.1 writes it for [`H264_SPS_HIGH`].
pub(crate) const AVCC: &str =
    "0164001effe1001a6764001eacd940a02ff97011000003000100000300320f162d9601000668ebe3cb22c0fdf8f800";

/// x265, VPS of [`H265_SPS_MAIN`].
pub(crate) const H265_VPS_MAIN: &str = "40010c01ffff01600000030090000003000003003f959409";
/// x265, Main@2.1, 640x360 at 25 fps.
pub(crate) const H265_SPS_MAIN: &str =
    "42010101600000030090000003000003003fa0050201696595964932bc05a02000000300200000030321";
/// The PPS to it.
pub(crate) const H265_PPS_MAIN: &str = "4401c172b46240";
/// x265, Main 10@4.1, 1920x1080 (cropped from 1088) at 50 fps.
pub(crate) const H265_SPS_MAIN10: &str =
    "42010102200000030090000003000003007ba003c0801107cad965654a4c2f0168080000030008000003019040";
/// `hvcC` as ffmpeg 5.1 writes it for [`H265_SPS_MAIN`], without the encoder's SEI.
pub(crate) const HVCC: &str = "0101600000009000000000003ff000fcfdf8f800000f03200001001840010c01ffff01600000030090000003000003003f959409210001002a42010101600000030090000003000003003fa0050201696595964932bc05a0200000030020000003032122000100074401c172b46240";

/// libaom, the first bytes of a temporal unit with a keyframe of 640x360: delimiter, sequence header, frame.
pub(crate) const AV1_SEQUENCE_HEADER: &str = "080000000cc4ff6736be4010";
/// `av1C` as ffmpeg 5.1 writes it for it.
pub(crate) const AV1C: &str = "81010c000a0b0000000cc4ff6736be4010";

/// libvpx, the head of a VP8 keyframe of 640x360.
pub(crate) const VP8_KEY: &str = "f0c6009d012a8002680100070885858885848802021be7bffac032dfef014f03";
/// The head of the frame behind it.
pub(crate) const VP8_DELTA: &str = "d11c001111fc0018870111d8109581d7ad7b1667fe00b7a5a290ce55e11626bf";
/// libvpx, the head of a VP9 keyframe of 640x360, profile 0.
pub(crate) const VP9_KEY: &str = "824983420027f016760838241c18b61005107fd9fa3e8fe7766f84ffd3fe9fba";
/// The head of the frame behind it.
pub(crate) const VP9_DELTA: &str = "86004092f0d15b040038768657f8e457a134104062662a4e6c05116e06627f46";
/// libvpx, the head of a VP9 keyframe of 640x360, profile 2 (ten bits).
pub(crate) const VP9_KEY_PROFILE_2: &str = "924983420013f80b3b041c120e0c5d08028c7fd5f9be8fe777d87c37edfd3f17";
