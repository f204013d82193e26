//! The HLS door, put together.

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_rustls::TlsAcceptor;
use tracing::{debug, error};
use weft_cluster::Fabric;
use weft_cluster::membership::Cluster;
use weft_cluster::ownership::{Entry, SealKey};
use weft_proto::hls::{Variant, WindowLimits};

use super::Failure;
use super::sockets::{self, Alive, Bound, Generation};
use super::tls::Certificate;
use crate::auth::Authenticator;
use crate::config::{Config, HlsVariant};
use crate::egress::segments::{Muxer, MuxerConfig, Muxers, Windows};
use crate::hls::{Door, DoorConfig, SessionRecord, Shared};
use crate::http::{HlsMuxerInfo, HlsSessionInfo, Timestamp};
use crate::web;
use crate::worker::admission::Admission;
use crate::worker::{Pool, Worker};

/// How often viewers that have gone are looked for.
const SWEEP: Duration = Duration::from_millis(250);

/// How often paths without a muxer are looked for, when all are to have one.
const ALWAYS: Duration = Duration::from_millis(500);

/// How long an agreement on the key of all nodes may take before it is tried again.
const SEALED_WITHIN: Duration = Duration::from_secs(2);

/// How soon an agreement is looked for again.
const SEALED_AGAIN: Duration = Duration::from_millis(20);

/// What the door listens on.
#[derive(Default)]
pub(super) struct Sockets {
    listener: Option<Bound<TcpListener>>,
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
        let hls = &config.hls;
        let encrypted = hls.enabled && hls.encryption;
        let certificate = encrypted.then(|| Certificate::load("HLS", &hls.server_cert, &hls.server_key)).transpose()?;
        let address = hls.enabled.then_some(&hls.address);
        Ok(Self { listener: sockets::tcp("HLS", address, old.listener.as_ref(), workers)?, certificate })
    }

    /// Says where it listens.
    pub(super) fn announce(&self) {
        self.listener.iter().for_each(Bound::announce);
    }
}

impl Service {
    /// Serves on all workers.
    pub(super) fn start(shared: Arc<Shared>, mut sockets: Sockets, pool: &Pool) -> Self {
        let generation = serve(&shared, &mut sockets, pool);
        let sessions = shared.sessions.clone();
        actix_rt::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                sessions.sweep();
            }
        });
        Self { shared, sockets, _generation: generation }
    }

    /// What is listened on now.
    pub(super) const fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// Goes on with other settings and sockets. Viewers that are there stay; muxers that run keep their settings.
    pub(super) fn change(&mut self, config: &Config, mut sockets: Sockets, pool: &Pool) {
        self.shared.set_config(door_config(config));
        self.shared.muxers.set_config(muxer_config(config));
        self._generation = serve(&self.shared, &mut sockets, pool);
        self.sockets = sockets;
    }
}

/// What all workers share.
pub(super) fn shared(
    config: &Config,
    fabric: &Fabric,
    authenticator: &Arc<dyn Authenticator>,
    admission: &Arc<Admission>,
) -> Arc<Shared> {
    let muxers = Arc::new(Muxers::new(muxer_config(config)));
    fabric.set_answers(Arc::new(Windows::new(muxers.clone(), fabric.clone())));
    let (authenticator, admission) = (authenticator.clone(), admission.clone());
    Arc::new(Shared::new(fabric.clone(), authenticator, door_config(config), muxers, &random(), admission))
}

/// Seals viewers' tokens with the key of all nodes once it is agreed, and sees to it that there is one.
pub(super) fn share_key(shared: Arc<Shared>, cluster: Cluster) {
    actix_rt::spawn(async move {
        let key = loop {
            if let Some(key) = cluster.state().read().seal() {
                break key;
            }
            // Whichever node comes first: the others' keys change nothing.
            let proposed = cluster.propose(Entry::Seal { key: SealKey(random()) }, SEALED_WITHIN).await;
            if let Err(error) = proposed {
                debug!(%error, "no key that all nodes share yet");
            }
            // What was agreed is known here a moment later.
            tokio::time::sleep(SEALED_AGAIN).await;
        };
        shared.share_key(&key.0);
    });
}

