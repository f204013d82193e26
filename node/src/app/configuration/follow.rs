//! The node's loop takes what is agreed: as a whole, and touching only what has changed.

use std::sync::Arc;

use tokio::sync::watch;
use tracing::{error, info, warn};
use weft_cluster::membership::Cluster;

use super::agreed;
use crate::app::{Node, Sockets};
use crate::config::{Config, Document, Effective, Loaded, Local, Problem};

/// What is in force when the node starts: the newest revision that it knows, over what was loaded.
pub(in crate::app) fn begin(loaded: &Loaded, cluster: &Cluster, agrees: &watch::Sender<u64>) -> Effective {
    let agreed = agreed(&cluster.state().read());
    let newest = agreed.as_ref().map_or(0, |(revision, _)| *revision);
    // What came with a snapshot was not seen.
    agrees.send_if_modified(|known| std::mem::replace(known, (*known).max(newest)) < newest);
    let read = agreed.map(|(revision, text)| (revision, Document::parse(&text)));
    let (revision, document) = match read {
        Some((revision, Some(document))) => (revision, document),
        Some((revision, None)) => {
            // Not in force, so that nobody builds a change upon it.
            error!(revision, "the configuration cannot be read: this node goes on with its file");
            (0, Document::default())
        }
        None => (0, Document::default()),
    };
    let effective = Effective::of(Arc::new(Local::of(loaded)), revision, document);
    let is_new = |warning: &&Problem| !loaded.warnings.iter().any(|known| known.message == warning.message);
    effective.warnings.iter().filter(is_new).for_each(|warning| warn!("{warning}"));
    if !effective.document.edits.is_empty() {
        info!(revision, "edits of the API lie over the file");
    }
    effective
}

impl Node {
    /// What is in force with what was loaded.
    pub(in crate::app) fn over(&self, loaded: &Loaded) -> Effective {
        let Effective { revision, document, .. } = &self.effective;
        Effective::of(Arc::new(Local::of(loaded)), *revision, document.clone())
    }

    /// Goes on with the newest revision, if that is not in force.
    pub(in crate::app) async fn follow(&mut self) {
        let agreed = agreed(&self.cluster.state().read());
        let Some((revision, text)) = agreed.filter(|(revision, _)| *revision > self.effective.revision) else { return };
        let local = self.effective.local.clone();
        let made = tokio::task::spawn_blocking(move || {
            Document::parse(&text).map(|document| Effective::of(local, revision, document))
        });
        match made.await {
            Ok(Some(effective)) => self.take_agreed(effective),
            Ok(None) => error!(revision, "the configuration cannot be read: the one before stays in force"),
            Err(error) => error!(revision, "the configuration is not taken: {error}"),
        }
    }

    fn take_agreed(&mut self, effective: Effective) {
        let write = effective.document.write.clone();
        let had_none = self.effective.document.whole.is_none() && effective.document.whole.is_some();
        let changed = effective.settings.changed(&self.effective.settings);
        info!(
            revision = effective.revision,
            by = write.node,
            user = write.user,
            what = write.what,
            changed =
                changed.iter().map(|changed| changed.key.as_str()).take(LOGGED_MAX).collect::<Vec<_>>().join(", "),
            "the configuration has another revision"
        );
        if touches_doors(&self.effective.config, &effective.config) {
            match Sockets::open(&effective.config, self.sockets(), self.pool.len()) {
                Ok(sockets) => self.change_doors(&effective.config, sockets),
                Err(failure) => error!("the doors go on as they were: {failure}"),
            }
        }
        self.put_in_force(effective);
        if had_none {
            self.report_file();
        }
    }

    /// Says in what the node's file differs from what the nodes agree on: it is not applied by itself.
    pub(in crate::app) fn report_file(&self) {
        let differs = self.effective.file_differs();
        if differs.is_empty() {
            return;
        }
        let file = self.effective.local.file.as_ref();
        let file = file.map_or_else(|| "what this node was started with".to_owned(), |file| file.display().to_string());
        let keys = differs.iter().map(|one| one.key.as_str()).take(LOGGED_MAX).collect::<Vec<_>>().join(", ");
        warn!(
            revision = self.effective.revision,
            count = differs.len(),
            "{file} differs from the configuration of the cluster and is not applied, in {keys}; \
             `weft config import` takes it"
        );
    }
}

/// Keys that are named in a line of the log.
const LOGGED_MAX: usize = 20;

/// Whether what is shared and no path's has changed: of that the doors have copies.
fn touches_doors(before: &Config, after: &Config) -> bool {
    before.hls != after.hls
}
