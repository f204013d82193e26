//! A node's own keys that the API has set: kept in its data folder, over its file.

use std::io;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tracing::{error, warn};

use super::Wish;
use crate::app::{Node, Sockets};
use crate::config::{Config, ConfigErrors, EditError, KeyValues, LoadSource, Loaded};
use crate::http::ConfigError;

/// The file, in the data folder.
const FILE: &str = "edits.json";

/// Where edits are kept.
#[derive(Clone, Debug)]
pub(in crate::app) struct Edits {
    folder: PathBuf,
}

impl Edits {
    /// In a data folder.
    pub(in crate::app) fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// What is kept; nothing when nothing ever was.
    fn read(&self) -> io::Result<KeyValues> {
        match std::fs::read(self.folder.join(FILE)) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(KeyValues::new()),
            Err(error) => Err(error),
        }
    }

    /// Puts aside what cannot be used, for the next edit makes the file anew.
    fn put_aside(&self) {
        let (file, aside) = (self.folder.join(FILE), self.folder.join(format!("{FILE}.unused")));
        match std::fs::rename(&file, &aside) {
            Ok(()) => warn!("they are kept in {}", aside.display()),
            Err(error) => error!("they cannot be put aside: {error}"),
        }
    }

    /// Keeps this, as a whole or not at all.
    fn keep(&self, edits: &KeyValues) -> io::Result<()> {
        let (file, new) = (self.folder.join(FILE), self.folder.join(format!("{FILE}.new")));
        let mut options = std::fs::OpenOptions::new();
        let mut out = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        out.write_all(serde_json::to_string_pretty(edits)?.as_bytes())?;
        out.sync_all()?;
        std::fs::rename(new, file)?;
        std::fs::File::open(&self.folder)?.sync_all()
    }
}

/// Loads again with the edits that are kept, if there are any. Edits that cannot be used, because the file is another one by
/// now, are put aside: the node starts without them and says so.
pub(in crate::app) fn read(loaded: Loaded, source: &mut LoadSource) -> Loaded {
    let kept = Edits::in_folder(&loaded.config.data_dir);
    let edits = match kept.read() {
        Ok(edits) if edits.is_empty() => return loaded,
        Ok(edits) => edits,
        Err(error) => {
            error!("the edits of the API cannot be read, and have no effect: {error}");
            kept.put_aside();
            return loaded;
        }
    };
    let with = LoadSource { edits, ..source.clone() };
    match Config::load(&with) {
        Ok(edited) => {
            *source = with;
            edited
        }
        Err(errors) => {
            errors.0.iter().for_each(|problem| error!("{problem}"));
            error!("edits of the API do not go together with the file, and have no effect");
            kept.put_aside();
            loaded
        }
    }
}

impl Node {
    /// Takes other values for this node's own keys.
    pub(in crate::app) async fn take_wish(&mut self, wish: Wish) {
        let Wish { set, unset, reply } = wish;
        let mut edits = self.source.edits.clone();
        edits.extend(set);
        unset.iter().for_each(|key| drop(edits.remove(key)));
        let done = self.edit_own(edits).await;
        // Who asked may have gone.
        let _ = reply.send(done);
    }

    async fn edit_own(&mut self, edits: KeyValues) -> Result<(), ConfigError> {
        let internal = |error: tokio::task::JoinError| ConfigError::Internal(error.to_string());
        let source = LoadSource { edits, ..self.source.clone() };
        let with = source.clone();
        let loaded = tokio::task::spawn_blocking(move || Config::load(&with)).await.map_err(internal)?;
        let loaded = loaded.map_err(|errors| invalid(&errors))?;
        let effective = self.over(&loaded);
        let sockets = Sockets::open(&effective.config, self.sockets(), self.pool.len())
            .map_err(|failure| ConfigError::Edit(EditError::Invalid(failure.to_string())))?;
        let (kept, edits) = (Edits::in_folder(&self.effective.config.data_dir), source.edits.clone());
        match tokio::task::spawn_blocking(move || kept.keep(&edits)).await.map_err(internal)? {
            Ok(()) => {}
            Err(error) if super::super::is_read_only(&error) || error.kind() == io::ErrorKind::NotFound => {
                warn!("the data folder cannot be written ({error}): the edit is lost when the node ends");
            }
            Err(error) => return Err(ConfigError::Internal(format!("the edit cannot be kept: {error}"))),
        }
        self.source = source;
        self.take(effective, sockets, "edit of the API");
        Ok(())
    }
}

fn invalid(errors: &ConfigErrors) -> ConfigError {
    let lines: Vec<&str> = errors.0.iter().map(|problem| problem.message.as_str()).collect();
    ConfigError::Edit(EditError::Invalid(lines.join("; ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn loaded(folder: &Path, text: &str) -> (Loaded, LoadSource) {
        let file = folder.join("weft.yml");
        std::fs::write(&file, format!("dataDir: {}\n{text}", folder.display())).unwrap();
        let source = LoadSource::file(file);
        (Config::load(&source).unwrap(), source)
    }

    #[test]
    fn edits_lie_over_the_file_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let edits = Edits::in_folder(folder.path());
        assert_eq!(edits.read().unwrap(), KeyValues::new());
        edits.keep(&KeyValues::from([("readTimeout".to_owned(), json!("7s"))])).unwrap();
        let (first, mut source) = loaded(folder.path(), "readTimeout: 3s\n");
        assert_eq!(first.config.read_timeout.as_secs(), 3);
        assert_eq!(read(first, &mut source).config.read_timeout.as_secs(), 7);
        assert_eq!(source.edits.len(), 1);
    }

    #[test]
    fn edits_that_do_not_fit_the_file_stop_no_node() {
        let folder = tempfile::tempdir().unwrap();
        Edits::in_folder(folder.path()).keep(&KeyValues::from([("rtpAddress".to_owned(), json!(":9001"))])).unwrap();
        let (first, mut source) = loaded(folder.path(), "");
        assert_eq!(read(first, &mut source).config.rtsp.rtp_address.port, 8000);
        assert!(source.edits.is_empty());
    }
}
