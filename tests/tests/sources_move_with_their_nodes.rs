//! Sources are pulled by one node of the cluster, and by another one when that dies: a few runs always, as many as
//! `WEFT_RUNS` says when it is set.
//!
//! ```text
//! WEFT_RUNS=100 cargo test -p weft-tests --test sources_move_with_their_nodes -- --nocapture --test-threads=1
//! ```
//!
//! Who pulls what is counted at the cameras. What is asserted has room for a busy machine; the aims are in `BENCHMARKS.md`.

use std::time::{Duration, Instant};

use serde_json::json;
use weft_tests::camera::Cameras;
use weft_tests::cluster::{Cluster, Setup};
use weft_tests::deadline::Deadline;
use weft_tests::figures::Figures;
use weft_tests::rtsp::Player;

/// Runs without a wish.
const RUNS: usize = 1;

/// Cameras of the large test, without a wish.
const MANY: usize = 20;

/// Two may read from a camera at once for so long, where the nodes can talk.
const OVERLAP_MAX: Duration = Duration::from_secs(1);

fn wish(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|wish| wish.parse().ok()).unwrap_or(otherwise)
}

/// Three nodes that know these cameras.
fn cluster(cameras: &Cameras, names: &[String], keys: &str) -> Cluster {
    let setup = |name: &&str| {
        let with_path =
            |setup: Setup, path: &String| setup.with_path(path, &format!("source: '{}'{keys}", cameras.url(path)));
        names.iter().fold(Setup::new(name), with_path)
    };
    Cluster::with(&["a", "b", "c"].iter().map(setup).collect::<Vec<_>>())
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("cam/{number}")).collect()
}

/// Kills a node that pulls, again and again, says how long each of its cameras was without a reader, and that nobody else's
/// was. When it is back its cameras are moved to it again: always the same node dies, and the others have long been there.
fn kill_and_measure(count: usize, runs: usize) -> [Figures; 2] {
    let cameras = Cameras::start();
    let names = names(count);
    let mut cluster = cluster(&cameras, &names, "");
    let mut back = Figures::new(&format!("one of {count} cameras back"));
    let mut all_back = Figures::new(&format!("all of a dead node's {count} cameras back"));
    cluster.wait_pulled(&cameras, &names);
    let dies = cluster.owner_of(&names[0]).expect("somebody pulls it");
    for _ in 0..runs {
        let (its, others): (Vec<&String>, Vec<&String>) =
            names.iter().partition(|name| cluster.owner_of(name) == Some(dies));
        let kept: Vec<usize> = others.iter().map(|name| cameras.visits_of(name).len()).collect();
        let killed = cluster.nodes[dies].kill();
        let new_reader = |name: &str| {
            let visits = cameras.visits_of(name);
            visits
                .into_iter()
                .find(|visit| visit.from >= killed && visit.until.is_none())
                .map(|visit| visit.from - killed)
        };
        cluster.wait("its cameras to be read again", |_| {
            its.iter().all(|name| new_reader(name).is_some() && cameras.readers(name) == 1)
        });
        let times: Vec<Duration> = its.iter().filter_map(|name| new_reader(name)).collect();
        all_back.add(times.iter().max().copied().unwrap_or_default());
        times.into_iter().for_each(|time| back.add(time));
        cluster.nodes[dies].start();
        cluster.wait_formed();
        its.iter().for_each(|path| cluster.move_to(dies, path));
        cluster.wait_pulled(&cameras, &names);
        let still: Vec<usize> = others.iter().map(|name| cameras.visits_of(name).len()).collect();
        assert_eq!(still, kept, "a camera of another node was taken away from it");
    }
    assert!(cameras.longest_overlap() < OVERLAP_MAX, "two read at once for {:?}", cameras.longest_overlap());
    [&back, &all_back].iter().for_each(|figures| figures.print());
    [back, all_back]
}

#[test]
fn the_camera_of_a_killed_node_is_back() {
    let runs = wish("WEFT_RUNS", RUNS);
    let _limit = Deadline::seconds(90 + 20 * runs as u64);
    kill_and_measure(1, runs)[1].assert_median(Duration::from_secs(4));
}

