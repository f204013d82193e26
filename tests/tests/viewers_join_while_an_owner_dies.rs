//! HLS players that join at a node that has not had the path so far, around the moment in which its owner dies: what their first
//! playlist lists can be loaded, all of it. A run or two always, as many as `WEFT_RUNS` says when it is set:
//!
//! ```text
//! WEFT_RUNS=30 cargo test -p weft-tests --test viewers_join_while_an_owner_dies -- --nocapture
//! ```

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use weft_tests::cluster::{Cluster, Setup};
use weft_tests::deadline::Deadline;
use weft_tests::figures::Figures;
use weft_tests::hls::{Contents, Viewer};
use weft_tests::{http, wait};

/// Runs without a wish.
const RUNS: usize = 2;

/// Viewers that join one after the other; the owner dies between them.
const VIEWERS: usize = 8;

/// Between two of them.
const BETWEEN: Duration = Duration::from_millis(40);

/// Segments that a viewer sees: those of before, and those of the next publisher.
const SEGMENTS: usize = 12;

fn runs() -> usize {
    std::env::var("WEFT_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS)
}

/// Joins as soon as there is anything, and looks at everything that is listed.
fn join(server: SocketAddr, path: &str, contents: &Contents, knows_parts: bool) -> JoinHandle<Duration> {
    let (path, contents) = (path.to_owned(), contents.clone());
    std::thread::spawn(move || {
        let begun = Instant::now();
        let index = format!("/{path}/index.m3u8?cookieCheck=1");
        // Between two owners there is nobody for a moment.
        wait::until("a playlist", 30, || {
            http::fetch(server, "GET", &index, "", 30).is_ok_and(|answer| answer.status == 200).then_some(())
        });
        let took = begun.elapsed();
        let viewer = Viewer::join(server, &path, &contents);
        let mut viewer = if knows_parts { viewer } else { viewer.without_parts() };
        while viewer.segments < SEGMENTS {
            viewer.step();
        }
        took
    })
}

#[test]
fn the_first_playlist_lists_what_can_be_loaded() {
    let runs = runs();
    let _limit = Deadline::seconds(60 + 40 * runs as u64);
    let mut cluster =
        Cluster::with(&["a", "b", "c"].map(|name| Setup::new(name).with_all_doors().with("hlsVariant: lowLatency")));
    let mut figures = Figures::new("a playlist at a node without the path while its owner dies");
    for run in 0..runs {
        let leader = cluster.leader();
        let [owner, waits, third] = [1, 2, 0].map(|step| (leader + step) % 3);
        let path = format!("live/join{run}");
        let _first = cluster.publish_numbered(owner, &path, 1);
        let name = cluster.nodes[owner].name.clone();
        cluster.wait_owner(&path, Some(&name));
        let _second = cluster.publish_numbered(waits, &format!("{path}?standby=1"), 2);
        cluster.wait_standby(&path, waits);
        // Somebody watches at the owner: there are segments that no other node has.
        let contents = Contents::default();
        let mut near = Viewer::join(cluster.nodes[owner].hls_address(), &path, &contents);
        while near.segments < 8 {
            near.step();
        }
        let mut viewers = Vec::new();
        for number in 0..VIEWERS {
            if number == 1 + run % (VIEWERS - 1) {
                cluster.nodes[owner].kill();
            }
            viewers.push(join(cluster.nodes[third].hls_address(), &path, &contents, number % 2 == 0));
            std::thread::sleep(BETWEEN);
        }
        let joined: Vec<_> = viewers.into_iter().map(JoinHandle::join).collect();
        if joined.iter().any(Result::is_err) {
            cluster.keep_logs(&format!("run{run}"));
        }
        assert!(joined.iter().all(Result::is_ok), "viewers of run {run}; why stands above");
        joined.into_iter().flatten().for_each(|took| figures.add(took));
        cluster.nodes[owner].start();
        cluster.wait_formed();
    }
    figures.print();
}
