//! What a node pulls is what its source sends, over each way; and sources come and go as they are configured.

use std::time::{Duration, Instant};

use weft_proto::rtsp::machine::ClientMachine;
use weft_tests::camera::Cameras;
use weft_tests::clients::Client::Ffmpeg;
use weft_tests::clients::Way::{Rtmp, Tcp};
use weft_tests::compare::Tolerance;
use weft_tests::deadline::Deadline;
use weft_tests::media::{Audio, Media, Video};
use weft_tests::publisher::{Publisher, Refused};
use weft_tests::pulled::{WITHIN, assert_unaltered};
use weft_tests::rtsp::{Connection, Player};
use weft_tests::server::Server;
use weft_tests::{namespace, wait};

#[test]
fn every_way_gives_what_the_source_sends() {
    let _limit = Deadline::seconds(150);
    let media = Media::new(Video::H264, Audio::Aac);
    let camera = Server::start();
    let mut publisher = Ffmpeg.publish_for_ever(&camera, Tcp, "live/cam", media);
    camera.wait_ready("live/cam");
    camera.wait_log(&["sender reports tie all tracks together"]);
    let print = camera.fingerprint();
    let (rtsp, rtsps) = (camera.rtsp("live/cam"), camera.rtsps("live/cam"));
    let (rtmp, rtmps) = (camera.rtmp("live/cam"), camera.rtmps("live/cam"));
    let ways = ["live/tcp", "live/udp", "live/range", "live/tls", "live/rtmp", "live/rtmps"];
    let node = Server::with_paths(
        "",
        &format!(
            "  live/tcp: {{source: '{rtsp}'}}\n  live/udp: {{source: '{rtsp}', rtspTransport: udp}}\n\
             \x20 live/range: {{source: '{rtsp}', rtspRangeType: npt, rtspRangeStart: 0s}}\n\
             \x20 live/tls: {{source: '{rtsps}', sourceFingerprint: {print}}}\n  live/rtmp: {{source: '{rtmp}'}}\n\
             \x20 live/rtmps: {{source: '{rtmps}', sourceFingerprint: {print}}}\n\
             \x20 live/other: {{source: '{rtsps}', sourceFingerprint: {}}}\n",
            "0".repeat(64)
        ),
    );
    // RTMP rounds to milliseconds.
    let within = |path: &str| {
        let most = if path.contains("rtmp") { 1_500 } else { 1_000 };
        Tolerance { track: most, offset: most }
    };
    assert_unaltered(&node, media, &ways.map(|path| (path, within(path))));
    publisher.assert_running();
    assert_eq!(node.path("live/tcp").expect("it lives")["source"]["type"], "rtspSource");
    assert_eq!(node.path("live/rtmps").expect("it lives")["source"]["type"], "rtmpSource");
    assert_eq!(node.path("live/other").expect("it is listed")["ready"], false, "another certificate");
    assert!(node.process.log().contains("which `sourceFingerprint` does not say"));
}

#[test]
fn groups_of_cameras_are_joined() {
    namespace::alone("groups_of_cameras_are_joined", || {
        let _limit = Deadline::seconds(120);
        let media = Media::new(Video::H264, Audio::Aac);
        let camera = Server::with("rtspTransports: [multicast, tcp]\n");
        let mut publisher = Ffmpeg.publish_for_ever(&camera, Tcp, "cam", media);
        camera.wait_ready("cam");
        camera.wait_log(&["sender reports tie all tracks together"]);
        let keys = format!("source: '{}', rtspTransport: multicast", camera.rtsp("cam"));
        let node = || Server::with_paths("", &format!("  one: {{{keys}}}\n  two: {{{keys}}}\n"));
        // Two sources of one node, and those of another one, are all in the same group.
        let (mut first, second) = (node(), node());
        camera.wait_readers("cam", 4);
        let reader = camera.path("cam").expect("it lives")["readers"][0]["id"].as_str().expect("an id").to_owned();
        let session = camera.api(&format!("/v3/rtspsessions/get/{reader}")).json();
        assert_eq!(session["transport"], "UDP-multicast");
        assert_unaltered(&first, media, &[("one", WITHIN), ("two", WITHIN)]);
        assert_unaltered(&second, media, &[("one", WITHIN)]);
        first.terminate();
        camera.wait_readers("cam", 2);
        publisher.assert_running();
    });
}

#[test]
fn a_camera_that_only_sends_to_a_group_is_joined_there() {
    namespace::alone("a_camera_that_only_sends_to_a_group_is_joined_there", || {
        let _limit = Deadline::seconds(60);
        // It takes what is published over RTMP.
        let camera = Server::with("rtspTransports: [multicast]\n");
        let media = Media::new(Video::H264, Audio::Aac);
        let _publisher = Ffmpeg.publish_for_ever(&camera, Rtmp, "cam", media);
        camera.wait_ready("cam");
        let url = camera.rtsp("cam");
        let node = Server::with_paths(
            "",
            &format!("  cam: {{source: '{url}'}}\n  udp: {{source: '{url}', rtspTransport: udp}}\n"),
        );
        node.wait_ready("cam");
        Player::start(node.rtsp_address(), &node.rtsp("cam")).video(10);
        node.wait_log(&["source failed", "461"]);
        assert_eq!(node.path("udp").expect("it is listed")["ready"], false, "what was asked for is not to be had");
    });
}

