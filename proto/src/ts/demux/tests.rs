use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::bitstream::{aac, h264, testdata};
use crate::media::{AacConfig, Codec, H264Config, Kind, OpusConfig, Payload, Track, Tracks, Unit};
use crate::time::ClockRate;
use crate::ts::Writer;

/// A stream as an encoder wrote it, and its packets as ffprobe lists them: stream, presentation time, decoding time, bytes,
/// flags.
macro_rules! golden {
    ($name:literal) => {
        (
            &include_bytes!(concat!("../testdata/", $name, ".ts"))[..],
            include_str!(concat!("../testdata/", $name, ".csv")),
        )
    };
}

fn demux(bytes: &[u8], portion: usize) -> (Demuxer, Vec<Demuxed>) {
    let (mut demuxer, mut found) = (Demuxer::new(), Vec::new());
    for portion in bytes.chunks(portion) {
        demuxer.push(portion);
        found.extend(core::iter::from_fn(|| demuxer.take()));
    }
    demuxer.flush();
    found.extend(core::iter::from_fn(|| demuxer.take()));
    (demuxer, found)
}

fn labels(demuxer: &Demuxer) -> Vec<&'static str> {
    demuxer.tracks().map(|track| track.map_or("?", |track| track.codec.label())).collect()
}

/// Times of access units of a track in ticks of 90 kHz, with whether decoding can start.
fn times(demuxer: &Demuxer, found: &[Demuxed], track: u8) -> Vec<(i64, i64, bool)> {
    let rate = demuxer.tracks().nth(track.into()).flatten().expect("a known track").clock_rate;
    let is_opaque = |codec: &Codec| matches!(codec, Codec::Opaque(_));
    let opaque = demuxer.tracks().nth(track.into()).flatten().is_some_and(|track| is_opaque(&track.codec));
    let units = found.iter().map(|found| &found.taken.unit).filter(|unit| unit.track == TrackId(track));
    let whole = units.filter(|unit| !opaque || unit.marker);
    let ninety = |ticks| rate.convert(ticks, ClockRate::VIDEO);
    whole.map(|unit| (ninety(unit.pts), ninety(unit.dts), unit.random_access)).collect()
}

/// What ffprobe says of it.
fn expected(listed: &str, track: u8) -> Vec<(i64, i64, bool)> {
    let fields = listed.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let own = fields.filter(|fields| fields[0] == track.to_string());
    own.map(|fields| (fields[1].parse().unwrap(), fields[2].parse().unwrap(), fields[4].starts_with('K'))).collect()
}

/// `within`: how many ticks sound may be moved to where its samples say.
fn holds((bytes, listed): (&[u8], &str), names: &[&str], within: i64) {
    for portion in [1, 100, 188, 1316, 65_536] {
        let (mut demuxer, found) = demux(bytes, portion);
        assert_eq!(labels(&demuxer), names);
        assert_eq!((demuxer.take_dropped(), demuxer.take_skipped(), demuxer.take_foreign()), (0, 0, None));
        for track in 0..names.len() as u8 {
            let (own, others) = (times(&demuxer, &found, track), expected(listed, track));
            assert_eq!(own.len(), others.len(), "{portion} {track}");
            for (own, other) in own.iter().zip(&others) {
                let (apart, decoded_apart) = ((own.0 - other.0).abs(), (own.1 - other.1).abs());
                assert!(apart <= within && decoded_apart <= within, "{portion} {track}: {own:?} {other:?}");
                let is_opaque = ["MPEG-4 Video", "MPEG-1/2 Video"].contains(&names[usize::from(track)]);
                assert!(own.2 == other.2 || is_opaque, "{portion} {track}: {own:?} {other:?}");
            }
        }
    }
}

#[test]
fn streams_of_encoders_are_taken_apart() {
    holds(golden!("ffmpeg5_h264_aac"), &["H264", "MPEG-4 Audio"], 1);
    holds(golden!("ffmpeg9_hevc_opus"), &["H265", "Opus"], 1);
    holds(golden!("ffmpeg5_mpeg2_mp2"), &["MPEG-1/2 Video", "MPEG-1/2 Audio"], 1);
    holds(golden!("ffmpeg5_mpeg4_ac3"), &["MPEG-4 Video", "AC3"], 1);
    holds(golden!("ffmpeg5_latm"), &["MPEG-4 Audio"], 1);
    holds(golden!("ffmpeg5_mp3"), &["MPEG-1/2 Audio"], 1);
    // Its times come out of a file that rounds to milliseconds, and its first frame comes before the tables.
    let (bytes, listed) = golden!("gstreamer_h264_aac");
    let (_, listed) = listed.split_once('\n').unwrap();
    holds((bytes, listed), &["H264", "MPEG-4 Audio"], 100);
}

