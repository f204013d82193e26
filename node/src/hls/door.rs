//! What all HLS viewers of a node share, and what those of one worker do.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio_rustls::TlsAcceptor;
use weft_cluster::Fabric;

use super::request;
use super::session::Sessions;
use super::token::Seal;
use crate::auth::Authenticator;
use crate::config::network::IpRange;
use crate::egress::segments::Muxers;
use crate::web::{Body, Site};
use crate::worker::Worker;
use crate::worker::admission::Admission;

/// What is configured.
#[derive(Clone, Debug)]
pub struct DoorConfig {
    /// Web origins that may ask; `*` is all.
    pub allow_origins: Arc<[String]>,
    /// Who may say on whose behalf it asks.
    pub trusted_proxies: Vec<IpRange>,
    /// What a content delivery network says to be let in; empty for nobody.
    pub cdn_secret: String,
    /// A viewer that takes nothing for so long is dropped.
    pub write_timeout: Duration,
}

/// What all workers share.
pub struct Shared {
    /// The fabric.
    pub fabric: Fabric,
    /// Who may do what.
    pub authenticator: Arc<dyn Authenticator>,
    config: ArcSwap<DoorConfig>,
    /// What makes the segments.
    pub muxers: Arc<Muxers>,
    /// The viewers.
    pub sessions: Arc<Sessions>,
    /// Bounds on connections.
    pub admission: Arc<Admission>,
    pub(super) seal: Seal,
}

impl Shared {
    /// What all workers share. `key` seals the tokens of viewers.
    pub fn new(
        fabric: Fabric,
        authenticator: Arc<dyn Authenticator>,
        config: DoorConfig,
        muxers: Arc<Muxers>,
        key: &[u8; 32],
        admission: Arc<Admission>,
    ) -> Self {
        let sessions = Arc::new(Sessions::new(fabric.clock()));
        let config = ArcSwap::from_pointee(config);
        Self { fabric, authenticator, config, muxers, sessions, admission, seal: Seal::new(key) }
    }

    /// Tokens of viewers are good on all nodes that have this key.
    pub fn share_key(&self, key: &[u8; 32]) {
        self.seal.share(key);
    }

    /// What is configured now.
    pub fn config(&self) -> Arc<DoorConfig> {
        self.config.load_full()
    }

    /// Goes on with other settings.
    pub fn set_config(&self, config: DoorConfig) {
        self.config.store(Arc::new(config));
    }

    /// The client that a proxy speaks for: the last address of `X-Forwarded-For` that is no trusted proxy's own.
    pub(super) fn client(&self, peer: IpAddr, forwarded: Option<&str>) -> IpAddr {
        let Some(forwarded) = forwarded else { return peer };
        let config = self.config();
        let trusted = |address: IpAddr| config.trusted_proxies.iter().any(|range| range.contains(address));
        let mut client = peer;
        for hop in forwarded.rsplit(',') {
            if !trusted(client) {
                break;
            }
            let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
            client = address.to_canonical();
        }
        client
    }
}

/// The door on one worker.
pub struct Door {
    /// What all workers share.
    pub shared: Arc<Shared>,
    /// The worker.
    pub worker: Rc<Worker>,
    /// For encrypted connections.
    pub tls: Option<TlsAcceptor>,
}

impl Site for Door {
    const NAME: &'static str = "HLS";

    fn admission(&self) -> &Arc<Admission> {
        &self.shared.admission
    }

    fn tls(&self) -> Option<&TlsAcceptor> {
        self.tls.as_ref()
    }

    fn write_timeout(&self) -> Duration {
        self.shared.config().write_timeout
    }

    fn answer(
        self: Rc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
        secure: bool,
    ) -> impl Future<Output = Response<Body>> + 'static {
        request::answer(self, request, peer, secure)
    }
}
