use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::window::Verdict;
use super::*;
use crate::bitstream::Inspector;
use crate::bitstream::testdata::*;
use crate::bitstream::{aac, h264};
use crate::id::Epoch;
use crate::media::marks::{Cadence, Lead, Numbers, Stamper};
use crate::media::{
    AacConfig, Codec, Marks, OpaqueConfig, OpusConfig, Payload, Track, TrackId, Tracks, Unit, Vp8Config,
};
use crate::media::{H264Config, Kind};
use crate::time::{ClockRate, WallClock};

pub(super) const LIMITS: WindowLimits = WindowLimits { listed: 7 };

fn track(codec: Codec, hertz: u32) -> Track {
    Track { codec, clock_rate: ClockRate::new(hertz).unwrap() }
}

pub(super) fn h264() -> Track {
    track(Codec::H264(h264::parse_avcc(&hex(AVCC)).unwrap().config), 90_000)
}

fn aac() -> Track {
    let asc = aac::build_asc(2, 48_000, 2).unwrap();
    track(Codec::Aac(AacConfig { asc, sample_rate: 48_000, channels: 2 }), 48_000)
}

fn opus() -> Track {
    track(Codec::Opus(OpusConfig { channels: 2 }), 48_000)
}

pub(super) fn tracks(list: impl IntoIterator<Item = Track>) -> Tracks {
    Tracks::new(list.into_iter().collect()).unwrap()
}

/// An entry of a log, as the owner makes it.
pub(super) struct Entry {
    pub(super) unit: Unit,
    pub(super) dts_micros: i64,
    pub(super) marks: Option<Marks>,
    pub(super) tracks: Tracks,
}

/// A log of `seconds`: 25 fps with a keyframe each second, AAC between, another publisher after each `change` seconds.
pub(super) fn log(seconds: i64, change: i64, seed: u8) -> Vec<Entry> {
    let own = tracks([h264(), aac()]);
    let mut entries = Vec::new();
    let mut stamper = Stamper::new(Cadence::default(), Numbers::default(), false);
    let (mut sound, mut shift) = (0, 0);
    for frame in 0..seconds * 25 {
        if frame > 0 && frame % (change * 25) == 0 {
            stamper = Stamper::new(Cadence::default(), stamper.numbers(), true);
            shift += 18_000;
        }
        let dts = frame * 3_600 + shift;
        let key = frame % 25 == 0;
        let (dts_micros, lead) = (ClockRate::VIDEO.to_micros(dts), frame % 25);
        let marks = stamper.stamp(Lead { dts_micros, random_access: key });
        let mut unit = unit(0, dts, key, &[if key { 0x65 } else { 0x41 }, seed, frame as u8]);
        // Two frames out of order between others.
        unit.pts += if lead % 3 == 0 { 7_200 } else { 0 };
        entries.push(Entry { unit, dts_micros, marks, tracks: own.clone() });
        while sound * 90_000 / 48_000 <= dts + 3_600 {
            let rate = ClockRate::new(48_000).unwrap();
            let entry = Entry {
                unit: self::unit(1, sound, true, &[seed, sound as u8]),
                dts_micros: rate.to_micros(sound),
                marks: None,
                tracks: own.clone(),
            };
            entries.push(entry);
            sound += 1_024;
        }
    }
    entries
}

pub(super) fn unit(track: u8, dts: i64, key: bool, bytes: &[u8]) -> Unit {
    Unit {
        track: TrackId(track),
        pts: dts,
        dts,
        captured: None,
        random_access: key,
        discardable: false,
        marker: false,
        payload: Payload::single(Bytes::copy_from_slice(bytes)),
    }
}

