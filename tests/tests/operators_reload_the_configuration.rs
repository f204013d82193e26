//! A changed file is taken at once: as a whole or not at all, and nobody feels what does not concern them.

use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use weft_tests::deadline::Deadline;
use weft_tests::process::{Process, code};
use weft_tests::rtsp::Player;
use weft_tests::server::{Ports, Server};
use weft_tests::{ffmpeg, ports, tools, wait};

const RELOADED: &str = "configuration reloaded";

/// Publishes one stream to the server, reads it so many times, and fails when a unit is lost or a reader disconnected.
fn load(server: &Server, readers: u32, seconds: u32) -> Process {
    let mut chaos = Command::new(tools::chaos());
    chaos.args(["load", "--publish", &server.rtsp("load"), "--readers", &readers.to_string(), "--quiet"]);
    chaos.args(["--bitrate", "200k", "--join-rate", "400/s", "--duration", &format!("{seconds}s")]);
    Process::start("the load", chaos)
}

#[test]
fn two_hundred_readers_feel_nothing_of_other_keys() {
    let _limit = Deadline::seconds(120);
    let server = Server::start();
    let mut load = load(&server, 200, 6);
    wait::until("200 readers", 30, || (server.path("load")?["readers"].as_array()?.len() == 200).then_some(()));
    // Log level, a timeout, RTSPS gone, another multicast port, another API origin, a path, the defaults of all paths.
    let ports = Ports { multicast: ports::udp_pair(), ..server.ports() };
    let more = "writeTimeout: 7s\napiAllowOrigins: ['https://a.example']\npathDefaults: {readerHold: 3s}";
    let changed = ports.configuration(more).replace("rtspEncryption: optional", "rtspEncryption: no");
    server.rewrite(&(changed.replace("logLevel: debug", "logLevel: info") + "  other: {maxReaders: 1}\n"));
    server.wait_log(&[RELOADED, "logLevel", "writeTimeout", "paths.other", "rtspEncryption"]);
    assert!(TcpStream::connect(("127.0.0.1", ports.rtsps)).is_err(), "RTSPS is off now");
    server.rewrite("rtspAddress: [\n");
    server.wait_log(&["is not taken"]);
    let status = load.wait(60);
    assert_eq!(code(status), Ok(0), "{}", load.log());
}

#[test]
fn a_broken_file_changes_nothing_and_says_where() {
    let _limit = Deadline::seconds(60);
    let mut server = Server::start();
    let broken = server.ports().configuration("readTimeout: soon\nrtspAdress: :1");
    server.rewrite(&broken.replace("rtspEncryption: optional", "rtspEncryption: no"));
    server.wait_log(&["weft.yml:", "readTimeout"]);
    server.wait_log(&["unknown key `rtspAdress`", "rtspAddress"]);
    server.wait_log(&["2 errors", "not taken"]);
    assert!(TcpStream::connect(("127.0.0.1", server.ports().rtsps)).is_ok(), "RTSPS is still on");
    server.process.assert_running();
}

#[test]
fn a_listener_moves_and_its_sessions_stay() {
    let _limit = Deadline::seconds(60);
    let server = Server::start();
    let _publisher = ffmpeg::publish(&server, "cam", 1);
    server.wait_ready("cam");
    let mut player = Player::start(server.rtsp_address(), &server.rtsp("cam"));
    player.video(5);
    let moved = Ports { rtsp: ports::tcp(), ..server.ports() };
    server.rewrite(&moved.configuration(""));
    server.wait_log(&[RELOADED, "rtspAddress"]);
    assert!(TcpStream::connect(server.rtsp_address()).is_err(), "the old port is closed");
    let address = ([127, 0, 0, 1], moved.rtsp).into();
    Player::start(address, &format!("rtsp://127.0.0.1:{}/cam", moved.rtsp)).video(5);
    for _ in 0..50 {
        player.video(5);
    }
}

