//! `weft config import|diff|history|rollback`: what the nodes share, through any of them.

use std::path::Path;

use axum::http::Method;
use serde_json::{Value, json};

use super::args::Ask;
use super::ask::{AskError, ask};
use super::table::{table, text};
use super::{complain, say};
use crate::exit::Exit;

/// Lets the cluster take what a file says of what is shared.
pub(super) fn import(how: &Ask, file: &Path, dry_run: bool) -> Exit {
    let said = match std::fs::read_to_string(file) {
        Ok(said) => said,
        Err(error) => {
            complain(&format!("cannot read {}: {error}", file.display()));
            return Exit::Configuration;
        }
    };
    let wish = json!({"name": file.display().to_string(), "text": said, "dryRun": dry_run});
    change(how, "/cluster/config/import", wish)
}

/// Goes back to what a revision said.
pub(super) fn rollback(how: &Ask, revision: u64, dry_run: bool) -> Exit {
    change(how, "/cluster/config/rollback", json!({"revision": revision, "dryRun": dry_run}))
}

/// Says what differs: between two revisions, one and what is in force, or that and the file of the node that is asked.
pub(super) fn diff(how: &Ask, from: Option<u64>, to: Option<u64>) -> Exit {
    let query = match (from, to) {
        (None, _) => String::new(),
        (Some(from), None) => format!("?from={from}"),
        (Some(from), Some(to)) => format!("?from={from}&to={to}"),
    };
    match get(how, Method::GET, &format!("/cluster/config/diff{query}"), None) {
        Ok(answer) => {
            let is_same = answer["differences"].as_array().is_none_or(Vec::is_empty);
            show(
                how,
                &answer,
                &if is_same { "no differences".to_owned() } else { differences(&answer["differences"]) },
            );
            if is_same { Exit::Ok } else { Exit::Differs }
        }
        Err(error) => failed(&error),
    }
}

/// Who has changed what, and when.
pub(super) fn history(how: &Ask) -> Exit {
    match get(how, Method::GET, "/cluster/config/history", None) {
        Ok(answer) => {
            let row = |revision: &Value| {
                let mut changed: Vec<String> = revision["changed"].as_array().into_iter().flatten().map(text).collect();
                if let Some(more) = revision["more"].as_u64().filter(|more| *more > 0) {
                    changed.push(format!("{more} more"));
                }
                let mut row = ["revision", "time", "node", "user", "what"].map(|key| text(&revision[key])).to_vec();
                row.push(changed.join(", "));
                row
            };
            let rows = answer.as_array().into_iter().flatten().map(row);
            show(how, &answer, &table(&["REVISION", "TIME", "NODE", "USER", "WHAT", "CHANGED"], rows));
            Exit::Ok
        }
        Err(error) => failed(&error),
    }
}

fn change(how: &Ask, path: &str, wish: Value) -> Exit {
    let answer = match get(how, Method::POST, path, Some(wish)) {
        Ok(answer) => answer,
        Err(error) => return failed(&error),
    };
    let list = |key: &str| answer[key].as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
    if !how.json {
        list("warnings").iter().for_each(|warning| complain(&format!("warning: {warning}")));
        let own = list("own");
        if !own.is_empty() {
            complain(&format!("not taken, for they are each node's own: {}", own.join(", ")));
        }
    }
    let is_same = answer["differences"].as_array().is_none_or(Vec::is_empty);
    let is_dry = answer["dryRun"] == true;
    let lines = if is_same { "nothing changes".to_owned() } else { differences(&answer["differences"]) };
    let end = if is_dry { "nothing was changed".to_owned() } else { format!("revision {}", answer["revision"]) };
    show(how, &answer, &format!("{lines}\n{end}"));
    if is_dry && !is_same { Exit::Differs } else { Exit::Ok }
}

fn differences(differences: &Value) -> String {
    let line = |one: &Value| match (&one["from"], &one["to"]) {
        (Value::Null, to) => format!("+ {}: {to}", text(&one["key"])),
        (from, Value::Null) => format!("- {}: {from}", text(&one["key"])),
        (from, to) => format!("~ {}: {from} -> {to}", text(&one["key"])),
    };
    differences.as_array().into_iter().flatten().map(line).collect::<Vec<_>>().join("\n")
}

fn get(how: &Ask, method: Method, path: &str, body: Option<Value>) -> Result<Value, AskError> {
    let bytes = ask(&how.api, method, path, body)?;
    serde_json::from_slice(&bytes).map_err(|error| AskError::BadAnswer(error.to_string()))
}

fn show(how: &Ask, answer: &Value, people: &str) {
    if how.json { say(&answer.to_string()) } else { say(people) }
}

/// A wish that makes no sense is another failure than a cluster that cannot agree.
fn failed(error: &AskError) -> Exit {
    complain(&error.to_string());
    if matches!(error, AskError::Wrong(_)) { Exit::Configuration } else { Exit::Failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_lines() {
        let all = json!([
            {"key": "paths.a", "from": null, "to": {}},
            {"key": "paths.b.source", "from": "rtsp://a/b", "to": null},
            {"key": "paths.c.maxReaders", "from": 1, "to": 2},
        ]);
        assert_eq!(differences(&all), "+ paths.a: {}\n- paths.b.source: \"rtsp://a/b\"\n~ paths.c.maxReaders: 1 -> 2");
    }
}