#[test]
fn a_camera_that_went_away_is_pulled_again() {
    let _limit = Deadline::seconds(60);
    let cameras = Cameras::start();
    let node = Server::with_paths("", &format!("  cam: {{source: '{}'}}\n", cameras.url("a")));
    node.wait_ready("cam");
    let refused = Publisher::start(node.rtsp_address(), "cam");
    assert!(matches!(refused, Err(Refused::Status(403))), "nobody can publish in its place: {:?}", refused.err());
    cameras.turn_off();
    wait::until("the path not to be online", 20, || {
        let path = node.path("cam")?;
        (path["online"] == false && path["source"]["type"] == "rtspSource").then_some(())
    });
    cameras.turn_on();
    wait::until("it to be online again", 20, || (node.path("cam")?["online"] == true).then_some(()));
    assert_eq!(cameras.readers("a"), 1);
    assert!(node.process.log().contains("source failed"));
}

#[test]
fn a_source_on_demand_is_pulled_while_somebody_reads() {
    let _limit = Deadline::seconds(60);
    let cameras = Cameras::start();
    let keys = "sourceOnDemand: yes, sourceOnDemandCloseAfter: 500ms, sourceOnDemandStartTimeout: 2s";
    let (url, expression) = (cameras.url("a"), format!("rtsp://{}/$G1", cameras.address()));
    let node = Server::with_paths(
        "",
        &format!("  cam: {{source: '{url}', {keys}}}\n  '~^proxied/(.+)$': {{source: '{expression}', {keys}}}\n"),
    );
    assert_eq!(cameras.visits().len(), 0);
    for (path, camera) in [("cam", "a"), ("proxied/b/c", "b/c")] {
        let mut player = Player::start(node.rtsp_address(), &node.rtsp(path));
        player.next(Instant::now() + Duration::from_secs(5)).expect("a connection").expect("media");
        assert_eq!(cameras.readers(camera), 1);
        drop(player);
        wait::until("the camera to be let go", 20, || (cameras.readers(camera) == 0).then_some(()));
        wait::until("the path to be gone", 20, || node.path(path).is_none().then_some(()));
    }
    cameras.turn_off();
    let mut asking = Connection::open(node.rtsp_address(), &node.rtsp("cam"), None).expect("connect to RTSP");
    let described = asking.ask(ClientMachine::describe).expect("a response");
    assert_eq!(described.status.code(), 404, "nothing can be brought within two seconds");
    wait::until("the path to be gone", 20, || node.path("cam").is_none().then_some(()));
    cameras.turn_on();
    drop(Player::start(node.rtsp_address(), &node.rtsp("cam")));
}

#[test]
fn who_may_read_from_a_camera_is_told_by_the_url_and_who_may_not_in_the_log() {
    let _limit = Deadline::seconds(60);
    let cameras = Cameras::with_login("me", "p@ss");
    let url = |login: &str, path: &str| format!("rtsp://{login}{}/{path}", cameras.address());
    let (right, wrong, own) = (url("me:p%40ss@", "right"), url("me:guess@", "wrong"), url("me:p%40ss@", "own"));
    let node = Server::with_paths(
        "",
        &format!(
            "  right: {{source: '{right}'}}\n  wrong: {{source: '{wrong}'}}\n\
             \x20 own: {{source: '{own}', rtspRangeType: npt, rtspRangeStart: 0s}}\n"
        ),
    );
    node.wait_ready("right");
    node.wait_ready("own");
    node.wait_log(&["401", "wrong user or password"]);
    assert_eq!(cameras.readers("wrong"), 0);
    let log = node.process.log();
    assert!(!log.contains("p%40ss") && !log.contains("guess"), "passwords stay out of the log");
}

#[test]
fn a_reload_touches_only_the_sources_that_differ() {
    let _limit = Deadline::seconds(60);
    let cameras = Cameras::start();
    let path = |name: &str, more: &str| format!("  {name}: {{source: '{}'{more}}}\n", cameras.url(name));
    let node = Server::with_paths("", &[path("kept", ""), path("changed", ""), path("dropped", "")].concat());
    ["kept", "changed", "dropped"].iter().for_each(|path| node.wait_ready(path));
    let paths = [path("kept", ""), path("changed", ", rtspRangeType: npt, rtspRangeStart: 0s"), path("new", "")];
    node.rewrite(&(node.ports().configuration("") + &paths.concat()));
    wait::until("the new sources", 20, || {
        let began_anew = cameras.visits_of("changed").len() == 2 && cameras.readers("changed") == 1;
        (began_anew && cameras.readers("new") == 1 && cameras.readers("dropped") == 0).then_some(())
    });
    assert_eq!(cameras.visits_of("kept").len(), 1);
    assert!(cameras.longest_overlap() < Duration::from_secs(1));
}
