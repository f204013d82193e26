//! A cluster is upgraded node by node while it is used. The next release stands in for itself: a build that knows one level
//! more, proposes an entry of the log that this release cannot read, and says words everywhere that this release does not know.

use std::process::Command;
use std::time::Duration;

use weft_tests::cluster::Cluster;
use weft_tests::deadline::Deadline;
use weft_tests::numbered::Strict;
use weft_tests::{tools, wait};

/// What a node says when it reads an entry of the next level.
const NEXT_LEVEL: &str = "an entry of the next level was agreed on";

/// Publishers of the path that is read all the time, each of which stands by while the other's node is upgraded.
const FIRST: u8 = 1;
const SECOND: u8 = 2;

fn ok<T>(cluster: &Cluster, result: Result<T, String>) -> T {
    result.unwrap_or_else(|error| cluster.fail(&error))
}

fn levels(cluster: &Cluster) -> Vec<Option<u64>> {
    let running = cluster.nodes.iter().filter(|node| node.is_running());
    running.map(|node| node.status()?["level"].as_u64()).collect()
}

/// As an operator does it: emptied, stopped, replaced, started.
fn upgrade(cluster: &mut Cluster, at: usize) {
    let api = format!("http://{}", cluster.nodes[at].api_address());
    let mut drain = Command::new(tools::weft());
    drain.args(["cluster", "drain", "--wait", "--deadline", "10s", "--api", &api]);
    let output = drain.output().expect("weft runs");
    if !output.status.success() {
        cluster.fail(&String::from_utf8_lossy(&output.stderr));
    }
    cluster.nodes[at].terminate();
    cluster.nodes[at].becomes(tools::next_weft());
    cluster.nodes[at].start();
    cluster.wait_formed();
}

/// A stream from each node to each other one.
fn check_all_ways(cluster: &Cluster, round: &str) {
    for from in 0..cluster.nodes.len() {
        let path = format!("{round}/{from}");
        let _publisher = cluster.publish_numbered(from, &path, FIRST);
        cluster.wait_owner(&path, Some(&cluster.nodes[from].name));
        for node in &cluster.nodes {
            let mut reader = Strict::start(node.rtsp_address(), &path);
            ok(cluster, reader.read_from(FIRST, 15));
        }
    }
}

#[test]
fn node_by_node_while_it_is_read() {
    let _limit = Deadline::seconds(180);
    let mut cluster = Cluster::form(&["a", "b", "c"]);
    let leader = cluster.leader();
    // The leader is the last but one: before and after it old and new ones lead each other.
    let [one, two, three] = [(leader + 1) % 3, leader, (leader + 2) % 3];
    let first = cluster.publish_numbered(one, "cam", FIRST);
    let second = cluster.publish_numbered(two, "cam?standby=1", SECOND);
    cluster.wait_standby("cam", two);
    let mut reader = Strict::start(cluster.nodes[three].rtsp_address(), "cam");
    ok(&cluster, reader.read_from(FIRST, 10));

    upgrade(&mut cluster, one);
    ok(&cluster, reader.read_from(SECOND, 10));
    drop(first);
    check_all_ways(&cluster, "one-new");

    let first = cluster.publish_numbered(one, "cam?standby=1", FIRST);
    cluster.wait_standby("cam", one);
    upgrade(&mut cluster, two);
    ok(&cluster, reader.read_from(FIRST, 10));
    drop(second);
    check_all_ways(&cluster, "two-new");
    let changes: Vec<u8> = reader.take_changes().into_iter().map(|(who, _)| who).collect();
    assert_eq!(changes, [SECOND, FIRST], "the reader has noticed nothing else");
    assert!(levels(&cluster).iter().all(|level| *level == Some(1)), "one node does not know the next level");

    let mut elsewhere = Strict::start(cluster.nodes[two].rtsp_address(), "cam");
    ok(&cluster, elsewhere.read_from(FIRST, 10));
    assert!(cluster.nodes.iter().all(|node| !node.log().contains(NEXT_LEVEL)));
    upgrade(&mut cluster, three);
    cluster.wait("the next level to be spoken", |cluster| levels(cluster).iter().all(|level| *level == Some(2)));
    cluster.wait("it to be used", |cluster| cluster.nodes.iter().all(|node| node.log().contains(NEXT_LEVEL)));
    ok(&cluster, elsewhere.read_for(Duration::from_millis(500)));
    assert!(elsewhere.take_changes().is_empty() && first.is_going());
    check_all_ways(&cluster, "all-new");
    cluster.check();

    // There is no way back: the old program could not read what has been agreed on, says so, and leaves its data alone.
    cluster.nodes[three].terminate();
    cluster.nodes[three].becomes(tools::weft());
    cluster.nodes[three].start();
    let said = wait::until("the old program to give up", 30, || cluster.nodes[three].ended());
    assert!(said.contains("newer"), "{said}");
    cluster.nodes[three].becomes(tools::next_weft());
    cluster.nodes[three].start();
    cluster.wait_formed();
    check_all_ways(&cluster, "again");
}
