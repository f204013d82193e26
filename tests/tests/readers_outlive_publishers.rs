//! A publisher that is killed, replaced or gone for good: what its readers see.

use std::time::{Duration, Instant};

use weft_tests::deadline::Deadline;
use weft_tests::rtsp::Player;
use weft_tests::server::Server;
use weft_tests::{ffmpeg, wait};

/// Reads on until `enough` frames came after a jump that only another publisher makes; time must go forward throughout.
fn read_over_the_change(player: &mut Player, mut last: i64, changed: impl Fn() -> bool) {
    let mut after = 0;
    while after < 25 {
        let unit = player.video(15);
        assert!(unit.micros > last, "time went back from {last} to {}", unit.micros);
        last = unit.micros;
        if changed() {
            after += 1;
        }
    }
}

#[test]
fn a_killed_publisher_comes_back_to_the_same_readers() {
    let _limit = Deadline::seconds(90);
    let server = Server::start();
    let mut first = ffmpeg::publish(&server, "cam", 1);
    server.wait_ready("cam");
    let mut player = Player::start(server.rtsp_address(), &server.rtsp("cam"));
    let last = (0..30).map(|_| player.video(5).micros).last().unwrap();
    first.signal(libc::SIGKILL);
    first.wait(5);
    wait::until("the path to be without publisher", 10, || (server.path("cam")?["source"].is_null()).then_some(()));
    let _second = ffmpeg::publish(&server, "cam", 1);
    read_over_the_change(&mut player, last, || true);
    assert_eq!(player.keep_alive(), 200);
}

#[test]
fn a_second_publisher_takes_over_and_the_readers_stay() {
    let _limit = Deadline::seconds(90);
    let server = Server::start();
    let mut first = ffmpeg::publish(&server, "cam", 1);
    server.wait_ready("cam");
    let mut player = Player::start(server.rtsp_address(), &server.rtsp("cam"));
    let last = (0..30).map(|_| player.video(5).micros).last().unwrap();
    let before = server.path("cam").unwrap()["source"]["id"].clone();
    let _second = ffmpeg::publish(&server, "cam", 1);
    read_over_the_change(&mut player, last, || server.path("cam").is_some_and(|path| path["source"]["id"] != before));
    // The first one is told: its connection ends.
    first.wait(15);
}

#[test]
fn without_override_the_second_publisher_is_refused() {
    let _limit = Deadline::seconds(60);
    let server = Server::with("pathDefaults: {overridePublisher: no}");
    let mut first = ffmpeg::publish(&server, "cam", 1);
    server.wait_ready("cam");
    let mut second = ffmpeg::publish(&server, "cam", 1);
    assert!(!second.wait(20).success());
    first.assert_running();
}

#[test]
fn readers_are_told_when_no_publisher_comes_back() {
    let _limit = Deadline::seconds(60);
    let server = Server::with("pathDefaults: {readerHold: 2s}");
    let first = ffmpeg::publish(&server, "cam", 1);
    server.wait_ready("cam");
    let mut player = Player::start(server.rtsp_address(), &server.rtsp("cam"));
    player.video(5);
    drop(first);
    let limit = Instant::now() + Duration::from_secs(20);
    let ended = loop {
        match player.next(limit) {
            Ok(Some(_)) => {}
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(ended, "the connection ends");
    wait::until("the path to be forgotten", 10, || server.path("cam").is_none().then_some(()));
}
