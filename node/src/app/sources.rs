//! The sources that this node pulls: one task each, on the workers, as the fabric's assignments and the configuration say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::ArbiterHandle;
use tokio::sync::{oneshot, watch};
use tracing::{debug, error};
use weft_cluster::{Assignment, Fabric};
use weft_proto::id::PathName;

use crate::config::{Config, Source, SourceConfig, SourceProtocol};
use crate::source::{Pull, Stop, Stopper, keep};
use crate::worker::Pool;
use crate::{hls, rtmp, rtsp, webrtc};

/// A source that follows another one for the same path waits so long for its connection to be closed.
const FOLLOW_AFTER: Duration = Duration::from_millis(500);

/// How often it is looked whether a task is gone.
const ROUND: Duration = Duration::from_secs(1);

/// How long the sources may take to say goodbye when the node ends.
const END_WITHIN: Duration = Duration::from_millis(500);

/// Starts and ends the tasks, on the control thread.
pub(super) struct Service {
    config: watch::Sender<Arc<Config>>,
    stop: oneshot::Sender<oneshot::Sender<()>>,
}

impl Service {
    /// Pulls what is assigned from now on.
    pub(super) fn start(config: &Config, fabric: &Fabric, pool: &Pool, rtmp: rtmp::Sources) -> Self {
        let (config, changes) = watch::channel(Arc::new(config.clone()));
        let (stop, stopped) = oneshot::channel();
        let workers = pool.handles().into_iter().map(|handle| (handle, 0)).collect();
        let pulling = Pulling { fabric: fabric.clone(), workers, rtmp, running: BTreeMap::new() };
        actix_rt::spawn(pulling.run(changes, stopped));
        Self { config, stop }
    }

    /// Another configuration: only the sources that differ begin anew.
    pub(super) fn change(&self, config: &Config) {
        self.config.send_replace(Arc::new(config.clone()));
    }

    /// Ends all, and waits until they have said goodbye.
    pub(super) async fn stop(self) {
        let (ended, end) = oneshot::channel();
        if self.stop.send(ended).is_ok() {
            // Who takes longer is cut off.
            let _ = tokio::time::timeout(END_WITHIN, end).await;
        }
    }
}

struct Pulling {
    fabric: Fabric,
    /// The workers, and how many sources each has.
    workers: Vec<(ArbiterHandle, usize)>,
    rtmp: rtmp::Sources,
    running: BTreeMap<PathName, Running>,
}

/// What a task was started with: another one means another task.
#[derive(Clone, PartialEq, Eq)]
struct Wanted {
    url: String,
    config: SourceConfig,
    read_timeout: Duration,
}

struct Running {
    wanted: Wanted,
    worker: usize,
    stopper: Stopper,
    ended: oneshot::Receiver<()>,
}

impl Pulling {
    async fn run(mut self, mut config: watch::Receiver<Arc<Config>>, mut stop: oneshot::Receiver<oneshot::Sender<()>>) {
        let mut assignments = self.fabric.assignments();
        let mut quorum = self.fabric.quorum();
        loop {
            self.bury();
            let mut now = assignments.borrow_and_update().clone();
            let has_quorum = *quorum.borrow_and_update();
            now.retain(|assignment| has_quorum || !assignment.source.exclusive);
            let settings = config.borrow_and_update().clone();
            self.follow(&now, &settings);
            tokio::select! {
                biased;
                asked = &mut stop => return self.end(asked.ok()).await,
                changed = assignments.changed() => if changed.is_err() { return },
                changed = config.changed() => if changed.is_err() { return },
                changed = quorum.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(ROUND) => {}
            }
        }
    }

    /// Forgets tasks that have ended by themselves, be it by a panic: what is still assigned begins anew.
    fn bury(&mut self) {
        let workers = &mut self.workers;
        self.running.retain(|path, it| match it.ended.try_recv() {
            Err(oneshot::error::TryRecvError::Empty) => true,
            ended => {
                if ended.is_err() {
                    error!(%path, "the source's task was lost");
                }
                workers[it.worker].1 -= 1;
                false
            }
        });
    }

