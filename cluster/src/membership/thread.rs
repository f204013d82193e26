//! The cluster thread: a node's part in its cluster, away from everything that could make it late.
//!
//! Heartbeats, Raft and claims run on a thread of their own. What the rest of the node wants of them it asks through
//! [`Cluster`]; what is agreed it reads from [`SharedState`] without asking.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{LocalSet, spawn_local};
use tracing::error;
use weft_proto::id::{Epoch, PathName};
use weft_proto::wire::hello::ClusterId;
use weft_proto::wire::token::Token;

use super::config::MemberConfig;
use super::link::Link;
use super::member::{Ended, Member, Task};
use super::seat::{Door, Seat, SeatConfig, SeatError};
use super::status::MemberStatus;
use super::voters::Electorate;
use crate::identity::{Current, draw_token};
use crate::inquiry::Inquirer;
use crate::mesh::{Incoming, Inquiry};
use crate::ownership::{
    Answer, ClaimError, Claimant, Claiming, Entry, Kind, MemberState, NodeId, OwnedBy, Reaching, Registering, Standby,
    Standing,
};
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
pub struct ClusterConfig {
    /// How the node comes to its seat.
    pub seat: SeatConfig,
    /// The node's part; the way to the others comes with the seat.
    pub member: MemberConfig<()>,
}

type Job = Box<dyn FnOnce(Member<Link>) + Send>;

/// The rest of the node's way to its part in the cluster. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    pub(super) id: NodeId,
    jobs: mpsc::UnboundedSender<Job>,
    pub(super) state: SharedState,
    inquirer: Inquirer<Link>,
    /// Who the node is to the others, and whom they trust; none for a node that is alone.
    identity: Option<Current>,
}

/// How long a node that is alone may take to come up, which is a few writes to its disk.
const ALONE_WITHIN: Duration = Duration::from_secs(10);

/// How long anything may take that has to be agreed on for a person who waits.
const AGREE: Duration = Duration::from_secs(5);

/// Nodes that a token names.
const TOKEN_ADDRESSES: usize = 8;

