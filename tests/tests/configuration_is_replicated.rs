//! What is written on one node of a cluster is in force on all, survives whatever happens, and is lost by nobody who was told
//! that it is made: a few runs always, as many as `WEFT_RUNS` says when it is set.
//!
//! ```text
//! WEFT_RUNS=50 cargo test -p weft-tests --test configuration_is_replicated -- --nocapture --test-threads=1
//! ```

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weft_tests::camera::Cameras;
use weft_tests::cluster::{Cluster, Node, Setup};
use weft_tests::deadline::Deadline;
use weft_tests::figures::Figures;
use weft_tests::http::{self, Answer};
use weft_tests::server::{Server, launch};
use weft_tests::wait;

/// Runs without a wish.
const RUNS: usize = 1;

/// How long a change may take, with what it takes to find out that there is no quorum.
const CHANGE: Duration = Duration::from_secs(10);

fn runs() -> usize {
    std::env::var("WEFT_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS)
}

fn limit(seconds: u64) -> Deadline {
    Deadline::seconds(seconds + 30 * runs() as u64)
}

/// Three nodes, each of which has a path of its own in its file, once they have the same configuration.
fn form() -> Cluster {
    let setup = |name: &&str| Setup::new(name).with_path(&format!("own/{name}"), "maxReaders: 3");
    let cluster = Cluster::with(&["a", "b", "c"].iter().map(setup).collect::<Vec<_>>());
    wait_alike(&cluster);
    cluster
}

fn revision(node: &Node) -> Option<u64> {
    node.status()?["configuration"]["revision"].as_u64()
}

/// Waits until all nodes that run have the same revision in force.
fn wait_alike(cluster: &Cluster) {
    cluster.wait("the same configuration on all nodes", |cluster| {
        let running = cluster.nodes.iter().filter(|node| node.is_running());
        let revisions: Vec<Option<u64>> = running.map(revision).collect();
        revisions.iter().all(|revision| revision.is_some_and(|revision| revision > 0) && *revision == revisions[0])
    });
}

/// Writes, and must succeed.
fn write(node: &Node, method: &str, path: &str, body: &Value) {
    let answer = node.send(method, path, body);
    assert_eq!(answer.status, 200, "{method} {path}: {}; {} said:\n{}", answer.body, node.name, node.log());
}

/// Writes only onto this revision.
fn write_onto(node: &Node, revision: u64, path: &str, body: &Value) -> u16 {
    let headers = format!("If-Match: \"{revision}\"\r\n");
    let answer = http::send_with("PATCH", node.api_address(), path, &headers, &body.to_string(), CHANGE);
    answer.expect("an answer").status
}

fn has_path(node: &Node, path: &str) -> bool {
    node.get(&format!("/v3/config/paths/get/{path}")).is_some()
}

fn configured(node: &Node) -> BTreeSet<String> {
    let listed = node.get("/v3/config/paths/list?itemsPerPage=100000").unwrap_or_default();
    let items = listed["items"].as_array().into_iter().flatten();
    items.filter_map(|item| item["name"].as_str().map(str::to_owned)).collect()
}

#[test]
fn what_is_written_on_one_node_is_in_force_on_all() {
    let _limit = limit(120);
    let cameras = Cameras::start();
    let mut cluster = form();
    // The file of one node was taken, and of the others it is said that they differ.
    let own: Vec<String> = configured(&cluster.nodes[0]).into_iter().filter(|name| name.starts_with("own/")).collect();
    assert_eq!(own.len(), 1, "{own:?}");
    for node in &cluster.nodes {
        let differs = node.status().expect("a status")["configuration"]["file"]["differs"].clone();
        let its = format!("own/{}", node.name);
        let is_taken = own[0] == its;
        assert_eq!(differs.as_array().map(Vec::is_empty), Some(is_taken), "{}: {differs}", node.name);
        assert_eq!(has_path(node, &its), is_taken);
        assert_eq!(node.log().contains("differs from the configuration of the cluster"), !is_taken);
    }
    let undisturbed = cluster.publish(0, "undisturbed");
    // A source: read where it was written at once, pulled by one node, known to all.
    write(&cluster.nodes[1], "POST", "/v3/config/paths/add/cam", &json!({"source": cameras.url("cam")}));
    assert!(has_path(&cluster.nodes[1], "cam"), "read where it was written");
    cluster.wait("the new camera to be read by one", |_| cameras.readers("cam") == 1);
    cluster.wait("the path on all nodes", |cluster| cluster.nodes.iter().all(|node| has_path(node, "cam")));
    let visits = cameras.visits_of("cam").len();
    // The defaults of all paths, and users.
    write(&cluster.nodes[2], "PATCH", "/v3/config/pathdefaults/patch", &json!({"readerHold": "7s"}));
    let before = revision(&cluster.nodes[2]).expect("a revision");
    let users =
        json!({"authInternalUsers": [{"user": "me", "pass": "secret", "permissions": [{"action": "publish"}]}]});
    write(&cluster.nodes[0], "PATCH", "/v3/config/global/patch", &users);
    cluster.wait("the keys on all nodes", |cluster| {
        cluster.nodes.iter().all(|node| {
            let defaults = node.get("/v3/config/pathdefaults/get").unwrap_or_default();
            let global = node.get("/v3/config/global/get").unwrap_or_default();
            let user = &global["authInternalUsers"][0];
            defaults["readerHold"] == "7s" && user["user"] == "me" && user["pass"] == "<redacted>"
        })
    });
    assert!(undisturbed.is_going(), "a publisher of another path");
    assert_eq!(cameras.visits_of("cam").len(), visits, "the source was left alone");
    // Back to before the users.
    write(&cluster.nodes[1], "POST", "/cluster/config/rollback", &json!({"revision": before}));
    let global = cluster.nodes[1].get("/v3/config/global/get").expect("the keys");
    assert_eq!(global["authInternalUsers"][0]["user"], "any");
    let history = cluster.nodes[2].get("/cluster/config/history").expect("the history");
    let what: Vec<&str> = history.as_array().expect("a list").iter().filter_map(|one| one["what"].as_str()).collect();
    assert_eq!(what.last().copied(), Some(format!("rollback to {before}").as_str()), "{what:?}");
    // A node that comes later has it as well.
    let token = cluster.nodes[0].token(60);
    let fourth = cluster.add(&Setup::new("d").with_path("own/d", ""));
    cluster.nodes[fourth].start_with(&["--join", &token]);
    cluster.wait("the newcomer's configuration", |cluster| {
        has_path(&cluster.nodes[fourth], "cam") && !has_path(&cluster.nodes[fourth], "own/d")
    });
    // Deleted, the camera is let go.
    write(&cluster.nodes[fourth], "DELETE", "/v3/config/paths/delete/cam", &Value::Null);
    cluster.wait("nobody to read the camera", |_| cameras.readers("cam") == 0);
    assert!(undisturbed.is_going(), "a publisher of another path");
}

#[test]
fn two_editors_do_not_lose_each_others_change() {
    let _limit = limit(90);
    let cluster = form();
    for run in 0..runs() {
        // With the revision that both saw, one of them is told.
        let seen = revision(&cluster.nodes[0]).expect("a revision");
        let statuses = thread::scope(|scope| {
            let edit = |node: usize| {
                let (node, keys) = (&cluster.nodes[node], json!({"maxReaders": run * 3 + node + 10}));
                scope.spawn(move || write_onto(node, seen, "/v3/config/pathdefaults/patch", &keys))
            };
            [edit(0), edit(1)].map(|thread| thread.join().expect("an editor"))
        });
        assert_eq!(BTreeSet::from(statuses), BTreeSet::from([200, 412]));
        // Without, each is made over the other's.
        thread::scope(|scope| {
            for node in &cluster.nodes {
                scope.spawn(move || {
                    for n in 0..5 {
                        let path = format!("/v3/config/paths/add/{run}/{}/{n}", node.name);
                        write(node, "POST", &path, &json!({}));
                    }
                });
            }
        });
        wait_alike(&cluster);
        let there = configured(&cluster.nodes[2]);
        let added = there.iter().filter(|name| name.starts_with(&format!("{run}/"))).count();
        assert_eq!(added, 15, "{there:?}");
        // One that is sent again under its key is made once, and succeeds again.
        let path = format!("/v3/config/paths/add/{run}/again");
        for node in &cluster.nodes[..2] {
            let key = format!("Idempotency-Key: once-{run}\r\n");
            let answer = http::send_with("POST", node.api_address(), &path, &key, "{}", CHANGE).expect("an answer");
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
        assert_eq!(cluster.nodes[2].send("POST", &path, &json!({})).status, 400, "it is there");
        wait_alike(&cluster);
    }
}

#[test]
fn without_a_quorum_nothing_is_changed_and_who_asks_is_told() {
    let _limit = limit(90);
    let mut cluster = form();
    cluster.nodes[1].kill();
    cluster.nodes[2].kill();
    let begun = Instant::now();
    let answer = cluster.nodes[0].send("POST", "/v3/config/paths/add/new", &json!({}));
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.body.contains("no quorum"), "{}", answer.body);
    assert!(begun.elapsed() < Duration::from_secs(6), "within the time that a claim may take: {:?}", begun.elapsed());
    assert!(configured(&cluster.nodes[0]).contains("all_others"), "reading goes on");
    write(&cluster.nodes[0], "PATCH", "/v3/config/global/patch", &json!({"readTimeout": "11s"}));
    cluster.nodes[1].start();
    cluster.nodes[2].start();
    cluster.wait_formed();
    wait_alike(&cluster);
    write(&cluster.nodes[0], "POST", "/v3/config/paths/add/after", &json!({}));
    let timeouts =
        cluster.nodes.iter().map(|node| node.get("/v3/config/global/get").expect("keys")["readTimeout"].clone());
    assert_eq!(timeouts.collect::<Vec<_>>(), ["11s", "10s", "10s"], "a node's own key is its own");
}

/// Adds one path after the other at these nodes, in turn, until it is told to stop; gives those that were acknowledged, with
/// the time that each took.
fn keep_writing(servers: Vec<SocketAddr>, stop: Arc<AtomicBool>) -> thread::JoinHandle<Vec<(String, Duration)>> {
    thread::spawn(move || {
        let mut acknowledged = Vec::new();
        let mut number = 0;
        while !stop.load(Ordering::Acquire) {
            let name = format!("w/{number}");
            let begun = Instant::now();
            if is_added(servers[number % servers.len()], &name) {
                acknowledged.push((name, begun.elapsed()));
            }
            number += 1;
        }
        acknowledged
    })
}

fn is_added(server: SocketAddr, name: &str) -> bool {
    let path = format!("/v3/config/paths/add/{name}");
    let limit = Duration::from_secs(5);
    let answer = http::send("POST", server, &path, "{}", limit);
    if answer.is_err() {
        // A node that is down refuses at once.
        thread::sleep(Duration::from_millis(20));
    }
    answer.is_ok_and(|answer: Answer| answer.status == 200)
}

#[test]
fn nothing_acknowledged_is_lost() {
    let _limit = limit(180);
    let mut cluster = form();
    let mut total = 0;
    for run in 0..runs() {
        let stop = Arc::new(AtomicBool::new(false));
        let servers = cluster.nodes.iter().map(Node::api_address).collect();
        let writer = keep_writing(servers, stop.clone());
        let settle = || thread::sleep(Duration::from_millis(300));
        settle();
        // The leader is killed; then its successor is cut off, another one stopped, and at last all die at once.
        let leader = cluster.leader();
        cluster.nodes[leader].kill();
        settle();
        cluster.nodes[leader].start();
        cluster.wait_formed();
        let leader = cluster.leader();
        cluster.nodes[leader].cut_off("*");
        let others = [(leader + 1) % 3, (leader + 2) % 3];
        cluster.wait("another leader", |cluster| {
            let leads =
                cluster.nodes[others[0]].status().and_then(|status| status["leader"].as_str().map(str::to_owned));
            leads.is_some_and(|name| name != cluster.nodes[leader].name)
        });
        settle();
        cluster.nodes[leader].heal();
        let leader = cluster.leader();
        cluster.nodes[leader].freeze();
        thread::sleep(Duration::from_secs(1));
        cluster.nodes[leader].thaw();
        cluster.wait_formed();
        settle();
        for node in &mut cluster.nodes {
            node.kill();
        }
        for node in &mut cluster.nodes {
            node.start();
        }
        cluster.wait_formed();
        settle();
        stop.store(true, Ordering::Release);
        let acknowledged = writer.join().expect("the writer");
        wait_alike(&cluster);
        total += acknowledged.len();
        assert!(acknowledged.len() > 10, "run {run}: only {} were acknowledged", acknowledged.len());
        for node in &cluster.nodes {
            let there = configured(node);
            let lost: Vec<&String> =
                acknowledged.iter().map(|(name, _)| name).filter(|name| !there.contains(*name)).collect();
            assert!(lost.is_empty(), "run {run}: {} has lost {lost:?}", node.name);
        }
        // The next run begins with the same names.
        let file = "paths: {all_others: {}}\n";
        let wish = json!({"name": "empty.yml", "text": file});
        write(&cluster.nodes[0], "POST", "/cluster/config/import", &wish);
        wait_alike(&cluster);
        assert_eq!(configured(&cluster.nodes[2]), BTreeSet::from(["all_others".to_owned()]));
    }
    say(&format!("{total} acknowledged changes in {} runs, none lost", runs()));
}

#[test]
fn changes_are_durable_and_quick() {
    let _limit = limit(90);
    let cluster = form();
    for paths in [0, 1000] {
        let names: Vec<String> =
            (0..paths).map(|n| format!("  p/{n}: {{source: 'rtsp://192.0.2.1/{n}', sourceOnDemand: yes}}\n")).collect();
        let text = format!("paths:\n  all_others:\n{}", names.concat());
        write(&cluster.nodes[0], "POST", "/cluster/config/import", &json!({"name": "many.yml", "text": text}));
        wait_alike(&cluster);
        let mut took = Figures::new(&format!("a change, with {paths} paths"));
        let begun = Instant::now();
        for n in 0..20 * runs() {
            let (node, at) = (&cluster.nodes[n % 3], Instant::now());
            write(node, "PATCH", "/v3/config/pathdefaults/patch", &json!({"maxReaders": n + 1}));
            took.add(at.elapsed());
        }
        took.print_with(&format!("{:.0} a second", (20 * runs()) as f64 / begun.elapsed().as_secs_f64()));
        took.assert_median(Duration::from_secs(2));
        let defaults = cluster.nodes[0].get("/v3/config/pathdefaults/get").expect("the defaults");
        assert_eq!(cluster.nodes[0].send("GET", "/v3/config/pathdefaults/get", &Value::Null).status, 200, "{defaults}");
    }
}

#[test]
fn a_node_that_is_alone_keeps_its_edits_over_its_file() {
    let _limit = Deadline::seconds(60);
    let mut server = Server::with_paths("", "  cam: {maxReaders: 1}\n");
    let send = |server: &Server, method: &str, path: &str, body: Value| {
        let answer = http::send(method, server.api_address(), path, &body.to_string(), CHANGE).expect("an answer");
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    };
    send(&server, "POST", "/v3/config/paths/add/new", json!({"maxReaders": 4}));
    send(&server, "PATCH", "/v3/config/paths/patch/cam", json!({"maxReaders": 2}));
    send(&server, "PATCH", "/v3/config/global/patch", json!({"writeTimeout": "7s"}));
    let changed = server.ports().configuration("writeTimeout: 8s") + "  cam: {maxReaders: 5, readerHold: 3s}\n";
    server.rewrite(&changed);
    server.wait_log(&["`paths.cam.maxReaders` has changed in the file", "the edit holds"]);
    server.wait_log(&["`writeTimeout` has changed in the file", "the edit holds"]);
    server.wait_log(&["configuration reloaded"]);
    for _ in 0..2 {
        let cam = server.api("/v3/config/paths/get/cam").json();
        assert_eq!((&cam["maxReaders"], &cam["readerHold"]), (&json!(2), &json!("3s")));
        assert_eq!(server.api("/v3/config/paths/get/new").json()["maxReaders"], 4);
        assert_eq!(server.api("/v3/config/global/get").json()["writeTimeout"], "7s");
        server.terminate();
        server.process = launch(server.folder(), &changed);
        wait::until("the API", 30, || http::get(server.api_address(), "/v3/info").ok());
    }
}

#[expect(clippy::print_stdout, reason = "figures are for people")]
fn say(text: &str) {
    println!("{text}");
}
