//! One path's life: who publishes, who waits, when to pull, when to let go. Pure: events in, commands out.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use weft_proto::time::Now;

use super::standbys::{Standby, Standbys};
use crate::limits::READERS_PER_PATH_MAX;

/// Names a publisher or reader on this node. Never reused within a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// What a path's configuration says of its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathSettings {
    /// Readers at once; 0 for no limit.
    pub max_readers: usize,
    /// A second publisher takes over; otherwise it is refused.
    pub override_publisher: bool,
    /// How long readers are kept without a publisher.
    pub reader_hold: Duration,
    /// A second publisher waits for its turn: neither takes over nor is refused.
    pub standby: bool,
    /// A publisher of a better rank gets the path back from one that has taken over.
    pub standby_return: bool,
    /// Somebody can be asked for a publisher; readers wait this long for it.
    pub on_demand: Option<OnDemand>,
}

/// A path whose publisher is brought when it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnDemand {
    /// How long readers wait for the publisher.
    pub start_timeout: Duration,
    /// How long the publisher is kept after the last reader.
    pub close_after: Duration,
}

impl Default for PathSettings {
    fn default() -> Self {
        Self {
            max_readers: 0,
            override_publisher: true,
            reader_hold: Duration::from_secs(10),
            standby: false,
            standby_return: false,
            on_demand: None,
        }
    }
}

/// Who a publisher is, for deciding whether it is the same one come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user it authenticated as; empty for anybody.
    pub user: String,
    /// Where it connects from.
    pub address: Option<IpAddr>,
}

/// What a reader reads for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReaderRole {
    /// Somebody watches: it counts for `maxReaders`, it is listed, and a publisher is wanted for it.
    Viewer,
    /// Another node, which carries the path to its own readers: a publisher is wanted for it, but it does not count for
    /// `maxReaders`, and is listed apart.
    Relay,
    /// Somebody asks what there is, and may join: a publisher is wanted, and nothing else.
    Asking,
    /// The node itself, on behalf of others: what packs a stream once for many viewers, or records it. It counts for
    /// nobody and wants no publisher, but it is held with the others when the publisher goes.
    Internal,
}

/// What happens to a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody wants to publish. `silent_for`: how long the present publisher has sent nothing.
    Publish {
        /// Its id, if it is accepted.
        id: SessionId,
        /// Who it is.
        identity: Identity,
        /// How long the present publisher has sent nothing.
        silent_for: Duration,
    },
    /// Somebody wants to publish when the active publisher fails; at once where this node owns the path and nobody does.
    StandBy {
        /// Its id.
        id: SessionId,
        /// Who it is.
        identity: Identity,
        /// The lower the sooner its turn comes.
        rank: u8,
        /// This node owns the path.
        owned: bool,
    },
    /// Those that wait and can take over now: they send, and decoding can begin with what they have sent.
    Ready(Vec<SessionId>),
    /// This node owns the path, for a publisher of it that waits.
    Turn,
    /// A standby on another node has taken the path over.
    Passed,
    /// The active publisher sends nothing any more.
    Stalled {
        /// Which.
        id: SessionId,
    },
    /// A publisher that waits has been well for long enough to get the path back.
    Recovered {
        /// Which.
        id: SessionId,
    },
    /// Another node's publisher can be heard here from now on.
    Relay {
        /// The relay's id, if it is accepted.
        id: SessionId,
    },
    /// Another node owns the path now: a relay can bring it.
    Elsewhere,
    /// This node pulls the path's source from now on.
    Pulled,
    /// A publisher ended.
    PublisherGone {
        /// Which.
        id: SessionId,
    },
    /// Somebody wants to read.
    Subscribe {
        /// Its id, if it is accepted.
        id: SessionId,
        /// What it reads for.
        role: ReaderRole,
        /// Another node owns the path: a relay can bring it.
        elsewhere: bool,
    },
    /// A reader ended.
    ReaderGone {
        /// Which.
        id: SessionId,
    },
    /// The configuration says something else from now on. Who is there stays.
    Settings(PathSettings),
    /// The armed timer ran out.
    Timer,
}

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The publisher is accepted and becomes the active one.
    Accept(SessionId),
    /// The publisher is refused: another one is active.
    RefusePublisher(SessionId),
    /// Tell this publisher that another one has taken its place.
    Replace(SessionId),
    /// The publisher is accepted and waits for its turn.
    StandBy(SessionId),
    /// This publisher waits no longer: it is the active one.
    TakeOver(SessionId),
    /// This publisher is no longer the active one: it waits.
    Demote(SessionId),
    /// Nobody here can take over: if somebody can on another node, it is to have the path.
    HandOver,
    /// The reader is attached.
    Attach(SessionId),
    /// The reader waits until a publisher comes or [`Command::RefuseReader`] follows.
    Wait(SessionId),
    /// The reader is refused.
    RefuseReader(SessionId, Refusal),
    /// End all readers: no publisher came back.
    EndReaders,
    /// Ask for a publisher.
    Demand,
    /// Nobody wants the publisher any more.
    DemandGone,
    /// The path is published here now: it need not come from another node any more.
    EndRelay,
    /// Send [`Event::Timer`] at this time, instead of any time armed before.
    Arm(Now),
    /// Nothing is left: the path may be forgotten.
    Close,
}

