//! The run of a node that was cut off as the owner, and goes on with the epoch of the others when the way is whole.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::tests::{Entry, LIMITS, h264, tracks, unit};
use super::*;
use crate::id::Epoch;
use crate::media::marks::{Cadence, Lead, Numbers, Stamper};
use crate::time::ClockRate;

const FRAME_MICROS: i64 = 40_000;

/// What one publisher sends under one ownership, and where the next one goes on.
struct Owned {
    epoch: Epoch,
    entries: Vec<Entry>,
    numbers: Numbers,
}

/// 25 frames a second with a keyframe after each `gop`; `next`: behind a discontinuity.
fn owned(epoch: u64, from_micros: i64, frames: i64, gop: i64, (numbers, next): (Numbers, bool)) -> Owned {
    let own = tracks([h264()]);
    let mut stamper = Stamper::new(Cadence::default(), numbers, next);
    let entry = |frame| {
        let (dts_micros, key) = (from_micros + frame * FRAME_MICROS, frame % gop == 0);
        let marks = stamper.stamp(Lead { dts_micros, random_access: key });
        let content = [if key { 0x65 } else { 0x41 }, epoch as u8, frame as u8, (dts_micros / FRAME_MICROS) as u8];
        let unit = unit(0, ClockRate::VIDEO.from_micros(dts_micros), key, &content);
        Entry { unit, dts_micros, marks, tracks: own.clone() }
    };
    let entries = (0..frames).map(entry).collect();
    Owned { epoch: Epoch(epoch), entries, numbers: stamper.numbers() }
}

/// A viewer who believes nothing, at one node.
#[derive(Default)]
struct Strict {
    /// Media sequence, discontinuity sequence, and the number after the last.
    last: Option<(u64, u64, u64)>,
    /// Name, discontinuities, begin, length, and whether it is a gap.
    known: BTreeMap<u64, (u64, u64, i64, i64, bool)>,
    target: Option<u32>,
}

impl Strict {
    /// Looks at what is listed, if anything is listed anew.
    fn look(&mut self, window: &Window) {
        if !window.is_ready() || window.held_back().is_some() {
            return;
        }
        let listed: Vec<&Segment> = window.listed().filter(|segment| segment.duration_micros.is_some()).collect();
        let (first, last) = (listed[0], listed[listed.len() - 1]);
        let now = (first.mark.number, first.place.discontinuities - first.place.breaks, last.mark.number + 1);
        if let Some((number, discontinuities, next)) = self.last.replace(now) {
            assert!(now.0 >= number && now.1 >= discontinuities && now.2 >= next, "{now:?} after {:?}", self.last);
            assert!(now.0 <= next, "a hole in the run, from {next} to {}", now.0);
        }
        assert_eq!(*self.target.get_or_insert(window.target_seconds()), window.target_seconds());
        for segment in &listed {
            let duration = segment.duration_micros.unwrap();
            let place = (segment.place.discontinuities, segment.start_micros, duration);
            let now = (segment.whole_id(), place.0, place.1, place.2, segment.is_gap(0));
            assert_eq!(*self.known.entry(segment.mark.number).or_insert(now), now, "segment {}", segment.mark.number);
            assert!(duration > 0);
        }
        for pair in listed.windows(2) {
            assert_eq!(pair[1].mark.number, pair[0].mark.number + 1);
            assert_eq!(pair[1].place.discontinuities, pair[0].place.discontinuities + pair[1].place.breaks);
            let between = pair[1].start_micros - pair[0].start_micros - pair[0].duration_micros.unwrap();
            let told = pair[1].place.breaks > 0;
            assert!(between >= -1_000, "time goes back by {} us before {}", -between, pair[1].mark.number);
            assert!(told || between.abs() < 2_000, "{between} us before {}, which continues", pair[1].mark.number);
        }
    }
}

/// A node's muxer.
struct Node {
    window: Window,
    cutter: Cutter,
    viewer: Strict,
    /// Segments that begin while the others are asked for one.
    patience: u32,
    waited: u32,
}

