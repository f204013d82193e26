//! The one place that knows every part: start, wire, stop.

mod api;
mod policy;
mod tls;

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};
use weft_cluster::{Clock, Fabric, FabricConfig, NodeState, Storage};

use crate::auth::{Authenticator, OpenMedia};
use crate::config::value::Address;
use crate::config::{Config, Encryption};
use crate::exit::Exit;
use crate::http::{Access, router};
use crate::limits::SHUTDOWN_TIMEOUT;
use crate::rtsp::door::Shared;
use crate::rtsp::{Door, DoorConfig, UdpPair, listener};
use crate::worker::bind::{self, BindError};
use crate::worker::udp::{Port, UdpPort};
use crate::worker::{Pool, Worker};

/// Serves until a signal asks to stop.
pub fn serve(config: Config) -> Exit {
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        warn!("another TLS provider was installed before");
    }
    raise_descriptor_limit();
    let system = actix_rt::System::new();
    system.block_on(async move {
        match start(config).await {
            Ok(node) => node.run().await,
            Err(failure) => {
                error!("{failure}");
                failure.exit()
            }
        }
    })
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("data folder {folder}: {error}")]
    Data { folder: String, error: io::Error },
    #[error("RTSPS: {0}")]
    Tls(String),
    #[error("{what}: address {address:?}: {error}")]
    Address { what: &'static str, address: Address, error: io::Error },
}

impl Failure {
    const fn exit(&self) -> Exit {
        match self {
            Self::Bind(BindError::Taken { .. }) => Exit::PortTaken,
            Self::Bind(_) => Exit::Failure,
            Self::Data { .. } => Exit::DataFolder,
            Self::Tls(_) | Self::Address { .. } => Exit::Configuration,
        }
    }
}

/// A node that has its ports.
struct Node {
    config: Config,
    fabric: Fabric,
    shared: Arc<Shared>,
    authenticator: Arc<dyn Authenticator>,
    parts: Vec<Part>,
    api: Option<TcpListener>,
    /// The storage thread lives as long as the node.
    _storage: Option<Storage>,
}

/// What one worker is given.
#[derive(Default)]
struct Part {
    rtsp: Option<TcpListener>,
    rtsps: Option<TcpListener>,
    tls: Option<tokio_rustls::TlsAcceptor>,
    rtp: Option<UdpSocket>,
    rtcp: Option<UdpSocket>,
}

async fn start(config: Config) -> Result<Node, Failure> {
    let workers = config.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let parts = bind_all(&config, workers)?;
    let api = bind_api(&config)?;
    let clock = Clock::start();
    let (state, storage) = node_state(&config, clock).await?;
    let node = host_name();
    info!(version = env!("CARGO_PKG_VERSION"), %node, id = state.id, incarnation = state.incarnation, "weft starts");
    let memory = memory_bytes();
    let fabric = Fabric::start(FabricConfig {
        node,
        epoch_base: state.epoch_base,
        budget_bytes: usize::try_from(config.stream.log_budget.of(memory)).unwrap_or(usize::MAX),
        policy: Arc::new(policy::Configured::new(config.clone())),
        clock,
    });
    let authenticator: Arc<dyn Authenticator> = Arc::new(OpenMedia);
    let shared = Arc::new(Shared {
        fabric: fabric.clone(),
        authenticator: authenticator.clone(),
        config: door_config(&config),
        egresses: Default::default(),
        routes: Default::default(),
        sessions: Default::default(),
        admission: Default::default(),
        groups: Default::default(),
    });
    Ok(Node { config, fabric, shared, authenticator, parts, api, _storage: storage })
}

impl Node {
    async fn run(mut self) -> Exit {
        let pool = Pool::start(self.parts.len());
        self.log_listeners();
        let shared = self.shared.clone();
        pool.run(core::mem::take(&mut self.parts), move |worker, part| run_worker(worker, part, shared.clone()));
        if let Some(listener) = self.api.take() {
            self.serve_api(listener);
        }
        wait_for_signal().await;
        info!("stopping");
        self.fabric.shut_down();
        let deadline = tokio::time::Instant::now() + SHUTDOWN_TIMEOUT;
        while !self.fabric.list().iter().all(|path| path.publisher.is_none() && path.readers.is_empty())
            && tokio::time::Instant::now() < deadline
        {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        pool.stop();
        info!("stopped");
        Exit::Ok
    }

    fn serve_api(&self, listener: TcpListener) {
        let access = Access {
            authenticator: self.authenticator.clone(),
            allow_origins: self.config.api.allow_origins.clone(),
            rtsp: self.config.rtsp.enabled && self.config.rtsp.encryption != Encryption::Strict,
            rtsps: self.config.rtsp.enabled && self.config.rtsp.encryption != Encryption::No,
        };
        let source = api::Source::new(self.fabric.clone(), self.shared.sessions.clone());
        let app = router(Arc::new(source), access).into_make_service_with_connect_info::<SocketAddr>();
        actix_rt::spawn(async move {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => {
                    let Err(error) = axum::serve(listener, app).await else { return };
                    error!("API: {error}");
                }
                Err(error) => error!("API: {error}"),
            }
        });
    }

    fn log_listeners(&self) {
        let tcp = |listener: &Option<TcpListener>| listener.as_ref().and_then(|l| l.local_addr().ok());
        let udp = |socket: &Option<UdpSocket>| socket.as_ref().and_then(|s| s.local_addr().ok());
        let first = self.parts.first();
        let rows = [
            ("RTSP", first.and_then(|part| tcp(&part.rtsp)), "TCP"),
            ("RTSPS", first.and_then(|part| tcp(&part.rtsps)), "TCP"),
            ("RTP", first.and_then(|part| udp(&part.rtp)), "UDP"),
            ("RTCP", first.and_then(|part| udp(&part.rtcp)), "UDP"),
            ("API", tcp(&self.api), "TCP"),
        ];
        for (what, address, transport) in rows {
            if let Some(address) = address {
                info!(%address, transport, "{what} listening");
            }
        }
    }
}

