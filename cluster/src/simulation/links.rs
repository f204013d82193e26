//! Who is connected to whom: each process dials, answers, admits and refuses as the mesh does, by the mesh's own `Table`.
//!
//! A connection is a number that both ends have. What QUIC would notice in time is noticed by a `pulse`; what only the
//! kernel knows, that a process is gone, is a cut lifeline.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep, timeout};
use weft_proto::wire::entry::NodeId;
use weft_proto::wire::hello::{ClusterId, Hello, Purpose};

use super::checker::Checker;
use super::net::Net;
use crate::limits::NEWCOMER_DEADLINE;
use crate::mesh::{Backoff, HELLO_DEADLINE, IDLE_MILLIS, Incoming, Next, PeerAddress, Refusal, Table};

/// What waits for a process that is stopped; more is lost, as the kernel loses it.
const QUEUE: usize = 4096;

/// How often connections are looked at. A process that is stopped does not look, and its peers see that.
const PULSE: Duration = Duration::from_millis(500);

/// QUIC sends a lost first packet again after this, and after ever twice as long.
const FIRST_RETRY: Duration = Duration::from_millis(150);

/// Where a process is reached. Clones are the same door.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) process: u64,
    events: mpsc::Sender<Incoming>,
    knocks: mpsc::UnboundedSender<Knock>,
    peers: Arc<Mutex<Peers>>,
    /// Something in the table has changed.
    changed: Arc<Notify>,
    /// A peer has said that this node was removed.
    removed: Arc<Notify>,
}

struct Peers {
    me: Hello,
    table: Table<u64>,
    /// When the process last looked at its connections.
    pulse: Instant,
}

/// What comes to a process.
pub(super) struct Mail {
    pub(super) incoming: mpsc::Receiver<Incoming>,
    /// A peer has said that this node was removed.
    pub(super) removed: Arc<Notify>,
    knocks: mpsc::UnboundedReceiver<Knock>,
}

/// Somebody has connected and says hello.
struct Knock {
    hello: Hello,
    connection: u64,
    answer: oneshot::Sender<Result<Hello, Refusal>>,
    confirmation: oneshot::Receiver<()>,
}

impl Door {
    pub(super) fn open(node: NodeId, process: u64, incarnation: u64) -> (Self, Mail) {
        let (events, incoming) = mpsc::channel(QUEUE);
        let (knocks, knocking) = mpsc::unbounded_channel();
        let me = Hello {
            purpose: Purpose::Control,
            cluster: ClusterId([1; 16]),
            node,
            incarnation,
            process,
            level_min: 1,
            level_max: 1,
            version: String::new(),
        };
        let peers = Peers { table: Table::new(me.clone()), me, pulse: Instant::now() };
        let (changed, removed) = (Arc::default(), Arc::<Notify>::default());
        let peers = Arc::new(Mutex::new(peers));
        let door = Self { process, events, knocks, peers, changed, removed: removed.clone() };
        (door, Mail { incoming, removed, knocks: knocking })
    }

    /// Hands something to the process; false when its queue is full.
    pub(super) fn deliver(&self, event: Incoming) -> bool {
        self.events.try_send(event).is_ok()
    }

    /// The connection to a node that this process uses.
    pub(super) fn connection(&self, to: NodeId) -> Option<u64> {
        Some(self.peers.lock().table.link(to)?.connection)
    }

    /// The incarnation of another process as it was when this one was connected to it, if it is.
    pub(super) fn connected_to(&self, node: NodeId, process: u64) -> Option<u64> {
        let peers = self.peers.lock();
        peers.table.link(node).filter(|link| link.process == process).map(|link| link.incarnation)
    }

    /// A connection has ended.
    fn lost(&self, node: NodeId, connection: u64) {
        let mut peers = self.peers.lock();
        let serial = peers.table.link(node).filter(|link| link.connection == connection).map(|link| link.serial);
        if serial.is_some_and(|serial| peers.table.lost(node, serial)) {
            self.changed.notify_waiters();
        }
    }
}

/// What a process does about its connections. All of it runs in the process, and ends with it.
#[derive(Clone)]
pub(super) struct Links {
    pub(super) node: NodeId,
    pub(super) net: Net,
    pub(super) door: Door,
}

impl Links {
    /// Answers those who come, and notices what has ended.
    pub(super) fn start(&self, mut mail: Mail, checker: Checker) -> (mpsc::Receiver<Incoming>, Arc<Notify>) {
        let this = self.clone();
        spawn_local(async move {
            while let Some(knock) = mail.knocks.recv().await {
                let (this, checker) = (this.clone(), checker.clone());
                spawn_local(async move { this.answer(knock, &checker).await });
            }
        });
        let this = self.clone();
        spawn_local(async move { this.pulse().await });
        (mail.incoming, mail.removed)
    }

    pub(super) fn set_peers(&self, peers: BTreeMap<NodeId, PeerAddress>) {
        let (added, left) = self.door.peers.lock().table.set_peers(peers);
        for link in left.into_iter().filter_map(|left| left.link) {
            self.hang_up(link.process, link.connection);
        }
        for node in added {
            let this = self.clone();
            spawn_local(async move { this.keep(node).await });
        }
        self.door.changed.notify_waiters();
    }

    pub(super) fn set_removed(&self, removed: BTreeSet<NodeId>) {
        self.door.peers.lock().table.set_removed(removed);
    }

    pub(super) fn set_incarnation(&self, incarnation: u64) {
        let mut peers = self.door.peers.lock();
        peers.me.incarnation = incarnation;
        peers.table.change(|me| me.incarnation = incarnation);
    }

