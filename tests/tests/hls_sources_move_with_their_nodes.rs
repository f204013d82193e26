//! HLS sources are pulled by one node of the cluster, and by another one when that dies or is told to let go: a run always,
//! as many as `WEFT_RUNS` says when it is set. Who pulls what is counted at the origin: a connection is somebody who pulls.
//!
//! ```text
//! WEFT_RUNS=20 cargo test -p weft-tests --test hls_sources_move_with_their_nodes -- --nocapture --test-threads=1
//! ```

use std::time::{Duration, Instant};

use serde_json::json;
use weft_tests::cluster::{Cluster, Setup};
use weft_tests::deadline::Deadline;
use weft_tests::figures::Figures;
use weft_tests::media::{Audio, Media, Video};
use weft_tests::origin::Origin;
use weft_tests::process::Process;
use weft_tests::rtsp::Player;
use weft_tests::wait;

/// Two may pull at once for so long, where the nodes can talk.
const OVERLAP_MAX: Duration = Duration::from_secs(1);

/// What an HLS source may be silent for when another node takes it over: segments are a second long.
const GAP_MAX: Duration = Duration::from_secs(6);

fn runs() -> usize {
    std::env::var("WEFT_RUNS").ok().and_then(|wish| wish.parse().ok()).unwrap_or(1)
}

/// Live playlists of an origin.
struct Sources {
    origin: Origin,
    _muxer: Process,
    /// What the origin is asked for first, by the order of the paths.
    playlists: Vec<String>,
}

/// The path of a source.
fn path(number: usize) -> String {
    format!("tv/{number}")
}

impl Sources {
    /// So many of them, which show the same.
    fn start(count: usize) -> Self {
        let origin = Origin::start();
        std::fs::create_dir(origin.file("0")).expect("make a folder");
        let options = "-hls_flags delete_segments -hls_segment_filename 0/%d.ts 0/index.m3u8";
        let muxer = origin.mux(Media::new(Video::H264, Audio::Aac), options);
        let other = |number: usize| std::os::unix::fs::symlink("0", origin.file(&number.to_string())).expect("a link");
        (1..count).for_each(other);
        let playlist = origin.file("0/index.m3u8");
        wait::until("a playlist", 30, || playlist.is_file().then_some(()));
        let playlists = (0..count).map(|number| format!("{number}/index.m3u8")).collect();
        Self { origin, _muxer: muxer, playlists }
    }

    /// Three nodes that know them, when all are pulled.
    fn cluster(&self, keys: &str) -> Cluster {
        let setup = |name: &&str| {
            let with_path = |setup: Setup, (number, playlist): (usize, &String)| {
                setup.with_path(&path(number), &format!("source: '{}'{keys}", self.origin.url(playlist)))
            };
            self.playlists.iter().enumerate().fold(Setup::new(name), with_path)
        };
        Cluster::with(&["a", "b", "c"].iter().map(setup).collect::<Vec<_>>())
    }

    fn assert_overlap(&self) {
        let overlap = self.origin.longest_overlap();
        assert!(overlap < OVERLAP_MAX, "two pulled at once for {overlap:?}");
    }
}

/// Reads a path at a node, and sees to it that times go forward.
struct Reader {
    player: Player,
    last: Option<i64>,
    at: Instant,
    gap: Duration,
}

impl Reader {
    fn start(cluster: &Cluster, node: usize, path: &str) -> Self {
        let server = cluster.nodes[node].rtsp_address();
        let player = Player::start(server, &format!("rtsp://{server}/{path}"));
        let mut reader = Self { player, last: None, at: Instant::now(), gap: Duration::ZERO };
        reader.next();
        reader.gap = Duration::ZERO;
        reader
    }

    fn next(&mut self) {
        let unit = self.player.video(15);
        assert!(self.last.is_none_or(|last| unit.micros > last), "{} after {:?}", unit.micros, self.last);
        self.gap = self.gap.max(unit.at.saturating_duration_since(self.at));
        (self.last, self.at) = (Some(unit.micros), unit.at);
    }

