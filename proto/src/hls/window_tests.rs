//! Runs of nodes that began later, lost something on the way, or were cut off, held against those of the others.

use std::collections::{BTreeMap, BTreeSet};

use super::tests::{Entry, LIMITS, files, log, run, write};
use super::*;
use crate::id::Epoch;

/// What a window has at another node, which fetches bodies when they are asked for.
fn told(window: &Window) -> Handover {
    let mut handover = window.handover();
    for segment in &mut handover.segments {
        let bodies = segment.parts.iter_mut().flat_map(|part| &mut part.bodies).chain(&mut segment.streams);
        bodies.for_each(|body| {
            if !body.is_empty() {
                *body = Body::Away(body.len() as u32);
            }
        });
    }
    handover
}

/// Cuts the rest of a log into a window.
fn go_on(window: &mut Window, variant: Variant, entries: &[Entry]) {
    let mut cutter = Cutter::new(variant, renditions(variant, &entries[0].tracks), 1 << 20);
    let mut cuts = Vec::new();
    for Entry { unit, dts_micros, marks, tracks } in entries {
        let piece = Piece { epoch: Epoch(0xabc), unit, dts_micros: *dts_micros, marks: *marks, tracks };
        cutter.push(&piece, &mut cuts);
    }
    cuts.into_iter().for_each(|cut| window.take(cut));
}

#[test]
fn a_node_that_begins_later_lists_what_the_others_list() {
    for variant in [Variant::LowLatency, Variant::Fmp4, Variant::Mpegts] {
        let entries = log(20, 9, 1);
        let half = entries.iter().position(|entry| entry.dts_micros >= 12_500_000).unwrap();
        let earlier = run(variant, &entries[..half], |_, _| {});
        let whole = run(variant, &entries, |_, _| {});
        // Its log begins in the segment that is open, or one or several before that.
        for begin in [11_900_000, 11_100_000, 8_200_000] {
            let from = entries.iter().position(|entry| entry.dts_micros >= begin).unwrap();
            let mut window = Window::after(LIMITS, 1, told(&earlier));
            go_on(&mut window, variant, &entries[from..]);
            let own = [Rendition::Main];
            assert_eq!(
                write(&window, &own, variant, false),
                write(&whole, &own, variant, false),
                "{variant:?} {begin}"
            );
            let wanted: Vec<u64> = window.wanted().collect();
            assert!(wanted.is_sorted_by(|newer, older| newer > older) && !wanted.is_empty(), "{wanted:?}");
            for number in wanted {
                window.fill(whole.segment(number).or(earlier.segment(number)).unwrap().clone());
            }
            assert_eq!(window.wanted().next(), None);
            files(&window, &write(&window, &own, variant, false), &mut BTreeMap::new());
        }
    }
}

/// The node that told it has died before all of it was fetched.
#[test]
fn what_nobody_has_any_more_is_left_out_with_all_before_it() {
    let variant = Variant::LowLatency;
    let entries = log(12, 99, 1);
    let half = entries.iter().position(|entry| entry.dts_micros >= 7_500_000).unwrap();
    let earlier = run(variant, &entries[..half], |_, _| {});
    let mut window = Window::after(LIMITS, 1, told(&earlier));
    let from = entries.iter().position(|entry| entry.dts_micros >= 7_000_000).unwrap();
    go_on(&mut window, variant, &entries[from..half]);
    for number in [6, 5, 3, 2, 1] {
        window.fill(earlier.segment(number).unwrap().clone());
    }
    assert!(!window.is_whole() && window.wanted().eq([4, 0]), "what is listed, and what is listed no longer");
    window.begin_behind(4);
    assert!(window.is_whole() && window.is_ready());
    let own = [Rendition::Main];
    let text = write(&window, &own, variant, false);
    assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:5\n") && !text.contains("GAP"), "{text}");
    files(&window, &text, &mut BTreeMap::new());
}