#[test]
fn opaque_pictures_are_put_together_again() {
    let (bytes, listed) = golden!("ffmpeg5_mpeg2_mp2");
    let (demuxer, found) = demux(bytes, 1000);
    let track = demuxer.tracks().next().flatten().unwrap();
    let mut assembler = crate::opaque::Assembler::new(&track).unwrap();
    let mut sizes = Vec::new();
    for found in found.iter().filter(|found| found.taken.unit.track == TrackId(0)) {
        assembler.push(&found.taken.unit, |unit| sizes.push(unit.payload.len().to_string()));
    }
    let listed: Vec<&str> =
        listed.lines().filter(|line| line.starts_with('0')).map(|line| line.split(',').nth(3).unwrap()).collect();
    assert_eq!(sizes, listed);
}

fn video() -> Track {
    let config = h264::parse_avcc(&testdata::hex(testdata::AVCC)).unwrap().config;
    Track { codec: Codec::H264(config), clock_rate: ClockRate::VIDEO }
}

fn sound(codec: Codec) -> Track {
    Track { codec, clock_rate: ClockRate::new(48_000).unwrap() }
}

fn aac() -> Track {
    let asc = aac::build_asc(2, 48_000, 2).unwrap();
    sound(Codec::Aac(AacConfig { asc, sample_rate: 48_000, channels: 2 }))
}

/// A picture with its parameter sets, or a frame of sound.
fn unit(track: u8, at: i64, bytes: Vec<u8>) -> Unit {
    let random_access = track == 1 || at == 0;
    let mut frames = Vec::new();
    if let Codec::H264(H264Config { sps, pps }) = video().codec
        && track == 0
        && random_access
    {
        frames.extend(sps.into_iter().chain(pps));
    }
    frames.push(bytes.into());
    Unit {
        track: TrackId(track),
        pts: at,
        dts: at,
        captured: None,
        random_access,
        discardable: false,
        marker: false,
        payload: Payload::from_frames(frames),
    }
}

fn nal(random_access: bool, size: usize) -> Vec<u8> {
    let mut nal = vec![if random_access { 0x65 } else { 0x41 }, 0x88];
    nal.extend((0..size).map(|at| 0x11 + (at % 200) as u8));
    nal
}

fn written(tracks: &Tracks, units: &[Unit]) -> Vec<u8> {
    let (mut writer, mut out) = (Writer::new(tracks.iter()).unwrap(), Vec::new());
    writer.tables(&mut out);
    units.iter().for_each(|unit| writer.unit(unit, &mut out));
    out
}

fn pictures(count: i64) -> Vec<Unit> {
    (0..count).map(|n| unit(0, n * 3_600, nal(n == 0, 700))).collect()
}

#[test]
fn garbage_before_between_and_behind_packets_is_passed_over() {
    let tracks = Tracks::new(vec![video()]).unwrap();
    let clean = written(&tracks, &pictures(6));
    let mut stream = vec![0x47; 100];
    stream.extend_from_slice(&clean[..188 * 7]);
    stream.extend_from_slice(&[8, 1, 0x47, 3, 0x47, 0, 0]);
    stream.extend_from_slice(&clean[188 * 7..]);
    stream.extend_from_slice(&[1, 2, 3]);
    for portion in [1, 50, 188, 10_000] {
        let (mut demuxer, found) = demux(&stream, portion);
        assert_eq!((found.len(), demuxer.take_skipped(), demuxer.take_dropped()), (6, 110, 0));
    }
}

#[test]
fn a_lost_packet_costs_its_unit() {
    let tracks = Tracks::new(vec![video()]).unwrap();
    let clean = written(&tracks, &pictures(6));
    let starts: Vec<usize> = (0..clean.len()).step_by(188).filter(|at| clean[at + 1] & 0x41 == 0x41).collect();
    let lost = starts[2] + 188;
    let stream = [&clean[..lost], &clean[lost + 188..]].concat();
    let (mut demuxer, found) = demux(&stream, 188);
    assert_eq!((found.len(), demuxer.take_dropped()), (5, 1));
    assert!(found.iter().all(|found| found.taken.unit.payload.len() >= 702), "nothing is in pieces");
    // A packet that came twice costs nothing.
    let twice = [&clean[..lost + 188], &clean[lost..]].concat();
    let (mut demuxer, found) = demux(&twice, 188);
    assert_eq!((found.len(), demuxer.take_dropped()), (6, 0));
}

