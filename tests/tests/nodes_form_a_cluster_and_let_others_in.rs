//! Nodes with a secret find each other; with a token, once, others join; who was removed stays out.

use std::time::{Duration, Instant};

use weft_tests::cluster::{Cluster, Setup, state_of};
use weft_tests::deadline::Deadline;
use weft_tests::wait;

/// Waits until a node has ended by itself, and gives what it said.
fn refused(cluster: &mut Cluster, at: usize) -> String {
    let (_, running) = cluster.nodes.split_at_mut(at);
    let node = &mut running[0];
    let limit = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(said) = node.ended() {
            return said;
        }
        assert!(Instant::now() < limit, "a node that is not let in goes on; it said:\n{}", node.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn id(cluster: &Cluster, name: &str) -> Option<String> {
    let status = cluster.nodes[0].status()?;
    let nodes = status["nodes"].as_array()?;
    // Of several with one name, the newest: the others are down.
    let up = nodes.iter().find(|node| node["name"] == name && node["state"] == "up")?;
    Some(up["id"].as_str()?.to_owned())
}

#[test]
fn a_token_lets_one_node_in_once() {
    let _limit = Deadline::seconds(120);
    let mut cluster = Cluster::form(&["a", "b", "c"]);
    let token = cluster.nodes[1].token(60);
    let fourth = cluster.add(&Setup::new("d"));
    cluster.nodes[fourth].start_with(&["--join", &token]);
    cluster.wait_formed();
    let fifth = cluster.add(&Setup::new("e"));
    cluster.nodes[fifth].start_with(&["--join", &token]);
    let said = refused(&mut cluster, fifth);
    assert!(said.contains("cannot join the cluster"), "{said}");
    cluster.nodes[fifth].kill();
    // It comes back without the token, and with it.
    cluster.nodes[fourth].kill();
    cluster.nodes[fourth].start_with(&["--join", &token]);
    cluster.wait_formed();
}

#[test]
fn a_token_is_good_for_a_node_that_dies_before_it_has_read_the_answer() {
    let _limit = Deadline::seconds(120);
    let mut cluster = Cluster::form(&["a", "b", "c"]);
    for run in 0..3 {
        let token = cluster.nodes[0].token(60);
        let asked = |cluster: &Cluster| {
            cluster.nodes.iter().map(|node| node.log().matches("a node wants to join").count()).sum::<usize>()
        };
        let before = asked(&cluster);
        let joins = cluster.add(&Setup::new(&format!("d{run}")));
        cluster.nodes[joins].start_with(&["--join", &token]);
        while asked(&cluster) == before {
            std::thread::yield_now();
        }
        cluster.nodes[joins].kill();
        // Whether its first life was let in or not: the second comes with the same token, and is.
        cluster.nodes[joins].start_with(&["--join", &token]);
        cluster.wait("the node to be up", |cluster| cluster.sees(0, joins, "up"));
    }
}

#[test]
fn a_token_that_is_too_old_or_of_another_cluster_lets_nobody_in() {
    let _limit = Deadline::seconds(120);
    let mut cluster = Cluster::form(&["a"]);
    let old = cluster.nodes[0].token(1);
    // The token's life is a second; that it is over is the state that is waited for.
    std::thread::sleep(Duration::from_millis(1200));
    let late = cluster.add(&Setup::new("late"));
    cluster.nodes[late].start_with(&["--join", &old]);
    let said = refused(&mut cluster, late);
    assert!(said.contains("cannot join the cluster"), "{said}");
    // A token of another cluster, whose node is gone: the newcomer says that it finds nobody, and goes on asking. (That a
    // node of another authority is not believed is tested where the mesh is.)
    let stranger = Cluster::form(&["x"]);
    let foreign = stranger.nodes[0].token(60);
    drop(stranger);
    let lost = cluster.add(&Setup::new("lost"));
    cluster.nodes[lost].start_with(&["--join", &foreign]);
    wait::until("a node that finds nobody to say so", 20, || {
        cluster.nodes[lost].log().contains("not in the cluster yet").then_some(())
    });
}

#[test]
fn a_removed_node_stays_out_and_a_wiped_one_is_another() {
    let _limit = Deadline::seconds(120);
    let mut cluster = Cluster::form(&["a", "b", "c"]);
    let before = id(&cluster, "c").expect("c is up");
    // Wiped, it comes back by the secret, as another node with the same name.
    cluster.nodes[2].kill();
    cluster.nodes[2].wipe();
    cluster.nodes[2].start();
    cluster.wait("c to be up as another node", |cluster| id(cluster, "c").is_some_and(|id| id != before));
    let now = id(&cluster, "c").expect("c is up");
    assert_eq!(cluster.nodes[0].send("DELETE", &format!("/cluster/nodes/{before}?force=true"), &().into()).status, 200);
    let removed = cluster.nodes[0].send("DELETE", &format!("/cluster/nodes/{now}?force=true"), &().into());
    assert_eq!(removed.status, 200, "{}", removed.body);
    cluster.wait("c to be gone", |cluster| {
        cluster.nodes[0].status().is_some_and(|status| state_of(&status, "c").is_none())
    });
    let said = refused(&mut cluster, 2);
    assert!(said.contains("removed"), "{said}");
    cluster.nodes[2].start();
    let said = refused(&mut cluster, 2);
    assert!(said.contains("removed"), "{said}");
}

#[test]
fn a_cluster_goes_on_when_its_founder_dies_as_soon_as_it_is_there() {
    let _limit = Deadline::seconds(120);
    // Formed, and nothing waited for but the first word of the founder.
    let mut cluster = Cluster::begin(&["a", "b", "c"]);
    let founder = wait::until("a founder that is ready", 20, || {
        let founds = |at: &usize| cluster.nodes[*at].log().contains("this one founds the cluster");
        (0..3).find(founds).filter(|at| cluster.nodes[*at].ready() == Some(200))
    });
    cluster.nodes[founder].kill();
    let (other, third) = ((founder + 1) % 3, (founder + 2) % 3);
    let publisher = cluster.publish(other, "cam");
    let name = cluster.nodes[other].name.clone();
    cluster.wait_owner("cam", Some(&name));
    cluster.wait("the third to be up", |cluster| cluster.sees(other, third, "up"));
    cluster.nodes[founder].start();
    cluster.wait_formed();
    assert!(publisher.is_going());
}

#[test]
fn a_founder_that_dies_before_the_others_are_there_founds_the_same_cluster_again() {
    let _limit = Deadline::seconds(120);
    let mut cluster = Cluster::begin(&["a", "b", "c"]);
    let founder = wait::until("a founder", 20, || {
        (0..3).find(|at| cluster.nodes[*at].log().contains("this one founds the cluster"))
    });
    cluster.nodes[founder].kill();
    cluster.nodes[founder].start();
    cluster.wait_formed();
    let _publisher = cluster.publish(founder, "cam");
}
