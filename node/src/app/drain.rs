//! Emptying this node: leadership first, then what can go on elsewhere by itself, then everybody else, and after a deadline
//! whoever is still there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, watch};
use tokio::time::sleep;
use tracing::{info, warn};
use weft_cluster::membership::Cluster;
use weft_cluster::ownership::MemberState;
use weft_cluster::{Fabric, Occupants};

use crate::http::{DrainView, DrainWish, take_source};

/// The drain of this node, if there is one. Cheap to clone.
#[derive(Clone)]
pub(super) struct Drain {
    shared: Arc<Shared>,
    wanted: Arc<watch::Sender<Wanted>>,
}

struct Shared {
    fabric: Fabric,
    cluster: Cluster,
    /// Held by the wish that is being agreed on.
    agreeing: Arc<Mutex<()>>,
}

/// What was asked for last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// Nothing yet.
    Nothing,
    Empty {
        /// Then whoever stays is sent away.
        until: Option<Instant>,
    },
    Full,
}

/// How long an agreement may take before it is tried again.
const AGREE: Duration = Duration::from_secs(3);

/// A source that is still pulled here after this time has not moved: somebody is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(3);

/// How often it is looked who is still there.
const LOOK: Duration = Duration::from_millis(100);

impl Drain {
    /// On the control thread, which does what it takes.
    pub(super) fn new(fabric: Fabric, cluster: Cluster) -> Self {
        let shared = Arc::new(Shared { fabric, cluster, agreeing: Arc::default() });
        let (wanted, wishes) = watch::channel(Wanted::Nothing);
        actix_rt::spawn(shared.clone().run(wishes));
        Self { shared, wanted: Arc::new(wanted) }
    }

    /// Begins, or ends, or says how far it is. A drain that is asked for again gets the new deadline.
    pub(super) fn handle(&self, wish: DrainWish) -> DrainView {
        let fabric = &self.shared.fabric;
        match wish {
            DrainWish::Begin { deadline_seconds } => {
                let within = deadline_seconds.map(Duration::from_secs_f64);
                info!(deadline = ?within, again = fabric.is_draining(), "the node is drained");
                fabric.drain();
                self.wanted.send_replace(Wanted::Empty { until: within.map(|within| Instant::now() + within) });
            }
            DrainWish::End => {
                info!("the node takes publishers and readers");
                fabric.undrain();
                self.wanted.send_replace(Wanted::Full);
            }
            DrainWish::Look => {}
        }
        self.view()
    }

    fn view(&self) -> DrainView {
        let Shared { fabric, cluster, .. } = &*self.shared;
        let Occupants { publishers, readers } = fabric.occupants();
        let until = match *self.wanted.borrow() {
            Wanted::Empty { until } => until,
            Wanted::Nothing | Wanted::Full => None,
        };
        let state = cluster.state().read();
        let agreed = state.members().get(cluster.id()).is_some_and(|me| me.state == MemberState::Draining);
        DrainView {
            node: fabric.node().to_owned(),
            draining: fabric.is_draining(),
            agreed,
            publishers,
            readers,
            seconds_left: until.map(|until| until.saturating_duration_since(Instant::now()).as_secs_f64()),
        }
    }
}

impl Shared {
    async fn run(self: Arc<Self>, mut wishes: watch::Receiver<Wanted>) {
        loop {
            let wanted = *wishes.borrow_and_update();
            tokio::select! {
                // Another wish ends what is done for this one.
                next = wishes.changed() => if next.is_err() {
                    return;
                },
                () = self.follow(wanted) => {}
            }
        }
    }

    async fn follow(&self, wanted: Wanted) {
        match wanted {
            Wanted::Nothing => {}
            Wanted::Empty { until } => drop(tokio::join!(self.hand_over(), self.send_away(until))),
            Wanted::Full => self.agree(false).await,
        }
        std::future::pending::<()>().await;
    }

    /// Until the others have agreed: without a majority that may take long, and people are asked to go meanwhile.
    async fn agree(&self, drained: bool) {
        loop {
            let (cluster, agreeing) = (self.cluster.clone(), self.agreeing.clone());
            // On its own, and one after the other: what was given up half-way would be agreed on after what was asked for next.
            let attempt = actix_rt::spawn(async move {
                let _turn = agreeing.lock().await;
                cluster.set_drained(drained, AGREE).await
            });
            match attempt.await {
                Ok(Ok(_)) | Err(_) => return,
                Ok(Err(error)) => warn!(%error, drained, "the others do not know yet whether the node is drained"),
            }
            sleep(LOOK).await;
        }
    }

    /// What goes on elsewhere without anybody who publishes or reads doing anything.
    async fn hand_over(&self) {
        self.agree(true).await;
        if !self.cluster.resign().await {
            warn!("no other node leads yet");
        }
        let mut asked: Option<Instant> = None;
        loop {
            match self.cluster.hand_to_standbys(AGREE).await {
                Ok(0) => {}
                Ok(paths) => info!(paths, "standbys of other nodes go on with paths"),
                Err(error) => warn!(%error, "standbys cannot be promoted yet"),
            }
            if asked.is_none_or(|asked| asked.elapsed() >= ASK_AGAIN) {
                asked = Some(Instant::now());
                self.move_sources().await;
            }
            sleep(LOOK).await;
        }
    }

    /// Other nodes connect to the sources first, then the paths become theirs.
    async fn move_sources(&self) {
        let questions: Vec<_> = self.cluster.sources_elsewhere();
        if !questions.is_empty() {
            info!(sources = questions.len(), "other nodes are asked to pull sources");
            let questions = questions.iter().map(|(path, to)| (*to, take_source(path))).collect();
            // Who does not answer, or is not willing, is asked again.
            let _ = self.cluster.inquirer().ask_each(questions, AGREE).await;
        }
    }

    /// Whoever stays is sent away when the time is over.
    async fn send_away(&self, until: Option<Instant>) {
        let mut said = false;
        loop {
            let left = self.fabric.occupants();
            if left != Occupants::default() && until.is_some_and(|until| until <= Instant::now()) {
                warn!(left.publishers, left.readers, "the time to go is over");
                self.fabric.evict();
            }
            if !said && left == Occupants::default() {
                said = true;
                info!("nobody publishes or reads here any more");
            }
            sleep(LOOK).await;
        }
    }
}