#[test]
fn times_go_on_behind_their_end() {
    let mut clock = Clock::default();
    let end = 1i64 << 33;
    assert_eq!(clock.unwrap(end as u64 - 3_600, Some(end as u64 - 7_200)), (end - 3_600, Some(end - 7_200)));
    assert_eq!(clock.unwrap(3_600, Some(0)), (end + 3_600, Some(end)));
    assert_eq!(clock.unwrap(end as u64 - 1, None), (end - 1, None), "sound a little before");
    assert_eq!(clock.unwrap(7_200, Some(3_600)), (end + 7_200, Some(end + 3_600)));
    let mut other = Demuxer::new();
    other.follow(end + 90);
    assert_eq!(other.clock.unwrap(3, None), (end + 3, None));
}

#[test]
fn another_program_map_begins_other_tracks() {
    let first = written(&Tracks::new(vec![video()]).unwrap(), &pictures(3));
    let both = Tracks::new(vec![video(), aac()]).unwrap();
    let second = written(&both, &[unit(0, 0, nal(true, 9)), unit(1, 0, vec![7; 20])]);
    let (mut demuxer, mut found) = demux(&first, 188);
    assert_eq!(demuxer.generation(), 1);
    demuxer.push(&second);
    demuxer.flush();
    found.extend(core::iter::from_fn(|| demuxer.take()));
    assert_eq!(found.iter().map(|found| found.generation).collect::<Vec<_>>(), [1, 1, 1, 2, 2]);
    assert_eq!(labels(&demuxer), ["H264", "MPEG-4 Audio"]);
    assert_eq!(found.len(), 5);
}

#[test]
fn sound_that_becomes_other_sound_is_another_track() {
    let frame = |rate: u32| {
        let header = aac::Adts::build(2, rate, 2, 5).unwrap();
        [&header[..], &[1, 2, 3, 4, 5]].concat()
    };
    let mut sound = sound::Sound::new(sound::Framing::Adts);
    let mut heard = Vec::new();
    let mut take = |bytes: Vec<u8>, pts| {
        sound.take(TrackId(0), &bytes.into(), Some(pts), &mut |output| {
            heard.push(matches!(output, Output::Renewed));
        })
    };
    assert_eq!(take(frame(48_000), 0), 0);
    // Cut inside a header and inside a frame.
    let two = [frame(48_000), frame(44_100)].concat();
    assert_eq!(take(two[..3].to_vec(), 1_920) + take(two[3..15].to_vec(), 3_840) + take(two[15..].to_vec(), 5_000), 0);
    assert_eq!(heard, [false, false, true, false]);
}

#[test]
fn pictures_in_several_pes_packets_are_one_unit() {
    let tracks = Tracks::new(vec![video()]).unwrap();
    let mut stream = written(&tracks, &pictures(1));
    let pid = 0x100;
    let mut counter = (stream.chunks(188).filter(|packet| packet[1] & 0x1f == 1 && packet[2] == 0).count() & 0xf) as u8;
    let mut more = |time: Option<u8>, byte: u8| {
        let mut pes = vec![0, 0, 1, 0xe0, 0, 0, 0x80];
        match time {
            Some(time) => pes.extend([0x80, 5, 0x21, 0, 1, 0, time << 1 | 1, 0, 0, 1, 0x41]),
            None => pes.extend([0, 0]),
        }
        pes.resize(184, byte);
        let mut packet = vec![0x47, 0x40 | (pid >> 8) as u8, pid as u8, 0x10 | counter];
        counter = (counter + 1) & 0xf;
        packet.extend(pes);
        stream.extend(packet);
    };
    more(Some(50), 0x22);
    more(None, 0x33);
    more(None, 0x44);
    more(Some(90), 0x55);
    let (mut demuxer, found) = demux(&stream, 188);
    assert_eq!(demuxer.take_dropped(), 0);
    let sizes: Vec<usize> = found.iter().map(|found| found.taken.unit.payload.len()).collect();
    assert_eq!(sizes[1..], [184 - 17 + 2 * (184 - 9), 184 - 17]);
}

