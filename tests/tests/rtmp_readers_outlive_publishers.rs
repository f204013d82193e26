//! RTMP publishers that are killed, replaced or gone for good: what RTMP readers see, and what publishers are told.

use std::time::{Duration, Instant};

use weft_proto::rtmp::ClientEvent;
use weft_tests::deadline::Deadline;
use weft_tests::rtmp::{Connection, Player};
use weft_tests::server::Server;
use weft_tests::{ffmpeg, http, wait};

/// Reads on until 25 frames came after the change; time must go forward throughout.
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
    let mut first = ffmpeg::publish_rtmp(&server, "live/cam", 1);
    server.wait_ready("live/cam");
    let mut player = Player::start(server.rtmp_address(), "live/cam");
    let last = (0..30).map(|_| player.video(5).micros).last().unwrap();
    first.signal(libc::SIGKILL);
    first.wait(5);
    wait::until("the path to be without publisher", 10, || {
        (server.path("live/cam")?["source"].is_null()).then_some(())
    });
    let _second = ffmpeg::publish_rtmp(&server, "live/cam", 1);
    read_over_the_change(&mut player, last, || true);
}

#[test]
fn a_publisher_of_another_protocol_takes_over_and_the_readers_stay() {
    let _limit = Deadline::seconds(90);
    let server = Server::start();
    let mut first = ffmpeg::publish_rtmp(&server, "live/cam", 1);
    server.wait_ready("live/cam");
    assert_eq!(server.path("live/cam").unwrap()["source"]["type"], "rtmpConn");
    let mut player = Player::start(server.rtmp_address(), "live/cam");
    let last = (0..30).map(|_| player.video(5).micros).last().unwrap();
    let _second = ffmpeg::publish(&server, "live/cam", 1);
    let changed = || server.path("live/cam").is_some_and(|path| path["source"]["type"] == "rtspSession");
    read_over_the_change(&mut player, last, changed);
    // The first one is told: its connection ends.
    first.wait(15);
}

#[test]
fn without_override_the_second_publisher_is_refused() {
    let _limit = Deadline::seconds(60);
    let server = Server::with("pathDefaults: {overridePublisher: no}");
    let mut first = ffmpeg::publish_rtmp(&server, "live/cam", 1);
    server.wait_ready("live/cam");
    let mut second = Connection::open(server.rtmp_address(), "live/cam", true, None).unwrap();
    assert_eq!(second.begun(), Err("NetStream.Publish.BadName".into()));
    first.assert_running();
}

#[test]
fn readers_are_told_when_no_publisher_comes_back() {
    let _limit = Deadline::seconds(60);
    let server = Server::with("pathDefaults: {readerHold: 2s}");
    let first = ffmpeg::publish_rtmp(&server, "live/cam", 1);
    server.wait_ready("live/cam");
    let mut player = Player::start(server.rtmp_address(), "live/cam");
    player.video(5);
    drop(first);
    let limit = Instant::now() + Duration::from_secs(20);
    let ended = loop {
        match player.next(limit) {
            Ok(Some(_)) => {}
            Ok(None) => break "nothing".to_owned(),
            Err(error) => break error.to_string(),
        }
    };
    assert_eq!(ended, "NetStream.Play.UnpublishNotify");
    wait::until("the path to be forgotten", 10, || server.path("live/cam").is_none().then_some(()));
}

#[test]
fn readers_of_nothing_are_told_at_once() {
    let _limit = Deadline::seconds(60);
    let server = Server::start();
    for (path, code) in
        [("live/nobody", "NetStream.Play.StreamNotFound"), ("live/../nobody", "NetStream.Play.StreamNotFound")]
    {
        let mut reader = Connection::open(server.rtmp_address(), path, false, None).unwrap();
        assert_eq!(reader.begun(), Err(code.into()));
    }
}

#[test]
fn too_many_readers_are_refused() {
    let _limit = Deadline::seconds(60);
    let server = Server::with("pathDefaults: {maxReaders: 1}");
    let _publisher = ffmpeg::publish_rtmp(&server, "live/cam", 1);
    server.wait_ready("live/cam");
    let _first = Player::start(server.rtmp_address(), "live/cam");
    let mut second = Connection::open(server.rtmp_address(), "live/cam", false, None).unwrap();
    assert_eq!(second.begun(), Err("NetStream.Play.InsufficientBW".into()));
}

#[test]
fn an_operator_sees_connections_and_ends_them() {
    let _limit = Deadline::seconds(60);
    let server = Server::start();
    let _publisher = ffmpeg::publish_rtmp(&server, "live/cam", 1);
    server.wait_ready("live/cam");
    let mut reader = Connection::open(server.rtmp_address(), "live/cam?user=joe", false, None).unwrap();
    reader.begun().unwrap();
    server.wait_readers("live/cam", 1);
    let list = server.api("/v3/rtmpconns/list").json();
    let conns = list["items"].as_array().unwrap();
    let states: Vec<&str> = conns.iter().map(|conn| conn["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["publish", "read"]);
    assert_eq!((conns[1]["path"].as_str(), conns[1]["query"].as_str()), (Some("live/cam"), Some("user=joe")));
    let id = conns[1]["id"].as_str().unwrap();
    assert_eq!(http::post(server.api_address(), &format!("/v3/rtmpconns/kick/{id}")).unwrap().status, 200);
    let limit = Instant::now() + Duration::from_secs(10);
    let ended = loop {
        match reader.next(limit) {
            Ok(Some(ClientEvent::Ended { .. })) | Err(_) => break true,
            Ok(Some(_)) => {}
            Ok(None) => break false,
        }
    };
    assert!(ended, "the kicked reader is told");
    server.wait_readers("live/cam", 0);
}
