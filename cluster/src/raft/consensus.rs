//! One node's part in Raft.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use openraft::error::{ClientWriteError, LinearizableReadError, RaftError};
use openraft::impls::EmptyNode;
use openraft::rt::WatchReceiver;
use openraft::{ChangeMembers, Config, Raft, ReadPolicy, SnapshotPolicy};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout_at};
use weft_proto::wire::control::{Proposed, ReadIndex, Request, Response};
use weft_proto::wire::entry::{Answer, Entry, NodeId};
use weft_proto::wire::{LEVELS, raft as wire};

use super::clock;
use super::disk::{Disk, Image};
use super::log::Log;
use super::machine::{Machine, Observer, SharedState, is_snapshot};
use super::network::Network;
use super::types::{self, Snapshot, SnapshotMeta, Types};
use crate::limits::{LOG_BYTES_MAX, SNAPSHOT_BYTES_MAX};
use crate::mesh::Transport;

/// How fast leaders are found and lost. All in one cluster should have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaftTimings {
    /// The leader says so often that it lives. At least the round trip between the nodes.
    pub heartbeat: Duration,
    /// A follower that has heard nothing for `election_max`, and then for a time between this and `election_max`, asks for
    /// votes. So a leader is missed after two `election_max` at the latest.
    pub election_min: Duration,
    /// See [`Self::election_min`]; also the leader's lease.
    pub election_max: Duration,
}

impl Default for RaftTimings {
    /// For nodes whose packets take up to 40 ms there and back: a new leader 400 ms after the death of the old one at the
    /// latest, so that claims are answered again within 500 ms.
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self { heartbeat: ms(40), election_min: ms(100), election_max: ms(200) }
    }
}

/// How a node takes part.
pub struct ConsensusConfig<T> {
    /// Who it is.
    pub id: NodeId,
    /// Where its log is.
    pub disk: Arc<dyn Disk>,
    /// The way to the others.
    pub transport: T,
    /// Who sees what is agreed.
    pub observer: Arc<dyn Observer>,
    /// How fast.
    pub timings: RaftTimings,
}

/// Why a node cannot take part.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The log cannot be read.
    #[error("cannot read the log: {0}")]
    Disk(#[from] io::Error),
    /// The data folder is of a cluster that speaks a level which this program does not know.
    #[error("the cluster speaks level {0}, which this program does not know: start a newer one with this data folder")]
    TooOld(u32),
    /// Raft does not start.
    #[error("cannot start Raft: {0}")]
    Raft(String),
}

/// Why a proposal came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProposeError {
    /// In all the time there was no leader that a majority follows. It may still be agreed, if it was given to one.
    #[error("the cluster has no quorum")]
    NoQuorum,
    /// This node has lost its disk or is shutting down.
    #[error("this node cannot take part any more")]
    Stopped,
}

/// Where a node stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Who leads, so far as this node knows.
    pub leader: Option<NodeId>,
    /// This node leads, or believes so: only a proposal or a read that succeeds proves it.
    pub leads: bool,
    /// The term.
    pub term: u64,
    /// Who votes.
    pub voters: BTreeSet<NodeId>,
    /// Who is to vote, while the voters change and old and new ones count. A leader that dies in between leaves it so.
    pub changing_to: Option<BTreeSet<NodeId>>,
    /// Who only listens.
    pub learners: BTreeSet<NodeId>,
    /// The last entry in the log.
    pub last: Option<u64>,
    /// The last one that was applied.
    pub applied: Option<u64>,
    /// How long ago a majority last confirmed that this node leads; only at the leader.
    pub confirmed: Option<Duration>,
    /// How far the log of each node has come; only at the leader.
    pub replicated: Vec<(NodeId, Option<u64>)>,
    /// Why the node takes no part any more, when it does not.
    pub stopped: Option<String>,
}

/// One node's part in Raft. Clones are the same part. To be used on the thread, and in the `LocalSet`, where it was started.
#[derive(Clone)]
pub struct Consensus<T> {
    id: NodeId,
    raft: Raft<Types, Machine>,
    log: Log,
    transport: T,
    state: SharedState,
    incoming_snapshot: Arc<Mutex<Option<PartialSnapshot>>>,
}

/// What has come of a snapshot; parts of another one are not put together with it.
struct PartialSnapshot {
    from: NodeId,
    vote: wire::Vote,
    last: Option<wire::LogId>,
    total: u64,
    bytes: Vec<u8>,
}

