//! A node that pulls what another server has as LL-HLS is behind it by parts, and by segments where parts are not to be had.
//!
//! ```text
//! cargo test -p weft-tests --test hls_is_pulled_part_by_part -- --nocapture --test-threads=1
//! ```

use std::time::{Duration, Instant};

use weft_tests::deadline::Deadline;
use weft_tests::figures::Figures;
use weft_tests::numbered::{Numbered, due, number};
use weft_tests::origin::Origin;
use weft_tests::rtsp::{Arrival, Player};
use weft_tests::server::Server;

/// After a start it takes a moment until all times are those of the middle of a stream.
const SETTLED: Duration = Duration::from_secs(6);
const MEASURED: Duration = Duration::from_secs(6);

/// Publishes to an origin.
fn publish(origin: &Server) -> Numbered {
    let publisher = Numbered::start(origin.rtsp_address(), "live/cam", 1).expect("it may publish");
    origin.wait_ready("live/cam");
    publisher
}

/// A node that pulls from there.
fn node(url: &str) -> (Server, Player) {
    let node = Server::with_paths("", &format!("  cam: {{source: '{url}'}}\n"));
    node.wait_ready("cam");
    let player = Player::start(node.rtsp_address(), &node.rtsp("cam"));
    (node, player)
}

/// Takes frames for so long; each follows the one before.
fn take(player: &mut Player, lasting: Duration) -> Vec<Arrival> {
    let end = Instant::now() + lasting;
    let mut all: Vec<Arrival> = Vec::new();
    while Instant::now() < end {
        all.push(player.video(10));
        if let [.., before, last] = &all[..] {
            assert_eq!(number(last).1, number(before).1 + 1, "a frame is missing, or came twice");
            assert!(last.micros > before.micros, "time went back");
        }
    }
    all
}

/// How late frames are, from the publisher to a reader of the node that pulls.
fn latency(name: &str, origin: &Server) -> Figures {
    let _publisher = publish(origin);
    // Its playlist is to be as long as it gets.
    take(&mut Player::start(origin.rtsp_address(), &origin.rtsp("live/cam")), Duration::from_secs(10));
    let (_node, mut player) = node(&origin.hls("live/cam"));
    take(&mut player, SETTLED);
    let mut figures = Figures::new(name);
    for frame in take(&mut player, MEASURED) {
        figures.add(frame.at.saturating_duration_since(due(number(&frame).1)));
    }
    figures.print();
    figures
}

#[test]
fn parts_bring_it_close_to_its_origin() {
    let _limit = Deadline::seconds(120);
    let by_segments = latency("HLS pulled by segments of 1 s", &Server::with("hlsVariant: fmp4\n"));
    let by_parts = latency("HLS pulled by parts of 200 ms", &Server::with("hlsVariant: lowLatency\n"));
    by_parts.assert_median(Duration::from_millis(900));
    by_parts.assert_median(by_segments.percentile(0.5) / 2);
}

#[test]
fn parts_that_cannot_be_had_are_left_for_segments() {
    let _limit = Deadline::seconds(90);
    let server = Server::with("hlsVariant: lowLatency\n");
    let _publisher = publish(&server);
    let origin = Origin::in_front_of(server.hls_address());
    let (node, mut player) = node(&origin.url("live/cam/index.m3u8"));
    take(&mut player, Duration::from_secs(3));
    let asked = origin.asked();
    assert!(asked.iter().any(|asked| asked.contains("_HLS_msn=") && asked.contains("_HLS_part=")), "{asked:?}");
    let parts = asked.iter().filter(|asked| asked.contains("_part")).count();
    assert!(parts > 10, "{asked:?}");
    origin.deny("_part");
    node.wait_log(&["no more parts are read"]);
    // What was missing costs no more than a segment, and time goes forward.
    let (mut last, end) = (None::<Arrival>, Instant::now() + Duration::from_secs(8));
    let mut missing = 0;
    while Instant::now() < end {
        let frame = player.video(10);
        if let Some(last) = &last {
            missing += number(&frame).1 - number(last).1 - 1;
            assert!(frame.micros > last.micros, "time went back");
        }
        last = Some(frame);
    }
    assert!(missing <= 50, "{missing} frames are missing");
    assert!(origin.asked().iter().any(|asked| asked.contains("_seg")));
}
