//! Raft's messages to another node, over whatever [`Transport`] there is.

use std::future::Future;
use std::time::Duration;

use openraft::anyerror::AnyError;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::impls::EmptyNode;
use openraft::network::{Backoff, RPCOption};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, RPCTypes, RaftNetworkFactory, RaftNetworkV2};
use weft_proto::wire::control::{Request, Response};
use weft_proto::wire::entry::NodeId;
use weft_proto::wire::raft as wire;

use super::clock::stretch;
use super::types::{self, Snapshot, Types, Vote};
use crate::limits::SNAPSHOT_PART_BYTES;
use crate::mesh::{CallError, Transport};

/// Makes a [`Peer`] of each node that Raft speaks to.
#[derive(Clone)]
pub(crate) struct Network<T> {
    id: NodeId,
    transport: T,
}

/// The way to one node.
#[derive(Clone)]
pub(crate) struct Peer<T> {
    id: NodeId,
    peer: NodeId,
    transport: T,
    /// How often in turn it took too long over a snapshot.
    late: u32,
}

/// The library gives messages one heartbeat's time, which suits heartbeats. A follower that has to bring many entries to its
/// disk, or whose packets are sent twice, is not gone; if it is, the transport says so at once.
const PATIENCE: Duration = Duration::from_millis(500);

/// Where nodes are so far apart that this is longer, it is so many times what the library gives.
const TIMES: u32 = 4;

/// How long a node may take over one part of a snapshot before all of it is sent anew: not so long that a part which was lost with
/// its way keeps a follower waiting when the way is back. Twice as long after each attempt that was too late, up to 32 s: 64 kbit/s
/// carry a part in that.
const PART: Duration = Duration::from_secs(2);
const LATE_MAX: u32 = 4;

/// The last part is answered when the whole is on the disk and read: so many bytes a second at the least.
const SLOWEST_DISK: u64 = 4 << 20;

/// How long nodes that could not be reached are left alone. Their messages are refused without a packet, so this costs
/// next to nothing, and a node that is back is served at once.
const BACKOFF: Duration = Duration::from_millis(50);

impl<T> Network<T> {
    pub(crate) const fn new(id: NodeId, transport: T) -> Self {
        Self { id, transport }
    }
}

impl<T: Transport> RaftNetworkFactory<Types> for Network<T> {
    type Network = Peer<T>;

    async fn new_client(&mut self, peer: NodeId, _: &EmptyNode) -> Peer<T> {
        Peer { id: self.id, peer, transport: self.transport.clone(), late: 0 }
    }
}

type Rpc<V> = Result<V, RPCError<Types>>;

impl<T: Transport> Peer<T> {
    async fn call(&self, action: RPCTypes, request: Request, within: Duration) -> Rpc<Response> {
        let answer = self.transport.call(self.peer, request, within).await;
        match answer {
            Ok(Response::Busy(()) | Response::Unable(()) | Response::Unsupported(())) => Err(unreachable("it cannot")),
            Ok(answer) => Ok(answer),
            Err(CallError::TimedOut) => {
                let (id, target) = (self.id, self.peer);
                Err(RPCError::Timeout(Timeout { action, id, target, timeout: within }))
            }
            Err(error) => Err(unreachable(error)),
        }
    }

    async fn ask(&self, request: Request, option: &RPCOption) -> Rpc<VoteResponse<Types>> {
        match self.call(RPCTypes::Vote, request, patience(option)).await? {
            Response::Voted(voted) => Ok(VoteResponse {
                vote: types::vote(voted.vote),
                vote_granted: voted.granted,
                last_log_id: voted.last.map(types::log_id),
            }),
            _ => Err(confused()),
        }
    }

    async fn send_snapshot(&self, vote: Vote, snapshot: Snapshot) -> Rpc<SnapshotResponse<Types>> {
        let stored = &snapshot.meta.last_membership;
        let membership = (stored.log_id().map(types::log_id_to_wire), types::membership_to_wire(stored.membership()));
        let total = snapshot.snapshot.len() as u64;
        let mut offset = 0;
        let mut answer = None;
        for part in snapshot.snapshot.chunks(SNAPSHOT_PART_BYTES) {
            let request = Request::Snapshot(wire::SnapshotPart {
                vote: types::vote_to_wire(&vote),
                last: snapshot.meta.last_log_id.map(types::log_id_to_wire),
                membership: membership.clone(),
                offset,
                total,
                bytes: part.to_vec(),
            });
            offset += part.len() as u64;
            let within = if offset == total { PART + Duration::from_secs(total / SLOWEST_DISK) } else { PART };
            let within = within * (1 << self.late.min(LATE_MAX));
            match self.call(RPCTypes::InstallSnapshot, request, stretch(within)).await? {
                Response::SnapshotTaken(theirs) => answer = Some(types::vote(theirs)),
                _ => return Err(confused()),
            }
            if answer.is_some_and(|theirs| theirs > vote) {
                break;
            }
        }
        // A snapshot is never empty: it begins with its version.
        answer.map(SnapshotResponse::new).ok_or_else(confused)
    }
}

/// How long a message that is no snapshot may take.
fn patience(option: &RPCOption) -> Duration {
    stretch(option.hard_ttl() * TIMES).max(PATIENCE)
}

fn unreachable(error: impl ToString) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::new(&AnyError::error(error)))
}

/// A peer that answers something else is no better than one that is not there.
fn confused() -> RPCError<Types> {
    RPCError::Network(NetworkError::new(&AnyError::error("the answer belongs to another question")))
}

