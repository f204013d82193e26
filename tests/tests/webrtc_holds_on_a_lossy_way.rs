//! Pictures over WebRTC on ways that lose packets, are silent for a moment, or are too narrow.

use std::time::Duration;

use serde_json::{Value, json};
use weft_tests::browser::{Browser, Role};
use weft_tests::deadline::Deadline;
use weft_tests::server::Server;
use weft_tests::{ffmpeg, http, tools};

const PATH: &str = "live/cam";

fn served() -> Server {
    Server::with("chaos: yes\n")
}

/// Puts a fault into all packets of WebRTC.
fn inject(server: &Server, mut fault: Value) {
    fault["peer"] = "*".into();
    fault["plane"] = "webrtc".into();
    let api = server.api_address();
    let limit = Duration::from_secs(5);
    let answer = http::send("POST", api, "/cluster/faults", &fault.to_string(), limit).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
}

fn mend(server: &Server) {
    let limit = Duration::from_secs(5);
    http::send("DELETE", server.api_address(), "/cluster/faults", "", limit).expect("an answer");
}

fn open(role: Role, url: &str, name: &str) -> Browser {
    let folder = tools::target().join("screenshots");
    std::fs::create_dir_all(&folder).expect("make the folder of screenshots");
    Browser::open_webrtc(role, url, &folder.join(format!("{name}.png")))
}

fn reader(server: &Server) -> Browser {
    open(Role::Read, &format!("{}/{PATH}/", server.webrtc()), "webrtc-lossy-reader")
}

fn number(state: &Value, name: &str) -> f64 {
    state[name].as_f64().unwrap_or_default()
}

/// Waits until so many more pictures are shown.
fn show_more(reader: &Browser, pictures: f64, seconds: u64) -> Value {
    let before = reader.state().map_or(0.0, |state| number(&state, "shown"));
    reader.wait_for("more pictures", seconds, |state| number(state, "shown") > before + pictures)
}

fn sessions(server: &Server) -> Vec<Value> {
    let list = http::get(server.api_address(), "/v3/webrtcsessions/list").expect("an answer").json();
    list["items"].as_array().cloned().unwrap_or_default()
}

fn count(server: &Server, state: &str, counter: &str) -> u64 {
    sessions(server).iter().filter(|one| one["state"] == state).filter_map(|one| one[counter].as_u64()).sum()
}

#[test]
fn pictures_of_cameras_keep_moving_while_one_packet_of_twenty_is_lost() {
    let _limit = Deadline::seconds(150);
    let server = served();
    let _publisher = ffmpeg::publish_rtmp(&server, PATH, 25);
    server.wait_ready(PATH);
    let reader = reader(&server);
    show_more(&reader, 25.0, 60);
    inject(&server, json!({"loss": 0.05, "durationSeconds": 120}));
    show_more(&reader, 250.0, 60);
    assert!(count(&server, "read", "outboundRTPPacketsRepeated") > 0, "{:?}", sessions(&server));
    assert_eq!(count(&server, "read", "outboundFramesDiscarded"), 0);
    mend(&server);
    show_more(&reader, 25.0, 20);
}

#[test]
fn pictures_of_browsers_keep_moving_while_one_packet_of_twenty_is_lost() {
    let _limit = Deadline::seconds(150);
    let server = served();
    let page = format!("{}/{PATH}/publish", server.webrtc());
    let _publisher = open(Role::Clock, &page, "webrtc-lossy-publisher");
    server.wait_ready(PATH);
    let reader = reader(&server);
    show_more(&reader, 25.0, 60);
    inject(&server, json!({"loss": 0.05, "durationSeconds": 120}));
    show_more(&reader, 200.0, 60);
    mend(&server);
    show_more(&reader, 25.0, 20);
}

/// For half a second nothing passes in either direction.
#[test]
fn pictures_come_back_after_a_silent_moment() {
    let _limit = Deadline::seconds(150);
    let server = served();
    let page = format!("{}/{PATH}/publish", server.webrtc());
    let _publisher = open(Role::Clock, &page, "webrtc-silent-publisher");
    server.wait_ready(PATH);
    let reader = reader(&server);
    show_more(&reader, 50.0, 60);
    for _ in 0..3 {
        inject(&server, json!({"partition": true, "durationSeconds": 0.5}));
        show_more(&reader, 50.0, 30);
    }
    assert_eq!(sessions(&server).len(), 2, "nobody had to begin anew");
}

/// The stream has twice what the way carries.
#[test]
fn readers_on_narrow_ways_skip_and_stay_near_the_live_edge() {
    let _limit = Deadline::seconds(150);
    let server = served();
    let page = format!("{}/{PATH}/publish", server.webrtc());
    // Its pictures tell the time, so that it is known how far behind they are shown.
    let publisher = open(Role::Clock, &page, "webrtc-narrow-publisher");
    server.wait_ready(PATH);
    let reader = reader(&server);
    show_more(&reader, 50.0, 60);
    let before = count(&server, "publish", "inboundBytes");
    publisher.wait_for("a second of pictures", 20, |_| count(&server, "publish", "inboundBytes") > before);
    inject(
        &server,
        json!({"direction": "out", "bandwidth": {"bitsPerSecond": 150_000, "queueBytes": 40_000}, "durationSeconds": 120}),
    );
    reader.wait_for("something to be skipped, and pictures near the live edge all the same", 90, |state| {
        count(&server, "read", "outboundFramesDiscarded") > 0
            && state["latency"].as_f64().is_some_and(|latency| latency < 3_000.0)
    });
    mend(&server);
    show_more(&reader, 50.0, 30);
}
