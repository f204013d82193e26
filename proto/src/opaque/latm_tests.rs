use super::*;
use crate::media::{Kind, TrackId};
use crate::opaque::Assembler;
use crate::opaque::testing::{Capture, unit};
use crate::time::ClockRate;

fn track(fmtp: &str) -> Track {
    let codec = Codec::Opaque(OpaqueConfig {
        kind: Kind::Audio,
        label: LABEL,
        payload_type: 97,
        rtpmap: Some("MP4A-LATM/44100/1".to_owned()),
        fmtp: Some(fmtp.to_owned()),
        in_band: None,
    });
    Track { codec, clock_rate: ClockRate::new(44_100).unwrap() }
}

fn push(assembler: &mut Assembler, units: impl IntoIterator<Item = Unit>) -> Vec<Unit> {
    let mut out = Vec::new();
    units.into_iter().for_each(|unit| assembler.push(&unit, |whole| out.push(whole)));
    out
}

fn bytes(units: &[Unit]) -> Vec<Bytes> {
    units.iter().flat_map(|unit| unit.payload.frames()).map(|frame| frame.to_bytes()).collect()
}

#[test]
fn access_units_of_ffmpeg_come_out_as_they_went_in() {
    let capture = Capture::parse(include_str!("testdata/latm_ffmpeg.hex"));
    let track = track("profile-level-id=41;cpresent=0;config=400024103fc0");
    let found = push(&mut Assembler::new(&track).unwrap(), capture.payloads);
    assert_eq!(bytes(&found), capture.units);
    assert_eq!(found[1].dts - found[0].dts, 1_024);
    let Codec::Opaque(opaque) = &track.codec else { unreachable!() };
    assert!(matches!(codec(opaque), Some(Codec::Aac(aac)) if aac.sample_rate == 44_100 && aac.channels == 1));
}

#[test]
fn fragments_are_joined_and_what_lost_its_end_is_left_out() {
    let mut assembler = Assembler::new(&track("cpresent=0; config=400024103fc0")).unwrap();
    let found = push(
        &mut assembler,
        [unit(0, false, &[3, 1]), unit(0, true, &[2, 3]), unit(1_024, false, &[9]), unit(2_048, true, &[1, 7])],
    );
    assert_eq!(bytes(&found), [&[1, 2, 3][..], &[7]]);
    assert_eq!((found[1].dts, found[1].track), (2_048, TrackId(0)));
}

#[test]
fn several_access_units_of_an_element_follow_each_other_in_time() {
    let mut assembler = Assembler::new(&track("cpresent=0;config=410024103fc0")).unwrap();
    let found = push(&mut assembler, [unit(5_000, true, &[1, 7, 2, 8, 9])]);
    assert_eq!(bytes(&found), [&[7][..], &[8, 9]]);
    assert_eq!(found.iter().map(|unit| unit.dts).collect::<Vec<_>>(), [5_000, 6_024]);
}

#[test]
fn access_units_of_another_configuration_are_left_out() {
    let mut assembler = Assembler::new(&track("config=400024103fc0")).unwrap();
    // useSameStreamMux; then one of 48,000 Hz, of which the signalled configuration tells nothing.
    let same = unit(0, true, &[0x80, 0x83, 0x80]);
    let other = u128::from_str_radix("400023103fc0", 16).unwrap() >> 4;
    let other = ((other << 16 | 0x01_aa) << (128 - 1 - 44 - 16)).to_be_bytes();
    let found = push(&mut assembler, [same.clone(), unit(1_024, true, &other[..8]), Unit { pts: 2_048, ..same }]);
    assert_eq!(bytes(&found), [&[7][..]]);
}

#[test]
fn without_a_signalled_configuration_there_is_nothing_to_put_together() {
    assert!(Assembler::new(&track("cpresent=1")).is_none());
    assert!(Assembler::new(&track("config=40")).is_none());
    assert!(Assembler::new(&track("config=xyz")).is_none());
}
