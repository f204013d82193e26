//! Whatever arrives at the port: the proper error, and a node and readers that do not notice.

use std::net::Ipv4Addr;
use std::time::Duration;

use weft_proto::rtsp::Method;
use weft_tests::deadline::Deadline;
use weft_tests::ffmpeg;
use weft_tests::raw::Raw;
use weft_tests::rtsp::{Player, request};
use weft_tests::server::Server;

const TCP: &str = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
const SDP: &str = "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=0\r\n";

fn announce(uri: &str) -> String {
    let body = format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n", SDP.len());
    request(&Method::Announce, uri, 1, &body) + SDP
}

/// The value of the `Session` header in a response.
fn session(text: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix("Session: ")).expect("a session");
    line.split(';').next().unwrap().trim().to_owned()
}

#[test]
fn wrong_requests_get_their_proper_status() {
    let _limit = Deadline::seconds(60);
    let server = Server::start();
    let _publisher = ffmpeg::publish(&server, "cam", 1);
    server.wait_ready("cam");
    let uri = server.rtsp("cam");
    let track = format!("{uri}/trackID=0");
    let ask = |text: String| Raw::connect(server.rtsp_address()).unwrap().ask(&text).0;
    assert_eq!(ask(request(&Method::Describe, &server.rtsp("nobody"), 1, "")), 404);
    assert_eq!(ask(request(&Method::Describe, &server.rtsp("a/../b"), 1, "")), 400);
    assert_eq!(ask(request(&Method::Play, &uri, 1, "Session: 1234\r\n")), 454);
    assert_eq!(ask(request(&Method::Record, &uri, 1, "")), 455);
    assert_eq!(ask(request(&Method::Setup, &uri, 1, TCP)), 459);
    assert_eq!(ask(request(&Method::Setup, &track, 1, "Transport: RAW/RAW/UDP;unicast;client_port=5-6\r\n")), 461);
    assert_eq!(ask(request(&Method::Options, &uri, 1, "Require: com.example.nothing\r\n")), 551);
    assert_eq!(ask(format!("FROBNICATE {uri} RTSP/1.0\r\nCSeq: 1\r\n\r\n")), 501);
    assert_eq!(ask(format!("DESCRIBE {uri} RTSP/2.0\r\nCSeq: 1\r\n\r\n")), 505);
    assert_eq!(
        ask(request(&Method::Announce, &uri, 1, "Content-Type: application/sdp\r\nContent-Length: 4\r\n") + "junk"),
        400
    );
    assert_eq!(
        ask(request(&Method::Announce, &uri, 1, "Content-Type: application/sdp\r\nContent-Length: 99999999\r\n")),
        413
    );
    assert_eq!(ask(request(&Method::Announce, &uri, 1, "Content-Length: -5\r\n")), 400);
    assert_eq!(ask(format!("DESCRIBE {uri} RTSP/1.0\r\n{}", "X-Long: y\r\n".repeat(4000))), 400);
    assert_eq!(ask(format!("DESCRIBE rtsp://h/{} RTSP/1.0\r\n\r\n", "x".repeat(70_000))), 414);
}

#[test]
fn noise_and_half_messages_end_only_their_own_connection() {
    let _limit = Deadline::seconds(60);
    let server = Server::start();
    let _publisher = ffmpeg::publish(&server, "cam", 1);
    server.wait_ready("cam");
    let mut player = Player::start(server.rtsp_address(), &server.rtsp("cam"));
    let mut half_open = Vec::new();
    for bytes in [&b"\x16\x03\x01\x02\x00\x01\x00"[..], b"\0\0\0\0", b"\xff\xfe\xfd", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut raw = Raw::connect(server.rtsp_address()).unwrap();
        raw.send(bytes);
        half_open.push(raw);
    }
    // Half of a head, half of a frame, a frame of nothing, frames for nobody.
    for bytes in [&b"DESCRIBE rtsp://h/cam RT"[..], b"$\0\xff\xff\x80\x60", b"$\0\0\0", b"$\x07\0\x04abcd$\xc8\0\x01a"]
    {
        let mut raw = Raw::connect(server.rtsp_address()).unwrap();
        raw.send(bytes);
        half_open.push(raw);
    }
    let mut last = player.video(5).micros;
    for _ in 0..50 {
        let next = player.video(5).micros;
        assert!(next > last && next - last < 500_000);
        last = next;
    }
    assert_eq!(server.api("/health").status, 200);
}

