//! Nodes are killed, stopped and started again: paths go on elsewhere or there, under a higher epoch, and nothing that was
//! agreed is lost.

use std::time::{Duration, Instant};

use serde_json::Value;
use weft_tests::cluster::Cluster;
use weft_tests::deadline::Deadline;
use weft_tests::wait;

fn others(at: usize) -> [usize; 2] {
    [(at + 1) % 3, (at + 2) % 3]
}

fn incarnation(cluster: &Cluster, by: usize, of: usize) -> Option<u64> {
    let status = cluster.nodes[by].status()?;
    let node = status["nodes"].as_array()?.iter().find(|node| node["name"] == cluster.nodes[of].name.as_str())?;
    node["incarnation"].as_u64()
}

#[test]
fn a_killed_owners_path_is_taken_elsewhere_under_a_higher_epoch() {
    let _limit = Deadline::seconds(120);
    let mut cluster = Cluster::form(&["a", "b", "c"]);
    let _lost = cluster.publish(0, "cam");
    let first = cluster.wait_owner("cam", Some("a"));
    let killed = cluster.nodes[0].kill();
    let publisher = cluster.publish(1, "cam");
    let second = cluster.wait_owner("cam", Some("b"));
    assert!(second > first && killed.elapsed().as_secs() < 10, "{second} after {first}");
    cluster.nodes[0].start();
    cluster.wait_formed();
    assert_eq!(cluster.wait_owner("cam", Some("b")), second, "the path stays where it went");
    assert!(publisher.is_going());
}

#[test]
fn a_killed_owners_path_is_nobodys_until_somebody_publishes() {
    let _limit = Deadline::seconds(120);
    let mut cluster = Cluster::form(&["a", "b", "c"]);
    let _lost = cluster.publish(0, "cam");
    let first = cluster.wait_owner("cam", Some("a"));
    cluster.nodes[0].kill();
    cluster.wait_owner("cam", None);
    // Back within 100 ms, it is another incarnation, and owns nothing.
    cluster.nodes[0].start();
    cluster.wait_formed();
    assert_eq!(incarnation(&cluster, 1, 0), Some(2));
    let _publisher = cluster.publish(0, "cam");
    assert!(cluster.wait_owner("cam", Some("a")) > first);
}

#[test]
fn a_node_that_is_started_again_at_once_owns_nothing_of_before() {
    let _limit = Deadline::seconds(120);
    let mut cluster = Cluster::form(&["a", "b", "c"]);
    // A machine that is busy may take longer to end a process and to start it: then once more.
    for life in 2..12 {
        let _lost = cluster.publish(0, "cam");
        let first = cluster.wait_owner("cam", Some("a"));
        let killed = cluster.nodes[0].kill();
        cluster.nodes[0].start();
        let is_soon = killed.elapsed().as_millis() < 100;
        cluster
            .wait("a to be up again", |cluster| cluster.sees(1, 0, "up") && incarnation(cluster, 1, 0) == Some(life));
        cluster.wait_owner("cam", None);
        if is_soon {
            let _publisher = cluster.publish(0, "cam");
            assert!(cluster.wait_owner("cam", Some("a")) > first);
            return;
        }
    }
    cluster.fail("no process ends and starts within 100 ms");
}

#[test]
fn a_stopped_owner_goes_on_under_a_higher_epoch_when_nobody_took_its_path() {
    let _limit = Deadline::seconds(120);
    let cluster = Cluster::form(&["a", "b", "c"]);
    for at in [cluster.leader(), others(cluster.leader())[0]] {
        let (name, [other, _]) = (cluster.nodes[at].name.clone(), others(at));
        let path = format!("cam-{name}");
        let publisher = cluster.publish(at, &path);
        let first = cluster.wait_owner(&path, Some(&name));
        let before = incarnation(&cluster, other, at).expect("it is a member");
        cluster.nodes[at].freeze();
        cluster.wait("the stopped node to be down", |cluster| cluster.sees(other, at, "down"));
        cluster.wait("its path to be nobody's", |cluster| {
            cluster.owner(other, &path).is_none_or(|(owner, _)| owner.is_none())
        });
        cluster.nodes[at].thaw();
        assert!(cluster.wait_owner(&path, Some(&name)) > first);
        assert!(incarnation(&cluster, other, at).is_some_and(|now| now > before));
        assert!(publisher.is_going(), "its publisher notices nothing");
    }
}

