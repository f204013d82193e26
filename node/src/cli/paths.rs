//! `weft paths`: what is published and read, in the whole cluster.

use axum::http::Method;
use serde_json::{Value, json};

use super::args::Ask;
use super::ask::{AskError, ask};
use super::table::{bytes, table, text};
use super::{complain, say};
use crate::exit::Exit;

/// Items of one answer. The nodes have 200 ms for each.
const PAGE: usize = 1000;

/// Prints it. Nodes that did not answer are named on standard error, and in JSON.
pub(super) fn run(how: &Ask) -> Exit {
    let list = match all(how) {
        Ok(list) => list,
        Err(error) => {
            complain(&error.to_string());
            return Exit::Failure;
        }
    };
    if how.json {
        say(&list.to_string());
        return Exit::Ok;
    }
    say(&people(&list));
    if let Some(missing) = list["missingNodes"].as_array() {
        let names: Vec<String> = missing.iter().map(text).collect();
        complain(&format!("no answer from: {}", names.join(", ")));
    }
    Exit::Ok
}

/// All pages as one.
fn all(how: &Ask) -> Result<Value, AskError> {
    let (mut items, mut missing) = (Vec::new(), std::collections::BTreeSet::new());
    for page in 0.. {
        let path = format!("/v3/paths/list?itemsPerPage={PAGE}&page={page}");
        let bytes = ask(&how.api, Method::GET, &path, None)?;
        let mut list: Value = serde_json::from_slice(&bytes).map_err(|error| AskError::BadAnswer(error.to_string()))?;
        let names = list["missingNodes"].as_array().into_iter().flatten();
        missing.extend(names.filter_map(Value::as_str).map(str::to_owned));
        items.extend(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default());
        if page + 1 >= list["pageCount"].as_u64().unwrap_or(0) {
            break;
        }
    }
    let mut whole = json!({"itemCount": items.len(), "items": items});
    if !missing.is_empty() {
        whole["missingNodes"] = missing.into_iter().collect();
    }
    Ok(whole)
}

fn people(list: &Value) -> String {
    let row = |path: &Value| {
        let state = if path["online"] == true {
            "online"
        } else if path["available"] == true {
            "held"
        } else {
            "waiting"
        };
        let source = text(&path["source"]["type"]);
        let tracks: Vec<String> = path["tracks"].as_array().into_iter().flatten().map(text).collect();
        let [name, node, since] = ["name", "node", "onlineTime"].map(|key| text(&path[key]));
        let (received, sent) = (bytes(&path["inboundBytes"]), bytes(&path["outboundBytes"]));
        vec![name, node, state.to_owned(), source, tracks.join(", "), readers(path), received, sent, since]
    };
    let heads = ["PATH", "NODE", "STATE", "SOURCE", "TRACKS", "READERS", "RECEIVED", "SENT", "SINCE"];
    table(&heads, list["items"].as_array().into_iter().flatten().map(row))
}

/// How many, and how many on each node where they are on several or on another one than the path.
fn readers(path: &Value) -> String {
    let mut nodes = std::collections::BTreeMap::<String, usize>::new();
    for reader in path["readers"].as_array().into_iter().flatten() {
        *nodes.entry(text(&reader["node"])).or_default() += 1;
    }
    let count: usize = nodes.values().sum();
    if nodes.keys().all(|node| path["node"] == node.as_str()) {
        return count.to_string();
    }
    let each: Vec<String> = nodes.iter().map(|(node, count)| format!("{node}: {count}")).collect();
    format!("{count} ({})", each.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_are_counted_by_node() {
        let path = |readers: &[&str]| {
            let readers: Vec<Value> = readers.iter().map(|node| json!({"node": node})).collect();
            json!({"node": "a", "readers": readers})
        };
        assert_eq!(readers(&path(&[])), "0");
        assert_eq!(readers(&path(&["a", "a"])), "2");
        assert_eq!(readers(&path(&["b", "a", "b"])), "3 (a: 1, b: 2)");
    }

    #[test]
    fn a_line_says_what_a_path_is() {
        let path = json!({"name": "cam", "node": "b", "online": true, "source": {"type": "rtmpConn"},
            "tracks": ["H264", "Opus"], "readers": [], "inboundBytes": 1500, "outboundBytes": 0, "onlineTime": "then"});
        let shown = people(&json!({"items": [path]}));
        let line: Vec<&str> = shown.lines().last().unwrap().split_whitespace().collect();
        let expected = ["cam", "b", "online", "rtmpConn", "H264,", "Opus", "0", "1.5", "KB", "0", "B", "then"];
        assert_eq!(line, expected);
    }
}
