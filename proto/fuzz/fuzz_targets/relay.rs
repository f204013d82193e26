//! Whatever another node sends as media: however it is cut, the same units come of it, and what is read can be written.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use weft_proto::limits::{UNIT_BYTES_MAX, UNIT_FRAMES_MAX};
use weft_proto::wire::relay::{GroupReader, Placed, Relayed, RelayedError, UnitWriter, decode_tracks, encode_tracks};

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (step, bytes) = input;
    let whole = read(&bytes, bytes.len().max(1));
    let cut = read(&bytes, usize::from(step).max(1));
    match (&whole, &cut) {
        (Ok(whole), Ok(cut)) => assert_eq!(joined(whole), joined(cut)),
        (whole, cut) => assert_eq!(whole.as_ref().err(), cut.as_ref().err()),
    }
    for relayed in whole.iter().flatten() {
        assert!(relayed.unit.payload.len() <= UNIT_BYTES_MAX && relayed.unit.payload.frames().len() <= UNIT_FRAMES_MAX);
        let Relayed { seq, unit, marks, group_start, missed, tracks, after } = relayed;
        let placed = Placed { seq: *seq, marks: *marks, group_start: *group_start, missed: *missed };
        UnitWriter::new(0).write(placed, unit, tracks, after.iter().copied());
        assert_eq!(decode_tracks(&encode_tracks(tracks)).as_ref(), Some(tracks));
    }
});

fn read(bytes: &[u8], step: usize) -> Result<Vec<Relayed>, RelayedError> {
    let (mut reader, mut units) = (GroupReader::new(), Vec::new());
    for chunk in bytes.chunks(step) {
        reader.push(Bytes::copy_from_slice(chunk));
        while let Some(unit) = reader.next()? {
            units.push(unit);
        }
    }
    Ok(units)
}

/// Units with their frames in one piece: slices differ with how the bytes came.
fn joined(units: &[Relayed]) -> Vec<(u64, i64, i64, Vec<Bytes>)> {
    let frames = |unit: &Relayed| unit.unit.payload.frames().map(|frame| frame.to_bytes()).collect();
    units.iter().map(|unit| (unit.seq, unit.unit.pts, unit.unit.dts, frames(unit))).collect()
}
