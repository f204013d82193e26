//! Sessions, networks that distribute, errors, and requests that nobody should make.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use weft_tests::clients::Client::Ffmpeg;
use weft_tests::clients::Way::Tcp;
use weft_tests::deadline::Deadline;
use weft_tests::http::{Raw, fetch};
use weft_tests::media::{Audio, Media, Video};
use weft_tests::server::Server;
use weft_tests::{ffmpeg, tools, wait};

fn get(server: SocketAddr, path: &str) -> Raw {
    fetch(server, "GET", path, "", 20).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The media playlist of `cam` with its session, as the multivariant playlist names it.
fn join(server: SocketAddr) -> String {
    let multivariant = get(server, "/cam/index.m3u8?cookieCheck=1&token=secret");
    assert_eq!(multivariant.status, 200, "{}", multivariant.text());
    let text = multivariant.text();
    format!("/cam/{}", text.lines().find(|line| !line.starts_with('#')).expect("a URI"))
}

fn live() -> (Server, weft_tests::process::Process) {
    live_with("")
}

fn live_with(more: &str) -> (Server, weft_tests::process::Process) {
    let server = Server::with(more);
    let publisher = ffmpeg::publish(&server, "cam", 1);
    server.wait_ready("cam");
    (server, publisher)
}

#[test]
fn a_viewer_has_a_session_that_the_api_lists_and_ends() {
    let _limit = Deadline::seconds(60);
    let (server, _publisher) = live();
    let hls = server.hls_address();
    let bare = get(hls, "/cam?muted=0");
    assert_eq!((bare.status, bare.header("location")), (302, Some("/cam/?muted=0")));
    assert!(get(hls, "/cam/").text().contains("<video"));
    let checked = get(hls, "/cam/index.m3u8?token=secret");
    assert_eq!(checked.header("location"), Some("index.m3u8?token=secret&cookieCheck=1"));
    let playlist = join(hls);
    assert_eq!(get(hls, &playlist).status, 200);
    let sessions = server.api("/v3/hlssessions/list").json();
    let session = &sessions["items"][0];
    assert_eq!((session["path"].as_str(), session["query"].as_str()), (Some("cam"), Some("token=secret")));
    assert!(session["outboundBytes"].as_u64() > Some(500) && session["isCDN"] == false, "{session}");
    let readers = server.path("cam").unwrap()["readers"].clone();
    assert_eq!(readers[0]["type"], "hlsSession");
    assert_eq!(readers[0]["id"], session["id"]);
    let muxer = server.api("/v3/hlsmuxers/get/cam").json();
    assert!(muxer["outboundBytes"].as_u64() > Some(500), "{muxer}");
    let kick = format!("/v3/hlssessions/kick/{}", session["id"].as_str().unwrap());
    assert_eq!(fetch(server.api_address(), "POST", &kick, "Content-Length: 0\r\n", 5).unwrap().status, 200);
    assert_eq!(get(hls, &playlist).status, 401, "whoever was ended stays so");
    wait::until("the session to be gone", 10, || {
        (server.api("/v3/hlssessions/list").json()["itemCount"] == 0).then_some(())
    });
}

#[test]
fn without_a_token_of_ones_own_nothing_is_served() {
    let _limit = Deadline::seconds(60);
    let (server, _publisher) = live();
    let _other = ffmpeg::publish(&server, "other", 1);
    server.wait_ready("other");
    let hls = server.hls_address();
    let playlist = join(hls);
    let (plain, token) = playlist.split_once('?').unwrap();
    assert_eq!(get(hls, plain).status, 401);
    assert_eq!(get(hls, &format!("{plain}?session=0")).status, 401);
    assert_eq!(get(hls, &format!("{plain}?{}", token.replace("session=", "session=0"))).status, 401);
    assert_eq!(get(hls, &plain.replace("cam", "other")).status, 401);
    assert_eq!(get(hls, &format!("{}?{token}", plain.replace("cam", "other"))).status, 401, "a token is for one path");
    let segment = get(hls, &playlist).text();
    let segment = segment.lines().find(|line| !line.starts_with('#')).unwrap();
    assert_eq!(get(hls, &format!("/cam/{segment}")).status, 200);
    assert_eq!(get(hls, &format!("/cam/{}", segment.split('?').next().unwrap())).status, 401);
}

#[test]
fn a_distribution_network_gets_playlists_without_sessions() {
    let _limit = Deadline::seconds(60);
    let (server, _publisher) = live_with("hlsCDNSecret: s3cret");
    let hls = server.hls_address();
    let ask = |path: &str| fetch(hls, "GET", path, "Authorization: Bearer s3cret\r\n", 20).unwrap();
    let multivariant = ask("/cam/index.m3u8");
    assert_eq!(multivariant.status, 200);
    let text = multivariant.text();
    let playlist = text.lines().find(|line| !line.starts_with('#')).unwrap();
    assert_eq!(playlist, "main_stream.m3u8");
    let media = ask("/cam/main_stream.m3u8").text();
    let segment = media.lines().find(|line| !line.starts_with('#')).unwrap();
    let answer = ask(&format!("/cam/{segment}"));
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("public, max-age=3600")));
    let sessions = server.api("/v3/hlssessions/list").json();
    assert_eq!((&sessions["itemCount"], &sessions["items"][0]["isCDN"]), (&1.into(), &true.into()));
    let wrong = fetch(hls, "GET", "/cam/main_stream.m3u8", "Authorization: Bearer s3creT\r\n", 5).unwrap();
    assert_eq!(wrong.status, 401);
}

