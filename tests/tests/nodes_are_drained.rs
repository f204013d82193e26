//! A node is emptied before it is stopped: it lets another one lead, takes nothing new, asks everybody to go, and sends away who
//! stays. Readers on other nodes notice nothing until their publisher has gone.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weft_proto::rtsp::Method;
use weft_tests::clients::{Client, Way};
use weft_tests::cluster::{Cluster, Node, Setup};
use weft_tests::deadline::Deadline;
use weft_tests::media::{Audio, Media, Video};
use weft_tests::publisher::{Refused, claim};
use weft_tests::rtsp::Player;
use weft_tests::urls::Urls as _;
use weft_tests::{http, tools, wait};

const MEDIA: Media = Media::new(Video::H264, Audio::Aac);

/// `weft cluster …`, asked at a node.
fn cli(cluster: &Cluster, at: usize, arguments: &[&str]) -> Output {
    let api = format!("http://{}", cluster.nodes[at].api_address());
    let mut command = Command::new(tools::weft());
    command.arg("cluster").args(arguments).args(["--api", &api]);
    command.output().expect("weft runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// How far a node is with its drain, as another one tells it.
fn drain_of(cluster: &Cluster, of: usize, by: usize) -> Value {
    let path = format!("/cluster/nodes/{}/drain", cluster.nodes[of].name);
    cluster.nodes[by].get(&path).unwrap_or_default()
}

#[test]
fn a_drained_node_lets_another_lead_and_sends_away_who_stays() {
    let _limit = Deadline::seconds(150);
    let mut cluster = Cluster::form(&["a", "b", "c"]);
    let at = cluster.leader();
    let (other, name) = ((at + 1) % 3, cluster.nodes[at].name.clone());
    let paths: Vec<String> = (0..20).map(|n| format!("cam{n}")).collect();
    let stay: Vec<_> = paths.iter().map(|path| cluster.publish(at, path)).collect();
    let before = paths.iter().map(|path| cluster.wait_owner(path, Some(&name))).max().expect("some");

    let output = cli(&cluster, other, &["drain", &name, "--wait", "--deadline", "2s"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains(&format!("Node {name} is empty.")), "{}", said(&output));
    assert!(stay.iter().all(|publisher| !publisher.is_going()));
    cluster.wait("it to be drained, and another one to lead", |cluster| {
        cluster.sees(other, at, "draining")
            && cluster.nodes[other].status().is_some_and(|status| status["leader"] != name.as_str())
    });
    assert_eq!(cluster.nodes[at].ready(), Some(503));
    assert!(matches!(cluster.try_publish(at, "cam0"), Err(Refused::Status(_))), "it takes nobody");

    // Whoever went comes back to another node, and the drained one can be stopped and started again.
    let back: Vec<_> = paths.iter().map(|path| cluster.publish(other, path)).collect();
    let name_of_other = cluster.nodes[other].name.clone();
    assert!(paths.iter().all(|path| cluster.wait_owner(path, Some(&name_of_other)) > before));
    cluster.nodes[at].terminate();
    cluster.nodes[at].start();
    cluster.wait_formed();
    assert_eq!(drain_of(&cluster, at, other)["draining"], false);
    let _publisher = cluster.publish(at, "new");
    cluster.wait_owner("new", Some(&name));
    assert!(back.iter().all(weft_tests::publisher::Publisher::is_going));
    cluster.check();
}

#[test]
fn a_drain_is_undone_in_the_middle() {
    let _limit = Deadline::seconds(120);
    let cluster = Cluster::form(&["a", "b", "c"]);
    let publisher = cluster.publish(0, "cam");
    let epoch = cluster.wait_owner("cam", Some("a"));
    // Asked for, undone and asked for again before anything of it can have been agreed on: what was said last counts.
    for wish in ["drain", "drain", "undrain", "drain"] {
        let answer = cluster.nodes[1].send("POST", &format!("/cluster/nodes/a/{wish}"), &json!({}));
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    cluster.wait("a to be drained", |cluster| {
        let view = drain_of(cluster, 0, 2);
        cluster.sees(2, 0, "draining") && view["agreed"] == true && view["publishers"] == 1
    });
    assert!(matches!(cluster.try_publish(0, "more"), Err(Refused::Status(_))));

    // Without a name it is the node that is asked.
    let output = cli(&cluster, 0, &["undrain"]);
    assert!(output.status.success(), "{}", said(&output));
    cluster.wait("a to take all again", |cluster| cluster.sees(2, 0, "up") && cluster.nodes[0].ready() == Some(200));
    let _more = cluster.publish(0, "more");
    cluster.wait_owner("more", Some("a"));
    assert!(publisher.is_going());
    assert_eq!(cluster.wait_owner("cam", Some("a")), epoch, "nothing has moved");
}

#[test]
fn a_drain_that_makes_no_sense_is_refused() {
    let _limit = Deadline::seconds(120);
    let cluster = Cluster::form(&["a", "b", "c"]);
    assert_eq!(cluster.nodes[0].send("POST", "/cluster/nodes/nobody/drain", &json!({})).status, 404);
    let bad = cluster.nodes[0].send("POST", "/cluster/nodes/b/drain", &json!({"deadlineSeconds": -1}));
    assert_eq!(bad.status, 400);
    assert_eq!(drain_of(&cluster, 1, 0)["draining"], false);
}

/// Real clients do not understand where to go, or do not care: they stay until they are sent away.
#[test]
fn clients_are_told_where_to_go_on() {
    let _limit = Deadline::seconds(150);
    // Nobody is there under that name in this test; what matters is that it is told.
    let cluster =
        Cluster::with(&["a", "b"].map(|name| Setup::new(name).with_all_doors().known_as(&format!("{name}.example"))));
    let node = &cluster.nodes[0];
    let mut publisher = Client::Ffmpeg.publish_for_ever(node, Way::Tcp, "cam", MEDIA);
    let mut encoder = Client::Ffmpeg9.publish_for_ever(node, Way::Rtmp, "live", MEDIA);
    cluster.wait("both to publish", |cluster| ["cam", "live"].iter().all(|path| is_published(&cluster.nodes[0], path)));
    let mut raw = claim(node.rtsp_address(), "raw").expect("it is taken");
    let capture = Client::GStreamer.capture(node, Way::Tcp, "cam", MEDIA);
    let mut viewer = Client::Ffmpeg.capture(node, Way::Tcp, "live", MEDIA);
    let playlist = |query: &str| http::fetch(node.hls_address(), "GET", &format!("/cam/index.m3u8{query}"), "", 5);
    wait::until("HLS to begin", 20, || playlist("?cookieCheck=1").ok().filter(|answer| answer.status == 200).map(drop));
    cluster.wait("readers to be there", |_| drain_of(&cluster, 0, 1)["readers"].as_u64() > Some(2));

    assert!(cli(&cluster, 1, &["drain", "a"]).status.success());
    let asked = raw.asked(Instant::now() + Duration::from_secs(20)).expect("connected").expect("a request");
    let location = format!("rtsp://b.example:{}/raw", node.rtsp_address().port());
    assert_eq!((asked.method, asked.headers.get("Location")), (Method::Redirect, Some(&*location)));
    let moved = playlist("?x=1").expect("an answer");
    let elsewhere = format!("http://b.example:{}/cam/index.m3u8?x=1", node.hls_address().port());
    assert_eq!((moved.status, moved.header("location")), (307, Some(&*elsewhere)));

    // Another drain asks again; meanwhile nothing has happened to anybody.
    let sent = || cluster.nodes[0].get("/v3/paths/get/cam").and_then(|path| path["inboundBytes"].as_u64()).unwrap_or(0);
    let before = sent();
    cluster.wait("the publisher to go on", |_| sent() > before + 200_000);
    publisher.assert_running();
    encoder.assert_running();
    viewer.process.assert_running();
    assert!(cli(&cluster, 1, &["drain", "a", "--deadline", "0s", "--wait"]).status.success());
    assert!(cli(&cluster, 1, &["undrain", "a"]).status.success());
    drop(capture);
}

fn is_published(node: &Node, path: &str) -> bool {
    node.get(&format!("/v3/paths/get/{path}")).is_some_and(|path| path["ready"] == true)
}

/// With a hundred paths and a reader of each on another node: those notice nothing of a drain, and nothing of its end; and when
/// the time is over, nobody is left behind.
#[test]
fn a_node_with_a_hundred_paths_is_drained_and_taken_back_and_drained() {
    let _limit = Deadline::seconds(150);
    let cluster = Cluster::form(&["a", "b", "c"]);
    let [a, c] = [0, 2].map(|at| &cluster.nodes[at]);
    let mut chaos = Command::new(tools::chaos());
    chaos.args(["load", "--publish", &a.rtsp("many"), "--read", &c.rtsp("many"), "--json", "--no-audio"]);
    chaos.args(["--publishers", "100", "--readers", "100", "--bitrate", "60k", "--duration", "10s"]);
    let chaos = chaos.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("weft-chaos runs");
    let occupied = |cluster: &Cluster, publishers: u64, readers: u64| {
        let view = drain_of(cluster, 0, 1);
        (view["publishers"].as_u64(), view["readers"].as_u64()) == (Some(publishers), Some(readers))
    };
    cluster.wait("all paths to be published", |cluster| occupied(cluster, 100, 0));
    cluster.wait("all paths to be read", |cluster| {
        cluster.nodes[2].get("/v3/paths/get/many-99").is_some_and(|path| path["readers"][0].is_object())
    });
    assert!(cli(&cluster, 1, &["drain", "a"]).status.success());
    cluster
        .wait("a to be drained", |cluster| cluster.sees(2, 0, "draining") && drain_of(cluster, 0, 1)["agreed"] == true);
    assert!(matches!(cluster.try_publish(0, "more"), Err(Refused::Status(_))), "it takes nobody");
    assert!(cli(&cluster, 1, &["undrain", "a"]).status.success());
    cluster.wait("a to take all again", |cluster| cluster.sees(2, 0, "up") && a.ready() == Some(200));
    let more = cluster.publish(0, "more");
    let output = chaos.wait_with_output().expect("weft-chaos ends");
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(report["loss"]["units_lost"], 0, "{}", report["loss"]);
    assert!(report["loss"]["units"].as_u64() > Some(20_000), "{}", report["loss"]);

    let paths: Vec<String> = (0..100).map(|n| format!("stays-{n}")).collect();
    let stay: Vec<_> = paths.iter().map(|path| cluster.publish(0, path)).collect();
    let uri = |path: &str| format!("rtsp://{}/{path}", c.rtsp_address());
    let mut readers: Vec<_> = paths.iter().map(|path| Player::start(c.rtsp_address(), &uri(path))).collect();
    let output = cli(&cluster, 1, &["drain", "a", "--wait", "--deadline", "2s"]);
    assert!(output.status.success() && occupied(&cluster, 0, 0), "{}", said(&output));
    assert!(stay.iter().chain([&more]).all(|publisher| !publisher.is_going()), "nobody is left behind");
    // Their publishers come back elsewhere, and readers get them who have waited.
    let _back: Vec<_> = paths.iter().map(|path| cluster.publish(1, path)).collect();
    for reader in &mut readers {
        while reader.next(Instant::now()).expect("connected").is_some() {}
        let unit = reader.next(Instant::now() + Duration::from_secs(5)).expect("connected");
        assert!(unit.is_some(), "a reader waits in vain");
    }
}

/// Half of the paths come to `c` through `b`, which is drained: `c` takes them from the owner then.
#[test]
fn readers_of_other_nodes_lose_nothing_while_nodes_are_drained() {
    let _limit = Deadline::seconds(150);
    let cluster =
        Cluster::with(&[("a", "x"), ("b", "y"), ("c", "y")].map(|(name, zone)| Setup::new(name).in_zone(zone)));
    let [a, b, c] = [0, 1, 2].map(|at| &cluster.nodes[at]);
    let mut chaos = Command::new(tools::chaos());
    chaos.args(["load", "--publish", &a.rtsp("many"), "--read", &c.rtsp("many"), "--json"]);
    chaos.args(["--publishers", "10", "--readers", "10", "--bitrate", "500k", "--duration", "12s"]);
    let chaos = chaos.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("weft-chaos runs");
    let relayed = |cluster: &Cluster, from: &str| {
        (0..10)
            .filter(|n| {
                let path = cluster.nodes[2].get(&format!("/v3/paths/get/many-{n}")).unwrap_or_default();
                let relays = path["relays"].as_array().cloned().unwrap_or_default();
                relays.iter().any(|relay| relay["from"] == from && relay["to"] == "c")
            })
            .count()
    };
    cluster.wait("all paths to be read", |cluster| relayed(cluster, "a") + relayed(cluster, "b") == 10);
    assert!(relayed(&cluster, "b") > 0, "none of ten paths crosses at b");
    assert!(cli(&cluster, 2, &["drain", "b"]).status.success());
    cluster.wait("all paths to come from their owner", |cluster| relayed(cluster, "a") == 10);
    assert!(cli(&cluster, 2, &["drain", "a"]).status.success());
    cluster.wait("both to be drained", |cluster| cluster.sees(2, 0, "draining") && cluster.sees(2, 1, "draining"));

    let output = chaos.wait_with_output().expect("weft-chaos ends");
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(
        (&report["loss"]["units_lost"], &report["loss"]["audio_lost"]),
        (&json!(0), &json!(0)),
        "{}",
        report["loss"]
    );
    assert!(report["loss"]["units"].as_u64() > Some(2000), "{}", report["loss"]);
    assert!(b.is_running());
}
