//! The one place that knows every part: start, wire, reload, stop.

mod api;
mod cluster;
mod cluster_api;
mod configuration;
mod control;
mod drain;
mod faults;
mod hls;
mod inquiry;
mod policy;
mod reload;
mod rtmp;
mod rtsp;
mod sockets;
mod sources;
mod system;
mod tls;
mod watch;
mod webrtc;

use std::io;
use std::sync::Arc;

use tokio::sync::{mpsc, watch as channel};
use tracing::{error, info, warn};
use weft_cluster::membership::{Cluster, Ended, History};
use weft_cluster::mesh::faults::Faults;
use weft_cluster::ownership::{Claimant as _, NodeId};
use weft_cluster::{Clock, Fabric, FabricConfig, NodeState, Storage};

use self::configuration::{Agreed, Configuration, LateHost, Wish};
use crate::auth::{Authenticator, OpenMedia};
use crate::config::value::Address;
use crate::config::{Config, Effective, LoadSource, Loaded};
use crate::exit::Exit;
use crate::limits::{HAND_OVER_WITHIN, SHUTDOWN_TIMEOUT};
use crate::telemetry::logs::LogLevels;
use crate::worker::Pool;
use crate::worker::bind::BindError;

/// Serves until a signal asks to stop. `source`: where to load the configuration from again when it changes.
pub fn serve(loaded: Loaded, source: LoadSource, levels: LogLevels) -> Exit {
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        warn!("another TLS provider was installed before");
    }
    system::raise_descriptor_limit();
    let system = actix_rt::System::new();
    system.block_on(async move {
        match Node::start(loaded, source, levels).await {
            Ok(node) => node.run().await,
            Err(failure) => {
                error!("{failure}");
                failure.exit()
            }
        }
    })
}

/// Why a node does not start, or a part of it not go on with another configuration.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("data folder {folder}: {error}")]
    Data { folder: String, error: io::Error },
    #[error("{0}")]
    Cluster(String),
    #[error("{what}: {error}")]
    Tls { what: &'static str, error: String },
    #[error("{what}: address {address:?}: {error}")]
    Address { what: &'static str, address: Address, error: io::Error },
}

impl Failure {
    const fn exit(&self) -> Exit {
        match self {
            Self::Bind(BindError::Taken { .. }) => Exit::PortTaken,
            Self::Bind(_) | Self::Cluster(_) => Exit::Failure,
            Self::Data { .. } => Exit::DataFolder,
            Self::Tls { .. } | Self::Address { .. } => Exit::Configuration,
        }
    }
}

/// A node that serves.
struct Node {
    /// The configuration in force.
    effective: Effective,
    configuration: Arc<Configuration>,
    /// The revision of the configuration that is agreed.
    agreed: channel::Receiver<u64>,
    /// Changes of this node's own keys, by the API.
    wishes: mpsc::Receiver<Wish>,
    host: Arc<LateHost>,
    source: LoadSource,
    levels: LogLevels,
    fabric: Fabric,
    policy: Arc<policy::Configured>,
    pool: Pool,
    rtsp: rtsp::Service,
    hls: hls::Service,
    webrtc: webrtc::Service,
    rtmp: rtmp::Service,
    control: control::Service,
    sources: sources::Service,
    cluster: Cluster,
    /// Told when the node takes no part in its cluster any more.
    ended: tokio::sync::oneshot::Receiver<Ended>,
}

/// What is listened on already, door by door.
type Held<'a> = (&'a rtsp::Sockets, &'a rtmp::Sockets, &'a hls::Sockets, &'a webrtc::Sockets, &'a control::Sockets);

/// What all doors listen on. To open it is all that can fail when a node starts or takes another configuration.
#[derive(Default)]
struct Sockets {
    rtsp: rtsp::Sockets,
    hls: hls::Sockets,
    webrtc: webrtc::Sockets,
    rtmp: rtmp::Sockets,
    control: control::Sockets,
}

