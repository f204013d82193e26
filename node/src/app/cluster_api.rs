//! What the API says of the cluster.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use weft_cluster::membership::{Cluster, History, MemberStatus, NodeStatus, Story};
use weft_cluster::ownership::{Answer, Entry, Kind, MemberState, NodeId, Ownership, State};
use weft_cluster::raft::ProposeError;
use weft_cluster::relay::{LinkWay, RelayLink, Relays};
use weft_proto::id::{Epoch, PathName};
use weft_proto::time::WallClock;

use crate::http::{
    ClusterError, ClusterFuture, ClusterSource, Mover, NamedNode, NodeView, PathView, RelayLinkView, StatusView,
    Timestamp, TokenView, WhyView,
};

/// Answers for the cluster, from this node's view of it.
pub(super) struct View {
    cluster: Cluster,
    history: Arc<History>,
    node: String,
    /// None on a node that is alone.
    relays: Option<Relays>,
}

/// How long somebody who asks waits for the newest word; after that this node's own is given.
const FRESH_WITHIN: Duration = Duration::from_millis(200);

/// How long a source may take to move; its new node gives up a little later.
const MOVE_WITHIN: Duration = Duration::from_secs(10);

/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// How long a change may take.
const CHANGE_WITHIN: Duration = Duration::from_secs(5);

impl View {
    pub(super) fn new(cluster: Cluster, history: Arc<History>, node: String, relays: Option<Relays>) -> Self {
        Self { cluster, history, node, relays }
    }

    fn links(&self) -> Vec<RelayLink> {
        self.relays.as_ref().map(Relays::links).unwrap_or_default()
    }

    async fn member_status(&self) -> Result<MemberStatus, ClusterError> {
        let gone = || ClusterError::Unavailable("the node takes no part in its cluster any more".into());
        self.cluster.status().await.ok_or_else(gone)
    }

    /// The newest word, if it can be had soon.
    async fn refresh(&self) {
        let _ = self.cluster.catch_up(FRESH_WITHIN).await;
    }

    fn path_view(state: &State, path: &PathName, ownership: &Ownership) -> PathView {
        PathView {
            name: path.to_string(),
            node: ownership.owner_node().map(|node| label(state, node)),
            epoch: ownership.epoch.0.to_string(),
            kind: ownership.owner.map(|owner| match owner.kind {
                Kind::Pushed => "pushed",
                Kind::Pulled => "pulled",
            }),
            standbys: ownership.standbys.iter().map(|standby| label(state, standby.claim.node)).collect(),
            born: timestamp(WallClock::from_unix_micros(ownership.born_micros)),
        }
    }

    /// The path, if it is the node's with this id or label.
    fn owned_by(&self, path: &PathName, node: &str) -> Option<PathView> {
        let state = self.cluster.state().read();
        let ownership = state.paths().get(path)?;
        let owner = ownership.owner_node()?;
        let is_its = owner.to_string() == node || label(&state, owner) == node;
        is_its.then(|| Self::path_view(&state, path, ownership))
    }

    fn sentence(&self, state: &State, path: &PathName, ownership: &Ownership) -> String {
        let Epoch(epoch) = ownership.epoch;
        let story = self.history.of(path);
        let since = story.as_ref().map(|story| format!(" since {}", timestamp(story.since))).unwrap_or_default();
        let now = match ownership.owner {
            Some(owner) => {
                let how = match owner.kind {
                    Kind::Pushed => "a client publishes it there",
                    Kind::Pulled => "it pulls the source",
                };
                let node = label(state, owner.claim.node);
                format!("{path}: node {node} owns it{since} under epoch {epoch}; {how}.")
            }
            None => format!("{path}: nobody owns it{since}; its last epoch was {epoch}, and it waits for a publisher."),
        };
        let before = story.as_ref().and_then(|story| before(state, story)).unwrap_or_default();
        let standbys: Vec<String> = ownership.standbys.iter().map(|standby| label(state, standby.claim.node)).collect();
        let next = match standbys.as_slice() {
            [] => String::new(),
            waiting => format!(" Next in line: {}.", waiting.join(", ")),
        };
        now + &before + &next
    }
}

