//! The storage thread: everything that must be on disk before it counts goes through here, in order, fsynced.

mod log_file;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use tokio::sync::oneshot;

use self::log_file::LogFile;
use crate::raft::{Disk, Done, Image, Write};

/// What a node knows of itself across starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeState {
    /// Drawn once, never reused.
    pub id: String,
    /// Counts the starts of this node.
    pub incarnation: u64,
    /// No epoch at or below this was given to anyone else before this start.
    pub epoch_base: u64,
}

/// A handle to the storage thread. The thread ends with its last handle, after all that it was given.
#[derive(Clone, Debug)]
pub struct Storage {
    jobs: mpsc::Sender<Job>,
}

enum Job {
    /// Replace a file of the data folder.
    Replace { file: PathBuf, bytes: Vec<u8>, done: oneshot::Sender<io::Result<()>> },
    /// Read the log.
    Load(mpsc::SyncSender<io::Result<Image>>),
    /// Write to the log.
    Write(Write, Done),
}

const STATE_FILE: &str = "node";
const LOG_FILE: &str = "raft.redb";

impl Storage {
    /// Starts the thread on a data folder, which is made with mode 0750 when it is not there. Fails when another process
    /// uses the folder.
    pub fn start(folder: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o750).create(folder)?;
        let log = LogFile::open(&folder.join(LOG_FILE))?;
        let (jobs, queue) = mpsc::channel::<Job>();
        let folder = folder.to_owned();
        thread::Builder::new().name("storage".into()).spawn(move || run(&folder, log, &queue))?;
        Ok(Self { jobs })
    }

    /// Replaces a file of the data folder in one step; done when it is on disk.
    pub fn replace(&self, file: impl Into<PathBuf>, bytes: Vec<u8>) -> oneshot::Receiver<io::Result<()>> {
        let (done, result) = oneshot::channel();
        // A send fails only when the thread is gone; then `done` is dropped and the caller sees that.
        let _ = self.jobs.send(Job::Replace { file: file.into(), bytes, done });
        result
    }

    /// Reads the node's state, counts this start and puts the result on disk before it returns.
    pub async fn begin(&self, folder: &Path, new_id: &str, wall_micros: u64) -> io::Result<NodeState> {
        let known = match fs::read_to_string(folder.join(STATE_FILE)) {
            Ok(text) => {
                parse(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "node file is damaged"))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                NodeState { id: new_id.to_owned(), incarnation: 0, epoch_base: 0 }
            }
            Err(error) => return Err(error),
        };
        let state = NodeState {
            id: known.id,
            incarnation: known.incarnation + 1,
            // Above everything that the last start can have given, even if the wall clock was set back since.
            epoch_base: wall_micros.max(known.epoch_base + EPOCHS_PER_START),
        };
        let text = format!("id={}\nincarnation={}\nepochBase={}\n", state.id, state.incarnation, state.epoch_base);
        self.replace(STATE_FILE, text.into_bytes()).await.map_err(io::Error::other)??;
        Ok(state)
    }
}

/// More epochs than a node can give in one start: 100,000 a second for a year are 3.2e12.
const EPOCHS_PER_START: u64 = 4_000_000_000_000;

/// Log writes that are made durable together at most, so that nobody waits behind an endless queue.
const COMMIT_WRITES_MAX: usize = 1024;

fn run(folder: &Path, mut log: LogFile, queue: &mpsc::Receiver<Job>) {
    let mut next = None;
    while let Some(job) = next.take().or_else(|| queue.recv().ok()) {
        match job {
            Job::Replace { file, bytes, done } => {
                // Whoever asked may have gone; the write stands all the same.
                let _ = done.send(write_durably(folder, &file, &bytes));
            }
            Job::Load(reply) => {
                let _ = reply.send(log.load());
            }
            Job::Write(write, done) => {
                let (mut writes, mut waiting) = (vec![write], vec![done]);
                // One commit for all that waits: an fsync costs the same for one write and for a thousand.
                while writes.len() < COMMIT_WRITES_MAX {
                    match queue.try_recv() {
                        Ok(Job::Write(write, done)) => {
                            writes.push(write);
                            waiting.push(done);
                        }
                        other => {
                            next = other.ok();
                            break;
                        }
                    }
                }
                log.commit(writes, waiting);
            }
        }
    }
}

impl Disk for Storage {
    fn load(&self) -> io::Result<Image> {
        let (reply, image) = mpsc::sync_channel(1);
        self.jobs.send(Job::Load(reply)).map_err(gone)?;
        image.recv().map_err(gone)?
    }

    fn write(&self, write: Write, done: Done) {
        if let Err(mpsc::SendError(Job::Write(_, done))) = self.jobs.send(Job::Write(write, done)) {
            done(Err(gone(())));
        }
    }
}

/// The thread ended: it panicked, for its last handle is in the caller's hand.
fn gone<E>(_: E) -> io::Error {
    io::Error::other("the storage thread is gone")
}

fn parse(text: &str) -> Option<NodeState> {
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    Some(NodeState {
        id: value("id")?.to_owned(),
        incarnation: value("incarnation")?.parse().ok()?,
        epoch_base: value("epochBase")?.parse().ok()?,
    })
}

fn write_durably(folder: &Path, file: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = folder.join(file);
    let fresh = target.with_extension("new");
    let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    out.write_all(bytes)?;
    out.sync_all()?;
    fs::rename(&fresh, &target)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_start_is_an_incarnation_and_epochs_only_grow() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::start(folder.path()).unwrap();
        let first = storage.begin(folder.path(), "n1", 1_000_000).await.unwrap();
        assert_eq!(first, NodeState { id: "n1".into(), incarnation: 1, epoch_base: 4_000_000_000_000 });
        let second = storage.begin(folder.path(), "n2", 5).await.unwrap();
        assert_eq!((second.id.as_str(), second.incarnation), ("n1", 2));
        assert!(second.epoch_base > first.epoch_base);
    }

    #[tokio::test]
    async fn a_damaged_file_is_an_error_not_a_new_node() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(STATE_FILE), "id=x\n").unwrap();
        let storage = Storage::start(folder.path()).unwrap();
        assert_eq!(storage.begin(folder.path(), "n2", 5).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