#[test]
fn a_leap_of_discontinuities_that_cannot_be_is_no_playlist_without_end() {
    let mut leap = told(&run(Variant::LowLatency, &log(6, 99, 1), |_, _| {}));
    leap.segments[3].mark.discontinuities = u64::MAX >> 2;
    let text = write(&Window::after(LIMITS, 1, leap), &[Rendition::Main], Variant::LowLatency, false);
    assert!(text.matches("#EXT-X-DISCONTINUITY\n").count() <= 64);
}

#[test]
fn what_was_missed_is_put_in_when_another_node_has_it() {
    let entries = log(8, 9, 1);
    let whole = run(Variant::LowLatency, &entries, |_, _| {});
    let own = vec![Rendition::Main];
    let mut cutter = Cutter::new(Variant::LowLatency, own.clone(), 1 << 20);
    let mut window = Window::new(LIMITS, 1);
    for Entry { unit, dts_micros, marks, tracks } in &entries {
        let mut cuts = Vec::new();
        // Segments 3 and 4 were never here: the end of the one before them was not either.
        if !(2_900_000..5_000_000).contains(dts_micros) {
            let piece = Piece { epoch: Epoch(0xabc), unit, dts_micros: *dts_micros, marks: *marks, tracks };
            cutter.push(&piece, &mut cuts);
        }
        cuts.into_iter().for_each(|cut| window.take(cut));
    }
    assert_eq!(window.wanted().collect::<Vec<_>>(), [2, 3, 4]);
    let text = |window: &Window| write(window, &own, Variant::LowLatency, false);
    assert_eq!((window.held_back(), window.hole()), (Some(2), Some(2)), "nothing is listed from there on meanwhile");
    assert_eq!(window.handover().segments.len(), 2, "nor told");
    window.fill(whole.segment(4).unwrap().clone());
    window.fill(whole.segment(2).unwrap().clone());
    assert_eq!((window.held_back(), window.hole()), (Some(3), Some(3)));
    window.give_up(3);
    assert_eq!((window.wanted().next(), window.held_back()), (None, None));
    assert_eq!(text(&window).matches("#EXT-X-GAP").count(), 1);
    window.fill(whole.segment(3).unwrap().clone());
    assert_eq!(text(&window).matches("#EXT-X-GAP").count(), 1, "what was given up stays so");
}

/// A log of two epochs, of the first of which the last units did not come.
fn two_epochs(missing: usize) -> Window {
    let first = log(3, 9, 1);
    let second = log(6, 3, 1);
    let begins = second.iter().position(|entry| entry.dts_micros >= 3_200_000).unwrap();
    let own = vec![Rendition::Main];
    let mut cutter = Cutter::new(Variant::LowLatency, own, 1 << 20);
    let mut cuts = Vec::new();
    let all = first.iter().take(first.len() - missing).map(|entry| (entry, 1));
    for (Entry { unit, dts_micros, marks, tracks }, epoch) in all.chain(second[begins..].iter().map(|entry| (entry, 2)))
    {
        let piece = Piece { epoch: Epoch(epoch), unit, dts_micros: *dts_micros, marks: *marks, tracks };
        cutter.push(&piece, &mut cuts);
    }
    let mut window = Window::new(LIMITS, 1);
    cuts.into_iter().for_each(|cut| window.take(cut));
    window
}

#[test]
fn what_an_epoch_cut_short_is_named_by_its_content() {
    let mut contents = BTreeMap::new();
    let mut last_names = BTreeSet::new();
    for missing in [0, 3, 7] {
        let window = two_epochs(missing);
        let text = write(&window, &[Rendition::Main], Variant::LowLatency, false);
        files(&window, &text, &mut contents);
        let segment = window.segment(2).unwrap();
        last_names.insert((segment.whole_id(), segment.part_id(segment.parts.last().unwrap())));
        assert_eq!(segment.part_id(&segment.parts[0]), 1, "only its end may differ");
        assert_eq!(window.segment(1).unwrap().whole_id(), 1);
        let by_epoch = File { id: 1, rendition: Rendition::Main, kind: FileKind::Segment(2) };
        assert_eq!(window.find(&by_epoch, 0), Found::Gone);
    }
    assert_eq!(last_names.len(), 3);
}

