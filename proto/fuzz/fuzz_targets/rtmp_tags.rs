//! The bodies of audio and video messages, one behind the other, as a publisher sends them.
#![no_main]

use arbitrary::Arbitrary;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use weft_proto::limits::UNIT_FRAMES_MAX;
use weft_proto::rtmp::{Media, Receiver};
use weft_proto::time::Now;

#[derive(Arbitrary, Debug)]
struct Sent {
    kind: u8,
    timestamp: u32,
    body: Vec<u8>,
}

fuzz_target!(|all: Vec<Sent>| {
    let mut receiver = Receiver::new();
    let mut now = Now::from_micros(0);
    for Sent { kind, timestamp, body } in all {
        let body = Bytes::from(body).into();
        let media = match kind % 8 {
            0..3 => Media::Video(timestamp, body),
            3..6 => Media::Audio(timestamp, body),
            6 => Media::Data(timestamp, body),
            _ => Media::Aggregate(timestamp, body),
        };
        let _ = receiver.media(media, now);
        now = Now::from_micros(now.micros() + 100_000);
        if receiver.is_ready(now) {
            assert!(receiver.begin().is_some());
        }
        while let Some(received) = receiver.take() {
            assert!(received.unit.dts <= received.unit.pts);
            assert!(!received.unit.payload.is_empty());
            assert!(received.unit.payload.frames().len() <= UNIT_FRAMES_MAX + 64 * 3);
        }
        receiver.take_stale();
    }
});
