use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::bitstream::testdata::*;
use crate::bitstream::{aac, flac, h264, h265};
use crate::limits::MP4_SAMPLES_MAX;
use crate::media::*;
use crate::mp4::{Run, durations, fragment, init};

fn track(codec: Codec, hertz: u32) -> Track {
    Track { codec, clock_rate: ClockRate::new(hertz).unwrap() }
}

fn video() -> Track {
    track(Codec::H264(h264::parse_avcc(&hex(AVCC)).unwrap().config), 90_000)
}

fn sound() -> Track {
    let asc = aac::build_asc(2, 48_000, 2).unwrap();
    track(Codec::Aac(AacConfig { asc, sample_rate: 48_000, channels: 2 }), 48_000)
}

/// A picture with its parameter sets, or a frame of sound.
fn unit(of: &Track, number: u8, dts: i64, shown_after: i64, bytes: Bytes) -> Unit {
    let random_access = dts == 0 || !of.codec.has_dependent_units();
    let mut frames = Vec::new();
    match &of.codec {
        Codec::H264(config) if random_access => frames.extend(config.sps.iter().chain(&config.pps).cloned()),
        Codec::H265(config) if random_access => {
            frames.extend(config.vps.iter().chain(&config.sps).chain(&config.pps).cloned());
        }
        _ => {}
    }
    frames.push(bytes);
    Unit {
        track: TrackId(number),
        pts: dts + shown_after,
        dts,
        captured: None,
        random_access,
        discardable: false,
        marker: false,
        payload: Payload::from_frames(frames),
    }
}

fn read(bytes: &[u8], portion: usize) -> (Reader, Vec<Taken>) {
    let (mut reader, mut taken) = (Reader::new(), Vec::new());
    for portion in bytes.chunks(portion) {
        reader.push(portion).unwrap();
        taken.extend(core::iter::from_fn(|| reader.take()));
    }
    (reader, taken)
}

/// Our own fragment of these tracks.
fn written(tracks: &[Track], units: &[Vec<Unit>]) -> Bytes {
    let refs: Vec<Vec<&Unit>> = units.iter().map(|units| units.iter().collect()).collect();
    let lasting: Vec<Vec<u32>> = tracks.iter().zip(&refs).map(|(track, units)| durations(track, units, None)).collect();
    let runs: Vec<Run<'_>> = (1..)
        .zip(tracks.iter().zip(refs.iter().zip(&lasting)))
        .map(|(number, (track, (units, durations)))| Run { number, track, units, durations })
        .collect();
    fragment(1, &runs).unwrap()
}

/// Our own fragments of these tracks, read back.
fn comes_back(tracks: &[Track], units: &[Vec<Unit>], portion: usize) {
    let bytes = [&init(tracks).unwrap()[..], &written(tracks, units)].concat();
    let (mut reader, taken) = read(&bytes, portion);
    reader.flush();
    assert_eq!(reader.take_dropped(), 0);
    let own: Vec<Option<Track>> = reader.tracks().collect();
    assert_eq!(own, tracks.iter().cloned().map(Some).collect::<Vec<_>>());
    for (number, (track, units)) in tracks.iter().zip(units).enumerate() {
        let head_start = 10 * i64::from(track.clock_rate.hertz());
        let own = taken.iter().filter(|taken| usize::from(taken.unit.track.0) == number);
        let own = own.map(|taken| {
            let unit = taken.unit.clone();
            Unit { pts: unit.pts - head_start, dts: unit.dts - head_start, ..unit }
        });
        assert_eq!(own.collect::<Vec<_>>(), *units, "{}", track.codec.label());
    }
}

