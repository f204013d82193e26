//! What all RTSP sessions of a node share, and what those of one worker do.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use tokio_rustls::TlsAcceptor;
use weft_cluster::Fabric;
use weft_proto::id::PathName;
use weft_proto::rtsp::auth::{Algorithm, Credentials as Shown, basic_challenge, digest_challenge};
use weft_proto::rtsp::machine::Capabilities;
use weft_proto::rtsp::{Method, Ports};

use super::multicast::Groups;
use super::stats::Sessions;
use crate::auth::{Action, AuthRequest, Authenticator, Credentials, Decision, Protocol};
use crate::config::RtspAuthMethods;
use crate::config::network::IpRange;
use crate::egress::rtp::{RtpEgresses, WARM_BYTES};
use crate::worker::Worker;
use crate::worker::admission::Admission;
use crate::worker::udp::{Routes, UdpPort};

/// What is configured.
#[derive(Clone, Debug)]
pub struct DoorConfig {
    /// Which transports clients may ask for.
    pub tcp: bool,
    /// UDP to one.
    pub udp: bool,
    /// UDP to many.
    pub multicast: bool,
    /// How clients may prove who they are.
    pub auth_methods: RtspAuthMethods,
    /// Groups are taken from here.
    pub multicast_groups: crate::config::value::Ipv4Range,
    /// Their RTP port; RTCP has the next.
    pub multicast_rtp_port: u16,
    /// A publisher that sends nothing for so long is dropped.
    pub read_timeout: Duration,
    /// A reader that takes nothing for so long is dropped.
    pub write_timeout: Duration,
    /// Largest RTP packet with its header, in bytes.
    pub packet_bytes_max: usize,
}

/// What all workers share.
pub struct Shared {
    /// The fabric.
    pub fabric: Fabric,
    /// Who may do what.
    pub authenticator: Arc<dyn Authenticator>,
    config: ArcSwap<DoorConfig>,
    /// Packets shared by readers.
    pub egresses: RtpEgresses,
    /// Which UDP sender belongs to which session.
    pub routes: Routes,
    /// For the API.
    pub sessions: Arc<Sessions>,
    /// Bounds on connections.
    pub admission: Arc<Admission>,
    /// Multicast groups in use.
    pub groups: Groups,
}

impl Shared {
    /// A door without sessions.
    pub fn new(
        fabric: Fabric,
        authenticator: Arc<dyn Authenticator>,
        config: DoorConfig,
        admission: Arc<Admission>,
    ) -> Self {
        Self {
            fabric,
            authenticator,
            config: ArcSwap::from_pointee(config),
            egresses: RtpEgresses::new(WARM_BYTES),
            routes: Routes::default(),
            sessions: Arc::default(),
            admission,
            groups: Groups::default(),
        }
    }

    /// What is configured now.
    pub fn config(&self) -> Guard<Arc<DoorConfig>> {
        self.config.load()
    }

    /// Changes what is configured. Sessions that are there feel timeouts at once and the rest at their next request.
    pub fn set_config(&self, config: DoorConfig) {
        self.config.store(Arc::new(config));
    }
}

/// A worker's UDP sockets.
#[derive(Debug)]
pub struct UdpPair {
    /// For RTP.
    pub rtp: UdpPort,
    /// For RTCP.
    pub rtcp: UdpPort,
}

/// The door on one worker.
pub struct Door {
    /// What all workers share.
    pub shared: Arc<Shared>,
    /// The worker.
    pub worker: Rc<Worker>,
    /// Its UDP sockets, unless UDP is off.
    pub udp: Option<Rc<UdpPair>>,
    /// For encrypted connections.
    pub tls: Option<TlsAcceptor>,
    /// Who may say for whom it connects.
    pub trusted_proxies: Arc<[IpRange]>,
}

/// What a request for a path comes to.
pub enum Permission {
    /// Go on as this user.
    Granted {
        /// Empty for anybody.
        user: String,
    },
    /// Ask for credentials with these header fields.
    Challenge(Vec<(&'static str, String)>),
    /// No.
    Denied,
}

/// The realm of challenges, as MediaMTX names it.
const REALM: &str = "mediamtx";

/// A question about a path.
pub struct Question<'a> {
    /// What is wanted.
    pub action: Action,
    /// Of which path.
    pub path: &'a PathName,
    /// The query of the URL.
    pub query: &'a str,
    /// Who asks.
    pub peer: SocketAddr,
    /// Over TLS.
    pub secure: bool,
    /// The request's method, part of a digest.
    pub method: &'a Method,
    /// What they show.
    pub shown: Option<&'a Shown>,
    /// The nonce of the session's challenges.
    pub nonce: &'a str,
}

impl Door {
    /// What a session may offer.
    pub fn capabilities(&self, secure: bool) -> Capabilities {
        let config = self.shared.config();
        let port = |port: &UdpPort| port.local_addr().map_or(0, |address| address.port());
        let ports = self.udp.as_ref().map(|udp| Ports { rtp: port(&udp.rtp), rtcp: port(&udp.rtcp) });
        Capabilities {
            // Over TLS media must not leave it: SRTP is not offered yet.
            udp: ports.filter(|_| config.udp && !secure),
            tcp: config.tcp,
            multicast: config.multicast && !secure,
            encrypted: false,
            session_timeout: crate::limits::RTSP_SESSION_TIMEOUT,
        }
    }

    /// Asks who may do what.
    pub fn permission(&self, question: &Question<'_>) -> Permission {
        let Question { method, nonce, .. } = question;
        let proof;
        let credentials = match question.shown {
            None => None,
            Some(Shown::Basic { user, password }) => Some(Credentials::Password { user, password }),
            Some(Shown::Digest(digest)) => {
                proof = |password: &str| digest.verify(method, &digest.user, password, REALM, nonce);
                Some(Credentials::Proof { user: &digest.user, proof: &proof })
            }
        };
        let request = AuthRequest {
            action: question.action,
            path: Some(question.path),
            query: question.query,
            protocol: if question.secure { Protocol::Rtsps } else { Protocol::Rtsp },
            peer: question.peer,
            credentials,
        };
        match self.shared.authenticator.check(&request) {
            Decision::Allow { user } => {
                Permission::Granted { user: user.map_or_else(String::new, |user| user.to_string()) }
            }
            Decision::Challenge => Permission::Challenge(self.challenges(nonce)),
            Decision::Deny => Permission::Denied,
        }
    }

    fn challenges(&self, nonce: &str) -> Vec<(&'static str, String)> {
        let methods = self.shared.config().auth_methods;
        let digest = methods.digest.then(|| digest_challenge(REALM, nonce, Algorithm::Md5));
        let basic = methods.basic.then(|| basic_challenge(REALM));
        digest.into_iter().chain(basic).map(|value| ("WWW-Authenticate", value)).collect()
    }
}

/// The address to say in a description: the unspecified one of the client's family.
pub fn unspecified(peer: IpAddr) -> IpAddr {
    if peer.to_canonical().is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}