    /// Makes what runs what is to run.
    fn follow(&mut self, assignments: &[Assignment], config: &Config) {
        let wanted = |assignment: &Assignment| Some((assignment.path.clone(), wanted(assignment, config)?));
        let mut all: BTreeMap<PathName, Wanted> = assignments.iter().filter_map(wanted).collect();
        let over: Vec<PathName> = self
            .running
            .iter()
            .filter(|(path, it)| all.get(*path) != Some(&it.wanted))
            .map(|(path, _)| path.clone())
            .collect();
        let mut ended: BTreeMap<PathName, oneshot::Receiver<()>> = BTreeMap::new();
        for path in over {
            if let Some(it) = self.running.remove(&path) {
                it.stopper.stop();
                self.workers[it.worker].1 -= 1;
                ended.insert(path, it.ended);
            }
        }
        all.retain(|path, _| !self.running.contains_key(path));
        for (path, wanted) in all {
            let before = ended.remove(&path);
            self.begin(path, wanted, before);
        }
    }

    fn begin(&mut self, path: PathName, wanted: Wanted, before: Option<oneshot::Receiver<()>>) {
        let least = self.workers.iter().enumerate().min_by_key(|(_, (_, sources))| *sources);
        let Some(worker) = least.map(|(index, _)| index) else { return };
        let (stopper, stop) = Stopper::new();
        let (tell, ended) = oneshot::channel();
        let pull = pull(path.clone(), &wanted, self.fabric.clone(), stop);
        let rtmp = self.rtmp.clone();
        let (handle, sources) = &mut self.workers[worker];
        *sources += 1;
        handle.spawn_fn(move || {
            actix_rt::spawn(async move {
                if let Some(before) = before {
                    // Two connections at once are more than some cameras allow.
                    let _ = tokio::time::timeout(FOLLOW_AFTER, before).await;
                }
                match pull.config.protocol {
                    SourceProtocol::Rtsp | SourceProtocol::Rtsps => keep(pull, rtsp::source::pull).await,
                    SourceProtocol::Rtmp | SourceProtocol::Rtmps => {
                        keep(pull, async |pull: &Pull| rtmp::source::pull(pull, &rtmp).await).await;
                    }
                    SourceProtocol::Hls => keep(pull, hls::source::pull).await,
                    SourceProtocol::Whep | SourceProtocol::Wheps => keep(pull, webrtc::source::pull).await,
                }
                // Nobody may want to know.
                let _ = tell.send(());
            });
        });
        self.running.insert(path, Running { wanted, worker, stopper, ended });
    }

    async fn end(self, tell: Option<oneshot::Sender<()>>) {
        self.running.values().for_each(|it| it.stopper.stop());
        for (path, it) in self.running {
            if it.ended.await.is_err() {
                debug!(%path, "the source's task is gone");
            }
        }
        // Nobody may want to know.
        let _ = tell.map(|tell| tell.send(()));
    }
}

/// What the configuration says of an assigned source.
fn wanted(assignment: &Assignment, config: &Config) -> Option<Wanted> {
    let (_, found) = config.path(&assignment.path)?;
    let Source::Pulled(source) = &found.source else { return None };
    // When it is pulled is not this task's: it need not begin anew for that.
    let settings = SourceConfig { on_demand: None, exclusive: false, ..source.as_ref().clone() };
    Some(Wanted { url: assignment.source.url.clone(), config: settings, read_timeout: config.read_timeout })
}

fn pull(path: PathName, wanted: &Wanted, fabric: Fabric, stop: Stop) -> Pull {
    let Wanted { url, config, read_timeout } = wanted.clone();
    Pull { path, url, config, read_timeout, fabric, stop }
}
