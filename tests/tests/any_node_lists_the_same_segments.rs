//! HLS behind a load balancer that knows no sessions: every request goes to another node, while the publisher moves from node
//! to node. Held against RFC 8216bis by the strict viewer: playlists of all nodes are one, a name has one content.
//!
//! The short form takes half a minute for each kind of segments. The long one runs as long as it is told:
//!
//! ```sh
//! WEFT_HLS_MINUTES=10 cargo test -p weft-tests --test any_node_lists_the_same_segments
//! ```

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use weft_tests::balancer::Balancer;
use weft_tests::browser::Browser;
use weft_tests::clients::Client::{Ffmpeg, Ffmpeg9};
use weft_tests::clients::Way::{Rtmp, Tcp};
use weft_tests::clients::{Client, Way};
use weft_tests::cluster::{Cluster, Setup};
use weft_tests::deadline::Deadline;
use weft_tests::hls::{Contents, Playlist, Viewer};
use weft_tests::media::{Audio, Media, Video};
use weft_tests::numbered::Numbered;
use weft_tests::process::Process;
use weft_tests::{http, tools};

/// RTMP has an application and a stream in it.
const PATH: &str = "live/cam";

const NODES: [&str; 3] = ["a", "b", "c"];

/// How long each kind of segments is watched.
fn length() -> Duration {
    let minutes = std::env::var("WEFT_HLS_MINUTES").ok().and_then(|minutes| minutes.parse::<f64>().ok());
    Duration::from_secs_f64(minutes.map_or(28.0, |minutes| minutes * 60.0))
}

fn three(variant: &str) -> Cluster {
    let more = format!("hlsVariant: {variant}");
    Cluster::with(&NODES.map(|name| Setup::new(name).with_all_doors().with(&more)))
}

fn hls_of(cluster: &Cluster, nodes: &[usize]) -> Vec<SocketAddr> {
    nodes.iter().map(|at| cluster.nodes[*at].hls_address()).collect()
}

/// The publisher of one time: at another node each, over another protocol.
fn publisher_of(turn: usize) -> (Client, Way, usize) {
    [(Ffmpeg, Tcp, 0), (Ffmpeg9, Tcp, 2), (Ffmpeg, Rtmp, 1), (Ffmpeg, Tcp, 0)][turn % 4]
}

fn publish(cluster: &Cluster, turn: usize) -> Process {
    let (client, way, at) = publisher_of(turn);
    let media = Media::new(Video::H264, Audio::Aac).with_kilobits([600, 900][turn % 2]);
    client.publish_for_ever(&cluster.nodes[at], way, PATH, media)
}

/// Watches over two nodes while the publisher moves three times.
#[expect(clippy::print_stdout, reason = "figures are for people")]
fn watch(variant: &str) {
    let _limit = Deadline::seconds(length().as_secs() + 120);
    let cluster = three(variant);
    let mut publisher = publish(&cluster, 0);
    cluster.wait("the path to be ready everywhere", |cluster| {
        (0..3).all(|at| {
            let path = cluster.nodes[at].get(&format!("/v3/paths/get/{PATH}"));
            path.is_some_and(|path| path["ready"] == true)
        })
    });
    let balancer = Balancer::before(&hls_of(&cluster, &[0, 1]));
    let contents = Contents::default();
    let mut viewer = Viewer::join(balancer.address(), PATH, &contents).over_several_nodes();
    let begun = Instant::now();
    let mut turn = 0;
    while begun.elapsed() < length() {
        viewer.step();
        // The delta update comes from the other node.
        viewer.check_delta();
        let due = begun.elapsed().as_secs_f64() / length().as_secs_f64() * 4.0;
        if due as usize > turn && turn < 3 {
            turn += 1;
            // It takes over, and the one before is told so; or that one is gone when it comes.
            let next = publish(&cluster, turn);
            if turn != 2 {
                cluster.wait_owner(PATH, Some(NODES[publisher_of(turn).2]));
            }
            drop(core::mem::replace(&mut publisher, next));
        }
    }
    // A third node, which nobody has asked so far, says and has the same.
    let third = Balancer::before(&hls_of(&cluster, &[0, 1, 2]));
    let mut late = Viewer::join(third.address(), PATH, &contents).over_several_nodes();
    for _ in 0..12 {
        late.step();
    }
    publisher.assert_running();
    let counts = balancer.counts();
    println!(
        "{variant}: {} segments, {} parts, {} discontinuities, {} requests to two nodes, {} behind by a hop",
        viewer.segments,
        viewer.parts,
        viewer.discontinuities,
        counts.iter().sum::<usize>(),
        viewer.behind
    );
    assert!(viewer.segments as u64 >= length().as_secs() / 2, "only {} segments", viewer.segments);
    assert!(viewer.discontinuities >= 3, "only {} changes of the publisher", viewer.discontinuities);
    assert!(counts[0].abs_diff(counts[1]) <= 1, "{counts:?}");
}

#[test]
fn of_low_latency() {
    watch("lowLatency");
}

#[test]
fn of_fragmented_mp4() {
    watch("fmp4");
}

#[test]
fn of_transport_streams() {
    watch("mpegts");
}

