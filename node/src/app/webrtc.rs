//! The WebRTC door, put together: its ports, its settings, its tasks on each worker, and where clients are told to find it.

use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs as _, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tracing::{debug, error, warn};
use weft_cluster::Fabric;
use weft_cluster::mesh::faults::Faults;
use weft_proto::webrtc::answer::Candidate;

use super::Failure;
use super::sockets::{self, Alive, Bound, Generation};
use super::tls::Certificate;
use crate::auth::Authenticator;
use crate::config::{Config, WebrtcConfig};
use crate::http::{Timestamp, WebrtcSessionInfo, WebrtcState};
use crate::web;
use crate::webrtc::{self, Door, DoorConfig, IceServer, Role, SessionRecord, Shared};
use crate::worker::Pool;
use crate::worker::admission::Admission;
use crate::worker::udp::UdpPort;

/// How often sockets of an older configuration look whether sessions still hold them.
const HELD_ROUND: Duration = Duration::from_secs(1);

/// How often it is looked where clients reach this node.
const ADDRESSES_ROUND: Duration = Duration::from_secs(15);

/// What the door listens on.
#[derive(Default)]
pub(super) struct Sockets {
    listener: Option<Bound<TcpListener>>,
    media: Option<Bound<UdpSocket>>,
    /// Media over TCP.
    connections: Option<Bound<TcpListener>>,
    certificate: Option<Certificate>,
}

/// The door, serving.
pub(super) struct Service {
    shared: Arc<Shared>,
    sockets: Sockets,
    /// Of what the candidates are made.
    told: Arc<Mutex<(WebrtcConfig, Ports)>>,
    /// Ends the accepting tasks when the next ones are there.
    _generation: Generation,
}

impl Sockets {
    /// Binds what `config` asks for and `old` has not, and reads the certificate.
    pub(super) fn open(config: &Config, old: &Self, workers: usize) -> Result<Self, Failure> {
        let webrtc = &config.webrtc;
        let encrypted = webrtc.enabled && webrtc.encryption;
        let certificate =
            encrypted.then(|| Certificate::load("WebRTC", &webrtc.server_cert, &webrtc.server_key)).transpose()?;
        let address = webrtc.enabled.then_some(&webrtc.address);
        let media = webrtc.udp_address.as_ref().filter(|_| webrtc.enabled);
        let connections = webrtc.tcp_address.as_ref().filter(|_| webrtc.enabled);
        let buffer = config.udp_read_buffer_size;
        Ok(Self {
            listener: sockets::tcp("WebRTC", address, old.listener.as_ref(), workers)?,
            media: sockets::udp("WebRTC media", media, old.media.as_ref(), workers, buffer)?,
            connections: sockets::tcp("WebRTC media", connections, old.connections.as_ref(), workers)?,
            certificate,
        })
    }

    /// Says where it listens.
    pub(super) fn announce(&self) {
        self.listener.iter().for_each(Bound::announce);
        self.media.iter().for_each(Bound::announce);
        self.connections.iter().for_each(Bound::announce);
    }

    fn bound(&self) -> Ports {
        Ports { udp: self.media.as_ref().and_then(Bound::local), tcp: self.connections.as_ref().and_then(Bound::local) }
    }
}

/// Where media comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ports {
    udp: Option<SocketAddr>,
    tcp: Option<SocketAddr>,
}

impl Ports {
    /// Where clients reach media, UDP first. Names are looked up, which blocks; `is_loud`: operators are told of those that are unknown.
    fn candidates(self, config: &WebrtcConfig, is_loud: bool) -> Vec<Candidate> {
        let Self { udp, tcp } = self;
        let udp = udp.into_iter().flat_map(|bound| addresses(config, bound, is_loud).into_iter().map(Candidate::udp));
        udp.chain(tcp.into_iter().flat_map(|bound| addresses(config, bound, is_loud).into_iter().map(Candidate::tcp)))
            .collect()
    }
}

impl Service {
    /// Serves on all workers.
    pub(super) fn start(shared: Arc<Shared>, config: &Config, mut sockets: Sockets, pool: &Pool) -> Self {
        let generation = serve(&shared, &mut sockets, pool);
        let told = Arc::new(Mutex::new((config.webrtc.clone(), sockets.bound())));
        actix_rt::spawn(follow_addresses(shared.clone(), told.clone()));
        Self { shared, sockets, told, _generation: generation }
    }

