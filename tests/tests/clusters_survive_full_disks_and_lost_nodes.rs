//! A disk that is full, a node that is gone for good, a majority that is gone for good, and a cluster that is.

use std::process::Command;

use weft_tests::cluster::{Cluster, Setup};
use weft_tests::deadline::Deadline;
use weft_tests::publisher::{Publisher, Refused, claim};
use weft_tests::{tools, wait};

#[test]
fn a_node_whose_disk_is_full_says_so_and_goes_on_with_its_streams() {
    let _limit = Deadline::seconds(180);
    let cluster = Cluster::with(&[Setup::new("a"), Setup::new("b"), Setup::new("c").on_small_disk(8)]);
    let going = cluster.publish(2, "before");
    cluster.wait_owner("before", Some("c"));
    cluster.nodes[2].fill_disk();
    // What is agreed now has no place there, once the last page of its log is full. Others agree without it, whoever led.
    let mut count = 0;
    wait::until("the node to find its disk full", 60, || {
        count += 1;
        let claimed = claim(cluster.nodes[count % 2].rtsp_address(), &format!("cam{count}"));
        assert!(matches!(claimed, Ok(_) | Err(Refused::Status(503))), "{claimed:?}");
        cluster.nodes[2].log().contains("No space left").then_some(())
    });
    cluster.wait("another node to lead", |cluster| {
        cluster.nodes[0].status().is_some_and(|status| status["leader"].is_string() && status["leader"] != "c")
    });
    // It takes nobody any more, and says why; before it knew, others may have agreed for it.
    let mut count = 0;
    wait::until("the node to refuse", 20, || {
        count += 1;
        matches!(cluster.try_publish(2, &format!("late{count}")), Err(Refused::Status(503))).then_some(())
    });
    let refused = cluster.try_publish(2, "later");
    assert!(matches!(refused, Err(Refused::Status(503))), "{refused:?}");
    wait::until("the refusal to be logged", 5, || {
        let log = cluster.nodes[2].log();
        log.lines().any(|line| line.contains("publisher refused") && line.contains("has lost its disk")).then_some(())
    });
    let owner = |cluster: &Cluster| (0..2).filter_map(|at| cluster.owner(at, "later")).next();
    assert!(owner(&cluster).is_none(), "what was refused is nobody's");
    let after = cluster.publish(0, "after");
    assert!(going.is_going() && after.is_going(), "streams go on");
    assert!(cluster.nodes[2].is_running());
}

#[test]
fn two_nodes_and_a_witness_survive_a_death() {
    let _limit = Deadline::seconds(120);
    let mut cluster = Cluster::with(&[Setup::new("a"), Setup::new("b"), Setup::new("w").with("mode: witness")]);
    let refused = Publisher::start(cluster.nodes[2].rtsp_address(), "cam");
    assert!(matches!(refused, Err(Refused::Status(503))), "{refused:?}");
    wait::until("the witness to say why", 5, || {
        cluster.nodes[2]
            .log()
            .contains("publisher refused: the node takes no publishers: it is a witness")
            .then_some(())
    });
    let _lost = cluster.publish(0, "cam");
    let first = cluster.wait_owner("cam", Some("a"));
    cluster.nodes[0].kill();
    let publisher = cluster.publish(1, "cam");
    assert!(cluster.wait_owner("cam", Some("b")) > first);
    assert!(publisher.is_going());
}

#[test]
fn the_survivor_of_a_majority_goes_on_alone() {
    let _limit = Deadline::seconds(120);
    let mut cluster = Cluster::form(&["a", "b", "c"]);
    let lost = cluster.publish(1, "cam");
    let first = cluster.wait_owner("cam", Some("b"));
    cluster.nodes.iter_mut().for_each(|node| {
        node.kill();
    });
    drop(lost);
    let mut recover = cluster.nodes[0].command();
    let said = tools::run(recover.args(["cluster", "recover", "--force"]));
    assert!(said.contains("goes on alone"), "{said}");
    cluster.nodes[0].start();
    let _publisher = cluster.publish(0, "cam");
    assert!(cluster.wait_owner("cam", Some("a")) > first, "epochs go on above");
    // Those that were lost and come back with their data are not let in.
    cluster.nodes[1].start();
    wait::until("a lost node to be refused", 20, || {
        cluster.nodes[0].log().contains("refused a connection of the cluster").then_some(())
    });
    assert_eq!(cluster.nodes[0].ready(), Some(200));
    cluster.nodes[1].kill();
    // Wiped and invited, they are.
    cluster.nodes[1].wipe();
    let token = cluster.nodes[0].token(60);
    let again = cluster.add(&Setup::new("b"));
    cluster.nodes[again].start_with(&["--join", &token]);
    cluster.wait("b to be up again", |cluster| {
        cluster.nodes[0].status().is_some_and(|status| {
            let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
            nodes.iter().any(|node| node["name"] == "b" && node["state"] == "up")
        })
    });
}

#[test]
fn a_backup_is_restored_into_a_new_cluster() {
    let _limit = Deadline::seconds(120);
    let mut cluster = Cluster::form(&["a", "b", "c"]);
    let publisher = cluster.publish(1, "cam");
    let first = cluster.wait_owner("cam", Some("b"));
    let file = cluster.nodes[0].data().join("../backup");
    let api = format!("http://{}", cluster.nodes[0].api_address());
    let said = tools::run(Command::new(tools::weft()).args(["cluster", "backup", "--api", &api]).arg(&file));
    assert!(said.contains("written"), "{said}");
    drop(publisher);
    for node in &mut cluster.nodes {
        node.kill();
    }
    let new = cluster.add(&Setup::new("r"));
    let mut restore = cluster.nodes[new].command();
    let said = tools::run(restore.args(["cluster", "restore"]).arg(&file));
    assert!(said.contains("restored"), "{said}");
    cluster.nodes[new].start();
    let _publisher = cluster.publish(new, "cam");
    assert!(cluster.wait_owner("cam", Some("r")) > first, "epochs go on above");
    let token = cluster.nodes[new].token(60);
    let other = cluster.add(&Setup::new("s"));
    cluster.nodes[other].start_with(&["--join", &token]);
    cluster.wait("s to be up", |cluster| cluster.sees(new, other, "up"));
}
