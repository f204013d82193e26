//! The API's answers, health checks, ports that are taken, the end by SIGTERM, checks of configuration files.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;
use weft_tests::cluster::Cluster;
use weft_tests::deadline::Deadline;
use weft_tests::process::code;
use weft_tests::server::{Ports, Server, certificate, launch};
use weft_tests::{ffmpeg, tools};

#[test]
fn health_readiness_and_info_are_answered() {
    let _limit = Deadline::seconds(60);
    let server = Server::start();
    let health = server.api("/health").json();
    assert_eq!((&health["status"], health["uptime"].is_u64()), (&json!("up"), true), "{health}");
    assert!(health["version"].is_string());
    assert_eq!(server.api("/ready").status, 200);
    let info = server.api("/v3/info").json();
    assert!(info["version"].is_string() && info["started"].as_str().unwrap().ends_with('Z'), "{info}");
    let empty = server.api("/v3/paths/list").json();
    assert_eq!(empty, json!({"itemCount": 0, "pageCount": 0, "items": []}));
    let unknown = server.api("/v3/paths/get/nobody");
    assert_eq!((unknown.status, &unknown.json()["status"]), (404, &json!("error")));
}

/// What `weft health` says of a node, and its exit code.
fn health(api: SocketAddr, more: &[&str]) -> (Option<i32>, String) {
    let mut weft = Command::new(tools::weft());
    let output = weft.args(["health", "--api", &format!("http://{api}")]).args(more).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned())
}

#[test]
fn an_exit_code_tells_whether_a_node_lives() {
    let _limit = Deadline::seconds(60);
    let mut server = Server::start();
    let api = server.api_address();
    assert_eq!(health(api, &[]), (Some(0), "up".into()));
    assert_eq!(health(api, &["--ready"]), (Some(0), "ready".into()));
    server.terminate();
    let (code, said) = health(api, &[]);
    assert!(code == Some(1) && said.contains("cannot reach a node"), "{said}");
}

#[test]
fn a_node_that_has_lost_the_others_lives_and_is_not_ready() {
    let _limit = Deadline::seconds(90);
    let mut cluster = Cluster::form(&["a", "b", "c"]);
    let api = cluster.nodes[0].api_address();
    assert_eq!(health(api, &["--ready"]), (Some(0), "ready".into()));
    for other in [1, 2] {
        cluster.nodes[other].kill();
    }
    cluster.wait("a node that is not ready", |cluster| cluster.nodes[0].ready() == Some(503));
    let (code, said) = health(api, &["--ready"]);
    assert!(code == Some(1) && said.contains("no quorum"), "{said}");
    assert_eq!(health(api, &[]), (Some(0), "up".into()));
}

#[test]
fn a_live_path_is_shown_with_its_tracks_and_sessions() {
    let _limit = Deadline::seconds(60);
    let server = Server::start();
    let _publisher = ffmpeg::publish(&server, "cam", 1);
    server.wait_ready("cam");
    let path = server.path("cam").unwrap();
    assert_eq!(path["confName"], "all_others");
    assert_eq!(path["source"]["type"], "rtspSession");
    assert_eq!(path["tracks"], json!(["H264", "MPEG-4 Audio"]));
    assert_eq!(path["tracks2"][0]["codecProps"]["width"], 320);
    assert_eq!(path["readers"], json!([]));
    for key in
        ["name", "ready", "readyTime", "available", "online", "inboundBytes", "outboundBytes", "bytesSent", "node"]
    {
        assert!(!path[key].is_null(), "{key} in {path}");
    }
    let listed = server.api("/v3/paths/list").json();
    assert_eq!((&listed["itemCount"], &listed["items"][0]["name"]), (&json!(1), &json!("cam")));
    let sessions = server.api("/v3/rtspsessions/list").json();
    assert_eq!(sessions["items"][0]["id"], path["source"]["id"]);
    assert_eq!(sessions["items"][0]["state"], "publish");
}

#[test]
fn a_taken_port_is_named_with_its_holder() {
    let _limit = Deadline::seconds(60);
    let first = Server::start();
    let folder = TempDir::new().unwrap();
    certificate(folder.path());
    let ports = Ports { rtsp: first.ports().rtsp, ..Ports::free() };
    let mut second = launch(folder.path(), &ports.configuration(""));
    assert_eq!(code(second.wait(20)), Ok(3), "{}", second.log());
    let holder = format!("pid {}", first.process.pid());
    assert!(second.log().contains(&holder), "{}", second.log());
}

#[test]
fn sigterm_ends_sessions_and_the_node_in_time() {
    let _limit = Deadline::seconds(60);
    let mut server = Server::start();
    let mut publisher = ffmpeg::publish(&server, "cam", 1);
    server.wait_ready("cam");
    let (status, took) = server.terminate();
    assert_eq!(code(status), Ok(0));
    assert!(took.as_secs() < 5, "{took:?}");
    publisher.wait(10);
}

#[test]
fn configuration_files_are_checked_with_their_lines() {
    let _limit = Deadline::seconds(60);
    let folder = TempDir::new().unwrap();
    let check = |text: &str| {
        std::fs::write(folder.path().join("weft.yml"), text).unwrap();
        let mut weft = Command::new(tools::weft());
        let output = weft.args(["config", "check", "weft.yml"]).current_dir(folder.path()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    assert_eq!(check("rtspAddress: :8554\n").0, Some(0));
    let (code, said) = check("rtspAdress: :8554\nreadTimeout: soon\n");
    assert_eq!(code, Some(2));
    assert!(said.contains("weft.yml:1:1") && said.contains("rtspAddress"), "{said}");
    assert!(said.contains("weft.yml:2:"), "{said}");
}