#[test]
fn over_tls_the_session_is_a_cookie_and_http_2_is_spoken() {
    let _limit = Deadline::seconds(60);
    let (server, _publisher) = live_with("hlsEncryption: yes");
    let url = server.hls("cam").replace("http:", "https:");
    let jar = server.folder().join("cookies");
    let curl = |url: &str| {
        let mut curl = Command::new("curl");
        curl.args(["-sk", "--http2", "-L", "-i", "--max-time", "20", "-b"]).arg(&jar).arg("-c").arg(&jar).arg(url);
        tools::run(&mut curl)
    };
    let said = curl(&url);
    assert!(said.contains("HTTP/2 302") && said.contains("HTTP/2 200"), "{said}");
    assert!(said.contains("hlsSession=") && said.contains("Partitioned"), "{said}");
    assert!(said.trim_end().ends_with("main_stream.m3u8"), "no session in URIs: {said}");
    let media = curl(&url.replace("index", "main_stream"));
    assert!(media.contains("#EXT-X-TARGETDURATION"), "{media}");
}

#[test]
fn what_cannot_be_had_is_said_plainly() {
    let _limit = Deadline::seconds(60);
    let (server, _publisher) = live();
    let _vp8 = Ffmpeg.publish_for_ever(&server, Tcp, "vp8", Media::new(Video::Vp8, Audio::Pcmu));
    server.wait_ready("vp8");
    let hls = server.hls_address();
    assert_eq!(get(hls, "/nobody/index.m3u8?cookieCheck=1").status, 404);
    let unplayable = get(hls, "/vp8/index.m3u8?cookieCheck=1");
    assert_eq!(unplayable.status, 400);
    assert!(unplayable.text().contains("VP8, G711"), "{}", unplayable.text());
    for path in ["/", "/favicon.ico", "/cam/nothing.m3u8", "/cam/x_main_seg1.mp4"] {
        assert_eq!(get(hls, path).status, 404, "{path}");
    }
    let playlist = join(hls);
    let token = playlist.split_once('?').unwrap().1;
    let text = get(hls, &playlist).text();
    let id = &text.lines().find(|line| line.contains("_main_seg")).unwrap()[..12];
    // Of this epoch and long gone, or not to come: no. Of an epoch that is not known: perhaps later.
    assert_eq!(get(hls, &format!("/cam/{id}_main_seg99999.mp4?{token}")).status, 404);
    let unknown = get(hls, &format!("/cam/00000000000f_main_seg1.mp4?{token}"));
    assert_eq!((unknown.status, unknown.header("retry-after")), (503, Some("1")));
    let method = fetch(hls, "POST", &playlist, "Content-Length: 0\r\n", 5).unwrap();
    assert_eq!(method.status, 405);
    let ask = "Origin: http://x\r\nAccess-Control-Request-Method: GET\r\n";
    let preflight = fetch(hls, "OPTIONS", &playlist, ask, 5).unwrap();
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (204, Some("*")));
    let head = fetch(hls, "HEAD", &playlist, "", 5).unwrap();
    assert!(head.status == 200 && head.body.is_empty());
}