/// Why a reader is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody publishes.
    NoStream,
    /// `maxReaders` are there.
    TooManyReaders,
}

/// A silent publisher may be replaced by its own return although others are refused.
const HALF_OPEN: Duration = Duration::from_secs(1);

impl PathSettings {
    /// Whether a newcomer may take the place of a publisher that has sent nothing for so long: anybody where the path
    /// allows it, else only the same one come back.
    pub(crate) fn may_replace(&self, present: &Identity, newcomer: &Identity, silent_for: Duration) -> bool {
        self.override_publisher || present == newcomer && silent_for >= HALF_OPEN
    }
}

/// The life of one path.
#[derive(Clone, Debug)]
pub struct Core {
    pub(super) settings: PathSettings,
    pub(super) publisher: Option<Standby>,
    pub(super) standbys: Standbys,
    /// The publisher is another node's.
    pub(super) relayed: bool,
    viewers: Vec<SessionId>,
    /// Other nodes, and whoever asks.
    relays: Vec<SessionId>,
    internal: Vec<SessionId>,
    /// Viewers and relays that wait for a publisher.
    waiting: Vec<(SessionId, ReaderRole)>,
    timer: Option<(Now, Purpose)>,
    demanded: bool,
}

/// How long readers wait for a path to come from another node: three attempts of a second each. Usually it is there in a
/// round trip.
const RELAY_START: Duration = Duration::from_secs(3);

/// How long a path is still carried here after its last reader: who changes between channels comes back.
const RELAY_GRACE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// Readers are kept until then.
    Hold,
    /// Waiting readers are refused then.
    Start,
    /// The demanded publisher is let go then.
    Idle,
}

impl Core {
    /// A path that nobody uses yet.
    pub const fn new(settings: PathSettings) -> Self {
        Self {
            settings,
            publisher: None,
            standbys: Standbys::new(),
            relayed: false,
            viewers: Vec::new(),
            relays: Vec::new(),
            internal: Vec::new(),
            waiting: Vec::new(),
            timer: None,
            demanded: false,
        }
    }

    /// A path as the registry knows it, after its actor was lost.
    pub(super) fn rebuild(
        settings: PathSettings,
        publisher: Option<Standby>,
        standbys: Standbys,
        relayed: bool,
        readers: impl IntoIterator<Item = (SessionId, ReaderRole)>,
        now: Now,
    ) -> (Self, Vec<Command>) {
        let demanded = relayed || settings.on_demand.is_some() && publisher.is_some();
        let mut core = Self { publisher, standbys, relayed, demanded, ..Self::new(settings) };
        readers.into_iter().for_each(|(id, role)| core.attach(id, role));
        let mut commands = Vec::new();
        if core.publisher.is_none() {
            core.without_publisher(now, &mut commands);
        }
        (core, commands)
    }

    /// The active publisher.
    pub fn publisher(&self) -> Option<SessionId> {
        self.publisher.as_ref().map(|publisher| publisher.id)
    }

    /// Takes an event and says what is to be done.
    pub fn handle(&mut self, event: Event, now: Now) -> Vec<Command> {
        let mut commands = Vec::new();
        match event {
            Event::Publish { id, identity, silent_for } => {
                self.publish(id, identity, silent_for, &mut commands);
                self.linger(now, &mut commands);
            }
            Event::StandBy { id, identity, rank, owned } => {
                self.stand_by(Standby { id, identity, rank }, owned, &mut commands);
            }
            Event::Ready(ready) => self.standbys.set_ready(ready),
            Event::Turn => self.turn(&mut commands),
            Event::Passed => self.passed(now, &mut commands),
            Event::Stalled { id } if self.publisher() == Some(id) && !self.relayed => self.turn_from(&mut commands),
            Event::Recovered { id } => self.recovered(id, &mut commands),
            Event::Stalled { .. } => {}
            Event::PublisherGone { id } => self.publisher_gone(id, now, &mut commands),
            Event::Relay { id } => self.relay(id, now, &mut commands),
            Event::Elsewhere if self.publisher.is_none() && !self.is_unwatched() => {
                // The one that was asked for may have found no owner and ended, without a word.
                self.demanded = false;
                self.demand(&mut commands);
            }
            Event::Elsewhere => {}
            Event::Pulled => self.pulled(now, &mut commands),
            Event::Subscribe { id, role, elsewhere } => self.subscribe(id, role, elsewhere, now, &mut commands),
            Event::ReaderGone { id } => self.reader_gone(id, now, &mut commands),
            Event::Settings(settings) => self.settings = settings,
            Event::Timer => self.timer(now, &mut commands),
        }
        commands
    }