#[test]
fn what_comes_under_another_epoch_before_its_first_mark_is_in_no_segment() {
    let (first, second) = (log(2, 9, 1), log(5, 3, 1));
    let begins = second.iter().position(|entry| entry.dts_micros >= 3_200_000).unwrap();
    let cut = |early: usize| {
        let mut cutter = Cutter::new(Variant::LowLatency, vec![Rendition::Main], 1 << 20);
        let mut cuts = Vec::new();
        let next = second[begins - early..].iter().map(|entry| (entry, 2));
        for (Entry { unit, dts_micros, marks, tracks }, epoch) in first.iter().map(|entry| (entry, 1)).chain(next) {
            // Only what is stamped there is left of the marks.
            let marks = marks.filter(|_| epoch == 1 || *dts_micros >= 3_200_000);
            cutter.push(&Piece { epoch: Epoch(epoch), unit, dts_micros: *dts_micros, marks, tracks }, &mut cuts);
        }
        cuts
    };
    assert_eq!(cut(0), cut(7), "sound that came first");
}

/// A segment of an epoch that is over is broken here only when others have had more segments of it.
#[test]
fn what_is_missed_of_the_next_epoch_breaks_nothing_of_the_one_before() {
    let (first, second) = (log(3, 9, 1), log(8, 3, 1));
    let broken = |from_segment: u64, is_first: bool| {
        let is_it =
            |entry: &Entry| entry.marks.and_then(|marks| marks.segment).is_some_and(|mark| mark.number == from_segment);
        let begins = second.iter().position(is_it).unwrap();
        let mut cutter = Cutter::new(Variant::LowLatency, vec![Rendition::Main], 1 << 20);
        let mut cuts = Vec::new();
        let all = first.iter().map(|entry| (entry, 1)).chain(second[begins..].iter().map(|entry| (entry, 2)));
        for (number, (Entry { unit, dts_micros, marks, tracks }, epoch)) in all.enumerate() {
            if number == first.len() {
                cutter.missed(Epoch(2), &mut cuts);
            }
            let mut marks = *marks;
            if let Some(segment) = marks.as_mut().and_then(|marks| marks.segment.as_mut()) {
                segment.discontinuity |= is_first && epoch == 2 && segment.number == from_segment;
            }
            cutter.push(&Piece { epoch: Epoch(epoch), unit, dts_micros: *dts_micros, marks, tracks }, &mut cuts);
        }
        cuts.contains(&Cut::Broken)
    };
    // The open one is number 2. What is between are more of the same, or the first ones of the next epoch.
    assert!(!broken(3, true) && broken(4, true) && broken(5, true));
    assert!(!broken(4, false) && !broken(5, false));
}

/// A node that has heard the next segment begin ends one that others cut short: all list it as that one does.
#[test]
fn who_heard_all_of_a_segment_that_was_cut_short_elsewhere_names_it() {
    let mut window = two_epochs(0);
    let number = window.open_end().unwrap();
    let short = window.segment(number).unwrap().clone();
    let whole = Segment { tail: None, open_end: false, ..short.clone() };
    window.close_end(number, vec![whole]);
    assert_eq!(window.segment(number).unwrap().whole_id(), short.id);
    // What another node has under this number of another epoch is something else.
    assert!(!window.takes(&Segment { id: 99, ..short }));
}

