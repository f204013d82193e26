//! The order alone, and ten paths on half the way that they need.

use std::collections::{BTreeMap, VecDeque};

use super::*;

fn lane(id: u64) -> LaneId {
    (id, TrackId(0))
}

/// Gives whoever's turn it is so many bytes at a time, as often as said; what each got.
fn give(turns: &mut Turns, piece: u64, times: usize) -> BTreeMap<u64, u64> {
    let mut got = BTreeMap::new();
    for _ in 0..times {
        let Some(turn) = turns.next(None) else { break };
        turns.wrote(turn, piece);
        turns.wait(turn.lane, turn.class);
        *got.entry(turn.lane.0).or_default() += piece;
    }
    got
}

#[test]
fn all_that_wait_get_the_same() {
    let mut turns = Turns::default();
    (0..10).for_each(|id| turns.wait(lane(id), Class::Pictures));
    let got = give(&mut turns, 1_000, 1_000);
    assert!(got.len() == 10 && got.values().all(|bytes| *bytes == 100_000), "{got:?}");
}

#[test]
fn sound_goes_first_and_what_is_late_last() {
    let mut turns = Turns::default();
    turns.wait(lane(1), Class::Late);
    turns.wait(lane(2), Class::Pictures);
    turns.wait(lane(3), Class::Sound);
    let first = turns.next(None).unwrap();
    let second = turns.next(Some(first)).unwrap();
    let third = turns.next(Some(second)).unwrap();
    assert_eq!([first, second, third].map(|turn| turn.lane.0), [3, 2, 1]);
    assert_eq!(turns.next(Some(third)), None);
}

#[test]
fn groups_begin_before_others_go_on_in_the_order_in_which_they_came() {
    let mut turns = Turns::default();
    let at = Now::from_micros;
    (0..5).for_each(|id| turns.wait(lane(id), Class::Pictures));
    give(&mut turns, 1_000, 100);
    turns.wait(lane(5), Class::Early(at(5)));
    turns.wait(lane(6), Class::First(at(30)));
    turns.wait(lane(7), Class::First(at(20)));
    let mut order = Vec::new();
    while let Some(turn) = turns.next(None).filter(|turn| turn.lane.0 > 4) {
        order.push(turn.lane.0);
        turns.wrote(turn, 50_000);
        turns.idle(turn.lane);
    }
    assert_eq!(order, [7, 6, 5]);
    // What they got is counted.
    (5..8).for_each(|id| turns.wait(lane(id), Class::Pictures));
    let got = give(&mut turns, 1_000, 100);
    assert!((0..5).all(|id| got[&id] == 20_000) && got.len() == 5, "{got:?}");
}

#[test]
fn who_needs_less_gets_all_it_needs() {
    let mut turns = Turns::default();
    turns.wait(lane(1), Class::Pictures);
    for _ in 0..100 {
        give(&mut turns, 1_000, 5);
        // A unit for the small one: it is next.
        turns.wait(lane(2), Class::Pictures);
        let turn = turns.next(None).unwrap();
        assert_eq!(turn.lane, lane(2));
        turns.wrote(turn, 500);
        turns.idle(lane(2));
    }
}

#[test]
fn who_was_late_begins_its_next_group_at_once_and_takes_no_more_than_that() {
    let mut turns = Turns::default();
    turns.wait(lane(1), Class::Pictures);
    turns.wait(lane(2), Class::Late);
    give(&mut turns, 1_000, 10_000);
    assert_eq!(turns.class_of(lane(2)), Some(Class::Late));
    turns.wait(lane(2), Class::Pictures);
    let got = give(&mut turns, 1_000, 64);
    assert_eq!(got, BTreeMap::from([(2, 64_000)]));
    let got = give(&mut turns, 1_000, 100);
    assert!(got[&1].abs_diff(got[&2]) <= 3_000, "{got:?}");
}