impl Node {
    fn new(limits: WindowLimits, patience: u32) -> Self {
        let cutter = Cutter::new(Variant::LowLatency, vec![Rendition::Main], 1 << 20);
        Self { window: Window::new(limits, 1), cutter, viewer: Strict::default(), patience, waited: 0 }
    }

    /// Takes what comes, and what the others answer.
    fn take(&mut self, epoch: Epoch, entries: &[Entry], others: Option<&Window>) {
        for Entry { unit, dts_micros, marks, tracks } in entries {
            let mut cuts = Vec::new();
            self.cutter.push(&Piece { epoch, unit, dts_micros: *dts_micros, marks: *marks, tracks }, &mut cuts);
            for cut in cuts {
                let begins = matches!(cut, Cut::Begin { .. });
                self.window.take(cut);
                if let Some(number) = self.window.open_end() {
                    self.window
                        .close_end(number, others.and_then(|all| all.segment(number)).cloned().into_iter().collect());
                }
                self.viewer.look(&self.window);
                self.waited += u32::from(begins);
            }
            if self.waited >= self.patience {
                self.waited = 0;
                self.ask(others);
            }
            self.viewer.look(&self.window);
        }
    }

    fn ask(&mut self, others: Option<&Window>) {
        while let Some(number) = self.window.hole() {
            match others.and_then(|all| all.segment(number)).filter(|segment| self.window.takes(segment)) {
                Some(found) => self.window.fill(found.clone()),
                None => self.window.give_up(number),
            }
            self.viewer.look(&self.window);
        }
    }
}

/// What the others have: an epoch that ends at this frame, and that of a standby, who has come so many frames before.
fn takeover(cut: i64, ahead: i64, gops: [i64; 2]) -> (Owned, Owned, Window) {
    let begun = Numbers::default();
    let first = owned(1, 0, cut, gops[0], (begun, false));
    // Not in step with the others.
    let from_micros = (cut - 1) * FRAME_MICROS + 207_000;
    let second = owned(2, from_micros, 400 + ahead, gops[1], (first.numbers, true));
    let mut others = Node::new(WindowLimits { listed: 100 }, 1);
    others.take(first.epoch, &first.entries, None);
    others.take(second.epoch, &second.entries, None);
    (first, second, others.window)
}

/// Where a stream goes on that has had units up to this time: with a group.
fn after(owned: &Owned, micros: i64) -> usize {
    let is_it = |entry: &Entry| entry.unit.random_access && entry.dts_micros > micros;
    owned.entries.iter().position(is_it).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    /// Whatever it told while it was alone, and whatever it loses afterwards: what is listed never changes, nothing goes back,
    /// and in the end it lists what the others list.
    #[test]
    fn a_node_that_was_cut_off_goes_on_with_the_others(
        cut in 40i64..120,
        alone in 0i64..90,
        ahead in 0i64..50,
        gops in (prop::sample::select(vec![25i64, 13, 40]), prop::sample::select(vec![25i64, 17, 40])),
        again in prop::option::of(20i64..60),
        lost in prop::option::of((10usize..120, 1usize..60)),
        patience in 1u32..4,
    ) {
        let gops = [gops.0, gops.1];
        // Both at once, and in step, look like one publisher that goes on.
        let again = again.filter(|_| gops[1] <= 25);
        let (_, second, others) = takeover(cut, ahead, gops);
        let mut node = Node::new(LIMITS, patience);
        let own = owned(1, 0, cut + alone, gops[0], (Numbers::default(), false));
        node.take(own.epoch, &own.entries, None);
        let mut last = (cut + alone - 1) * FRAME_MICROS;
        if let Some(frames) = again {
            // Its encoder has come again meanwhile: as many discontinuities as the others have, of another kind.
            let more = owned(1, last + 200_000, frames, gops[0], (own.numbers, true));
            node.take(more.epoch, &more.entries, None);
            last = more.entries.last().unwrap().dts_micros;
        }
        let heard = &second.entries[after(&second, last)..];
        let hole = lost.map_or(0..0, |(from, count)| from..from + count);
        node.take(second.epoch, &heard[..hole.start], Some(&others));
        if !hole.is_empty() {
            let mut cuts = Vec::new();
            node.cutter.missed(second.epoch, &mut cuts);
            cuts.into_iter().for_each(|cut| node.window.take(cut));
        }
        node.take(second.epoch, &heard[hole.end..], Some(&others));
        node.ask(Some(&others));
        let complete: Vec<&Segment> = node.window.listed().filter(|one| one.duration_micros.is_some()).collect();
        for segment in complete.iter().rev().take(3) {
            let there = others.segment(segment.mark.number).unwrap();
            prop_assert_eq!((segment.whole_id(), segment.start_micros), (there.whole_id(), there.start_micros));
            prop_assert!(again.is_some() || segment.place == there.place, "{:?}, there {:?}", segment.place, there.place);
        }
        // Whoever begins now is told nothing of what only this node had.
        let told = node.window.handover().segments;
        let is_lone = |segment: &&Segment| segment.id == 1 && others.segment(segment.mark.number).is_none_or(|one| one.id != 1);
        prop_assert_eq!(told.iter().find(is_lone), None);
    }
}