impl Sockets {
    /// Binds what is not bound in `old` already. When something cannot be had nothing has changed.
    fn open(config: &Config, (rtsp, rtmp, hls, webrtc, control): Held<'_>, workers: usize) -> Result<Self, Failure> {
        Ok(Self {
            rtsp: rtsp::Sockets::open(config, rtsp, workers)?,
            hls: hls::Sockets::open(config, hls, workers)?,
            webrtc: webrtc::Sockets::open(config, webrtc, workers)?,
            rtmp: rtmp::Sockets::open(config, rtmp, workers)?,
            control: control::Sockets::open(config, control)?,
        })
    }

    fn announce(&self) {
        self.rtsp.announce();
        self.hls.announce();
        self.webrtc.announce();
        self.rtmp.announce();
        self.control.announce();
    }
}

impl Node {
    async fn start(loaded: Loaded, mut source: LoadSource, levels: LogLevels) -> Result<Self, Failure> {
        let loaded = configuration::read(loaded, &mut source);
        let config = &loaded.config;
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let workers = config.workers.unwrap_or_else(cores).max(1);
        let Sockets { rtsp, rtmp, hls, webrtc, control } = Sockets::default();
        let sockets = Sockets::open(config, (&rtsp, &rtmp, &hls, &webrtc, &control), workers)?;
        let clock = Clock::start();
        let (state, storage) = node_state(config, clock).await?;
        let node = cluster::name(config);
        let NodeState { id, incarnation, .. } = state;
        info!(version = env!("CARGO_PKG_VERSION"), %node, %id, incarnation, "weft starts");
        let [(revision, in_force), (agrees, agreed)] = [channel::channel(0), channel::channel(0)];
        let tell = Arc::new(LateHost::new(agreed.clone(), in_force));
        let history = Arc::new(History::new(clock));
        let observer = Arc::new(Agreed { history: history.clone(), revision: agrees.clone() });
        let storage = (state, storage);
        let chaos = config.chaos.then(|| Faults::new(clock));
        let (cluster, ended) = cluster::start(config, storage, clock, tell.clone(), observer, chaos.clone()).await?;
        let effective = configuration::begin(&loaded, &cluster, &agrees);
        let config = effective.config.clone();
        levels.set(config.log.level);
        let relay_faults = chaos.clone();
        let door_faults = chaos.is_some().then(|| Faults::new(clock));
        let faults = chaos
            .zip(door_faults.clone())
            .map(|(faults, webrtc)| Arc::new(faults::Injected::new(faults, webrtc, cluster.clone(), clock)));
        let label = node.clone();
        sockets.announce();
        let policy = Arc::new(policy::Configured::new(config.clone()));
        let budget = config.stream.log_budget.of(system::memory_bytes());
        let fabric = Fabric::start(FabricConfig {
            node,
            claimant: Arc::new(cluster.clone()),
            budget_bytes: usize::try_from(budget).unwrap_or(usize::MAX),
            policy: policy.clone(),
            clock,
        });
        tell.set(fabric.host());
        let authenticator: Arc<dyn Authenticator> = Arc::new(OpenMedia);
        let pool = Pool::start(workers);
        let relays = cluster::open_relays(&config, &cluster, &fabric, &pool, clock, relay_faults)?;
        let view = Arc::new(cluster_api::View::new(cluster.clone(), history, label, relays));
        let rtsp = Arc::new(crate::rtsp::door::Shared::new(
            fabric.clone(),
            authenticator.clone(),
            rtsp::door_config(&config),
            Default::default(),
        ));
        let rtmp = Arc::new(crate::rtmp::Shared::new(
            fabric.clone(),
            authenticator.clone(),
            rtmp::door_config(&config),
            rtsp.admission.clone(),
        ));
        let hls = hls::shared(&config, &fabric, &authenticator, &rtsp.admission);
        hls::share_key(hls.clone(), cluster.clone());
        let webrtc =
            webrtc::shared((&config, &sockets.webrtc), (&fabric, door_faults), &authenticator, &rtsp.admission)?;
        let connections = rtmp.connections.clone();
        let api = Arc::new(api::Source::new(
            (fabric.clone(), cluster.clone()),
            rtsp.sessions.clone(),
            connections,
            hls.clone(),
            webrtc.sessions.clone(),
        ));
        let sources = sources::Service::start(&config, &fabric, &pool, crate::rtmp::Sources::of(&rtmp));
        let rtsp = rtsp::Service::start(rtsp, &config, sockets.rtsp, &pool);
        let rtmp = rtmp::Service::start(rtmp, &config, sockets.rtmp, &pool);
        let hls = hls::Service::start(hls, sockets.hls, &pool);
        let webrtc = webrtc::Service::start(webrtc, &config, sockets.webrtc, &pool);
        inquiry::answer(api.clone(), &cluster);
        let others = Arc::new(inquiry::Mesh::new(cluster.clone()));
        let (configuration, wishes) =
            Configuration::new((cluster.clone(), clock), cluster::name(&config), effective.clone(), revision);
        tell.look_again().iter().for_each(|path| cluster.let_go(path));
        let config_api = configuration.clone();
        let answers = control::Answers { node: api, cluster: view, config: config_api, others, faults, authenticator };
        let control = control::Service::start(&config, answers, sockets.control);
        cluster.sources_changed();
        actix_rt::spawn(configuration::import(configuration.clone()));
        Ok(Self {
            effective,
            configuration,
            agreed,
            wishes,
            host: tell,
            source,
            levels,
            fabric,
            policy,
            pool,
            rtsp,
            rtmp,
            hls,
            webrtc,
            control,
            sources,
            cluster,
            ended,
        })
    }

