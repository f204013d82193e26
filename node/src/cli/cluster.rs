//! `weft cluster`: tables for people, JSON for programs.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use axum::http::Method;
use serde_json::{Value, json};
use weft_cluster::membership::LEVELS;
use weft_cluster::ownership::{MemberFacts, NodeId};
use weft_cluster::raft::{Disk, begin_alone, everything, read_backup};
use weft_cluster::{NodeState, Storage};

use super::args::{Ask, ClusterTask};
use super::ask::{AskError, ask};
use super::table::{table, text};
use super::{complain, drain, refuse, say};
use crate::config::{Config, LoadSource};
use crate::exit::Exit;

/// Does it.
pub(super) fn run(task: ClusterTask, source: &LoadSource) -> Exit {
    match task {
        ClusterTask::Status(how) => show(&how, "/cluster/status", status),
        ClusterTask::Nodes(how) => show(&how, "/cluster/nodes", table_of_nodes),
        ClusterTask::Paths(how) => show(&how, "/cluster/paths", paths),
        ClusterTask::Why { path, ask: how } => show(&how, &format!("/cluster/why/{path}"), |why| text(&why["why"])),
        ClusterTask::Move { path, node, ask: how } => {
            let wish = json!({"path": path, "node": node});
            let said = |path: &Value| format!("node {} pulls {}", text(&path["node"]), text(&path["name"]));
            change(&how, Method::POST, "/cluster/paths/move", Some(wish), said)
        }
        ClusterTask::Token { valid_for, ask: how } => {
            let wish = json!({"validForSeconds": valid_for});
            change(&how, Method::POST, "/cluster/tokens", Some(wish), |token| text(&token["token"]))
        }
        ClusterTask::Remove { node, force, ask: how } => {
            let path = format!("/cluster/nodes/{node}{}", if force { "?force=true" } else { "" });
            let said = |node: &Value| format!("node {} ({}) is removed", text(&node["name"]), text(&node["id"]));
            change(&how, Method::DELETE, &path, None, said)
        }
        ClusterTask::Drain { node, wait, deadline, ask: how } => drain::begin(&how, node, deadline, wait),
        ClusterTask::Undrain { node, ask: how } => drain::end(&how, node),
        ClusterTask::Backup { file, ask: how } => finish(backup(&how, &file)),
        ClusterTask::Restore { file } => offline(source, |config| restore(config, &file)),
        ClusterTask::Recover { .. } => offline(source, recover),
    }
}

fn show(how: &Ask, path: &str, people: impl Fn(&Value) -> String) -> Exit {
    change(how, Method::GET, path, None, people)
}

fn change(how: &Ask, method: Method, path: &str, body: Option<Value>, people: impl Fn(&Value) -> String) -> Exit {
    let answer = ask(&how.api, method, path, body).and_then(|bytes| {
        serde_json::from_slice::<Value>(&bytes).map_err(|error| AskError::BadAnswer(error.to_string()))
    });
    match answer {
        Ok(answer) if how.json => say(&answer.to_string()),
        Ok(answer) => say(&people(&answer)),
        Err(error) => {
            complain(&error.to_string());
            return Exit::Failure;
        }
    }
    Exit::Ok
}

pub(super) fn finish(result: Result<String, String>) -> Exit {
    match result {
        Ok(said) => {
            say(&said);
            Exit::Ok
        }
        Err(error) => {
            complain(&error);
            Exit::Failure
        }
    }
}

fn status(status: &Value) -> String {
    let quorum = if status["quorum"] == true { "yes" } else { "NO: running streams go on, new publishers wait" };
    let leader = text(&status["leader"]);
    let configuration = configuration(&status["configuration"]);
    let (level, nodes) = (&status["level"], table_of_nodes(&status["nodes"]));
    format!("leader: {leader}\nquorum: {quorum}\nlevel: {level}\n{configuration}\n{nodes}")
}

/// Which revision is in force on the node that was asked, and whether its file says something else.
fn configuration(configuration: &Value) -> String {
    let Some(revision) = configuration["revision"].as_u64() else { return String::new() };
    let file = &configuration["file"];
    let differs: Vec<String> = file["differs"].as_array().into_iter().flatten().map(text).collect();
    let differs = match differs.as_slice() {
        [] => String::new(),
        keys => format!("; {} differs and is not applied: {}", text(&file["name"]), keys.join(", ")),
    };
    format!("configuration: revision {revision}{differs}\n")
}