#[test]
fn a_stopped_owner_whose_path_was_taken_tells_its_publisher() {
    let _limit = Deadline::seconds(120);
    let cluster = Cluster::form(&["a", "b", "c"]);
    let old = cluster.publish(0, "cam");
    let first = cluster.wait_owner("cam", Some("a"));
    cluster.nodes[0].freeze();
    let new = cluster.publish(1, "cam");
    cluster.nodes[0].thaw();
    let second = cluster.wait_owner("cam", Some("b"));
    assert!(second > first);
    wait::until("the old publisher to be told", 20, || (!old.is_going()).then_some(()));
    assert!(new.is_going());
    let log = cluster.nodes[0].log();
    assert!(log.contains("replaced") || log.contains("took over"), "{log}");
}

#[test]
fn paths_are_claimed_again_when_the_leader_dies() {
    let _limit = Deadline::seconds(120);
    let mut cluster = Cluster::form(&["a", "b", "c"]);
    let leader = cluster.leader();
    let [other, third] = others(leader);
    let going = cluster.publish(other, "before");
    let epoch = cluster.wait_owner("before", Some(&cluster.nodes[other].name.clone()));
    cluster.nodes[leader].kill();
    let _new = cluster.publish(third, "after");
    assert!(cluster.wait_owner("after", Some(&cluster.nodes[third].name.clone())) > epoch);
    assert!(going.is_going());
    cluster.nodes[leader].start();
    cluster.wait_formed();
}

#[test]
fn what_was_agreed_is_there_after_all_nodes_were_killed_at_once() {
    let _limit = Deadline::seconds(120);
    let mut cluster = Cluster::form(&["a", "b", "c"]);
    let publishers: Vec<_> = (0..10).map(|n| cluster.publish(n % 3, &format!("cam{n}"))).collect();
    let highest = (0..10).map(|n| cluster.wait_owner(&format!("cam{n}"), Some(["a", "b", "c"][n % 3]))).max();
    let members = |status: &Value| -> Vec<(String, String)> {
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        let text = |node: &Value, key: &str| node[key].as_str().unwrap_or_default().to_owned();
        nodes.iter().map(|node| (text(node, "id"), text(node, "name"))).collect()
    };
    let before = members(&cluster.nodes[0].status().expect("a answers"));
    let at = Instant::now();
    for node in &mut cluster.nodes {
        node.kill();
    }
    assert!(at.elapsed().as_millis() < 1000, "all at once");
    drop(publishers);
    cluster.nodes.iter_mut().for_each(weft_tests::cluster::Node::start);
    cluster.wait_formed();
    // What they have read says that the old processes are up, until the new ones have said so.
    cluster.wait("all to be new processes", |cluster| (0..3).all(|at| incarnation(cluster, 0, at) == Some(2)));
    assert_eq!(members(&cluster.nodes[0].status().expect("a answers")), before);
    let _publisher = cluster.publish(2, "cam0");
    assert!(Some(cluster.wait_owner("cam0", Some("c"))) > highest, "epochs go on above");
}

#[test]
fn a_node_that_does_not_come_back_with_the_others_is_down() {
    let _limit = Deadline::seconds(120);
    let mut cluster = Cluster::form(&["a", "b", "c"]);
    let publisher = cluster.publish(2, "cam");
    cluster.wait_owner("cam", Some("c"));
    for node in &mut cluster.nodes {
        node.kill();
    }
    drop(publisher);
    cluster.nodes[0].start();
    cluster.nodes[1].start();
    cluster.wait("the missing node to be down", |cluster| cluster.sees(0, 2, "down"));
    cluster.wait_owner("cam", None);
}

#[test]
fn a_node_that_dies_as_soon_as_it_is_up_is_down() {
    let _limit = Deadline::seconds(120);
    let mut cluster = Cluster::form(&["a", "b", "c"]);
    for incarnation_now in 2..7 {
        cluster.nodes[2].kill();
        cluster.nodes[2].start();
        while incarnation(&cluster, 0, 2) != Some(incarnation_now) {
            std::thread::sleep(Duration::from_millis(2));
        }
        cluster.nodes[2].kill();
        cluster.wait("the node to be down", |cluster| cluster.sees(0, 2, "down"));
    }
}
