//! Values as JSON, as the API shows and takes them, and back.
//!
//! Texts, durations, sizes and addresses are strings, as in MediaMTX. What comes as JSON goes through the same checks as the
//! file: it becomes a [`Node`] first.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::error::Origin;
use super::keys::Kind;
use super::tree::{Body, Entry, Node, Style};
use super::value::{Budget, Value};

/// What stands in place of a secret.
pub(crate) const REDACTED: &str = "<redacted>";

/// A checked value as JSON, secrets and all.
pub(crate) fn of(value: &Value) -> Json {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        Value::Float(value) => float(*value),
        Value::Text(value) => value.clone().into(),
        Value::Duration(value) => duration(*value).into(),
        Value::Size(bytes) | Value::Budget(Budget::Bytes(bytes)) => size(*bytes).into(),
        Value::Budget(Budget::Percent(share)) => format!("{share}%").into(),
        Value::Address(address) => address.to_string().into(),
        Value::List(items) => Json::Array(items.iter().map(of).collect()),
        Value::Records(records) => records.clone(),
        Value::Unkept => Json::Null,
    }
}

/// The same for people: without secrets, and records with all their fields.
pub(crate) fn shown(kind: &Kind, value: &Json) -> Json {
    match (kind, value) {
        (Kind::Secret, Json::String(text)) if !text.is_empty() => REDACTED.into(),
        (Kind::Records(fields), Json::Array(records)) => {
            let whole = |record: &Json| {
                let field = |name: &&str| ((*name).to_owned(), field(name, &record[*name]));
                Json::Object(fields.iter().map(field).collect())
            };
            Json::Array(records.iter().map(whole).collect())
        }
        (_, Json::String(text)) => without_password(text).unwrap_or_else(|| text.clone()).into(),
        (_, value) => value.clone(),
    }
}

/// A field of a record: what is not there has its default.
fn field(name: &str, value: &Json) -> Json {
    match (name, value) {
        ("pass" | "password" | "whipBearerToken", Json::String(text)) if !text.is_empty() => REDACTED.into(),
        ("permissions", Json::Array(permissions)) => {
            let permission = |one: &Json| serde_json::json!({"action": one["action"].as_str().unwrap_or_default(), "path": one["path"].as_str().unwrap_or_default()});
            Json::Array(permissions.iter().map(permission).collect())
        }
        ("ips" | "permissions", Json::Null) => Json::Array(Vec::new()),
        ("sampleRate" | "channelCount", Json::Null) => 0.into(),
        ("muLaw" | "clientOnly", Json::Null) => false.into(),
        (_, Json::Null) => "".into(),
        (_, Json::String(text)) => without_password(text).unwrap_or_else(|| text.clone()).into(),
        (_, value) => value.clone(),
    }
}

/// `rtsp://user:pass@host` with the password struck out; `None` where there is none.
fn without_password(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (credentials, host) = authority.rsplit_once('@')?;
    let (user, password) = credentials.split_once(':')?;
    (!password.is_empty()).then(|| format!("{scheme}://{user}:{REDACTED}@{host}{path}"))
}

/// What somebody wrote who was shown a value without its secrets: where it still says so, the secret stays as it was.
/// `None` where the secret that is meant is not known.
pub(crate) fn with_secrets(kind: &Kind, written: &Json, old: Option<&Json>) -> Option<Json> {
    if !holds_redacted(written) {
        return Some(written.clone());
    }
    let old = old?;
    if shown(kind, old) == *written {
        return Some(old.clone());
    }
    // A list of records, of which some were changed: each keeps the secret of the one that looked like it.
    let (Kind::Records(_), Json::Array(records), Json::Array(before)) = (kind, written, old) else { return None };
    let known = |record: &Json| {
        let looks = |old: &&Json| shown(kind, &Json::Array(vec![(*old).clone()]))[0] == *record;
        if holds_redacted(record) { before.iter().find(looks).cloned() } else { Some(record.clone()) }
    };
    records.iter().map(known).collect::<Option<_>>().map(Json::Array)
}

fn holds_redacted(value: &Json) -> bool {
    match value {
        Json::String(text) => text.contains(REDACTED),
        Json::Array(items) => items.iter().any(holds_redacted),
        Json::Object(fields) => fields.values().any(holds_redacted),
        _ => false,
    }
}

/// JSON as if it stood in a file.
pub(crate) fn node(value: &Json, origin: &Origin) -> Node {
    let body = match value {
        Json::Null => Body::Scalar("null".into(), Style::Plain),
        Json::Bool(value) => Body::Scalar(value.to_string(), Style::Bare),
        Json::Number(number) => Body::Scalar(number.to_string(), Style::Bare),
        Json::String(text) => Body::Scalar(text.clone(), Style::Quoted),
        Json::Array(items) => Body::List(items.iter().map(|item| Arc::new(node(item, origin))).collect()),
        Json::Object(fields) => Body::Map(fields.iter().map(|(key, value)| entry(key, value, origin)).collect()),
    };
    Node { origin: origin.clone(), body }
}

fn entry(key: &str, value: &Json, origin: &Origin) -> Entry {
    Entry { key: key.to_owned(), origin: origin.clone(), value: Arc::new(node(value, origin)) }
}

