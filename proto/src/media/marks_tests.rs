use proptest::prelude::*;

use super::*;

/// A stream of so many frames, `step` ticks of 90 kHz apart, a keyframe every `gop` frames: `(frame, marks)`.
fn stamp_ticks(frames: i64, gop: i64, step: i64) -> Vec<(i64, Marks)> {
    let mut stamper = Stamper::new(
        Cadence::default(),
        Numbers { segment: 7, part: 100, discontinuities: 2, target_seconds: 0, settled: false },
        true,
    );
    (0..frames)
        .filter_map(|n| {
            let dts_micros = (n * step * 100 + 4) / 9;
            stamper.stamp(Lead { dts_micros, random_access: n % gop == 0 }).map(|marks| (n, marks))
        })
        .collect()
}

/// 25 fps.
fn stamp(frames: i64, gop: i64) -> Vec<(i64, Marks)> {
    stamp_ticks(frames, gop, 3600)
}

fn segments(marks: &[(i64, Marks)]) -> Vec<(i64, u64)> {
    marks.iter().filter_map(|(n, m)| m.segment.map(|segment| (*n, segment.number))).collect()
}

/// Units of each part that is not a segment's last, but for the first two segments.
fn part_units(marks: &[(i64, Marks)]) -> Vec<i64> {
    marks.windows(2).filter(|pair| pair[1].1.segment.is_none()).map(|pair| pair[1].0 - pair[0].0).collect()
}

#[test]
fn segments_begin_at_random_access_points_after_their_duration() {
    assert_eq!(segments(&stamp(100, 20)), [(0, 7), (40, 8), (80, 9)]);
}

#[test]
fn only_the_first_segment_of_an_epoch_is_a_discontinuity() {
    let marks = stamp(60, 30);
    let segments: Vec<SegmentMark> = marks.iter().filter_map(|(_, m)| m.segment).collect();
    let first =
        SegmentMark { number: 7, discontinuities: 3, discontinuity: true, independent: true, target_seconds: 0 };
    assert_eq!(segments[0], first);
    assert_eq!(segments[1], SegmentMark { number: 8, discontinuity: false, target_seconds: 1, ..first });
}

#[test]
fn parts_restart_with_each_segment_and_their_numbers_go_on() {
    let marks = stamp(30, 25);
    let parts: Vec<_> =
        marks.iter().filter_map(|(n, m)| m.part.map(|p| (*n, p.number, p.index, p.independent))).collect();
    assert_eq!(
        parts,
        [
            (0, 100, 0, true),
            (5, 101, 1, false),
            (10, 102, 2, false),
            (15, 103, 3, false),
            (20, 104, 4, false),
            (25, 105, 0, true)
        ]
    );
}

#[test]
fn nothing_is_stamped_before_the_first_random_access_point() {
    let mut stamper = Stamper::new(Cadence::default(), Numbers::default(), false);
    assert_eq!(stamper.stamp(Lead { dts_micros: 0, random_access: false }), None);
    assert!(stamper.stamp(Lead { dts_micros: 40_000, random_access: true }).is_some());
}

#[test]
fn common_frame_rates_give_parts_of_one_size() {
    // Ticks of 90 kHz between frames, and units of a part: 60, 50, 30, 29.97, 24, 15, 12, 8 and 2 fps; AAC and Opus.
    for (step, units) in [
        (1500, 12),
        (1800, 10),
        (3000, 6),
        (3003, 6),
        (3750, 5),
        (6000, 3),
        (7500, 2),
        (11_250, 2),
        (45_000, 1),
        (1920, 9),
        (1800, 10),
    ] {
        let parts = part_units(&stamp_ticks(600, 90_000 / step + 1, step));
        assert!(parts.iter().all(|part| *part == units), "{step} ticks: {parts:?}, not {units}");
    }
}

#[test]
fn a_group_that_falls_short_by_jitter_is_still_one_segment() {
    let mut stamper = Stamper::new(Cadence::default(), Numbers::default(), false);
    let begun: Vec<i64> = (0..100)
        .filter(|n| {
            // Keyframes come up to 6 ms early.
            let early = if n % 25 == 0 { (n * 37) % 6_000 } else { 0 };
            let lead = Lead { dts_micros: n * 40_000 - early, random_access: n % 25 == 0 };
            stamper.stamp(lead).is_some_and(|marks| marks.segment.is_some())
        })
        .collect();
    assert_eq!(begun, [0, 25, 50, 75]);
}

#[test]
fn new_parameters_begin_a_segment_at_once_after_a_discontinuity() {
    let mut stamper = Stamper::new(Cadence::default(), Numbers::default(), false);
    stamper.parameters_changed();
    let first = stamper.stamp(Lead { dts_micros: 0, random_access: true }).unwrap().segment.unwrap();
    assert!(!first.discontinuity, "before the first segment there is nothing to separate");
    stamper.parameters_changed();
    assert_eq!(stamper.stamp(Lead { dts_micros: 40_000, random_access: false }), None);
    let second = stamper.stamp(Lead { dts_micros: 80_000, random_access: true }).unwrap().segment.unwrap();
    assert_eq!(second, SegmentMark { number: 1, discontinuities: 1, discontinuity: true, ..first });
}

