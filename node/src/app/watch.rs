//! Notices that the configuration may have changed: its file, a certificate, or a `SIGHUP`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::warn;

/// Editors write a file in several steps; it is read when nothing has happened for so long.
const QUIET: Duration = Duration::from_millis(200);

/// Where something always happens, as in a folder with logs, this is long enough to wait.
const QUIET_MAX: Duration = Duration::from_secs(1);

/// Watches files.
pub(super) struct Watch {
    /// Something happened in one of the folders.
    stirred: mpsc::Receiver<()>,
    /// Stops watching when dropped.
    watcher: Option<RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
    files: Vec<PathBuf>,
    stamps: Vec<Option<Stamp>>,
    hang_up: Option<Signal>,
}

/// What tells one state of a file from another: where it really is, its size, and when it was written.
type Stamp = (PathBuf, u64, SystemTime);

impl Watch {
    /// Watches nothing yet but for `SIGHUP`.
    pub(super) fn start() -> Self {
        // One message is enough to say that something has happened.
        let (sender, stirred) = mpsc::channel(1);
        let handler = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _ = sender.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(handler)
            .inspect_err(|error| warn!("cannot watch files ({error}): a SIGHUP makes the node read them again"))
            .ok();
        let hang_up = signal(SignalKind::hangup()).ok();
        Self { stirred, watcher, folders: BTreeSet::new(), files: Vec::new(), stamps: Vec::new(), hang_up }
    }

    /// Watches these files from now on, and no others. Their folders are watched, for editors and tools replace files, or
    /// the folders that they link to, rather than write into them.
    pub(super) fn set(&mut self, files: Vec<PathBuf>) {
        let folders: BTreeSet<PathBuf> = files.iter().flat_map(|file| folders(file)).collect();
        if let Some(watcher) = &mut self.watcher {
            for gone in self.folders.difference(&folders) {
                let _ = watcher.unwatch(gone);
            }
            for new in folders.difference(&self.folders) {
                if let Err(error) = watcher.watch(new, RecursiveMode::NonRecursive) {
                    warn!("cannot watch {}: {error}", new.display());
                }
            }
        }
        self.folders = folders;
        // What was watched before keeps its stamp: it may have changed again while it was read.
        let known =
            |file: &PathBuf| self.files.iter().position(|watched| watched == file).map(|at| self.stamps[at].clone());
        self.stamps = files.iter().map(|file| known(file).unwrap_or_else(|| stamp(file))).collect();
        self.files = files;
    }

    /// Waits until one of the files is another than it was, or somebody asks by `SIGHUP`. Who stops waiting misses nothing.
    pub(super) async fn changed(&mut self) {
        loop {
            if self.has_changed() {
                // Something happened while nobody waited; it may go on.
                self.settle().await;
                self.stamps = self.stamped();
                return;
            }
            let hang_up = async {
                match &mut self.hang_up {
                    Some(signal) => drop(signal.recv().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = hang_up => {
                    self.stamps = self.stamped();
                    return;
                }
                Some(()) = self.stirred.recv() => {}
                // Without a watcher nothing stirs, and only the signal is left.
                else => std::future::pending().await,
            }
        }
    }

    fn stamped(&self) -> Vec<Option<Stamp>> {
        self.files.iter().map(|file| stamp(file)).collect()
    }

    fn has_changed(&self) -> bool {
        self.stamped() != self.stamps
    }

    async fn settle(&mut self) {
        let limit = Instant::now() + QUIET_MAX;
        let quiet = async { while timeout(QUIET, self.stirred.recv()).await.is_ok_and(|some| some.is_some()) {} };
        let _ = timeout_at(limit, quiet).await;
    }
}

/// The folder that the file is in, and the one that it really is in.
fn folders(file: &Path) -> impl Iterator<Item = PathBuf> {
    let own = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let real = file.canonicalize().ok().and_then(|real| real.parent().map(Path::to_owned));
    own.canonicalize().into_iter().chain(real)
}

fn stamp(file: &Path) -> Option<Stamp> {
    let real = file.canonicalize().ok()?;
    let facts = std::fs::metadata(&real).ok()?;
    Some((real, facts.len(), facts.modified().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn notices(act: impl FnOnce(&Path)) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weft.yml");
        std::fs::write(&file, "old").unwrap();
        let mut watch = Watch::start();
        watch.set(vec![file.clone()]);
        act(&file);
        timeout(Duration::from_secs(10), watch.changed()).await.is_ok()
    }

    #[tokio::test]
    async fn writing_is_noticed() {
        assert!(notices(|file| std::fs::write(file, "newer").unwrap()).await);
    }

    #[tokio::test]
    async fn a_change_while_nobody_waits_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weft.yml");
        std::fs::write(&file, "old").unwrap();
        let mut watch = Watch::start();
        watch.set(vec![file.clone()]);
        // Somebody reads it for the change before, and then says again what is to be watched.
        std::fs::write(&file, "newer").unwrap();
        watch.set(vec![file.clone()]);
        assert!(timeout(Duration::from_secs(10), watch.changed()).await.is_ok());
    }

    #[tokio::test]
    async fn replacing_is_noticed() {
        let replace = |file: &Path| {
            let new = file.with_extension("new");
            std::fs::write(&new, "newer").unwrap();
            std::fs::rename(&new, file).unwrap();
        };
        assert!(notices(replace).await);
    }

    #[tokio::test]
    async fn the_folder_behind_a_link_is_noticed() {
        // As Kubernetes mounts its ConfigMaps: the file is a link into a folder that is a link.
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (version, text) in [("1", "old"), ("2", "newer")] {
            std::fs::create_dir(at(version)).unwrap();
            std::fs::write(at(version).join("weft.yml"), text).unwrap();
        }
        std::os::unix::fs::symlink("1", at("data")).unwrap();
        std::os::unix::fs::symlink("data/weft.yml", at("weft.yml")).unwrap();
        let mut watch = Watch::start();
        watch.set(vec![at("weft.yml")]);
        std::os::unix::fs::symlink("2", at("next")).unwrap();
        std::fs::rename(at("next"), at("data")).unwrap();
        assert!(timeout(Duration::from_secs(10), watch.changed()).await.is_ok());
    }

    #[test]
    fn reading_leaves_a_file_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weft.yml");
        std::fs::write(&file, "old").unwrap();
        let before = stamp(&file);
        std::fs::read(&file).unwrap();
        std::fs::write(file.with_extension("other"), "b").unwrap();
        assert!(before.is_some() && before == stamp(&file));
    }
}