#[test]
fn what_is_not_taken_is_named_once() {
    let tracks = Tracks::new(vec![video()]).unwrap();
    let mut stream = written(&tracks, &[]);
    // The only stream of the map becomes E-AC-3.
    let map = 188 + 4 + stream[188 + 4] as usize + 1;
    let at = (map..376).find(|at| stream[*at] == 0x1b).unwrap();
    stream[at] = 0x87;
    let start = stream[map..].iter().position(|byte| *byte == 2).unwrap() + map;
    let length = 3 + usize::from(stream[start + 2]);
    let checksum = crate::ts::tables::crc32(&stream[start..start + length - 4]).to_be_bytes();
    stream[start + length - 4..start + length].copy_from_slice(&checksum);
    let (mut demuxer, _) = demux(&[&stream[..], &stream].concat(), 188);
    assert_eq!(demuxer.take_foreign(), Some("E-AC-3"));
    assert_eq!(demuxer.tracks().len(), 0);
    assert_eq!(demuxer.take_foreign(), None);
}

proptest! {
    /// Whatever is written comes back, wherever it is cut.
    #[test]
    fn what_is_written_is_read(
        sizes in prop::collection::vec((0usize..3_000, 1usize..900), 1..12),
        portions in prop::collection::vec(1usize..700, 1..20),
        opus: bool,
    ) {
        let second = if opus { sound(Codec::Opus(OpusConfig { channels: 2 })) } else { aac() };
        let tracks = Tracks::new(vec![video(), second]).unwrap();
        let mut units = Vec::new();
        for (n, (picture, heard)) in (0..).zip(&sizes) {
            units.push(unit(0, n * 3_600, nal(n == 0, *picture)));
            // One frame of 20 ms in Opus.
            units.push(unit(1, n * 1_920, [&[0x78][..], &vec![0x55; *heard]].concat()));
        }
        let stream = written(&tracks, &units);
        let (mut demuxer, mut found) = (Demuxer::new(), Vec::new());
        let mut rest = &stream[..];
        for portion in portions.iter().cycle() {
            let (now, later) = rest.split_at((*portion).min(rest.len()));
            demuxer.push(now);
            found.extend(core::iter::from_fn(|| demuxer.take()));
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        demuxer.flush();
        found.extend(core::iter::from_fn(|| demuxer.take()));
        prop_assert_eq!(demuxer.take_dropped(), 0);
        let own: Vec<Option<Track>> = demuxer.tracks().collect();
        prop_assert_eq!(own, tracks.iter().map(|(_, track)| Some(track.clone())).collect::<Vec<_>>());
        for track in 0..2 {
            let read = found.iter().map(|found| found.taken.unit.clone()).filter(|unit| unit.track == TrackId(track));
            let rate = if track == 0 { 90_000 } else { 48_000 };
            // The writer begins ten seconds in.
            let read: Vec<Unit> =
                read.map(|unit| Unit { pts: unit.pts - 10 * rate, dts: unit.dts - 10 * rate, ..unit }).collect();
            let sent: Vec<Unit> = units.iter().filter(|unit| unit.track == TrackId(track)).cloned().collect();
            prop_assert_eq!(read, sent);
        }
    }

    /// Damaged streams make no panic, and no unit is made of pieces that do not belong together by more than a bit.
    #[test]
    fn damage_is_survived(flips in prop::collection::vec((0usize..16_000, 0u8..8), 1..40), cut in 0usize..16_000) {
        let (bytes, _) = golden!("ffmpeg5_h264_aac");
        let mut damaged = bytes.to_vec();
        flips.iter().for_each(|(at, bit)| damaged[*at] ^= 1 << bit);
        damaged.drain(..cut);
        demux(&damaged, 999);
    }
}

#[test]
fn metadata_comes_in_pieces() {
    let klv = Bytes::from(vec![9; 3_000]);
    let mut pieces = pieces::Pieces::klv(false);
    let mut heard = Vec::new();
    pieces.take(TrackId(2), &klv, (5, 5), &mut |output| {
        if let Output::Unit(taken) = output {
            heard.push((taken.unit.payload.len(), taken.unit.marker));
        }
    });
    assert_eq!(heard, [(1_400, false), (1_400, false), (200, true)]);
    assert_eq!(pieces.track().unwrap().kind(), Kind::Data);
}
