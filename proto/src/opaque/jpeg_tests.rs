use super::*;
use crate::media::Kind;
use crate::opaque::testing::{Capture, unit};
use crate::opaque::{Assembler, picture};
use crate::time::ClockRate;

fn track() -> Track {
    let (kind, label) = (Kind::Video, LABEL);
    let codec = Codec::Opaque(OpaqueConfig { kind, label, payload_type: 26, rtpmap: None, fmtp: None, in_band: None });
    Track { codec, clock_rate: ClockRate::VIDEO }
}

fn images(payloads: impl IntoIterator<Item = Unit>) -> (Vec<Vec<u8>>, Track) {
    let (track, mut out) = (track(), Vec::new());
    let mut assembler = Assembler::new(&track).unwrap();
    for unit in payloads {
        assembler.push(&unit, |whole| out.push(whole.payload.frames().next().unwrap().to_bytes().to_vec()));
    }
    (out, assembler.track(&track))
}

/// A fragment: offset, type, quality, then what follows.
fn fragment(offset: u8, kind: u8, quality: u8, rest: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, offset, kind, quality, 8, 6], rest].concat()
}

#[test]
fn images_of_ffmpeg_have_their_tables_and_size() {
    let capture = Capture::parse(include_str!("testdata/jpeg_ffmpeg.hex"));
    let (found, known) = images(capture.payloads.clone());
    assert_eq!(found.len(), 3);
    let sent = capture.payloads[0].payload.frames().next().unwrap().to_bytes();
    let luma = &sent[12..76];
    assert_eq!((&found[0][..7], &found[0][7..71]), (&[0xff, 0xd8, 0xff, 0xdb, 0, 67, 0][..], luma));
    assert!(found[0].ends_with(&[0xff, 0xd9]));
    let Codec::Opaque(opaque) = &known.codec else { unreachable!() };
    let picture = picture(opaque).unwrap();
    assert_eq!((picture.width, picture.height, picture.object_type), (64, 48, 0x6c));
}

#[test]
fn qualities_below_100_have_tables_of_their_own() {
    assert_eq!(scaled(50)[..TABLE], LUMA);
    assert_eq!((scaled(50)[TABLE], scaled(50)[127]), (17, 99));
    assert_eq!((scaled(1)[0], scaled(99)[0], scaled(25)[0], scaled(75)[0]), (255, 1, 32, 8));
    let (found, _) = images([unit(0, true, &fragment(0, 1, 50, &[7; 9]))]);
    assert_eq!(found[0][7..71], LUMA);
    assert_eq!(images([unit(0, true, &fragment(0, 1, 100, &[7]))]).0.len(), 0);
}

#[test]
fn restart_markers_have_their_interval() {
    let (found, _) = images([unit(0, true, &fragment(0, 0x41, 50, &[0, 9, 0xff, 0xff, 7, 7]))]);
    assert!(found[0].windows(6).any(|six| six == [0xff, 0xdd, 0, 4, 0, 9]));
    assert!(found[0].ends_with(&[63, 0, 7, 7, 0xff, 0xd9]));
}

#[test]
fn a_hole_spoils_the_image_and_no_other() {
    let (start, end) = (fragment(0, 0, 50, &[1, 2]), fragment(2, 0, 50, &[3]));
    let (found, _) = images([
        unit(0, false, &start),
        unit(0, true, &fragment(3, 0, 50, &[4])),
        unit(1, true, &end),
        unit(2, false, &start),
        unit(2, true, &end),
    ]);
    assert_eq!(found.len(), 1);
    assert!(found[0].ends_with(&[63, 0, 1, 2, 3, 0xff, 0xd9]));
}

#[test]
fn tables_hold_until_others_come() {
    let with = [&[0, 0, 0, 64][..], &[5; 64], &[1]].concat();
    let without = [0, 0, 0, 0, 2];
    let (found, _) = images([
        unit(0, true, &fragment(0, 0, 200, &without)),
        unit(1, true, &fragment(0, 0, 200, &with)),
        unit(2, true, &fragment(0, 0, 200, &without)),
        unit(3, true, &fragment(0, 0, 201, &without)),
    ]);
    assert_eq!(found.len(), 2);
    assert_eq!(found[1][7..71], [5; 64]);
}
