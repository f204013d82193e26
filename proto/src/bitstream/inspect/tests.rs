//! Units as devices send them.

use bytes::Bytes;

use super::*;
use crate::bitstream::testdata::*;
use crate::media::{AudioLayout, Av1Config, G711Law, H264Config, H265Config, MpegAudioConfig};

const IDR: &[u8] = &[0x65, 0x88, 0x80];
const DELTA: &[u8] = &[0x41, 0x9a, 0x80];
const UNREFERENCED: &[u8] = &[0x01, 0x9e, 0x80];
const AUD: &[u8] = &[0x09, 0xf0];

fn payload(frames: &[&[u8]]) -> Payload {
    Payload::from_frames(frames.iter().map(|frame| Bytes::copy_from_slice(frame)))
}

fn frames(inspected: &Inspected) -> Vec<Bytes> {
    inspected.payload.frames().map(|frame| frame.to_bytes()).collect()
}

fn empty_h264() -> Inspector {
    Inspector::new(Codec::H264(H264Config::default()))
}

fn known_h264() -> Inspector {
    Inspector::new(Codec::H264(H264Config { sps: vec![hex(H264_SPS_HIGH)], pps: vec![hex(H264_PPS_HIGH)] }))
}

#[test]
fn keyframes_begin_with_parameter_sets_known_from_signalling() {
    let mut inspector = known_h264();
    let inspected = inspector.inspect(payload(&[AUD, IDR])).unwrap();
    assert_eq!(frames(&inspected), [&hex(H264_SPS_HIGH)[..], &hex(H264_PPS_HIGH), IDR]);
    assert!(inspected.random_access && !inspected.codec_changed && !inspected.discardable);
}

#[test]
fn a_clean_keyframe_comes_back_as_it_was() {
    let clean = payload(&[&hex(H264_SPS_HIGH), &hex(H264_PPS_HIGH), IDR]);
    let inspected = empty_h264().inspect(clean.clone()).unwrap();
    assert_eq!(inspected, Inspected { payload: clean, random_access: true, discardable: false, codec_changed: true });
}

#[test]
fn deltas_come_back_as_they_were() {
    let inspected = known_h264().inspect(payload(&[DELTA, DELTA])).unwrap();
    assert!(!inspected.random_access && !inspected.discardable);
    assert_eq!(frames(&inspected), [DELTA, DELTA]);
    assert!(known_h264().inspect(payload(&[UNREFERENCED])).unwrap().discardable);
    assert!(!known_h264().inspect(payload(&[UNREFERENCED, DELTA])).unwrap().discardable);
}

#[test]
fn parameter_sets_in_a_unit_of_their_own_are_collected() {
    let mut inspector = empty_h264();
    assert_eq!(inspector.inspect(payload(&[&hex(H264_SPS_HIGH)])), None);
    assert_eq!(inspector.inspect(payload(&[&hex(H264_PPS_HIGH)])), None);
    assert_eq!(inspector.inspect(payload(&[AUD])), None);
    let inspected = inspector.inspect(payload(&[IDR])).unwrap();
    assert!(inspected.random_access && inspected.codec_changed);
    assert_eq!(frames(&inspected).len(), 3);
    assert!(!inspector.inspect(payload(&[IDR])).unwrap().codec_changed);
}

#[test]
fn a_keyframe_without_parameter_sets_is_no_entry() {
    assert!(!empty_h264().inspect(payload(&[IDR])).unwrap().random_access);
}

#[test]
fn cameras_that_repeat_parameter_sets_before_every_slice() {
    let (sps, pps) = (hex(H264_SPS_HIGH), hex(H264_PPS_HIGH));
    let mut padded = sps.to_vec();
    padded.extend([0, 0]);
    let mut inspector = known_h264();
    let inspected = inspector.inspect(payload(&[&sps, &pps, IDR, &padded, &pps, IDR])).unwrap();
    assert_eq!(frames(&inspected), [&sps[..], &pps, IDR, IDR]);
    let inspected = inspector.inspect(payload(&[&sps, &pps, DELTA])).unwrap();
    assert_eq!(frames(&inspected), [DELTA]);
    assert!(!inspected.codec_changed);
}

#[test]
fn a_changed_set_stays_in_place_and_leads_the_next_keyframe() {
    let mut inspector = known_h264();
    let inspected = inspector.inspect(payload(&[&hex(H264_SPS_MAIN), DELTA])).unwrap();
    assert_eq!(frames(&inspected), [&hex(H264_SPS_MAIN)[..], DELTA]);
    assert!(inspected.codec_changed);
    let inspected = inspector.inspect(payload(&[IDR])).unwrap();
    assert_eq!(frames(&inspected)[0], hex(H264_SPS_MAIN));
    assert!(matches!(inspector.codec(), Codec::H264(config) if config.sps == [hex(H264_SPS_MAIN)]));
}

#[test]
fn cameras_that_leave_start_codes_between_nal_units() {
    let (sps, pps) = (hex(H264_SPS_HIGH), hex(H264_PPS_HIGH));
    let start = &[0, 0, 0, 1][..];
    let piece = [&sps[..], start, &pps, start, IDR].concat();
    let inspected = empty_h264().inspect(payload(&[&piece])).unwrap();
    assert_eq!(frames(&inspected), [&sps[..], &pps, IDR]);
    let led = [&[0, 0, 1], DELTA].concat();
    assert_eq!(frames(&known_h264().inspect(payload(&[&led])).unwrap()), [DELTA]);
}

