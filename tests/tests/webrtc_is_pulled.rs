//! What a node pulls by WHEP is what its server sends; and such sources come, go and come back as others do.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use weft_tests::clients::Client::Ffmpeg;
use weft_tests::clients::Way::Tcp;
use weft_tests::deadline::Deadline;
use weft_tests::media::{Audio, Media, Video};
use weft_tests::pulled::{WITHIN, assert_unaltered};
use weft_tests::rtsp::Player;
use weft_tests::server::Server;
use weft_tests::{decoded, ffmpeg, wait};

/// The URL of a path's WHEP endpoint, with `login` in it.
fn whep(server: &Server, login: &str, path: &str) -> String {
    format!("whep://{login}{}/{path}/whep", server.webrtc_address())
}

/// Pulls what one node has from another, and holds what readers get against the original.
fn comes_unaltered(media: Media) {
    let _limit = Deadline::seconds(120);
    let origin = Server::start();
    let mut publisher = Ffmpeg.publish_for_ever(&origin, Tcp, "cam", media);
    origin.wait_ready("cam");
    origin.wait_log(&["sender reports tie all tracks together"]);
    let node = Server::with_paths("", &format!("  cam: {{source: '{}'}}\n", whep(&origin, "", "cam")));
    assert_unaltered(&node, media, &[("cam", WITHIN)]);
    publisher.assert_running();
    let path = node.path("cam").expect("it lives");
    assert_eq!((&path["source"]["type"], &path["source"]["id"]), (&"webRTCSource".into(), &"".into()));
    let session = &origin.api("/v3/webrtcsessions/list").json()["items"][0];
    assert_eq!(session["outboundRTPPacketsRepeated"], 0, "nothing is asked for again on a way that loses nothing");
}

#[test]
fn h264_and_opus_come_unaltered() {
    comes_unaltered(Media::new(Video::H264, Audio::Opus));
}

#[test]
fn h265_and_g711_come_unaltered() {
    comes_unaltered(Media::new(Video::H265, Audio::Pcmu));
}

#[test]
fn vp8_and_g711_come_unaltered() {
    comes_unaltered(Media::new(Video::Vp8, Audio::Pcma));
}

#[test]
fn vp9_and_opus_come_unaltered() {
    comes_unaltered(Media::new(Video::Vp9, Audio::Opus));
}

#[test]
fn a_stream_without_sound_is_pulled_and_can_be_seen() {
    let _limit = Deadline::seconds(60);
    let origin = Server::start();
    // AAC cannot be had by WebRTC: the pictures come alone.
    let _publisher = ffmpeg::publish(&origin, "cam", 1);
    origin.wait_ready("cam");
    let node = Server::with_paths("", &format!("  cam: {{source: '{}'}}\n", whep(&origin, "", "cam")));
    node.wait_ready("cam");
    assert_eq!(node.path("cam").expect("it lives")["tracks"], serde_json::json!(["H264"]));
    assert_eq!(decoded::frames(&node.rtsp("cam"), 50).video, 50);
}

#[test]
fn encrypted_servers_are_believed_by_their_fingerprint() {
    let _limit = Deadline::seconds(60);
    let keys = "webrtcEncryption: yes\nwebrtcServerKey: server.key\nwebrtcServerCert: server.crt\n";
    let origin = Server::with(keys);
    let _publisher = ffmpeg::publish_opus(&origin, "cam");
    origin.wait_ready("cam");
    let url = whep(&origin, "", "cam").replace("whep://", "wheps://");
    let (right, wrong) = (origin.fingerprint(), "0".repeat(64));
    let node = Server::with_paths(
        "",
        &format!(
            "  right: {{source: '{url}', sourceFingerprint: {right}}}\n  wrong: {{source: '{url}', sourceFingerprint: {wrong}}}\n"
        ),
    );
    node.wait_ready("right");
    let frames = decoded::frames(&node.rtsp("right"), 50);
    assert!(frames.video == 50 && frames.audio > 50, "{frames:?}");
    node.wait_log(&["source failed", "which `sourceFingerprint` does not say"]);
    assert_eq!(node.path("wrong").expect("it is listed")["ready"], false);
}

