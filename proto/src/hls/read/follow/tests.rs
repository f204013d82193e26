use super::*;
use crate::hls::Resource;

fn playlist(numbers: core::ops::Range<u64>, is_ended: bool) -> RemoteMedia {
    let segment = |sequence| MediaSegment {
        sequence,
        discontinuity: 0,
        resource: Resource { uri: format!("{sequence}.ts"), range: None },
        duration: Duration::from_secs(2),
        map: None,
        key: None,
        map_key: None,
        date: None,
        is_gap: false,
        parts: Vec::new(),
    };
    let segments = numbers.map(segment).collect();
    RemoteMedia { target: Duration::from_secs(2), segments, is_ended, ..RemoteMedia::default() }
}

const fn at(millis: u64) -> Now {
    Now::from_micros(millis * 1_000)
}

fn taken(follower: &mut Follower) -> Vec<(u64, bool)> {
    let mut all = Vec::new();
    while let Next::Segment { segment, jumped, .. } = follower.step() {
        all.push((segment.sequence, jumped));
    }
    all
}

#[test]
fn live_streams_begin_near_their_end_and_are_asked_again() {
    let mut follower = Follower::default();
    follower.take(playlist(5..15, false), at(0), at(100));
    assert_eq!(taken(&mut follower), [(12, false), (13, false), (14, false)]);
    assert_eq!(follower.step(), Next::Reload(at(2_000)));
    follower.take(playlist(5..15, false), at(2_000), at(2_100));
    assert_eq!(follower.step(), Next::Reload(at(3_000)), "half, for nothing has changed");
    follower.take(playlist(6..16, false), at(3_000), at(3_100));
    assert_eq!(follower.ahead(), Duration::from_secs(2));
    assert_eq!(taken(&mut follower), [(15, false)]);
    assert!(!follower.is_stalled(at(9_100), Duration::ZERO) && follower.is_stalled(at(9_101), Duration::ZERO));
    follower.take(playlist(6..16, true), at(9_000), at(9_200));
    assert_eq!(follower.step(), Next::End);
}

#[test]
fn finished_streams_are_read_from_the_beginning() {
    let mut follower = Follower::default();
    follower.take(playlist(0..5, true), at(0), at(0));
    assert_eq!(taken(&mut follower).len(), 5);
    assert_eq!(follower.step(), Next::End);
    let (mut early, mut follower) = (playlist(0..0, false), Follower::default());
    early.target = Duration::ZERO;
    follower.take(early, at(0), at(0));
    assert_eq!(follower.step(), Next::Reload(at(200)), "nothing is there yet");
    assert!(!follower.is_stalled(at(1_000), Duration::from_secs(1)), "nor need it be");
}

#[test]
fn who_is_too_late_or_hears_other_numbers_begins_near_the_end_again() {
    let mut follower = Follower::default();
    follower.take(playlist(0..5, false), at(0), at(0));
    taken(&mut follower);
    follower.take(playlist(50..60, false), at(60_000), at(60_000));
    assert_eq!(taken(&mut follower), [(57, true), (58, false), (59, false)]);
    follower.take(playlist(0..2, false), at(90_000), at(90_000));
    assert_eq!(taken(&mut follower), [(0, true), (1, false)]);
}

const PART: Duration = Duration::from_millis(200);

/// Segments up to `open`, of which there are so many parts, and which parts of the last two begin with a key picture.
fn in_parts(open: u64, parts: usize, independent: &[usize]) -> RemoteMedia {
    let part = |sequence: u64, number: usize| MediaPart {
        resource: Resource { uri: format!("{sequence}.{number}.mp4"), range: None },
        duration: PART,
        is_independent: independent.contains(&number),
        is_gap: false,
    };
    let mut all = playlist(open.saturating_sub(6)..open + 1, false).segments;
    for segment in all.iter_mut().rev().take(2) {
        let count = if segment.sequence == open { parts } else { 10 };
        segment.parts = (0..count).map(|number| part(segment.sequence, number)).collect();
    }
    let unfinished = all.pop().filter(|_| parts > 0).map(Box::new);
    let hint = Some(part(open, parts).resource);
    let (can_block, part_target) = (true, Some(PART));
    let target = Duration::from_secs(2);
    RemoteMedia { target, segments: all, open: unfinished, hint, can_block, part_target, ..RemoteMedia::default() }
}

/// What is read, by its bytes, and whether it follows.
fn read(follower: &mut Follower) -> Vec<(String, bool)> {
    let mut all = Vec::new();
    while let Next::Segment { segment, jumped, .. } = follower.step() {
        all.push((segment.resource.uri, jumped));
    }
    all
}

fn named(names: &[&str]) -> Vec<(String, bool)> {
    names.iter().map(|name| ((*name).to_owned(), false)).collect()
}

