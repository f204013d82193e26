//! The API server, put together.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use tracing::error;

use super::sockets::{self, Bound, Generation};
use super::{Failure, api};
use crate::auth::Authenticator;
use crate::config::{Config, Encryption};
use crate::http::{Access, router};

/// What the API listens on.
#[derive(Default)]
pub(super) struct Sockets {
    api: Option<Bound<TcpListener>>,
}

/// The API, serving on the control thread.
pub(super) struct Service {
    source: Arc<api::Source>,
    authenticator: Arc<dyn Authenticator>,
    sockets: Sockets,
    _generation: Generation,
}

impl Sockets {
    /// Binds what `config` asks for and `old` has not.
    pub(super) fn open(config: &Config, old: &Self) -> Result<Self, Failure> {
        let address = config.api.enabled.then_some(&config.api.address);
        Ok(Self { api: sockets::tcp("API", address, old.api.as_ref(), 1)? })
    }

    /// Says where it listens.
    pub(super) fn announce(&self) {
        self.api.iter().for_each(Bound::announce);
    }
}

impl Service {
    /// Serves.
    pub(super) fn start(
        config: &Config,
        source: Arc<api::Source>,
        authenticator: Arc<dyn Authenticator>,
        mut sockets: Sockets,
    ) -> Self {
        let generation = serve(config, &source, &authenticator, &mut sockets);
        Self { source, authenticator, sockets, _generation: generation }
    }

    /// What is listened on now.
    pub(super) const fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// Goes on with other settings and sockets.
    pub(super) fn change(&mut self, config: &Config, mut sockets: Sockets) {
        self._generation = serve(config, &self.source, &self.authenticator, &mut sockets);
        self.sockets = sockets;
    }
}

fn serve(
    config: &Config,
    source: &Arc<api::Source>,
    authenticator: &Arc<dyn Authenticator>,
    sockets: &mut Sockets,
) -> Generation {
    let (generation, alive) = Generation::begin();
    let access = Access {
        authenticator: authenticator.clone(),
        allow_origins: config.api.allow_origins.clone(),
        rtsp: config.rtsp.enabled && config.rtsp.encryption != Encryption::Strict,
        rtsps: config.rtsp.enabled && config.rtsp.encryption != Encryption::No,
        hls: config.hls.enabled,
        rtmp: config.rtmp.enabled && config.rtmp.encryption != Encryption::Strict,
        rtmps: config.rtmp.enabled && config.rtmp.encryption != Encryption::No,
    };
    let app = router(source.clone(), access).into_make_service_with_connect_info::<SocketAddr>();
    for listener in sockets::take(&mut sockets.api) {
        let app = app.clone();
        actix_rt::spawn(alive.clone().run(async move {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => {
                    let Err(error) = axum::serve(listener, app).await else { return };
                    error!("API: {error}");
                }
                Err(error) => error!("API: {error}"),
            }
        }));
    }
    generation
}
