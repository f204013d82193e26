//! The state machine as the library wants it: [`State`] in memory, with snapshots on the disk.

use std::io;
use std::sync::Arc;

use bincode::{Decode, Encode};
use futures_util::{Stream, TryStreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{OptionalSend, RaftSnapshotBuilder};
use parking_lot::{RwLock, RwLockReadGuard};
use tokio::sync::oneshot;
use weft_proto::wire::{from_bytes, raft as wire, to_bytes};

use super::disk::{Disk, Write};
use super::types::{self, LogId, Payload, Snapshot, SnapshotMeta, StoredMembership, Types};
use super::watch;
use crate::ownership::{Answer, Entry, State};

/// Sees what is agreed, in its order, on the thread on which it is applied. Must not wait.
pub trait Observer: Send + Sync + 'static {
    /// An entry was applied: what came of it, and the state after it.
    fn applied(&self, index: u64, entry: &Entry, answer: Answer, state: &State);

    /// The state was replaced by a snapshot.
    fn installed(&self, state: &State);
}

/// What is agreed, for everybody in the process who wants to read it.
#[derive(Clone, Debug)]
pub struct SharedState {
    state: Arc<RwLock<State>>,
    applied: watch::Sender<Option<u64>>,
}

impl SharedState {
    pub(crate) fn new(state: State, applied: Option<u64>) -> Self {
        Self { state: Arc::new(RwLock::new(state)), applied: watch::channel(applied).0 }
    }

    /// The state as this node knows it. Must not be held over an await.
    pub fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read()
    }

    /// Which entry was applied last.
    pub fn applied(&self) -> Option<u64> {
        *self.applied.get()
    }

    /// What was agreed for a test.
    #[cfg(test)]
    pub(crate) fn apply(&self, index: u64, entry: &Entry) {
        self.state.write().apply(index, entry);
        self.applied.set(Some(index));
    }

    /// Waits until the entry at this index has been applied here.
    pub async fn wait_for(&self, index: u64) {
        let mut receiver = self.applied.receiver();
        // The sender is in `self`, so that the wait can end in no other way.
        while self.applied().is_none_or(|applied| applied < index) && receiver.next().await {}
    }
}

/// What a snapshot holds, on the disk and on the wire. The first byte is its version.
#[derive(Encode, Decode)]
pub(super) struct Kept {
    pub(super) last: Option<wire::LogId>,
    pub(super) membership: (Option<wire::LogId>, wire::Membership),
    pub(super) state: Vec<u8>,
}

pub(super) const SNAPSHOT_VERSION: u8 = 1;

/// The state machine of a node. Clones are the same machine.
#[derive(Clone)]
pub(crate) struct Machine {
    disk: Arc<dyn Disk>,
    observer: Arc<dyn Observer>,
    shared: SharedState,
    inner: Arc<RwLock<Inner>>,
}

#[derive(Default)]
struct Inner {
    last: Option<LogId>,
    membership: StoredMembership,
    /// The newest snapshot, as it is on the disk.
    snapshot: Option<(SnapshotMeta, Vec<u8>)>,
}

