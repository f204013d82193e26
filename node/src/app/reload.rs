//! Takes a changed configuration: as a whole or not at all, and touching only what has changed.
//!
//! First all that can fail: reading the file, binding new ports, reading certificates. Then all that cannot: the fabric's
//! policy, the doors' settings, the accepting tasks. Sessions that are there stay, unless their path is not allowed any
//! more.

use std::path::PathBuf;

use tracing::{error, info, warn};
use weft_cluster::ownership::Claimant as _;

use super::{Held, Node, Sockets};
use crate::config::{Changed, Config, Effective, keys::Reload};

impl Node {
    /// The files that the configuration depends on.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let Config { rtsp, rtmp, hls, webrtc, .. } = &self.effective.config;
        let certificates = [
            [&rtsp.server_cert, &rtsp.server_key],
            [&rtmp.server_cert, &rtmp.server_key],
            [&hls.server_cert, &hls.server_key],
            [&webrtc.server_cert, &webrtc.server_key],
        ];
        let file = &self.effective.local.file;
        let named = file.iter().chain(certificates.into_iter().flatten()).cloned();
        // A file that was looked for in vain may appear.
        let searched = file.is_none().then(|| self.source.search.clone()).into_iter().flatten();
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
        let mut effective = self.over(&loaded);
        // A certificate may have changed although no key has.
        match Sockets::open(&effective.config, self.sockets(), self.pool.len()) {
            Ok(sockets) => {
                self.report_shadowed(&effective);
                let told = effective.warnings.drain(..).filter(|warning| !loaded.warnings.contains(warning));
                loaded.warnings.iter().chain(&told.collect::<Vec<_>>()).for_each(|warning| warn!("{warning}"));
                let was = self.effective.file_differs();
                self.take(effective, sockets, "configuration reloaded");
                if self.effective.file_differs() != was {
                    self.report_file();
                }
            }
            Err(failure) => error!("the configuration is not taken: {failure}"),
        }
    }

    /// Names what has changed in the file and has no effect, because an edit lies over it.
    fn report_shadowed(&self, effective: &Effective) {
        let own = effective.local.own_shadowed(&self.effective.local);
        for key in effective.shadowed(&self.effective.local.shared).into_iter().chain(own) {
            warn!("`{key}` has changed in the file, but an edit of the API lies over it: the edit holds");
        }
    }

    /// What all doors listen on.
    pub(super) const fn sockets(&self) -> Held<'_> {
        (self.rtsp.sockets(), self.rtmp.sockets(), self.hls.sockets(), self.webrtc.sockets(), self.control.sockets())
    }

    /// Nothing in here can fail.
    pub(super) fn take(&mut self, effective: Effective, sockets: Sockets, why: &str) {
        let changed = effective.settings.changed(&self.effective.settings);
        self.change_doors(&effective.config, sockets);
        self.put_in_force(effective);
        report(&changed, why);
    }

    /// Lets the doors go on with other settings and sockets.
    pub(super) fn change_doors(&mut self, config: &Config, sockets: Sockets) {
        self.rtsp.change(config, sockets.rtsp, &self.pool);
        self.hls.change(config, sockets.hls, &self.pool);
        self.webrtc.change(config, sockets.webrtc, &self.pool);
        self.rtmp.change(config, sockets.rtmp, &self.pool);
        self.control.change(config, sockets.control);
        self.levels.set(config.log.level);
    }

    /// What the fabric and the sources ask is answered from this from now on.
    pub(super) fn put_in_force(&mut self, effective: Effective) {
        self.policy.set(effective.config.clone());
        self.fabric.reconfigured();
        self.sources.change(&effective.config);
        self.cluster.sources_changed();
        self.configuration.set(effective.clone());
        self.effective = effective;
        for path in self.host.look_again() {
            self.cluster.let_go(&path);
        }
    }
}

fn report(changed: &[Changed], why: &str) {
    let list = |when: Reload| {
        let keys = changed.iter().filter(|changed| changed.reload == when).map(|changed| changed.key.as_str());
        keys.collect::<Vec<_>>().join(", ")
    };
    let (now, restart) = (list(Reload::Now), list(Reload::Restart));
    info!(changed = now, for_new_streams = list(Reload::NextStream), "{why}");
    if !restart.is_empty() {
        warn!("a change of {restart} takes effect when the node is started again");
    }
}
