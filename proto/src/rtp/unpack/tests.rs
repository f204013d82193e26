use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::media::{
    AacConfig, Ac3Config, Av1Config, H264Config, H265Config, LpcmConfig, MpegAudioConfig, OpusConfig, Vp8Config,
    Vp9Config,
};
use crate::rtp::Packet;

/// Pushes packets and gathers what comes out.
pub(super) struct Feed {
    pub(super) unpacker: Unpacker,
    pub(super) errors: Vec<UnpackReason>,
    units: Vec<(i64, Vec<Vec<u8>>)>,
    next: Option<u16>,
}

impl Feed {
    pub(super) fn new(unpacker: Unpacker) -> Self {
        Self { unpacker, errors: Vec::new(), units: Vec::new(), next: None }
    }

    /// Numbers left out are lost packets.
    pub(super) fn push(&mut self, sequence: u16, ticks: i64, marker: bool, payload: &[u8]) {
        let lost_before = u32::from(sequence - self.next.unwrap_or(sequence));
        self.next = Some(sequence + 1);
        let payload = Bytes::copy_from_slice(payload);
        let packet = Packet { marker, payload_type: 96, sequence, timestamp: ticks as u32, ssrc: 1, payload };
        let units = &mut self.units;
        let pushed = self.unpacker.push(&Ordered { packet, lost_before }, ticks, &mut |unit| {
            units.push((unit.ticks, unit.payload.frames().map(|frame| frame.to_bytes().to_vec()).collect()));
        });
        self.errors.extend(pushed.err().map(|error| error.reason));
    }

    /// Timestamps and frames of the units since the last call.
    pub(super) fn take(&mut self) -> Vec<(i64, Vec<Vec<u8>>)> {
        core::mem::take(&mut self.units)
    }
}

/// An unpacker at 90 kHz.
pub(super) fn video(codec: &Codec) -> Unpacker {
    Unpacker::new(codec, ClockRate::VIDEO, &Format::default())
}

fn codecs() -> Vec<Codec> {
    vec![
        Codec::H264(H264Config::default()),
        Codec::H265(H265Config::default()),
        Codec::Av1(Av1Config::default()),
        Codec::Vp8(Vp8Config::default()),
        Codec::Vp9(Vp9Config::default()),
        Codec::Aac(AacConfig { asc: Bytes::new(), sample_rate: 48_000, channels: 2 }),
        Codec::MpegAudio(MpegAudioConfig::default()),
        Codec::Ac3(Ac3Config { sample_rate: 48_000, channels: 2 }),
        Codec::Opus(OpusConfig { channels: 2 }),
        Codec::Lpcm(LpcmConfig { bit_depth: 16, sample_rate: 48_000, channels: 2 }),
    ]
}

#[test]
fn an_unpacker_stays_small() {
    // 200 publishers of two tracks each must not feel it.
    assert!(size_of::<Unpacker>() <= 320, "{}", size_of::<Unpacker>());
}

#[test]
fn another_payload_type_than_announced_is_no_matter_here() {
    // RTP over TCP: the channel names the track, and some cameras send a payload type that their SDP does not know.
    let mut golden = crate::rtp::golden::Golden::parse(include_str!("../testdata/h264_ffmpeg.hex"));
    golden.packets.iter_mut().for_each(|packet| packet.payload_type = 35);
    golden.check(&mut video(&Codec::H264(H264Config::default())));
}

#[test]
fn units_go_on_across_the_wrap_of_sequence_and_timestamp() {
    let mut golden = crate::rtp::golden::Golden::parse(include_str!("../testdata/h264_gstreamer.hex"));
    let first = golden.packets[0].clone();
    for packet in &mut golden.packets {
        packet.sequence = packet.sequence.wrapping_sub(first.sequence).wrapping_sub(9);
        packet.timestamp = packet.timestamp.wrapping_sub(first.timestamp).wrapping_sub(5000);
    }
    let units = golden.check(&mut video(&Codec::H264(H264Config::default())));
    assert!(units.iter().all(|unit| (unit.ticks - units[0].ticks).abs() < 90_000));
}

proptest! {
    #[test]
    fn no_packets_make_it_panic_and_units_are_never_empty(
        codec in prop::sample::select(codecs()),
        packets in prop::collection::vec(
            (0u16..3, 0i64..2, any::<bool>(), prop::collection::vec(any::<u8>(), 0..40)),
            0..40,
        ),
    ) {
        let mut feed = Feed::new(video(&codec));
        let (mut sequence, mut ticks) = (0, 0);
        for (skip, step, marker, payload) in packets {
            (sequence, ticks) = (sequence + 1 + skip / 2, ticks + step);
            feed.push(sequence, ticks, marker, &payload);
        }
        for (_, frames) in feed.take() {
            prop_assert!(!frames.is_empty() && frames.iter().all(|frame| !frame.is_empty()));
        }
    }

    #[test]
    fn real_packets_with_a_flipped_byte_make_no_panic(packet in 0usize..13, at: prop::sample::Index, value: u8) {
        let golden = crate::rtp::golden::Golden::parse(include_str!("../testdata/h264_ffmpeg.hex"));
        for codec in codecs() {
            let mut packets = golden.packets.clone();
            let mut payload = packets[packet].payload.to_vec();
            let at = at.index(payload.len());
            payload[at] = value;
            packets[packet].payload = payload.into();
            let _ = crate::rtp::golden::unpack(&mut video(&codec), &packets);
        }
    }
}
