//! Any bytes as fragmented MP4 behind an initialisation segment of ours, in any portions.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use weft_proto::bitstream::aac::{build_asc, config_from_asc};
use weft_proto::media::{Codec, OpusConfig, Track};
use weft_proto::mp4::{Reader, init};
use weft_proto::time::ClockRate;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    with_init: bool,
    portion: u16,
    bytes: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let mut reader = Reader::new();
    if input.with_init {
        let rate = ClockRate::new(48_000).expect("not zero");
        let aac = config_from_asc(build_asc(2, 48_000, 2).expect("valid")).expect("valid");
        let codecs = [Codec::Aac(aac), Codec::Opus(OpusConfig { channels: 2 })];
        let tracks = codecs.map(|codec| Track { codec, clock_rate: rate });
        reader.push(&init(&tracks).expect("known")).expect("our own");
    }
    for portion in input.bytes.chunks(usize::from(input.portion).max(1)) {
        if reader.push(portion).is_err() {
            break;
        }
        drain(&mut reader);
    }
    reader.flush();
    drain(&mut reader);
});

fn drain(reader: &mut Reader) {
    while let Some(taken) = reader.take() {
        assert!(taken.unit.dts <= taken.unit.pts);
    }
    reader.tracks().for_each(drop);
    while reader.take_foreign().is_some() {}
}