pub(crate) fn append_to_wire(rpc: AppendEntriesRequest<Types>) -> wire::Append {
    wire::Append {
        vote: types::vote_to_wire(&rpc.vote),
        previous: rpc.prev_log_id.map(types::log_id_to_wire),
        entries: rpc.entries.into_iter().map(types::entry_to_wire).collect(),
        committed: rpc.leader_commit.map(types::log_id_to_wire),
    }
}

fn vote_request(rpc: &VoteRequest<Types>) -> wire::VoteRequest {
    wire::VoteRequest {
        vote: types::vote_to_wire(&rpc.vote),
        last: rpc.last_log_id.map(types::log_id_to_wire),
        leadership_transfer: rpc.leadership_transfer,
    }
}

impl<T: Transport> RaftNetworkV2<Types> for Peer<T> {
    type SnapshotData = Vec<u8>;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Rpc<AppendEntriesResponse<Types>> {
        match self.call(RPCTypes::AppendEntries, Request::Append(append_to_wire(rpc)), patience(&option)).await? {
            Response::Appended(wire::Appended::All) => Ok(AppendEntriesResponse::Success),
            Response::Appended(wire::Appended::Upto(id)) => {
                Ok(AppendEntriesResponse::PartialSuccess(id.map(types::log_id)))
            }
            Response::Appended(wire::Appended::Conflict) => Ok(AppendEntriesResponse::Conflict),
            Response::Appended(wire::Appended::HigherVote(vote)) => {
                Ok(AppendEntriesResponse::HigherVote(types::vote(vote)))
            }
            _ => Err(confused()),
        }
    }

    async fn vote(&mut self, rpc: VoteRequest<Types>, option: RPCOption) -> Rpc<VoteResponse<Types>> {
        self.ask(Request::Vote(vote_request(&rpc)), &option).await
    }

    async fn pre_vote(&mut self, rpc: VoteRequest<Types>, option: RPCOption) -> Rpc<VoteResponse<Types>> {
        self.ask(Request::PreVote(vote_request(&rpc)), &option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        tokio::select! {
            biased;
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = self.send_snapshot(vote, snapshot) => {
                match &sent {
                    Ok(_) => self.late = 0,
                    Err(RPCError::Timeout(_)) => self.late += 1,
                    Err(_) => {}
                }
                sent.map_err(StreamingError::from)
            }
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Rpc<TransferLeaderResponse<Types>> {
        let transfer = wire::Transfer {
            from: types::vote_to_wire(request.from_leader()),
            to: *request.to_node_id(),
            last: request.last_log_id().copied().map(types::log_id_to_wire),
        };
        match self.call(RPCTypes::TransferLeader, Request::Transfer(transfer), patience(&option)).await? {
            // Whether it took over shows in the next vote; a refusal here is only for the log.
            Response::Transferred(_) => Ok(Ok(())),
            _ => Err(confused()),
        }
    }

    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff::new(std::iter::repeat(BACKOFF)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use openraft::storage::SnapshotMeta;
    use parking_lot::Mutex;
    use weft_proto::wire::control::Signal;

    use super::*;
    use crate::mesh::PeerAddress;

    /// Answers each part but the first of the first attempts, and notes how long it was given.
    #[derive(Clone, Default)]
    struct Patient {
        given: Arc<Mutex<Vec<Duration>>>,
        late: usize,
    }

    impl Transport for Patient {
        async fn call(&self, _: NodeId, request: Request, within: Duration) -> Result<Response, CallError> {
            let Request::Snapshot(part) = request else { panic!("{request:?}") };
            let mut given = self.given.lock();
            given.push(within);
            if given.len() <= self.late { Err(CallError::TimedOut) } else { Ok(Response::SnapshotTaken(part.vote)) }
        }

        fn signal(&self, _: NodeId, _: Signal) {}

        fn set_peers(&self, _: BTreeMap<NodeId, PeerAddress>) {}
    }

    /// What the parts of a snapshot of so many bytes are given, if the first attempts are late.
    async fn given(bytes: usize, late: usize) -> Vec<Duration> {
        let transport = Patient { late, ..Patient::default() };
        let mut peer = Network::new(NodeId(1), transport.clone()).new_client(NodeId(2), &EmptyNode::new()).await;
        let meta = SnapshotMeta { last_log_id: None, last_membership: openraft::StoredMembership::default() };
        for _ in 0..=late {
            let snapshot = Snapshot { meta: meta.clone(), snapshot: vec![0; bytes] };
            let option = RPCOption::new(Duration::ZERO);
            let vote = Vote::new_committed(1, NodeId(1));
            let _ = peer.full_snapshot(vote, snapshot, std::future::pending::<ReplicationClosed>(), option).await;
        }
        transport.given.lock().clone()
    }

    #[tokio::test]
    async fn a_part_that_is_lost_does_not_keep_a_follower_waiting() {
        assert_eq!(given(1000, 0).await, [PART]);
        let many = given(crate::limits::SNAPSHOT_BYTES_MAX, 0).await;
        let (last, parts) = many.split_last().unwrap();
        assert!(parts.iter().all(|within| *within == PART), "{parts:?}");
        assert_eq!(*last, PART + Duration::from_secs(12), "time to bring 48 MiB to a slow disk");
    }

    #[tokio::test]
    async fn a_slow_way_is_given_longer_with_each_attempt() {
        assert_eq!(given(1000, 6).await, [1, 2, 4, 8, 16, 16, 16].map(|times| PART * times));
    }
}
