//! Continuous readers over every protocol while nodes die, stop, are cut off and started again. A run or two always, as many as
//! `WEFT_RUNS` says when it is set, with figures:
//!
//! ```text
//! WEFT_RUNS=200 cargo test -p weft-tests --test readers_outlive_nodes NAME -- --nocapture --test-threads=1
//! WEFT_RUNS=30 WEFT_AWAY=60 cargo test -p weft-tests --test readers_outlive_nodes quorum -- --nocapture --test-threads=1
//! ```
//!
//! What is asserted of times has room for a busy machine; the aims are in `BENCHMARKS.md`, beside what was seen. What is asserted
//! of anything else has none: nobody on a surviving node is cut off, nobody sees time go back or two publishers interleaved, and
//! HLS keeps its rules.

use std::time::{Duration, Instant};

use serde_json::json;
use weft_tests::cluster::{Cluster, Setup};
use weft_tests::deadline::Deadline;
use weft_tests::hls::Playlist;
use weft_tests::publisher::claim;
use weft_tests::storm::{PATH, Storm};
use weft_tests::{http, wait};

/// Runs without a wish.
const RUNS: usize = 1;

/// For how long the quorum is gone, at the least; longer where `WEFT_AWAY` says for how many seconds.
fn away() -> Duration {
    let wish = std::env::var("WEFT_AWAY").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(wish.unwrap_or_default())
}

/// Half of all gaps are shorter than this, on a machine that does other things as well.
const MEDIAN_MAX: Duration = Duration::from_millis(1200);