#[test]
fn the_cameras_of_a_killed_node_are_back_and_those_of_others_stay() {
    let (runs, many) = (wish("WEFT_RUNS", RUNS), wish("WEFT_CAMERAS", MANY));
    let _limit = Deadline::seconds(120 + 30 * runs as u64);
    kill_and_measure(many, runs)[1].assert_median(Duration::from_secs(8));
}

#[test]
fn a_node_that_was_stopped_lets_go_of_what_another_one_pulls_by_now() {
    let runs = wish("WEFT_RUNS", RUNS);
    let _limit = Deadline::seconds(90 + 20 * runs as u64);
    let (cameras, names) = (Cameras::start(), names(1));
    let cluster = cluster(&cameras, &names, "");
    let [mut taken, mut let_go] = ["camera of a stopped node taken", "let go when it goes on"].map(Figures::new);
    cluster.wait_pulled(&cameras, &names);
    let stops = cluster.owner_of(&names[0]).expect("somebody pulls it");
    for _ in 0..runs {
        let stopped = cluster.nodes[stops].freeze();
        taken.add(cluster.measure("another one to read", stopped, |_| cameras.readers(&names[0]) == 2));
        let goes_on = cluster.nodes[stops].thaw();
        let_go.add(cluster.measure("one to let go", goes_on, |_| cameras.readers(&names[0]) == 1));
        cluster.wait("the node to be up again", |cluster| (0..3).all(|by| cluster.sees(by, stops, "up")));
        assert_eq!(cameras.readers(&names[0]), 1);
        cluster.move_to(stops, &names[0]);
        cluster.wait_pulled(&cameras, &names);
    }
    taken.print();
    let_go.print();
    taken.assert_median(Duration::from_secs(4));
    let_go.assert_median(OVERLAP_MAX);
}

#[test]
fn readers_on_other_nodes_go_on_when_the_node_that_pulls_dies() {
    let _limit = Deadline::seconds(90);
    let (cameras, names) = (Cameras::start(), names(1));
    let mut cluster = cluster(&cameras, &names, "");
    cluster.wait_pulled(&cameras, &names);
    let dies = cluster.owner_of(&names[0]).expect("somebody pulls it");
    let reads = (dies + 1) % 3;
    let node = &cluster.nodes[reads];
    cluster.wait("the path to be known", |_| node.get(&format!("/v3/paths/get/{}", names[0])).is_some());
    let uri = format!("rtsp://{}/{}", node.rtsp_address(), names[0]);
    let mut player = Player::start(node.rtsp_address(), &uri);
    let limit = || Instant::now() + Duration::from_secs(10);
    player.next(limit()).expect("connected").expect("media");
    cluster.nodes[dies].kill();
    let mut last = Instant::now();
    let mut gap = Duration::ZERO;
    let end = Instant::now() + Duration::from_secs(6);
    while Instant::now() < end {
        let unit = player.next(limit()).expect("the reader is not cut off").expect("media again");
        gap = gap.max(unit.at.saturating_duration_since(last));
        last = unit.at;
    }
    let mut figures = Figures::new("reader's gap when the node that pulls dies");
    figures.add(gap);
    figures.print();
    assert!(gap < Duration::from_secs(5), "{gap:?}");
}

#[test]
fn a_source_on_demand_is_pulled_once_for_readers_of_all_nodes() {
    let _limit = Deadline::seconds(90);
    let (cameras, names) = (Cameras::start(), names(1));
    let cluster = cluster(&cameras, &names, ", sourceOnDemand: yes, sourceOnDemandCloseAfter: 500ms");
    assert_eq!(cameras.visits().len(), 0);
    let read = |node: usize| {
        let server = cluster.nodes[node].rtsp_address();
        Player::start(server, &format!("rtsp://{server}/{}", names[0]))
    };
    let mut players = [read(0), read(1), read(2)];
    for player in &mut players {
        player.next(Instant::now() + Duration::from_secs(10)).expect("connected").expect("media");
    }
    assert_eq!(cameras.visits().len(), 1);
    drop(players);
    // Relays stay for ten seconds after their last reader.
    cluster.wait("the camera to be let go", |_| cameras.readers(&names[0]) == 0);
    assert_eq!(cameras.visits().len(), 1);
}

