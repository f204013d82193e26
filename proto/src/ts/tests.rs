use bytes::Bytes;
use proptest::prelude::*;

use super::tables::crc32;
use super::*;
use crate::bitstream::aac::build_asc;
use crate::bitstream::latm::access_units;
use crate::media::{
    AacConfig, Codec, H264Config, Kind, OpaqueConfig, OpusConfig, Payload, Track, TrackId, Tracks, Unit,
};
use crate::time::ClockRate;

fn aac(object_type: u8) -> Codec {
    let asc = build_asc(object_type, 48_000, 2).unwrap();
    Codec::Aac(AacConfig { asc, sample_rate: 48_000, channels: 2 })
}

fn tracks(audio: Codec) -> Tracks {
    let video = Track { codec: Codec::H264(H264Config::default()), clock_rate: ClockRate::VIDEO };
    Tracks::new(vec![video, Track { codec: audio, clock_rate: ClockRate::new(48_000).unwrap() }]).unwrap()
}

fn unit(track: u8, time: i64, bytes: &[u8]) -> Unit {
    Unit {
        track: TrackId(track),
        pts: time,
        dts: time,
        captured: None,
        random_access: track == 1 || time == 0,
        discardable: false,
        marker: true,
        payload: Payload::single(Bytes::copy_from_slice(bytes)),
    }
}

/// What a demultiplexer finds: PES packets by identifier, and errors of continuity.
#[derive(Default)]
struct Found {
    pes: Vec<(u16, Vec<u8>)>,
    counters: std::collections::BTreeMap<u16, u8>,
}

impl Found {
    fn read(&mut self, stream: &[u8]) {
        let mut open: std::collections::BTreeMap<u16, Vec<u8>> = Default::default();
        for packet in stream.chunks(PACKET_BYTES) {
            assert_eq!((packet.len(), packet[0]), (PACKET_BYTES, 0x47));
            let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
            let (field, flags) = match packet[3] & 0x20 {
                0 => (0, 0),
                _ => (1 + usize::from(packet[4]), if packet[4] > 0 { packet[5] } else { 0 }),
            };
            let counter = packet[3] & 0xf;
            if let Some(before) = self.counters.insert(pid, counter) {
                assert!(flags & 0x80 != 0 || counter == (before + 1) & 0xf, "pid {pid:#x}: {counter} after {before}");
            }
            let payload = &packet[4 + field..];
            assert!(!payload.is_empty());
            if packet[1] & 0x40 != 0
                && let Some(whole) = open.insert(pid, payload.to_vec())
            {
                self.pes.push((pid, whole));
            } else if packet[1] & 0x40 == 0 {
                open.get_mut(&pid).expect("a start came first").extend_from_slice(payload);
            }
        }
        self.pes.extend(open);
    }

    fn of(&self, pid: u16) -> Vec<&[u8]> {
        self.pes.iter().filter(|(own, _)| *own == pid).map(|(_, pes)| &pes[..]).collect()
    }
}

#[test]
fn a_program_names_its_tracks() {
    let mut out = Vec::new();
    Writer::new(&tracks(aac(2))).unwrap().tables(&mut out);
    assert_eq!(out.len(), 2 * PACKET_BYTES);
    let mut found = Found::default();
    found.read(&out);
    let (pat, pmt) = (found.of(0)[0], found.of(0x1000)[0]);
    for section in [pat, pmt] {
        assert_eq!(crc32(&section[1..]), 0, "a section with its checksum sums up to nothing");
    }
    // PCR on the video, then both streams.
    assert_eq!(pmt[9..13], [0xe1, 0x00, 0xf0, 0x00]);
    assert_eq!(pmt[13..23], [0x1b, 0xe1, 0x00, 0xf0, 0x00, 0x0f, 0xe1, 0x01, 0xf0, 0x00]);
}

#[test]
fn units_come_back_with_their_times() {
    let mut writer = Writer::new(&tracks(aac(2))).unwrap();
    let mut out = Vec::new();
    let mut video = unit(0, 0, &[0x65; 500]);
    video.pts = 7_200;
    writer.unit(&video, &mut out);
    writer.unit(&unit(1, 1_024, &[7; 100]), &mut out);
    let mut found = Found::default();
    found.read(&out);
    let pes = found.of(0x100)[0];
    assert_eq!(pes[..9], [0, 0, 1, 0xe0, 0, 0, 0x84, 0xc0, 10]);
    // 10 s and 7,200 ticks, then 10 s.
    assert_eq!(pes[9..19], [0x31, 0x00, 0x37, 0xaf, 0x81, 0x11, 0x00, 0x37, 0x77, 0x41]);
    assert_eq!(pes[19..30], [0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x65]);
    assert_eq!(pes.len(), 19 + 6 + 4 + 500);
    let sound = found.of(0x101)[0];
    assert_eq!(sound[..9], [0, 0, 1, 0xc0, 0, 115, 0x84, 0x80, 5]);
    assert_eq!(crate::bitstream::aac::Adts::parse(&sound[14..]).unwrap().frame_len, 107);
    // The first packet has the clock, 100 ms before, and says that decoding may start.
    assert_eq!(out[4..6], [7, 0x50]);
    let base = u64::from_be_bytes([0, 0, out[6], out[7], out[8], out[9], out[10], out[11]]) >> 15;
    assert_eq!(base, 900_000 - 9_000);
}