    /// Tells the other end that a connection has ended. It may not hear it.
    fn hang_up(&self, process: u64, connection: u64) {
        let this = self.clone();
        spawn_local(async move {
            if let Some((node, theirs)) = this.net.door_of(process)
                && this.net.carry(this.node, node, true).await
            {
                theirs.lost(this.node, connection);
            }
        });
    }

    /// Keeps up the connection to a peer for as long as it is one.
    async fn keep(&self, peer: NodeId) {
        let mut backoff = Backoff::default();
        loop {
            let changed = self.door.changed.notified();
            let next = self.door.peers.lock().table.next(peer);
            let attempt = match next {
                Next::Dial { attempt, .. } => attempt,
                Next::Wait => {
                    changed.await;
                    continue;
                }
                Next::Stop => return,
            };
            match self.dial(peer, attempt, backoff.patience()).await {
                Ok(true) => backoff.reset(),
                // The peer's own attempt was quicker, or this node refuses the peer.
                Ok(false) => {}
                Err(Refusal::Removed) => self.door.removed.notify_one(),
                Err(_) => {}
            }
            self.door.peers.lock().table.gave_up(peer, attempt);
            let pause = self.net.pause(&mut backoff);
            sleep(pause).await;
        }
    }

    /// The dialer's part. Whether there is a connection now; otherwise why the peer refuses.
    async fn dial(&self, peer: NodeId, attempt: u64, patience: Duration) -> Result<bool, Refusal> {
        let reached = timeout(patience, self.reach(peer)).await;
        let theirs = reached.map_err(|_| Refusal::Deadline)?;
        let hello = {
            let mut peers = self.door.peers.lock();
            if !peers.table.may_greet(peer, attempt) {
                return Ok(false);
            }
            peers.me.clone()
        };
        let connection = self.net.connection();
        let (answer, answered) = oneshot::channel();
        let (confirm, confirmation) = oneshot::channel();
        let greeting = async {
            self.pass(self.node, peer).await;
            // Where the process is gone meanwhile, nobody answers.
            let _ = theirs.knocks.send(Knock { hello, connection, answer, confirmation });
            let Ok(answer) = answered.await else { return std::future::pending().await };
            self.pass(peer, self.node).await;
            answer
        };
        let hello = timeout(HELLO_DEADLINE, greeting).await.unwrap_or(Err(Refusal::Deadline))?;
        let greeted = self.door.peers.lock().table.greeted(peer, attempt, &hello, connection);
        if greeted.is_err() {
            return Ok(false);
        }
        let is_in_use = self.door.connection(peer) == Some(connection);
        if is_in_use {
            self.door.changed.notify_waiters();
            let this = self.clone();
            spawn_local(async move {
                this.pass(this.node, peer).await;
                // Fails when nobody waits for it any more: the pulse will find out.
                let _ = confirm.send(());
            });
        }
        Ok(is_in_use)
    }

    /// What TLS does: a way there and one back.
    async fn reach(&self, peer: NodeId) -> Door {
        let mut pause = FIRST_RETRY;
        loop {
            if self.net.carry(self.node, peer, true).await
                && let Some(door) = self.net.door(peer)
                && self.net.carry(peer, self.node, true).await
            {
                return door;
            }
            sleep(pause).await;
            pause *= 2;
        }
    }

    /// One way on a connection, for as long as it takes.
    async fn pass(&self, from: NodeId, to: NodeId) {
        let mut pause = FIRST_RETRY;
        while !self.net.carry(from, to, true).await {
            sleep(pause).await;
            pause *= 2;
        }
    }

    /// The answerer's part.
    async fn answer(&self, knock: Knock, checker: &Checker) {
        let Knock { hello, connection, answer, confirmation } = knock;
        let from = hello.node;
        let (heard, me) = {
            let mut peers = self.door.peers.lock();
            (peers.table.heard(from, &hello), peers.me.clone())
        };
        // Nobody waits for it any more: then nobody confirms either.
        let _ = answer.send(heard.map(|_| me));
        let Ok(attempt) = heard else { return };
        let confirmed = matches!(timeout(NEWCOMER_DEADLINE, confirmation).await, Ok(Ok(())));
        let mut peers = self.door.peers.lock();
        let installed = confirmed.then(|| peers.table.confirmed(from, attempt, &hello, connection)).flatten();
        match installed {
            Some((_, before)) => {
                if peers.table.is_guest(from) {
                    checker.count("met as a guest");
                }
                drop(peers);
                if let Some(before) = before {
                    self.hang_up(before.process, before.connection);
                }
            }
            None => {
                peers.table.unconfirmed(from, attempt);
                drop(peers);
                self.hang_up(hello.process, connection);
            }
        }
        self.door.changed.notify_waiters();
    }

    /// A connection on which nothing has come for a while is given up.
    async fn pulse(&self) {
        let idle = Duration::from_millis(u64::from(IDLE_MILLIS));
        let mut heard: BTreeMap<u64, Instant> = BTreeMap::new();
        loop {
            let now = Instant::now();
            self.door.peers.lock().pulse = now;
            let links: Vec<(NodeId, u64)> =
                self.door.peers.lock().table.links().map(|(node, link)| (node, link.connection)).collect();
            heard.retain(|known, _| links.iter().any(|(_, connection)| connection == known));
            for (node, connection) in links {
                let last = heard.entry(connection).or_insert(now);
                let has_it = |door: &Door| door.connection(self.node) == Some(connection) && door.is_awake(now);
                if self.net.passes(self.node, node) && self.net.door(node).as_ref().is_some_and(has_it) {
                    *last = now;
                } else if now - *last >= idle {
                    self.door.lost(node, connection);
                }
            }
            sleep(PULSE).await;
        }
    }
}

impl Door {
    fn is_awake(&self, now: Instant) -> bool {
        now - self.peers.lock().pulse <= PULSE * 2
    }
}