/// A node of a file as JSON, for values that are kept as they were written: what is empty is left out.
pub(crate) fn of_node(node: &Node) -> Json {
    match &node.body {
        Body::Scalar(text, _) => text.clone().into(),
        Body::List(items) => Json::Array(items.iter().map(|item| of_node(item)).collect()),
        Body::Map(entries) => {
            let field = |entry: &Entry| (entry.key.clone(), typed(&entry.key, of_node(&entry.value)));
            let mut fields: Vec<_> = entries.iter().filter(|entry| !entry.value.is_empty()).map(field).collect();
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            Json::Object(Map::from_iter(fields))
        }
    }
}

/// The few fields of records that are no texts.
fn typed(field: &str, value: Json) -> Json {
    let Json::String(text) = &value else { return value };
    match field {
        "sampleRate" | "channelCount" => text.parse::<i64>().map_or(value, Json::from),
        "muLaw" | "clientOnly" => super::value::parse_bool(text).map_or(value, Json::from),
        _ => value,
    }
}

fn float(number: f64) -> Json {
    // Ports of a range, and most of what cameras are told.
    if number.fract() == 0.0 && number.abs() < 1e15 { (number as i64).into() } else { number.into() }
}

/// As Go writes durations, days in front: `1d`, `1h0m0s`, `1.5s`, `200ms`.
fn duration(duration: Duration) -> String {
    const DAY: u64 = 86_400;
    let days = duration.as_secs() / DAY;
    let rest = duration - Duration::from_secs(days * DAY);
    match (days, rest.is_zero()) {
        (0, _) => clock(rest),
        (days, true) => format!("{days}d"),
        (days, false) => format!("{days}d{}", clock(rest)),
    }
}

fn clock(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    let (unit, name) = match nanoseconds {
        0 => return "0s".into(),
        1..1_000 => (1, "ns"),
        1_000..1_000_000 => (1_000, "µs"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    let seconds = duration.as_secs();
    let ahead = match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => String::new(),
        (0, minutes) => format!("{minutes}m"),
        (hours, minutes) => format!("{hours}h{minutes}m"),
    };
    let left = if ahead.is_empty() { nanoseconds } else { nanoseconds % 60_000_000_000 };
    let fraction = format!("{:0width$}", left % unit, width = unit.ilog10() as usize);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() || unit == 1 { String::new() } else { format!(".{fraction}") };
    format!("{ahead}{}{point}{name}", left / unit)
}

/// In the largest unit of which it is a whole number.
fn size(bytes: u64) -> String {
    let units = [(40, "T"), (30, "G"), (20, "M"), (10, "K")];
    let fits = units.iter().find(|(power, _)| bytes != 0 && bytes.is_multiple_of(1 << power));
    fits.map_or_else(|| format!("{bytes}B"), |(power, name)| format!("{}{name}", bytes >> power))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::build::default_value;
    use super::super::check::check;
    use super::super::keys;
    use super::super::value::parse_duration;
    use super::*;

    #[test]
    fn every_default_survives_the_way_there_and_back() {
        for table in [&keys::GLOBAL, &keys::PATH] {
            for key in table.keys().filter(|key| !matches!(key.kind, Kind::Section(_) | Kind::PathKeys | Kind::Paths)) {
                let value = default_value(table, key.name).expect(key.name);
                let mut problems = Vec::new();
                let back = check(&node(&of(&value), &Origin::Default), key.name, &key.kind, &mut problems);
                assert_eq!((back.as_ref(), problems), (Some(&value), vec![]), "{}", key.name);
            }
        }
    }

    #[test]
    fn durations_are_written_as_go_does() {
        for text in ["0s", "10s", "200ms", "1.5s", "1m0s", "1h0m0s", "1h30m0.25s", "1d", "2d12h0m0s", "3µs", "7ns"] {
            assert_eq!(duration(parse_duration(text).unwrap()), text);
        }
        assert_eq!(["0B", "50M", "1536K", "1G"], [0, 50 << 20, 3 << 19, 1 << 30].map(size));
    }

    #[test]
    fn secrets_are_not_shown_and_survive_who_writes_what_was_shown() {
        let users = Kind::Records(&["user", "pass", "ips", "permissions"]);
        let kept = json!([{"user": "a", "pass": "x"}, {"user": "b", "pass": "y"}]);
        let seen = shown(&users, &kept);
        assert_eq!(seen[0], json!({"user": "a", "pass": REDACTED, "ips": [], "permissions": []}));
        assert_eq!(with_secrets(&users, &seen, Some(&kept)), Some(kept.clone()));
        let fewer = json!([seen[1], {"user": "c", "pass": "z"}]);
        let expected = json!([{"user": "b", "pass": "y"}, {"user": "c", "pass": "z"}]);
        assert_eq!(with_secrets(&users, &fewer, Some(&kept)), Some(expected));
        let url = json!("rtsp://me:secret@cam/one?a=b@c");
        let hidden = shown(&Kind::Text, &url);
        assert_eq!(hidden, "rtsp://me:<redacted>@cam/one?a=b@c");
        assert_eq!(with_secrets(&Kind::Text, &hidden, Some(&url)), Some(url.clone()));
        assert_eq!(with_secrets(&Kind::Text, &json!("rtsp://me:<redacted>@elsewhere"), Some(&url)), None);
        assert_eq!(shown(&Kind::Text, &json!("rtsp://cam/one")), "rtsp://cam/one");
    }
}