    async fn run(mut self) -> Exit {
        let mut watch = watch::Watch::start();
        watch.set(self.files());
        self.report_file();
        let end = system::asked_to_end();
        let mut end = std::pin::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => break,
                Ok(why) = &mut self.ended => {
                    error!("{why}");
                    self.stop().await;
                    return Exit::Failure;
                }
                Ok(()) = self.agreed.changed() => self.follow().await,
                Some(wish) = self.wishes.recv() => {
                    self.take_wish(wish).await;
                    watch.set(self.files());
                }
                () = watch.changed() => {
                    self.reload().await;
                    watch.set(self.files());
                }
            }
        }
        self.stop().await
    }

    async fn stop(self) -> Exit {
        info!("stopping");
        // Who leads next tells the others of what follows, and standbys go on before those go for whom they wait.
        let hand_over = async {
            self.cluster.resign().await;
            self.cluster.hand_to_standbys(HAND_OVER_WITHIN).await
        };
        if let Ok(Ok(paths @ 1..)) = tokio::time::timeout(HAND_OVER_WITHIN, hand_over).await {
            info!(paths, "standbys of other nodes go on with paths");
        }
        self.sources.stop().await;
        self.fabric.shut_down();
        let deadline = tokio::time::Instant::now() + SHUTDOWN_TIMEOUT;
        while !self.fabric.list().iter().all(|path| path.online_since.is_none() && path.readers.is_empty())
            && tokio::time::Instant::now() < deadline
        {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        self.fabric.close_relays().await;
        self.cluster.leave().await;
        self.pool.stop();
        info!("stopped");
        Exit::Ok
    }
}

/// Counts this start on disk. Where the folder cannot be written the node runs without memory of itself.
async fn node_state(config: &Config, clock: Clock) -> Result<(NodeState, Option<Storage>), Failure> {
    let folder = &config.data_dir;
    let wall_micros = u64::try_from(clock.wall().unix_micros()).unwrap_or(0);
    // Half of a random UUID has 61 random bits, and nobody needs more to tell 64 nodes apart.
    let new_id = NodeId(uuid::Uuid::new_v4().as_u64_pair().1);
    let begun = match Storage::start(folder) {
        Ok(storage) => storage.begin(new_id, wall_micros).await.map(|state| (state, storage)),
        Err(error) => Err(error),
    };
    match begun {
        Ok((state, storage)) => Ok((state, Some(storage))),
        Err(error) if is_read_only(&error) => {
            warn!("data folder {} cannot be written ({error}): state is kept in memory only", folder.display());
            let state =
                NodeState { id: new_id, incarnation: 1, epoch_base: wall_micros, cluster: None, founder: false };
            Ok((state, None))
        }
        Err(error) => Err(Failure::Data { folder: folder.display().to_string(), error }),
    }
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}
