//! HLS segments, parts and playlists, made once per path while somebody asks for them, and shared by all viewers.
//!
//! One hidden reader of the log per path, however many viewers there are: the task of [`Muxers::open`], on the worker that
//! was asked first. What it makes stands behind a lock that is held for a look; viewers who wait for a part are woken
//! together when it is there.
//!
//! Every node lists the same. A muxer that begins takes over what another node lists, fetches the bodies, and puts its own
//! segments behind them; what is lost on the way here is fetched as well (`neighbours`, `fetched`, `answers`).

mod answers;
mod fetched;
mod muxer;
mod neighbours;
mod task;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use weft_cluster::path::{Identity, SessionInfo};
use weft_cluster::stream::{Join, Start, Times};
use weft_cluster::{Fabric, SubscribeError};
use weft_proto::hls::{Variant, WindowLimits, left_out, renditions};
use weft_proto::id::PathName;
use weft_proto::media::Tracks;

pub use answers::Windows;
pub use muxer::{Answer, Muxer};

use self::neighbours::{Neighbours, Told};
use crate::worker::Worker;

/// What is configured.
#[derive(Clone, Debug)]
pub struct MuxerConfig {
    /// `hlsVariant`.
    pub variant: Variant,
    /// What playlists list.
    pub window: WindowLimits,
    /// `hlsSegmentMaxSize` in bytes.
    pub segment_bytes_max: usize,
    /// `hlsMuxerCloseAfter`; `None` for muxers that run always (`hlsAlwaysRemux`).
    pub close_after: Option<Duration>,
}

/// Why there is no muxer.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The path cannot be read.
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    /// HLS can carry none of the tracks.
    #[error("the stream has no track that HLS can carry, only {0}")]
    Unplayable(String),
}

/// The muxers of a node.
#[derive(Debug)]
pub struct Muxers {
    config: ArcSwap<MuxerConfig>,
    running: Mutex<HashMap<PathName, Arc<Muxer>>>,
}

impl Muxers {
    /// None yet.
    pub fn new(config: MuxerConfig) -> Self {
        Self { config: ArcSwap::from_pointee(config), running: Mutex::default() }
    }

    /// The running muxer of a path.
    pub fn find(&self, path: &PathName) -> Option<Arc<Muxer>> {
        self.running.lock().get(path).filter(|muxer| !muxer.has_ended()).cloned()
    }

    /// All running muxers.
    pub fn list(&self) -> Vec<Arc<Muxer>> {
        self.running.lock().values().filter(|muxer| !muxer.has_ended()).cloned().collect()
    }

    /// Muxers that are started from now on have these settings.
    pub fn set_config(&self, config: MuxerConfig) {
        self.config.store(Arc::new(config));
    }

    /// Whether muxers run although nobody asks.
    pub fn runs_always(&self) -> bool {
        self.config.load().close_after.is_none()
    }

    /// The muxer of a path, started on this worker if there is none.
    pub async fn open(
        self: &Arc<Self>,
        fabric: &Fabric,
        worker: &Rc<Worker>,
        path: &PathName,
    ) -> Result<Arc<Muxer>, OpenError> {
        if let Some(muxer) = self.find(path) {
            return Ok(muxer);
        }
        let info = SessionInfo {
            kind: "hlsMuxer",
            id: String::new(),
            identity: Identity { user: String::new(), address: None },
        };
        // True times, and all that is kept: what the log still has makes a playlist at once.
        let join = Join { from: Start::Everything, times: Times::True, pace: None };
        let subscription = fabric.subscribe_internal(path.clone(), info, join, worker.gate()).await?;
        let tracks = subscription.stream().tracks().unwrap_or_else(|| subscription.tracks().clone());
        let config = self.config.load_full();
        let variant = config.variant;
        let neighbours = Neighbours::new(fabric.clone(), path.clone(), variant, config.segment_bytes_max);
        let (chosen, before) = match neighbours.window().await {
            Some(Told { renditions, handover }) => (renditions, Some(handover)),
            None => (renditions(variant, &tracks), None),
        };
        if chosen.is_empty() {
            return Err(OpenError::Unplayable(labels(tracks.iter().map(|(_, track)| track.codec.label()))));
        }
        let muxer = {
            let mut running = self.running.lock();
            // Two workers may have been asked at once: the first keeps its muxer.
            if let Some(muxer) = running.get(path).filter(|muxer| !muxer.has_ended()) {
                return Ok(muxer.clone());
            }
            let muxer =
                Muxer::new(subscription.stream().clone(), &config, (chosen, before), neighbours, fabric.clock());
            running.insert(path.clone(), muxer.clone());
            muxer
        };
        say_what_is_left_out(path, config.variant, &tracks);
        actix_rt::spawn(task::run(self.clone(), config, muxer.clone(), subscription, worker.clone(), fabric.clock()));
        Ok(muxer)
    }

    /// Forgets a muxer that has ended, unless another one has its place already.
    fn forget(&self, muxer: &Arc<Muxer>) {
        let mut running = self.running.lock();
        if running.get(muxer.path()).is_some_and(|other| Arc::ptr_eq(other, muxer)) {
            running.remove(muxer.path());
        }
    }
}

fn say_what_is_left_out(path: &PathName, variant: Variant, tracks: &Tracks) {
    let out = left_out(variant, tracks);
    tracing::info!(%path, ?variant, "HLS muxer starts");
    if !out.is_empty() {
        let tracks = labels(out.iter().map(|(_, track)| track.codec.label()));
        tracing::warn!(%path, tracks, "HLS cannot carry these tracks, they are left out");
    }
}

fn labels<'a>(labels: impl Iterator<Item = &'a str>) -> String {
    labels.collect::<Vec<_>>().join(", ")
}
