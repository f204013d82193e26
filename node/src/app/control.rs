//! The API server, put together.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use tracing::error;

use super::configuration::Configuration;
use super::sockets::{self, Bound, Generation};
use super::{Failure, api, cluster_api, faults, inquiry};
use crate::auth::Authenticator;
use crate::config::{Config, Encryption};
use crate::http::{Access, FaultSource, router};

/// What the API listens on.
#[derive(Default)]
pub(super) struct Sockets {
    api: Option<Bound<TcpListener>>,
}

/// Who answers, and who says who may ask.
#[derive(Clone)]
pub(super) struct Answers {
    pub(super) node: Arc<api::Source>,
    pub(super) cluster: Arc<cluster_api::View>,
    pub(super) config: Arc<Configuration>,
    pub(super) others: Arc<inquiry::Mesh>,
    pub(super) faults: Option<Arc<faults::Injected>>,
    pub(super) authenticator: Arc<dyn Authenticator>,
}

/// The API, serving on the control thread.
pub(super) struct Service {
    answers: Answers,
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
    pub(super) fn start(config: &Config, answers: Answers, mut sockets: Sockets) -> Self {
        let generation = serve(config, &answers, &mut sockets);
        Self { answers, sockets, _generation: generation }
    }

    /// What is listened on now.
    pub(super) const fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// Goes on with other settings and sockets.
    pub(super) fn change(&mut self, config: &Config, mut sockets: Sockets) {
        self._generation = serve(config, &self.answers, &mut sockets);
        self.sockets = sockets;
    }
}

fn serve(config: &Config, answers: &Answers, sockets: &mut Sockets) -> Generation {
    let (generation, alive) = Generation::begin();
    let access = Access {
        authenticator: answers.authenticator.clone(),
        cluster: Some(answers.cluster.clone()),
        config: Some(answers.config.clone()),
        others: Some(answers.others.clone()),
        faults: answers.faults.clone().map(|faults| faults as Arc<dyn FaultSource>),
        allow_origins: config.api.allow_origins.clone(),
        rtsp: config.rtsp.enabled && config.rtsp.encryption != Encryption::Strict,
        rtsps: config.rtsp.enabled && config.rtsp.encryption != Encryption::No,
        hls: config.hls.enabled,
        webrtc: config.webrtc.enabled,
        rtmp: config.rtmp.enabled && config.rtmp.encryption != Encryption::Strict,
        rtmps: config.rtmp.enabled && config.rtmp.encryption != Encryption::No,
    };
    let app = router(answers.node.clone(), access).into_make_service_with_connect_info::<SocketAddr>();
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