#[test]
fn aac_that_adts_cannot_say_goes_as_latm() {
    let mut writer = Writer::new(&tracks(aac(23))).unwrap();
    let mut out = Vec::new();
    writer.tables(&mut out);
    writer.unit(&unit(1, 0, &[0xab; 300]), &mut out);
    let mut found = Found::default();
    found.read(&out);
    assert_eq!(found.of(0x1000)[0][18], 0x11);
    let sound = &found.of(0x101)[0][14..];
    assert_eq!((sound[0], sound[1] & 0xe0), (0x56, 0xe0));
    assert_eq!(usize::from(u16::from_be_bytes([sound[1] & 0x1f, sound[2]])), sound.len() - 3);
}

#[test]
fn latm_of_rtp_has_its_configuration_in_each_element() {
    let (label, fmtp) = ("MPEG-4 Audio LATM", Some("cpresent=0;config=400024103fc0".to_owned()));
    let latm = OpaqueConfig { kind: Kind::Audio, label, payload_type: 97, rtpmap: None, fmtp, in_band: None };
    let mut writer = Writer::new(&tracks(Codec::Opaque(latm.clone()))).unwrap();
    let mut out = Vec::new();
    writer.tables(&mut out);
    writer.unit(&unit(1, 0, &[3, 7, 8, 9]), &mut out);
    let mut found = Found::default();
    found.read(&out);
    assert_eq!(found.of(0x1000)[0][18], 0x11);
    let sound = Bytes::copy_from_slice(&found.of(0x101)[0][14..]);
    assert_eq!((sound[0], sound[1] & 0xe0), (0x56, 0xe0));
    let mut config = None;
    assert_eq!(access_units(&mut config, true, &sound.slice(3..)).unwrap(), [&[7, 8, 9][..]]);
    assert_eq!(config.unwrap().aac.sample_rate, 44_100);
    // Where nothing is known of it there is nothing to write.
    assert!(!carries(&Codec::Opaque(OpaqueConfig { fmtp: None, ..latm })));
}

#[test]
fn opus_has_its_control_header_and_metadata_its_registration() {
    let mut writer = Writer::new(&tracks(Codec::Opus(OpusConfig { channels: 2 }))).unwrap();
    let mut out = Vec::new();
    writer.unit(&unit(1, 0, &[9; 300]), &mut out);
    let mut found = Found::default();
    found.read(&out);
    assert_eq!(found.of(0x101)[0][14..19], [0x7f, 0xe0, 255, 45, 9]);
    let klv =
        OpaqueConfig { kind: Kind::Data, label: "KLV", payload_type: 96, rtpmap: None, fmtp: None, in_band: None };
    let mut writer = Writer::new(&tracks(Codec::Opaque(klv))).unwrap();
    let (mut out, mut half) = (Vec::new(), unit(1, 0, b"half "));
    half.marker = false;
    writer.tables(&mut out);
    writer.unit(&half, &mut out);
    writer.unit(&unit(1, 0, b"whole"), &mut out);
    let mut found = Found::default();
    found.read(&out);
    assert!(found.of(0x1000)[0].windows(4).any(|four| four == b"KLVA"));
    assert!(found.of(0x101)[0].ends_with(b"half whole"));
}

#[test]
fn codecs_without_a_place_are_left_out() {
    let vp9 = Codec::Vp9(Default::default());
    assert!(!carries(&vp9));
    let only = Tracks::new(vec![Track { codec: vp9, clock_rate: ClockRate::VIDEO }]).unwrap();
    assert!(Writer::new(&only).is_none());
}

proptest! {
    /// Whatever the units, segments that stand alone continue each other, and no byte is lost.
    #[test]
    fn segments_continue_each_other(
        sizes in prop::collection::vec(prop::collection::vec((0u8..2, 1usize..3000), 1..12), 1..5)
    ) {
        let (mut found, mut time, mut sent) = (Found::default(), 0, 0);
        for segment_sizes in sizes {
            let units: Vec<Unit> = segment_sizes
                .iter()
                .map(|(track, size)| {
                    time += 3_600;
                    unit(*track, time, &vec![0x41; *size])
                })
                .collect();
            sent += units.len();
            let tracks = tracks(aac(2));
            let written = segment(&tracks, &units).unwrap();
            prop_assert_eq!(&written, &segment(&tracks, &units).unwrap());
            found.read(&written);
        }
        prop_assert_eq!(found.of(0x100).len() + found.of(0x101).len(), sent);
    }
}