/// Keyframes at these frames of 25 fps: `(frame, independent, target)` of each segment.
fn with_keyframes(frames: i64, keyframes: &[i64]) -> Vec<(i64, bool, u32)> {
    let mut stamper = Stamper::new(Cadence::default(), Numbers::default(), false);
    let stamped = (0..frames).filter_map(|n| {
        let lead = Lead { dts_micros: n * 40_000, random_access: keyframes.contains(&n) };
        let segment = stamper.stamp(lead)?.segment?;
        Some((n, segment.independent, segment.target_seconds))
    });
    stamped.collect()
}

#[test]
fn the_first_segment_settles_the_target_and_longer_groups_are_cut_at_it() {
    // 2 s, 2 s, 7 s, 2 s: no segment of 2.5 s or more, and as few as possible.
    let segments = with_keyframes(325, &[0, 50, 100, 275]);
    let cuts = [(0, true, 0), (50, true, 2), (100, true, 2), (160, false, 2), (220, false, 2), (275, true, 2)];
    assert_eq!(segments[..6], cuts);
    assert_eq!(segments.len(), 6, "the end is 50 frames");
}

#[test]
fn a_segment_that_decoding_cannot_begin_with_ends_at_the_next_random_access_point() {
    let segments = with_keyframes(300, &[0, 25, 75, 80, 105]);
    assert_eq!(segments[..4], [(0, true, 0), (25, true, 1), (60, false, 1), (75, true, 1)]);
}

#[test]
fn groups_without_end_settle_ten_seconds() {
    let segments = with_keyframes(600, &[0]);
    assert_eq!(segments[..2], [(0, true, 0), (260, false, 10)]);
}

#[test]
fn a_publisher_that_leaves_early_settles_nothing() {
    let mut stamper = Stamper::new(Cadence::default(), Numbers::default(), false);
    for n in 0..20 {
        stamper.stamp(Lead { dts_micros: n * 40_000, random_access: n == 0 });
    }
    let mut next = Stamper::new(Cadence::default(), stamper.numbers(), true);
    let marks: Vec<_> =
        (100..300).filter_map(|n| next.stamp(Lead { dts_micros: n * 40_000, random_access: n % 50 == 0 })).collect();
    let targets: Vec<u32> = marks.iter().filter_map(|marks| Some(marks.segment?.target_seconds)).collect();
    assert_eq!(targets, [0, 2, 2, 2]);
}

proptest! {
    /// Whatever the groups: no segment behind the first is longer than the target, rounded.
    #[test]
    fn no_segment_is_longer_than_the_target(step in 1_000i64..400_000, groups in prop::collection::vec(1i64..300, 1..20)) {
        let mut stamper = Stamper::new(Cadence::default(), Numbers::default(), false);
        let (mut next_key, mut groups) = (0, groups.into_iter().cycle());
        let mut segments = Vec::new();
        for n in 0..3_000 {
            let random_access = n == next_key;
            if random_access {
                next_key += groups.next().unwrap_or(1);
            }
            let dts_micros = n * step;
            let marks = stamper.stamp(Lead { dts_micros, random_access });
            segments.extend(marks.and_then(|marks| Some((dts_micros, marks.segment?))));
        }
        for pair in segments.windows(2) {
            let length = seconds(pair[1].0 - pair[0].0);
            prop_assert!(length <= pair[1].1.target_seconds, "{length} s, {:?}", pair[1].1);
        }
        let targets: Vec<u32> = segments.iter().skip(1).map(|(_, segment)| segment.target_seconds).collect();
        prop_assert!(targets.windows(2).all(|pair| pair[0] == pair[1]));
    }

    /// Whatever the frame rate: no part but a segment's last is shorter than 85 % of the longest.
    #[test]
    fn constant_rates_keep_the_rule_of_85_percent(step in 1_000i64..2_000_000, gop in 1i64..400, part in 20u64..1000) {
        let cadence = Cadence { segment: Duration::from_secs(1), part: Duration::from_millis(part) };
        let mut stamper = Stamper::new(cadence, Numbers::default(), false);
        let marks: Vec<_> = (0..1200)
            .filter_map(|n| {
                let lead = Lead { dts_micros: n * step, random_access: n % gop == 0 };
                stamper.stamp(lead).map(|marks| (n, marks))
            })
            .collect();
        let full = part_units(&marks);
        let longest = marks.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap_or(0);
        let shortest = full.iter().copied().min().unwrap_or(longest);
        prop_assert!(shortest as f64 >= 0.85 * longest as f64, "{shortest} of {longest}");
    }
}
