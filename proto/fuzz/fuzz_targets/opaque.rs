//! Any payloads of any opaque track put together and into MP4: nothing panics, and what comes out is no more than came in.
#![no_main]

use arbitrary::Arbitrary;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use weft_proto::media::*;
use weft_proto::mp4::{Run, durations, fragment, init};
use weft_proto::opaque::Assembler;
use weft_proto::time::ClockRate;

#[derive(Arbitrary, Debug)]
struct Input {
    label: u8,
    in_band: bool,
    config: Vec<u8>,
    /// Steps of time, marker, payload.
    units: Vec<(u8, bool, Vec<u8>)>,
}

fuzz_target!(|input: Input| run(input));

fn run(input: Input) {
    let labels = ["MPEG-4 Audio LATM", "MPEG-4 Video", "MPEG-1/2 Video", "M-JPEG"];
    let label = labels[usize::from(input.label) % labels.len()];
    let digits: String = input.config.iter().map(|byte| format!("{byte:02x}")).collect();
    let track = Track {
        codec: Codec::Opaque(OpaqueConfig {
            kind: if label == labels[0] { Kind::Audio } else { Kind::Video },
            label,
            payload_type: 96,
            rtpmap: None,
            fmtp: Some(format!("cpresent={};config={digits}", u8::from(input.in_band))),
            in_band: None,
        }),
        clock_rate: ClockRate::new(48_000).expect("not zero"),
    };
    let Some(mut assembler) = Assembler::new(&track) else { return };
    let (mut dts, mut whole) = (0, Vec::new());
    for (step, marker, payload) in input.units {
        dts += i64::from(step);
        let unit = Unit {
            track: TrackId(0),
            pts: dts,
            dts,
            captured: None,
            random_access: true,
            discardable: false,
            marker,
            payload: Payload::single(Bytes::from(payload)),
        };
        assembler.push(&unit, |unit| whole.push(unit));
    }
    assert!(whole.iter().all(|unit| !unit.payload.is_empty()));
    let known = assembler.track(&track);
    init([&known]);
    let units: Vec<&Unit> = whole.iter().collect();
    let lasting = durations(&known, &units, None);
    fragment(1, &[Run { number: 1, track: &known, units: &units, durations: &lasting }]);
}