impl PartialSnapshot {
    fn begin(from: NodeId, part: &wire::SnapshotPart) -> Self {
        Self { from, vote: part.vote, last: part.last, total: part.total, bytes: Vec::new() }
    }

    /// Whether it is one with what has come.
    fn is_of(&self, from: NodeId, part: &wire::SnapshotPart) -> bool {
        self.is_by(from, part) && (self.last, self.total) == (part.last, part.total)
    }

    fn is_by(&self, from: NodeId, part: &wire::SnapshotPart) -> bool {
        (self.from, self.vote) == (from, part.vote)
    }

    /// The same leader has begun to send a newer one: the part was late.
    fn supersedes(&self, from: NodeId, part: &wire::SnapshotPart) -> bool {
        let index = |last: Option<wire::LogId>| last.map(|id| id.index);
        self.is_by(from, part) && index(self.last) > index(part.last)
    }
}

/// Pause before a proposal is made again to nobody in particular.
const RETRY: Duration = Duration::from_millis(20);

/// How long one node is asked before the next one is.
const ATTEMPT: Duration = Duration::from_millis(1000);

impl<T: Transport> Consensus<T> {
    /// Starts with what is on the disk; `image` is what [`Disk::load`] gave.
    pub async fn start(config: ConsensusConfig<T>, image: &Image) -> Result<Self, StartError> {
        let ConsensusConfig { id, disk, transport, observer, timings } = config;
        let log = Log::open(disk.clone(), image)?;
        let machine = Machine::open(disk, observer, image.snapshot.as_ref())?;
        let state = machine.shared().clone();
        let level = state.read().level();
        if level > LEVELS.1 {
            return Err(StartError::TooOld(level));
        }
        let settings = settings(&timings).map_err(|error| StartError::Raft(error.to_string()))?;
        let network = Network::new(id, transport.clone());
        let raft = Raft::new(id, Arc::new(settings), network, log.clone(), machine).await;
        let raft = raft.map_err(|error| StartError::Raft(error.to_string()))?;
        Ok(Self { id, raft, log, transport, state, incoming_snapshot: Arc::default() })
    }

    /// Makes these nodes the voters of a new cluster, this one among them. To be called once in the life of a cluster, on
    /// one node: it leads when a majority of them is there.
    pub async fn initialize(&self, voters: &BTreeSet<NodeId>) -> Result<(), StartError> {
        let voters: BTreeMap<NodeId, EmptyNode> = voters.iter().map(|node| (*node, EmptyNode::new())).collect();
        self.raft.initialize(voters).await.map_err(|error| StartError::Raft(error.to_string()))
    }

    /// From now on all of Raft's times on this thread are so many times longer: for nodes that are far apart.
    pub fn slow_down(&self, factor: u32) {
        clock::slow_down(factor);
    }

    /// Asks for votes now: a node that is its only voter need not wait to see whether another one leads.
    pub async fn campaign(&self) {
        // It fails only when Raft has stopped, which everybody finds out who proposes.
        let _ = self.raft.trigger().elect(false).await;
    }

    /// What is agreed, as this node knows it.
    pub const fn state(&self) -> &SharedState {
        &self.state
    }

    /// Where this node stands.
    pub fn standing(&self) -> Standing {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        Standing {
            leader: metrics.current_leader,
            leads: metrics.current_leader == Some(self.id),
            term: metrics.current_term,
            voters: membership.voter_ids().collect(),
            changing_to: match membership.get_joint_config().as_slice() {
                [_, next] => Some(next.clone()),
                _ => None,
            },
            learners: membership.learner_ids().collect(),
            last: metrics.last_log_index,
            applied: metrics.last_applied.map(|id| id.index),
            confirmed: metrics.last_quorum_acked.as_deref().map(openraft::Instant::elapsed).map(clock::stretch),
            replicated: (metrics.replication.iter().flatten())
                .map(|(node, matching)| (*node, matching.map(|id| id.index)))
                .collect(),
            stopped: metrics.running_state.as_ref().err().map(ToString::to_string),
        }
    }

