//! The publishers of a path that wait on this node, and whose turn is next. Pure.

use weft_proto::time::Now;

use super::core::{Command, Core, Identity, SessionId};

/// A publisher, and how soon its turn comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standby {
    pub(super) id: SessionId,
    pub(super) identity: Identity,
    /// The lower the sooner; among equals the one that came first. 0 is for those that came to be active.
    pub(super) rank: u8,
}

/// Those that wait.
#[derive(Clone, Debug, Default)]
pub(super) struct Standbys {
    /// By rank.
    waiting: Vec<Standby>,
    /// Those that can take over now.
    ready: Vec<SessionId>,
}

impl Standbys {
    /// Nobody waits.
    pub(super) const fn new() -> Self {
        Self { waiting: Vec::new(), ready: Vec::new() }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// One more waits, behind all of its rank.
    pub(super) fn add(&mut self, standby: Standby) {
        let at = self.waiting.partition_point(|known| known.rank <= standby.rank);
        self.waiting.insert(at, standby);
    }

    /// One waits no longer; whether it did.
    pub(super) fn remove(&mut self, id: SessionId) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|standby| standby.id != id);
        self.waiting.len() < before
    }

    /// These can take over now.
    pub(super) fn set_ready(&mut self, ready: Vec<SessionId>) {
        self.ready = ready;
    }

    /// The next one that can take over. It waits no longer.
    pub(super) fn take_next(&mut self) -> Option<Standby> {
        let at = self.waiting.iter().position(|standby| self.ready.contains(&standby.id))?;
        Some(self.waiting.remove(at))
    }

    /// This one, if it can take over and has a better rank than that. It waits no longer.
    pub(super) fn take_ready(&mut self, id: SessionId, than: u8) -> Option<Standby> {
        let is_it = |standby: &Standby| standby.id == id && standby.rank < than && self.ready.contains(&id);
        let at = self.waiting.iter().position(is_it)?;
        Some(self.waiting.remove(at))
    }
}

/// What becomes of a path whose publishers wait for each other.
impl Core {
    // Empty | Held (owned) => Active; else => waits
    pub(super) fn stand_by(&mut self, standby: Standby, owned: bool, commands: &mut Vec<Command>) {
        if owned && (self.publisher.is_none() || self.relayed) {
            commands.extend(self.publisher().map(Command::Replace));
            self.end_relay(commands);
            let accept = Command::Accept(standby.id);
            return self.seat(standby, accept, commands);
        }
        commands.push(Command::StandBy(standby.id));
        self.standbys.add(standby);
    }

    // Empty | Held | Relayed => Active
    pub(super) fn turn(&mut self, commands: &mut Vec<Command>) {
        if self.publisher.is_some() && !self.relayed {
            return;
        }
        let Some(next) = self.standbys.take_next() else { return commands.push(Command::HandOver) };
        commands.extend(self.publisher().map(Command::Replace));
        self.end_relay(commands);
        let take_over = Command::TakeOver(next.id);
        self.seat(next, take_over, commands);
    }

    // Active => Active (splice) | unchanged
    pub(super) fn turn_from(&mut self, commands: &mut Vec<Command>) {
        match self.standbys.take_next() {
            Some(next) => self.change_places(next, commands),
            None => commands.push(Command::HandOver),
        }
    }

    /// The active publisher waits, and another one that waited is active.
    fn change_places(&mut self, next: Standby, commands: &mut Vec<Command>) {
        if let Some(old) = self.publisher.take() {
            commands.push(Command::Demote(old.id));
            self.standbys.add(old);
        }
        let take_over = Command::TakeOver(next.id);
        self.seat(next, take_over, commands);
    }

    // Active => Active (splice), back to a better one
    pub(super) fn recovered(&mut self, id: SessionId, commands: &mut Vec<Command>) {
        let active = self.publisher.as_ref().filter(|_| !self.relayed && self.settings.standby_return);
        let Some(rank) = active.map(|active| active.rank) else { return };
        if let Some(next) = self.standbys.take_ready(id, rank) {
            self.change_places(next, commands);
        }
    }

    // Active => Held (readers) | waits
    pub(super) fn passed(&mut self, now: Now, commands: &mut Vec<Command>) {
        if self.relayed {
            return;
        }
        if let Some(old) = self.publisher.take() {
            commands.push(Command::Demote(old.id));
            self.standbys.add(old);
            self.without_publisher(now, commands);
        }
        if !self.is_unwatched() {
            self.demand(commands);
        }
    }
}

impl FromIterator<Standby> for Standbys {
    fn from_iter<I: IntoIterator<Item = Standby>>(all: I) -> Self {
        let mut standbys = Self::new();
        all.into_iter().for_each(|standby| standbys.add(standby));
        standbys
    }
}

#[cfg(test)]
#[path = "standbys_test.rs"]
mod tests;
