//! Lists of paths and sessions are the same from any node, sessions are ended from any node, and a node that does not answer
//! is named in time.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use weft_tests::cluster::Cluster;
use weft_tests::deadline::Deadline;
use weft_tests::rtsp::Player;
use weft_tests::{ffmpeg, http, tools, wait};

/// The others have 200 ms; an answer takes a little longer on a machine that is busy.
const IN_TIME: Duration = Duration::from_millis(400);

fn list(cluster: &Cluster, at: usize, what: &str) -> Value {
    cluster.nodes[at].get(&format!("/v3/{what}")).unwrap_or_else(|| cluster.fail(&format!("no list of {what}")))
}

/// What does not change while streams go on.
fn identities(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().expect("items").iter();
    let peers = |item: &Value| item["readers"].as_array().map_or(0, Vec::len);
    items.map(|item| format!("{} {} {} {}", item["name"], item["id"], item["node"], peers(item))).collect()
}

fn nodes_of(list: &Value) -> BTreeSet<&str> {
    list["items"].as_array().expect("items").iter().filter_map(|item| item["node"].as_str()).collect()
}

#[test]
fn any_node_answers_for_the_cluster() {
    let _limit = Deadline::seconds(120);
    let cluster = Cluster::form(&["a", "b", "c"]);
    let publishers = [(0, "cam/1"), (1, "cam/2"), (2, "cam/3")].map(|(at, path)| cluster.publish(at, path));
    let mut over_rtmp = ffmpeg::publish_rtmp_to(&format!("rtmp://{}/cam/4", cluster.nodes[1].rtmp_address()));
    let at_b = cluster.nodes[1].rtsp_address();
    let mut player = Player::start(at_b, &format!("rtsp://{at_b}/cam/2"));
    player.next(Instant::now() + Duration::from_secs(5)).expect("it plays").expect("a unit");

    // Every node says the same, in the same order, page by page.
    cluster.wait("four paths on every node", |cluster| {
        (0..3).all(|at| cluster.nodes[at].get("/v3/paths/list").is_some_and(|list| list["itemCount"] == 4))
    });
    for what in
        ["paths/list", "rtspsessions/list", "rtspconns/list", "rtmpconns/list", "paths/list?page=1&itemsPerPage=3"]
    {
        let lists = [0, 1, 2].map(|at| list(&cluster, at, what));
        let said = lists.each_ref().map(identities);
        assert!(!said[0].is_empty() && said[0] == said[1] && said[1] == said[2], "{what}: {said:#?}");
        assert!(lists.iter().all(|list| list.get("missingNodes").is_none()), "{what}");
    }
    let sessions = list(&cluster, 0, "rtspsessions/list");
    assert_eq!((&sessions["itemCount"], nodes_of(&sessions)), (&4.into(), ["a", "b", "c"].into()), "{sessions}");
    let created: Vec<&str> =
        sessions["items"].as_array().expect("items").iter().filter_map(|item| item["created"].as_str()).collect();
    assert!(created.is_sorted(), "{created:?}");
    let path = list(&cluster, 2, "paths/get/cam/2");
    assert_eq!((&path["node"], &path["readers"][0]["node"]), (&"b".into(), &"b".into()), "{path}");
    assert_eq!(list(&cluster, 2, "paths/list?local=1")["itemCount"], 1);

    // The command line shows them, too.
    let api = format!("http://{}", cluster.nodes[2].api_address());
    let said = Command::new(tools::weft()).args(["paths", "--api", &api]).output().expect("weft paths");
    let table = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success() && (1..5).all(|n| table.contains(&format!("cam/{n}"))), "{table}");

    // Sessions are found and ended from any node.
    let find = |list: &Value, key: &str, value: &str| {
        let found = list["items"].as_array().expect("items").iter().find(|item| item[key] == value).cloned();
        found.unwrap_or_else(|| cluster.fail(&format!("no {key} {value} in {list}")))
    };
    let reader = find(&sessions, "state", "read");
    let id = reader["id"].as_str().expect("an id");
    assert_eq!(list(&cluster, 0, &format!("rtspsessions/get/{id}"))["node"], "b");
    let kick = |at: usize, what: &str, id: &str| {
        http::post(cluster.nodes[at].api_address(), &format!("/v3/{what}/kick/{id}")).expect("an answer")
    };
    assert_eq!(kick(0, "rtspsessions", id).status, 200);
    wait::until("the reader to be told", 10, || {
        player.next(Instant::now() + Duration::from_secs(5)).is_err().then_some(())
    });
    assert_eq!(kick(0, "rtspsessions", id).status, 404, "it is gone");
    let conns = list(&cluster, 2, "rtmpconns/list");
    assert_eq!(kick(2, "rtmpconns", conns["items"][0]["id"].as_str().expect("an id")).status, 200);
    wait::until("the RTMP publisher to end", 10, || over_rtmp.ended());

    // A node that stands still is waited for, and named, and so is one that is known to be down: at once.
    let paused = cluster.nodes[2].freeze();
    let mut saw_it_up = 0;
    while !cluster.sees(0, 2, "down") {
        assert!(paused.elapsed() < Duration::from_secs(20), "c is not seen down");
        let asked = Instant::now();
        let answer = http::get(cluster.nodes[0].api_address(), "/v3/rtspsessions/list").expect("an answer");
        let took = asked.elapsed();
        assert!(took < IN_TIME, "{took:?}");
        assert_eq!(answer.json()["missingNodes"], serde_json::json!(["c"]), "{}", answer.body);
        assert!(answer.head.contains("weft-missing-nodes: c"), "{}", answer.head);
        assert_eq!(answer.json()["itemCount"], 2);
        saw_it_up += 1;
    }
    assert!(saw_it_up > 0, "it was down before anybody could ask");
    // The reader of a is quick now. What may be on the lost node is not said to be nowhere.
    let asked = Instant::now();
    let answer = http::get(cluster.nodes[0].api_address(), "/v3/paths/list").expect("an answer");
    let took = asked.elapsed();
    assert!(took < Duration::from_millis(150), "who is down is not waited for: {took:?}");
    assert_eq!(answer.json()["missingNodes"], serde_json::json!(["c"]));
    let perhaps = kick(0, "rtspsessions", "00000000-0000-4000-8000-000000000000");
    assert_eq!(perhaps.status, 503, "{}", perhaps.body);
    assert!(perhaps.body.contains("may be on a node that does not answer: c"), "{}", perhaps.body);
    cluster.nodes[2].thaw();
    cluster.wait("c to answer again", |cluster| {
        cluster.nodes[0].get("/v3/paths/list").is_some_and(|list| list.get("missingNodes").is_none())
    });
    assert!(publishers[..2].iter().all(|publisher| publisher.is_going()));
}
