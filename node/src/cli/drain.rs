//! `weft cluster drain`: empties a node, and waits for it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use axum::http::Method;
use serde_json::{Value, json};

use super::args::Ask;
use super::ask::ask;
use super::cluster::finish;
use super::say;
use super::table::text;
use crate::exit::Exit;

/// How often a node is asked how far it is.
const LOOK: Duration = Duration::from_millis(250);

/// How much longer than its deadline a node may take until nobody is there.
const GRACE: Duration = Duration::from_secs(10);

/// Begins to drain; `wait` until nobody publishes or reads there.
pub(super) fn begin(how: &Ask, node: Option<String>, deadline: Option<Duration>, wait: bool) -> Exit {
    finish(named(how, node).and_then(|node| {
        let path = format!("/cluster/nodes/{node}/drain");
        let wish = deadline.map(|deadline| json!({"deadlineSeconds": deadline.as_secs_f64()}));
        let view = told(how, Method::POST, &path, wish)?;
        let view = if wait { until_empty(how, &path, deadline)? } else { view };
        Ok(if how.json { view.to_string() } else { sentence(&view) })
    }))
}

/// Ends a drain.
pub(super) fn end(how: &Ask, node: Option<String>) -> Exit {
    finish(named(how, node).and_then(|node| {
        let view = told(how, Method::POST, &format!("/cluster/nodes/{node}/undrain"), None)?;
        Ok(if how.json { view.to_string() } else { sentence(&view) })
    }))
}

/// Without a name, the node that is asked.
fn named(how: &Ask, node: Option<String>) -> Result<String, String> {
    match node {
        Some(node) => Ok(node),
        None => Ok(text(&told(how, Method::GET, "/cluster/status", None)?["node"])),
    }
}

fn told(how: &Ask, method: Method, path: &str, body: Option<Value>) -> Result<Value, String> {
    let bytes = ask(&how.api, method, path, body).map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| format!("the answer cannot be read: {error}"))
}

fn until_empty(how: &Ask, path: &str, deadline: Option<Duration>) -> Result<Value, String> {
    let begun = Instant::now();
    let mut said = String::new();
    loop {
        let view = told(how, Method::GET, path, None)?;
        if view["draining"] != true {
            return Err(format!("node {} is not drained any more", text(&view["node"])));
        }
        if view["publishers"] == 0 && view["readers"] == 0 {
            return Ok(view);
        }
        if deadline.is_some_and(|deadline| begun.elapsed() > deadline + GRACE) {
            return Err(format!("{} They should have been sent away by now.", sentence(&view)));
        }
        let now = sentence(&view);
        if !how.json && now != said {
            say(&now);
            said = now;
        }
        sleep(LOOK);
    }
}

fn sentence(view: &Value) -> String {
    let node = text(&view["node"]);
    match (view["draining"] == true, view["publishers"].as_u64(), view["readers"].as_u64()) {
        (false, ..) => format!("Node {node} takes publishers and readers."),
        (true, Some(0), Some(0)) => format!("Node {node} is empty."),
        (true, publishers, readers) => {
            let [publishers, readers] = [publishers, readers].map(Option::unwrap_or_default);
            format!("Node {node} is drained: {publishers} publishers and {readers} readers are still there.")
        }
    }
}