impl Cluster {
    /// Starts the thread. `ended` is told why the node takes no part any more, if that happens.
    pub async fn start(config: ClusterConfig, ended: oneshot::Sender<Ended>) -> Result<Self, SeatError> {
        let (started, start) = oneshot::channel();
        thread::Builder::new().name("cluster".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => LocalSet::new().block_on(&runtime, run(config, started, ended)),
                Err(error) => drop(started.send(Err(error.into()))),
            }
        })?;
        start.await.unwrap_or_else(|_| Err(io::Error::other("the cluster thread is gone").into()))
    }

    /// Who this node is.
    pub const fn id(&self) -> NodeId {
        self.id
    }

    /// Its certificate; none for a node that is alone.
    pub const fn identity(&self) -> Option<&Current> {
        self.identity.as_ref()
    }

    /// What is agreed, as this node knows it.
    pub const fn state(&self) -> &SharedState {
        &self.state
    }

    /// Asks the other nodes what only they know.
    pub const fn inquirer(&self) -> &Inquirer<Link> {
        &self.inquirer
    }

    /// The questions of other nodes, to be answered by the rest of this one.
    pub fn inquiries(&self) -> mpsc::Receiver<Inquiry> {
        self.inquirer.transport().inquiries()
    }

    /// Does something on the thread; `None` when it is gone.
    pub async fn ask<R, F>(&self, question: impl FnOnce(Member<Link>) -> F + Send + 'static) -> Option<R>
    where
        F: Future<Output = R> + 'static,
        R: Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |member| {
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

    /// What is agreed, as this node knows it, to be kept elsewhere; see [`crate::raft::read_backup`].
    pub fn backup(&self) -> Vec<u8> {
        crate::raft::backup(&self.state.read())
    }

    /// Makes a token that lets one node in, for so long; `None` where the node is alone, or does not vote.
    pub async fn invite(&self, valid_for: Duration) -> Result<Option<Token>, ProposeError> {
        let Some(authority) = self.identity.as_ref().map(|identity| identity.authority().clone()) else {
            return Ok(None);
        };
        let asked = self.ask(move |member| async move {
            let addresses = member.addresses().into_iter().map(|(_, address)| address).take(TOKEN_ADDRESSES).collect();
            let token = draw_token(&authority, addresses);
            let micros = i64::try_from(valid_for.as_micros()).unwrap_or(i64::MAX);
            let expires_micros = member.wall().unix_micros().saturating_add(micros);
            let add = Entry::AddToken { hash: token.secret.hash(), expires_micros };
            member.consensus().propose(add, AGREE).await.map(|_| Some(token))
        });
        asked.await.unwrap_or(Err(ProposeError::Stopped))
    }

    /// The sources that are wanted have changed: where this node leads it looks at once who is to pull them.
    pub fn sources_changed(&self) {
        // A thread that is gone places nothing.
        let _ = self.jobs.send(Box::new(|member| member.place_sources()));
    }

    /// Says goodbye to the others: they need not find out that this process is gone. For the end of the node.
    pub async fn leave(&self) {
        // A thread that is gone has said all that it could.
        let _ = self.ask(|member| async move { member.leave().await }).await;
    }

    /// Waits until this node is up, as agreed; false when that did not happen in time.
    pub async fn is_up(&self, within: Duration) -> bool {
        let asked = self.ask(move |member| async move {
            let up = async {
                loop {
                    // Read before the look: what is applied from here on ends the wait.
                    let seen = member.consensus().state().applied();
                    if member.is_up() {
                        return;
                    }
                    member.consensus().state().wait_for(seen.map_or(0, |seen| seen + 1)).await;
                }
            };
            tokio::time::timeout(within, up).await.is_ok()
        });
        asked.await.unwrap_or(false)
    }
}

async fn run(
    config: ClusterConfig,
    started: oneshot::Sender<Result<Cluster, SeatError>>,
    ended: oneshot::Sender<Ended>,
) {
    let (member, incoming, door) = match begin(config).await {
        Ok(begun) => begun,
        Err(error) => return drop(started.send(Err(error))),
    };
    let identity = door.as_ref().map(|(door, _)| door.papers.current.clone());
    if let Some((door, cluster)) = door {
        spawn_local(door.keep(member.clone(), cluster));
    }
    let (jobs, mut queue) = mpsc::unbounded_channel::<Job>();
    let (id, state) = (member.id(), member.consensus().state().clone());
    let inquirer = Inquirer::new(id, state.clone(), member.transport().clone());
    let cluster = Cluster { id, jobs, state, inquirer, identity };
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

type Begun = (Member<Link>, mpsc::Receiver<Incoming>, Option<(Door, ClusterId)>);

async fn begin(config: ClusterConfig) -> Result<Begun, SeatError> {
    let ClusterConfig { seat, member: part } = config;
    let storage = seat.storage.clone();
    let image = part.disk.load()?;
    let is_new = image.vote.is_none() && image.log.is_empty() && image.snapshot.is_none();
    let Seat { link, joining, incoming, door, members } = seat.take(&part.facts, part.clock, is_new).await?;
    let member = Member::start(part.over(link.clone()), &image).await?;
    member.remember(&members);
    match joining {
        Joining::Found(base) if is_new => {
            let voters = Electorate::first(member.id(), members.iter().map(|(node, _)| *node));
            let founding = tokio::time::timeout(ALONE_WITHIN, member.found(base, &voters)).await;
            founding.map_err(|_| StartError::Raft("the cluster could not be founded".into()))??;
        }
        // A node that is its only voter need not wait to see whether another one leads.
        _ if matches!(link, Link::Alone) => member.consensus().campaign().await,
        _ => {}
    }
    let cluster = storage.and_then(|storage| storage.recall().ok()).and_then(|state| state.cluster);
    Ok((member, incoming, door.zip(cluster)))
}

impl Claimant for Cluster {
    fn claim(&self, path: &PathName, take_over: bool) -> Claiming {
        let (this, path) = (self.clone(), path.clone());
        Box::pin(async move {
            let asked = this.ask(move |member| async move { member.claim(&path, Kind::Pushed, take_over).await }).await;
            asked.unwrap_or(Err(ClaimError::NotServing))
        })
    }

    fn claim_source(&self, path: &PathName, take_over: bool) -> Claiming {
        let (this, path) = (self.clone(), path.clone());
        Box::pin(async move {
            let asked = this.ask(move |member| async move { member.claim(&path, Kind::Pulled, take_over).await }).await;
            asked.unwrap_or(Err(ClaimError::NotServing))
        })
    }

    fn held(&self, path: &PathName) -> Claiming {
        let (this, path) = (self.clone(), path.clone());
        Box::pin(async move {
            let held = this.ask(move |member| async move { member.held(&path) }).await.flatten();
            held.ok_or(ClaimError::NotServing)
        })
    }

    fn reached(&self, path: &PathName) -> Reaching {
        let (this, path) = (self.clone(), path.clone());
        Box::pin(async move { this.ask(move |member| async move { member.reached(&path).await }).await.flatten() })
    }

    fn let_go(&self, path: &PathName) {
        let path = path.clone();
        // A thread that is gone owns nothing.
        let _ = self.jobs.send(Box::new(move |member| member.let_go(&path)));
    }

    fn standing(&self, path: &PathName) -> Standing {
        let state = self.state.read();
        let Some(ownership) = state.paths().get(path) else { return Standing::default() };
        let owner = match ownership.owner_node() {
            Some(node) if node == self.id => OwnedBy::This,
            Some(_) => OwnedBy::Other,
            None => OwnedBy::Nobody,
        };
        let (here, elsewhere): (Vec<&Standby>, Vec<&Standby>) =
            ownership.standbys.iter().partition(|standby| standby.claim.node == self.id);
        Standing {
            owner,
            epoch: ownership.epoch,
            registered: here.first().map(|standby| standby.rank),
            is_next: ownership.standbys.first().is_some_and(|standby| standby.claim.node == self.id),
            best_elsewhere: elsewhere.first().map(|standby| standby.rank),
        }
    }

    fn awaited(&self) -> Vec<PathName> {
        self.state.read().paths().awaited_of(self.id).cloned().collect()
    }

    fn stand_by(&self, path: &PathName, rank: u8) -> Registering {
        let (this, path) = (self.clone(), path.clone());
        Box::pin(async move {
            let asked = this.ask(move |member| async move { member.stand_by(&path, rank).await }).await;
            asked.unwrap_or(Err(ClaimError::NotServing))
        })
    }

    fn stand_down(&self, path: &PathName) {
        let path = path.clone();
        // A thread that is gone waits for nothing.
        let _ = self.jobs.send(Box::new(move |member| {
            member.once(Task::Path(path.clone()), |member| async move { member.stand_down(&path).await });
        }));
    }

    fn hand_over(&self, path: &PathName) {
        let path = path.clone();
        let _ = self.jobs.send(Box::new(move |member| {
            member.hand_over(&path);
        }));
    }

    fn owner(&self, path: &PathName) -> Option<(String, Epoch)> {
        let state = self.state.read();
        let ownership = state.paths().get(path)?;
        let member = state.members().get(ownership.owner_node()?)?;
        Some((member.facts.name.clone(), ownership.epoch))
    }

    fn elsewhere(&self) -> Option<String> {
        /// Clients are sent to one after the other.
        static TURN: AtomicUsize = AtomicUsize::new(0);
        let state = self.state.read();
        let zone = state.members().get(self.id).map(|me| me.facts.zone.as_str());
        let others = state.members().iter().filter(|(node, member)| {
            let takes = member.state == MemberState::Up && !member.facts.witness;
            takes && *node != self.id && !member.facts.public_host.is_empty()
        });
        let (near, far): (Vec<_>, Vec<_>) =
            others.map(|(_, member)| &member.facts).partition(|facts| Some(facts.zone.as_str()) == zone);
        let hosts = if near.is_empty() { far } else { near };
        let turn = TURN.fetch_add(1, Ordering::Relaxed).checked_rem(hosts.len())?;
        hosts.get(turn).map(|facts| facts.public_host.clone())
    }
}