#[test]
fn parts_are_begun_at_the_last_key_picture_and_waited_for() {
    let mut follower = Follower::default();
    follower.take(in_parts(9, 3, &[0]), at(0), at(0));
    assert_eq!(read(&mut follower), named(&["9.0.mp4", "9.1.mp4", "9.2.mp4"]));
    let hint = Resource { uri: "9.3.mp4".into(), range: None };
    assert_eq!(follower.step(), Next::Await { at: at(100), sequence: 9, part: 3, hint: Some(hint.clone()) });
    follower.take(in_parts(9, 4, &[0]), at(200), at(200));
    assert!(follower.is_next(&hint));
    assert_eq!(follower.ahead(), PART);
    assert_eq!(read(&mut follower), named(&["9.3.mp4"]));
    // The segment is complete, and the next one has begun.
    follower.take(in_parts(10, 1, &[0]), at(1_400), at(1_400));
    let rest: Vec<String> = (4..10).map(|part| format!("9.{part}.mp4")).chain(["10.0.mp4".into()]).collect();
    assert_eq!(read(&mut follower), named(&rest.iter().map(String::as_str).collect::<Vec<_>>()));
    // Nothing of the next one is there yet.
    follower.take(in_parts(11, 0, &[0]), at(3_200), at(3_200));
    assert_eq!(read(&mut follower).len(), 9);
    assert_eq!(follower.step(), Next::Await { at: at(3_300), sequence: 11, part: 0, hint: None }, "nobody knows what");
}

#[test]
fn a_server_that_does_not_wait_is_not_asked_at_once() {
    let mut follower = Follower::default();
    follower.take(in_parts(9, 3, &[0]), at(0), at(0));
    read(&mut follower);
    follower.take(in_parts(9, 3, &[0]), at(10), at(10));
    assert_eq!(follower.step(), Next::Reload(at(210)));
    // Nor is one that says now this and now that.
    for (millis, parts) in [(250, 2), (500, 3), (750, 2)] {
        follower.take(in_parts(9, parts, &[0]), at(millis), at(millis));
        assert_eq!(follower.step(), Next::Reload(at(millis + 200)));
    }
    assert!(follower.is_stalled(at(20_000), Duration::ZERO), "which adds nothing");
    let mut unable = in_parts(9, 3, &[0]);
    unable.can_block = false;
    let mut follower = Follower::default();
    follower.take(unable, at(0), at(0));
    assert_eq!(read(&mut follower), named(&["6.ts", "7.ts", "8.ts"]));
}

#[test]
fn a_beginning_is_looked_for_in_what_is_complete_too() {
    let begun = |media: RemoteMedia| {
        let mut follower = Follower::default();
        follower.take(media, at(0), at(0));
        read(&mut follower)[0].0.clone()
    };
    assert_eq!(begun(in_parts(9, 3, &[7])), "8.7.mp4", "in the middle of a segment");
    assert_eq!(begun(in_parts(9, 3, &[])), "7.ts", "where no part is listed");
    assert_eq!(begun(in_parts(9, 0, &[0])), "8.ts", "as a whole");
    let mut secret = in_parts(9, 3, &[0]);
    let key = crate::hls::Key { method: crate::hls::Method::Aes128, uri: "k".into(), vector: None };
    secret.open.as_mut().unwrap().key = Some(key.into());
    assert_eq!(begun(secret.clone()), "8.ts", "what is encrypted comes as a whole");
    secret.segments.last_mut().unwrap().parts = in_parts(9, 3, &[0, 1]).open.unwrap().parts;
    secret.segments.last_mut().unwrap().key = secret.open.as_ref().unwrap().key.clone();
    assert_eq!(begun(secret), "8.ts", "also where its parts are listed");
}

#[test]
fn parts_that_cannot_be_read_are_left_for_segments() {
    let after = |parts: usize, partly| {
        let mut follower = Follower::default();
        follower.take(in_parts(9, parts, &[0]), at(0), at(0));
        read(&mut follower);
        follower.leave_parts(partly);
        assert_eq!(follower.step(), Next::Reload(at(2_000)));
        follower.take(in_parts(11, 2, &[0]), at(4_000), at(4_000));
        read(&mut follower)
    };
    assert_eq!(after(1, false), named(&["9.ts", "10.ts"]));
    assert_eq!(after(1, true), named(&["10.ts"]));
    assert_eq!(after(3, false), named(&["10.ts"]));
}

#[test]
fn what_is_missing_costs_the_rest_of_its_segment() {
    let mut follower = Follower::default();
    let mut media = in_parts(9, 3, &[0]);
    media.open.as_mut().unwrap().parts[1].is_gap = true;
    follower.take(media, at(0), at(0));
    assert_eq!(read(&mut follower), named(&["9.0.mp4", "9.1.mp4"]));
    follower.take(in_parts(10, 1, &[0]), at(2_000), at(2_000));
    assert_eq!(read(&mut follower), named(&["10.0.mp4"]));
    // Parts of a segment are listed no more: the rest of it is missed.
    let mut late = in_parts(12, 1, &[0]);
    late.segments.iter_mut().for_each(|segment| segment.parts.clear());
    follower.take(late, at(6_000), at(6_000));
    assert_eq!(read(&mut follower)[0], ("11.ts".into(), true));
}
