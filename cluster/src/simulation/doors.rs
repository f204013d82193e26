//! The doors of a node without actix: what the registry and the path actors do with the decisions of the real
//! [`Tenure`] and the real [`Core`]. What is left out is what carries media, and the mailboxes between them: a claim's
//! answer, a session's end and a timer come in any order all the same, for each waits in a task of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use weft_proto::id::{Epoch, PathName};
use weft_proto::time::Now;

use super::checker::{Checker, sources};
use crate::membership::Host;
use crate::ownership::NodeId;
use crate::path::{Command, Core, Event, Identity, PathSettings, ReaderRole, SessionId, Tenure};

/// The doors of one process.
#[derive(Default)]
pub(super) struct Doors {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    tenure: Tenure,
    live: BTreeMap<PathName, Live>,
    /// The highest epoch of each path that was heard of here.
    heard: BTreeMap<PathName, Epoch>,
    next_session: u64,
    assigned: Vec<(PathName, Epoch)>,
}

/// A path that somebody uses.
struct Live {
    core: Core,
    epoch: Epoch,
    /// Told to end, and still there.
    ended: BTreeSet<SessionId>,
    /// Sessions that are attached.
    sessions: BTreeSet<SessionId>,
}

/// What is left for the caller to do.
#[derive(Default)]
pub(super) struct Todo {
    /// The node does not serve the path any more.
    pub(super) let_go: bool,
    /// The core is to be told the time then.
    pub(super) timer: Option<Now>,
}

/// How long readers are kept: short, for a run is short.
const HOLD: Duration = Duration::from_millis(300);

/// Half of the paths keep their publishers.
fn settings(path: &PathName) -> PathSettings {
    let keeps = path.as_str().bytes().last().is_some_and(|byte| byte % 2 == 1);
    PathSettings { override_publisher: !keeps, reader_hold: HOLD, ..PathSettings::default() }
}

impl Doors {
    /// A publisher has come. Whether its claim may take the path from another node.
    pub(super) fn ask(&self, path: &PathName) -> bool {
        self.inner.lock().tenure.ask(path, &settings(path))
    }

    /// Its claim came to nothing.
    pub(super) fn refused(&self, path: &PathName) {
        self.inner.lock().tenure.answered(path);
    }

    /// Its claim was granted: the session, if the path takes it, and whether the epoch is one that was not known here.
    pub(super) fn claimed(
        &self,
        path: &PathName,
        epoch: Epoch,
        who: u64,
        now: Now,
        checker: &Checker,
    ) -> (Option<SessionId>, bool, Todo) {
        let mut inner = self.inner.lock();
        inner.tenure.answered(path);
        // A path that the node has kept needs no commit, and its epoch was told before.
        let is_new = inner.heard.get(path).is_none_or(|heard| *heard < epoch);
        let (id, todo) = inner.publish(path, epoch, who, now, checker);
        (id, is_new, todo)
    }

    /// The cluster has given the node a path: its source is pulled here.
    pub(super) fn pull(&self, path: &PathName, epoch: Epoch, now: Now, checker: &Checker) -> (Option<SessionId>, Todo) {
        self.inner.lock().publish(path, epoch, PULLS, now, checker)
    }

    /// The epoch under which a session publishes; `None` when it was told to end.
    pub(super) fn publishes(&self, path: &PathName, id: SessionId) -> Option<Epoch> {
        let inner = self.inner.lock();
        let live = inner.live.get(path)?;
        (live.sessions.contains(&id) && !live.ended.contains(&id)).then_some(live.epoch)
    }

    /// A session has ended.
    pub(super) fn gone(&self, path: &PathName, id: SessionId, publishes: bool, now: Now, checker: &Checker) -> Todo {
        let mut inner = self.inner.lock();
        let Some(live) = inner.live.get_mut(path) else { return Todo::default() };
        live.sessions.remove(&id);
        live.ended.remove(&id);
        let event = if publishes { Event::PublisherGone { id } } else { Event::ReaderGone { id } };
        let mut todo = inner.feed(path, event, now, checker);
        let unpublished = inner.live.get(path).filter(|live| publishes && live.core.publisher().is_none());
        if unpublished.is_some() && inner.tenure.lets_go_unpublished(path, false, &settings(path)) {
            todo.let_go = true;
        }
        todo
    }