    /// Reads for so long; says the longest time in which nothing came.
    fn read(&mut self, lasting: Duration) -> Duration {
        let end = Instant::now() + lasting;
        while Instant::now() < end {
            self.next();
        }
        core::mem::take(&mut self.gap)
    }
}

#[test]
fn each_is_pulled_once_and_every_node_shows_and_serves_it() {
    let _limit = Deadline::seconds(90);
    let sources = Sources::start(6);
    let cluster = sources.cluster("");
    cluster.wait_pulled(&sources.origin, &sources.playlists);
    for node in 0..3 {
        for number in 0..6 {
            cluster.wait("the path to be shown", |cluster| {
                let found = cluster.nodes[node].get(&format!("/v3/paths/get/{}", path(number)));
                found.is_some_and(|found| found["ready"] == true && found["source"]["type"] == "hlsSource")
            });
        }
        Reader::start(&cluster, node, &path(node));
    }
    let owners: Vec<_> = (0..6).filter_map(|number| cluster.owner_of(&path(number))).collect();
    assert_eq!(owners.len(), 6);
    assert!((0..3).any(|node| owners[0] != node && owners.contains(&node)), "one node pulls all: {owners:?}");
    assert_eq!(sources.origin.visits().len(), 6, "nobody else has asked");
}

#[test]
fn one_is_moved_by_command_and_its_readers_go_on() {
    let runs = runs();
    let _limit = Deadline::seconds(90 + 20 * runs as u64);
    let sources = Sources::start(1);
    let cluster = sources.cluster("");
    let (path, playlist) = (path(0), &sources.playlists[0]);
    cluster.wait_pulled(&sources.origin, &sources.playlists);
    let mut figures = Figures::new("reader's gap when an HLS source is moved");
    for run in 0..runs {
        let from = cluster.owner_of(&path).expect("somebody pulls it");
        let to = (from + 1) % 3;
        let mut readers = [0, 1, 2].map(|node| Reader::start(&cluster, node, &path));
        let gaps = std::thread::scope(|scope| {
            let readers = readers.each_mut().map(|reader| scope.spawn(|| reader.read(Duration::from_secs(6))));
            cluster.move_to(to, &path);
            let label = cluster.nodes[to].name.clone();
            cluster.wait_owner(&path, Some(&label));
            cluster.wait_pulled(&sources.origin, &sources.playlists);
            readers.map(|reader| reader.join().expect("a reader that goes on"))
        });
        gaps.into_iter().for_each(|gap| figures.add(gap));
        let visits = sources.origin.visits_of(playlist);
        assert_eq!(visits.len(), run + 2);
        assert!(visits[run + 1].from < visits[run].until.expect("it is over"), "made before the other was broken");
    }
    sources.assert_overlap();
    figures.print();
    figures.assert_median(GAP_MAX);
}

#[test]
fn those_of_a_killed_node_are_pulled_by_others() {
    let runs = runs();
    let _limit = Deadline::seconds(120 + 30 * runs as u64);
    let sources = Sources::start(6);
    let mut cluster = sources.cluster("");
    cluster.wait_pulled(&sources.origin, &sources.playlists);
    let (mut back, mut gaps) = (Figures::new("an HLS source of a dead node pulled"), Figures::new("its reader's gap"));
    let dies = cluster.owner_of(&path(0)).expect("somebody pulls it");
    for _ in 0..runs {
        let its: Vec<usize> = (0..6).filter(|number| cluster.owner_of(&path(*number)) == Some(dies)).collect();
        let count = |number: &usize| sources.origin.visits_of(&sources.playlists[*number]).len();
        let others: Vec<usize> = (0..6).filter(|number| !its.contains(number)).collect();
        let kept: Vec<usize> = others.iter().map(count).collect();
        let mut reader = Reader::start(&cluster, (dies + 1) % 3, &path(0));
        let killed = cluster.nodes[dies].kill();
        gaps.add(reader.read(Duration::from_secs(8)));
        cluster.wait_pulled(&sources.origin, &sources.playlists);
        for number in &its {
            let visits = sources.origin.visits_of(&sources.playlists[*number]);
            back.add(visits.last().expect("somebody came").from.saturating_duration_since(killed));
        }
        cluster.nodes[dies].start();
        cluster.wait_formed();
        its.iter().for_each(|number| cluster.move_to(dies, &path(*number)));
        cluster
            .wait("them to be back", |cluster| its.iter().all(|number| cluster.owner_of(&path(*number)) == Some(dies)));
        cluster.wait_pulled(&sources.origin, &sources.playlists);
        assert_eq!(others.iter().map(count).collect::<Vec<_>>(), kept, "one was taken away from a node that lives");
    }
    sources.assert_overlap();
    back.print();
    gaps.print();
    back.assert_median(Duration::from_secs(4));
    gaps.assert_median(GAP_MAX);
}

