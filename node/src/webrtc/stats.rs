//! What the API shows of WebRTC sessions.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;
use weft_proto::webrtc::description::Credentials;

use super::session::Order;

/// What a session does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It reads.
    Reader,
    /// It publishes.
    Publisher,
}

/// One session, as the API shows it.
#[derive(Debug)]
pub struct SessionRecord {
    /// Public id.
    pub id: Uuid,
    /// What clients show to change or end it: another secret than what the API lists.
    pub(super) secret: Uuid,
    /// When its offer came.
    pub created: SystemTime,
    /// Who asked.
    pub peer: SocketAddr,
    /// What it does.
    pub role: Role,
    /// The path.
    pub path: String,
    /// The query of its URL.
    pub query: String,
    /// The user, empty for anybody.
    pub user: String,
    /// The client's own name.
    pub user_agent: String,
    /// The way that media takes, once there is one: this end's candidate and the other's.
    pub way: Mutex<Option<(String, String)>>,
    /// Keys are agreed with the client.
    pub established: AtomicBool,
    /// What the client has said of ICE.
    pub(super) remote: Mutex<Credentials>,
    /// What is counted.
    pub counters: Arc<SessionCounters>,
    pub(super) orders: UnboundedSender<Order>,
}

/// What a session counts.
#[derive(Debug, Default)]
pub struct SessionCounters {
    /// Bytes received.
    pub inbound_bytes: AtomicU64,
    /// Bytes sent.
    pub outbound_bytes: AtomicU64,
    /// RTP packets received.
    pub inbound_packets: AtomicU64,
    /// RTP packets that never came.
    pub inbound_lost: AtomicU64,
    /// Interarrival jitter in ticks, the mean of the tracks, as the bits of an `f64`.
    pub inbound_jitter: AtomicU64,
    /// RTCP packets received.
    pub inbound_rtcp: AtomicU64,
    /// RTP packets sent, those that were asked for again as well.
    pub outbound_packets: AtomicU64,
    /// Of these, those that were asked for again.
    pub outbound_repeated: AtomicU64,
    /// Units that the reader was too slow for.
    pub outbound_discarded: AtomicU64,
    /// RTCP packets sent.
    pub outbound_rtcp: AtomicU64,
}

impl SessionCounters {
    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }
}

/// All sessions of the door.
#[derive(Debug, Default)]
pub struct Sessions {
    records: Mutex<HashMap<Uuid, Arc<SessionRecord>>>,
}

impl Sessions {
    /// Adds a session until the guard is dropped.
    pub(super) fn add(self: &Arc<Self>, record: SessionRecord) -> Registered {
        let record = Arc::new(record);
        self.records.lock().insert(record.secret, record.clone());
        Registered { sessions: self.clone(), record }
    }

    /// The session that a client shows the secret of.
    pub(super) fn find(&self, secret: &Uuid) -> Option<Arc<SessionRecord>> {
        self.records.lock().get(secret).cloned()
    }

    /// All sessions, oldest first.
    pub fn list(&self) -> Vec<Arc<SessionRecord>> {
        let mut list: Vec<_> = self.records.lock().values().cloned().collect();
        list.sort_by_key(|record| record.created);
        list
    }

    /// Number of sessions.
    pub fn len(&self) -> usize {
        self.records.lock().len()
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sessions from this address that have found no way yet.
    pub(super) fn pending(&self, from: IpAddr) -> usize {
        let records = self.records.lock();
        records.values().filter(|one| one.peer.ip() == from && !one.established.load(Ordering::Relaxed)).count()
    }

    /// An operator ends one. Says whether it was there.
    pub fn end(&self, id: Uuid) -> bool {
        let found = self.records.lock().values().find(|record| record.id == id).cloned();
        found.is_some_and(|record| record.orders.send(Order::Kick).is_ok())
    }
}

/// A session that is listed.
#[derive(Debug)]
pub(super) struct Registered {
    sessions: Arc<Sessions>,
    /// Its record.
    pub(super) record: Arc<SessionRecord>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.sessions.records.lock().remove(&self.record.secret);
    }
}