fn runs() -> usize {
    std::env::var("WEFT_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS)
}

fn limit() -> Deadline {
    Deadline::seconds(120 + (30 + away().as_secs()) * runs() as u64)
}

/// The owner, the standby's node and the other one, where the owner leads or does not.
fn places(storm: &Storm, leads: bool) -> [usize; 3] {
    let roles = storm.roles();
    // The next owner does not lead, so that its publisher can stay where it is.
    if leads { [roles[0], roles[1], roles[2]] } else { [roles[1], roles[2], roles[0]] }
}

fn killed_with_a_standby(name: &str, leads: bool) {
    let _limit = limit();
    let mut storm = Storm::form(name);
    for _ in 0..runs() {
        let [owner, waits, third] = places(&storm, leads);
        storm.publish_at(owner);
        let next = storm.stand_by_at(waits);
        let readers = storm.readers_at(&[waits, third]);
        storm.begin(&readers);
        storm.cluster.nodes[owner].kill();
        storm.end(readers, &[next]);
        storm.cluster.nodes[owner].start();
        storm.cluster.wait_formed();
    }
    storm.report.finish(MEDIAN_MAX);
}

#[test]
fn of_an_owner_that_is_killed_and_has_a_standby() {
    killed_with_a_standby("owner killed", false);
}

#[test]
fn of_an_owner_that_leads_and_is_killed_and_has_a_standby() {
    killed_with_a_standby("owner killed that leads", true);
}

/// An encoder notices that its node is gone and tries the next one.
#[test]
fn of_an_owner_that_is_killed_and_its_publisher_reconnects_elsewhere() {
    let _limit = limit();
    let mut storm = Storm::form("owner killed, publisher reconnects");
    for run in 0..runs() {
        let [owner, next, third] = places(&storm, run % 2 == 1);
        storm.publish_at(owner);
        let readers = storm.readers_at(&[next, third]);
        storm.begin(&readers);
        let killed = storm.cluster.nodes[owner].kill();
        let who = storm.reconnect_to(next);
        storm.report.time("publisher taken", killed.elapsed());
        storm.end(readers, &[who]);
        storm.cluster.nodes[owner].start();
        storm.cluster.wait_formed();
    }
    storm.report.finish(MEDIAN_MAX);
}

fn stopped_with_a_standby(name: &str, leads: bool) {
    let _limit = limit();
    let mut storm = Storm::form(name);
    for _ in 0..runs() {
        let [owner, waits, third] = places(&storm, leads);
        let first = storm.publish_at(owner);
        let next = storm.stand_by_at(waits);
        let readers = storm.readers_at(&[waits, third]);
        storm.begin(&readers);
        storm.cluster.nodes[owner].freeze();
        storm.wait_for(&readers, &[next]);
        storm.cluster.nodes[owner].thaw();
        // The first one stands by from now on, and what its node still had to send reaches nobody.
        storm.cluster.wait_standby(PATH, owner);
        storm.wait_for(&readers, &[]);
        assert!(storm.is_going(first) && storm.is_going(next));
        storm.end(readers, &[next]);
        storm.hang_up(first);
        storm.cluster.wait_formed();
        wait_without_gaps(&storm, owner);
    }
    storm.report.finish(MEDIAN_MAX);
}

#[test]
fn of_an_owner_that_is_stopped_and_goes_on() {
    stopped_with_a_standby("owner stopped", false);
}

#[test]
fn of_an_owner_that_leads_and_is_stopped_and_goes_on() {
    stopped_with_a_standby("owner stopped that leads", true);
}

/// Readers of the node that is cut off go on with its publisher, and get that of the others when the way is whole.
#[test]
fn of_an_owner_that_is_cut_off_and_has_a_standby() {
    let _limit = limit();
    let mut storm = Storm::form("owner cut off");
    for run in 0..runs() {
        let [owner, waits, third] = places(&storm, run % 2 == 1);
        storm.publish_at(owner);
        let next = storm.stand_by_at(waits);
        let (readers, alone) = (storm.readers_at(&[waits, third]), storm.readers_cut_off_at(owner));
        storm.begin(&readers);
        alone.iter().for_each(weft_tests::storm::Reader::mark);
        storm.cluster.nodes[owner].cut_off("*");
        storm.wait_for(&readers, &[next]);
        storm.wait_for(&alone, &[]);
        assert!(alone.iter().all(|reader| reader.verdict().changes.is_empty()), "it knows of no other publisher");
        let healed = Instant::now();
        storm.cluster.nodes[owner].heal();
        storm.wait_for(&alone, &[next]);
        storm.report.time("healed: readers that were alone", healed.elapsed());
        storm.end(readers, &[next]);
        storm.end_alone(alone, &[next]);
        storm.cluster.wait_formed();
        wait_without_gaps(&storm, owner);
    }
    storm.report.finish(MEDIAN_MAX);
}

/// Readers on other nodes wait for it, and go on with the same publisher.
#[test]
fn of_an_owner_that_is_cut_off_for_a_while() {
    let _limit = limit();
    let mut storm = Storm::form("owner cut off, no standby");
    for run in 0..runs() {
        let [owner, other, third] = places(&storm, run % 2 == 1);
        let who = storm.publish_at(owner);
        let mut readers = storm.readers_cut_off_at(other);
        readers.extend(storm.readers_cut_off_at(third));
        let alone = storm.readers_cut_off_at(owner);
        storm.begin(&readers);
        alone.iter().for_each(weft_tests::storm::Reader::mark);
        storm.cluster.nodes[owner].cut_off("*");
        storm.cluster.wait("the owner to be down", |cluster| cluster.sees(other, owner, "down"));
        storm.wait_for(&alone, &[]);
        let healed = Instant::now();
        storm.cluster.nodes[owner].heal();
        storm.wait_for(&readers, &[]);
        storm.report.time("healed: the others", healed.elapsed());
        storm.end(readers, &[]);
        storm.end_alone(alone, &[]);
        assert!(storm.is_going(who));
        storm.cluster.wait_formed();
    }
    storm.report.finish(Duration::from_secs(10));
}

/// `c` takes the path from `b`, or the other way round, for both are in another zone than `a`.
#[test]
fn of_a_relays_parent_that_is_killed() {
    let _limit = limit();
    let zones = [("a", "x"), ("b", "y"), ("c", "y")].map(|(name, zone)| Setup::new(name).in_zone(zone));
    let mut storm = Storm::with("relay's parent killed", &zones);
    for _ in 0..runs() {
        storm.publish_at(0);
        let both = storm.readers_at(&[1, 2]);
        let [parent, child] = if relays(&storm.cluster, "a", "b") { [1, 2] } else { [2, 1] };
        let [from, to] = [parent, child].map(|at| storm.cluster.nodes[at].name.clone());
        storm.cluster.wait("one to relay to the other", |cluster| relays(cluster, &from, &to));
        let (readers, lost): (Vec<_>, Vec<_>) = both.into_iter().partition(|reader| reader.node == to);
        let near = storm.readers_at(&[0]);
        storm.begin(&readers);
        near.iter().for_each(weft_tests::storm::Reader::mark);
        storm.cluster.nodes[parent].kill();
        drop(lost);
        storm.wait_for(&readers, &[]);
        storm.cluster.wait("the child to take it from the owner", |cluster| relays(cluster, "a", &to));
        storm.wait_for(&readers, &[]);
        storm.end(readers, &[]);
        storm.end_alone(near, &[]);
        storm.cluster.nodes[parent].start();
        storm.cluster.wait_formed();
    }
    storm.report.finish(MEDIAN_MAX);
}

fn relays(cluster: &Cluster, from: &str, to: &str) -> bool {
    let path = cluster.nodes[0].get(&format!("/v3/paths/get/{PATH}")).unwrap_or_default();
    path["relays"].as_array().into_iter().flatten().any(|relay| relay["from"] == from && relay["to"] == to)
}

#[test]
fn of_a_leader_that_is_killed_and_owns_nothing() {
    let _limit = limit();
    let mut storm = Storm::form("leader killed");
    for _ in 0..runs() {
        let [leader, owner, third] = storm.roles()[..] else { unreachable!("three nodes") };
        storm.publish_at(owner);
        let readers = storm.readers_at(&[owner, third]);
        storm.begin(&readers);
        storm.cluster.nodes[leader].kill();
        storm.cluster.wait("another one to lead", |cluster| {
            let status = cluster.nodes[third].status();
            status.is_some_and(|status| status["quorum"] == true && status["leader"] != *cluster.nodes[leader].name)
        });
        storm.end(readers, &[]);
        storm.cluster.nodes[leader].start();
        storm.cluster.wait_formed();
    }
    storm.report.finish(MEDIAN_MAX);
}

/// Three of five nodes are gone for a while. Streams go on, those who come get them, an encoder comes back to the owner; only
/// what must be agreed on waits, and not for long once there is a majority.
#[test]
fn of_a_quorum_that_is_lost_and_comes_back() {
    let _limit = limit();
    let mut storm = Storm::with("quorum lost", &["a", "b", "c", "d", "e"].map(Setup::new));
    for run in 0..runs() {
        let [leader, owner, other, fourth, fifth] = storm.roles()[..] else { unreachable!("five nodes") };
        let first = storm.publish_at(owner);
        let kept = storm.cluster.publish(owner, "kept");
        let name = storm.cluster.nodes[owner].name.clone();
        storm.cluster.wait_owner("kept", Some(&name));
        let readers = storm.readers_at(&[owner, other]);
        storm.begin(&readers);
        for gone in [leader, fourth, fifth] {
            storm.cluster.nodes[gone].kill();
        }
        for at in [owner, other] {
            wait::until("a node to be not ready", 20, || (storm.cluster.nodes[at].ready() == Some(503)).then_some(()));
        }
        storm.wait_for(&readers, &[]);
        // Those who come: to a path that their node has, and to one that it has not yet.
        let late = storm.readers_at(&[owner, other]);
        late.iter().for_each(weft_tests::storm::Reader::mark);
        let uri = format!("rtsp://{}/kept", storm.cluster.nodes[other].rtsp_address());
        let mut player = weft_tests::rtsp::Player::start(storm.cluster.nodes[other].rtsp_address(), &uri);
        let unit = player.next(Instant::now() + Duration::from_secs(5)).expect("connected");
        assert!(unit.is_some(), "a path that the node has not had so far");
        assert!(claim(storm.cluster.nodes[other].rtsp_address(), &format!("new{run}")).is_err(), "nothing new");
        // An encoder comes back.
        storm.hang_up(first);
        let again = storm.reconnect_to(owner);
        storm.wait_for(&readers, &[again]);
        storm.go_on(&readers, away());
        let started = Instant::now();
        for gone in [leader, fourth, fifth] {
            storm.cluster.nodes[gone].start();
        }
        for at in [other, leader] {
            let path = format!("back{run}-{at}");
            drop(storm.cluster.publish(at, &path));
        }
        storm.report.time("full service after the start of the majority", started.elapsed());
        storm.cluster.wait_formed();
        storm.end(readers, &[again]);
        storm.end_alone(late, &[again]);
        assert!(storm.is_going(again) && kept.is_going());
    }
    storm.report.finish(MEDIAN_MAX);
}

/// The encoder comes back to the same node, which nobody has missed yet.
#[test]
fn of_an_owner_that_is_killed_and_started_at_once() {
    let _limit = limit();
    let mut storm = Storm::form("owner killed and started at once");
    for run in 0..runs() {
        let [owner, other, third] = places(&storm, run % 2 == 1);
        storm.publish_at(owner);
        let readers = storm.readers_at(&[other, third]);
        storm.begin(&readers);
        let killed = storm.cluster.nodes[owner].kill();
        storm.cluster.nodes[owner].start();
        storm.report.time("away", killed.elapsed());
        let who = storm.reconnect_to(owner);
        storm.report.time("publisher taken", killed.elapsed());
        storm.end(readers, &[who]);
        storm.cluster.wait_formed();
    }
    storm.report.finish(MEDIAN_MAX);
}

/// All nodes one after the other, the owner each time: the path goes to the next one's standby.
fn restarted_in_turn(name: &str, drained: bool) {
    let _limit = limit();
    let mut storm = Storm::form(name);
    for run in 0..3 * runs() {
        let [owner, next, third] = [run, run + 1, run + 2].map(|at| at % 3);
        storm.publish_at(owner);
        let who = storm.stand_by_at(next);
        let readers = storm.readers_at(&[next, third]);
        storm.begin(&readers);
        if drained {
            let wish = format!("/cluster/nodes/{}/drain", storm.cluster.nodes[owner].name);
            let answer = storm.cluster.nodes[owner].send("POST", &wish, &json!({"deadlineSeconds": 1}));
            assert_eq!(answer.status, 200, "{}", answer.body);
            storm.cluster.wait("it to be empty", |cluster| {
                let view = cluster.nodes[next].get(&wish).unwrap_or_default();
                view["agreed"] == true && view["publishers"] == 0 && view["readers"] == 0
            });
        }
        storm.cluster.nodes[owner].terminate();
        storm.wait_for(&readers, &[who]);
        storm.cluster.nodes[owner].start();
        storm.cluster.wait_formed();
        storm.end(readers, &[who]);
    }
    storm.report.finish(MEDIAN_MAX);
}

#[test]
fn of_nodes_that_are_drained_and_restarted_in_turn() {
    restarted_in_turn("drained and restarted", true);
}

#[test]
fn of_nodes_that_are_restarted_in_turn() {
    restarted_in_turn("restarted", false);
}

/// All readers are cut off; what counts is how soon the next ones are served. A viewer's numbers go on.
#[test]
fn of_all_nodes_that_die_at_once_and_come_back() {
    let _limit = limit();
    let mut storm = Storm::form("all killed");
    for run in 0..runs() {
        storm.publish_at(run % 3);
        let before = storm.readers_at(&[0, 1, 2]);
        before.into_iter().for_each(weft_tests::storm::Reader::stop);
        let told = playlist(&storm.cluster, run % 3);
        for node in &mut storm.cluster.nodes {
            node.kill();
        }
        let started = Instant::now();
        storm.cluster.nodes.iter_mut().for_each(weft_tests::cluster::Node::start);
        storm.reconnect_to((run + 1) % 3);
        storm.report.time("publisher taken", started.elapsed());
        storm.cluster.wait_owner(PATH, Some(&storm.cluster.nodes[(run + 1) % 3].name));
        let readers = storm.readers_at(&[0, 1, 2]);
        storm.report.time("all readers served", started.elapsed());
        storm.begin(&readers);
        storm.cluster.wait_formed();
        storm.end(readers, &[]);
        // Whoever watched goes on: no number is given again.
        let next = playlist(&storm.cluster, run % 3);
        let end = told.sequence + told.segments.len() as u64;
        assert!(next.sequence >= end && next.discontinuities >= told.discontinuities, "{next:?} after {told:?}");
    }
    storm.report.finish(MEDIAN_MAX);
}

/// A node that was alone with its publisher has a gap where the others had something else in the time of what it listed last.
fn wait_without_gaps(storm: &Storm, at: usize) {
    wait::until("gaps to be listed no longer", 30, || {
        playlist(&storm.cluster, at).segments.iter().all(|segment| !segment.gap).then_some(())
    });
}

/// What a node lists.
fn playlist(cluster: &Cluster, at: usize) -> Playlist {
    let get = |name: &str| {
        http::fetch(cluster.nodes[at].hls_address(), "GET", &format!("/{PATH}/{name}"), "", 30)
            .expect("an answer")
            .text()
    };
    let multivariant = get("index.m3u8?cookieCheck=1");
    Playlist::parse(&get(multivariant.lines().find(|line| !line.starts_with('#')).expect("a URI")))
}
