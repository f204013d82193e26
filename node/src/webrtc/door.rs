//! What all WebRTC sessions of a node share, and what those of one worker do.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio_rustls::TlsAcceptor;
use weft_cluster::Fabric;
use weft_cluster::mesh::faults::Faults;
use weft_proto::webrtc::answer::Candidate;

use super::mux::Mux;
use super::request;
use super::secure::Certificate;
use super::stats::Sessions;
use crate::auth::Authenticator;
use crate::config::network::IpRange;
use crate::egress::rtp::{HISTORY_BYTES, RtpEgresses};
use crate::web::{Body, Site};
use crate::worker::Worker;
use crate::worker::admission::Admission;
use crate::worker::udp::UdpPort;

/// A server that helps clients to find a way (RFC 8489, RFC 8656).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceServer {
    /// `stun:…`, `turn:…` or `turns:…`.
    pub url: String,
    /// The user, empty for none; `AUTH_SECRET` where the password is a secret that both servers share.
    pub username: String,
    /// The password.
    pub password: String,
}

/// What is configured.
#[derive(Clone, Debug)]
pub struct DoorConfig {
    /// Web origins that may ask; `*` is all.
    pub allow_origins: Arc<[String]>,
    /// Who may say on whose behalf it asks.
    pub trusted_proxies: Vec<IpRange>,
    /// Where clients reach this node, the best first.
    pub candidates: Arc<[Candidate]>,
    /// What clients are told to ask as well.
    pub ice_servers: Vec<IceServer>,
    /// How long ICE and DTLS may take.
    pub handshake_timeout: Duration,
    /// A publisher that sends nothing for so long is gone.
    pub read_timeout: Duration,
    /// A client that takes nothing for so long is dropped.
    pub write_timeout: Duration,
}

/// What all workers share.
pub struct Shared {
    /// The fabric.
    pub fabric: Fabric,
    /// Who may do what.
    pub authenticator: Arc<dyn Authenticator>,
    config: ArcSwap<DoorConfig>,
    /// What this node shows in DTLS.
    pub certificate: Arc<Certificate>,
    /// Whose a datagram is.
    pub mux: Arc<Mux>,
    /// The sessions.
    pub sessions: Arc<Sessions>,
    /// The packets of the streams that are read.
    pub egresses: RtpEgresses,
    /// Bounds on connections.
    pub admission: Arc<Admission>,
    /// What experiments do to media's packets.
    pub faults: Option<Faults>,
}

impl Shared {
    /// What all workers share.
    pub fn new(
        fabric: Fabric,
        authenticator: Arc<dyn Authenticator>,
        config: DoorConfig,
        certificate: Certificate,
        admission: Arc<Admission>,
    ) -> Self {
        Self {
            fabric,
            authenticator,
            config: ArcSwap::from_pointee(config),
            certificate: Arc::new(certificate),
            mux: Arc::default(),
            sessions: Arc::default(),
            egresses: RtpEgresses::new(HISTORY_BYTES),
            admission,
            faults: None,
        }
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
        crate::web::client(peer, forwarded, &self.config().trusted_proxies)
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
    /// Where media goes.
    pub udp: Option<Rc<UdpPort>>,
}

impl Site for Door {
    const NAME: &'static str = "WebRTC";

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