#[test]
fn our_own_fragments_come_back_equal() {
    let hevc = track(Codec::H265(h265::parse_hvcc(&hex(HVCC)).unwrap().config), 90_000);
    let opus = track(Codec::Opus(OpusConfig { channels: 2 }), 48_000);
    let mut stream_info = vec![0; 34];
    stream_info[10..14].copy_from_slice(&[0x0b, 0xb8, 0x02, 0xf0]);
    let flac = track(Codec::Flac(flac::config_from_stream_info(&stream_info.into()).unwrap()), 48_000);
    let ac3 = track(Codec::Ac3(Ac3Config { sample_rate: 48_000, channels: 2 }), 48_000);
    let of = |track: &Track, number: u8, bytes: &'static [u8]| {
        let step = i64::from(track.clock_rate.hertz()) / 50;
        (0..5).map(|n| unit(track, number, n * step, 0, Bytes::from_static(bytes))).collect::<Vec<_>>()
    };
    let tracks = [hevc.clone(), opus.clone(), flac.clone(), ac3.clone()];
    let units = [
        vec![unit(&hevc, 0, 0, 7_200, Bytes::from_static(&[0x26, 1, 0xaf, 9]))],
        of(&opus, 1, &[0x78, 1, 2]),
        of(&flac, 2, &[0xff, 0xf8, 0xc9, 0x18, 0, 1, 2, 3]),
        of(&ac3, 3, AC3_HEAD),
    ];
    for portion in [1, 13, 100_000] {
        comes_back(&tracks, &units, portion);
    }
}

/// The head of a frame of AC-3 that says 48 kHz and two channels.
const AC3_HEAD: &[u8] = &[0x0b, 0x77, 0, 0, 0x14, 0x40, 0x43, 0xe1];

macro_rules! golden {
    ($name:literal) => {
        (
            &include_bytes!(concat!("../testdata/", $name, ".mp4"))[..],
            include_str!(concat!("../testdata/", $name, ".csv")),
        )
    };
}

/// The packets as ffprobe lists them: stream, presentation and decoding time in microseconds, bytes, flags.
fn holds((bytes, listed): (&[u8], &str), names: &[&str]) {
    for portion in [7, 1_000, 1_000_000] {
        let (mut reader, taken) = read(bytes, portion);
        reader.flush();
        assert_eq!((reader.take_dropped(), reader.take_foreign()), (0, None));
        let labels: Vec<&str> = reader.tracks().map(|track| track.unwrap().codec.label()).collect();
        assert_eq!(labels, names);
        for (number, _) in names.iter().enumerate() {
            let own = taken.iter().filter(|taken| usize::from(taken.unit.track.0) == number);
            let own: Vec<(i64, i64, bool)> = own
                .map(|Taken { unit, clock_rate, .. }| {
                    (clock_rate.to_micros(unit.pts), clock_rate.to_micros(unit.dts), unit.random_access)
                })
                .collect();
            let fields = listed.lines().map(|line| line.split(',').collect::<Vec<_>>());
            let others = fields.filter(|fields| fields[0] == number.to_string()).map(|fields| {
                let micros = |at: usize| (fields[at].parse::<f64>().unwrap() * 1e6).round() as i64;
                (micros(1), micros(2), fields[4].starts_with('K'))
            });
            let others: Vec<(i64, i64, bool)> = others.collect();
            assert_eq!(own.len(), others.len());
            for (own, other) in own.iter().zip(&others) {
                let near = (own.0 - other.0).abs() <= 12 && (own.1 - other.1).abs() <= 12 && own.2 == other.2;
                assert!(near, "{portion} {number}: {own:?} {other:?}");
            }
        }
    }
}

