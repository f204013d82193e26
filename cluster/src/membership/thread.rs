//! The cluster thread: a node's part in its cluster, away from everything that could make it late.
//!
//! Heartbeats, Raft and claims run on a thread of their own. What the rest of the node wants of them it asks through
//! [`Cluster`]; what is agreed it reads from [`SharedState`] without asking.

use std::future::Future;
use std::io;
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{LocalSet, spawn_local};
use tracing::error;
use weft_proto::id::{Epoch, PathName};

use super::member::{Ended, Member, MemberConfig, MemberStatus};
use crate::mesh::{Incoming, Transport};
use crate::ownership::{Answer, ClaimError, Claimant, Claiming, Entry, Kind, NodeId};
use crate::raft::{ProposeError, SharedState, StartError};

/// How a node comes into a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joining {
    /// It founds one, with epochs above this, unless it has been in one.
    Found(u64),
    /// Others let it in, or have done so before.
    LetIn,
}

/// How the thread begins.
pub struct ClusterConfig<T> {
    /// The node's part.
    pub member: MemberConfig<T>,
    /// How it comes into the cluster.
    pub joining: Joining,
    /// What comes from the other nodes.
    pub incoming: mpsc::Receiver<Incoming>,
}

type Job<T> = Box<dyn FnOnce(Member<T>) + Send>;

/// The rest of the node's way to its part in the cluster. Cheap to clone.
pub struct Cluster<T> {
    id: NodeId,
    jobs: mpsc::UnboundedSender<Job<T>>,
    state: SharedState,
}

impl<T> Clone for Cluster<T> {
    fn clone(&self) -> Self {
        Self { id: self.id, jobs: self.jobs.clone(), state: self.state.clone() }
    }
}

/// How long a node that is alone may take to come up, which is a few writes to its disk.
const ALONE_WITHIN: Duration = Duration::from_secs(10);

impl<T: Transport> Cluster<T> {
    /// Starts the thread. `ended` is told why the node takes no part any more, if that happens.
    pub async fn start(config: ClusterConfig<T>, ended: oneshot::Sender<Ended>) -> Result<Self, StartError> {
        let (started, start) = oneshot::channel();
        thread::Builder::new().name("cluster".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => LocalSet::new().block_on(&runtime, run(config, started, ended)),
                Err(error) => drop(started.send(Err(StartError::Disk(error)))),
            }
        })?;
        start.await.unwrap_or_else(|_| Err(StartError::Disk(io::Error::other("the cluster thread is gone"))))
    }

    /// Who this node is.
    pub const fn id(&self) -> NodeId {
        self.id
    }

    /// What is agreed, as this node knows it.
    pub const fn state(&self) -> &SharedState {
        &self.state
    }

    /// Does something on the thread; `None` when it is gone.
    pub async fn ask<R, F>(&self, question: impl FnOnce(Member<T>) -> F + Send + 'static) -> Option<R>
    where
        F: Future<Output = R> + 'static,
        R: Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job<T> = Box::new(move |member| {
            let asked = question(member);
            spawn_local(async move {
                // Who asked may have gone.
                let _ = reply.send(asked.await);
            });
        });
        self.jobs.send(job).ok()?;
        answer.await.ok()
    }

    /// Brings an entry into the log; see [`Consensus::propose`](crate::raft::Consensus::propose).
    pub async fn propose(&self, entry: Entry, within: Duration) -> Result<(u64, Answer), ProposeError> {
        let asked = self.ask(move |member| async move { member.consensus().propose(entry, within).await });
        asked.await.unwrap_or(Err(ProposeError::Stopped))
    }

    /// Waits until this node knows all that was agreed before.
    pub async fn catch_up(&self, within: Duration) -> Result<(), ProposeError> {
        let asked = self.ask(move |member| async move { member.consensus().catch_up(within).await });
        asked.await.unwrap_or(Err(ProposeError::Stopped))
    }

    /// What this node knows of its cluster.
    pub async fn status(&self) -> Option<MemberStatus> {
        self.ask(|member| async move { member.status() }).await
    }

    /// Waits until this node is up, as agreed; false when that did not happen in time.
    pub async fn is_up(&self, within: Duration) -> bool {
        let asked = self.ask(move |member| async move {
            let up = async {
                while !member.is_up() {
                    member.consensus().changed().await;
                }
            };
            tokio::time::timeout(within, up).await.is_ok()
        });
        asked.await.unwrap_or(false)
    }
}

async fn run<T: Transport>(
    config: ClusterConfig<T>,
    started: oneshot::Sender<Result<Cluster<T>, StartError>>,
    ended: oneshot::Sender<Ended>,
) {
    let ClusterConfig { member, joining, incoming } = config;
    let member = match begin(member, joining).await {
        Ok(member) => member,
        Err(error) => return drop(started.send(Err(error))),
    };
    let (jobs, mut queue) = mpsc::unbounded_channel::<Job<T>>();
    let cluster = Cluster { id: member.id(), jobs, state: member.consensus().state().clone() };
    if started.send(Ok(cluster)).is_err() {
        return;
    }
    let life = member.run(incoming);
    let mut life = std::pin::pin!(life);
    loop {
        tokio::select! {
            biased;
            why = &mut life => {
                error!("{why}: the node takes no part in its cluster any more");
                let _ = ended.send(why);
                break;
            }
            job = queue.recv() => match job {
                Some(job) => job(member.clone()),
                // Nobody can ask any more: the node is ending.
                None => break,
            },
        }
    }
    member.consensus().shut_down().await;
}

async fn begin<T: Transport>(config: MemberConfig<T>, joining: Joining) -> Result<Member<T>, StartError> {
    let image = config.disk.load()?;
    let is_new = image.vote.is_none() && image.log.is_empty() && image.snapshot.is_none();
    let member = Member::start(config, &image).await?;
    match joining {
        Joining::Found(base) if is_new => {
            let founding = tokio::time::timeout(ALONE_WITHIN, member.found(base)).await;
            founding.map_err(|_| StartError::Raft("the cluster could not be founded".into()))??;
        }
        // A node that is its only voter need not wait to see whether another one leads.
        _ if member.consensus().standing().voters.iter().eq([&member.id()]) => member.consensus().campaign().await,
        _ => {}
    }
    Ok(member)
}

impl<T: Transport> Claimant for Cluster<T> {
    fn claim(&self, path: &PathName, take_over: bool) -> Claiming {
        let (this, path) = (self.clone(), path.clone());
        Box::pin(async move {
            let asked = this.ask(move |member| async move { member.claim(&path, Kind::Pushed, take_over).await }).await;
            asked.unwrap_or(Err(ClaimError::NotServing))
        })
    }

    fn let_go(&self, path: &PathName) {
        let path = path.clone();
        // A thread that is gone owns nothing.
        let _ = self.jobs.send(Box::new(move |member| member.let_go(&path)));
    }

    fn owner(&self, path: &PathName) -> Option<(String, Epoch)> {
        let state = self.state.read();
        let ownership = state.paths().get(path)?;
        let member = state.members().get(ownership.owner_node()?)?;
        Some((member.facts.name.clone(), ownership.epoch))
    }
}