    /// Somebody wants to read.
    pub(super) fn subscribe(&self, path: &PathName, now: Now, checker: &Checker) -> (Option<SessionId>, Todo) {
        let mut inner = self.inner.lock();
        let id = inner.session();
        inner.live.entry(path.clone()).or_insert_with(|| Live::new(path));
        let event = Event::Subscribe { id, role: ReaderRole::Viewer, elsewhere: false };
        let todo = inner.feed(path, event, now, checker);
        let attached = inner.live.get(path).is_some_and(|live| live.sessions.contains(&id));
        (attached.then_some(id), todo)
    }

    /// The time that a path waited for has come.
    pub(super) fn timer(&self, path: &PathName, now: Now, checker: &Checker) -> Todo {
        let mut inner = self.inner.lock();
        if inner.live.contains_key(path) { inner.feed(path, Event::Timer, now, checker) } else { Todo::default() }
    }

    /// What the cluster has given the node since the last time.
    pub(super) fn take_assigned(&self) -> Vec<(PathName, Epoch)> {
        std::mem::take(&mut self.inner.lock().assigned)
    }
}

/// Who pulls sources.
const PULLS: u64 = u64::MAX;

impl Live {
    fn new(path: &PathName) -> Self {
        let core = Core::new(settings(path));
        Self { core, epoch: Epoch::default(), ended: BTreeSet::new(), sessions: BTreeSet::new() }
    }
}

impl Inner {
    fn session(&mut self) -> SessionId {
        self.next_session += 1;
        SessionId(self.next_session)
    }

    fn publish(
        &mut self,
        path: &PathName,
        epoch: Epoch,
        who: u64,
        now: Now,
        checker: &Checker,
    ) -> (Option<SessionId>, Todo) {
        let id = self.session();
        let live = self.live.entry(path.clone()).or_insert_with(|| Live::new(path));
        live.epoch = epoch;
        self.heard.insert(path.clone(), epoch);
        let identity = Identity { user: who.to_string(), address: None };
        let todo = self.feed(path, Event::Publish { id, identity, silent_for: Duration::ZERO }, now, checker);
        let accepted = self.live.get(path).is_some_and(|live| live.sessions.contains(&id));
        (accepted.then_some(id), todo)
    }

    /// Does what a path actor does with its core's commands.
    fn feed(&mut self, path: &PathName, event: Event, now: Now, checker: &Checker) -> Todo {
        let mut todo = Todo::default();
        let Some(live) = self.live.get_mut(path) else { return todo };
        for command in live.core.handle(event, now) {
            match command {
                Command::Accept(id) | Command::Attach(id) => drop(live.sessions.insert(id)),
                Command::Replace(id) => {
                    checker.count("publishers replaced here");
                    live.ended.insert(id);
                }
                Command::RefusePublisher(_) => checker.count("publishers refused here"),
                Command::EndReaders => {
                    checker.count("readers held in vain");
                    live.sessions.clear();
                }
                Command::Arm(at) => todo.timer = Some(at),
                Command::Close if live.sessions.is_empty() => {
                    todo.let_go = self.tenure.lets_go_closed(path);
                    self.live.remove(path);
                    return todo;
                }
                _ => {}
            }
        }
        todo
    }
}

impl Host for Doors {
    fn lost(&self, path: &PathName, _: Epoch, _: Option<NodeId>) {
        if let Some(live) = self.inner.lock().live.get_mut(path)
            && let Some(publisher) = live.core.publisher()
        {
            live.ended.insert(publisher);
        }
    }

    fn renewed(&self, path: &PathName, epoch: Epoch) {
        let mut inner = self.inner.lock();
        inner.heard.insert(path.clone(), epoch);
        if let Some(live) = inner.live.get_mut(path) {
            live.epoch = epoch;
        }
    }

    fn assigned(&self, path: &PathName, epoch: Epoch) -> bool {
        let mut inner = self.inner.lock();
        inner.heard.insert(path.clone(), epoch);
        // What is always pulled is never let go.
        if !sources().contains(path) {
            inner.assigned.push((path.clone(), epoch));
        }
        true
    }

    fn sources(&self) -> Arc<[PathName]> {
        sources().into()
    }
}
