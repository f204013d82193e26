//! The viewers: who watches what, for the API, and for `maxReaders`.
//!
//! A viewer reads no log; it attends the path. It is listed while it asks for something at least every 30 s. A token is good
//! for longer than that: a viewer that comes back is listed again.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use tracing::info;
use uuid::Uuid;
use weft_cluster::path::EndReason;
use weft_cluster::{Attendance, Clock};
use weft_proto::id::PathName;
use weft_proto::time::Now;

use crate::limits::{HLS_SESSION_IDLE, HLS_SESSIONS_MAX};

/// Sessions that were ended by an operator and stay so, however good their tokens are.
const KICKED_MAX: usize = 10_000;

/// A viewer, as the API shows it.
#[derive(Debug)]
pub struct SessionRecord {
    /// Public id.
    pub id: Uuid,
    /// When it began.
    pub created: SystemTime,
    /// Who it is.
    pub peer: SocketAddr,
    /// What it watches.
    pub path: PathName,
    /// The query of the URL.
    pub query: String,
    /// The user, empty for anybody.
    pub user: String,
    /// The client's own name.
    pub user_agent: String,
    /// It stands for a content delivery network.
    pub is_cdn: bool,
    /// Bytes sent.
    pub outbound_bytes: AtomicU64,
    seen_micros: AtomicU64,
    attendance: Attendance,
}

impl SessionRecord {
    fn is_idle(&self, now: Now) -> bool {
        now.since(Now::from_micros(self.seen_micros.load(Ordering::Relaxed))) > HLS_SESSION_IDLE
    }

    /// Counts bytes sent.
    pub(super) fn count_sent(&self, bytes: usize) {
        self.outbound_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// What a viewer is known by when its session begins.
pub(super) struct Newcomer {
    pub(super) id: Uuid,
    pub(super) peer: SocketAddr,
    pub(super) path: PathName,
    pub(super) query: String,
    pub(super) user: String,
    pub(super) user_agent: String,
    pub(super) is_cdn: bool,
}

/// What is known of a session id.
pub(super) enum Known {
    /// It watches.
    Here(Arc<SessionRecord>),
    /// It is not listed.
    No,
    /// An operator ended it.
    Kicked,
}

/// All viewers of a node.
#[derive(Debug)]
pub struct Sessions {
    clock: Clock,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    by_id: HashMap<Uuid, Arc<SessionRecord>>,
    /// Networks have no token: they are known by address and path.
    networks: HashMap<(IpAddr, PathName), Uuid>,
    kicked: HashSet<Uuid>,
    kicked_order: VecDeque<Uuid>,
}

impl Sessions {
    /// Nobody yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, inner: Mutex::default() }
    }

    /// All that watch, oldest first.
    pub fn list(&self) -> Vec<Arc<SessionRecord>> {
        let mut list: Vec<_> = self.inner.lock().by_id.values().cloned().collect();
        list.sort_by_key(|record| record.created);
        list
    }

    /// An operator ends one: its token is good no more, whether it is listed here or not. Says whether it was.
    pub fn end(&self, id: Uuid) -> bool {
        let mut inner = self.inner.lock();
        let known = inner.by_id.contains_key(&id);
        if !known {
            inner.kick(id);
        }
        known
    }

    /// Looks a viewer up, and notes that it was seen.
    pub(super) fn find(&self, id: &Uuid) -> Known {
        let mut inner = self.inner.lock();
        if inner.kicked.contains(id) {
            return Known::Kicked;
        }
        let Some(record) = inner.by_id.get(id).cloned() else { return Known::No };
        match record.attendance.ended() {
            Some(EndReason::Kicked) => {
                inner.kick(*id);
                Known::Kicked
            }
            // The path ended, and may be there again.
            Some(_) => {
                inner.by_id.remove(id);
                Known::No
            }
            None => {
                record.seen_micros.store(self.clock.now().micros(), Ordering::Relaxed);
                Known::Here(record)
            }
        }
    }

    /// The session of a network at this address.
    pub(super) fn network(&self, address: IpAddr, path: &PathName) -> Option<Uuid> {
        self.inner.lock().networks.get(&(address, path.clone())).copied()
    }

    /// Whether there is room for one more.
    pub(super) fn has_room(&self) -> bool {
        self.inner.lock().by_id.len() < HLS_SESSIONS_MAX
    }

    /// Lists a viewer that attends its path.
    pub(super) fn add(&self, newcomer: Newcomer, attendance: Attendance) -> Arc<SessionRecord> {
        let Newcomer { id, peer, path, query, user, user_agent, is_cdn } = newcomer;
        let record = Arc::new(SessionRecord {
            id,
            created: SystemTime::now(),
            peer,
            path,
            query,
            user,
            user_agent,
            is_cdn,
            outbound_bytes: AtomicU64::new(0),
            seen_micros: AtomicU64::new(self.clock.now().micros()),
            attendance,
        });
        info!(path = %record.path, %peer, protocol = "HLS", "reader joined");
        let mut inner = self.inner.lock();
        if is_cdn {
            inner.networks.insert((peer.ip(), record.path.clone()), id);
        }
        inner.by_id.insert(id, record.clone());
        record
    }

    /// Forgets those that have asked for nothing for a while, or whose path has ended.
    pub fn sweep(&self) {
        let now = self.clock.now();
        let mut gone = Vec::new();
        let mut inner = self.inner.lock();
        for record in inner.by_id.values() {
            let ended = record.attendance.ended();
            if ended.is_some() || record.is_idle(now) {
                gone.push((record.clone(), ended == Some(EndReason::Kicked)));
            }
        }
        for (record, kicked) in &gone {
            inner.by_id.remove(&record.id);
            inner.networks.retain(|_, id| *id != record.id);
            if *kicked {
                inner.kick(record.id);
            }
        }
        drop(inner);
        // An attendance tells the fabric of its end: not under the lock.
        drop(gone);
    }
}

impl Drop for SessionRecord {
    fn drop(&mut self) {
        let why = self.attendance.ended().map_or("asked for nothing for a while", EndReason::as_str);
        info!(path = %self.path, peer = %self.peer, protocol = "HLS", "reader left: {why}");
    }
}

impl Inner {
    fn kick(&mut self, id: Uuid) {
        self.by_id.remove(&id);
        if self.kicked.insert(id) {
            self.kicked_order.push_back(id);
        }
        if self.kicked_order.len() > KICKED_MAX
            && let Some(oldest) = self.kicked_order.pop_front()
        {
            self.kicked.remove(&oldest);
        }
    }
}