#[test]
fn a_stolen_session_id_opens_nothing() {
    let _limit = Deadline::seconds(60);
    let server = Server::start();
    let _publisher = ffmpeg::publish(&server, "cam", 1);
    server.wait_ready("cam");
    let uri = server.rtsp("cam");
    let mut owner = Raw::connect(server.rtsp_address()).unwrap();
    let (status, text) = owner.ask(&request(&Method::Setup, &format!("{uri}/trackID=0"), 1, TCP));
    assert_eq!(status, 200);
    let stolen = format!("Session: {}\r\n", session(&text));
    for method in [Method::Play, Method::Pause, Method::Teardown] {
        let mut thief = Raw::connect_from(Ipv4Addr::new(127, 0, 0, 3), server.rtsp_address()).unwrap();
        assert_eq!(thief.ask(&request(&method, &uri, 2, &stolen)).0, 454, "{method:?}");
    }
    assert_eq!(owner.ask(&request(&Method::Play, &uri, 2, &stolen)).0, 200);
}

#[test]
fn a_flood_of_foreign_and_broken_packets_is_counted_and_bounded() {
    let _limit = Deadline::seconds(60);
    let server = Server::start();
    let uri = server.rtsp("flood");
    let mut publisher = Raw::connect(server.rtsp_address()).unwrap();
    let (status, _) = publisher.ask(&announce(&uri));
    assert_eq!(status, 200);
    let (status, text) = publisher.ask(&request(
        &Method::Setup,
        &format!("{uri}/trackID=0"),
        2,
        "Transport: RTP/AVP/TCP;unicast;interleaved=0-1;mode=record\r\n",
    ));
    assert_eq!(status, 200, "{text}");
    let own = format!("Session: {}\r\n", session(&text));
    assert_eq!(publisher.ask(&request(&Method::Record, &uri, 3, &own)).0, 200);
    let before = server.process.memory();
    let mut chunk = Vec::new();
    for n in 0..2000u16 {
        // A fragment that never ends, each of another source; then bytes that are no RTP.
        chunk.extend([b'$', 0, 0, 20, 0x80, 96]);
        chunk.extend(n.to_be_bytes());
        chunk.extend([0; 4]);
        chunk.extend(u32::from(n).to_be_bytes());
        chunk.extend([0x7c, 0x05, 1, 2, 3, 4, 5, 6]);
        chunk.extend([b'$', 0, 0, 2, 0, 0]);
    }
    (0..20).for_each(|_| publisher.send(&chunk));
    let (status, text) = publisher.ask(&request(&Method::GetParameter, &uri, 4, &own));
    assert_eq!(status, 200, "{text}");
    let sessions = server.api("/v3/rtspsessions/list").json();
    assert!(sessions["items"][0]["inboundRTPPacketsInError"].as_u64().unwrap() > 1000, "{sessions}");
    assert!(server.process.memory() < before + (16 << 20));
}

#[test]
fn ten_thousand_half_open_connections_leave_room_for_others() {
    let _limit = Deadline::seconds(120);
    let server = Server::start();
    let _publisher = ffmpeg::publish(&server, "cam", 1);
    server.wait_ready("cam");
    let mut player = Player::start(server.rtsp_address(), &server.rtsp("cam"));
    player.video(5);
    let before = server.process.memory();
    let greedy = Ipv4Addr::new(127, 0, 0, 2);
    let mut held = Vec::new();
    for n in 0..10_000 {
        if let Ok(mut raw) = Raw::connect_from(greedy, server.rtsp_address()) {
            raw.send(b"DESCRIBE rtsp://127.0.0.1/cam RTSP/1.0\r\nCSeq: 1\r\n");
            held.push(raw);
        }
        // Those beyond the bound were closed: their descriptors are of no use here either.
        if n % 500 == 499 {
            held.retain_mut(|raw| !raw.is_closed_within(Duration::from_millis(1)));
        }
    }
    assert!(held.len() <= 1000, "{} connections of one address are held open", held.len());
    let mut other = Player::start(server.rtsp_address(), &server.rtsp("cam"));
    other.video(5);
    let mut last = player.video(5).micros;
    for _ in 0..25 {
        let next = player.video(5).micros;
        assert!(next > last, "the reader that was there is served on");
        last = next;
    }
    assert_eq!(server.api("/health").status, 200);
    assert!(server.process.memory() < before + (64 << 20));
}