    /// Who leads, so far as this node knows: of [`Self::standing`] what each proposal needs.
    fn leader(&self) -> Result<Option<NodeId>, ProposeError> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        if metrics.running_state.is_ok() { Ok(metrics.current_leader) } else { Err(ProposeError::Stopped) }
    }

    /// Brings an entry into the log, from whichever node, and says what came of it and at which index. It is tried until it
    /// succeeds or the time is over; so it may come into the log more than once, and what is proposed must bear that.
    pub async fn propose(&self, entry: Entry, within: Duration) -> Result<(u64, Answer), ProposeError> {
        let deadline = Instant::now() + within;
        let attempts = async {
            let mut hint = None;
            loop {
                match self.propose_once(hint.take(), &entry).await? {
                    Proposed::Done { index, answer } => return Ok((index, answer)),
                    Proposed::NotLeader(leader) => hint = leader,
                }
                if hint.is_none() {
                    sleep(RETRY).await;
                }
            }
        };
        timeout_at(deadline, attempts).await.unwrap_or(Err(ProposeError::NoQuorum))
    }

    /// At the node that is said to lead, or else at the one that this node follows.
    async fn propose_once(&self, hint: Option<NodeId>, entry: &Entry) -> Result<Proposed, ProposeError> {
        // Others may agree when it has stopped, but this node would not hear what becomes of it.
        let known = self.leader()?;
        let Some(leader) = hint.or(known).filter(|leader| *leader != self.id) else {
            return self.propose_here(entry).await;
        };
        match self.ask(leader, Request::Propose(entry.clone())).await {
            Some(Response::Proposed(proposed)) => Ok(proposed),
            _ => Ok(Proposed::NotLeader(None)),
        }
    }

    /// Asks a leader. One that is dead does not answer, which costs no more than it takes to elect another one.
    async fn ask(&self, leader: NodeId, request: Request) -> Option<Response> {
        tokio::select! {
            biased;
            answer = self.transport.call(leader, request, ATTEMPT) => answer.ok(),
            () = self.turned_from(leader) => None,
        }
    }

    /// Waits until this node begins to follow somebody else than this leader, or nobody.
    async fn turned_from(&self, leader: NodeId) {
        let mut metrics = self.raft.server_metrics();
        let before = metrics.borrow_watched().current_leader;
        loop {
            // The sender lives as long as Raft; after that nothing changes any more.
            if metrics.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            let now = metrics.borrow_watched().current_leader;
            if now != before && now != Some(leader) {
                return;
            }
        }
    }

    async fn propose_here(&self, entry: &Entry) -> Result<Proposed, ProposeError> {
        match tokio::time::timeout(ATTEMPT, self.raft.client_write(entry.clone())).await {
            Ok(Ok(written)) => Ok(Proposed::Done { index: written.log_id.index, answer: written.data }),
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward)))) => {
                Ok(Proposed::NotLeader(forward.leader_id.filter(|leader| *leader != self.id)))
            }
            // Nobody can say now whether it will be agreed: it is proposed again.
            Ok(Err(RaftError::APIError(_))) | Err(_) => Ok(Proposed::NotLeader(None)),
            Ok(Err(RaftError::Fatal(_))) => Err(ProposeError::Stopped),
        }
    }

    /// Waits until this node knows all that was agreed before the call: what is read from [`Self::state`] then is
    /// linearizable.
    pub async fn catch_up(&self, within: Duration) -> Result<(), ProposeError> {
        let deadline = Instant::now() + within;
        let reads = async {
            loop {
                match self.read_index().await? {
                    ReadIndex::At(Some(index)) => {
                        self.state.wait_for(index).await;
                        return Ok(());
                    }
                    ReadIndex::At(None) => return Ok(()),
                    ReadIndex::NotLeader(_) | ReadIndex::Unsure => sleep(RETRY).await,
                }
            }
        };
        timeout_at(deadline, reads).await.unwrap_or(Err(ProposeError::NoQuorum))
    }

    async fn read_index(&self) -> Result<ReadIndex, ProposeError> {
        let leader = self.leader()?;
        let Some(leader) = leader.filter(|leader| *leader != self.id) else { return self.read_index_here().await };
        match self.ask(leader, Request::ReadIndex(())).await {
            Some(Response::ReadIndex(index)) => Ok(index),
            _ => Ok(ReadIndex::Unsure),
        }
    }

    async fn read_index_here(&self) -> Result<ReadIndex, ProposeError> {
        match tokio::time::timeout(ATTEMPT, self.raft.ensure_linearizable(ReadPolicy::ReadIndex)).await {
            Ok(Ok(read)) => Ok(ReadIndex::At(Some(read.log_id().index))),
            Ok(Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward)))) => {
                Ok(ReadIndex::NotLeader(forward.leader_id))
            }
            Ok(Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_)))) | Err(_) => Ok(ReadIndex::Unsure),
            Ok(Err(RaftError::Fatal(_))) => Err(ProposeError::Stopped),
        }
    }

    /// Lets a node listen, without a vote. At the leader.
    pub async fn add_learner(&self, node: NodeId) -> bool {
        self.raft.add_learner(node, EmptyNode::new(), false).await.is_ok()
    }

    /// Changes who votes; who did and does not any more goes on listening. At the leader.
    pub async fn change_voters(&self, voters: BTreeSet<NodeId>) -> bool {
        self.raft.change_membership(voters, true).await.is_ok()
    }

    /// A node that is no voter does not listen any more. At the leader.
    pub async fn remove_learner(&self, node: NodeId) -> bool {
        self.raft.change_membership(ChangeMembers::RemoveNodes(BTreeSet::from([node])), true).await.is_ok()
    }

    /// Asks another voter to lead. At the leader.
    pub async fn transfer(&self, to: NodeId) {
        // Whether it worked shows in who leads next.
        let _ = self.raft.trigger().transfer_leader(to).await;
    }

    /// Whether the log has more bytes in memory than it should: large configurations that follow each other, long before
    /// there are so many entries that a snapshot is taken.
    pub fn is_heavy(&self) -> bool {
        self.log.bytes() > LOG_BYTES_MAX
    }

    /// Takes a snapshot now and lets go of the entries that are in it.
    pub async fn compact(&self) {
        if self.raft.trigger().snapshot().await.is_ok()
            && let Some(applied) = self.standing().applied
        {
            self.snapshot_of(applied).await;
            // Where it is not there yet, what is before it stays until the next one.
            let _ = self.raft.trigger().purge_log(applied).await;
        }
    }

    /// Waits a while until there is a snapshot of the entries up to this one.
    async fn snapshot_of(&self, index: u64) {
        let mut metrics = self.raft.metrics();
        let there = async {
            while metrics.borrow_watched().snapshot.is_none_or(|last| last.index < index) {
                if metrics.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(ATTEMPT, there).await;
    }

    /// Ends this node's part.
    pub async fn shut_down(&self) {
        // A Raft that has stopped already is as well.
        let _ = self.raft.shutdown().await;
    }

    /// Answers another node.
    pub async fn answer(&self, from: NodeId, request: Request) -> Response {
        match request {
            Request::Append(append) => self.append(append).await,
            Request::Vote(ballot) => voted(self.raft.vote(ballot_from_wire(ballot)).await),
            Request::PreVote(ballot) => voted(self.raft.pre_vote(ballot_from_wire(ballot)).await),
            Request::Snapshot(part) => self.snapshot_part(from, part).await,
            Request::Transfer(transfer) => self.transferred(&transfer).await,
            Request::Propose(entry) => {
                let proposed = self.propose_here(&entry).await;
                proposed.map_or(Response::Unable(()), Response::Proposed)
            }
            // These are not Raft's: they are answered before they come here.
            Request::AuthorityKey(()) | Request::Certificate(_) | Request::Reached(_) | Request::Inquire(_) => {
                Response::Unsupported(())
            }
            Request::ReadIndex(()) => self.read_index_here().await.map_or(Response::Unable(()), Response::ReadIndex),
        }
    }

    async fn append(&self, append: wire::Append) -> Response {
        use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};
        let Some(entries) = append.entries.into_iter().map(types::entry).collect::<Option<Vec<_>>>() else {
            return Response::Unsupported(());
        };
        let request = AppendEntriesRequest {
            vote: types::vote(append.vote),
            prev_log_id: append.previous.map(types::log_id),
            entries,
            leader_commit: append.committed.map(types::log_id),
        };
        match self.raft.append_entries(request).await {
            Ok(AppendEntriesResponse::Success) => Response::Appended(wire::Appended::All),
            Ok(AppendEntriesResponse::PartialSuccess(id)) => {
                Response::Appended(wire::Appended::Upto(id.map(types::log_id_to_wire)))
            }
            Ok(AppendEntriesResponse::Conflict) => Response::Appended(wire::Appended::Conflict),
            Ok(AppendEntriesResponse::HigherVote(vote)) => {
                Response::Appended(wire::Appended::HigherVote(types::vote_to_wire(&vote)))
            }
            Err(_) => Response::Unable(()),
        }
    }

    /// Parts come one after the other; the first one begins anew, and one that does not follow is not taken.
    async fn snapshot_part(&self, from: NodeId, part: wire::SnapshotPart) -> Response {
        let Some(bytes) = self.collect(from, &part) else { return Response::Unable(()) };
        let Some(bytes) = bytes else { return Response::SnapshotTaken(part.vote) };
        let (said_at, members) = part.membership;
        let Some(last_membership) = types::stored_membership(said_at, members) else {
            return Response::Unsupported(());
        };
        let meta = SnapshotMeta { last_log_id: part.last.map(types::log_id), last_membership };
        // What cannot be installed would end this node's part in Raft.
        if !is_snapshot(&bytes, &meta) {
            return Response::Unable(());
        }
        let snapshot = Snapshot { meta, snapshot: bytes };
        match self.raft.install_full_snapshot(types::vote(part.vote), snapshot).await {
            Ok(answer) => Response::SnapshotTaken(types::vote_to_wire(&answer.vote)),
            Err(_) => Response::Unable(()),
        }
    }

    /// All bytes once the last part is there; `None` for a part that does not follow.
    #[expect(clippy::option_option, reason = "refused, not yet complete, complete")]
    fn collect(&self, from: NodeId, part: &wire::SnapshotPart) -> Option<Option<Vec<u8>>> {
        let total = usize::try_from(part.total).ok().filter(|total| *total <= SNAPSHOT_BYTES_MAX)?;
        let mut incoming = self.incoming_snapshot.lock();
        if part.offset == 0 && !incoming.as_ref().is_some_and(|known| known.supersedes(from, part)) {
            *incoming = Some(PartialSnapshot::begin(from, part));
        }
        let known = incoming.as_mut().filter(|known| known.is_of(from, part))?;
        if known.bytes.len() as u64 != part.offset || known.bytes.len() + part.bytes.len() > total {
            return None;
        }
        known.bytes.extend_from_slice(&part.bytes);
        let complete = known.bytes.len() == total;
        Some(incoming.take_if(|_| complete).map(|whole| whole.bytes))
    }

    async fn transferred(&self, transfer: &wire::Transfer) -> Response {
        let last = transfer.last.map(types::log_id);
        let request = openraft::raft::TransferLeaderRequest::new(types::vote(transfer.from), transfer.to, last);
        match self.raft.handle_transfer_leader(request).await {
            Ok(taken) => Response::Transferred(taken.is_ok()),
            Err(_) => Response::Unable(()),
        }
    }
}

