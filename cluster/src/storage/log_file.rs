//! Raft's log on the disk: a redb file with a table of entries and one of all else.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use crate::raft::{Done, Image, Write};

const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
const REST: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("rest");

const VOTE: &str = "vote";
const COMMITTED: &str = "committed";
const PURGED: &str = "purged";
const SNAPSHOT: &str = "snapshot";

/// Memory for pages. The log is read once, at the start, and written at its end: more would not be used.
const CACHE_BYTES: usize = 4 << 20;

/// The open file. Locked against other processes by redb.
pub(super) struct LogFile {
    database: Database,
    /// After a failed commit nobody knows what is on the disk. Nothing is acknowledged any more: the node has to be
    /// started again, and reads then what is there.
    failed: bool,
}

impl LogFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let backend = FileBackend::new(file).map_err(|error| opening(path, error))?;
        let builder = Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(backend);
        let database = builder.map_err(|error| opening(path, error))?;
        Ok(Self { database, failed: false })
    }

    pub(super) fn load(&self) -> io::Result<Image> {
        self.read().map_err(io::Error::other)
    }

    fn read(&self) -> Result<Image, redb::Error> {
        let mut image = Image::default();
        let transaction = self.database.begin_read()?;
        match transaction.open_table(REST) {
            Ok(rest) => {
                let get = |key: &str| Ok::<_, redb::Error>(rest.get(key)?.map(|value| value.value().to_vec()));
                image.vote = get(VOTE)?;
                image.committed = get(COMMITTED)?;
                image.purged = get(PURGED)?;
                image.snapshot = get(SNAPSHOT)?;
            }
            // A new file has no tables.
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(image),
            Err(error) => return Err(error.into()),
        }
        for entry in transaction.open_table(ENTRIES)?.iter()? {
            let (index, bytes) = entry?;
            image.log.insert(index.value(), bytes.value().to_vec());
        }
        Ok(image)
    }

    /// Makes writes durable, all or none, and tells those who wait.
    pub(super) fn commit(&mut self, writes: Vec<Write>, waiting: Vec<Done>) {
        let failure = if self.failed {
            Some("an earlier write to the log failed".to_owned())
        } else {
            self.write(writes).err().map(|error| error.to_string())
        };
        self.failed = failure.is_some();
        for done in waiting {
            done(failure.clone().map_or(Ok(()), |failure| Err(io::Error::other(failure))));
        }
    }

    fn write(&self, writes: Vec<Write>) -> Result<(), redb::Error> {
        let mut transaction = self.database.begin_write()?;
        // What nobody waits for is written with the next that somebody does.
        let durable = writes.iter().any(|write| !matches!(write, Write::Committed(_)));
        transaction.set_durability(if durable { Durability::Immediate } else { Durability::None })?;
        {
            let mut entries = transaction.open_table(ENTRIES)?;
            let mut rest = transaction.open_table(REST)?;
            for write in writes {
                match write {
                    Write::Append(appended) => {
                        for (index, bytes) in appended {
                            entries.insert(index, bytes.as_slice())?;
                        }
                    }
                    Write::TruncateAfter(last) => {
                        entries.retain_in(last.map_or(0, |last| last + 1).., |_, _| false)?;
                    }
                    Write::Purge(upto, name) => {
                        entries.retain_in(..=upto, |_, _| false)?;
                        rest.insert(PURGED, name.as_slice())?;
                    }
                    Write::Vote(vote) => drop(rest.insert(VOTE, vote.as_slice())?),
                    Write::Committed(committed) => drop(rest.insert(COMMITTED, committed.as_slice())?),
                    Write::Snapshot(snapshot) => drop(rest.insert(SNAPSHOT, snapshot.as_slice())?),
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

fn opening(path: &Path, error: DatabaseError) -> io::Error {
    match error {
        DatabaseError::DatabaseAlreadyOpen => {
            io::Error::new(io::ErrorKind::ResourceBusy, "another process uses this data folder")
        }
        other => io::Error::other(format!("{}: {other}", path.display())),
    }
}