async fn run_worker(worker: Rc<Worker>, part: Part, shared: Arc<Shared>) {
    let udp = match (part.rtp, part.rtcp) {
        (Some(rtp), Some(rtcp)) => match (UdpPort::new(rtp, Port::Rtp), UdpPort::new(rtcp, Port::Rtcp)) {
            (Ok(rtp), Ok(rtcp)) => Some(Rc::new(UdpPair { rtp, rtcp })),
            (Err(error), _) | (_, Err(error)) => {
                error!("RTP: {error}");
                None
            }
        },
        _ => None,
    };
    let door = Rc::new(Door { shared, worker, udp: udp.clone(), tls: part.tls });
    if let Some(udp) = udp {
        let (routes, rtp) = (door.clone(), udp.clone());
        actix_rt::spawn(async move { rtp.rtp.receive(&routes.shared.routes).await });
        let routes = door.clone();
        actix_rt::spawn(async move { udp.rtcp.receive(&routes.shared.routes).await });
    }
    for (listener, secure) in [(part.rtsp, false), (part.rtsps, true)] {
        if let Some(listener) = listener {
            let door = door.clone();
            actix_rt::spawn(async move {
                if let Err(error) = listener::accept(door, listener, secure).await {
                    error!("RTSP: {error}");
                }
            });
        }
    }
}

/// Binds everything before anything runs: a port that is taken ends the start.
fn bind_all(config: &Config, workers: usize) -> Result<Vec<Part>, Failure> {
    let mut parts: Vec<Part> = (0..workers.max(1)).map(|_| Part::default()).collect();
    let workers = parts.len();
    let rtsp = &config.rtsp;
    if !rtsp.enabled {
        return Ok(parts);
    }
    if rtsp.encryption != Encryption::Strict {
        let listeners = bind::tcp("RTSP", resolve("RTSP", &rtsp.address)?, workers)?;
        parts.iter_mut().zip(listeners).for_each(|(part, listener)| part.rtsp = Some(listener));
    }
    if rtsp.encryption != Encryption::No {
        let tls = tls::acceptor(&rtsp.server_cert, &rtsp.server_key).map_err(Failure::Tls)?;
        let listeners = bind::tcp("RTSPS", resolve("RTSPS", &rtsp.secure_address)?, workers)?;
        for (part, listener) in parts.iter_mut().zip(listeners) {
            part.rtsps = Some(listener);
            part.tls = Some(tls.clone());
        }
    }
    if (rtsp.transports.udp || rtsp.transports.multicast) && rtsp.encryption != Encryption::Strict {
        let read_buffer = config.udp_read_buffer_size;
        let rtp = bind::udp("RTP", resolve("RTP", &rtsp.rtp_address)?, workers, read_buffer)?;
        let rtcp = bind::udp("RTCP", resolve("RTCP", &rtsp.rtcp_address)?, workers, read_buffer)?;
        for ((part, rtp), rtcp) in parts.iter_mut().zip(rtp).zip(rtcp) {
            part.rtp = Some(rtp);
            part.rtcp = Some(rtcp);
        }
    }
    Ok(parts)
}

fn bind_api(config: &Config) -> Result<Option<TcpListener>, Failure> {
    if !config.api.enabled {
        return Ok(None);
    }
    let address = resolve("API", &config.api.address)?;
    Ok(bind::tcp("API", address, 1)?.pop())
}

/// The address to bind. On a machine without IPv6 "all addresses" are those of IPv4.
fn resolve(what: &'static str, address: &Address) -> Result<SocketAddr, Failure> {
    let resolved = address.resolve().map_err(|error| Failure::Address { what, address: address.clone(), error })?;
    let all = resolved.ip().is_unspecified() && resolved.is_ipv6();
    if all && TcpListener::bind("[::]:0").is_err() {
        return Ok(SocketAddr::from(([0, 0, 0, 0], resolved.port())));
    }
    Ok(resolved)
}

fn door_config(config: &Config) -> DoorConfig {
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

/// Counts this start on disk. Where the folder cannot be written the node runs without memory of itself.
async fn node_state(config: &Config, clock: Clock) -> Result<(NodeState, Option<Storage>), Failure> {
    let folder = &config.data_dir;
    let wall_micros = u64::try_from(clock.wall().unix_micros()).unwrap_or(0);
    let new_id = uuid::Uuid::new_v4().simple().to_string();
    let begun = match Storage::start(folder) {
        Ok(storage) => storage.begin(folder, &new_id, wall_micros).await.map(|state| (state, storage)),
        Err(error) => Err(error),
    };
    match begun {
        Ok((state, storage)) => Ok((state, Some(storage))),
        Err(error) if is_read_only(&error) => {
            warn!("data folder {} cannot be written ({error}): state is kept in memory only", folder.display());
            Ok((NodeState { id: new_id, incarnation: 1, epoch_base: wall_micros }, None))
        }
        Err(error) => Err(Failure::Data { folder: folder.display().to_string(), error }),
    }
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

async fn wait_for_signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map_or_else(|_| "node".into(), |name| name.trim().to_owned())
}

/// Memory of the machine, or of the container if that has a smaller limit.
fn memory_bytes() -> u64 {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
    });
    let container = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    machine.unwrap_or(1 << 30).min(container.unwrap_or(u64::MAX))
}

/// Each connection is a descriptor: the soft limit of 1,024 is a relic, the hard one is what the administrator meant.
fn raise_descriptor_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a valid pointer to a `rlimit` that lives for the call.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}
