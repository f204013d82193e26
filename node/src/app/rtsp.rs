//! The RTSP door, put together: its ports, its settings, its tasks on each worker.

use std::net::{TcpListener, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::TlsAcceptor;
use tracing::error;

use super::Failure;
use super::sockets::{self, Alive, Bound, Generation};
use super::tls::Certificate;
use crate::config::network::IpRange;
use crate::config::{Config, Encryption};
use crate::rtsp::door::Shared;
use crate::rtsp::{Door, DoorConfig, UdpPair, listener};
use crate::worker::udp::{Port, UdpPort};
use crate::worker::{Pool, Worker};

/// How often sockets of an older configuration look whether sessions still hold them.
const HELD_ROUND: Duration = Duration::from_secs(1);

/// What the door listens on.
#[derive(Default)]
pub(super) struct Sockets {
    plain: Option<Bound<TcpListener>>,
    secure: Option<Bound<TcpListener>>,
    rtp: Option<Bound<UdpSocket>>,
    rtcp: Option<Bound<UdpSocket>>,
    certificate: Option<Certificate>,
}

/// The door, serving.
pub(super) struct Service {
    shared: Arc<Shared>,
    sockets: Sockets,
    /// Ends the accepting tasks when the next ones are there.
    _generation: Generation,
}

/// What one worker is given.
struct Part {
    plain: Option<TcpListener>,
    secure: Option<TcpListener>,
    rtp: Option<UdpSocket>,
    rtcp: Option<UdpSocket>,
}

impl Sockets {
    /// Binds what `config` asks for and `old` has not, and reads the certificate.
    pub(super) fn open(config: &Config, old: &Self, workers: usize) -> Result<Self, Failure> {
        let rtsp = &config.rtsp;
        let plain = rtsp.enabled && rtsp.encryption != Encryption::Strict;
        let secure = rtsp.enabled && rtsp.encryption != Encryption::No;
        let udp = plain && (rtsp.transports.udp || rtsp.transports.multicast);
        let buffer = config.udp_read_buffer_size;
        let certificate =
            secure.then(|| Certificate::load("RTSPS", &rtsp.server_cert, &rtsp.server_key)).transpose()?;
        let (plain, secure) = (plain.then_some(&rtsp.address), secure.then_some(&rtsp.secure_address));
        let (rtp, rtcp) = (udp.then_some(&rtsp.rtp_address), udp.then_some(&rtsp.rtcp_address));
        Ok(Self {
            plain: sockets::tcp("RTSP", plain, old.plain.as_ref(), workers)?,
            secure: sockets::tcp("RTSPS", secure, old.secure.as_ref(), workers)?,
            rtp: sockets::udp("RTP", rtp, old.rtp.as_ref(), workers, buffer)?,
            rtcp: sockets::udp("RTCP", rtcp, old.rtcp.as_ref(), workers, buffer)?,
            certificate,
        })
    }

    /// Says where it listens.
    pub(super) fn announce(&self) {
        self.plain.iter().chain(&self.secure).for_each(Bound::announce);
        self.rtp.iter().chain(&self.rtcp).for_each(Bound::announce);
    }

    fn parts(&mut self, workers: usize) -> Vec<Part> {
        let (mut plain, mut secure) = (sockets::take(&mut self.plain), sockets::take(&mut self.secure));
        let (mut rtp, mut rtcp) = (sockets::take(&mut self.rtp), sockets::take(&mut self.rtcp));
        let part = |_| Part { plain: plain.pop(), secure: secure.pop(), rtp: rtp.pop(), rtcp: rtcp.pop() };
        (0..workers).map(part).collect()
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

    /// Goes on with other settings and sockets. Sessions that are there stay.
    pub(super) fn change(&mut self, config: &Config, mut sockets: Sockets, pool: &Pool) {
        self._generation = serve(&self.shared, config, &mut sockets, pool);
        self.shared.set_config(door_config(config));
        self.sockets = sockets;
    }
}

/// What is configured.
pub(super) fn door_config(config: &Config) -> DoorConfig {
    let rtsp = &config.rtsp;
    DoorConfig {
        tcp: rtsp.transports.tcp,
        udp: rtsp.transports.udp,
        multicast: rtsp.transports.multicast,
        auth_methods: rtsp.auth_methods,
        multicast_groups: rtsp.multicast_range,
        multicast_rtp_port: rtsp.multicast_rtp_port,
        read_timeout: config.read_timeout,
        write_timeout: config.write_timeout,
        packet_bytes_max: config.udp_max_payload_size,
    }
}

fn serve(shared: &Arc<Shared>, config: &Config, sockets: &mut Sockets, pool: &Pool) -> Generation {
    let (generation, alive) = Generation::begin();
    let parts = sockets.parts(pool.len());
    let (shared, tls) = (shared.clone(), sockets.certificate.as_ref().map(Certificate::acceptor));
    let trusted: Arc<[IpRange]> = config.rtsp.trusted_proxies.clone().into();
    pool.run(parts, move |worker, part| run(worker, part, (tls.clone(), trusted.clone()), &shared, &alive));
    generation
}

/// Serves on one worker.
fn run(
    worker: Rc<Worker>,
    part: Part,
    (tls, trusted_proxies): (Option<TlsAcceptor>, Arc<[IpRange]>),
    shared: &Arc<Shared>,
    alive: &Alive,
) {
    let udp = match (part.rtp, part.rtcp) {
        (Some(rtp), Some(rtcp)) => match (UdpPort::new(rtp), UdpPort::new(rtcp)) {
            (Ok(rtp), Ok(rtcp)) => Some(Rc::new(UdpPair { rtp, rtcp })),
            (Err(error), _) | (_, Err(error)) => {
                error!("RTP: {error}");
                None
            }
        },
        _ => None,
    };
    let door = Rc::new(Door { shared: shared.clone(), worker, udp: udp.clone(), tls, trusted_proxies });
    if let Some(pair) = udp {
        actix_rt::spawn(receive(Port::Rtp, pair.clone(), shared.clone(), alive.clone()));
        actix_rt::spawn(receive(Port::Rtcp, pair, shared.clone(), alive.clone()));
    }
    for (listener, secure) in [(part.plain, false), (part.secure, true)] {
        if let Some(listener) = listener {
            let door = door.clone();
            actix_rt::spawn(alive.clone().run(async move {
                if let Err(error) = listener::accept(door, listener, secure).await {
                    error!("RTSP: {error}");
                }
            }));
        }
    }
}

/// Receives from one socket while its generation lasts, and after that while sessions hold it: as long as it is open the
/// kernel may prefer it to that of the next generation.
async fn receive(port: Port, pair: Rc<UdpPair>, shared: Arc<Shared>, alive: Alive) {
    let socket = match port {
        Port::Rtp => &pair.rtp,
        Port::Rtcp => &pair.rtcp,
    };
    alive.run(socket.receive(port, &shared.routes)).await;
    // The tasks of both sockets have it themselves.
    while Rc::strong_count(&pair) > 2 {
        let _ = tokio::time::timeout(HELD_ROUND, socket.receive(port, &shared.routes)).await;
    }
}
