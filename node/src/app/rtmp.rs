//! The RTMP door, put together: its ports, its settings, its tasks on each worker.

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::error;
use uuid::Uuid;

use super::Failure;
use super::sockets::{self, Bound, Generation};
use super::tls::Certificate;
use crate::config::network::IpRange;
use crate::config::{Config, Encryption};
use crate::http::{RtmpConnInfo, RtspState, Timestamp};
use crate::rtmp::{Connection, Door, DoorConfig, Shared, State, listener};
use crate::worker::Pool;

/// What the door listens on.
#[derive(Default)]
pub(super) struct Sockets {
    plain: Option<Bound<TcpListener>>,
    secure: Option<Bound<TcpListener>>,
    certificate: Option<Certificate>,
}

/// The door, serving.
pub(super) struct Service {
    shared: Arc<Shared>,
    sockets: Sockets,
    /// Ends the accepting tasks when the next ones are there.
    _generation: Generation,
}

impl Sockets {
    /// Binds what `config` asks for and `old` has not, and reads the certificate.
    pub(super) fn open(config: &Config, old: &Self, workers: usize) -> Result<Self, Failure> {
        let rtmp = &config.rtmp;
        let plain = rtmp.enabled && rtmp.encryption != Encryption::Strict;
        let secure = rtmp.enabled && rtmp.encryption != Encryption::No;
        let certificate =
            secure.then(|| Certificate::load("RTMPS", &rtmp.server_cert, &rtmp.server_key)).transpose()?;
        let (plain, secure) = (plain.then_some(&rtmp.address), secure.then_some(&rtmp.secure_address));
        Ok(Self {
            plain: sockets::tcp("RTMP", plain, old.plain.as_ref(), workers)?,
            secure: sockets::tcp("RTMPS", secure, old.secure.as_ref(), workers)?,
            certificate,
        })
    }

    /// Says where it listens.
    pub(super) fn announce(&self) {
        self.plain.iter().chain(&self.secure).for_each(Bound::announce);
    }
}

impl Service {
    /// Serves on all workers.
    pub(super) fn start(shared: Arc<Shared>, config: &Config, mut sockets: Sockets, pool: &Pool) -> Self {
        let generation = serve(&shared, config, &mut sockets, pool);
        Self { shared, sockets, _generation: generation }
    }

    /// What is listened on now.
    pub(super) const fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// Goes on with other settings and sockets. Connections that are there stay.
    pub(super) fn change(&mut self, config: &Config, mut sockets: Sockets, pool: &Pool) {
        self._generation = serve(&self.shared, config, &mut sockets, pool);
        self.shared.set_config(door_config(config));
        self.sockets = sockets;
    }
}

/// What is configured.
pub(super) const fn door_config(config: &Config) -> DoorConfig {
    DoorConfig { read_timeout: config.read_timeout, write_timeout: config.write_timeout }
}

fn serve(shared: &Arc<Shared>, config: &Config, sockets: &mut Sockets, pool: &Pool) -> Generation {
    let (generation, alive) = Generation::begin();
    let (mut plain, mut secure) = (sockets::take(&mut sockets.plain), sockets::take(&mut sockets.secure));
    let parts: Vec<_> = (0..pool.len()).map(|_| [(plain.pop(), false), (secure.pop(), true)]).collect();
    let (shared, tls) = (shared.clone(), sockets.certificate.as_ref().map(Certificate::acceptor));
    let trusted: Arc<[IpRange]> = config.rtmp.trusted_proxies.clone().into();
    pool.run(parts, move |worker, part| {
        let trusted_proxies = trusted.clone();
        let door = Rc::new(Door { shared: shared.clone(), worker, tls: tls.clone(), trusted_proxies });
        for (listener, secure) in part {
            let (Some(listener), door) = (listener, door.clone()) else { continue };
            actix_rt::spawn(alive.clone().run(async move {
                if let Err(error) = listener::accept(door, listener, secure).await {
                    error!("RTMP: {error}");
                }
            }));
        }
    });
    generation
}

/// A connection as the API shows it.
pub(super) fn connection_info(connection: &Connection) -> Option<RtmpConnInfo> {
    let facts = connection.facts.lock().clone();
    Some(RtmpConnInfo {
        id: Uuid::parse_str(&connection.id).ok()?,
        created: Timestamp(connection.created),
        remote_addr: connection.peer,
        state: match facts.state {
            State::Idle => RtspState::Idle,
            State::Read => RtspState::Read,
            State::Publish => RtspState::Publish,
        },
        path: facts.path,
        query: facts.query,
        user: facts.user,
        user_agent: facts.user_agent,
        inbound_bytes: connection.inbound_bytes.load(Ordering::Relaxed),
        outbound_bytes: connection.outbound_bytes.load(Ordering::Relaxed),
        outbound_frames_discarded: connection.outbound_discarded.load(Ordering::Relaxed),
    })
}
