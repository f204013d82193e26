//! Captures of real senders.

use bytes::Bytes;

use crate::bitstream::testdata::hex;
use crate::media::{Payload, TrackId, Unit};

/// Packets as they arrived, and the access units of the sender's file.
pub(super) struct Capture {
    pub(super) payloads: Vec<Unit>,
    pub(super) units: Vec<Bytes>,
}

impl Capture {
    pub(super) fn parse(text: &str) -> Self {
        let lines = |prefix: &'static str| text.lines().filter_map(move |line| line.strip_prefix(prefix)).map(hex);
        let payload = |packet: Bytes| {
            let time = u32::from_be_bytes(*packet[4..].first_chunk().unwrap());
            unit(time.into(), packet[1] & 0x80 != 0, &packet[12..])
        };
        Self { payloads: lines("p ").map(payload).collect(), units: lines("u ").collect() }
    }
}

/// A payload of RTP, as the unpacker makes a unit of it.
pub(super) fn unit(time: i64, marker: bool, payload: &[u8]) -> Unit {
    Unit {
        track: TrackId(0),
        pts: time,
        dts: time,
        captured: None,
        random_access: true,
        discardable: false,
        marker,
        payload: Payload::single(Bytes::copy_from_slice(payload)),
    }
}
