//! Clients of WebRTC that are no browsers, both ways: aiortc, and the WHIP muxer of ffmpeg 9.

use weft_tests::clients::Client::Ffmpeg9;
use weft_tests::clients::Way::Tcp;
use weft_tests::deadline::Deadline;
use weft_tests::media::{Audio, Media, Video};
use weft_tests::rtc::{Rtc, ffmpeg_whip};
use weft_tests::server::Server;
use weft_tests::urls::Urls as _;
use weft_tests::{decoded, wait};

/// What the API says of the tracks of a path.
fn codecs(server: &Server, path: &str) -> Vec<String> {
    let tracks = server.path(path).expect("the path exists")["tracks"].clone();
    let mut names: Vec<String> =
        tracks.as_array().expect("tracks").iter().map(|name| name.as_str().expect("a name").to_owned()).collect();
    names.sort();
    names
}

/// aiortc publishes; aiortc and ffmpeg, over RTSP, play.
fn carry(video: &str, audio: &str, names: [&str; 2]) {
    let _limit = Deadline::seconds(120);
    let server = Server::start();
    let mut publisher = Rtc::publish(&server.whip("cam"), video, audio);
    server.wait_ready("cam");
    assert_eq!(codecs(&server, "cam"), names);
    let reader = Rtc::read(&server.whep("cam"));
    let seen = reader.wait_played(50, 30);
    assert_eq!(seen["width"], 320, "{seen}");
    let frames = decoded::frames(&server.rtsp("cam"), 25);
    assert!(frames.video >= 25, "{frames:?}");
    reader.leave();
    server.wait_readers("cam", 0);
    publisher.process.assert_running();
    publisher.leave();
    wait::until("the path to have no publisher", 10, || {
        server.path("cam").is_none_or(|path| path["ready"] == false || path["source"].is_null()).then_some(())
    });
}

#[test]
fn h264_and_opus_from_aiortc() {
    carry("h264", "opus", ["H264", "Opus"]);
}

#[test]
fn vp8_and_g711_from_aiortc() {
    carry("vp8", "pcmu", ["G711", "VP8"]);
}

#[test]
fn what_ffmpeg_publishes_over_whip_is_played_over_whep_and_rtsp() {
    let _limit = Deadline::seconds(120);
    let server = Server::start();
    let mut publisher = ffmpeg_whip(&server.whip("cam"));
    server.wait_ready("cam");
    assert_eq!(codecs(&server, "cam"), ["H264", "Opus"]);
    let reader = Rtc::read(&server.whep("cam"));
    reader.wait_played(50, 30);
    let frames = decoded::frames(&server.rtsp("cam"), 25);
    assert!(frames.video >= 25 && frames.audio >= 25, "{frames:?}");
    publisher.assert_running();
}

#[test]
fn what_ffmpeg_publishes_over_rtsp_is_played_by_aiortc() {
    let _limit = Deadline::seconds(120);
    let server = Server::start();
    let media = Media::new(Video::Vp8, Audio::Opus);
    let _publisher = Ffmpeg9.publish_for_ever(&server, Tcp, "cam", media);
    server.wait_ready("cam");
    let reader = Rtc::read(&server.whep("cam"));
    reader.wait_played(50, 30);
}

#[test]
fn who_publishes_again_goes_on_for_those_who_play() {
    let _limit = Deadline::seconds(120);
    let server = Server::start();
    let first = Rtc::publish(&server.whip("cam"), "h264", "opus");
    server.wait_ready("cam");
    let mut reader = Rtc::read(&server.whep("cam"));
    let before = reader.wait_played(25, 30)["frames"].as_u64().unwrap_or_default();
    first.leave();
    let _second = Rtc::publish(&server.whip("cam"), "h264", "opus");
    reader.wait_played(before + 100, 30);
    reader.process.assert_running();
}