fn before(state: &State, story: &Story) -> Option<String> {
    let (node, reason) = story.before?;
    Some(format!(" Before, node {} had it and lost it because {}.", label(state, node), reason.as_str()))
}

/// What people call a node; its id, where it is not a member any more.
fn label(state: &State, node: NodeId) -> String {
    state.members().get(node).map_or_else(|| node.to_string(), |member| member.facts.name.clone())
}

fn timestamp(at: WallClock) -> Timestamp {
    let micros = u64::try_from(at.unix_micros()).unwrap_or(0);
    Timestamp(SystemTime::UNIX_EPOCH + Duration::from_micros(micros))
}

fn link_view(link: &RelayLink) -> RelayLinkView {
    let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    RelayLinkView {
        way: match link.way {
            LinkWay::From => "from",
            LinkWay::To => "to",
        },
        worker: link.worker,
        round_trip_ms: link.round_trip.as_secs_f64() * 1e3,
        sent_bits_per_second: link.sent_bits,
        received_bits_per_second: link.received_bits,
        loss_percent: share(link.lost, link.packets).min(100.0),
        window_bytes: link.window,
        packet_bytes: link.packet_bytes,
        waiting_tracks: link.waiting,
        longest_wait_ms: link.longest_wait.as_secs_f64() * 1e3,
    }
}

fn node_view(node: &NodeStatus, links: &[RelayLink]) -> NodeView {
    let state = match node.state {
        MemberState::Joined => "joined",
        MemberState::Up if node.suspect => "suspect",
        MemberState::Up => "up",
        MemberState::Draining => "draining",
        MemberState::Down => "down",
    };
    let role = match (node.facts.witness, node.voter) {
        (true, _) => "witness",
        (false, true) => "voter",
        (false, false) => "learner",
    };
    NodeView {
        id: node.id.to_string(),
        name: node.facts.name.clone(),
        zone: node.facts.zone.clone(),
        state,
        role,
        version: node.facts.version.clone(),
        address: node.facts.address.clone(),
        incarnation: node.incarnation,
        paths: node.owned,
        round_trip_ms: node.link.map(|link| link.round_trip.as_secs_f64() * 1e3),
        clock_offset_ms: node.link.map(|link| link.offset_micros as f64 / 1e3),
        relay_links: links.iter().filter(|link| link.node == node.id).map(link_view).collect(),
    }
}

fn unavailable(error: ProposeError) -> ClusterError {
    ClusterError::Unavailable(error.to_string())
}

