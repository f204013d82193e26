//! A child's connection to one parent: all that it takes from there comes over it.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use quinn::{Connection, RecvStream, VarInt};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::timeout;
use tracing::{debug, info, warn};
use weft_proto::wire::entry::NodeId;
use weft_proto::wire::relay::{GroupReader, RelayedError};

use super::inbox::Inbox;
use super::merge::LaneKey;
use super::shard::Shard;
use crate::identity::server_name;
use crate::limits::RELAY_DEADLINE;

/// A connection that is being made, is there, or has ended.
pub(super) struct Peer {
    node: NodeId,
    /// Of which of its processes, as far as that was known.
    incarnation: u64,
    connection: OnceCell<Connection>,
    closed: Cell<bool>,
    /// There is another one in its place.
    retired: Cell<bool>,
    changed: Notify,
    inboxes: RefCell<HashMap<u64, Rc<Inbox>>>,
}

/// Bytes that are read from a stream at once.
const CHUNK_BYTES: usize = 64 << 10;

impl Peer {
    pub(super) fn new(node: NodeId, incarnation: u64) -> Rc<Self> {
        Rc::new(Self {
            node,
            incarnation,
            connection: OnceCell::new(),
            closed: Cell::new(false),
            retired: Cell::new(false),
            changed: Notify::new(),
            inboxes: RefCell::default(),
        })
    }

    pub(super) const fn node(&self) -> NodeId {
        self.node
    }

    pub(super) const fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// There is another one in its place: it ends with its last subscription.
    pub(super) fn retire(&self) {
        self.retired.set(true);
        self.end_if_over();
    }

    fn end_if_over(&self) {
        if self.retired.get()
            && self.inboxes.borrow().is_empty()
            && let Some(connection) = self.connection.get()
        {
            connection.close(VarInt::from_u32(RETIRED), b"retired");
        }
    }

    pub(super) fn connection(&self) -> Option<&Connection> {
        self.connection.get().filter(|_| !self.is_closed())
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Waits until it is there; false when it cannot be made.
    pub(super) async fn ready(&self) -> bool {
        loop {
            let changed = self.changed.notified();
            if self.is_closed() {
                return false;
            }
            if self.connection.get().is_some() {
                return true;
            }
            changed.await;
        }
    }

    /// Media of a subscription goes there.
    pub(super) fn deliver(&self, subscription: u64, inbox: Rc<Inbox>) {
        self.inboxes.borrow_mut().insert(subscription, inbox);
    }

    /// The end of [`Self::deliver`].
    pub(super) fn forget(&self, subscription: u64) {
        self.inboxes.borrow_mut().remove(&subscription);
        self.end_if_over();
    }

    /// Dials, and takes what comes until the connection ends.
    pub(super) async fn run(self: Rc<Self>, shard: &Shard) {
        let dialed = timeout(RELAY_DEADLINE, self.dial(shard)).await;
        if !matches!(dialed, Ok(Some(_))) {
            shard.relays.0.names.forget(self.node);
        }
        match dialed {
            Ok(Some(connection)) => {
                info!(node = %self.node, remote = %connection.remote_address(), "paths can be taken from a node");
                let _ = self.connection.set(connection.clone());
                self.end_if_over();
                self.changed.notify_waiters();
                while let Ok(recv) = connection.accept_uni().await {
                    let this = self.clone();
                    spawn_local(async move { this.read(recv).await });
                }
                let reason = connection.close_reason().map(|reason| reason.to_string());
                info!(node = %self.node, ?reason, "the relay connection to a node has ended");
            }
            Ok(None) | Err(_) => debug!(node = %self.node, "no relay connection to a node"),
        }
        self.closed.set(true);
        self.changed.notify_waiters();
        let inboxes = core::mem::take(&mut *self.inboxes.borrow_mut());
        inboxes.values().for_each(|inbox| inbox.cut());
    }

    async fn dial(&self, shard: &Shard) -> Option<Connection> {
        let address = shard.relays.address(self.node)?;
        let name = server_name(self.node);
        let found = shard.relays.0.names.locate(self.node, &address).await;
        for address in found {
            if let Some(faults) = &shard.relays.0.faults {
                faults.found(self.node, [address]);
            }
            let Some(connecting) = shard.dial(address, &name) else { continue };
            match connecting.await {
                Ok(connection) => return Some(connection),
                Err(error) => debug!(node = %self.node, %address, %error, "a relay connection could not be made"),
            }
        }
        None
    }

    /// Reads one track of one group.
    async fn read(&self, mut recv: RecvStream) {
        let mut reader = GroupReader::new();
        let Ok(Ok(Some(head))) = timeout(RELAY_DEADLINE, first(&mut recv, &mut reader)).await else {
            let _ = recv.stop(VarInt::from_u32(NOT_WANTED));
            return;
        };
        let inbox = self.inboxes.borrow().get(&head.subscription).cloned();
        let Some(inbox) = inbox else {
            // It came after the end of its subscription.
            let _ = recv.stop(VarInt::from_u32(NOT_WANTED));
            return;
        };
        if !inbox.begin(&head).await {
            let _ = recv.stop(VarInt::from_u32(NOT_WANTED));
            return;
        }
        inbox.expect(&mut reader);
        let key = LaneKey::from(&head);
        loop {
            match take(&mut reader, &inbox, key) {
                Ok(()) => {}
                Err(error) => {
                    warn!(node = %self.node, path = %inbox.path(), %error, "a node sends what is no media: its connection is closed");
                    if let Some(connection) = self.connection() {
                        connection.close(VarInt::from_u32(GARBAGE), b"garbage");
                    }
                    return;
                }
            }
            match recv.read_chunk(CHUNK_BYTES, true).await {
                Ok(Some(chunk)) => reader.push(chunk.bytes),
                Ok(None) if reader.is_between_units() => return inbox.finished(key),
                Ok(None) | Err(_) => return inbox.dropped(key),
            }
        }
    }
}

async fn first(
    recv: &mut RecvStream,
    reader: &mut GroupReader,
) -> Result<Option<weft_proto::wire::relay::GroupHead>, RelayedError> {
    loop {
        if let Some(head) = reader.head()? {
            return Ok(Some(head));
        }
        match recv.read_chunk(CHUNK_BYTES, true).await {
            Ok(Some(chunk)) => reader.push(chunk.bytes),
            Ok(None) | Err(_) => return Ok(None),
        }
    }
}

fn take(reader: &mut GroupReader, inbox: &Inbox, key: LaneKey) -> Result<(), RelayedError> {
    let mut any = false;
    while let Some(relayed) = reader.next()? {
        inbox.arrived(key, relayed);
        any = true;
    }
    if any {
        inbox.flush();
    }
    Ok(())
}

const NOT_WANTED: u32 = 2;
const GARBAGE: u32 = 3;
const RETIRED: u32 = 4;
