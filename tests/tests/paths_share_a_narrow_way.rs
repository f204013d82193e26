//! Where the way between two nodes is too narrow for all paths that go over it, each of them gets its part, and all are whole
//! again when it is wide enough.

use std::process::Command;

use serde_json::Value;
use weft_tests::cluster::{Cluster, Node, Setup};
use weft_tests::deadline::Deadline;
use weft_tests::process::Process;
use weft_tests::tools;
use weft_tests::urls::Urls as _;

const PATHS: usize = 8;

/// Half of what the paths have, at 1 Mbit/s each.
const HALF: u64 = 4_000_000;

/// The bytes that each path's reader has got, by the paths' numbers; `None` while not all are there.
fn sent(node: &Node) -> Option<[u64; PATHS]> {
    let sessions = node.get("/v3/rtspsessions/list?local=1&itemsPerPage=100")?;
    let mut sent = [None; PATHS];
    for session in sessions["items"].as_array()? {
        let number: usize = session["path"].as_str()?.strip_prefix("many-")?.parse().ok()?;
        *sent.get_mut(number)? = session["bytesSent"].as_u64();
    }
    let all: Vec<u64> = sent.into_iter().flatten().filter(|bytes| *bytes > 0).collect();
    all.try_into().ok()
}

/// The connections over which paths go between two nodes, as one of them sees it.
fn links(node: &Node, other: &str, way: &str) -> Vec<Value> {
    let nodes = node.get("/cluster/nodes").unwrap_or_default();
    let of = nodes.as_array().into_iter().flatten().find(|one| one["name"] == other);
    let links = of.and_then(|of| of["relayLinks"].as_array()).into_iter().flatten();
    links.filter(|link| link["way"] == way).cloned().collect()
}

#[test]
fn no_path_starves_another() {
    let _limit = Deadline::seconds(150);
    let cluster = Cluster::with(&["a", "b"].map(|name| Setup::new(name).with_workers(3)));
    let (near, far) = (&cluster.nodes[0], &cluster.nodes[1]);
    let mut chaos = Command::new(tools::chaos());
    chaos.args([
        "load",
        "--publish",
        &near.rtsp("many"),
        "--read",
        &far.rtsp("many"),
        "--bitrate",
        "1M",
        "--gop",
        "1s",
    ]);
    chaos.args(["--publishers", &PATHS.to_string(), "--readers", &PATHS.to_string(), "--no-audio", "--quiet"]);
    chaos.args(["--duration", "10m"]);
    let _chaos = Process::start("weft-chaos", chaos);
    cluster.wait("all paths to be read", |_| sent(far).is_some());
    cluster.wait("one connection to carry all", |_| {
        let links = links(far, "a", "from");
        links.len() == 1 && links[0]["receivedBitsPerSecond"].as_u64() > Some(HALF)
    });

    far.narrow("a", HALF);
    cluster.wait("the way to be full", |_| {
        links(near, "b", "to").iter().any(|link| link["waitingTracks"].as_u64() > Some(0))
    });
    let before = sent(far).expect("all read");
    let got = || sent(far).map(|now| std::array::from_fn::<u64, PATHS, _>(|path| now[path] - before[path]));
    // Some eight groups of each path, could they pass.
    cluster.wait("media to have come", |_| got().is_some_and(|got| got.iter().sum::<u64>() > HALF));
    let got = got().expect("all read");
    let mean = got.iter().sum::<u64>() / PATHS as u64;
    assert!(got.iter().all(|bytes| *bytes > mean / 2), "of {mean} bytes the paths got {got:?}");

    far.heal();
    cluster.wait("nothing to wait any more", |_| {
        let links = links(near, "b", "to");
        links.len() == 1 && links[0]["waitingTracks"] == 0 && links[0]["sentBitsPerSecond"].as_u64() > Some(HALF)
    });
}
