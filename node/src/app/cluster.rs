//! Takes the node's seat in its cluster, as the configuration says.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::error;
use weft_cluster::liveness::Timings;
use weft_cluster::membership::{
    Cluster, ClusterConfig, Ended, Follow, Host, LEVELS, MemberConfig, MemberTimings, SeatConfig, StoredIncarnations,
    Way,
};
use weft_cluster::mesh::faults::Faults;
use weft_cluster::ownership::{MemberFacts, NodeId};
use weft_cluster::raft::{Disk, MemoryDisk, Observer, RaftTimings};
use weft_cluster::relay::{RelayConfig, Relays};
use weft_cluster::{Clock, Fabric, NodeState, Storage};
use weft_proto::id::{Epoch, PathName};
use weft_proto::wire::relay::Reached;

use super::{Failure, system};
use crate::config::{ClusterTimings, Config, Mode};
use crate::worker::Pool;

/// Who serves what the node owns. The fabric is there a moment later than the cluster, and nothing is owned before.
#[derive(Default)]
pub(super) struct LateHost(OnceLock<Arc<dyn Host>>);

impl LateHost {
    pub(super) fn set(&self, host: Arc<dyn Host>) {
        // Set once, at the start.
        let _ = self.0.set(host);
    }
}

impl Host for LateHost {
    fn lost(&self, path: &PathName, epoch: Epoch, owner: Option<NodeId>) {
        if let Some(host) = self.0.get() {
            host.lost(path, epoch, owner);
        }
    }

    fn passed(&self, path: &PathName) {
        if let Some(host) = self.0.get() {
            host.passed(path);
        }
    }

    fn renewed(&self, path: &PathName, epoch: Epoch) {
        if let Some(host) = self.0.get() {
            host.renewed(path, epoch);
        }
    }

    fn assigned(&self, path: &PathName, epoch: Epoch) -> bool {
        self.0.get().is_some_and(|host| host.assigned(path, epoch))
    }

    fn sources(&self) -> Arc<[PathName]> {
        self.0.get().map(|host| host.sources()).unwrap_or_default()
    }

    fn quorum(&self, there: bool) {
        if let Some(host) = self.0.get() {
            host.quorum(there);
        }
    }

    fn unseen(&self, nodes: BTreeSet<NodeId>) {
        if let Some(host) = self.0.get() {
            host.unseen(nodes);
        }
    }

    fn reached(&self, path: &PathName) -> Option<Reached> {
        self.0.get()?.reached(path)
    }
}

/// The node's label.
pub(super) fn name(config: &Config) -> String {
    config.cluster.node.clone().unwrap_or_else(system::host_name)
}

/// Starts the cluster thread and waits for the node's seat.
pub(super) async fn start(
    config: &Config,
    (state, storage): (NodeState, Option<Storage>),
    clock: Clock,
    host: Arc<dyn Host>,
    observer: Arc<dyn Observer>,
    faults: Option<Faults>,
) -> Result<(Cluster, oneshot::Receiver<Ended>), Failure> {
    let way = way(config)?;
    let alone = matches!(way, Way::Alone) && state.cluster.is_none();
    let disk: Arc<dyn Disk> = match &storage {
        Some(storage) => Arc::new(storage.clone()),
        None => Arc::new(MemoryDisk),
    };
    let member = MemberConfig {
        id: state.id,
        facts: facts(config),
        incarnation: state.incarnation,
        incarnations: StoredIncarnations::after(state.incarnation, storage.clone()),
        timings: if alone { at_rest() } else { timings(&config.cluster.timings) },
        disk,
        transport: (),
        clock,
        host,
        observer: Some(observer),
    };
    let seat = SeatConfig {
        way,
        bind: bind(config)?,
        folder: config.data_dir.clone(),
        storage,
        state,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        faults,
    };
    let (tell, ended) = oneshot::channel();
    let cluster = Cluster::start(ClusterConfig { seat, member }, tell).await;
    let cluster = cluster.map_err(|error| Failure::Cluster(error.to_string()))?;
    // A node that is alone is up after a few writes to its disk; others may have to wait for a quorum, and serve meanwhile.
    if alone && !cluster.is_up(UP_WITHIN).await {
        return Err(Failure::Cluster("the node does not come up: is its disk in order?".into()));
    }
    Ok((cluster, ended))
}