#[test]
fn sources_go_on_without_a_quorum_unless_they_are_exclusive() {
    let _limit = Deadline::seconds(90);
    let cameras = Cameras::start();
    let shared = names(6);
    let exclusive = "exclusive".to_owned();
    let setup = |name: &&str| {
        let with_path =
            |setup: Setup, path: &String| setup.with_path(path, &format!("source: '{}'", cameras.url(path)));
        let setup = shared.iter().fold(Setup::new(name), with_path);
        setup.with_path(&exclusive, &format!("source: '{}', sourceExclusive: yes", cameras.url(&exclusive)))
    };
    let mut cluster = Cluster::with(&["a", "b", "c"].iter().map(setup).collect::<Vec<_>>());
    let all: Vec<String> = shared.iter().cloned().chain([exclusive.clone()]).collect();
    cluster.wait_pulled(&cameras, &all);
    let stays = cluster.owner_of(&exclusive).expect("somebody pulls it");
    let its: Vec<&String> = shared.iter().filter(|path| cluster.owner_of(path) == Some(stays)).collect();
    for node in (0..3).filter(|node| *node != stays) {
        cluster.nodes[node].kill();
    }
    cluster.wait("the exclusive source to be let go", |_| cameras.readers(&exclusive) == 0);
    assert!(its.iter().all(|path| cameras.readers(path) == 1), "what is not exclusive goes on");
    (0..3).filter(|node| *node != stays).for_each(|node| cluster.nodes[node].start());
    cluster.wait_formed();
    cluster.wait_pulled(&cameras, &all);
    assert!(its.iter().all(|path| cameras.visits_of(path).len() == 1), "nor was it taken anew");
}

#[test]
fn a_source_is_moved_by_command_without_a_gap() {
    let _limit = Deadline::seconds(90);
    let (cameras, names) = (Cameras::start(), names(1));
    let cluster = cluster(&cameras, &names, "");
    cluster.wait_pulled(&cameras, &names);
    let from = cluster.owner_of(&names[0]).expect("somebody pulls it");
    let to = (from + 1) % 3;
    cluster.move_to(to, &names[0]);
    let label = cluster.nodes[to].name.clone();
    cluster.wait_owner(&names[0], Some(&label));
    cluster.wait_pulled(&cameras, &names);
    let visits = cameras.visits();
    assert_eq!(visits.len(), 2);
    let until = visits[0].until.expect("the first one is over");
    assert!(visits[1].from < until, "made before the other was broken");
    assert!(cameras.longest_overlap() < OVERLAP_MAX, "{:?}", cameras.longest_overlap());
    // A camera that goes away stays its node's.
    let epoch = cluster.wait_owner(&names[0], Some(&label));
    cameras.turn_off();
    cluster.wait("the camera to be off", |_| cameras.readers(&names[0]) == 0);
    cameras.turn_on();
    cluster.wait_pulled(&cameras, &names);
    assert_eq!(cluster.wait_owner(&names[0], Some(&label)), epoch);
}

#[test]
fn the_sources_of_a_drained_node_are_pulled_by_others_first() {
    let _limit = Deadline::seconds(90);
    let (cameras, names) = (Cameras::start(), names(6));
    let cluster = cluster(&cameras, &names, "");
    cluster.wait_pulled(&cameras, &names);
    let drained = cluster.owner_of(&names[0]).expect("somebody pulls it");
    let its: Vec<&String> = names.iter().filter(|name| cluster.owner_of(name) == Some(drained)).collect();
    let other = (drained + 1) % 3;
    let drain = format!("/cluster/nodes/{}/drain", cluster.nodes[drained].name);
    assert_eq!(cluster.nodes[other].send("POST", &drain, &json!({})).status, 200);
    cluster.wait("nobody to publish there", |cluster| {
        cluster.nodes[other].get(&drain).is_some_and(|view| view["publishers"] == 0)
    });
    cluster.wait_pulled(&cameras, &names);
    for name in its {
        assert!(cluster.owner_of(name).is_some_and(|owner| owner != drained), "{name}");
        let visits = cameras.visits_of(name);
        assert_eq!(visits.len(), 2, "{name}");
        assert!(visits[1].from < visits[0].until.expect("it is over"), "{name}: made before the other was broken");
    }
    assert!(cameras.longest_overlap() < OVERLAP_MAX, "{:?}", cameras.longest_overlap());
}
