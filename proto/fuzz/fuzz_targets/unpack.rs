//! Any datagrams through a track's whole way in: header, order, time, units. No panic, and no empty unit or frame.
//!
//! The first byte picks the codec, then each datagram stands behind its length in one byte.
#![no_main]

use std::time::Duration;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use weft_proto::media::{
    AacConfig, Ac3Config, Av1Config, Codec, H264Config, H265Config, LpcmConfig, MpegAudioConfig, OpusConfig, Vp8Config,
    Vp9Config,
};
use weft_proto::rtp::{Format, Packet, Reorder, Timeline, Unpacker};
use weft_proto::time::{ClockRate, Now};

fuzz_target!(|data: &[u8]| {
    let Some((pick, mut rest)) = data.split_first() else { return };
    let mut unpacker = Unpacker::new(&codec(pick & 0x0f), ClockRate::VIDEO, &Format::default());
    let wait = if pick & 0x10 == 0 { Duration::ZERO } else { Duration::from_millis(100) };
    let (mut reorder, mut timeline, mut now) = (Reorder::new(wait), Timeline::new(), Now::default());
    while let Some((length, after)) = rest.split_first() {
        let (datagram, after) = after.split_at(after.len().min(usize::from(*length)));
        rest = after;
        let Ok(packet) = Packet::parse(Bytes::copy_from_slice(datagram)) else { continue };
        let mut unpack = |ordered| push(&mut unpacker, &mut timeline, ordered);
        reorder.push(packet, now, &mut unpack);
        now = now.after(Duration::from_millis(u64::from(*length)));
        reorder.handle_timeout(now, &mut unpack);
    }
});

fn push(unpacker: &mut Unpacker, timeline: &mut Timeline, ordered: weft_proto::rtp::Ordered) {
    let ticks = timeline.extend(ordered.packet.timestamp);
    let _ = unpacker.push(&ordered, ticks, &mut |unit| {
        assert!(unit.payload.frames().len() > 0 && unit.payload.frames().all(|frame| !frame.is_empty()));
    });
}

fn codec(pick: u8) -> Codec {
    match pick {
        0 => Codec::H264(H264Config::default()),
        1 => Codec::H265(H265Config::default()),
        2 => Codec::Av1(Av1Config::default()),
        3 => Codec::Vp8(Vp8Config::default()),
        4 => Codec::Vp9(Vp9Config::default()),
        5 => Codec::Aac(AacConfig { asc: Bytes::new(), sample_rate: 48_000, channels: 2 }),
        6 => Codec::MpegAudio(MpegAudioConfig::default()),
        7 => Codec::Ac3(Ac3Config { sample_rate: 48_000, channels: 2 }),
        8 => Codec::Lpcm(LpcmConfig { bit_depth: 16, sample_rate: 48_000, channels: 2 }),
        _ => Codec::Opus(OpusConfig { channels: 2 }),
    }
}
