//! Whatever arrives at WebRTC's ports: a proper status, no growth, and nothing is sent to an address that is not proven.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::Duration;

use weft_proto::webrtc::description::DESCRIPTION_BYTES_MAX;
use weft_proto::webrtc::stun::{Class, Message, Role, Writer};
use weft_tests::deadline::Deadline;
use weft_tests::http::{self, Raw};
use weft_tests::process::Process;
use weft_tests::server::Server;
use weft_tests::{ffmpeg, wait};

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// What a browser says that wants H.264, under this name.
fn offer(ufrag: &str) -> String {
    let print = ["AB"; 32].join(":");
    format!(
        "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
         m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=recvonly\r\na=rtcp-mux\r\na=ice-ufrag:{ufrag}\r\n\
         a=ice-pwd:a-password-of-some-length\r\na=fingerprint:sha-256 {print}\r\na=setup:actpass\r\n\
         a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;profile-level-id=42e01f\r\n"
    )
}

fn served(more: &str) -> (Server, Process) {
    let server = Server::with(more);
    let publisher = ffmpeg::publish_rtmp(&server, "live/cam", 1);
    server.wait_ready("live/cam");
    (server, publisher)
}

fn ask(server: &Server, method: &str, path: &str, kind: &str, body: &str) -> Raw {
    let head = format!("Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    http::fetch(server.webrtc_address(), method, path, &head, 20).unwrap()
}

fn post(server: &Server, body: &str) -> Raw {
    ask(server, "POST", "/live/cam/whep", SDP, body)
}

/// The session's URL and what the answer says of ICE.
fn joined(server: &Server, ufrag: &str) -> (String, String, String) {
    let answer = post(server, &offer(ufrag));
    assert_eq!(answer.status, 201, "{}", answer.text());
    let said = |name: &str| {
        let text = answer.text();
        text.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned()
    };
    (answer.header("location").unwrap().to_owned(), said("a=ice-ufrag:"), said("a=ice-pwd:"))
}

fn sessions(server: &Server) -> u64 {
    let list = http::get(server.api_address(), "/v3/webrtcsessions/list").unwrap();
    list.json()["itemCount"].as_u64().unwrap()
}

#[test]
fn offers_that_cannot_be_answered_get_the_status_that_says_why() {
    let _limit = Deadline::seconds(120);
    let (server, _publisher) = served("");
    let without = |what: &str| {
        let offer = offer("name");
        let lines = offer.split_inclusive("\r\n").filter(|line| !line.starts_with(what));
        post(&server, &lines.collect::<String>())
    };
    for (what, word) in
        [("a=ice-ufrag", "ICE"), ("a=ice-pwd", "ICE"), ("a=fingerprint", "fingerprint"), ("a=rtcp-mux", "RTCP")]
    {
        let answer = without(what);
        assert!(answer.status == 400 && answer.text().contains(word), "{what}: {} {}", answer.status, answer.text());
    }
    assert_eq!(without("a=rtpmap").status, 406);
    assert_eq!(post(&server, "").status, 400);
    assert_eq!(post(&server, &"\0".repeat(1000)).status, 400);
    let large = offer("name") + &"a=x\r\n".repeat(DESCRIPTION_BYTES_MAX / 5);
    assert_eq!(post(&server, &large).status, 413);
    assert_eq!(ask(&server, "POST", "/live/cam/whep", "text/plain", &offer("name")).status, 415);
    assert_eq!(ask(&server, "POST", "/nobody/whep", SDP, &offer("name")).status, 404);
    for method in ["GET", "HEAD", "PUT", "DELETE"] {
        assert_eq!(ask(&server, method, "/live/cam/whep", SDP, "").status, 405, "{method}");
    }
    assert_eq!(sessions(&server), 0);
}

#[test]
fn sessions_are_found_by_whoever_was_told_them_only() {
    let _limit = Deadline::seconds(120);
    let (server, _publisher) = served("");
    let (url, _, _) = joined(&server, "browser");
    for guess in
        ["/live/cam/whep/00000000-0000-4000-8000-000000000000", "/live/cam/whep/x", &url.replace("whep", "whip")]
    {
        for method in ["PATCH", "DELETE"] {
            assert_eq!(ask(&server, method, guess, FRAGMENT, "").status, 404, "{method} {guess}");
        }
    }
    // What the API lists is another id.
    let list = http::get(server.api_address(), "/v3/webrtcsessions/list").unwrap();
    let id = list.json()["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(ask(&server, "DELETE", &format!("/live/cam/whep/{id}"), "", "").status, 404);
    let trickled =
        "a=ice-ufrag:browser\r\na=ice-pwd:a-password-of-some-length\r\na=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\n";
    for _ in 0..100 {
        assert_eq!(ask(&server, "PATCH", &url, FRAGMENT, trickled).status, 204, "the same said again");
    }
    assert_eq!(ask(&server, "PATCH", &url, "text/plain", trickled).status, 415);
    assert_eq!(ask(&server, "PATCH", &url, FRAGMENT, &"a=x\r\n".repeat(10_000)).status, 413);
    let restart = ask(&server, "PATCH", &url, FRAGMENT, "a=ice-ufrag:other\r\na=ice-pwd:another-password-of-it\r\n");
    assert!(restart.status == 200 && restart.text().contains("a=ice-ufrag:"), "{}", restart.text());
    assert_eq!(sessions(&server), 1);
    assert_eq!(ask(&server, "DELETE", &url, "", "").status, 200);
    wait::until("the session to end", 10, || (sessions(&server) == 0).then_some(()));
    assert_eq!(ask(&server, "DELETE", &url, "", "").status, 404);
}

/// What comes back within a moment: nothing comes late here.
fn heard(socket: &UdpSocket) -> Option<Vec<u8>> {
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut bytes = [0; 2048];
    match socket.recv(&mut bytes) {
        Ok(length) => Some(bytes[..length].to_vec()),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn nothing_is_sent_to_addresses_that_are_not_proven() {
    let _limit = Deadline::seconds(120);
    let (server, _publisher) = served("");
    let (_, ufrag, password) = joined(&server, "browser");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server.webrtc_media_address()).unwrap();
    // The beginning of a handshake of DTLS, which would be answered with kilobytes.
    let hello = [&[22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 1][..], &[0; 99]].concat();
    let check = || Writer::request(b"transaction!", (&ufrag, "browser"), 1, Role::Controlling(1));
    let stranger = Writer::request(b"transaction!", (&ufrag, "stranger"), 1, Role::Controlling(1));
    let nobody = Writer::request(b"transaction!", ("nobody", "browser"), 1, Role::Controlling(1));
    for datagram in [
        hello.clone(),
        vec![0; 20],
        vec![0x80; 200],
        vec![0xff; 1400],
        check().unsigned(),
        check().signed("a guess"),
        stranger.signed(&password),
        nobody.signed(&password),
    ] {
        for _ in 0..20 {
            socket.send(&datagram).unwrap();
        }
        assert_eq!(heard(&socket), None, "{:?}", &datagram[..8]);
    }
    let authentic = check().signed(&password);
    socket.send(&authentic).unwrap();
    let answer = heard(&socket).expect("an authentic check is answered");
    assert!(answer.len() <= authentic.len(), "{} for {}", answer.len(), authentic.len());
    let answer = Message::parse(&answer).unwrap();
    assert!(answer.class() == Class::Success && answer.is_authentic(&password));
    // Not even now without a handshake.
    assert_eq!(heard(&socket), None);
    // From another address nothing has been proven.
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    other.connect(server.webrtc_media_address()).unwrap();
    other.send(&hello).unwrap();
    assert_eq!(heard(&other), None);
}

#[test]
fn sessions_without_a_way_are_few_and_end() {
    let _limit = Deadline::seconds(120);
    let (server, _publisher) = served("webrtcHandshakeTimeout: 2s\n");
    let before = server.process.memory();
    let mut refused = 0;
    for round in 0..600 {
        let answer = post(&server, &offer(&format!("browser{round}")));
        match answer.status {
            201 => {}
            503 => refused += 1,
            other => panic!("{other}: {}", answer.text()),
        }
    }
    let most = server.process.memory();
    assert!(refused > 0, "an address may have 256 of them");
    assert!(most < before + (64 << 20), "{before} to {most}");
    wait::until("the sessions to end", 30, || (sessions(&server) == 0).then_some(()));
    joined(&server, "browser");
}

#[test]
fn floods_of_datagrams_are_dropped() {
    let _limit = Deadline::seconds(120);
    let (server, _publisher) = served("");
    let before = server.process.memory();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server.webrtc_media_address()).unwrap();
    for round in 0..50_000u32 {
        let mut datagram = vec![(round % 256) as u8; 100];
        datagram[4..8].copy_from_slice(&0x2112_a442u32.to_be_bytes());
        // A full buffer is no failure of the server's.
        let _ = socket.send(&datagram);
    }
    assert_eq!(heard(&socket), None);
    joined(&server, "browser");
    let after = server.process.memory();
    assert!(after < before + (32 << 20), "{before} to {after}");
}
