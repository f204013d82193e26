//! One UDP port for all sessions: a datagram's session is found by the name that a connectivity check has in it, or by the
//! address that a check has proven.
//!
//! Whichever worker's socket the kernel prefers gets the datagram; the session lives where its offer came in. So datagrams are
//! handed over, those of one session that came at once together.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parking_lot::{Mutex, RwLock};
use tokio::sync::mpsc::Sender;
use weft_proto::webrtc::ice::{From as Local, Way};
use weft_proto::webrtc::stun;

use crate::worker::udp::UdpPort;

/// Datagrams that wait for a session. A publisher of 50 Mbit/s sends 4,500 a second: 2,048 are half a second.
const INBOX_MAX: usize = 2048;

/// A datagram for a session.
#[derive(Clone, Debug)]
pub(super) struct Datagram {
    /// The way it came.
    pub(super) way: Way,
    /// The payload.
    pub(super) bytes: Bytes,
}

/// What waits for a session, from whichever worker's socket it came.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    queue: Mutex<Vec<Datagram>>,
    waker: AtomicWaker,
    /// The session has ended: nobody takes anything any more.
    is_closed: AtomicBool,
    /// Keys are agreed with the client.
    is_proven: AtomicBool,
}

impl Inbox {
    /// Takes all that waits, or arranges to be woken.
    pub(super) fn poll(&self, cx: &Context<'_>, out: &mut Vec<Datagram>) -> Poll<()> {
        self.waker.register(cx.waker());
        let mut queue = self.queue.lock();
        if queue.is_empty() {
            return Poll::Pending;
        }
        std::mem::swap(&mut *queue, out);
        Poll::Ready(())
    }

    /// The session has ended.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.queue.lock().clear();
    }

    /// Keys are agreed with the client.
    pub(super) fn prove(&self) {
        self.is_proven.store(true, Ordering::Release);
    }

    /// Whether they are.
    pub(super) fn is_proven(&self) -> bool {
        self.is_proven.load(Ordering::Acquire)
    }

    /// Whether anybody takes what is delivered.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    pub(super) fn deliver(&self, datagrams: &mut Vec<Datagram>) {
        if self.is_closed() {
            return datagrams.clear();
        }
        let mut queue = self.queue.lock();
        let room = INBOX_MAX.saturating_sub(queue.len()).min(datagrams.len());
        queue.extend(datagrams.drain(..room));
        drop(queue);
        // What the session did not keep up with is lost, as on any network.
        datagrams.clear();
        self.waker.wake();
    }
}

/// Who gets which datagrams.
#[derive(Debug, Default)]
pub struct Mux {
    /// By the name fragment that this end has said.
    names: RwLock<HashMap<Box<str>, Arc<Inbox>>>,
    /// By addresses that are proven.
    addresses: RwLock<HashMap<SocketAddr, Arc<Inbox>>>,
    /// What waits to be written to connections, by their numbers.
    connections: RwLock<HashMap<u64, Sender<Bytes>>>,
    connected: AtomicU64,
}

impl Mux {
    /// Checks with this name are for `inbox`.
    pub(super) fn add_name(&self, ufrag: &str, inbox: &Arc<Inbox>) {
        self.names.write().insert(ufrag.into(), inbox.clone());
    }

    /// Forgets a name.
    pub(super) fn remove_name(&self, ufrag: &str) {
        self.names.write().remove(ufrag);
    }

    /// What comes from this address is for `inbox`: an authentic check has just come from it.
    pub(super) fn add_address(&self, address: SocketAddr, inbox: &Arc<Inbox>) {
        self.addresses.write().insert(address, inbox.clone());
    }

    /// Forgets an address, unless another session has it now.
    pub(super) fn remove_address(&self, address: SocketAddr, inbox: &Arc<Inbox>) {
        let mut addresses = self.addresses.write();
        if addresses.get(&address).is_some_and(|known| Arc::ptr_eq(known, inbox)) {
            addresses.remove(&address);
        }
    }

    /// A connection by TCP has come; its number.
    pub(super) fn connect(&self, queue: Sender<Bytes>) -> u64 {
        let id = self.connected.fetch_add(1, Ordering::Relaxed);
        self.connections.write().insert(id, queue);
        id
    }

    /// It has gone.
    pub(super) fn disconnect(&self, id: u64) {
        self.connections.write().remove(&id);
    }

    /// Writes a packet to a connection. What it has no room for is lost.
    pub(super) fn write(&self, id: u64, packet: &[u8]) {
        let queue = self.connections.read().get(&id).cloned();
        let _ = queue.map(|queue| queue.try_send(Bytes::copy_from_slice(packet)));
    }

    /// The session that a connectivity check names.
    pub(super) fn named(&self, check: &[u8]) -> Option<Arc<Inbox>> {
        let message = stun::Message::parse(check)?;
        let (receiver, _) = message.username()?;
        self.names.read().get(receiver).cloned()
    }

    fn find(&self, from: SocketAddr, bytes: &[u8]) -> Option<Arc<Inbox>> {
        if stun::is_stun(bytes) { self.named(bytes) } else { self.addresses.read().get(&from).cloned() }
    }

    /// Gives what comes in at a socket to its sessions, for ever. What is nobody's is dropped: nobody is answered who is not known.
    pub async fn receive(&self, port: &UdpPort) {
        let batch = std::cell::RefCell::new(Batch::default());
        let take = |from, to, bytes: Bytes| {
            let mut batch = batch.borrow_mut();
            let is_next = batch.from == Some(from) && !stun::is_stun(&bytes);
            if !is_next {
                batch.flush();
                batch.inbox = self.find(from, &bytes);
                batch.from = Some(from).filter(|_| !stun::is_stun(&bytes));
            }
            batch.waiting.push(Datagram { way: Way { from: Local::Udp(to), to: from }, bytes });
        };
        let turn = || {
            let mut batch = batch.borrow_mut();
            batch.flush();
            // A session may end before the next turn, and another one have its address.
            batch.from = None;
        };
        port.receive_all(take, turn).await;
    }
}

/// Datagrams of one session that came at once.
#[derive(Default)]
struct Batch {
    from: Option<SocketAddr>,
    inbox: Option<Arc<Inbox>>,
    waiting: Vec<Datagram>,
}

impl Batch {
    fn flush(&mut self) {
        match &self.inbox {
            Some(inbox) if !self.waiting.is_empty() => inbox.deliver(&mut self.waiting),
            _ => self.waiting.clear(),
        }
    }
}