#[test]
fn signalled_sets_with_start_codes_are_cleaned() {
    let sps = Bytes::from([&[0, 0, 0, 1], &hex(H264_SPS_HIGH)[..]].concat());
    let inspector = Inspector::new(Codec::H264(H264Config { sps: vec![sps], pps: vec![Bytes::new()] }));
    let expected = Codec::H264(H264Config { sps: vec![hex(H264_SPS_HIGH)], pps: vec![] });
    assert_eq!(inspector.codec(), &expected);
}

#[test]
fn intra_refresh_is_entered_at_its_recovery_point() {
    let mut inspector = known_h264();
    assert!(inspector.inspect(payload(&[&hex(H264_SEI_RECOVERY), DELTA])).unwrap().random_access);
    assert_eq!(inspector.inspect(payload(&[&hex(H264_SEI_RECOVERY)])), None);
    assert!(inspector.inspect(payload(&[DELTA])).unwrap().random_access);
    assert!(!inspector.inspect(payload(&[DELTA])).unwrap().random_access);
}

#[test]
fn h265_enters_at_clean_random_access_and_drops_what_nobody_refers_to() {
    let (vps, sps, pps) = (hex(H265_VPS_MAIN), hex(H265_SPS_MAIN), hex(H265_PPS_MAIN));
    let mut inspector = Inspector::new(Codec::H265(H265Config::default()));
    let cra: &[u8] = &[0x2a, 0x01, 0xac];
    // Filler, and the sets in the wrong order.
    let inspected = inspector.inspect(payload(&[&[0x4c, 1, 0xff], &pps, &sps, &vps, cra])).unwrap();
    assert_eq!(frames(&inspected), [&vps[..], &sps, &pps, cra]);
    assert!(inspected.random_access && inspected.codec_changed);
    let [unreferenced, referenced]: [&[u8]; 2] = [&[0x00, 0x01, 0xd0], &[0x02, 0x01, 0xd0]];
    assert!(inspector.inspect(payload(&[unreferenced])).unwrap().discardable);
    assert!(!inspector.inspect(payload(&[referenced])).unwrap().discardable);
    let mut unknown = Inspector::new(Codec::H265(H265Config::default()));
    assert!(!unknown.inspect(payload(&[unreferenced])).unwrap().discardable);
}

#[test]
fn av1_in_low_overhead_format_is_taken_apart() {
    let frame: &[u8] = &[0x32, 0x03, 0x10, 0xaa, 0xbb];
    let unit = [&[0x12, 0x00, 0x0a, 0x0b][..], &hex(AV1_SEQUENCE_HEADER)[1..], frame].concat();
    let mut inspector = Inspector::new(Codec::Av1(Av1Config::default()));
    let inspected = inspector.inspect(payload(&[&unit])).unwrap();
    assert_eq!(frames(&inspected), [&hex(AV1_SEQUENCE_HEADER)[..], &[0x30, 0x10, 0xaa, 0xbb]]);
    assert!(inspected.random_access && inspected.codec_changed);
    let again = inspector.inspect(inspected.payload.clone()).unwrap();
    assert_eq!((again.payload, again.codec_changed), (inspected.payload, false));
    let keyframe = inspector.inspect(payload(&[&[0x30, 0x10]])).unwrap();
    assert_eq!(frames(&keyframe)[0], hex(AV1_SEQUENCE_HEADER));
    assert!(!inspector.inspect(payload(&[&[0x30, 0x30]])).unwrap().random_access);
    assert_eq!(inspector.inspect(payload(&[&[0x10]])), None);
}

#[test]
fn vp8_and_vp9_keyframes_tell_their_size() {
    let mut inspector = Inspector::new(Codec::Vp8(Vp8Config::default()));
    let inspected = inspector.inspect(Payload::single(hex(VP8_KEY))).unwrap();
    assert!(inspected.random_access && inspected.codec_changed);
    assert!(!inspector.inspect(Payload::single(hex(VP8_DELTA))).unwrap().random_access);
    let mut inspector = Inspector::new(Codec::Vp9(Vp9Config::default()));
    assert!(inspector.inspect(Payload::single(hex(VP9_KEY))).unwrap().codec_changed);
    assert_eq!(inspector.codec(), &Codec::Vp9(Vp9Config { width: 640, height: 360, profile: 0 }));
    assert!(!inspector.inspect(Payload::single(hex(VP9_DELTA))).unwrap().random_access);
}

#[test]
fn sound_passes_through() {
    let mut inspector = Inspector::new(Codec::G711(G711Law::A, AudioLayout { sample_rate: 8000, channels: 1 }));
    let inspected = inspector.inspect(payload(&[&[0xd5; 160]])).unwrap();
    assert!(inspected.random_access && !inspected.discardable && !inspected.codec_changed);
    assert_eq!(inspector.inspect(Payload::default()), None);
    let mut inspector = Inspector::new(Codec::MpegAudio(MpegAudioConfig::default()));
    assert!(inspector.inspect(payload(&[&[0xff, 0xfb, 0x54, 0x00]])).unwrap().codec_changed);
    let expected = MpegAudioConfig { sample_rate: 48_000, channels: 2, layer: 3 };
    assert_eq!(inspector.codec(), &Codec::MpegAudio(expected));
}