    // Empty | Held => Active; Active => Active (takeover) | refused
    fn publish(&mut self, id: SessionId, identity: Identity, silent_for: Duration, commands: &mut Vec<Command>) {
        if let Some(old) = &self.publisher {
            // Another node's is no longer the publisher: this one owns the path, or its publisher would not have come here.
            if !self.relayed && !self.settings.may_replace(&old.identity, &identity, silent_for) {
                commands.push(Command::RefusePublisher(id));
                return;
            }
            if old.rank > 0 {
                // Who has come to stand by goes on doing so.
                commands.push(Command::Demote(old.id));
                self.standbys.add(old.clone());
            } else {
                commands.push(Command::Replace(old.id));
            }
        }
        self.end_relay(commands);
        self.seat(Standby { id, identity, rank: 0 }, Command::Accept(id), commands);
    }

    /// What another node sends is not the path's any more.
    pub(super) fn end_relay(&mut self, commands: &mut Vec<Command>) {
        if core::mem::take(&mut self.relayed) {
            // A source that is pulled on demand is still demanded.
            self.demanded = self.settings.on_demand.is_some();
            commands.push(Command::EndRelay);
        }
    }

    // Active => Active (splice) | Held (readers) | Closed
    fn publisher_gone(&mut self, id: SessionId, now: Now, commands: &mut Vec<Command>) {
        if self.standbys.remove(id) {
            if self.publisher.is_none() && self.is_unread() {
                self.close(commands);
            }
            return;
        }
        // A replaced publisher's end concerns nobody.
        if self.publisher() != Some(id) {
            return;
        }
        self.publisher = None;
        if core::mem::take(&mut self.relayed) {
            self.demanded = false;
        } else if let Some(next) = self.standbys.take_next() {
            let take_over = Command::TakeOver(next.id);
            return self.seat(next, take_over, commands);
        }
        self.without_publisher(now, commands);
    }

    /// A source that a dead node pulled may have been given to this one although nobody reads it.
    fn pulled(&mut self, now: Now, commands: &mut Vec<Command>) {
        if self.settings.on_demand.is_some() {
            self.demanded = true;
            self.linger(now, commands);
        }
    }

    /// What is pulled on demand and read by nobody is let go a little later.
    fn linger(&mut self, now: Now, commands: &mut Vec<Command>) {
        if let Some(on_demand) = self.settings.on_demand.filter(|_| self.demanded && self.is_unwatched()) {
            self.arm(now.after(on_demand.close_after), Purpose::Idle, commands);
        }
    }

    // Empty | Held | Waiting => Relayed; Relayed => Relayed; Active => refused
    fn relay(&mut self, id: SessionId, now: Now, commands: &mut Vec<Command>) {
        match self.publisher() {
            Some(_) if !self.relayed => return commands.push(Command::RefusePublisher(id)),
            Some(old) => commands.push(Command::Replace(old)),
            None => {}
        }
        self.relayed = true;
        self.demanded = true;
        let identity = Identity { user: String::new(), address: None };
        self.seat(Standby { id, identity, rank: 0 }, Command::Accept(id), commands);
        if self.is_unwatched() {
            self.arm(now.after(RELAY_GRACE), Purpose::Idle, commands);
        }
    }

    /// Somebody publishes from now on.
    pub(super) fn seat(&mut self, publisher: Standby, command: Command, commands: &mut Vec<Command>) {
        self.publisher = Some(publisher);
        self.timer = None;
        commands.push(command);
        for (reader, role) in core::mem::take(&mut self.waiting) {
            self.attach(reader, role);
            commands.push(Command::Attach(reader));
        }
    }

    /// Asks for a publisher, once.
    pub(super) fn demand(&mut self, commands: &mut Vec<Command>) {
        if !core::mem::replace(&mut self.demanded, true) {
            commands.push(Command::Demand);
        }
    }

    fn attach(&mut self, id: SessionId, role: ReaderRole) {
        match role {
            ReaderRole::Viewer => self.viewers.push(id),
            ReaderRole::Relay | ReaderRole::Asking => self.relays.push(id),
            ReaderRole::Internal => self.internal.push(id),
        }
    }

    /// Nobody watches or waits to, here or on another node.
    pub(super) const fn is_unwatched(&self) -> bool {
        self.viewers.is_empty() && self.relays.is_empty() && self.waiting.is_empty()
    }

