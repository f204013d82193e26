//! All that one child gets over one connection: its subscriptions, written in turn.
//!
//! One task writes for all of them. While the connection takes what is written, units go out as they are rung; when it does
//! not, what waits stays in the logs, [`Turns`] says whose turn it is, and what has become too old is given up.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use quinn::{Connection, ConnectionError, SendStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use weft_proto::media::TrackId;
use weft_proto::time::Now;
use weft_proto::wire::relay::{Dropped, ToChild};

use super::lane::{Closed, Lane, Outlet, Progress};
use super::turns::{Class, Turns};
use crate::clock::Clock;
use crate::subscription::Attendance;

/// A child's subscriptions on one connection.
pub(super) struct Carrier {
    connection: Connection,
    clock: Clock,
    patience: Duration,
    inner: RefCell<Inner>,
    /// Subscriptions whose stream has rung.
    rung: RefCell<BTreeSet<u64>>,
    waker: Cell<Option<Waker>>,
}

#[derive(Default)]
struct Inner {
    subscriptions: BTreeMap<u64, Subscription>,
    /// What waits to be written.
    turns: Turns,
    opening: Option<Opening>,
    windowed: Option<Instant>,
}

type Opening = Pin<Box<dyn Future<Output = Result<SendStream, ConnectionError>>>>;

struct Subscription {
    /// The child's place among the readers of the path.
    attendance: Attendance,
    ended: bool,
    lanes: BTreeMap<TrackId, Lane>,
    /// Where lanes begin that are not there yet.
    from: u64,
    words: mpsc::Sender<ToChild>,
}

/// Attempts in vain after which the connection is taken to be full: the rest would fare no better.
const ATTEMPTS: usize = 4;

/// How often what waits is looked at although nothing has become free: it may have become too old.
const LOOK: Duration = Duration::from_millis(50);

/// How often the window is fitted to the way.
const FIT: Duration = Duration::from_millis(20);

/// What may wait inside the connection beyond what is on its way: 50 ms at its rate, within these bounds.
const SLACK: Duration = Duration::from_millis(50);
const SLACK_MIN: u64 = 64 << 10;
const SLACK_MAX: u64 = 1 << 20;

impl Carrier {
    /// For a child that has just connected.
    pub(super) fn new(connection: Connection, clock: Clock, patience: Duration) -> Rc<Self> {
        let mut inner = Inner::default();
        inner.fit(&connection);
        Rc::new(Self {
            connection,
            clock,
            patience,
            inner: RefCell::new(inner),
            rung: RefCell::default(),
            waker: Cell::new(None),
        })
    }

    /// Begins to send a stream from this index of its log on. `words` go to the child on the subscription's own stream.
    pub(super) fn add(&self, id: u64, attendance: Attendance, from: u64, words: mpsc::Sender<ToChild>) {
        let subscription = Subscription { attendance, ended: false, lanes: BTreeMap::new(), from, words };
        self.inner.borrow_mut().subscriptions.insert(id, subscription);
        self.ring(id);
    }

    /// Sends no more of a subscription. What has been written goes out.
    pub(super) fn remove(&self, id: u64) {
        let mut inner = self.inner.borrow_mut();
        inner.turns.forget(id);
        if let Some(mut subscription) = inner.subscriptions.remove(&id) {
            subscription.lanes.values_mut().for_each(Lane::finish);
        }
    }

    /// A subscription's stream has more.
    pub(super) fn ring(&self, id: u64) {
        self.rung.borrow_mut().insert(id);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// How many tracks have units that wait for the connection, and for how long the first of them has.
    pub(super) fn waiting(&self) -> (usize, Duration) {
        let inner = self.inner.borrow();
        let waits = inner.subscriptions.values().flat_map(|subscription| subscription.lanes.values());
        let since: Vec<Now> = waits.filter_map(Lane::waits_since).collect();
        let now = self.clock.now();
        (since.len(), since.iter().min().map_or(Duration::ZERO, |since| now.since(*since)))
    }

    /// Writes until the connection ends.
    pub(super) async fn run(&self) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        poll_fn(|cx| self.poll(&mut looks, cx)).await;
    }