#[test]
fn who_is_idle_or_gone_has_no_turn() {
    let mut turns = Turns::default();
    turns.wait(lane(1), Class::Pictures);
    turns.wait(lane(2), Class::Sound);
    turns.idle(lane(1));
    turns.forget(2);
    assert!(turns.is_empty() && turns.next(None).is_none());
    assert_eq!(turns.class_of(lane(1)), None);
}

/// A picture: when it was there (ms), its group, its place in it, and bytes that are not written yet.
struct Picture(u64, u64, u64, u64);

struct Path {
    phase: u64,
    next: u64,
    waits: VecDeque<Picture>,
    /// When those were written that came in time.
    shown: Vec<u64>,
}

const GROUP: u64 = 60;
const PATIENCE: u64 = 500;

impl Path {
    /// 2 Mbit/s, 30 pictures a second.
    fn tick(&mut self, now: u64) {
        while self.phase + self.next * 1_000 / 30 <= now {
            let (group, place) = (self.next / GROUP, self.next % GROUP);
            self.waits.push_back(Picture(now, group, place, if place == 0 { 46_300 } else { 7_700 }));
            self.next += 1;
        }
    }

    /// As a lane has it: what is old gives way to a newer group.
    fn class(&mut self, now: u64) -> Option<Class> {
        let newest = self.waits.back()?.1;
        if self.waits.front().is_some_and(|picture| now - picture.0 > PATIENCE && picture.1 < newest) {
            self.waits.retain(|picture| picture.1 == newest);
        }
        let Picture(at, _, place, _) = *self.waits.front()?;
        let since = Now::from_micros(at * 1_000);
        Some(match place {
            _ if now - at > PATIENCE => Class::Late,
            0 => Class::First(since),
            1..3 => Class::Early(since),
            _ => Class::Pictures,
        })
    }

    fn write(&mut self, bytes: u64, now: u64) {
        let Some(picture) = self.waits.front_mut() else { return };
        picture.3 = picture.3.saturating_sub(bytes);
        if picture.3 == 0 {
            if now - picture.0 <= PATIENCE {
                self.shown.push(now);
            }
            self.waits.pop_front();
        }
    }
}

/// The longest stall (ms), and the fewest and the most pictures of ten paths whose groups begin within so many milliseconds.
fn halved(within: u64) -> (u64, usize, usize) {
    const PIECE: u64 = 1_200;
    let path = |n| Path { phase: n * within / 10, next: 0, waits: VecDeque::new(), shown: Vec::new() };
    let mut paths: Vec<Path> = (0..10).map(path).collect();
    let mut turns = Turns::default();
    let mut room = 0;
    for now in 0..40_000 {
        room += 10_000_000 / 8 / 1_000;
        for (id, path) in paths.iter_mut().enumerate() {
            path.tick(now);
            if let Some(class) = path.class(now) {
                turns.wait(lane(id as u64), class);
            }
        }
        while room >= PIECE
            && let Some(turn) = turns.next(None)
        {
            room -= PIECE;
            let path = &mut paths[turn.lane.0 as usize];
            path.write(PIECE, now);
            turns.wrote(turn, PIECE);
            match path.class(now) {
                Some(class) => turns.wait(turn.lane, class),
                None => turns.idle(turn.lane),
            }
        }
        room = room.min(PIECE);
    }
    // The first groups began while there was room for all.
    let stall = |path: &Path| path.shown.windows(2).filter(|two| two[0] > 4_000).map(|two| two[1] - two[0]).max();
    let shown = paths.iter().map(|path| path.shown.len());
    (paths.iter().filter_map(stall).max().unwrap(), shown.clone().min().unwrap(), shown.max().unwrap())
}

#[test]
fn on_half_the_way_no_path_stands_still_for_longer_than_a_group() {
    for within in [2_000, 1_000, 600, 300, 50] {
        let (stall, fewest, most) = halved(within);
        assert!(stall <= 2_000, "groups that begin within {within} ms: {stall} ms without a picture");
        assert!(fewest * 4 >= most, "groups that begin within {within} ms: {fewest} to {most} pictures");
    }
}
