//! A publisher with another one that stands by: whatever happens to the first, its readers go on with the second. A few runs
//! always, as many as `WEFT_RUNS` says when it is set, with figures.
//!
//! ```text
//! WEFT_RUNS=50 cargo test -p weft-tests --test standbys_take_over -- --nocapture --test-threads=1
//! ```
//!
//! What is asserted has room for a busy machine; the aims are in `BENCHMARKS.md`, beside what was seen.

use std::fmt::Display;
use std::time::Duration;

use serde_json::Value;
use weft_tests::clients::{Client, Way};
use weft_tests::cluster::{Cluster, Setup};
use weft_tests::deadline::Deadline;
use weft_tests::figures::Figures;
use weft_tests::media::{Audio, Media, Video};
use weft_tests::numbered::{Numbered, Strict};
use weft_tests::publisher::Refused;

/// Runs without a wish.
const RUNS: usize = 1;

/// Half of all takeovers are quicker than this, on a machine that does other things as well. A relay that waits for a timer
/// is not.
const MEDIAN_MAX: Duration = Duration::from_millis(1200);

/// Seconds that a real client records, of which it has had a few when the owner is killed.
const RECORDED_SECONDS: u32 = 15;

/// Who publishes first, and who stands by.
const FIRST: u8 = 1;
const SECOND: u8 = 2;

fn runs() -> usize {
    std::env::var("WEFT_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS)
}

fn limit() -> Deadline {
    Deadline::seconds(120 + 20 * runs() as u64)
}

/// A path with a publisher, one that stands by, and a reader.
struct Scene {
    path: String,
    first: Option<Numbered>,
    second: Option<Numbered>,
    reader: Strict,
}

impl Scene {
    /// The publisher at `owner`, the standby at `waits`, the reader at `reads`; all is well when this returns.
    fn set(cluster: &Cluster, path: &str, [owner, waits, reads]: [usize; 3]) -> Self {
        let reading = cluster.nodes[reads].rtsp_address();
        let first = cluster.publish_numbered(owner, path, FIRST);
        cluster.wait_owner(path, Some(&cluster.nodes[owner].name));
        let second = cluster.publish_numbered(waits, &format!("{path}?standby=1"), SECOND);
        cluster.wait("the standby to be ready", |cluster| {
            shown(cluster, reads, path)["standbys"]
                .as_array()
                .is_some_and(|all| all.len() == 1 && all[0]["ready"] == true)
        });
        if owner != waits {
            cluster.wait_standby(path, waits);
        }
        let mut reader = Strict::start(reading, path);
        ok(cluster, reader.read_from(FIRST, 10));
        Self { path: path.to_owned(), first: Some(first), second: Some(second), reader }
    }

    /// The reader gets the standby's frames, and nothing of the first publisher after them; says how long it got nothing.
    fn taken_over(&mut self, cluster: &Cluster) -> Duration {
        ok(cluster, self.reader.read_from(SECOND, 30));
        let changes = self.reader.take_changes();
        match changes[..] {
            [(SECOND, gap)] => {
                let longest = std::env::var("WEFT_GAP_MAX_MS").ok().and_then(|longest| longest.parse().ok());
                if longest.is_some_and(|longest| gap > Duration::from_millis(longest)) {
                    cluster.fail(&format!("{}: the reader got nothing for {gap:?}", self.path));
                }
                gap
            }
            _ => cluster.fail(&format!("{}: one takeover, not {changes:?}", self.path)),
        }
    }
}

fn ok<T, E: Display>(cluster: &Cluster, result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| cluster.fail(&error.to_string()))
}

/// The path as a node's API shows it.
fn shown(cluster: &Cluster, at: usize, path: &str) -> Value {
    cluster.nodes[at].get(&format!("/v3/paths/get/{path}")).unwrap_or_default()
}

/// The leader, and the other two.
fn roles(cluster: &Cluster) -> [usize; 3] {
    let leader = cluster.leader();
    [leader, (leader + 1) % 3, (leader + 2) % 3]
}

fn finish(figures: &Figures) {
    figures.print();
    figures.assert_median(MEDIAN_MAX);
}

#[test]
fn of_an_owner_that_is_killed() {
    let _limit = limit();
    let mut cluster = Cluster::form(&["a", "b", "c"]);
    let (mut other, mut leading) = (Figures::new("owner killed"), Figures::new("owner killed that leads"));
    for run in 0..runs() * 2 {
        let [leader, second, third] = roles(&cluster);
        let (places, figures) = match run % 4 {
            0 => ([second, leader, third], &mut other),
            1 => ([leader, second, third], &mut leading),
            2 => ([second, third, leader], &mut other),
            _ => ([leader, third, second], &mut leading),
        };
        let mut scene = Scene::set(&cluster, &format!("cam{run}"), places);
        let epoch = cluster.wait_owner(&scene.path, Some(&cluster.nodes[places[0]].name));
        cluster.nodes[places[0]].kill();
        figures.add(scene.taken_over(&cluster));
        let name = cluster.nodes[places[1]].name.clone();
        assert!(cluster.wait_owner(&scene.path, Some(&name)) > epoch);
        drop(scene);
        cluster.nodes[places[0]].start();
        cluster.wait_formed();
    }
    finish(&other);
    finish(&leading);
}

