//! Nodes whose packets take 150 ms each way, and nobody has configured anything: the timings follow, nobody is thought dead
//! who lives, and a leader that dies is replaced.

use serde_json::Value;
use weft_tests::cluster::Cluster;
use weft_tests::deadline::Deadline;

const EACH_WAY_MS: u64 = 150;

/// What a node says when its timings follow: eight times 40 ms are the first that is not below 300 ms.
const FOLLOWS: &str = "the way to the other nodes takes up to 320ms";

/// Each node is looked at so often, each time with a question to the leader that takes 200 ms: some 20 s.
const LOOKS: usize = 35;

fn term_of(status: &Value) -> (u64, String) {
    (status["term"].as_u64().expect("a term"), status["leader"].as_str().unwrap_or_default().to_owned())
}

fn all_follow(cluster: &Cluster) -> bool {
    cluster.nodes.iter().all(|node| node.log().contains(FOLLOWS))
}

#[test]
fn the_timings_follow_and_nobody_is_thought_dead() {
    let _limit = Deadline::seconds(240);
    let mut cluster = Cluster::form(&["a", "b", "c"]);
    for node in &cluster.nodes {
        assert!(!node.log().contains("the way to the other nodes"), "on one machine nothing is longer than usual");
        node.delay(EACH_WAY_MS);
    }
    cluster.wait("all timings to follow", all_follow);
    // What was lost before that is found again: from here on nothing is lost any more.
    cluster.wait_formed();
    let publishers: Vec<_> = (0..3).map(|at| cluster.publish(at, &format!("cam{at}"))).collect();
    for at in 0..3 {
        cluster.wait_owner(&format!("cam{at}"), Some(&cluster.nodes[at].name));
    }
    let before = term_of(&cluster.nodes[0].status().expect("a status"));
    for _ in 0..LOOKS {
        for node in &cluster.nodes {
            let status = node.status().expect("a status");
            let up = |other: &Value| other["state"] == "up";
            if term_of(&status) != before || !status["nodes"].as_array().expect("nodes").iter().all(up) {
                cluster.fail(&format!("{} lost somebody: {status}", node.name));
            }
        }
    }
    assert!(publishers.iter().all(|publisher| publisher.is_going()));

    let leader = cluster.leader();
    let other = (leader + 1) % 3;
    cluster.nodes[leader].kill();
    let _next = cluster.publish(other, "next");
    cluster.wait("the dead one to be down", |cluster| cluster.sees(other, leader, "down"));
    cluster.nodes[leader].start();
    cluster.wait_formed();
}
