//! Takes a changed configuration: as a whole or not at all, and touching only what has changed.
//!
//! First all that can fail: reading the file, binding new ports, reading certificates. Then all that cannot: the fabric's
//! policy, the doors' settings, the accepting tasks. Sessions that are there stay, unless their path is not allowed any
//! more.

use std::path::PathBuf;

use tracing::{error, info, warn};

use super::{Node, Sockets};
use crate::config::{Changed, Config, Loaded, keys::Reload};

impl Node {
    /// The files that the configuration depends on.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let Config { rtsp, rtmp, hls, .. } = &self.config;
        let certificates = [
            [&rtsp.server_cert, &rtsp.server_key],
            [&rtmp.server_cert, &rtmp.server_key],
            [&hls.server_cert, &hls.server_key],
        ];
        let named = self.file.iter().chain(certificates.into_iter().flatten()).cloned();
        // A file that was looked for in vain may appear.
        let searched = self.file.is_none().then(|| self.source.search.clone()).into_iter().flatten();
        named.chain(searched).collect()
    }

    /// Loads the configuration again and goes on with it, or says why not.
    pub(super) async fn reload(&mut self) {
        let source = self.source.clone();
        let loaded = match tokio::task::spawn_blocking(move || Config::load(&source)).await {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(errors)) => {
                errors.0.iter().for_each(|problem| error!("{problem}"));
                return error!("the configuration has {} errors and is not taken: nothing changes", errors.0.len());
            }
            Err(error) => return error!("the configuration cannot be loaded: {error}"),
        };
        let changed = loaded.settings.changed(&self.settings);
        let old = (self.rtsp.sockets(), self.rtmp.sockets(), self.hls.sockets(), self.control.sockets());
        // A certificate may have changed although no key has.
        match Sockets::open(&loaded.config, old, self.pool.len()) {
            Ok(sockets) => {
                self.take(loaded, sockets);
                report(&changed);
            }
            Err(failure) => error!("the configuration is not taken: {failure}"),
        }
    }

    /// Nothing in here can fail.
    fn take(&mut self, loaded: Loaded, sockets: Sockets) {
        let Loaded { config, warnings, settings, file } = loaded;
        self.rtsp.change(&config, sockets.rtsp, &self.pool);
        self.hls.change(&config, sockets.hls, &self.pool);
        self.rtmp.change(&config, sockets.rtmp, &self.pool);
        self.control.change(&config, sockets.control);
        self.policy.set(config.clone());
        self.fabric.reconfigured();
        self.sources.change(&config);
        self.cluster.sources_changed();
        self.levels.set(config.log.level);
        warnings.iter().for_each(|warning| warn!("{warning}"));
        (self.config, self.settings, self.file) = (config, settings, file);
    }
}

fn report(changed: &[Changed]) {
    let list = |when: Reload| {
        let keys = changed.iter().filter(|changed| changed.reload == when).map(|changed| changed.key.as_str());
        keys.collect::<Vec<_>>().join(", ")
    };
    let (now, restart) = (list(Reload::Now), list(Reload::Restart));
    info!(changed = now, for_new_streams = list(Reload::NextStream), "configuration reloaded");
    if !restart.is_empty() {
        warn!("a change of {restart} takes effect when the node is started again");
    }
}