#[test]
fn of_an_owner_that_is_stopped_and_its_publisher_stands_by_afterwards() {
    let _limit = limit();
    let cluster = Cluster::form(&["a", "b", "c"]);
    let (mut other, mut leading) = (Figures::new("owner stopped"), Figures::new("owner stopped that leads"));
    for run in 0..runs() * 2 {
        let [leader, second, third] = roles(&cluster);
        let (places, figures) = match run % 2 {
            0 => ([second, leader, third], &mut other),
            _ => ([leader, second, third], &mut leading),
        };
        let mut scene = Scene::set(&cluster, &format!("cam{run}"), places);
        cluster.nodes[places[0]].freeze();
        figures.add(scene.taken_over(&cluster));
        cluster.nodes[places[0]].thaw();
        cluster.wait_standby(&scene.path, places[0]);
        // What the stopped node has still sent reaches nobody, and there is no way back.
        ok(&cluster, scene.reader.read_for(Duration::from_secs(1)));
        assert_eq!(scene.reader.take_changes(), []);
        assert!([&scene.first, &scene.second].into_iter().flatten().all(Numbered::is_going));
        // And once more, the other way round.
        scene.second = None;
        ok(&cluster, scene.reader.read_from(FIRST, 30));
        assert!(matches!(scene.reader.take_changes()[..], [(FIRST, _)]));
    }
    finish(&other);
    finish(&leading);
}

#[test]
fn of_a_publisher_that_leaves() {
    let _limit = limit();
    let cluster = Cluster::form(&["a", "b", "c"]);
    let mut figures = Figures::new("publisher gone");
    for run in 0..runs() {
        let mut scene = Scene::set(&cluster, &format!("cam{run}"), [run % 3, (run + 1) % 3, (run + 2) % 3]);
        // A second reader where the first publisher was, which has the path relayed from now on.
        let mut near = Strict::start(cluster.nodes[run % 3].rtsp_address(), &scene.path);
        ok(&cluster, near.read_from(FIRST, 5));
        scene.first = None;
        figures.add(scene.taken_over(&cluster));
        ok(&cluster, near.read_from(SECOND, 30));
        assert_eq!(near.take_changes().len(), 1);
    }
    finish(&figures);
}

#[test]
fn of_a_publisher_that_stalls_and_there_is_no_way_back() {
    let _limit = limit();
    let cluster = Cluster::form(&["a", "b", "c"]);
    let mut figures = Figures::new("publisher stalled");
    for run in 0..runs() {
        let places = [run % 3, (run + 1) % 3, (run + 2) % 3];
        let mut scene = Scene::set(&cluster, &format!("cam{run}"), places);
        scene.first.iter().for_each(Numbered::fall_silent);
        figures.add(scene.taken_over(&cluster));
        scene.first.iter().for_each(Numbered::wake_up);
        cluster.wait_standby(&scene.path, places[0]);
        ok(&cluster, scene.reader.read_for(Duration::from_secs(1)));
        assert_eq!(scene.reader.take_changes(), [], "there is no way back");
        assert!(scene.first.as_ref().is_some_and(Numbered::is_going));
        let why = cluster.nodes[places[2]].get(&format!("/cluster/why/{}", scene.path)).unwrap_or_default();
        let (why, next) = (why["why"].to_string(), format!("on node {} takes over", cluster.nodes[places[0]].name));
        assert!(why.contains(&next), "{why}");
    }
    finish(&figures);
}

#[test]
fn of_publishers_on_the_standbys_own_node() {
    let _limit = limit();
    let cluster = Cluster::form(&["a", "b", "c"]);
    let (mut gone, mut stalled) =
        (Figures::new("publisher gone, same node"), Figures::new("publisher stalled, same node"));
    for run in 0..runs() {
        let places = [run % 3, run % 3, (run + 1) % 3];
        let mut scene = Scene::set(&cluster, &format!("gone{run}"), places);
        let epoch = cluster.wait_owner(&scene.path, Some(&cluster.nodes[places[0]].name));
        scene.first = None;
        gone.add(scene.taken_over(&cluster));
        assert_eq!(cluster.wait_owner(&scene.path, Some(&cluster.nodes[places[0]].name)), epoch, "nobody was asked");
        let mut scene = Scene::set(&cluster, &format!("stalled{run}"), places);
        scene.first.iter().for_each(Numbered::fall_silent);
        stalled.add(scene.taken_over(&cluster));
        assert_eq!(shown(&cluster, places[2], &scene.path)["takeovers"], 1);
    }
    finish(&gone);
    finish(&stalled);
}