/// What the others have made under the number after the last one here comes at once, with its discontinuity.
#[test]
fn what_is_between_is_taken_from_the_others() {
    let (_, second, others) = takeover(75, 0, [25, 25]);
    let mut node = Node::new(LIMITS, 9);
    let own = owned(1, 0, 80, 25, (Numbers::default(), false));
    node.take(own.epoch, &own.entries, None);
    // The first segment of the others is number 3, and so is the one here; what comes next here is number 5.
    let begins = second
        .entries
        .iter()
        .position(|entry| entry.marks.and_then(|marks| marks.segment).is_some_and(|segment| segment.number == 5));
    node.take(second.epoch, &second.entries[begins.unwrap()..][..30], Some(&others));
    assert_eq!((node.window.held_back(), node.window.hole()), (Some(4), Some(4)));
    assert!(node.window.takes(others.segment(4).unwrap()) && !node.window.refuses(others.segment(4).unwrap()));
    node.ask(Some(&others));
    let places: Vec<(u64, u64, u64)> = (3..6)
        .map(|number| node.window.segment(number))
        .map(|segment| segment.map_or((0, 0, 0), |one| (one.id, one.place.discontinuities, one.place.breaks)))
        .collect();
    assert_eq!(places, [(1, 0, 0), (2, 1, 1), (2, 1, 0)]);
}

/// What the others have made in the time of what was told here has no place, and is not waited for.
#[test]
fn what_is_of_a_time_that_was_told_is_refused() {
    let (_, second, others) = takeover(75, 0, [25, 25]);
    let mut node = Node::new(LIMITS, 9);
    // Alone it began a segment less in the same time.
    let own = owned(1, 0, 75 + 35, 40, (Numbers::default(), false));
    node.take(own.epoch, &own.entries, None);
    let last = node.window.standing().segment;
    let begins = after(&second, (75 + 34) * FRAME_MICROS);
    node.take(second.epoch, &second.entries[begins..][..30], Some(&others));
    let first = second.entries[begins].marks.and_then(|marks| marks.segment).unwrap().number;
    assert!(first > last + 1, "{first} after {last}");
    assert!(node.window.refuses(others.segment(first - 1).unwrap()));
}

/// A segment of which nothing is here is not named by that.
#[test]
fn what_is_lost_to_its_end_has_the_name_that_the_others_give_it() {
    let (first, second, others) = takeover(75, 0, [25, 25]);
    let mut node = Node::new(LIMITS, 9);
    node.take(first.epoch, &first.entries[..60], None);
    let mut cuts = Vec::new();
    node.cutter.missed(first.epoch, &mut cuts);
    cuts.into_iter().for_each(|cut| node.window.take(cut));
    assert_eq!(node.window.held_back(), Some(2), "it is broken while it is still made");
    node.take(second.epoch, &second.entries[..30], None);
    assert_eq!((node.window.segment(2).unwrap().whole_id(), node.window.hole()), (1, Some(2)));
    node.ask(Some(&others));
    assert_eq!(node.window.segment(2).unwrap().whole_id(), others.segment(2).unwrap().whole_id());
    assert_eq!(node.window.held_back(), None);
}
