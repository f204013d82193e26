//! Durable claims at three nodes, through the cluster's handle alone: no doors, no clients. The nodes are three threads of
//! this process with three storage threads, real disks (a temporary folder) and a real mesh on the loopback.
//!
//! ```text
//! cargo bench -p weft-cluster --bench claims                  # claims a second, one to 256 at a time
//! cargo bench -p weft-cluster --bench claims -- --owned       # and what 100,000 owned paths cost an idle node
//! ```
#![allow(clippy::print_stdout, missing_docs, reason = "a program that measures")]

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use weft_cluster::membership::{
    Cluster, ClusterConfig, Ended, Host, LEVELS, MemberConfig, MemberTimings, SeatConfig, StoredIncarnations, Way,
};
use weft_cluster::ownership::{Claimant, MemberFacts, NodeId};
use weft_cluster::{Clock, Storage};
use weft_proto::id::{Epoch, PathName};

/// Claims of one measurement.
const CLAIMS: usize = 12_000;

/// How long an idle node is watched.
const IDLE: Duration = Duration::from_secs(10);

struct Nobody;

impl Host for Nobody {
    fn lost(&self, _: &PathName, _: Epoch, _: Option<NodeId>) {}
    fn renewed(&self, _: &PathName, _: Epoch) {}
    fn assigned(&self, _: &PathName, _: Epoch) -> bool {
        false
    }
}

/// An address that is free for both.
fn address() -> SocketAddr {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = tcp.local_addr().expect("a bound socket");
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

async fn node(number: u64, folder: &std::path::Path, addresses: &[SocketAddr]) -> (Cluster, oneshot::Receiver<Ended>) {
    let bind = addresses[number as usize];
    let folder = folder.join(number.to_string());
    let storage = Storage::start(&folder).expect("a data folder");
    let state = storage.begin(NodeId(number + 1), 1_000_000).await.expect("a node file");
    let secret = b"a secret of thirty-two characters".to_vec();
    let peers: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
    let member = MemberConfig {
        id: state.id,
        facts: MemberFacts {
            name: format!("n{number}"),
            address: bind.to_string(),
            level: LEVELS.1,
            ..MemberFacts::default()
        },
        incarnation: state.incarnation,
        incarnations: StoredIncarnations::after(state.incarnation, Some(storage.clone())),
        timings: MemberTimings::default(),
        disk: Arc::new(storage.clone()),
        transport: (),
        clock: Clock::start(),
        host: Arc::new(Nobody),
        observer: None,
    };
    let way = Way::Bootstrap { expect: addresses.len(), peers, secret };
    let (version, faults) = (String::new(), None);
    let seat = SeatConfig { way, bind, folder, storage: Some(storage), state, version, faults };
    let (tell, ended) = oneshot::channel();
    (Cluster::start(ClusterConfig { seat, member }, tell).await.expect("the node starts"), ended)
}

/// Claims in parallel, spread over the nodes. Says how long each took, in order of length.
async fn claim(clusters: &[Cluster], prefix: &str, clients: usize, claims: usize) -> Vec<Duration> {
    let mut tasks = JoinSet::new();
    for client in 0..clients {
        let (cluster, prefix) = (clusters[client % clusters.len()].clone(), prefix.to_owned());
        tasks.spawn(async move {
            let mut took = Vec::new();
            for n in 0..claims / clients {
                let path = PathName::new(&format!("{prefix}-{client}-{n}")).expect("a name");
                let begun = Instant::now();
                cluster.claim(&path, false).await.expect("claimed");
                took.push(begun.elapsed());
            }
            took
        });
    }
    let mut all: Vec<Duration> = tasks.join_all().await.into_iter().flatten().collect();
    all.sort_unstable();
    all
}

/// CPU time of this process.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("proc");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

async fn idle(what: &str) {
    let (cpu_before, begun) = (cpu(), Instant::now());
    tokio::time::sleep(IDLE).await;
    let share = (cpu() - cpu_before).as_secs_f64() / begun.elapsed().as_secs_f64();
    println!("idle, {what}: {:.2} % of a core for three nodes", share * 100.0);
}

async fn measure() {
    let folder = tempfile::tempdir().expect("a folder");
    let addresses = [address(), address(), address()];
    let (a, b, c) = tokio::join!(
        node(0, folder.path(), &addresses),
        node(1, folder.path(), &addresses),
        node(2, folder.path(), &addresses),
    );
    let clusters = [a.0, b.0, c.0];
    loop {
        let mut voters = Vec::new();
        for cluster in &clusters {
            voters.push(cluster.status().await.map_or(0, |status| status.standing.voters.len()));
        }
        if voters == [3, 3, 3] && clusters[2].is_up(Duration::from_secs(10)).await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let only: Option<usize> = std::env::var("WEFT_CLIENTS").ok().and_then(|clients| clients.parse().ok());
    let claims = std::env::var("WEFT_CLAIMS").ok().and_then(|claims| claims.parse().ok()).unwrap_or(CLAIMS);
    for clients in [1, 8, 64, 256].into_iter().filter(|clients| only.is_none_or(|only| only == *clients)) {
        let claims = if clients == 1 { claims / 12 } else { claims };
        let (begun, cpu_before) = (Instant::now(), cpu());
        let took = claim(&clusters, &format!("c{clients}"), clients, claims).await;
        let seconds = begun.elapsed().as_secs_f64();
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
        println!(
            "{clients} at a time: {:.0} a second; p50 {:.2?}, p99 {:.2?}, max {:.2?}; {:.0} µs of CPU each",
            took.len() as f64 / seconds,
            at(0.5),
            at(0.99),
            at(1.0),
            (cpu() - cpu_before).as_micros() as f64 / took.len() as f64,
        );
    }
    if std::env::args().any(|argument| argument == "--owned") {
        idle("with what was claimed").await;
        let owned = clusters[0].state().read().paths().iter().len();
        claim(&clusters, "owned", 256, 99_900 - owned).await;
        idle(&format!("{} owned paths", clusters[0].state().read().paths().iter().len())).await;
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure());
    // The nodes' threads end with the process.
    std::process::exit(0);
}