#[test]
fn fragments_of_encoders_are_taken_apart() {
    holds(golden!("ffmpeg5_h264_aac"), &["H264", "MPEG-4 Audio"]);
    holds(golden!("ffmpeg9_hevc_opus"), &["H265", "Opus"]);
    holds(golden!("ffmpeg9_av1_flac"), &["AV1", "FLAC"]);
    holds(golden!("ffmpeg9_vp9_mp3"), &["VP9", "MPEG-1/2 Audio"]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let error = |bytes: &[u8]| Reader::new().push(bytes).unwrap_err();
    assert_eq!(error(b"\0\0\0\x08moof"), Mp4Error::NoInit);
    assert_eq!(error(b"\0\0\0\0mdat"), Mp4Error::Endless);
    assert_eq!(error(b"\0\0\0\x05free"), Mp4Error::Cut(*b"free"));
    assert_eq!(error(b"\0\0\0\x01mdat\0\0\0\x01\0\0\0\0"), Mp4Error::TooLarge(*b"mdat"));
    assert_eq!(error(b"\0\0\0\x10moov\0\0\0\x10mvhd"), Mp4Error::Cut(*b"mvhd"));
    // A large box of no interest costs no memory.
    let mut reader = Reader::new();
    reader.push(b"\0\0\0\x01free\0\0\x01\0\0\0\0\0junk").unwrap();
    assert!(reader.buffer.is_empty() && reader.skip > 1 << 39);
}

#[test]
fn another_list_of_tracks_between_samples_and_their_bytes_is_survived() {
    let (both, one) = ([video(), sound()], [video()]);
    let picture = unit(&both[0], 0, 0, 0, Bytes::from_static(&[0x65, 0x88, 1]));
    let frame = unit(&both[1], 1, 0, 0, Bytes::from_static(&[0x21; 9]));
    let whole = written(&both, &[vec![picture], vec![frame]]);
    let moof = u32::from_be_bytes(whole[..4].try_into().unwrap()) as usize;
    let mut reader = Reader::new();
    for bytes in [&init(&both).unwrap()[..], &whole[..moof], &init(&one).unwrap()[..], &whole[moof..]] {
        reader.push(bytes).unwrap();
    }
    assert!(reader.take().is_none() && reader.take_dropped() == 2);
}

#[test]
fn boxes_of_no_interest_and_samples_of_foreign_tracks_cost_little() {
    let mut reader = Reader::new();
    reader.push(&b"\0\0\0\x08free".repeat(1 << 17)).unwrap();
    assert!(reader.buffer.is_empty());
    // A fragment of track 9, which is not there, with more samples in two runs than a fragment may have.
    let run = [&b"\0\0\0\x10trun\0\0\0\0"[..], &(MP4_SAMPLES_MAX as u32 / 2 + 1).to_be_bytes()].concat();
    let head = b"\0\0\0\x10tfhd\0\0\0\0\0\0\0\x09";
    let traf = [&b"\0\0\0\x38traf"[..], head, &run, &run].concat();
    let moof = [&b"\0\0\0\x40moof"[..], &traf].concat();
    reader.push(&init(&[video()]).unwrap()).unwrap();
    assert_eq!(reader.push(&moof).unwrap_err(), Mp4Error::TooLarge(*b"trun"));
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        sizes in prop::collection::vec((1usize..2_000, 0i64..8_000, 1usize..900), 1..12),
        portion in 1usize..3_000,
    ) {
        let tracks = [video(), sound()];
        let (mut pictures, mut frames) = (Vec::new(), Vec::new());
        for (n, (picture, shown_after, frame)) in (0..).zip(&sizes) {
            let kind = if n == 0 { 0x65 } else { 0x41 };
            let nal = [&[kind, 0x88][..], &vec![0x11; *picture]].concat();
            pictures.push(unit(&tracks[0], 0, n * 3_600, *shown_after, nal.into()));
            frames.push(unit(&tracks[1], 1, n * 1_024, 0, vec![0x21; *frame].into()));
        }
        comes_back(&tracks, &[pictures, frames], portion);
    }

    #[test]
    fn damage_is_survived(flips in prop::collection::vec((0usize..6_000, 0u8..8), 1..30)) {
        let (bytes, _) = golden!("ffmpeg5_h264_aac");
        let mut damaged = bytes.to_vec();
        flips.iter().for_each(|(at, bit)| damaged[*at] ^= 1 << bit);
        let mut reader = Reader::new();
        for portion in damaged.chunks(777) {
            if reader.push(portion).is_err() {
                break;
            }
        }
        while reader.take().is_some() {}
    }
}