impl ClusterSource for View {
    fn status(&self) -> ClusterFuture<'_, StatusView> {
        async {
            let status = self.member_status().await?;
            let links = self.links();
            let leader = status.nodes.iter().find(|node| Some(node.id) == status.standing.leader);
            Ok(StatusView {
                leader: leader.map(|node| node.facts.name.clone()).filter(|_| status.quorum),
                quorum: status.quorum,
                level: status.level,
                node: self.node.clone(),
                term: status.standing.term,
                log: [status.standing.last, status.standing.applied],
                nodes: status.nodes.iter().map(|node| node_view(node, &links)).collect(),
            })
        }
        .boxed()
    }

    fn paths(&self) -> ClusterFuture<'_, Vec<PathView>> {
        async {
            self.refresh().await;
            let state = self.cluster.state().read();
            Ok(state.paths().iter().map(|(path, ownership)| Self::path_view(&state, path, ownership)).collect())
        }
        .boxed()
    }

    fn why(&self, path: PathName) -> ClusterFuture<'_, WhyView> {
        async move {
            self.refresh().await;
            let state = self.cluster.state().read();
            let nobody = || ClusterError::NotFound(format!("{path}: nobody owns it, and nobody did a minute ago"));
            let ownership = state.paths().get(&path).ok_or_else(nobody)?;
            let why = self.sentence(&state, &path, ownership);
            Ok(WhyView { path: Self::path_view(&state, &path, ownership), why, relays: Vec::new() })
        }
        .boxed()
    }

    fn mover(&self, path: PathName, node: String) -> ClusterFuture<'_, Mover> {
        async move {
            self.refresh().await;
            let status = self.member_status().await?;
            let known = named(&status, &node)?;
            if known.state != MemberState::Up || known.facts.witness {
                return Err(ClusterError::Conflict(format!("node {node} takes no sources now")));
            }
            let state = self.cluster.state().read();
            let owner = state.paths().get(&path).and_then(|ownership| ownership.owner);
            let owner = owner.filter(|owner| owner.kind == Kind::Pulled);
            let owner = owner.ok_or_else(|| ClusterError::NotFound(format!("{path}: no node pulls it")))?;
            if owner.claim.node == known.id {
                return Err(ClusterError::Conflict(format!("{path}: node {node} pulls it already")));
            }
            Ok(if known.id == self.cluster.id() { Mover::This } else { Mover::Other(known.id) })
        }
        .boxed()
    }

    fn moved(&self, path: PathName, node: String) -> ClusterFuture<'_, PathView> {
        async move {
            let end = tokio::time::Instant::now() + MOVE_WITHIN;
            while tokio::time::Instant::now() < end {
                self.refresh().await;
                if let Some(view) = self.owned_by(&path, &node) {
                    return Ok(view);
                }
                tokio::time::sleep(LOOK).await;
            }
            Err(ClusterError::Conflict(format!("node {node} cannot pull {path}: it stays where it is")))
        }
        .boxed()
    }

    fn invite(&self, valid_for: Duration) -> ClusterFuture<'_, TokenView> {
        async move {
            let token = self.cluster.invite(valid_for).await.map_err(unavailable)?;
            let alone = || ClusterError::Conflict("this node is alone: start it with a `cluster` section".into());
            let token = token.ok_or_else(alone)?.to_string();
            Ok(TokenView { token, expires: Timestamp(SystemTime::now() + valid_for) })
        }
        .boxed()
    }

    fn remove(&self, node: String, force: bool) -> ClusterFuture<'_, NodeView> {
        async move {
            let status = self.member_status().await?;
            let known = named(&status, &node)?;
            if !force && !can_spare(&status, known) {
                let message = format!("without {node} the cluster would have no majority of voters that are up");
                return Err(ClusterError::Conflict(message + "; `--force` removes it all the same"));
            }
            let view = node_view(known, &self.links());
            let (_, answer) =
                self.cluster.propose(Entry::Remove { node: known.id }, CHANGE_WITHIN).await.map_err(unavailable)?;
            match answer {
                Answer::Refused(refusal) => Err(ClusterError::Conflict(refusal.to_string())),
                _ => Ok(view),
            }
        }
        .boxed()
    }

    fn named(&self, node: String) -> ClusterFuture<'_, NamedNode> {
        async move {
            let status = self.member_status().await?;
            let known = named(&status, &node)?;
            Ok(NamedNode { id: known.id, name: known.facts.name.clone(), here: known.id == self.cluster.id() })
        }
        .boxed()
    }

    fn backup(&self) -> ClusterFuture<'_, Vec<u8>> {
        async {
            self.cluster.catch_up(CHANGE_WITHIN).await.map_err(unavailable)?;
            Ok(self.cluster.backup())
        }
        .boxed()
    }
}

/// The one node with this id or label.
fn named<'a>(status: &'a MemberStatus, node: &str) -> Result<&'a NodeStatus, ClusterError> {
    let named: Vec<&NodeStatus> =
        status.nodes.iter().filter(|known| known.id.to_string() == node || known.facts.name == node).collect();
    match named.as_slice() {
        [] => Err(ClusterError::NotFound(format!("no node is called {node}"))),
        [known] => Ok(*known),
        several => {
            let ids: Vec<String> = several.iter().map(|node| node.id.to_string()).collect();
            let message = format!("several nodes are called {node}; name one by its id: {}", ids.join(", "));
            Err(ClusterError::Conflict(message))
        }
    }
}

/// Whether a majority of the voters that remain is up.
fn can_spare(status: &MemberStatus, node: &NodeStatus) -> bool {
    let others: Vec<&NodeStatus> = status.nodes.iter().filter(|other| other.voter && other.id != node.id).collect();
    let up = others.iter().filter(|other| other.state == MemberState::Up && !other.suspect).count();
    !others.is_empty() && up > others.len() / 2
}
