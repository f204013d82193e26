//! The start rule and the skip rule, seen by a player over RTMP with ten seconds between keyframes.

use std::time::{Duration, Instant};

use weft_tests::deadline::Deadline;
use weft_tests::ffmpeg;
use weft_tests::rtmp::Player;
use weft_tests::rtsp::Arrival;
use weft_tests::server::Server;

/// How far a player that showed its first frame when it arrived stands behind live.
fn behind_live(first: &Arrival, newest: &Arrival) -> Duration {
    let shown_at = first.at + Duration::from_micros((newest.micros - first.micros).max(0) as u64);
    shown_at.saturating_duration_since(newest.at)
}

fn read_for(player: &mut Player, span: Duration) -> Arrival {
    let end = Instant::now() + span;
    let mut newest = player.video(5);
    while Instant::now() < end {
        newest = player.video(5);
    }
    newest
}

#[test]
fn the_first_frame_comes_at_once_and_stands_near_the_live_edge() {
    let _limit = Deadline::seconds(90);
    let server = Server::start();
    let _publisher = ffmpeg::publish_rtmp(&server, "live/slow", 10);
    server.wait_ready("live/slow");
    // Somewhere in the middle of a group, some of which a player must be given.
    let mut watcher = Player::start(server.rtmp_address(), "live/slow");
    (0..75).for_each(|_| drop(watcher.video(5)));
    let mut player = Player::start(server.rtmp_address(), "live/slow");
    let first = player.video(5);
    assert!(first.random_access);
    let waited = first.at - player.asked;
    // Four round trips of RTMP, and this client's own delayed acknowledgements.
    assert!(waited < Duration::from_millis(150), "first frame after {waited:?}");
    let newest = read_for(&mut player, Duration::from_secs(2));
    let behind = behind_live(&first, &newest);
    assert!(behind < Duration::from_millis(300), "{behind:?} behind live");
}

#[test]
fn who_stops_reading_harms_nobody_and_goes_on_live() {
    let _limit = Deadline::seconds(120);
    let server = Server::start();
    let _publisher = ffmpeg::publish_rtmp(&server, "live/cam", 2);
    server.wait_ready("live/cam");
    let mut stopped = Player::start_with(server.rtmp_address(), "live/cam", Some(8 << 10));
    let mut watcher = Player::start(server.rtmp_address(), "live/cam");
    stopped.video(5);
    let mut last = watcher.video(5);
    // Eight seconds in which one reader takes nothing and the other everything.
    for _ in 0..200 {
        let next = watcher.video(5);
        let step = next.micros - last.micros;
        assert!((1..=400_000).contains(&step), "a hole of {step} µs at the reader that reads");
        last = next;
    }
    // What lay in the buffers comes first; then a random access point, and from there on it is live again.
    let mut previous = stopped.video(5);
    let first = loop {
        let next = stopped.video(5);
        if next.micros - previous.micros > 1_000_000 {
            break next;
        }
        previous = next;
    };
    assert!(first.random_access, "it goes on at a random access point");
    let newest = read_for(&mut stopped, Duration::from_secs(2));
    let behind = behind_live(&first, &newest);
    assert!(behind < Duration::from_millis(300), "{behind:?} behind live");
}