/// Opens the node's relays on all workers; there are none for a node that is alone.
pub(super) fn open_relays(
    config: &Config,
    cluster: &Cluster,
    fabric: &Fabric,
    pool: &Pool,
    clock: Clock,
    faults: Option<Faults>,
) -> Result<Option<Relays>, Failure> {
    let Some(identity) = cluster.identity() else { return Ok(None) };
    let mut address = bind(config)?;
    let port = address.port().checked_add(1);
    address.set_port(port.ok_or_else(|| Failure::Cluster("cluster.address: relays need the next port".into()))?);
    let sockets = Relays::bind(address, pool.len())
        .map_err(|error| Failure::Cluster(format!("cannot listen on UDP {address} for relays: {error}")))?;
    let relays = Relays::new(RelayConfig {
        me: cluster.id(),
        identity: identity.clone(),
        state: cluster.state().clone(),
        clock,
        latency_max: config.cluster.relay_latency_max,
        faults,
    });
    fabric.set_relays(&relays);
    let opened = relays.clone();
    pool.run(sockets, move |_, socket| {
        if let Err(error) = opened.open(socket) {
            error!(%error, "a worker cannot open its relays");
        }
    });
    Ok(Some(relays))
}

/// How long a node that is alone may take.
const UP_WITHIN: Duration = Duration::from_secs(10);

fn timings(said: &ClusterTimings) -> MemberTimings {
    let ClusterTimings { heartbeat, election_timeout, suspect_after, down_after, claim_timeout, .. } = *said;
    MemberTimings {
        raft: RaftTimings { heartbeat, election_min: election_timeout / 2, election_max: election_timeout },
        liveness: Timings { suspect_after, down_after, ..Timings::default() },
        claim_timeout,
        voter_replace_after: said.voter_replace_after,
        follow: Follow { raft: said.elections_follow, liveness: said.liveness_follows },
    }
}

/// Nobody has to hear from a node that is alone, and nobody else can lead.
fn at_rest() -> MemberTimings {
    let secs = Duration::from_secs;
    MemberTimings {
        raft: RaftTimings { heartbeat: secs(1), election_min: secs(4), election_max: secs(5) },
        liveness: Timings { tick: secs(1), ..Timings::default() },
        ..MemberTimings::default()
    }
}

fn way(config: &Config) -> Result<Way, Failure> {
    if config.mode == Mode::Standalone {
        return Ok(Way::Alone);
    }
    if let Some(token) = &config.cluster.join {
        let token = token.parse().map_err(|error| Failure::Cluster(format!("--join: {error}")))?;
        return Ok(Way::Token(token));
    }
    let Some(bootstrap) = &config.cluster.bootstrap else { return Ok(Way::Found) };
    let file = bootstrap.secret_file.display();
    let secret = std::fs::read(&bootstrap.secret_file)
        .map_err(|error| Failure::Cluster(format!("cannot read the cluster's secret {file}: {error}")))?;
    let secret = secret.trim_ascii().to_vec();
    Ok(Way::Bootstrap { expect: bootstrap.expect, peers: bootstrap.peers.clone(), secret })
}

fn bind(config: &Config) -> Result<SocketAddr, Failure> {
    let address = &config.cluster.address;
    address.resolve().map_err(|error| Failure::Cluster(format!("cluster.address: {error}")))
}

fn facts(config: &Config) -> MemberFacts {
    let cluster = &config.cluster;
    let host = if cluster.address.host.is_empty() { system::host_name() } else { cluster.address.host.clone() };
    MemberFacts {
        name: name(config),
        address: cluster.advertise.clone().unwrap_or_else(|| format!("{host}:{}", cluster.address.port)),
        public_host: cluster.public_host.clone(),
        zone: cluster.zone.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        level: LEVELS.1,
        witness: config.mode == Mode::Witness,
    }
}
