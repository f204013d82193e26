//! The page in Chromium: it plays low latency live with parts, and goes on over all that happens to the stream.

use std::path::PathBuf;

use serde_json::Value;
use weft_tests::browser::Browser;
use weft_tests::clients::Client::{Ffmpeg, Ffmpeg9};
use weft_tests::clients::Way::Tcp;
use weft_tests::deadline::Deadline;
use weft_tests::media::{Audio, Media, Video};
use weft_tests::server::Server;
use weft_tests::{ffmpeg, tools};

fn page(server: &Server) -> String {
    server.hls("cam").replace("index.m3u8", "")
}

/// Where pictures of pages stay, for people to look at.
fn screenshot(name: &str) -> PathBuf {
    let folder = tools::target().join("screenshots");
    std::fs::create_dir_all(&folder).expect("make the folder of screenshots");
    folder.join(format!("{name}.png"))
}

fn plays(state: &Value) -> bool {
    state["say"] == "" && state["paused"] == false && state["frames"].as_u64() > Some(10)
}

#[test]
fn low_latency_with_parts_over_changes_of_the_publisher() {
    let _limit = Deadline::seconds(150);
    let server = Server::start();
    let first = ffmpeg::publish(&server, "cam", 1);
    server.wait_ready("cam");
    let browser = Browser::open(&page(&server), &screenshot("hls"));
    browser.wait_for("a playing stream", 40, plays);
    let state = browser.wait_for("15 parts and less than 2 s of latency", 20, |state| {
        state["parts"].as_u64() > Some(15) && state["latency"].as_f64().is_some_and(|latency| latency < 2.0)
    });
    assert_eq!(state["width"], 320);
    assert!(state["sound"].as_u64() > Some(0), "sound is decoded: {state}");
    let picture = std::fs::read(browser.screenshot()).expect("a screenshot");
    assert!(picture.len() > 10_000, "the picture is not one colour");

    // The same codecs in another size: the page goes on where it is.
    drop(first);
    let before = browser.frames();
    let media = Media::new(Video::H264, Audio::Aac).with_kilobits(2_000);
    let second = Ffmpeg.publish_for_ever(&server, Tcp, "cam", media);
    browser.wait_for("the second publisher's picture", 30, |state| {
        plays(state) && state["width"] == 640 && state["frames"].as_u64() > Some(before + 20)
    });

    // Other codecs: the page begins anew by itself.
    drop(second);
    let _third = Ffmpeg9.publish_for_ever(&server, Tcp, "cam", Media::new(Video::Vp9, Audio::Opus));
    browser.wait_for("the third publisher's picture", 30, |state| {
        plays(state) && state["width"] == 320 && state["latency"].as_f64().is_some_and(|latency| latency < 2.0)
    });
}

#[test]
fn words_when_there_is_nothing_to_play_and_a_picture_when_there_is() {
    let _limit = Deadline::seconds(90);
    let server = Server::with("hlsVariant: fmp4");
    let browser = Browser::open(&page(&server), &screenshot("hls-waiting"));
    browser.wait_for("words", 30, |state| state["say"].as_str().is_some_and(|say| say.contains("no stream here")));
    let _publisher = ffmpeg::publish(&server, "cam", 1);
    browser.wait_for("a playing stream", 30, plays);
}

#[test]
fn goes_on_when_groups_of_pictures_grow() {
    let _limit = Deadline::seconds(120);
    let server = Server::start();
    let _publisher = ffmpeg::publish_growing(&server, "cam", 8);
    server.wait_ready("cam");
    let browser = Browser::open(&page(&server), &screenshot("hls-growing"));
    let frames = |state: &Value| state["frames"].as_u64().unwrap_or_default();
    let before = frames(&browser.wait_for("a playing stream", 40, plays));
    // 8 s of short groups, then two of 12 s: the page is in the middle of them.
    let live = |state: &Value| plays(state) && state["latency"].as_f64().is_some_and(|latency| latency < 2.5);
    browser.wait_for("25 s of pictures without losing touch", 60, |state| live(state) && frames(state) > before + 550);
    // Who opens the page now begins in a long group.
    let late = Browser::open(&page(&server), &screenshot("hls-in-a-long-group"));
    late.wait_for("a playing stream", 40, live);
}