fn settings(timings: &RaftTimings) -> Result<Config, openraft::ConfigError> {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Config {
        cluster_name: "weft".into(),
        heartbeat_interval: ms(timings.heartbeat),
        election_timeout_min: ms(timings.election_min),
        election_timeout_max: ms(timings.election_max),
        enable_pre_vote: Some(true),
        // An isolated leader finds out that it is none; its lease is shorter than anybody's patience.
        quorum_loss_probe_interval: Some(ms(timings.election_max) * 4),
        // A leader sends entries before they are on its own disk. Started again in the same term it would number others
        // alike: two entries of one name, both committed. The simulation found it. It has to be elected anew.
        enable_leader_restore: Some(false),
        max_payload_entries: 512,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(8192),
        max_in_snapshot_log_to_keep: 1024,
        replication_lag_threshold: 16384,
        ..Config::default()
    }
    .validate()
}

fn ballot_from_wire(ballot: wire::VoteRequest) -> openraft::raft::VoteRequest<Types> {
    openraft::raft::VoteRequest {
        vote: types::vote(ballot.vote),
        last_log_id: ballot.last.map(types::log_id),
        leadership_transfer: ballot.leadership_transfer,
    }
}

fn voted(answer: Result<openraft::raft::VoteResponse<Types>, RaftError<Types>>) -> Response {
    answer.map_or(Response::Unable(()), |answer| {
        Response::Voted(wire::VoteResponse {
            vote: types::vote_to_wire(&answer.vote),
            granted: answer.vote_granted,
            last: answer.last_log_id.map(types::log_id_to_wire),
        })
    })
}
