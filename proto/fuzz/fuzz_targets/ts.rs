//! Any bytes as a transport stream, in any portions: no unit is larger than the bytes that came.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weft_proto::ts::{Demuxer, PACKET_BYTES};

fuzz_target!(|input: (u16, bool, &[u8])| {
    let (portion, tables, bytes) = input;
    let mut demuxer = Demuxer::new();
    // With tables that name all kinds of streams the fuzzer need not find checksums.
    if tables {
        demuxer.push(include_bytes!("../seeds/ts_tables.ts"));
    }
    let mut took = 0;
    for portion in bytes.chunks(usize::from(portion).max(PACKET_BYTES / 4)) {
        demuxer.push(portion);
        took += drain(&mut demuxer);
    }
    demuxer.flush();
    took += drain(&mut demuxer);
    // Parameter sets are repeated in front of each picture.
    assert!(took <= bytes.len() + 64 * 4096 * bytes.len().div_ceil(PACKET_BYTES));
});

fn drain(demuxer: &mut Demuxer) -> usize {
    let mut took = 0;
    while let Some(found) = demuxer.take() {
        assert!(found.generation <= demuxer.generation());
        assert!(usize::from(found.taken.unit.track.0) < 32 && found.taken.unit.dts <= found.taken.unit.pts);
        took += found.taken.unit.payload.len();
    }
    demuxer.tracks().for_each(drop);
    while demuxer.take_foreign().is_some() {}
    took
}
