//! How long deaths are felt, in figures: a few runs always, as many as `WEFT_RUNS` says when it is set.
//!
//! ```text
//! WEFT_RUNS=200 cargo test -p weft-tests --test clusters_recover_within_their_times -- --nocapture --test-threads=1
//! ```
//!
//! What is asserted has room for a busy machine; the aims are in `BENCHMARKS.md`, beside what was seen.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use weft_tests::cluster::{Cluster, Node, state_of};
use weft_tests::deadline::Deadline;
use weft_tests::figures::Figures;
use weft_tests::publisher::{claim, claim_timed};

/// Runs without a wish.
const RUNS: usize = 2;

/// Between two attempts to publish.
const AGAIN: Duration = Duration::from_millis(2);

/// Claims at a time: each is a connection.
const CLAIMS_MAX: usize = 1200;

fn runs() -> usize {
    std::env::var("WEFT_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS)
}

fn limit() -> Deadline {
    Deadline::seconds(120 + 10 * runs() as u64)
}

fn sees(cluster: &Cluster, by: usize, of: usize, state: &str, incarnation: u64) -> bool {
    let name = cluster.nodes[of].name.as_str();
    cluster.nodes[by].status().is_some_and(|status| {
        let node = status["nodes"].as_array().and_then(|nodes| nodes.iter().find(|node| node["name"] == name));
        let is_of = node.is_some_and(|node| node["incarnation"].as_u64() >= Some(incarnation));
        is_of && state_of(&status, name) == Some(state)
    })
}

fn incarnation(cluster: &Cluster, by: usize, of: usize) -> u64 {
    let status = cluster.nodes[by].status().expect("a running node answers");
    let nodes = status["nodes"].as_array().expect("nodes");
    let node = nodes.iter().find(|node| node["name"] == cluster.nodes[of].name.as_str());
    node.and_then(|node| node["incarnation"].as_u64()).expect("a member has an incarnation")
}

/// Tries to publish until that works, and says how long after `since` it did, if it did.
fn claims_again(server: SocketAddr, path: String, since: Instant) -> thread::JoinHandle<Option<Duration>> {
    thread::spawn(move || {
        loop {
            if let Ok(connection) = claim(server, &path) {
                let took = since.elapsed();
                drop(connection);
                return Some(took);
            }
            if since.elapsed().as_secs() >= 15 {
                return None;
            }
            thread::sleep(AGAIN);
        }
    })
}

/// The leader, and the other two.
fn roles(cluster: &Cluster) -> [usize; 3] {
    let leader = cluster.leader();
    [leader, (leader + 1) % 3, (leader + 2) % 3]
}

#[test]
fn a_killed_owner_is_down_and_its_path_claimed_elsewhere() {
    let _limit = limit();
    let mut cluster = Cluster::form(&["a", "b", "c"]);
    let [mut down, mut free, mut claimed, mut up] =
        ["down", "path free", "claimed elsewhere", "up again"].map(Figures::new);
    for run in 0..runs() {
        let [leader, dies, third] = roles(&cluster);
        let (kept, taken) = (format!("kept{run}"), format!("taken{run}"));
        let _publishers =
            [&kept, &taken].map(|path| claim(cluster.nodes[dies].rtsp_address(), path).expect("published"));
        let name = cluster.nodes[dies].name.clone();
        cluster.wait_owner(&kept, Some(&name));
        let before = incarnation(&cluster, leader, dies);
        let killed = cluster.nodes[dies].kill();
        let claiming = claims_again(cluster.nodes[third].rtsp_address(), taken, killed);
        down.add(cluster.measure("a killed node to be down", killed, |cluster| sees(cluster, leader, dies, "down", 0)));
        free.add(cluster.measure("its path to be free", killed, |cluster| {
            cluster.owner(leader, &kept).is_none_or(|(owner, _)| owner.is_none())
        }));
        claimed.add(claiming.join().expect("no panic").unwrap_or_else(|| cluster.fail("nothing can be claimed")));
        let started = Instant::now();
        cluster.nodes[dies].start();
        up.add(cluster.measure("it to be up again", started, |cluster| sees(cluster, leader, dies, "up", before + 1)));
        cluster.wait_formed();
    }
    for figures in [&down, &free, &claimed, &up] {
        figures.print();
    }
    down.assert_median(Duration::from_secs(3));
    claimed.assert_median(Duration::from_secs(3));
}

/// Of the two that stay to agree on it one has just come back itself.
#[test]
fn a_node_that_dies_as_soon_as_another_one_is_back_is_down() {
    let _limit = limit();
    let mut cluster = Cluster::form(&["a", "b", "c"]);
    let (mut down, mut again) = (Figures::new("down, another one is back"), Figures::new("the same, at once"));
    for _ in 0..runs() {
        for (waits, figures) in [(true, &mut down), (false, &mut again)] {
            let [leader, first, second] = roles(&cluster);
            let before = incarnation(&cluster, leader, first);
            let killed = cluster.nodes[first].kill();
            cluster.measure("a node to be down", killed, |cluster| sees(cluster, leader, first, "down", 0));
            cluster.nodes[first].start();
            cluster
                .measure("it to be up again", Instant::now(), |cluster| sees(cluster, leader, first, "up", before + 1));
            if waits {
                cluster.wait_formed();
            }
            let killed = cluster.nodes[second].kill();
            figures.add(
                cluster.measure("the other one to be down", killed, |cluster| sees(cluster, leader, second, "down", 0)),
            );
            cluster.nodes[second].start();
            cluster.wait_formed();
        }
    }
    for figures in [&down, &again] {
        figures.print();
        figures.assert_median(Duration::from_secs(3));
    }
}

#[test]
fn a_stopped_node_is_down() {
    let _limit = limit();
    let cluster = Cluster::form(&["a", "b", "c"]);
    let (mut down, mut leading) = (Figures::new("down, no leader"), Figures::new("down, leader"));
    for run in 0..runs() {
        let [leader, other, third] = roles(&cluster);
        let (stops, sees_it) = if run % 2 == 0 { (other, leader) } else { (leader, third) };
        let before = incarnation(&cluster, third, stops);
        let stopped = cluster.nodes[stops].freeze();
        let took =
            cluster.measure("a stopped node to be down", stopped, |cluster| sees(cluster, sees_it, stops, "down", 0));
        if run % 2 == 0 {
            down.add(took);
        } else {
            leading.add(took);
        }
        cluster.nodes[stops].thaw();
        cluster.wait("it to come up as another incarnation", |cluster| sees(cluster, third, stops, "up", before + 1));
    }
    for figures in [&down, &leading] {
        figures.print();
        figures.assert_median(Duration::from_secs(4));
    }
}

#[test]
fn paths_are_claimed_again_after_the_leaders_death() {
    let _limit = limit();
    let mut cluster = Cluster::form(&["a", "b", "c"]);
    let mut claimed = Figures::new("claimed again");
    for run in 0..runs() {
        let [leader, other, _] = roles(&cluster);
        let killed = cluster.nodes[leader].kill();
        let claiming = claims_again(cluster.nodes[other].rtsp_address(), format!("cam{run}"), killed);
        claimed.add(claiming.join().expect("no panic").unwrap_or_else(|| cluster.fail("nothing can be claimed")));
        cluster.nodes[leader].start();
        cluster.wait_formed();
    }
    claimed.print();
    claimed.assert_median(Duration::from_secs(3));
}

#[test]
fn a_thousand_paths_of_a_dying_node_are_free_together() {
    let _limit = limit();
    let mut cluster = Cluster::form(&["a", "b", "c"]);
    let [leader, dies, _] = roles(&cluster);
    let server = cluster.nodes[dies].rtsp_address();
    let publishers: Vec<_> = (0..1000).map(|n| claim(server, &format!("cam{n}")).expect("published")).collect();
    let name = cluster.nodes[dies].name.clone();
    cluster.wait_owner("cam999", Some(&name));
    let killed = cluster.nodes[dies].kill();
    let mut free = Figures::new("1,000 paths free");
    free.add(cluster.measure("all paths to be free", killed, |cluster| {
        let paths = cluster.nodes[leader].get("/cluster/paths");
        paths.is_some_and(|paths| {
            paths.as_array().is_some_and(|all| all.iter().all(|path| path["node"] != name.as_str()))
        })
    }));
    free.print();
    drop(publishers);
    cluster.nodes[dies].start();
    cluster.wait_formed();
}

#[test]
fn claims_are_durable_and_quick() {
    let _limit = limit();
    let cluster = Cluster::form(&["a", "b", "c"]);
    let servers: Vec<SocketAddr> = cluster.nodes.iter().map(Node::rtsp_address).collect();
    for clients in [1, 8, 64] {
        let each = (10 * runs()).min(CLAIMS_MAX / clients);
        let mut latency = Figures::new(&format!("claim over RTSP, {clients} at a time"));
        let begun = Instant::now();
        let threads: Vec<_> = (0..clients)
            .map(|client| {
                let server = servers[client % servers.len()];
                thread::spawn(move || {
                    let claims =
                        (0..each).map(|n| claim_timed(server, &format!("c{clients}-{client}-{n}")).expect("claimed"));
                    // All are kept until the end: what is measured are claims, not releases.
                    claims.collect::<Vec<_>>()
                })
            })
            .collect();
        let claims: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().expect("a client")).collect();
        let took = begun.elapsed();
        claims.iter().for_each(|(_, time)| latency.add(*time));
        latency.print_with(&format!("{:.0} a second", claims.len() as f64 / took.as_secs_f64()));
    }
}
