//! Sequence headers and records of real encoders.

use proptest::prelude::*;

use super::*;
use crate::bitstream::testdata::*;

#[test]
fn sequence_header_of_libaom() {
    let header = SequenceHeader::parse(&hex(AV1_SEQUENCE_HEADER)).unwrap();
    assert_eq!((header.profile, header.level_idx, header.tier), (0, 1, 0));
    assert_eq!((header.width, header.height, header.bit_depth), (640, 360, 8));
}

#[test]
fn golden_record_reads_and_writes_back() {
    let golden = hex(AV1C);
    let config = parse_av1c(&golden).unwrap();
    assert_eq!(config.sequence_header, hex(AV1_SEQUENCE_HEADER));
    assert_eq!(build_av1c(&config).unwrap(), golden);
}

#[test]
fn a_temporal_unit_falls_into_its_obus() {
    // Delimiter, sequence header, and a frame that reaches to the end without a size.
    let stream = hex(&format!("12000a0b{}3010aa", &AV1_SEQUENCE_HEADER[2..]));
    let obus: Vec<Obu> = split_obus(&stream).map(Result::unwrap).collect();
    let types: Vec<u8> = obus.iter().map(|obu| obu_type(obu.header[0])).collect();
    assert_eq!(types, [obu::TEMPORAL_DELIMITER, obu::SEQUENCE_HEADER, obu::FRAME]);
    assert!(obus.iter().all(|obu| !has_size(obu.header[0])));
    assert_eq!(obus[2].body, &[0x10, 0xaa][..]);
}

#[test]
fn a_size_beyond_the_end_is_an_error() {
    let split: Vec<_> = split_obus(&Bytes::from_static(&[0x32, 0x7f, 1])).collect();
    assert_eq!(split, [Err(BitstreamError::Ended)]);
}

#[test]
fn keyframes_are_told_by_the_first_bits() {
    assert!(is_shown_keyframe(&[0x30, 0x10], false));
    assert!(!is_shown_keyframe(&[0x30, 0x30], false), "an inter frame");
    assert!(!is_shown_keyframe(&[0x30, 0x00], false), "a keyframe that is shown later");
    assert!(!is_shown_keyframe(&[0x30, 0x90], false), "a frame shown again");
    assert!(is_shown_keyframe(&[0x34, 0x20, 0x10], false), "behind an extension");
    assert!(!is_shown_keyframe(&[0x34, 0x20], false));
}

proptest! {
    #[test]
    fn leb128_round_trips(value: u32) {
        let mut out = [0; 5];
        let bytes = write_leb128(value, &mut out);
        prop_assert_eq!(read_leb128(bytes), Some((value, bytes.len())));
    }

    #[test]
    fn broken_headers_are_errors(bytes in prop::collection::vec(any::<u8>(), 0..30)) {
        let _ = SequenceHeader::parse(&bytes);
        let _ = parse_av1c(&bytes.into());
    }
}
