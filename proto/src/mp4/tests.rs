use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::bitstream::testdata::*;
use crate::bitstream::{aac, h264};
use crate::media::{AacConfig, Codec, OpusConfig, Payload, Track, TrackId, Unit};

fn video() -> Track {
    let config = h264::parse_avcc(&hex(AVCC)).unwrap().config;
    Track { codec: Codec::H264(config), clock_rate: ClockRate::VIDEO }
}

fn sound() -> Track {
    let asc = aac::build_asc(2, 48_000, 2).unwrap();
    let codec = Codec::Aac(AacConfig { asc, sample_rate: 48_000, channels: 2 });
    Track { codec, clock_rate: ClockRate::new(48_000).unwrap() }
}

fn unit(track: u8, dts: i64, key: bool, bytes: &[u8]) -> Unit {
    Unit {
        track: TrackId(track),
        pts: dts + 3_000,
        dts,
        captured: None,
        random_access: key,
        discardable: false,
        marker: false,
        payload: Payload::single(Bytes::copy_from_slice(bytes)),
    }
}

/// The boxes at the top of `bytes`: their kinds and contents.
fn boxes(mut bytes: &[u8]) -> Vec<(String, &[u8])> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let length = u32::from_be_bytes(*bytes.first_chunk().unwrap()) as usize;
        found.push((String::from_utf8(bytes[4..8].to_vec()).unwrap(), &bytes[8..length]));
        bytes = &bytes[length..];
    }
    found
}

/// The content of the box at the end of a way of boxes.
fn find<'a>(bytes: &'a [u8], way: &[&str]) -> &'a [u8] {
    way.iter().fold(bytes, |inside, name| {
        boxes(inside).into_iter().find(|(kind, _)| kind == name).unwrap_or_else(|| panic!("no {name}")).1
    })
}

#[test]
fn an_initialisation_segment_describes_its_tracks() {
    let init = init([&video(), &sound()]).unwrap();
    let kinds: Vec<String> = boxes(&init).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["ftyp", "moov"]);
    let tracks = boxes(find(&init, &["moov"])).into_iter().filter(|(kind, _)| kind == "trak").count();
    assert_eq!(tracks, 2);
    let entry = find(&init, &["moov", "trak", "mdia", "minf", "stbl", "stsd"]);
    assert_eq!(&entry[12..16], b"avc1");
    let record = hex(AVCC);
    assert!(entry.windows(record.len()).any(|window| *window == record));
}

#[test]
fn without_parameters_there_is_no_initialisation_segment() {
    let unknown = Track { codec: Codec::H264(Default::default()), clock_rate: ClockRate::VIDEO };
    assert_eq!(init([&unknown]), None);
    assert_eq!(init([]), None);
}

#[test]
fn a_fragment_has_the_samples_of_each_track_where_it_says() {
    let (video, sound) = (video(), sound());
    let pictures = [unit(0, 0, true, &[0x65; 50]), unit(0, 3_600, false, &[0x41; 20])];
    let frames = [unit(1, 0, true, &[7; 9])];
    let (pictures, frames): (Vec<_>, Vec<_>) = (pictures.iter().collect(), frames.iter().collect());
    let lasting = durations(&video, &pictures, Some(7_200));
    assert_eq!(lasting, [3_600, 3_600]);
    assert_eq!(durations(&sound, &frames, None), [1_024]);
    let runs = [
        Run { number: 1, track: &video, units: &pictures, durations: &lasting },
        Run { number: 2, track: &sound, units: &frames, durations: &[1_024] },
    ];
    let fragment = fragment(77, &runs).unwrap();
    assert_eq!(find(&fragment, &["moof", "mfhd"])[4..], 77u32.to_be_bytes());
    assert_eq!(find(&fragment, &["moof", "traf", "tfdt"])[4..], 900_000u64.to_be_bytes());
    let run = find(&fragment, &["moof", "traf", "trun"]);
    let number = |at: usize| u32::from_be_bytes(*run[at..].first_chunk().unwrap());
    assert_eq!((number(4), number(12), number(16), number(20), number(24)), (2, 3_600, 54, 0x0200_0000, 3_000));
    assert_eq!(number(36), 0x0101_0000);
    // Both runs point at their own bytes.
    let at = number(8) as usize;
    assert_eq!(fragment[at..at + 5], [0, 0, 0, 50, 0x65]);
    let second = boxes(find(&fragment, &["moof"])).pop().unwrap().1;
    let offset = u32::from_be_bytes(*find(second, &["trun"])[8..].first_chunk().unwrap()) as usize;
    assert_eq!(fragment[offset..], [7; 9]);
}