    /// Nobody reads at all.
    const fn is_unread(&self) -> bool {
        self.is_unwatched() && self.internal.is_empty()
    }

    /// How many more may read in this role.
    fn room(&self, role: ReaderRole) -> usize {
        let (taken, most) = match role {
            ReaderRole::Viewer => (self.viewers.len() + self.waiting.len(), self.settings.max_readers),
            ReaderRole::Relay | ReaderRole::Asking => (self.relays.len(), 0),
            ReaderRole::Internal => (self.internal.len(), 0),
        };
        let most = NonZeroUsize::new(most).map_or(READERS_PER_PATH_MAX, NonZeroUsize::get);
        most.min(READERS_PER_PATH_MAX).saturating_sub(taken)
    }

    // Active => Held (readers) | Closed
    pub(super) fn without_publisher(&mut self, now: Now, commands: &mut Vec<Command>) {
        if self.is_unread() {
            self.close(commands);
        } else {
            self.arm(now.after(self.settings.reader_hold), Purpose::Hold, commands);
            if self.settings.on_demand.is_some() && !self.is_unwatched() {
                self.demand(commands);
            }
        }
    }

    fn subscribe(&mut self, id: SessionId, role: ReaderRole, elsewhere: bool, now: Now, commands: &mut Vec<Command>) {
        let wants = role != ReaderRole::Internal;
        let start_timeout = match self.settings.on_demand {
            _ if elsewhere && wants => Some(RELAY_START),
            Some(on_demand) if wants => Some(on_demand.start_timeout),
            _ => None,
        };
        if self.room(role) == 0 {
            commands.push(Command::RefuseReader(id, Refusal::TooManyReaders));
        } else if self.publisher.is_some() || matches!(self.timer, Some((_, Purpose::Hold))) {
            if wants && matches!(self.timer, Some((_, Purpose::Idle))) {
                self.timer = None;
            }
            self.attach(id, role);
            commands.push(Command::Attach(id));
            if self.publisher.is_none() && elsewhere && wants {
                self.demand(commands);
            }
        } else if let Some(start_timeout) = start_timeout {
            self.waiting.push((id, role));
            commands.push(Command::Wait(id));
            self.demand(commands);
            if !matches!(self.timer, Some((_, Purpose::Start))) {
                self.arm(now.after(start_timeout), Purpose::Start, commands);
            }
        } else {
            commands.push(Command::RefuseReader(id, Refusal::NoStream));
            if self.is_unread() && self.standbys.is_empty() {
                commands.push(Command::Close);
            }
        }
    }

    fn reader_gone(&mut self, id: SessionId, now: Now, commands: &mut Vec<Command>) {
        let watched = !self.is_unwatched();
        for readers in [&mut self.viewers, &mut self.relays, &mut self.internal] {
            readers.retain(|reader| *reader != id);
        }
        self.waiting.retain(|(reader, _)| *reader != id);
        let close_after = if self.relayed {
            Some(RELAY_GRACE)
        } else {
            self.settings.on_demand.map(|on_demand| on_demand.close_after)
        };
        match (self.publisher.is_some(), close_after) {
            (true, Some(close_after)) if self.demanded && watched && self.is_unwatched() => {
                self.arm(now.after(close_after), Purpose::Idle, commands);
            }
            (false, _) if self.is_unread() => self.close(commands),
            _ => {}
        }
    }

    fn timer(&mut self, now: Now, commands: &mut Vec<Command>) {
        let Some((at, purpose)) = self.timer else { return };
        if now < at {
            commands.push(Command::Arm(at));
            return;
        }
        self.timer = None;
        match purpose {
            Purpose::Hold => {
                self.viewers.clear();
                self.relays.clear();
                self.internal.clear();
                commands.push(Command::EndReaders);
                self.close(commands);
            }
            Purpose::Start => {
                let refused = self.waiting.drain(..).map(|(id, _)| Command::RefuseReader(id, Refusal::NoStream));
                commands.extend(refused);
                self.close(commands);
            }
            Purpose::Idle => {
                self.demanded = false;
                commands.push(Command::DemandGone);
            }
        }
    }

    fn close(&mut self, commands: &mut Vec<Command>) {
        self.timer = None;
        if core::mem::take(&mut self.demanded) {
            commands.push(Command::DemandGone);
        }
        if self.standbys.is_empty() {
            commands.push(Command::Close);
        }
    }

    fn arm(&mut self, at: Now, purpose: Purpose, commands: &mut Vec<Command>) {
        self.timer = Some((at, purpose));
        commands.push(Command::Arm(at));
    }
}

#[cfg(test)]
#[path = "core_test.rs"]
mod tests;
