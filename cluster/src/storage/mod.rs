//! The storage thread: everything that must be on disk before it counts goes through here, in order, fsynced.

mod log_file;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;

use tokio::sync::oneshot;

use weft_proto::wire::entry::NodeId;
use weft_proto::wire::hello::ClusterId;

use self::log_file::LogFile;
use crate::raft::{Disk, Done, Image, Write};

/// What a node knows of itself across starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeState {
    /// Drawn once, never reused.
    pub id: NodeId,
    /// Counts the starts of this node.
    pub incarnation: u64,
    /// No epoch at or below this was given to anyone else before this start.
    pub epoch_base: u64,
    /// Which cluster it is in; none for a node that has always been alone.
    pub cluster: Option<ClusterId>,
    /// It has founded that cluster, or was about to when it ended.
    pub founder: bool,
}

/// A handle to the storage thread. The thread ends with its last handle, after all that it was given.
#[derive(Clone, Debug)]
pub struct Storage {
    jobs: mpsc::Sender<Job>,
    folder: Arc<Path>,
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
        let folder: Arc<Path> = folder.into();
        let place = folder.clone();
        thread::Builder::new().name("storage".into()).spawn(move || run(&place, log, &queue))?;
        Ok(Self { jobs, folder })
    }

    /// Replaces a file of the data folder in one step; done when it is on disk.
    pub fn replace(&self, file: impl Into<PathBuf>, bytes: Vec<u8>) -> oneshot::Receiver<io::Result<()>> {
        let (done, result) = oneshot::channel();
        // A send fails only when the thread is gone; then `done` is dropped and the caller sees that.
        let _ = self.jobs.send(Job::Replace { file: file.into(), bytes, done });
        result
    }

    /// Reads the node's state, counts this start and puts the result on disk before it returns.
    pub async fn begin(&self, new_id: NodeId, wall_micros: u64) -> io::Result<NodeState> {
        let known = match self.recall() {
            Ok(state) => state,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                NodeState { id: new_id, incarnation: 0, epoch_base: 0, cluster: None, founder: false }
            }
            Err(error) => return Err(error),
        };
        let state = NodeState {
            incarnation: known.incarnation + 1,
            // Above everything that the last start can have given, even if the wall clock was set back since.
            epoch_base: wall_micros.max(known.epoch_base + EPOCHS_PER_START),
            ..known
        };
        self.remember(&state).await?;
        Ok(state)
    }

    /// What the node knows of itself.
    pub fn recall(&self) -> io::Result<NodeState> {
        let text = fs::read_to_string(self.folder.join(STATE_FILE))?;
        parse(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "node file is damaged"))
    }

    /// Puts the node's state on disk before it returns, outside of a runtime.
    pub fn remember_now(&self, state: &NodeState) -> io::Result<()> {
        self.write_state(state).blocking_recv().map_err(io::Error::other)?
    }

    /// Puts another incarnation on disk before it returns.
    pub async fn count(&self, incarnation: u64) -> io::Result<()> {
        self.remember(&NodeState { incarnation, ..self.recall()? }).await
    }

    /// Puts the node's state on disk before it returns.
    pub async fn remember(&self, state: &NodeState) -> io::Result<()> {
        self.write_state(state).await.map_err(io::Error::other)?
    }

    fn write_state(&self, state: &NodeState) -> oneshot::Receiver<io::Result<()>> {
        let NodeState { id, incarnation, epoch_base, cluster, founder } = state;
        let mut text = format!("id={id}\nincarnation={incarnation}\nepochBase={epoch_base}\nfounder={founder}\n");
        if let Some(ClusterId(bytes)) = cluster {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            text += &format!("cluster={hex}\n");
        }
        self.replace(STATE_FILE, text.into_bytes())
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
    let cluster = match value("cluster") {
        Some(hex) => Some(ClusterId(u128::from_str_radix(hex, 16).ok()?.to_be_bytes())),
        None => None,
    };
    Some(NodeState {
        id: NodeId(u64::from_str_radix(value("id")?, 16).ok()?),
        incarnation: value("incarnation")?.parse().ok()?,
        epoch_base: value("epochBase")?.parse().ok()?,
        cluster,
        founder: value("founder") == Some("true"),
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
        let first = storage.begin(NodeId(1), 1_000_000).await.unwrap();
        assert_eq!((first.id, first.incarnation, first.epoch_base), (NodeId(1), 1, 4_000_000_000_000));
        let joined = NodeState { cluster: Some(ClusterId([7; 16])), founder: true, ..first.clone() };
        storage.remember(&joined).await.unwrap();
        let second = storage.begin(NodeId(2), 5).await.unwrap();
        let expected = NodeState { incarnation: 2, epoch_base: second.epoch_base, ..joined };
        assert_eq!(second, expected);
        assert!(second.epoch_base > first.epoch_base);
    }

    #[tokio::test]
    async fn a_damaged_file_is_an_error_not_a_new_node() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(STATE_FILE), "id=x\n").unwrap();
        let storage = Storage::start(folder.path()).unwrap();
        assert_eq!(storage.begin(NodeId(2), 5).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_folder_belongs_to_one_process() {
        let folder = tempfile::tempdir().unwrap();
        let _storage = Storage::start(folder.path()).unwrap();
        assert_eq!(Storage::start(folder.path()).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    }
}
