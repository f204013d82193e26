//! Whose turn it is to be written, of all that wait for one connection. Pure.
//!
//! Sound goes before pictures, the first picture of a group before the others, for a player that stands still goes on with it,
//! and what is too late to be shown goes last. Among equals those go first that were given the
//! least (start-time fair queueing, Goyal, Vin and Cheng 1996): on a narrow way each path gets as much as every other, and one
//! that needs less than that gets all it needs. Who got nothing for a while, because what it had was too late, may go ahead of
//! the others by [`CREDIT`]: its next group begins at once, and no path stands still for longer than that of a group.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use weft_proto::media::TrackId;

/// The order of classes: sound first, for it is little and its gaps are heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Sound,
    /// A group begins. As [`Self::Pictures`] for whoever was given more than the others already.
    First,
    Pictures,
    /// Pictures that are too old: they are sent where there is room, and the next group is waited for.
    Late,
}

/// A track of a subscription.
pub(super) type LaneId = (u64, TrackId);

/// A place in the order: how much the lane was given, then its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    pub(super) class: Class,
    given: u64,
    pub(super) lane: LaneId,
}

/// Bytes by which a lane that was given nothing may go ahead of the others: a large picture, or 50 ms of 10 Mbit/s.
const CREDIT: u64 = 64 << 10;

/// All lanes of a connection.
#[derive(Debug, Default)]
pub(super) struct Turns {
    waiting: BTreeSet<Turn>,
    lanes: BTreeMap<LaneId, State>,
    /// What those had been given whose turn it was: of sound, and of pictures.
    reached: [u64; 2],
}

#[derive(Debug, Default)]
struct State {
    given: u64,
    turn: Option<Turn>,
}

impl Turns {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The class in which a lane waits, if it does.
    pub(super) fn class_of(&self, lane: LaneId) -> Option<Class> {
        self.lanes.get(&lane)?.turn.map(|turn| turn.class)
    }

    /// The first, or the first one after that one.
    pub(super) fn next(&self, last: Option<Turn>) -> Option<Turn> {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        self.waiting.range((from, Bound::Unbounded)).next().copied()
    }

    /// A lane waits in this class from now on.
    pub(super) fn wait(&mut self, lane: LaneId, class: Class) {
        let reached = self.reached[index(class)];
        let state = self.lanes.entry(lane).or_default();
        state.given = state.given.max(reached.saturating_sub(CREDIT));
        let is_ahead = class == Class::First && state.given > reached + CREDIT;
        let class = if is_ahead { Class::Pictures } else { class };
        let turn = Turn { class, given: state.given, lane };
        if let Some(before) = state.turn.replace(turn) {
            self.waiting.remove(&before);
        }
        self.waiting.insert(turn);
    }

    /// It was a lane's turn, and so many bytes were written. It still waits, at the same place.
    pub(super) fn wrote(&mut self, turn: Turn, bytes: u64) {
        let reached = &mut self.reached[index(turn.class)];
        if turn.class != Class::First {
            *reached = turn.given.max(*reached);
        }
        if let Some(state) = self.lanes.get_mut(&turn.lane) {
            state.given += bytes;
        }
    }

    /// A lane has nothing to write.
    pub(super) fn idle(&mut self, lane: LaneId) {
        if let Some(turn) = self.lanes.get_mut(&lane).and_then(|state| state.turn.take()) {
            self.waiting.remove(&turn);
        }
    }

    /// A subscription is over.
    pub(super) fn forget(&mut self, subscription: u64) {
        self.waiting.retain(|turn| turn.lane.0 != subscription);
        self.lanes.retain(|(id, _), _| *id != subscription);
    }
}

/// Late pictures are pictures.
const fn index(class: Class) -> usize {
    match class {
        Class::Sound => 0,
        Class::First | Class::Pictures | Class::Late => 1,
    }
}

#[cfg(test)]
mod tests {
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
    fn groups_begin_before_others_go_on_but_not_all_the_time() {
        let mut turns = Turns::default();
        (0..10).for_each(|id| turns.wait(lane(id), Class::Pictures));
        give(&mut turns, 1_000, 100);
        turns.wait(lane(7), Class::First);
        assert_eq!(give(&mut turns, 1_000, 50), BTreeMap::from([(7, 50_000)]));
        // Every picture of this one begins a group.
        let mut got = BTreeMap::new();
        for _ in 0..2_000 {
            let turn = turns.next(None).unwrap();
            turns.wrote(turn, 1_000);
            turns.wait(turn.lane, if turn.lane.0 == 7 { Class::First } else { Class::Pictures });
            *got.entry(turn.lane.0).or_insert(0) += 1_000;
        }
        assert!(got.values().all(|bytes| (130_000..=270_000).contains(bytes)), "{got:?}");
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
}