#[test]
fn listeners_move_between_hosts_on_the_same_port() {
    let _limit = Deadline::seconds(90);
    let server = Server::start();
    let _publisher = ffmpeg::publish_rtsp(&server, "cam", 1, "udp");
    server.wait_ready("cam");
    let mut player = Player::start(server.rtsp_address(), &server.rtsp("cam"));
    let here = server.ports().configuration("");
    for (times, host, elsewhere) in [(1, "", true), (2, "127.0.0.1", false), (3, "0.0.0.0", true)] {
        server.rewrite(&here.replace("Address: 127.0.0.1:", &format!("Address: {host}:")));
        wait::until("the reload", 20, || (server.process.log().matches(RELOADED).count() == times).then_some(()));
        let Ports { rtsp, rtsps, rtmp, rtmps, hls, api, .. } = server.ports();
        for port in [rtsp, rtsps, rtmp, rtmps, hls, api] {
            assert!(TcpStream::connect(("127.0.0.1", port)).is_ok(), "{host}:{port}");
            assert_eq!(TcpStream::connect(("127.0.0.2", port)).is_ok(), elsewhere, "{host}:{port}");
        }
        for _ in 0..50 {
            player.video(5);
        }
        // New sessions, over UDP too, find the new sockets.
        let path = format!("cam-{times}");
        let _publisher = ffmpeg::publish_rtsp(&server, &path, 1, "udp");
        server.wait_ready(&path);
        Player::start(server.rtsp_address(), &server.rtsp(&path)).video(5);
    }
}

#[test]
fn a_port_that_another_holds_on_the_wanted_host_changes_nothing() {
    let _limit = Deadline::seconds(60);
    let server = Server::start();
    let other = std::net::TcpListener::bind(("127.0.0.2", server.ports().rtsp)).expect("bind another host's port");
    let wide = format!("rtspAddress: 0.0.0.0:{}", server.ports().rtsp);
    let here = server.ports().configuration("");
    server.rewrite(&here.replace(&format!("rtspAddress: 127.0.0.1:{}", server.ports().rtsp), &wide));
    server.wait_log(&["not taken", "RTSP", &format!("pid {}", std::process::id())]);
    assert!(TcpStream::connect(server.rtsp_address()).is_ok());
    drop(other);
}

#[test]
fn a_port_that_cannot_be_had_changes_nothing() {
    let _limit = Deadline::seconds(60);
    let server = Server::start();
    let holder = Server::start();
    let wanted = Ports { rtsp: holder.ports().rtsp, ..server.ports() };
    server.rewrite(&wanted.configuration("pathDefaults: {maxReaders: 1}"));
    server.wait_log(&["not taken", "RTSP", &format!("pid {}", holder.process.pid())]);
    assert!(TcpStream::connect(server.rtsp_address()).is_ok());
    assert!(!server.process.log().contains(RELOADED));
}

#[test]
fn a_path_that_is_removed_ends_and_the_others_go_on() {
    let _limit = Deadline::seconds(60);
    let server = Server::start();
    let configuration = server.ports().configuration("");
    let paths = |names: &[&str]| {
        let named: String = names.iter().map(|name| format!("  {name}: {{}}\n")).collect();
        configuration.replace("  all_others:\n", &named)
    };
    server.rewrite(&paths(&["one", "two"]));
    server.wait_log(&[RELOADED]);
    let mut publishers = [ffmpeg::publish(&server, "one", 1), ffmpeg::publish(&server, "two", 1)];
    server.wait_ready("one");
    server.wait_ready("two");
    let mut players = ["one", "two"].map(|path| Player::start(server.rtsp_address(), &server.rtsp(path)));
    server.rewrite(&paths(&["two"]));
    server.wait_log(&["publisher left", "the configuration no longer allows the path", "one"]);
    publishers[0].wait(15);
    let limit = Instant::now() + Duration::from_secs(10);
    while let Ok(unit) = players[0].next(limit) {
        assert!(unit.is_some(), "the reader of the removed path is not told");
    }
    for _ in 0..50 {
        players[1].video(5);
    }
}

#[test]
fn a_hang_up_reads_the_file_and_the_certificate_again() {
    let _limit = Deadline::seconds(60);
    let server = Server::start();
    server.process.signal(libc::SIGHUP);
    server.wait_log(&[RELOADED]);
    let shown = || {
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", "-connect", &format!("127.0.0.1:{}", server.ports().rtsps)]);
        let output = openssl.stdin(std::process::Stdio::null()).output().expect("run openssl");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.split_once("-----BEGIN CERTIFICATE-----").map(|(_, rest)| rest[..200].to_owned())
    };
    let before = shown();
    assert!(before.is_some());
    weft_tests::server::certificate(server.folder());
    wait::until("the new certificate to be shown", 20, || (shown()? != *before.as_ref()?).then_some(()));
}
