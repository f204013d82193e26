//! Whose turn it is to be written, of all that wait for one connection. Pure.
//!
//! Sound goes before pictures, and what is too late to be shown goes last. Of pictures those go first with which a group begins,
//! for a player that stands still goes on with them; and they in the order in which they came: from group to group each path
//! waits equally long then. Among the others those go first that were given the
//! least (start-time fair queueing, Goyal, Vin and Cheng 1996): on a narrow way each path gets as much as every other, and one
//! that needs less than that gets all it needs. Who got nothing for a while, because what it had was too late, may go ahead of
//! the others by [`CREDIT`].
//!
//! On half the way that they need paths that were given less in one group than others stay in time in the next one, and the
//! others are late soon after they have begun. That cannot be divided more evenly within a group: what comes late is shown to
//! nobody. No path stands still for longer than a group.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use weft_proto::media::TrackId;
use weft_proto::time::Now;

/// The order of classes: sound first, for it is little and its gaps are heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Sound,
    /// A group begins with it, which has waited since then.
    First(Now),
    /// It comes soon after that, and has waited since then.
    Early(Now),
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
        let turn = Turn { class, given: state.given, lane };
        if let Some(before) = state.turn.replace(turn) {
            self.waiting.remove(&before);
        }
        self.waiting.insert(turn);
    }

    /// It was a lane's turn, and so many bytes were written. It still waits, at the same place.
    pub(super) fn wrote(&mut self, turn: Turn, bytes: u64) {
        // Those that go before others say nothing of what the others have.
        if !matches!(turn.class, Class::First(_) | Class::Early(_)) {
            let reached = &mut self.reached[index(turn.class)];
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
        Class::First(_) | Class::Early(_) | Class::Pictures | Class::Late => 1,
    }
}

#[cfg(test)]
#[path = "turns_test.rs"]
mod tests;
