//! A node that cannot reach the others goes on with its streams, says that it is not ready, and takes no new publishers; when
//! it is back, everything is as it should be.

use std::time::{Duration, Instant};

use weft_tests::cluster::Cluster;
use weft_tests::deadline::Deadline;
use weft_tests::publisher::{Publisher, Refused};
use weft_tests::rtsp::Player;
use weft_tests::{ffmpeg, wait};

/// A follower, or the leader, is cut off from both others.
fn cut_off(is_leader: bool) {
    let _limit = Deadline::seconds(120);
    let cluster = Cluster::form(&["a", "b", "c"]);
    let leader = cluster.leader();
    let (alone, other) = if is_leader { (leader, (leader + 1) % 3) } else { ((leader + 1) % 3, leader) };
    let node = &cluster.nodes[alone];
    let stays = cluster.publish(alone, "stays");
    let taken = cluster.publish(alone, "taken");
    let first = cluster.wait_owner("stays", Some(&node.name));
    let mut player = Player::start(node.rtsp_address(), &format!("rtsp://{}/stays", node.rtsp_address()));
    let next =
        |player: &mut Player| player.next(Instant::now() + Duration::from_secs(5)).expect("goes on").expect("a unit");
    next(&mut player);

    node.cut_off("*");
    wait::until("the node to be not ready", 20, || (node.ready() == Some(503)).then_some(()));
    cluster.wait("the others to see it down", |cluster| cluster.sees(other, alone, "down"));
    let refused = Publisher::start(node.rtsp_address(), "new");
    assert!(matches!(refused, Err(Refused::Status(503))), "{refused:?}");
    let refusals = || node.log().matches("publisher refused: the cluster has no quorum").count();
    wait::until("the refusal to be logged", 5, || (refusals() == 1).then_some(()));
    let mut over_rtmp = ffmpeg::publish_rtmp_to(&format!("rtmp://{}/live/new", node.rtmp_address()));
    assert!(!over_rtmp.wait(30).success());
    assert_eq!(refusals(), 2, "{}", node.log());
    let elsewhere = cluster.publish(other, "taken");
    for _ in 0..50 {
        next(&mut player);
    }
    assert!(stays.is_going() && taken.is_going(), "streams go on");

    node.heal();
    wait::until("the node to be ready", 20, || (node.ready() == Some(200)).then_some(()));
    cluster.wait("the others to see it up", |cluster| cluster.sees(other, alone, "up"));
    assert!(cluster.wait_owner("stays", Some(&node.name)) > first);
    cluster.wait_owner("taken", Some(&cluster.nodes[other].name));
    wait::until("the publisher whose path was taken to be told", 20, || (!taken.is_going()).then_some(()));
    assert!(stays.is_going() && elsewhere.is_going());
    next(&mut player);
    let _new = cluster.publish(alone, "new");
}

#[test]
fn a_follower_is_cut_off() {
    cut_off(false);
}

#[test]
fn the_leader_is_cut_off() {
    cut_off(true);
}