fn random() -> [u8; 32] {
    let mut key = [0; 32];
    if aws_lc_rs::rand::fill(&mut key).is_err() {
        // Two ids are 244 random bits from the same source of the system, asked in another way.
        let ids = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()];
        key = ids.map(uuid::Uuid::into_bytes).concat().try_into().unwrap_or(key);
    }
    key
}

fn door_config(config: &Config) -> DoorConfig {
    let hls = &config.hls;
    DoorConfig {
        allow_origins: hls.allow_origins.clone().into(),
        trusted_proxies: hls.trusted_proxies.clone(),
        cdn_secret: hls.cdn_secret.clone(),
        write_timeout: config.write_timeout,
    }
}

fn muxer_config(config: &Config) -> MuxerConfig {
    let hls = &config.hls;
    MuxerConfig {
        variant: match hls.variant {
            HlsVariant::Mpegts => Variant::Mpegts,
            HlsVariant::Fmp4 => Variant::Fmp4,
            HlsVariant::LowLatency => Variant::LowLatency,
        },
        window: WindowLimits { listed: hls.segment_count },
        segment_bytes_max: usize::try_from(hls.segment_max_size).unwrap_or(usize::MAX),
        close_after: (!hls.always_remux).then_some(hls.muxer_close_after),
    }
}

fn serve(shared: &Arc<Shared>, sockets: &mut Sockets, pool: &Pool) -> Generation {
    let (generation, alive) = Generation::begin();
    let (shared, tls) = (shared.clone(), sockets.certificate.as_ref().map(|own| over_tls(&own.acceptor())));
    let listeners = sockets::take(&mut sockets.listener);
    pool.run(listeners, move |worker, listener| run(&worker, listener, tls.clone(), &shared, &alive));
    generation
}

/// Offers HTTP/2, which Safari wants for low latency.
fn over_tls(acceptor: &TlsAcceptor) -> TlsAcceptor {
    let mut config = (**acceptor.config()).clone();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config).into()
}

/// Serves on one worker.
fn run(worker: &Rc<Worker>, listener: TcpListener, tls: Option<TlsAcceptor>, shared: &Arc<Shared>, alive: &Alive) {
    let door = Rc::new(Door { shared: shared.clone(), worker: worker.clone(), tls });
    if worker.index() == 0 && shared.muxers.runs_always() {
        actix_rt::spawn(alive.clone().run(remux_always(door.clone())));
    }
    actix_rt::spawn(alive.clone().run(async move {
        if let Err(error) = web::accept(door, listener).await {
            error!("HLS: {error}");
        }
    }));
}

/// Gives each path that somebody publishes to a muxer.
async fn remux_always(door: Rc<Door>) {
    loop {
        let Shared { fabric, muxers, .. } = &*door.shared;
        for path in fabric.list().iter().filter(|path| path.online_since.is_some()) {
            if let Err(error) = muxers.open(fabric, &door.worker, &path.name).await {
                debug!(path = %path.name, "no HLS muxer: {error}");
            }
        }
        tokio::time::sleep(ALWAYS).await;
    }
}

/// A muxer as the API shows it.
pub(super) fn muxer_info(muxer: &Muxer) -> HlsMuxerInfo {
    HlsMuxerInfo {
        path: muxer.path().to_string(),
        created: Timestamp(muxer.created()),
        last_request: Timestamp(muxer.last_request()),
        outbound_bytes: muxer.outbound_bytes(),
        outbound_frames_discarded: muxer.discarded(),
    }
}

/// A viewer as the API shows it.
pub(super) fn session_info(record: &SessionRecord) -> HlsSessionInfo {
    HlsSessionInfo {
        id: record.id,
        created: Timestamp(record.created),
        remote_addr: record.peer,
        path: record.path.to_string(),
        query: record.query.clone(),
        user: record.user.clone(),
        user_agent: record.user_agent.clone(),
        is_cdn: record.is_cdn,
        outbound_bytes: record.outbound_bytes.load(Ordering::Relaxed),
    }
}