    /// What is listened on now.
    pub(super) const fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// Goes on with other settings and sockets. Sessions that are there stay.
    pub(super) fn change(&mut self, config: &Config, mut sockets: Sockets, pool: &Pool) {
        *self.told.lock() = (config.webrtc.clone(), sockets.bound());
        self.shared.set_config(door_config(config, &sockets));
        self._generation = serve(&self.shared, &mut sockets, pool);
        self.sockets = sockets;
    }
}

/// Addresses come and go with networks, and names may not be known yet when a node starts: what clients are told follows.
async fn follow_addresses(shared: Arc<Shared>, told: Arc<Mutex<(WebrtcConfig, Ports)>>) {
    loop {
        tokio::time::sleep(ADDRESSES_ROUND).await;
        let (config, ports) = told.lock().clone();
        let looked = config.clone();
        let found = actix_rt::task::spawn_blocking(move || ports.candidates(&looked, false)).await;
        let before = shared.config();
        match found {
            Ok(found) if *before.candidates != *found && *told.lock() == (config, ports) => {
                shared.set_config(DoorConfig { candidates: found.into(), ..(*before).clone() });
            }
            _ => {}
        }
    }
}

/// What all workers share.
pub(super) fn shared(
    (config, sockets): (&Config, &Sockets),
    (fabric, faults): (&Fabric, Option<Faults>),
    authenticator: &Arc<dyn Authenticator>,
    admission: &Arc<Admission>,
) -> Result<Arc<Shared>, Failure> {
    let certificate =
        webrtc::Certificate::generate().map_err(|error| Failure::Tls { what: "WebRTC certificate", error })?;
    let config = door_config(config, sockets);
    let (authenticator, admission) = (authenticator.clone(), admission.clone());
    let mut shared = Shared::new(fabric.clone(), authenticator, config, certificate, admission);
    shared.faults = faults;
    Ok(Arc::new(shared))
}

fn door_config(config: &Config, sockets: &Sockets) -> DoorConfig {
    let webrtc = &config.webrtc;
    let servers = webrtc.ice_servers.iter().map(|server| IceServer {
        url: server.url.clone(),
        username: server.username.clone(),
        password: server.password.clone(),
    });
    DoorConfig {
        allow_origins: webrtc.allow_origins.clone().into(),
        trusted_proxies: webrtc.trusted_proxies.clone(),
        candidates: sockets.bound().candidates(webrtc, true).into(),
        ice_servers: servers.collect(),
        handshake_timeout: webrtc.handshake_timeout,
        read_timeout: config.read_timeout,
        write_timeout: config.write_timeout,
    }
}

/// Where clients reach a port: what the operator names first, then the machine's own addresses, its loopback last.
fn addresses(config: &WebrtcConfig, bound: SocketAddr, is_loud: bool) -> Vec<SocketAddr> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for host in &config.additional_hosts {
        match (host.as_str(), bound.port()).to_socket_addrs() {
            Ok(found) => addresses.extend(found.map(|address| address.ip())),
            Err(error) if is_loud => warn!("webrtcAdditionalHosts: {host}: {error}; it is looked up again later"),
            Err(error) => debug!("webrtcAdditionalHosts: {host}: {error}"),
        }
    }
    if !bound.ip().is_unspecified() {
        addresses.push(bound.ip());
    } else if config.ips_from_interfaces {
        addresses.extend(interfaces(&config.interfaces));
    }
    let mut told: Vec<IpAddr> = Vec::new();
    for address in addresses.into_iter().map(|address| address.to_canonical()) {
        let is_reached = address.is_ipv4() || bound.is_ipv6();
        if is_reached && !told.contains(&address) {
            told.push(address);
        }
    }
    told.into_iter().map(|ip| SocketAddr::new(ip, bound.port())).collect()
}

