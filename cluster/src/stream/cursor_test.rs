use super::super::log::{Expected, LogLimits};
use super::super::testing::{at, entry, entry_on};
use weft_proto::id::{Epoch, Position};

use super::*;

const PLAYER: Join = Join { from: Start::NewestGroup, times: Times::Squeezed, pace: None };

/// Frames 40 ms apart, a keyframe every `gop`.
fn log(frames: u64, gop: u64) -> Log {
    let mut log = Log::new(LogLimits::default());
    (0..frames).for_each(|n| log.push(entry(n, n % gop == 0, 1000)));
    log
}

fn read(cursor: &mut Cursor, log: &Log, now: Now) -> Vec<u64> {
    let mut out = Vec::new();
    while cursor.read(log, now, &mut out).more {}
    out.iter().map(|delivery| delivery.entry.position.seq).collect()
}

#[test]
fn a_player_gets_the_newest_group_squeezed_to_the_live_edge() {
    let log = log(240, 100);
    let mut cursor = Cursor::new(PLAYER, StartLimits::default());
    let mut out = Vec::new();
    cursor.read(&log, at(239), &mut out);
    assert_eq!(out.first().unwrap().entry.position.seq, 200);
    assert_eq!(out.len(), 40);
    let pts: Vec<i64> = out.iter().map(|delivery| delivery.pts(ClockRate::VIDEO)).collect();
    assert!(pts.windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(pts[39], 239 * 3600, "the live edge keeps its true time");
    assert!(pts[39] - pts[0] <= 9000, "the burst spans 100 ms at most");
}

#[test]
fn a_relay_gets_true_times() {
    let log = log(120, 100);
    let mut cursor = Cursor::new(Join { times: Times::True, ..PLAYER }, StartLimits::default());
    let mut out = Vec::new();
    cursor.read(&log, at(119), &mut out);
    assert_eq!(out[0].pts(ClockRate::VIDEO), 100 * 3600);
}

#[test]
fn a_group_above_start_max_is_waited_out_with_a_keyframe_asked_for() {
    let mut log = log(260, 1000);
    let mut cursor = Cursor::new(PLAYER, StartLimits::default());
    let mut out = Vec::new();
    assert!(cursor.read(&log, at(259), &mut out).keyframe_wanted);
    assert!(out.is_empty());
    log.push(entry(260, false, 1000));
    log.push(entry(261, true, 1000));
    assert_eq!(read(&mut cursor, &log, at(261)), [261]);
}

#[test]
fn audio_begins_at_the_live_edge_and_video_at_the_group() {
    let mut log = Log::new(LogLimits::default());
    for n in 0..100 {
        log.push(entry_on(0, n, n == 0, 1000));
        log.push(entry_on(1, n, true, 100));
    }
    let mut cursor = Cursor::new(PLAYER, StartLimits::default());
    let mut out = Vec::new();
    cursor.read(&log, at(99), &mut out);
    let audio = out.iter().filter(|delivery| delivery.entry.unit.track.0 == 1).count();
    assert_eq!(out.len() - audio, 100);
    assert!((1..=3).contains(&audio), "{audio}");
}

#[test]
fn a_slow_reader_skips_to_the_newest_group_and_is_told_how_much() {
    let mut log = log(10, 50);
    let mut cursor = Cursor::new(PLAYER, StartLimits::default());
    read(&mut cursor, &log, at(9));
    (10..160).for_each(|n| log.push(entry(n, n % 50 == 0, 1000)));
    let seqs = read(&mut cursor, &log, at(160));
    assert_eq!(seqs.first(), Some(&150));
    assert_eq!(cursor.take_skipped(), 140);
    assert_eq!(cursor.take_skipped(), 0);
}

#[test]
fn a_slow_reader_inside_the_newest_group_loses_nothing_but_the_distance() {
    let mut log = log(10, 1000);
    let mut cursor = Cursor::new(PLAYER, StartLimits::default());
    read(&mut cursor, &log, at(9));
    (10..110).for_each(|n| log.push(entry(n, false, 1000)));
    let mut out = Vec::new();
    cursor.read(&log, at(110), &mut out);
    assert_eq!(out.len(), 100);
    let span = out.last().unwrap().pts(ClockRate::VIDEO) - out[0].pts(ClockRate::VIDEO);
    assert!(span <= 9000, "{span}");
    assert_eq!(cursor.take_skipped(), 0);
}

#[test]
fn a_reader_whose_units_are_gone_goes_on_at_a_random_access_point() {
    let limits = LogLimits { group_bytes_max: 20_000, keep: Duration::from_millis(200), ..LogLimits::default() };
    let mut log = Log::new(limits);
    (0..10).for_each(|n| log.push(entry(n, n == 0, 1000)));
    let mut cursor = Cursor::new(PLAYER, StartLimits::default());
    read(&mut cursor, &log, at(9));
    (10..200).for_each(|n| log.push(entry(n, false, 1000)));
    assert_eq!(read(&mut cursor, &log, at(200)), Vec::<u64>::new());
    log.push(entry(200, false, 1000));
    log.push(entry(201, true, 1000));
    log.push(entry(202, false, 1000));
    assert_eq!(read(&mut cursor, &log, at(202)), [201, 202]);
    assert_eq!(cursor.take_skipped(), 190);
}

#[test]
fn a_late_reader_first_loses_what_nobody_refers_to() {
    let mut log = log(1, 1000);
    let mut cursor = Cursor::new(PLAYER, StartLimits::default());
    read(&mut cursor, &log, at(0));
    for n in 1..20 {
        let mut unit = entry(n, false, 1000);
        Arc::get_mut(&mut unit).unwrap().unit.discardable = n % 2 == 0;
        log.push(unit);
    }
    // 800 ms after the first of them: the discardable ones that waited more than 500 ms go.
    assert_eq!(read(&mut cursor, &log, at(20)), [1, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
    assert_eq!(cursor.take_skipped(), 3);
}

#[test]
fn a_paced_burst_waits_for_its_tokens() {
    let log = log(100, 100);
    let join = Join { pace: Some(1_000_000), ..PLAYER };
    let mut cursor = Cursor::new(join, StartLimits::default());
    let mut out = Vec::new();
    let state = cursor.read(&log, at(99), &mut out);
    assert_eq!(out.len(), 32);
    let resume = state.resume_at.unwrap();
    assert!(resume.since(at(99)) <= Duration::from_millis(2));
    out.clear();
    cursor.read(&log, at(99).after(Duration::from_millis(10)), &mut out);
    assert!((9..=11).contains(&out.len()), "{}", out.len());
}

#[test]
fn a_position_that_is_known_is_where_a_relay_goes_on() {
    let log = log(100, 50);
    let known = log.get(60).unwrap().position;
    let mut cursor =
        Cursor::new(Join { from: Start::After(known), times: Times::True, pace: None }, StartLimits::default());
    assert_eq!(read(&mut cursor, &log, at(99)).first(), Some(&61));
}

/// A log of a path whose parent had come to frame `newest` 40 ms ago, and of which so many frames of its group are here.
fn arriving(frames: u64, newest: u64) -> Log {
    let mut log = log(frames, 250);
    let position = Position { epoch: Epoch(1), seq: newest };
    log.expect(Expected { live_micros: newest as i64 * 40_000, at: at(newest), newest: position });
    log
}

#[test]
fn a_player_is_brought_to_the_live_edge_although_its_group_is_still_on_its_way() {
    let mut log = arriving(3, 100);
    let mut cursor = Cursor::new(PLAYER, StartLimits::default());
    let mut out = Vec::new();
    cursor.read(&log, at(101), &mut out);
    for n in 3..=120 {
        let mut late = Arc::into_inner(entry(n, false, 10)).unwrap();
        late.arrived = at(n.max(110));
        log.push(Arc::new(late));
    }
    cursor.read(&log, at(121), &mut out);
    let times: Vec<i64> = out.iter().map(|delivery| delivery.pts(ClockRate::VIDEO)).collect();
    // At frame 101, that is 4,040 ms, it is live; what comes before it falls into the 100 ms before that.
    assert_eq!(times[0], 3_940 * 90);
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
    assert_eq!(times[110], 4_400 * 90, "true times go on behind the edge");
}

#[test]
fn a_player_waits_for_the_group_that_is_on_its_way() {
    let mut log = arriving(0, 100);
    let mut cursor = Cursor::new(PLAYER, StartLimits::default());
    assert_eq!(read(&mut cursor, &log, at(101)), [0; 0]);
    log.push(entry_on(1, 1, true, 10));
    assert_eq!(read(&mut cursor, &log, at(102)), [0; 0], "sound alone is no beginning");
    log.push(entry(2, true, 10));
    log.push(entry(3, false, 10));
    assert_eq!(read(&mut cursor, &log, at(103)), [2, 3]);
}

#[test]
fn what_is_expected_in_vain_is_forgotten() {
    let log = arriving(3, 100);
    assert_eq!(log.live_micros(at(101)), Some(4_040_000));
    assert_eq!(log.live_micros(at(100 + 75)), Some(80_000), "three seconds later");
    let log = arriving(101, 100);
    assert_eq!(log.live_micros(at(110)), Some(4_000_000), "all of it is here");
}