#[test]
fn of_a_better_publisher_that_gets_its_path_back() {
    let _limit = Deadline::seconds(120);
    let setup = |name: &str| Setup::new(name).with("pathDefaults: {standbyReturn: yes, standby: yes}");
    let cluster = Cluster::with(&["a", "b", "c"].map(setup));
    let [at, waits, reads] = [0, 1, 2].map(|node| cluster.nodes[node].rtsp_address());
    // By rank, not by who was first: without a query a publisher has rank 100.
    let first = Numbered::start(at, "cam?standby=1&rank=1", FIRST).expect("published");
    cluster.wait_owner("cam", Some("a"));
    let _second = Numbered::start(waits, "cam", SECOND).expect("standing by");
    cluster.wait_standby("cam", 1);
    let mut reader = Strict::start(reads, "cam");
    ok(&cluster, reader.read_from(FIRST, 10));
    first.fall_silent();
    ok(&cluster, reader.read_from(SECOND, 30));
    first.wake_up();
    ok(&cluster, reader.read_from(FIRST, 30));
    let to: Vec<u8> = reader.take_changes().into_iter().map(|(to, _)| to).collect();
    assert_eq!(to, [SECOND, FIRST]);
    cluster.wait_owner("cam", Some("a"));
}

#[test]
fn of_real_clients_over_two_protocols() {
    let _limit = Deadline::seconds(120);
    let media = Media::new(Video::H264, Audio::Aac);
    let mut cluster = Cluster::with(&["a", "b", "c"].map(|name| Setup::new(name).with_all_doors()));
    let [leader, owner, waits] = roles(&cluster);
    let path = "live/cam";
    let _lost = Client::Ffmpeg.publish_for_ever(&cluster.nodes[owner], Way::Tcp, path, media);
    cluster.wait_owner(path, Some(&cluster.nodes[owner].name));
    let query = format!("{path}?standby=1");
    let mut standby = Client::Ffmpeg9.publish_for_ever(&cluster.nodes[waits], Way::Rtmp, &query, media);
    cluster.wait_standby(path, waits);
    let reads = &cluster.nodes[leader];
    let readers = [Client::Ffmpeg, Client::GStreamer].map(|client| client.capture(reads, Way::Tcp, path, media));
    let over_rtmp = Client::Ffmpeg9.capture(reads, Way::Rtmp, path, media);
    let over_hls = Client::Ffmpeg9.capture_hls(reads, path);
    cluster.wait("all readers to be there", |cluster| {
        shown(cluster, leader, path)["readers"].as_array().is_some_and(|readers| readers.len() == 4)
    });
    // A player that has no segment yet when the owner dies may give up; here it is about those that play.
    cluster.wait("HLS to be played", |cluster| {
        let muxers = cluster.nodes[leader].get("/v3/hlsmuxers/list").unwrap_or_default();
        // The owner has one too: it is asked for what it still keeps.
        let mut muxers = muxers["items"].as_array().into_iter().flatten();
        muxers.any(|muxer| muxer["outboundBytes"].as_u64() > Some(50_000))
    });
    let readers_before = shown(&cluster, leader, path)["readers"].clone();
    cluster.nodes[owner].kill();
    cluster.wait_owner(path, Some(&cluster.nodes[waits].name));
    cluster.wait("the standby's media to be read by those who read before", |cluster| {
        let path = shown(cluster, leader, path);
        path["takeovers"] == 1 && path["source"]["type"] == "rtmpConn" && path["readers"] == readers_before
    });
    // More than was there before: each of them goes on.
    for capture in readers.into_iter().chain([over_rtmp, over_hls]) {
        let read = capture.finish(RECORDED_SECONDS);
        assert!(!read.video.is_empty() && !read.audio.is_empty());
    }
    standby.assert_running();
}

#[test]
fn of_what_can_stand_by_at_all() {
    let _limit = Deadline::seconds(60);
    let cluster = Cluster::form(&["a"]);
    let server = cluster.nodes[0].rtsp_address();
    let _first = Numbered::start(server, "cam", FIRST).expect("published");
    let bad = Numbered::start(server, "cam?standby=1&rank=0", SECOND);
    assert!(matches!(bad, Err(Refused::Status(400))), "{bad:?}");
    let good = Numbered::start(server, "cam?standby=1&rank=7", SECOND).expect("stands by");
    cluster.wait("it to be ready", |cluster| {
        let path = shown(cluster, 0, "cam");
        path["standbys"][0]["rank"] == 7 && path["standbys"][0]["ready"] == true
    });
    assert!(good.is_going() && good.next() > 0);
}