/// Runs entries through a cutter into a window; `each` looks after each one.
pub(super) fn run(variant: Variant, entries: &[Entry], mut each: impl FnMut(&Window, &[Rendition])) -> Window {
    let own = renditions(variant, &entries[0].tracks);
    let mut cutter = Cutter::new(variant, own.clone(), 1 << 20);
    let mut window = Window::new(LIMITS, own.len());
    for entry in entries {
        let mut cuts = Vec::new();
        let Entry { unit, dts_micros, marks, tracks } = entry;
        let piece = Piece { epoch: Epoch(0xabc), unit, dts_micros: *dts_micros, marks: *marks, tracks };
        cutter.push(&piece, &mut cuts);
        if !cuts.is_empty() {
            cuts.into_iter().for_each(|cut| window.take(cut));
            each(&window, &own);
        }
    }
    window
}

pub(super) fn write(window: &Window, own: &[Rendition], variant: Variant, skip: bool) -> String {
    let born = WallClock::from_unix_micros(1_795_473_000_123_456);
    let playlist = MediaPlaylist { window, renditions: own, index: 0, variant, born, skip };
    media_playlist(&playlist).fill("?s")
}

/// All files that a playlist names, with their contents.
pub(super) fn files(window: &Window, text: &str, into: &mut BTreeMap<String, Vec<Bytes>>) {
    for name in text.lines().flat_map(|line| line.split(['"', ','])).filter_map(|word| word.strip_suffix("?s")) {
        let file = File::parse(name).unwrap();
        match window.find(&file, 0) {
            Found::Here(body) => {
                let before = into.insert(name.to_owned(), body.clone());
                assert!(before.is_none_or(|before| before.concat() == body.concat()), "{name} has two contents");
            }
            Found::Next => assert!(matches!(file.kind, FileKind::Part(_)), "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn low_latency_playlists_are_these() {
    let entries = log(8, 6, 1);
    let window = run(Variant::LowLatency, &entries, |_, _| {});
    let text = write(&window, &[Rendition::Main], Variant::LowLatency, false);
    let init = text.split_once("MAP:URI=\"").unwrap().1[..12].to_owned();
    assert_eq!(text.replace(&init, "INIT"), include_str!("testdata/low_latency.m3u8"));
    let skipped = write(&window, &[Rendition::Main], Variant::LowLatency, true);
    assert!(skipped.contains("#EXT-X-SKIP:SKIPPED-SEGMENTS=1\n"), "{skipped}");
    let lines = |text: &str| text.lines().filter(|line| line.contains("_seg")).count();
    assert_eq!(lines(&skipped), lines(&text) - 1);
}

#[test]
fn transport_stream_playlists_are_these() {
    let window = run(Variant::Mpegts, &log(5, 3, 1), |_, _| {});
    assert_eq!(write(&window, &[Rendition::Main], Variant::Mpegts, false), include_str!("testdata/mpegts.m3u8"));
}

#[test]
fn a_multivariant_playlist_names_codecs_and_sizes() {
    let entries = log(3, 9, 1);
    let window = run(Variant::LowLatency, &entries, |_, _| {});
    let text = multivariant_playlist(&window, &[Rendition::Main], Variant::LowLatency).fill("?s");
    let line = text.lines().find(|line| line.contains("STREAM-INF")).unwrap();
    assert!(line.contains("CODECS=\"avc1.64001e,mp4a.40.2\",RESOLUTION=640x360,FRAME-RATE=25.000"), "{line}");
    assert!(text.ends_with("\nmain_stream.m3u8?s\n"));
}

#[test]
fn several_sounds_get_playlists_of_their_own() {
    let own = tracks([h264(), aac(), opus()]);
    let chosen = renditions(Variant::LowLatency, &own);
    assert_eq!(chosen, [Rendition::Video, Rendition::Audio(0), Rendition::Audio(1)]);
    let text = multivariant_playlist(&Window::new(LIMITS, 3), &chosen, Variant::Fmp4).fill("");
    assert!(text.contains("NAME=\"audio1\",DEFAULT=YES") && text.contains("URI=\"audio2_stream.m3u8\""), "{text}");
    assert!(text.contains("AUDIO=\"audio\"\nvideo1_stream.m3u8\n"));
    assert_eq!(renditions(Variant::Mpegts, &own), [Rendition::Main]);
    assert_eq!(renditions(Variant::Fmp4, &tracks([aac(), opus()])).len(), 2);
}

#[test]
fn what_has_no_place_is_left_out_or_leaves_nothing() {
    let vp8 = || track(Codec::Vp8(Vp8Config::default()), 90_000);
    let klv =
        OpaqueConfig { kind: Kind::Data, label: "KLV", payload_type: 96, rtpmap: None, fmtp: None, in_band: None };
    let own = tracks([vp8(), h264(), aac(), track(Codec::Opaque(klv), 90_000)]);
    assert_eq!(renditions(Variant::Fmp4, &own), [Rendition::Main]);
    let out = |variant| left_out(variant, &own).into_iter().map(|(id, _)| id.0).collect::<Vec<u8>>();
    assert_eq!(out(Variant::Fmp4), [0, 3]);
    assert_eq!(out(Variant::Mpegts), [0]);
    assert_eq!(renditions(Variant::LowLatency, &tracks([vp8()])), []);
    let unknown = track(Codec::H264(H264Config::default()), 90_000);
    let own = tracks([unknown, aac()]);
    assert_eq!(renditions(Variant::Fmp4, &own), [Rendition::Main]);
    assert_eq!(
        Rendition::Main.tracks(Variant::Fmp4, &own).len(),
        1,
        "nothing is said of tracks that are not known yet"
    );
}

#[test]
fn reloads_wait_for_what_comes_and_not_for_what_cannot() {
    let window = run(Variant::LowLatency, &log(3, 9, 1), |_, _| {});
    // The last part of the third segment is not complete.
    assert_eq!(window.standing(), Standing { segment: 2, parts: 4 });
    let verdict = |segment, part| window.verdict(Reload { segment: Some(segment), part, skip: false });
    assert_eq!(verdict(1, None), Verdict::Now);
    assert_eq!(verdict(2, Some(3)), Verdict::Now);
    assert_eq!(verdict(2, Some(4)), Verdict::Wait);
    assert_eq!(verdict(2, None), Verdict::Wait);
    assert_eq!(verdict(3, Some(0)), Verdict::Wait);
    assert_eq!(verdict(2, Some(9)), Verdict::TooFar);
    assert_eq!(verdict(4, None), Verdict::TooFar);
    assert_eq!(verdict(u64::MAX, Some(u32::MAX)), Verdict::TooFar);
}

#[test]
fn what_is_lost_here_is_a_gap_and_the_run_goes_on() {
    let entries = log(6, 9, 1);
    let own = vec![Rendition::Main];
    let mut cutter = Cutter::new(Variant::LowLatency, own.clone(), 1 << 20);
    let mut window = Window::new(LIMITS, 1);
    for (index, entry) in entries.iter().enumerate() {
        let mut cuts = Vec::new();
        // Of the third segment some is gone, the fourth is missing altogether.
        let segment = entry.dts_micros / 1_000_000;
        if (segment == 2 && index % 5 == 0) || segment == 3 {
            cutter.lost(&mut cuts);
        } else {
            let Entry { unit, dts_micros, marks, tracks } = entry;
            let piece = Piece { epoch: Epoch(1), unit, dts_micros: *dts_micros, marks: *marks, tracks };
            cutter.push(&piece, &mut cuts);
        }
        cuts.into_iter().for_each(|cut| window.take(cut));
    }
    let text = write(&window, &own, Variant::LowLatency, false);
    assert_eq!(text.matches("#EXT-X-GAP").count(), 2, "{text}");
    let numbers: Vec<u64> = window.listed().map(|segment| segment.mark.number).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_window_gives_up_its_oldest_and_says_so() {
    let mut window = run(Variant::LowLatency, &log(12, 9, 1), |_, _| {});
    let (before, first) = (window.held(), window.listed().next().unwrap().mark.number);
    assert!(before > 0);
    // What is not listed goes first, and nobody sees it.
    window.shed(1);
    assert!(window.held() < before);
    assert_eq!(window.listed().next().unwrap().mark.number, first);
    window.shed(usize::MAX);
    let left: Vec<u64> = window.listed().map(|segment| segment.mark.number).collect();
    assert_eq!(left, [10, 11], "the newest complete one, and the open one");
    let text = write(&window, &[Rendition::Main], Variant::LowLatency, false);
    assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:10\n"), "{text}");
}

#[test]
fn a_segment_that_grows_too_large_is_given_up() {
    let entries = log(3, 9, 1);
    let own = vec![Rendition::Main];
    let mut cutter = Cutter::new(Variant::LowLatency, own, 40);
    let mut cuts = Vec::new();
    for Entry { unit, dts_micros, marks, tracks } in &entries {
        let piece = Piece { epoch: Epoch(1), unit, dts_micros: *dts_micros, marks: *marks, tracks };
        cutter.push(&piece, &mut cuts);
    }
    let count = |wanted: fn(&Cut) -> bool| cuts.iter().filter(|cut| wanted(cut)).count();
    assert_eq!(count(|cut| matches!(cut, Cut::TooLarge)), 3);
    assert_eq!(count(|cut| matches!(cut, Cut::End { .. })), 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whoever starts wherever in the log: one name has one content, and every playlist keeps the rules.
    #[test]
    fn a_name_has_one_content(starts in prop::collection::vec(0usize..600, 1..4), change in 2i64..7, seed: u8) {
        let entries = log(12, change, seed);
        for variant in [Variant::LowLatency, Variant::Fmp4, Variant::Mpegts] {
            let mut contents = BTreeMap::new();
            for start in starts.iter().copied().chain([0]) {
                run(variant, &entries[start..], |window, own| {
                    let text = write(window, own, variant, false);
                    files(window, &text, &mut contents);
                    check_rules(&text, variant);
                });
            }
            prop_assert!(contents.len() > 8);
        }
    }
}

/// The rules of RFC 8216bis that one playlist shows.
fn check_rules(text: &str, variant: Variant) {
    let seconds = |line: &str, after: &str| -> f64 {
        let rest = line.split_once(after).unwrap_or_else(|| panic!("{line}")).1;
        rest.split([',', '"']).next().unwrap().parse().unwrap()
    };
    let value = |tag: &str| text.lines().find(|line| line.starts_with(tag)).map(|line| seconds(line, ":"));
    let target = value("#EXT-X-TARGETDURATION").unwrap();
    let part_target = text.lines().find(|line| line.contains("PART-TARGET=")).map(|line| seconds(line, "PART-TARGET="));
    let mut parts: Vec<f64> = Vec::new();
    for line in text.lines() {
        if line.starts_with("#EXTINF") {
            let duration = seconds(line, ":");
            assert!(duration.round() <= target, "{line} over {target}");
            if let Some((_, full)) = parts.split_last() {
                let sum: f64 = parts.iter().sum();
                assert!((sum - duration).abs() < 1e-6, "parts of {sum} in a segment of {duration}");
                let part_target = part_target.unwrap();
                assert!(parts.iter().all(|part| *part <= part_target));
                assert!(full.iter().all(|part| *part >= 0.85 * part_target), "{full:?} of {part_target}");
            }
            parts.clear();
        } else if line.starts_with("#EXT-X-PART:") {
            parts.push(seconds(line, "DURATION="));
        }
    }
    assert_eq!(part_target.is_some(), variant == Variant::LowLatency);
}

fn latm(fmtp: &str) -> Track {
    let (label, fmtp) = ("MPEG-4 Audio LATM", Some(fmtp.to_owned()));
    let config = OpaqueConfig { kind: Kind::Audio, label, payload_type: 97, rtpmap: None, fmtp, in_band: None };
    track(Codec::Opaque(config), 44_100)
}

/// The initialisation segment of a track, and how many of 50 elements, each with the bytes 7, 8 and 9 in it, are samples.
fn cut_sound(only: Track, element: &[u8]) -> (Option<Bytes>, usize) {
    let only = tracks([only]);
    let mut cutter = Cutter::new(Variant::Fmp4, vec![Rendition::Main], 1 << 20);
    let mut stamper = Stamper::new(Cadence::default(), Numbers::default(), false);
    let mut cuts = Vec::new();
    for number in 0..50 {
        let dts = number * 1_024;
        let dts_micros = dts * 1_000_000 / 44_100;
        let marks = stamper.stamp(Lead { dts_micros, random_access: true });
        let payload = Payload::single(Bytes::copy_from_slice(element));
        let (random_access, discardable, marker, captured) = (true, false, true, None);
        let unit = Unit { track: TrackId(0), pts: dts, dts, captured, random_access, discardable, marker, payload };
        cutter.push(&Piece { epoch: Epoch(1), unit: &unit, dts_micros, marks, tracks: &only }, &mut cuts);
    }
    cutter.finish(&mut cuts);
    let init = cuts.iter().find_map(|cut| match cut {
        Cut::Begin { inits, .. } => inits[0].clone(),
        _ => None,
    });
    let bodies = cuts.iter().filter_map(|cut| match cut {
        Cut::Part { bodies, .. } => bodies[0].clone(),
        _ => None,
    });
    let samples = bodies.map(|body| body.windows(3).filter(|three| three == &[7, 8, 9]).count()).sum();
    (init, samples)
}

#[test]
fn latm_goes_as_the_aac_that_it_holds() {
    let told = latm("cpresent=0;config=400024103fc0");
    let both = tracks([h264(), told.clone()]);
    assert_eq!(renditions(Variant::LowLatency, &both), [Rendition::Main]);
    assert_eq!(left_out(Variant::Fmp4, &both), []);
    assert_eq!(left_out(Variant::Mpegts, &both).len(), 1);
    assert_eq!(left_out(Variant::Fmp4, &tracks([h264(), latm("cpresent=0")])).len(), 1);
    let (init, samples) = cut_sound(told, &[3, 7, 8, 9]);
    assert!(init.unwrap().windows(4).any(|four| four == b"mp4a"));
    assert_eq!(samples, 50);
}

#[test]
fn latm_that_brings_its_configuration_has_a_place_before_it_comes() {
    let silent = latm("cpresent=1");
    let both = tracks([h264(), silent.clone()]);
    assert_eq!(renditions(Variant::LowLatency, &both), [Rendition::Main]);
    assert!(Rendition::Main.is_incomplete(Variant::LowLatency, &both), "players wait for it");
    // useSameStreamMux 0, the 44 bits of the configuration, one byte of length, three of payload.
    let bits = (0x4000_2410_3fc0u128 >> 4 << 32 | 0x0307_0809) << (128 - 1 - 44 - 32);
    let element = &bits.to_be_bytes()[..10];
    let mut inspector = Inspector::new(silent.codec.clone());
    let payload = || Payload::single(Bytes::copy_from_slice(element));
    assert!(inspector.inspect(payload()).unwrap().codec_changed);
    assert!(!inspector.inspect(payload()).unwrap().codec_changed, "it is known now");
    let known = Track { codec: inspector.codec().clone(), ..silent };
    assert!(!Rendition::Main.is_incomplete(Variant::LowLatency, &tracks([h264(), known.clone()])));
    let (init, samples) = cut_sound(known, element);
    assert!(init.unwrap().windows(4).any(|four| four == b"mp4a"));
    assert_eq!(samples, 50);
}