#[test]
fn parameter_sets_at_random_access_points_are_left_to_the_initialisation_segment() {
    let video = video();
    let mut key = unit(0, 0, true, &[]);
    key.payload = Payload::from_frames([&[0x67, 1][..], &[0x68, 2], &[0x65, 3]].map(Bytes::from_static));
    let whole = fragment(1, &[Run { number: 1, track: &video, units: &[&key], durations: &[1] }]).unwrap();
    assert_eq!(find(&whole, &["mdat"]), [0, 0, 0, 2, 0x65, 3]);
}

#[test]
fn the_last_unit_lasts_what_it_says_or_what_the_one_before_did() {
    let opus = Track { codec: Codec::Opus(OpusConfig { channels: 2 }), clock_rate: ClockRate::new(48_000).unwrap() };
    // 20 ms of one frame.
    let packet = unit(0, 0, true, &[0x78, 1, 2]);
    assert_eq!(durations(&opus, &[&packet], None), [960]);
    let vp9 = Track { codec: Codec::Vp9(Default::default()), clock_rate: ClockRate::VIDEO };
    let units = [unit(0, 0, true, &[1]), unit(0, 3_600, false, &[1])];
    assert_eq!(durations(&vp9, &units.iter().collect::<Vec<_>>(), None), [3_600, 3_600]);
    assert_eq!(durations(&vp9, &[&units[0]], None), [3_000]);
}

#[test]
fn codecs_have_their_names() {
    assert_eq!(rfc6381(&video().codec).unwrap(), "avc1.64001e");
    assert_eq!(rfc6381(&sound().codec).unwrap(), "mp4a.40.2");
    let hevc = crate::bitstream::h265::parse_hvcc(&hex(HVCC)).unwrap().config;
    assert_eq!(rfc6381(&Codec::H265(hevc)).unwrap(), "hvc1.1.6.L63.90");
    let vp9 = crate::media::Vp9Config { width: 1280, height: 720, profile: 0 };
    assert_eq!(rfc6381(&Codec::Vp9(vp9)).unwrap(), "vp09.00.31.08");
}

proptest! {
    /// Whatever is put in, the boxes' lengths add up.
    #[test]
    fn lengths_add_up(sizes in prop::collection::vec(1usize..500, 1..20)) {
        let video = video();
        let units: Vec<Unit> =
            sizes.iter().enumerate().map(|(n, size)| unit(0, n as i64 * 3_600, n == 0, &vec![0x41; *size])).collect();
        let units: Vec<&Unit> = units.iter().collect();
        let lasting = durations(&video, &units, None);
        let whole = fragment(1, &[Run { number: 1, track: &video, units: &units, durations: &lasting }]).unwrap();
        let data = find(&whole, &["mdat"]).len();
        prop_assert_eq!(data, sizes.iter().map(|size| size + 4).sum::<usize>());
    }
}

#[test]
fn opaque_pictures_have_their_headers_in_the_sample_entry() {
    let config = "000001b304003023ffffe018000001b5148a00010000";
    let track = |fmtp: Option<String>| {
        let (kind, label) = (crate::media::Kind::Video, "MPEG-1/2 Video");
        let config = crate::media::OpaqueConfig { kind, label, payload_type: 32, rtpmap: None, fmtp, in_band: None };
        Track { codec: Codec::Opaque(config), clock_rate: ClockRate::VIDEO }
    };
    let known = track(Some(format!("config={config}")));
    let init = init([&known]).unwrap();
    let entry = find(&init, &["moov", "trak", "mdia", "minf", "stbl", "stsd"]);
    assert_eq!((&entry[12..16], &entry[40..44]), (&b"mp4v"[..], &[0, 64, 0, 48][..]));
    // MPEG-2 of the main profile, a visual stream.
    assert!(entry.windows(2).any(|two| two == [0x61, 0x11]));
    assert!(entry.windows(22).any(|window| window == hex(config)));
    assert_eq!(rfc6381(&known.codec).unwrap(), "mp4v.61");
    assert!(carries(&known.codec));
    assert_eq!(super::init([&track(None)]), None);
}