fn table_of_nodes(nodes: &Value) -> String {
    let millis = |value: &Value| value.as_f64().map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms"));
    let row = |node: &Value| {
        let plain = ["name", "state", "role", "zone", "paths", "version", "address"].map(|key| text(&node[key]));
        let relayed = ["from", "to"].map(|way| relayed(&node["relayLinks"], way));
        let ways = [millis(&node["roundTripMs"]), millis(&node["clockOffsetMs"]), text(&node["id"])];
        plain.into_iter().chain(relayed).chain(ways).collect::<Vec<_>>()
    };
    let heads = [
        "NAME",
        "STATE",
        "ROLE",
        "ZONE",
        "PATHS",
        "VERSION",
        "ADDRESS",
        "FROM IT",
        "TO IT",
        "ROUND TRIP",
        "CLOCK",
        "ID",
    ];
    table(&heads, nodes.as_array().into_iter().flatten().map(row))
}

/// What goes one way over all connections to a node.
fn relayed(links: &Value, way: &str) -> String {
    let key = if way == "from" { "receivedBitsPerSecond" } else { "sentBitsPerSecond" };
    let links = links.as_array().into_iter().flatten().filter(|link| link["way"] == way);
    let bits: Vec<f64> = links.filter_map(|link| link[key].as_f64()).collect();
    if bits.is_empty() { "-".to_owned() } else { format!("{:.1} Mbit/s", bits.iter().sum::<f64>() / 1e6) }
}

fn paths(paths: &Value) -> String {
    let row = |path: &Value| {
        let standbys: Vec<String> = path["standbys"].as_array().into_iter().flatten().map(text).collect();
        let [name, node, kind, born, epoch] = ["name", "node", "kind", "born", "epoch"].map(|key| text(&path[key]));
        vec![name, node, kind, standbys.join(", "), born, epoch]
    };
    table(&["PATH", "NODE", "KIND", "STANDBYS", "BORN", "EPOCH"], paths.as_array().into_iter().flatten().map(row))
}

fn backup(how: &Ask, file: &Path) -> Result<String, String> {
    let bytes = ask(&how.api, Method::GET, "/cluster/backup", None).map_err(|error| error.to_string())?;
    let cannot = |error: std::io::Error| format!("cannot write {}: {error}", file.display());
    let out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let mut out = out.map_err(cannot)?;
    out.write_all(&bytes).and_then(|()| out.sync_all()).map_err(cannot)?;
    Ok(format!("{} bytes written to {}", bytes.len(), file.display()))
}

/// On the data folder itself; the node must not run.
fn offline(source: &LoadSource, work: impl FnOnce(&Config) -> Result<String, String>) -> Exit {
    match Config::load(source) {
        Ok(loaded) => finish(work(&loaded.config)),
        Err(errors) => refuse(&errors),
    }
}

fn open(config: &Config) -> Result<Storage, String> {
    let folder = config.data_dir.display();
    Storage::start(&config.data_dir).map_err(|error| format!("data folder {folder}: {error}; stop the node first"))
}

/// The present, above which epochs go on.
fn base() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

fn restore(config: &Config, file: &Path) -> Result<String, String> {
    let bytes = fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let state = read_backup(&bytes).map_err(|error| format!("{}: {error}", file.display()))?;
    let storage = open(config)?;
    if storage.recall().is_ok() {
        return Err(format!("{} has a node already: restore into a new folder", config.data_dir.display()));
    }
    let node = NodeId(uuid::Uuid::new_v4().as_u64_pair().1);
    begin(&storage, &state, node, (0, 0), None)?;
    Ok("restored: start this node, and invite others with `weft cluster token`".to_owned())
}

fn recover(config: &Config) -> Result<String, String> {
    let storage = open(config)?;
    let known = storage.recall().map_err(|error| format!("{}: {error}", config.data_dir.display()))?;
    let image = storage.load().map_err(|error| error.to_string())?;
    let (state, term, last) = everything(&image).map_err(|error| error.to_string())?;
    let others = state.members().iter().filter(|(node, _)| *node != known.id).count();
    begin(&storage, &state, known.id, (term, last), Some(known))?;
    Ok(format!(
        "recovered: this node goes on alone, without {others} others. They must not come back with their data: wipe it, \
         then invite them with `weft cluster token`"
    ))
}

fn begin(
    storage: &Storage,
    state: &weft_cluster::ownership::State,
    node: NodeId,
    at: (u64, u64),
    known: Option<NodeState>,
) -> Result<(), String> {
    let failed = |error: std::io::Error| error.to_string();
    let facts = MemberFacts { level: LEVELS.1, ..MemberFacts::default() };
    begin_alone(storage, state, (node, &facts), at, base()).map_err(failed)?;
    let fresh = NodeState { id: node, incarnation: 0, epoch_base: base(), cluster: None, founder: false };
    // Another cluster from here on: those that come back with the old data are refused.
    let cluster = known.as_ref().and_then(|known| known.cluster).map(|_| weft_cluster::draw_cluster_id());
    let next = NodeState { cluster, founder: false, ..known.unwrap_or(fresh) };
    storage.remember_now(&next).map_err(failed)
}