impl Machine {
    /// From the newest snapshot on the disk.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        observer: Arc<dyn Observer>,
        snapshot: Option<&Vec<u8>>,
    ) -> io::Result<Self> {
        let mut inner = Inner::default();
        let mut state = State::default();
        if let Some(bytes) = snapshot {
            let (meta, kept) = read_snapshot(bytes)?;
            state = kept;
            inner = Inner {
                last: meta.last_log_id,
                membership: meta.last_membership.clone(),
                snapshot: Some((meta, bytes.clone())),
            };
        }
        let applied = inner.last.map(|id| id.index);
        let shared = SharedState::new(state, applied);
        Ok(Self { disk, observer, shared, inner: Arc::new(RwLock::new(inner)) })
    }

    pub(crate) fn shared(&self) -> &SharedState {
        &self.shared
    }

    fn apply_one(&self, (entry, responder): EntryResponder<Types>) {
        let index = entry.log_id.index;
        // Locked throughout: no snapshot may be taken between an entry and its name.
        let mut inner = self.inner.write();
        let answer = match &entry.payload {
            Payload::Blank => Answer::Done,
            Payload::Membership(membership) => {
                inner.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
                Answer::Done
            }
            Payload::Normal(agreed) => {
                let mut state = self.shared.state.write();
                let answer = state.apply(index, agreed);
                self.observer.applied(index, agreed, answer, &state);
                answer
            }
        };
        inner.last = Some(entry.log_id);
        drop(inner);
        if let Some(responder) = responder {
            responder.send(answer);
        }
    }

    /// Keeps a snapshot on the disk, and then for those who are to get it.
    async fn keep(&self, meta: SnapshotMeta, bytes: Vec<u8>) -> io::Result<()> {
        let (done, durable) = oneshot::channel();
        self.disk.write(Write::Snapshot(bytes.clone()), Box::new(|result| drop(done.send(result))));
        durable.await.unwrap_or_else(|_| Err(io::Error::other("the disk is gone")))?;
        self.inner.write().snapshot = Some((meta, bytes));
        Ok(())
    }
}

/// Whether these bytes can be installed as a snapshot of this name.
pub(super) fn is_snapshot(bytes: &[u8], meta: &SnapshotMeta) -> bool {
    read_snapshot(bytes).is_ok_and(|(told, _)| told == *meta)
}

pub(super) fn read_snapshot(bytes: &[u8]) -> io::Result<(SnapshotMeta, State)> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the snapshot is damaged");
    let (version, body) = bytes.split_first().ok_or_else(damaged)?;
    if *version != SNAPSHOT_VERSION {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the snapshot is of a newer version"));
    }
    let kept: Kept = from_bytes(body).ok_or_else(damaged)?;
    let (said_at, membership) = kept.membership;
    let meta = SnapshotMeta {
        last_log_id: kept.last.map(types::log_id),
        last_membership: types::stored_membership(said_at, membership).ok_or_else(damaged)?,
    };
    Ok((meta, from_bytes(&kept.state).ok_or_else(damaged)?))
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = Vec<u8>;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let inner = self.inner.read();
        Ok((inner.last, inner.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        while let Some(entry) = entries.try_next().await? {
            self.apply_one(entry);
        }
        self.shared.applied.set(self.inner.read().last.map(|id| id.index));
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Vec<u8>) -> io::Result<()> {
        // The bytes say for themselves what is in them; the library's word for it must be the same.
        let (told, state) = read_snapshot(&snapshot)?;
        if told != *meta {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the snapshot is another one"));
        }
        self.keep(told, snapshot).await?;
        *self.shared.state.write() = state;
        let mut inner = self.inner.write();
        inner.last = meta.last_log_id;
        inner.membership = meta.last_membership.clone();
        drop(inner);
        self.observer.installed(&self.shared.read());
        self.shared.applied.set(meta.last_log_id.map(|id| id.index));
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let inner = self.inner.read();
        Ok(inner.snapshot.clone().map(|(meta, snapshot)| Snapshot { meta, snapshot }))
    }
}

impl RaftSnapshotBuilder<Types> for Machine {
    type SnapshotData = Vec<u8>;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let (meta, bytes) = {
            // Both locks: no entry may be applied between the state and its name.
            let inner = self.inner.read();
            let state = self.shared.state.read();
            let meta = SnapshotMeta { last_log_id: inner.last, last_membership: inner.membership.clone() };
            let membership = types::membership_to_wire(inner.membership.membership());
            let kept = Kept {
                last: inner.last.map(types::log_id_to_wire),
                membership: (inner.membership.log_id().map(types::log_id_to_wire), membership),
                state: to_bytes(&*state),
            };
            let mut bytes = vec![SNAPSHOT_VERSION];
            bytes.append(&mut to_bytes(&kept));
            (meta, bytes)
        };
        self.keep(meta.clone(), bytes.clone()).await?;
        Ok(Snapshot { meta, snapshot: bytes })
    }
}
