//! What all RTMP connections of a node share, and what those of one worker do.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio_rustls::TlsAcceptor;
use weft_cluster::Fabric;
use weft_proto::id::PathName;
use weft_proto::rtmp::query_value;

use super::colors::Colors;
use super::stats::Connections;
use crate::auth::{Action, AuthRequest, Authenticator, Credentials, Decision, Protocol};
use crate::config::network::IpRange;
use crate::egress::chunks::ChunkEgresses;
use crate::worker::Worker;
use crate::worker::admission::Admission;

/// What is configured.
#[derive(Clone, Copy, Debug)]
pub struct DoorConfig {
    /// A publisher that sends nothing for so long is dropped.
    pub read_timeout: Duration,
    /// A reader that takes nothing for so long is dropped.
    pub write_timeout: Duration,
}

/// What all workers share.
pub struct Shared {
    /// The fabric.
    pub fabric: Fabric,
    /// Who may do what.
    pub authenticator: Arc<dyn Authenticator>,
    config: ArcSwap<DoorConfig>,
    /// Messages shared by readers.
    pub egresses: ChunkEgresses,
    /// What publishers say of their pictures.
    pub(super) colors: Arc<Colors>,
    /// For the API.
    pub connections: Arc<Connections>,
    /// Bounds on connections, of all doors together.
    pub admission: Arc<Admission>,
}

impl Shared {
    /// A door without connections.
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
            egresses: ChunkEgresses::default(),
            colors: Arc::default(),
            connections: Arc::default(),
            admission,
        }
    }

    /// What is configured now.
    pub fn config(&self) -> DoorConfig {
        **self.config.load()
    }

    /// Changes what is configured. Connections that are there feel it at once.
    pub fn set_config(&self, config: DoorConfig) {
        self.config.store(Arc::new(config));
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
    /// Who may say for whom it connects.
    pub trusted_proxies: Arc<[IpRange]>,
}

impl Door {
    /// Asks who may do what. Gives the user's name, empty for anybody; `None` is no. RTMP has no way to ask for credentials:
    /// they stand in the query, `user` and `pass` or `token` (formerly `jwt`).
    pub(super) fn permission(
        &self,
        action: Action,
        path: &PathName,
        query: &str,
        peer: SocketAddr,
        secure: bool,
    ) -> Option<String> {
        let value = |name: &str| query_value(query, name);
        let (user, password) = (value("user"), value("pass"));
        let token = value("token").or_else(|| value("jwt"));
        let credentials = match (&user, &password, &token) {
            (.., Some(token)) => Some(Credentials::Token(token)),
            (Some(user), password, None) => {
                Some(Credentials::Password { user, password: password.as_deref().unwrap_or_default() })
            }
            // A token may stand where the password does.
            (None, Some(password), None) => Some(Credentials::Token(password)),
            (None, None, None) => None,
        };
        let protocol = if secure { Protocol::Rtmps } else { Protocol::Rtmp };
        let request = AuthRequest { action, path: Some(path), query, protocol, peer, credentials };
        match self.shared.authenticator.check(&request) {
            Decision::Allow { user } => Some(user.map_or_else(String::new, |user| user.to_string())),
            Decision::Challenge | Decision::Deny => None,
        }
    }
}
