//! Entries for the tests of this room: 25 frames a second, one every 40 ms.

use std::sync::Arc;

use bytes::Bytes;
use weft_proto::id::{Epoch, Position};
use weft_proto::media::{Codec, H264Config, OpusConfig, Payload, Track, TrackId, Tracks, Unit};
use weft_proto::time::{ClockRate, Now};

use super::entry::Entry;

/// When frame `n` arrives.
pub(crate) fn at(n: u64) -> Now {
    Now::from_micros(1_000_000 + n * 40_000)
}

/// Frame `n` of the video track.
pub(crate) fn entry(n: u64, key: bool, bytes: usize) -> Arc<Entry> {
    entry_on(0, n, key, bytes)
}

/// Unit `n` of a track; groups begin with the video track's keyframes.
pub(crate) fn entry_on(track: u8, n: u64, key: bool, bytes: usize) -> Arc<Entry> {
    let ticks = n as i64 * if track == 0 { 3600 } else { 1920 };
    Arc::new(Entry {
        position: Position { epoch: Epoch(1), seq: n },
        unit: unit(track, ticks, key, bytes),
        dts_micros: n as i64 * 40_000,
        arrived: at(n),
        marks: None,
        group_start: key && track == 0,
        group: 0,
        generation: 0,
        publication: 0,
        missed: false,
        tracks: tracks(),
    })
}

/// A unit of zeros.
pub(crate) fn unit(track: u8, ticks: i64, key: bool, bytes: usize) -> Unit {
    Unit {
        track: TrackId(track),
        pts: ticks,
        dts: ticks,
        captured: None,
        random_access: key,
        discardable: false,
        marker: false,
        payload: Payload::single(Bytes::from(vec![0; bytes])),
    }
}

/// H.264 at 90 kHz and Opus at 48 kHz.
pub(crate) fn tracks() -> Tracks {
    let video = Track { codec: Codec::H264(H264Config::default()), clock_rate: ClockRate::VIDEO };
    let opus = Codec::Opus(OpusConfig { channels: 2 });
    let audio = Track { codec: opus, clock_rate: ClockRate::new(48_000).unwrap() };
    Tracks::new(vec![video, audio]).unwrap()
}