    fn poll(&self, looks: &mut Interval, cx: &mut Context<'_>) -> Poll<()> {
        self.waker.set(Some(cx.waker().clone()));
        let now = self.clock.now();
        let mut inner = self.inner.borrow_mut();
        for id in core::mem::take(&mut *self.rung.borrow_mut()) {
            inner.wake(id, (now, self.patience));
        }
        let written = inner.write(&self.connection, (now, self.patience), cx);
        if written.is_err() {
            return Poll::Ready(());
        }
        inner.fit(&self.connection);
        if !inner.turns.is_empty() {
            // Both: a tick that is due wakes this task again, and the next one is asked for.
            while looks.poll_tick(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
        Poll::Pending
    }
}

impl Inner {
    /// All lanes of a subscription are to look into the log.
    fn wake(&mut self, id: u64, (now, patience): (Now, Duration)) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        if subscription.attendance.ended().is_some() && !core::mem::replace(&mut subscription.ended, true) {
            // When the child does not read what it is told, it finds out by its own means.
            let _ = subscription.words.try_send(ToChild::Ended(()));
        }
        let tracks = subscription.attendance.stream().tracks();
        for (track, kind) in tracks.iter().flatten().map(|(id, track)| (id, track.kind())) {
            let from = subscription.from;
            subscription.lanes.entry(track).or_insert_with(|| Lane::new(id, track, kind, from, now));
        }
        for (track, lane) in &subscription.lanes {
            match self.turns.class_of((id, *track)) {
                None => self.turns.wait((id, *track), lane.class()),
                Some(Class::Pictures | Class::Late) => {
                    // Its next group is there: it is in time again.
                    if let Some(class) = lane.class_after(subscription.attendance.stream(), now, patience) {
                        self.turns.wait((id, *track), class);
                    }
                }
                Some(_) => {}
            }
        }
    }

    fn write(
        &mut self,
        connection: &Connection,
        (now, patience): (Now, Duration),
        cx: &mut Context<'_>,
    ) -> Result<(), Closed> {
        let mut in_vain = 0;
        let mut after = None;
        while in_vain < ATTEMPTS {
            let Some(turn) = self.turns.next(after) else { break };
            after = Some(turn);
            let (id, track) = turn.lane;
            let Self { subscriptions, turns, opening, .. } = self;
            let Some(Subscription { attendance, lanes, words, .. }) = subscriptions.get_mut(&id) else {
                turns.idle(turn.lane);
                continue;
            };
            let Some(lane) = lanes.get_mut(&track) else { continue };
            let stream = attendance.stream();
            if turn.class != Class::Late && lane.is_late(stream, now, patience) {
                // It comes up again after those that are in time.
                turns.wait(turn.lane, Class::Late);
                continue;
            }
            let before = lane.written();
            let progress = lane.poll(stream, &mut Writing { words, connection, opening }, (now, patience), cx)?;
            turns.wrote(turn, lane.written() - before);
            match progress {
                Progress::Idle => turns.idle(turn.lane),
                Progress::Blocked => {
                    in_vain += 1;
                    let is_late = lane.is_late(stream, now, patience);
                    turns.wait(turn.lane, if is_late { Class::Late } else { lane.class() });
                }
            }
        }
        Ok(())
    }

    /// What may lie in the connection follows what is on its way: so little of a path waits where it cannot be dropped.
    fn fit(&mut self, connection: &Connection) {
        if self.windowed.is_some_and(|at| at.elapsed() < FIT) {
            return;
        }
        self.windowed = Some(Instant::now());
        let (window, rtt) = (connection.congestion_state().window(), connection.rtt().max(Duration::from_micros(100)));
        let slack = (window as f64 * SLACK.as_secs_f64() / rtt.as_secs_f64()) as u64;
        connection.set_send_window(window.saturating_add(slack.clamp(SLACK_MIN, SLACK_MAX)));
    }
}

struct Writing<'a> {
    words: &'a mpsc::Sender<ToChild>,
    connection: &'a Connection,
    opening: &'a mut Option<Opening>,
}

impl Outlet for Writing<'_> {
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<SendStream, Closed>> {
        let connection = self.connection.clone();
        let open = self.opening.get_or_insert_with(|| Box::pin(async move { connection.open_uni().await }));
        let opened = std::task::ready!(open.as_mut().poll(cx));
        *self.opening = None;
        Poll::Ready(opened.map_err(|_| Closed))
    }

    fn dropped(&mut self, _: u64, dropped: Dropped) {
        // When the child does not read what it is told, it finds out by waiting.
        let _ = self.words.try_send(ToChild::Dropped(dropped));
    }
}
