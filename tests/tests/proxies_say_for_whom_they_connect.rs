//! A proxy in front of a node says with the PROXY protocol who the client is; whom it is not trusted says nothing.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use weft_tests::deadline::Deadline;
use weft_tests::server::Server;
use weft_tests::{ffmpeg, rtmp, rtsp, wait};

/// A proxy for one client, which says this before all that the client says.
fn proxy(to: SocketAddr, header: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind a free port");
    let address = listener.local_addr().expect("a bound port has an address");
    std::thread::spawn(move || {
        let (client, _) = listener.accept().expect("the client comes");
        let mut server = TcpStream::connect(to).expect("the server listens");
        server.write_all(header).expect("the server takes it");
        let mut back = (server.try_clone().expect("copy a socket"), client.try_clone().expect("copy a socket"));
        let answers = std::thread::spawn(move || io::copy(&mut back.0, &mut back.1));
        let _ = io::copy(&mut &client, &mut server);
        let _ = server.shutdown(Shutdown::Both);
        let _ = answers.join();
    });
    address
}

const LINE: &[u8] = b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 1935\r\n";
const BLOCK: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x07\xc0\x00\x02\x01\xdc\x04\x07\x8f";

fn remote_addresses(server: &Server, list: &str) -> Vec<String> {
    let list = server.api(list).json();
    let items = list["items"].as_array().cloned().unwrap_or_default();
    items.iter().filter_map(|item| item["remoteAddr"].as_str().map(str::to_owned)).collect()
}

#[test]
fn of_trusted_proxies_the_word_is_taken() {
    let _limit = Deadline::seconds(60);
    let server = Server::with("rtmpTrustedProxies: [127.0.0.1]\nrtspTrustedProxies: [127.0.0.0/8]");
    // Who says nothing speaks for itself, trusted or not.
    let _publisher = ffmpeg::publish(&server, "live/cam", 1);
    server.wait_ready("live/cam");
    let mut over_rtmp = rtmp::Player::start(proxy(server.rtmp_address(), LINE), "live/cam");
    let mut over_rtsp = rtsp::Player::start(proxy(server.rtsp_address(), BLOCK), &server.rtsp("live/cam"));
    over_rtmp.video(10);
    over_rtsp.video(10);
    for list in ["/v3/rtmpconns/list", "/v3/rtspconns/list"] {
        wait::until("the client's address", 10, || {
            remote_addresses(&server, list).contains(&"203.0.113.7:56324".to_owned()).then_some(())
        });
    }
    assert!(remote_addresses(&server, "/v3/rtspconns/list").iter().any(|address| address.starts_with("127.0.0.1:")));
}

#[test]
fn from_others_it_is_no_protocol_that_we_speak() {
    let _limit = Deadline::seconds(60);
    let server = Server::with("rtmpTrustedProxies: [10.0.0.0/8]");
    let mut stranger = TcpStream::connect(server.rtmp_address()).expect("the server listens");
    stranger.write_all(&[LINE, &[3; 1537]].concat()).expect("the server takes it");
    server.wait_log(&["RTMP connection ended", "handshake"]);
    assert!(remote_addresses(&server, "/v3/rtmpconns/list").is_empty());
}