#[test]
fn hostile_requests_get_their_proper_status() {
    let _limit = Deadline::seconds(60);
    let (mut server, _publisher) = live();
    let hls = server.hls_address();
    let playlist = join(hls);
    for path in [
        "/../../etc/passwd",
        "/cam/../../../etc/passwd",
        "/cam/..%2f..%2fetc/passwd",
        "//etc/passwd/",
        "/cam//index.m3u8",
        "/a%00b/",
    ] {
        assert_eq!(get(hls, path).status, 400, "{path}");
    }
    for query in [
        "_HLS_msn=x",
        "_HLS_msn=-1",
        "_HLS_msn=99999999999999999999",
        "_HLS_msn=18446744073709551615",
        "_HLS_msn=18446744073709551615&_HLS_part=4294967295",
        "_HLS_part=1",
        "_HLS_msn=1&_HLS_part=99999999999",
        "_HLS_skip=MAYBE",
    ] {
        assert_eq!(get(hls, &format!("{playlist}&{query}")).status, 400, "{query}");
    }
    let long = format!("/cam/{}", "x".repeat(40_000));
    assert!(fetch(hls, "GET", &long, "", 5).map_or(431, |answer| answer.status) >= 400);
    assert_eq!(get(hls, &playlist).status, 200);
    server.process.assert_running();
}

#[test]
fn a_thousand_requests_a_second_are_no_burden() {
    let _limit = Deadline::seconds(90);
    let (server, _publisher) = live();
    let hls = server.hls_address();
    let playlist = join(hls);
    let began = Instant::now();
    let asked: usize = std::thread::scope(|scope| {
        let ask = || {
            let mut asked = 0;
            while began.elapsed() < Duration::from_secs(5) {
                assert_eq!(get(hls, &playlist).status, 200);
                asked += 1;
            }
            asked
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().expect("all are answered")).sum()
    });
    assert!(asked > 5_000, "only {asked} in 5 s");
    // Nobody else notices: the stream goes on, and memory stays.
    assert!(server.process.memory() < 200 << 20);
    assert_eq!(get(hls, &playlist).status, 200);
}

#[test]
fn segments_stand_in_the_budget_of_the_node() {
    let _limit = Deadline::seconds(90);
    // 8 Mbit/s: the log alone has 4 s of it, and a playlist of seven segments would have 7 MB, twice with those retained.
    let server = Server::with("logBudget: 8MB");
    let mut chaos = Command::new(tools::chaos());
    chaos.args(["load", "--publish", &server.rtsp("cam"), "--readers", "0", "--bitrate", "8M", "--gop", "1s"]);
    chaos.args(["--duration", "60s", "--quiet"]);
    let _publisher = weft_tests::process::Process::start("the publisher", chaos);
    server.wait_ready("cam");
    let playlist = join(server.hls_address());
    let held = |text: &str| {
        let folder = "/cam/";
        let segments = text.lines().filter(|line| line.contains("_seg"));
        segments.map(|line| get(server.hls_address(), &format!("{folder}{line}")).body.len()).sum::<usize>()
    };
    let sequence = |text: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"));
        line.and_then(|number| number.parse::<u64>().ok()).expect("a media sequence number")
    };
    let first = sequence(&get(server.hls_address(), &playlist).text());
    wait::until("20 more segments", 40, || {
        let text = get(server.hls_address(), &playlist).text();
        assert!(held(&text) <= 8_000_000, "{text}");
        (sequence(&text) > first + 20).then_some(())
    });
    assert!(!server.process.log().contains("becomes a gap"), "the muxer reads on");
}
