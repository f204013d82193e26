//! What the API shows of connections and sessions.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use weft_proto::rtsp::machine::State;

/// One connection with its session, as the API shows them.
#[derive(Debug)]
pub struct SessionRecord {
    /// Public id of the connection.
    pub connection_id: String,
    /// Public id of the session.
    pub id: String,
    /// When the connection was accepted.
    pub created: SystemTime,
    /// Who it is.
    pub peer: SocketAddr,
    /// Whether the connection is encrypted.
    pub secure: bool,
    /// What changes.
    pub facts: Mutex<Facts>,
    /// What is counted.
    pub counters: Arc<SessionCounters>,
}

/// What a session says of itself as it goes.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Where the session stands.
    pub state: State,
    /// The path, once there is one.
    pub path: String,
    /// The query of its URL.
    pub query: String,
    /// The user, empty for anybody.
    pub user: String,
    /// The client's own name.
    pub user_agent: String,
    /// `UDP`, `UDP-multicast` or `TCP`.
    pub transport: Option<&'static str>,
}

/// What a session counts.
#[derive(Debug, Default)]
pub struct SessionCounters {
    /// Bytes read from the connection and from UDP.
    pub inbound_bytes: AtomicU64,
    /// Bytes written to the connection and by UDP.
    pub outbound_bytes: AtomicU64,
    /// RTP packets received.
    pub inbound_packets: AtomicU64,
    /// RTP packets that never came.
    pub inbound_lost: AtomicU64,
    /// Packets that were no RTP, or broken.
    pub inbound_in_error: AtomicU64,
    /// Interarrival jitter in ticks, the mean of the tracks, as the bits of an `f64`.
    pub inbound_jitter: AtomicU64,
    /// RTCP packets received.
    pub inbound_rtcp: AtomicU64,
    /// Packets on a place for RTCP that were none.
    pub inbound_rtcp_in_error: AtomicU64,
    /// RTP packets sent.
    pub outbound_packets: AtomicU64,
    /// Lost packets as the reader reports them.
    pub outbound_reported_lost: AtomicU64,
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

    /// Counts an RTCP packet that came in, with the items that were found in it.
    pub fn saw_rtcp(&self, items: usize) {
        let counter = if items == 0 { &self.inbound_rtcp_in_error } else { &self.inbound_rtcp };
        Self::add(counter, 1);
    }
}

/// All connections of the door.
#[derive(Debug, Default)]
pub struct Sessions {
    records: Mutex<BTreeMap<String, Arc<SessionRecord>>>,
}

impl Sessions {
    /// Adds a connection until the guard is dropped.
    pub fn add(self: &Arc<Self>, record: SessionRecord) -> Registered {
        let record = Arc::new(record);
        self.records.lock().insert(record.connection_id.clone(), record.clone());
        Registered { sessions: self.clone(), record }
    }

    /// All connections, oldest first.
    pub fn list(&self) -> Vec<Arc<SessionRecord>> {
        let mut list: Vec<_> = self.records.lock().values().cloned().collect();
        list.sort_by_key(|record| record.created);
        list
    }

    /// Number of connections.
    pub fn len(&self) -> usize {
        self.records.lock().len()
    }

    /// Whether there is no connection.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A connection that is listed.
#[derive(Debug)]
pub struct Registered {
    sessions: Arc<Sessions>,
    /// Its record.
    pub record: Arc<SessionRecord>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.sessions.records.lock().remove(&self.record.connection_id);
    }
}
