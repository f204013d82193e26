//! Where votes, entries and snapshots must be before they count.

use std::collections::BTreeMap;
use std::io;

/// What is to be written. Writes take effect in the order in which they are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Entries at the end of the log, each with its index.
    Append(Vec<(u64, Vec<u8>)>),
    /// The log ends here from now on; `None`: it is empty.
    TruncateAfter(Option<u64>),
    /// Entries up to this one are in a snapshot; with the entry's name.
    Purge(u64, Vec<u8>),
    /// Whom the node follows.
    Vote(Vec<u8>),
    /// What is committed, so far as the node knows. Need not be durable.
    Committed(Vec<u8>),
    /// The newest snapshot.
    Snapshot(Vec<u8>),
}

/// Called when a write is durable, or has failed; on any thread.
pub type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// What was written, as a process finds it at its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Whom the node follows.
    pub vote: Option<Vec<u8>>,
    /// What is committed, as far as known.
    pub committed: Option<Vec<u8>>,
    /// The name of the last entry that was purged.
    pub purged: Option<Vec<u8>>,
    /// The entries by their index.
    pub log: BTreeMap<u64, Vec<u8>>,
    /// The newest snapshot.
    pub snapshot: Option<Vec<u8>>,
}

/// A disk, or what stands for one.
pub trait Disk: Send + Sync + 'static {
    /// What is there. Called once, before any write.
    fn load(&self) -> io::Result<Image>;

    /// Writes behind all writes before it. After one has failed all that follow fail as well: what is behind a hole must
    /// not count.
    fn write(&self, write: Write, done: Done);
}

impl Image {
    /// Makes it what it is after this write.
    pub fn apply(&mut self, write: Write) {
        match write {
            Write::Append(entries) => self.log.extend(entries),
            Write::TruncateAfter(last) => {
                self.log.split_off(&last.map_or(0, |last| last + 1));
            }
            Write::Purge(upto, name) => {
                self.log = self.log.split_off(&(upto + 1));
                self.purged = Some(name);
            }
            Write::Vote(vote) => self.vote = Some(vote),
            Write::Committed(committed) => self.committed = Some(committed),
            Write::Snapshot(snapshot) => self.snapshot = Some(snapshot),
        }
    }
}

/// The disk of a node that cannot write: it forgets everything at its end, so it must be alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryDisk;

impl Disk for MemoryDisk {
    fn load(&self) -> io::Result<Image> {
        Ok(Image::default())
    }

    fn write(&self, _: Write, done: Done) {
        done(Ok(()));
    }
}
