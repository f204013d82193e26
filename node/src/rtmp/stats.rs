//! What the API shows of connections.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::SystemTime;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

/// One connection, as the API shows it.
#[derive(Debug)]
pub struct Connection {
    /// Public id.
    pub id: String,
    /// When it was accepted.
    pub created: SystemTime,
    /// Who it is.
    pub peer: SocketAddr,
    /// Whether it is encrypted.
    pub secure: bool,
    /// What changes.
    pub facts: Mutex<Facts>,
    /// Bytes received.
    pub inbound_bytes: AtomicU64,
    /// Bytes sent.
    pub outbound_bytes: AtomicU64,
    /// Units that the reader was too slow for.
    pub outbound_discarded: AtomicU64,
    kicked: AtomicBool,
    waker: AtomicWaker,
}

/// What a connection does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing yet.
    #[default]
    Idle,
    /// It reads.
    Read,
    /// It publishes.
    Publish,
}

/// What a connection says of itself as it goes.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// What it does.
    pub state: State,
    /// The path, once there is one.
    pub path: String,
    /// The query of its URL.
    pub query: String,
    /// The user, empty for anybody.
    pub user: String,
    /// The client's own name (`flashVer`).
    pub user_agent: String,
}

impl Connection {
    pub(super) fn new(peer: SocketAddr, secure: bool) -> Self {
        Self {
            id: uuid::Uuid::new_v4().to_string(),
            created: SystemTime::now(),
            peer,
            secure,
            facts: Mutex::default(),
            inbound_bytes: AtomicU64::new(0),
            outbound_bytes: AtomicU64::new(0),
            outbound_discarded: AtomicU64::new(0),
            kicked: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }

    /// Ends it, whatever it does.
    pub fn kick(&self) {
        self.kicked.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Ready when somebody kicked it.
    pub(super) fn poll_kicked(&self, cx: &Context<'_>) -> Poll<()> {
        self.waker.register(cx.waker());
        if self.kicked.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// All connections of the door.
#[derive(Debug, Default)]
pub struct Connections {
    connections: Mutex<BTreeMap<String, Arc<Connection>>>,
}

impl Connections {
    /// Adds a connection until the guard is dropped.
    pub(super) fn add(self: &Arc<Self>, connection: Connection) -> Registered {
        let connection = Arc::new(connection);
        self.connections.lock().insert(connection.id.clone(), connection.clone());
        Registered { connections: self.clone(), connection }
    }

    /// All connections, in no order.
    pub fn list(&self) -> Vec<Arc<Connection>> {
        self.connections.lock().values().cloned().collect()
    }

    /// The connection with this id.
    pub fn get(&self, id: &str) -> Option<Arc<Connection>> {
        self.connections.lock().get(id).cloned()
    }
}

/// A connection that is listed.
#[derive(Debug)]
pub(super) struct Registered {
    connections: Arc<Connections>,
    pub(super) connection: Arc<Connection>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.connections.connections.lock().remove(&self.connection.id);
    }
}