/// Addresses of these interfaces, or of all; those that are good on one link only are left out.
fn interfaces(wanted: &[String]) -> Vec<IpAddr> {
    let found = match if_addrs::get_if_addrs() {
        Ok(found) => found,
        Err(error) => {
            warn!("the addresses of the interfaces are not known: {error}");
            return Vec::new();
        }
    };
    let is_wanted = |name: &String| wanted.is_empty() || wanted.contains(name);
    let named = found.into_iter().filter(|interface| is_wanted(&interface.name) && !interface.is_link_local());
    let mut addresses: Vec<IpAddr> = named.map(|interface| interface.ip()).collect();
    addresses.sort_by_key(IpAddr::is_loopback);
    addresses
}

fn serve(shared: &Arc<Shared>, sockets: &mut Sockets, pool: &Pool) -> Generation {
    let (generation, alive) = Generation::begin();
    let (mut listeners, mut media) = (sockets::take(&mut sockets.listener), sockets::take(&mut sockets.media));
    let mut connections = sockets::take(&mut sockets.connections);
    let parts: Vec<_> = (0..pool.len()).map(|_| (listeners.pop(), media.pop(), connections.pop())).collect();
    let (shared, tls) = (shared.clone(), sockets.certificate.as_ref().map(Certificate::acceptor));
    pool.run(parts, move |worker, (listener, media, connections)| {
        let open = |socket| match shared.faults.clone() {
            Some(faults) => UdpPort::with_faults(socket, faults, shared.fabric.clock()),
            None => UdpPort::new(socket),
        };
        let udp = media.and_then(|socket| match open(socket) {
            Ok(port) => Some(Rc::new(port)),
            Err(error) => {
                error!("WebRTC media: {error}");
                None
            }
        });
        let door = Rc::new(Door { shared: shared.clone(), worker, tls: tls.clone(), udp });
        run(&door, listener, connections, &alive);
    });
    generation
}

/// Serves on one worker.
fn run(door: &Rc<Door>, listener: Option<TcpListener>, connections: Option<TcpListener>, alive: &Alive) {
    if let Some(port) = door.udp.clone() {
        actix_rt::spawn(receive(port, door.shared.clone(), alive.clone()));
    }
    if let Some(listener) = connections {
        let door = door.clone();
        actix_rt::spawn(alive.clone().run(async move {
            if let Err(error) = webrtc::tcp::accept(door, listener).await {
                error!("WebRTC media: {error}");
            }
        }));
    }
    if let Some(listener) = listener {
        let door = door.clone();
        actix_rt::spawn(alive.clone().run(async move {
            if let Err(error) = web::accept(door, listener).await {
                error!("WebRTC: {error}");
            }
        }));
    }
}

/// Receives while its generation lasts, and after that while sessions hold the socket: as long as it is open the kernel may
/// prefer it to that of the next generation.
async fn receive(port: Rc<UdpPort>, shared: Arc<Shared>, alive: Alive) {
    alive.run(shared.mux.receive(&port)).await;
    while Rc::strong_count(&port) > 1 {
        let _ = tokio::time::timeout(HELD_ROUND, shared.mux.receive(&port)).await;
    }
}

/// A session as the API shows it.
pub(super) fn session_info(record: &SessionRecord) -> WebrtcSessionInfo {
    let counters = &record.counters;
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let (local, remote) = record.way.lock().clone().unwrap_or_default();
    WebrtcSessionInfo {
        id: record.id,
        created: Timestamp(record.created),
        remote_addr: record.peer,
        established: record.established.load(Ordering::Relaxed),
        local_candidate: local,
        remote_candidate: remote,
        state: match record.role {
            Role::Reader => WebrtcState::Read,
            Role::Publisher => WebrtcState::Publish,
        },
        path: record.path.clone(),
        query: record.query.clone(),
        user: record.user.clone(),
        user_agent: record.user_agent.clone(),
        inbound_bytes: count(&counters.inbound_bytes),
        inbound_rtp_packets: count(&counters.inbound_packets),
        inbound_rtp_packets_lost: count(&counters.inbound_lost),
        inbound_rtp_packets_jitter: f64::from_bits(count(&counters.inbound_jitter)),
        inbound_rtcp_packets: count(&counters.inbound_rtcp),
        outbound_bytes: count(&counters.outbound_bytes),
        outbound_rtp_packets: count(&counters.outbound_packets),
        outbound_rtp_packets_repeated: count(&counters.outbound_repeated),
        outbound_rtcp_packets: count(&counters.outbound_rtcp),
        outbound_frames_discarded: count(&counters.outbound_discarded),
    }
}
