use bytes::Bytes;

use super::*;
use crate::media::Kind;
use crate::opaque::Assembler;
use crate::opaque::testing::{Capture, unit};
use crate::time::ClockRate;

const FFMPEG_MPEG4: &str = "profile-level-id=1; config=000001B001000001B58913000001000000012000C48D8800550204061443";

fn track(label: &'static str, fmtp: Option<&str>) -> Track {
    let fmtp = fmtp.map(str::to_owned);
    let codec =
        Codec::Opaque(OpaqueConfig { kind: Kind::Video, label, payload_type: 96, rtpmap: None, fmtp, in_band: None });
    Track { codec, clock_rate: ClockRate::VIDEO }
}

fn opaque(track: &Track) -> &OpaqueConfig {
    match &track.codec {
        Codec::Opaque(opaque) => opaque,
        _ => unreachable!(),
    }
}

fn push(assembler: &mut Assembler, units: impl IntoIterator<Item = Unit>) -> Vec<Unit> {
    let mut out = Vec::new();
    units.into_iter().for_each(|unit| assembler.push(&unit, |whole| out.push(whole)));
    out
}

fn bytes(units: &[Unit]) -> Vec<Bytes> {
    units.iter().flat_map(|unit| unit.payload.frames()).map(|frame| frame.to_bytes()).collect()
}

fn keys(units: &[Unit]) -> Vec<usize> {
    units.iter().enumerate().filter(|(_, unit)| unit.random_access).map(|(index, _)| index).collect()
}

#[test]
fn frames_of_mpeg4_of_ffmpeg_come_out_as_they_went_in() {
    let capture = Capture::parse(include_str!("testdata/mpeg4_ffmpeg.hex"));
    let track = track("MPEG-4 Video", Some(FFMPEG_MPEG4));
    let mut assembler = Assembler::new(&track).unwrap();
    let found = push(&mut assembler, capture.payloads);
    assert_eq!(bytes(&found), capture.units);
    assert_eq!(keys(&found), [0, 4]);
    let picture = picture(opaque(&track)).unwrap();
    assert_eq!((picture.width, picture.height, picture.object_type), (64, 48, 0x20));
    assert_eq!(assembler.track(&track), track);
}

#[test]
fn frames_of_mpeg2_of_ffmpeg_come_out_as_they_went_in_and_say_their_size() {
    let capture = Capture::parse(include_str!("testdata/mpeg2_ffmpeg.hex"));
    let track = track("MPEG-1/2 Video", None);
    let mut assembler = Assembler::new(&track).unwrap();
    let found = push(&mut assembler, capture.payloads);
    assert_eq!(bytes(&found), capture.units);
    assert_eq!(keys(&found), [0, 4]);
    // An SDP never says it: it comes with the first frame.
    assert_eq!(picture(opaque(&track)), None);
    let known = assembler.track(&track);
    let picture = picture(opaque(&known)).unwrap();
    assert_eq!((picture.width, picture.height, picture.object_type), (64, 48, 0x61));
}

#[test]
fn headers_in_the_stream_replace_those_that_were_signalled() {
    let track = track("MPEG-4 Video", Some("profile-level-id=1;config=00;other=x"));
    let mut assembler = Assembler::new(&track).unwrap();
    assert_eq!(assembler.track(&track), track);
    let frame = [&[0, 0, 1, 0xb0, 1, 0, 0, 1, 0x20, 7][..], &[0, 0, 1, 0xb6, 0x10]].concat();
    let found = push(&mut assembler, [unit(0, false, &frame[..5]), unit(0, true, &frame[5..])]);
    assert_eq!((bytes(&found), keys(&found)), (vec![Bytes::from(frame)], vec![0]));
    let known = assembler.track(&track);
    assert_eq!(
        opaque(&known).fmtp.as_deref(),
        Some("config=000001b00100000120 07;profile-level-id=1;other=x".replace(' ', "").as_str())
    );
}

#[test]
fn a_frame_that_lost_its_end_does_not_lead_the_next() {
    let mut assembler = Assembler::new(&track("MPEG-1/2 Video", None)).unwrap();
    let found = push(&mut assembler, [unit(0, false, &[0, 0, 0, 0, 1]), unit(3_600, true, &[0, 0, 0, 0, 2])]);
    assert_eq!(bytes(&found), [&[2][..]]);
    // A header and nothing behind it is no frame, nor is half a header.
    assert_eq!(push(&mut assembler, [unit(7_200, true, &[4, 0, 0, 0, 1]), unit(7_201, true, &[0])]), []);
}