#[test]
fn a_server_that_was_killed_is_pulled_again() {
    let _limit = Deadline::seconds(90);
    let mut origin = Server::start();
    let publisher = ffmpeg::publish_opus(&origin, "cam");
    origin.wait_ready("cam");
    let node = Server::with_paths("", &format!("  cam: {{source: '{}'}}\n", whep(&origin, "", "cam")));
    node.wait_ready("cam");
    Player::start(node.rtsp_address(), &node.rtsp("cam")).video(10);
    origin.kill_and_start();
    drop(publisher);
    wait::until("the path not to be online", 30, || {
        let path = node.path("cam")?;
        (path["online"] == false && path["source"]["type"] == "webRTCSource").then_some(())
    });
    node.wait_log(&["source failed", "no such stream"]);
    let _publisher = ffmpeg::publish_opus(&origin, "cam");
    wait::until("it to be online again", 30, || (node.path("cam")?["online"] == true).then_some(()));
    Player::start(node.rtsp_address(), &node.rtsp("cam")).video(10);
}

#[test]
fn a_source_on_demand_is_pulled_while_somebody_reads() {
    let _limit = Deadline::seconds(60);
    let origin = Server::start();
    let _publisher = ffmpeg::publish_opus(&origin, "cam");
    origin.wait_ready("cam");
    let keys = "sourceOnDemand: yes, sourceOnDemandCloseAfter: 500ms, sourceOnDemandStartTimeout: 10s";
    let node = Server::with_paths("", &format!("  cam: {{source: '{}', {keys}}}\n", whep(&origin, "", "cam")));
    for _ in 0..2 {
        origin.wait_readers("cam", 0);
        let mut player = Player::start(node.rtsp_address(), &node.rtsp("cam"));
        player.video(15);
        origin.wait_readers("cam", 1);
        drop(player);
        wait::until("the path to be gone", 20, || node.path("cam").is_none().then_some(()));
    }
    // It said so: a reader of whom nothing is heard stays for 30 s.
    origin.wait_readers("cam", 0);
    origin.wait_log(&["reader left: ended by the client"]);
}

#[test]
fn redirects_are_followed_and_credentials_stay_with_whom_they_are_for() {
    let _limit = Deadline::seconds(60);
    let origin = Server::start();
    let _publisher = ffmpeg::publish_opus(&origin, "cam");
    origin.wait_ready("cam");
    let there = format!("{}/cam/whep?from=a", origin.webrtc());
    let (address, heads) = redirecting(there);
    let node = Server::with_paths(
        "",
        &format!(
            "  basic: {{source: 'whep://me:p%40ss@{address}/a/whep'}}\n  \
             token: {{source: 'whep://{address}/b/whep', whepBearerToken: abc}}\n"
        ),
    );
    node.wait_ready("basic");
    node.wait_ready("token");
    let heads: Vec<String> = heads.try_iter().collect();
    // `me:p@ss`.
    for (path, login) in [("/a/", "authorization: basic bwu6cebzcw=="), ("/b/", "authorization: bearer abc")] {
        let offer = heads.iter().find(|head| head.starts_with(&format!("post {path}"))).expect("an offer");
        assert!(offer.contains(login) && offer.contains("content-type: application/sdp"), "{offer}");
    }
    assert_eq!(origin.path("cam").expect("it lives")["readers"].as_array().map(Vec::len), Some(2));
}

/// An HTTP server that sends everybody to `there`. Beside its address: the heads of what it was asked, in small letters.
fn redirecting(there: String) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("an address");
    let (tell, heads) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let head = answer(&stream.expect("a connection"), &there).expect("a request");
            let _ = tell.send(head);
        }
    });
    (address, heads)
}

/// Reads one request, answers it, and hangs up.
fn answer(mut stream: &TcpStream, there: &str) -> std::io::Result<String> {
    let (mut reader, mut head) = (BufReader::new(stream), String::new());
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(head);
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    let answer = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: {there}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(answer.as_bytes())?;
    Ok(head)
}