/// This node was alone with a publisher for a while, and the others had another one: what players were told stays.
#[test]
fn what_was_told_of_a_lost_epoch_stays_and_the_others_segments_follow() {
    // Alone: segments of a second, up to number 6. The others: another epoch from number 3 on, with a discontinuity there.
    let alone = log(7, 99, 1);
    let mut others = log(12, 99, 2);
    for entry in &mut others {
        if let Some(segment) = entry.marks.as_mut().and_then(|marks| marks.segment.as_mut()) {
            segment.discontinuity = segment.number == 3;
            segment.discontinuities += u64::from(segment.number >= 3);
        }
    }
    let begins = |number: u64| {
        let is_it =
            |entry: &Entry| entry.marks.and_then(|marks| marks.segment).is_some_and(|mark| mark.number == number);
        others.iter().position(is_it).unwrap()
    };
    let mut cutter = Cutter::new(Variant::LowLatency, vec![Rendition::Main], 1 << 20);
    let mut window = Window::new(WindowLimits { listed: 7 }, 1);
    let mut last: Option<(u64, u64)> = None;
    let all = alone.iter().map(|entry| (entry, 1)).chain(others[begins(4)..].iter().map(|entry| (entry, 2)));
    for (Entry { unit, dts_micros, marks, tracks }, epoch) in all {
        let mut cuts = Vec::new();
        let piece = Piece { epoch: Epoch(epoch), unit, dts_micros: *dts_micros, marks: *marks, tracks };
        cutter.push(&piece, &mut cuts);
        cuts.into_iter().for_each(|cut| window.take(cut));
        let first = window.listed().next().unwrap();
        let now = (first.mark.number, first.place.discontinuities - first.place.breaks);
        assert!(last.is_none_or(|last| last <= now), "{last:?}, then {now:?}");
        last = Some(now);
    }
    let listed: Vec<(u64, u64, bool)> =
        window.listed().map(|segment| (segment.mark.number, segment.id, segment.place.breaks > 0)).collect();
    assert_eq!(listed.iter().map(|one| one.0).collect::<Vec<_>>(), (4..=11).collect::<Vec<_>>());
    assert!(listed.iter().all(|(number, id, _)| *id == if *number <= 6 { 1 } else { 2 }), "{listed:?}");
    let told: Vec<u64> = listed.iter().filter(|one| one.2).map(|one| one.0).collect();
    assert_eq!(told, [7], "where the other epoch begins here");
    assert!(window.listed().all(|segment| !segment.broken), "no gap");
}

#[test]
fn where_each_segment_loses_something_only_the_first_one_is_waited_for() {
    let own = vec![Rendition::Main];
    let mut cutter = Cutter::new(Variant::LowLatency, own, 1 << 20);
    let mut window = Window::new(LIMITS, 1);
    for (index, Entry { unit, dts_micros, marks, tracks }) in log(8, 9, 1).iter().enumerate() {
        let mut cuts = Vec::new();
        // The ends of segments 2 to 5 are lost.
        let (segment, within) = (dts_micros / 1_000_000, dts_micros % 1_000_000);
        if (2..6).contains(&segment) && within > 700_000 {
            cutter.missed(Epoch(0xabc), &mut cuts);
        } else {
            let piece = Piece { epoch: Epoch(0xabc), unit, dts_micros: *dts_micros, marks: *marks, tracks };
            cutter.push(&piece, &mut cuts);
        }
        cuts.into_iter().for_each(|cut| window.take(cut));
        if segment == 4 && index % 7 == 0 && window.hole() == Some(2) {
            window.give_up(2);
        }
        while let Some(number) = window.hole().filter(|number| window.is_lost_again(*number)) {
            window.give_up(number);
        }
    }
    assert_eq!((window.hole(), window.held_back()), (None, None));
    let given_up: Vec<u64> =
        window.listed().filter(|segment| segment.given_up).map(|segment| segment.mark.number).collect();
    assert_eq!(given_up, [2, 3, 4, 5]);
    assert!(!window.is_lost_again(6) && !window.is_lost_again(0));
}