/// What a node lists: name and content of each complete segment, by its number.
fn listed(cluster: &Cluster, at: usize, path: &str) -> BTreeMap<u64, (String, Vec<u8>)> {
    let get = |name: &str| {
        let answer = http::fetch(cluster.nodes[at].hls_address(), "GET", &format!("/{path}/{name}"), "", 30);
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        answer
    };
    let multivariant = get("index.m3u8?cookieCheck=1").text();
    let playlist = multivariant.lines().find(|line| !line.starts_with('#')).expect("a URI");
    let list = Playlist::parse(&get(playlist).text());
    let segments = list.segments.iter().filter(|segment| !segment.gap);
    let named =
        segments.map(|segment| (segment.uri.split('?').next().unwrap_or_default().to_owned(), get(&segment.uri).body));
    (list.sequence..).zip(named).collect()
}

/// The owner is killed and a standby takes over: the other two nodes list and have the same before and after, and numbers go on
/// by one.
#[test]
fn numbers_go_on_by_one_over_the_death_of_an_owner() {
    let _limit = Deadline::seconds(120);
    let mut cluster = three("lowLatency");
    let server = |cluster: &Cluster, at: usize| cluster.nodes[at].rtsp_address();
    let _first = Numbered::start(server(&cluster, 0), PATH, 1).expect("published");
    cluster.wait_owner(PATH, Some("a"));
    let _second = Numbered::start(server(&cluster, 1), &format!("{PATH}?standby=1"), 2).expect("it stands by");
    cluster.wait_standby(PATH, 1);
    let both = |cluster: &Cluster| [1, 2].map(|at| listed(cluster, at, PATH));
    cluster.wait("four segments on both", |cluster| both(cluster).iter().all(|list| list.len() >= 4));
    let before = both(&cluster);
    cluster.nodes[0].kill();
    cluster.wait_owner(PATH, Some("b"));
    let newest = before.iter().filter_map(|list| list.keys().max()).max().copied().expect("segments");
    cluster.wait("three segments more on both", |cluster| {
        both(cluster).iter().all(|list| list.keys().max() >= Some(&(newest + 3)))
    });
    let mut all = BTreeMap::new();
    for (number, segment) in before.into_iter().chain(both(&cluster)).flatten() {
        let (name, content) = all.entry(number).or_insert_with(|| segment.clone());
        assert!(*name == segment.0 && *content == segment.1, "segment {number} is {name} and {}", segment.0);
        assert!(name.contains(&format!("_seg{number}.")), "segment {number} is {name}");
    }
    let numbers: Vec<u64> = all.into_keys().collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
}

/// A token is good on every node, until an operator ends its viewer on any of them.
#[test]
fn a_viewer_that_was_kicked_is_refused_by_all_nodes() {
    let _limit = Deadline::seconds(90);
    let cluster = three("fmp4");
    let _publisher = publish(&cluster, 0);
    cluster.wait("the path to be ready", |cluster| {
        let path = cluster.nodes[0].get(&format!("/v3/paths/get/{PATH}"));
        path.is_some_and(|path| path["ready"] == true)
    });
    let get = |at: usize, name: &str| {
        http::fetch(cluster.nodes[at].hls_address(), "GET", &format!("/{PATH}/{name}"), "", 30).expect("an answer")
    };
    let multivariant = get(0, "index.m3u8?cookieCheck=1").text();
    let playlist = multivariant.lines().find(|line| !line.starts_with('#')).expect("a URI").to_owned();
    let statuses = || [0, 1, 2].map(|at| get(at, &playlist).status);
    assert_eq!(statuses(), [200, 200, 200]);
    let sessions = |cluster: &Cluster| {
        let list = cluster.nodes[2].get("/v3/hlssessions/list").expect("a list");
        let items = list["items"].as_array().cloned().unwrap_or_default();
        items.iter().map(|item| item["id"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let ids = sessions(&cluster);
    assert!(ids.len() == 3 && ids.iter().all(|id| *id == ids[0]), "one viewer on three nodes: {ids:?}");
    let kicked = cluster.nodes[1].send("POST", &format!("/v3/hlssessions/kick/{}", ids[0]), &Value::Null);
    assert_eq!(kicked.status, 200, "{}", kicked.body);
    assert_eq!(statuses(), [401, 401, 401]);
    cluster.wait("nobody to be listed", |cluster| sessions(cluster).is_empty());
}

/// Where pictures of pages stay, for people to look at.
fn screenshot(name: &str) -> PathBuf {
    let folder = tools::target().join("screenshots");
    std::fs::create_dir_all(&folder).expect("make the folder of screenshots");
    folder.join(format!("{name}.png"))
}

#[test]
fn the_page_plays_on_while_the_publisher_moves() {
    let _limit = Deadline::seconds(length().as_secs() + 150);
    let cluster = three("lowLatency");
    let mut publisher = publish(&cluster, 0);
    cluster.wait("the path to be ready", |cluster| {
        let path = cluster.nodes[1].get(&format!("/v3/paths/get/{PATH}"));
        path.is_some_and(|path| path["ready"] == true)
    });
    let balancer = Balancer::before(&hls_of(&cluster, &[0, 1]));
    let url = format!("http://{}/{PATH}/", balancer.address());
    let browser = Browser::open(&url, &screenshot("hls-cluster"));
    // Of 25 frames a second, as long as each publisher is watched in the long form.
    let frames = (length().as_secs() * 25 / 4).saturating_sub(125).max(50);
    for turn in 1..=4 {
        let before = browser.frames();
        browser.wait_for("a playing stream", length().as_secs() / 4 + 40, |state| {
            let is_live = state["latency"].as_f64().is_some_and(|latency| latency < 3.0);
            state["say"] == ""
                && state["paused"] == false
                && is_live
                && state["frames"].as_u64() > Some(before + frames)
        });
        if turn < 4 {
            publisher = publish(&cluster, turn);
        }
    }
    drop(publisher);
}