#[test]
fn a_node_that_was_stopped_lets_go_of_what_another_one_pulls_by_now() {
    let _limit = Deadline::seconds(90);
    let sources = Sources::start(1);
    let cluster = sources.cluster("");
    cluster.wait_pulled(&sources.origin, &sources.playlists);
    let stops = cluster.owner_of(&path(0)).expect("somebody pulls it");
    cluster.nodes[stops].freeze();
    cluster.wait("another one to pull", |_| sources.origin.readers(&sources.playlists[0]) == 2);
    let goes_on = cluster.nodes[stops].thaw();
    let let_go = cluster.measure("one to let go", goes_on, |_| sources.origin.readers(&sources.playlists[0]) == 1);
    assert!(let_go < OVERLAP_MAX, "{let_go:?}");
    cluster.wait("the node to be up again", |cluster| (0..3).all(|by| cluster.sees(by, stops, "up")));
    assert_eq!(sources.origin.readers(&sources.playlists[0]), 1);
}

#[test]
fn those_of_a_drained_node_are_pulled_by_others_first() {
    let _limit = Deadline::seconds(90);
    let sources = Sources::start(6);
    let cluster = sources.cluster("");
    cluster.wait_pulled(&sources.origin, &sources.playlists);
    let drained = cluster.owner_of(&path(0)).expect("somebody pulls it");
    let other = (drained + 1) % 3;
    let drain = format!("/cluster/nodes/{}/drain", cluster.nodes[drained].name);
    assert_eq!(cluster.nodes[other].send("POST", &drain, &json!({})).status, 200);
    cluster.wait("nobody to publish there", |cluster| {
        cluster.nodes[other].get(&drain).is_some_and(|view| view["publishers"] == 0)
    });
    cluster.wait_pulled(&sources.origin, &sources.playlists);
    for visits in sources.playlists.iter().map(|playlist| sources.origin.visits_of(playlist)) {
        let moved = visits.windows(2).all(|pair| pair[0].until.is_some_and(|until| pair[1].from < until));
        assert!(visits.len() <= 2 && moved, "made before the other was broken: {visits:?}");
    }
    assert!((0..6).all(|number| cluster.owner_of(&path(number)).is_some_and(|owner| owner != drained)));
    sources.assert_overlap();
}

#[test]
fn one_on_demand_is_pulled_once_for_readers_of_all_nodes() {
    let _limit = Deadline::seconds(90);
    let sources = Sources::start(1);
    let cluster = sources.cluster(", sourceOnDemand: yes, sourceOnDemandCloseAfter: 500ms");
    assert_eq!(sources.origin.visits().len(), 0);
    let mut readers = [0, 1, 2].map(|node| Reader::start(&cluster, node, &path(0)));
    readers.iter_mut().for_each(Reader::next);
    assert_eq!(sources.origin.visits().len(), 1);
    drop(readers);
    // Relays stay for ten seconds after their last reader.
    cluster.wait("the origin to be let go", |_| sources.origin.readers(&sources.playlists[0]) == 0);
    assert_eq!(sources.origin.visits().len(), 1);
}
