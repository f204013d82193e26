//! The log as the library wants it: all that is not in a snapshot is in memory as well, and read from there alone.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use weft_proto::wire::{from_bytes, raft as wire, to_bytes};

use super::disk::{Disk, Image, Write};
use super::types::{self, LogEntry, LogId, Types, Vote};

/// The log of a node. Clones are the same log.
#[derive(Clone)]
pub(crate) struct Log {
    disk: Arc<dyn Disk>,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    entries: BTreeMap<u64, LogEntry>,
    /// Bytes of all of them, about.
    bytes: usize,
}

impl Inner {
    fn insert(&mut self, index: u64, entry: LogEntry) {
        self.bytes += weight(&entry);
        if let Some(before) = self.entries.insert(index, entry) {
            self.bytes -= weight(&before);
        }
    }

    /// Keeps these alone.
    fn keep(&mut self, entries: BTreeMap<u64, LogEntry>) {
        self.bytes = entries.values().map(weight).sum();
        self.entries = entries;
    }
}

impl Log {
    /// From what the disk holds.
    pub(crate) fn open(disk: Arc<dyn Disk>, image: &Image) -> io::Result<Self> {
        let id = |bytes: &Vec<u8>| from_bytes(bytes).map(types::log_id).ok_or_else(damaged);
        let entry = |(index, bytes): (&u64, &Vec<u8>)| {
            let entry = from_bytes(bytes).and_then(types::entry).filter(|entry| entry.log_id.index == *index);
            entry.map(|entry| (*index, entry)).ok_or_else(damaged)
        };
        let vote = |bytes: &Vec<u8>| from_bytes(bytes).map(types::vote).ok_or_else(damaged);
        let mut inner = Inner {
            vote: image.vote.as_ref().map(vote).transpose()?,
            committed: image.committed.as_ref().map(id).transpose()?,
            purged: image.purged.as_ref().map(id).transpose()?,
            ..Inner::default()
        };
        inner.keep(image.log.iter().map(entry).collect::<io::Result<_>>()?);
        Ok(Self { disk, inner: Arc::new(Mutex::new(inner)) })
    }

    /// Bytes that its entries have in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.inner.lock().bytes
    }

    /// Writes and waits until it is durable.
    async fn write(&self, write: Write) -> io::Result<()> {
        let (done, durable) = oneshot::channel();
        self.disk.write(write, Box::new(|result| drop(done.send(result))));
        durable.await.unwrap_or_else(|_| Err(io::Error::other("the disk is gone")))
    }
}

/// Bytes of the log that are not what was written.
fn damaged() -> io::Error {
    let what = "the log on the disk is damaged, or was written by a newer program";
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn id_bytes(id: LogId) -> Vec<u8> {
    to_bytes(&types::log_id_to_wire(id))
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<LogEntry>> {
        let bounds: (Bound<u64>, Bound<u64>) = (range.start_bound().cloned(), range.end_bound().cloned());
        Ok(self.inner.lock().entries.range(bounds).map(|(_, entry)| entry.clone()).collect())
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.inner.lock().vote)
    }

    /// What is sent to a follower at once is bounded by bytes, too.
    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<LogEntry>> {
        let inner = self.inner.lock();
        let mut bytes = 0;
        let enough = |entry: &LogEntry| {
            let first = bytes == 0;
            bytes += weight(entry);
            first || bytes <= BATCH_BYTES
        };
        Ok(inner.entries.range(start..end).map(|(_, entry)| entry).cloned().take_while(enough).collect())
    }
}

/// Bytes of entries that go to a follower in one message: two configurations of the largest kind are too many.
const BATCH_BYTES: usize = 4 << 20;

fn weight(entry: &LogEntry) -> usize {
    match &entry.payload {
        types::Payload::Normal(weft_proto::wire::entry::Entry::Configure { document, .. }) => document.len() + 256,
        types::Payload::Normal(weft_proto::wire::entry::Entry::NodeDown { plan, .. }) => plan.len() * 64 + 256,
        _ => 256,
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let inner = self.inner.lock();
        let last = inner.entries.last_key_value().map(|(_, entry)| entry.log_id());
        Ok(LogState { last_purged_log_id: inner.purged, last_log_id: last.or(inner.purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.inner.lock().vote = Some(*vote);
        self.write(Write::Vote(to_bytes(&types::vote_to_wire(vote)))).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.inner.lock().committed = committed;
        if let Some(committed) = committed {
            // Nobody waits for it: without it a process that starts learns it from the leader.
            self.disk.write(Write::Committed(id_bytes(committed)), Box::new(drop));
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.inner.lock().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut written = Vec::new();
        let mut inner = self.inner.lock();
        for entry in entries {
            let index = entry.log_id.index;
            let bytes: wire::LogEntry = types::entry_to_wire(entry.clone());
            written.push((index, to_bytes(&bytes)));
            inner.insert(index, entry);
        }
        // Still locked: two appends must reach the disk in the order in which they came.
        self.disk.write(Write::Append(written), Box::new(|result| callback.io_completed(result)));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let keep = last.map(|id| id.index);
        {
            let mut inner = self.inner.lock();
            let mut entries = std::mem::take(&mut inner.entries);
            entries.split_off(&keep.map_or(0, |keep| keep + 1));
            inner.keep(entries);
        }
        self.write(Write::TruncateAfter(keep)).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        {
            let mut inner = self.inner.lock();
            inner.purged = Some(upto);
            let kept = inner.entries.split_off(&(upto.index + 1));
            inner.keep(kept);
        }
        self.write(Write::Purge(upto.index, id_bytes(upto))).await
    }
}
