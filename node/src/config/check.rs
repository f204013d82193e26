//! One value against what its key takes.

use std::sync::Arc;
use std::time::Duration;

use super::error::{Problem, SourceFile};
use super::json;
use super::keys::Kind;
use super::tree::{self, Body, Entry, Node, Style};
use super::value::{Address, Budget, Ipv4Range, Value, parse_bool, parse_duration, parse_size};

/// Checks a value. Says what is wrong, or returns nothing when nothing was written, which leaves the default.
pub(crate) fn check(node: &Node, name: &str, kind: &Kind, problems: &mut Vec<Problem>) -> Option<Value> {
    let list = kind.is_list();
    if node.is_null() {
        if list {
            problems.push(Problem::new(&node.origin, format!("`{name}` may not be empty; for none write `[]`")));
        }
        return None;
    }
    if list { check_list(node, name, kind, problems) } else { check_scalar(node, name, kind, problems) }
}

fn check_scalar(node: &Node, name: &str, kind: &Kind, problems: &mut Vec<Problem>) -> Option<Value> {
    let value = match &node.body {
        Body::Scalar(text, style) => scalar(text, *style, kind).ok_or_else(|| found(text, *style, kind)),
        Body::List(_) => Err("a list".to_owned()),
        Body::Map(_) => Err("a map".to_owned()),
    };
    value.map_err(|found| wrong(node, name, kind, &found, problems)).ok()
}

fn wrong(node: &Node, name: &str, kind: &Kind, found: &str, problems: &mut Vec<Problem>) {
    let message = format!("`{name}` expects {}, found {found}", kind.expected());
    problems.push(Problem::new(&node.origin, message));
}

/// Describes what was found, without repeating a secret.
fn found(text: &str, style: Style, kind: &Kind) -> String {
    let shown: String = text.chars().take(40).flat_map(char::escape_default).collect();
    let numeric = matches!(kind, Kind::Bool | Kind::Int(..) | Kind::PowerOfTwo | Kind::Float | Kind::Port);
    match kind {
        Kind::Secret => "something else".to_owned(),
        Kind::Text if style == Style::Plain => format!("the boolean {shown}; put it in quotes"),
        _ if numeric && style == Style::Quoted => format!("the text \"{shown}\"; take the quotes away"),
        _ => format!("`{shown}`"),
    }
}

fn scalar(text: &str, style: Style, kind: &Kind) -> Option<Value> {
    let bare = style != Style::Quoted;
    let int = || text.parse::<i64>().ok().filter(|_| bare);
    match kind {
        Kind::Bool => parse_bool(text).filter(|_| bare).map(Value::Bool),
        Kind::Int(min, max) => int().filter(|n| (min..=max).contains(&n)).map(Value::Int),
        Kind::PowerOfTwo => int().filter(|n| u64::try_from(*n).is_ok_and(u64::is_power_of_two)).map(Value::Int),
        Kind::Port => int().filter(|n| (0..=65535).contains(n)).map(Value::Int),
        Kind::Float => text.parse::<f64>().ok().filter(|n| bare && n.is_finite()).map(Value::Float),
        Kind::Text | Kind::Secret if style == Style::Plain && parse_bool(text).is_some() => None,
        Kind::Text | Kind::Secret if style == Style::Bare => None,
        Kind::Text | Kind::Secret => Some(Value::Text(text.to_owned())),
        Kind::Duration(min, max) => {
            let range = Duration::from_millis(*min)..=Duration::from_millis(*max);
            parse_duration(text).filter(|d| range.contains(d)).map(Value::Duration)
        }
        Kind::Size => parse_size(text).map(Value::Size),
        Kind::Address => Address::parse(text).map(Value::Address),
        Kind::OptionalAddress if text.is_empty() => Some(Value::Text(String::new())),
        Kind::OptionalAddress => Address::parse(text).map(Value::Address),
        Kind::Choice(words) => words.contains(&text).then(|| Value::Text(text.to_owned())),
        Kind::Encryption => encryption(text).map(|word| Value::Text(word.to_owned())),
        Kind::MulticastRange => Ipv4Range::parse_multicast(text).map(|_| Value::Text(text.to_owned())),
        Kind::Budget => Budget::parse(text).map(Value::Budget),
        _ => None,
    }
}

fn encryption(text: &str) -> Option<&'static str> {
    match (text, parse_bool(text)) {
        ("optional", _) => Some("optional"),
        ("strict", _) | (_, Some(true)) => Some("strict"),
        (_, Some(false)) => Some("no"),
        _ => None,
    }
}

fn check_list(node: &Node, name: &str, kind: &Kind, problems: &mut Vec<Problem>) -> Option<Value> {
    let before = problems.len();
    let parsed;
    let items = match &node.body {
        Body::List(items) => items,
        Body::Scalar(text, Style::Raw) => {
            parsed = split(node, text, problems);
            &parsed
        }
        Body::Scalar(text, style) => {
            wrong(node, name, kind, &found(text, *style, &Kind::Choice(&[])), problems);
            return None;
        }
        Body::Map(_) => {
            wrong(node, name, kind, "a map", problems);
            return None;
        }
    };
    let value = match kind {
        Kind::Records(fields) => {
            items.iter().for_each(|item| check_record(item, name, fields, problems));
            let mut bytes = 0;
            items.iter().for_each(|item| weigh(item, &mut bytes));
            if bytes > RECORDS_BYTES_MAX {
                wrong(node, name, kind, &format!("more than {} MB of them", RECORDS_BYTES_MAX >> 20), problems);
                return None;
            }
            Value::Records(items.iter().filter(|item| !item.is_empty()).map(|item| json::of_node(item)).collect())
        }
        _ => {
            if let Kind::Numbers(count) = kind
                && items.len() != *count
            {
                wrong(node, name, kind, &format!("{} of them", items.len()), problems);
            }
            let kind = item_kind(kind);
            Value::List(items.iter().filter_map(|item| check_item(item, name, &kind, problems)).collect())
        }
    };
    (problems.len() == before).then_some(value)
}

fn item_kind(kind: &Kind) -> Kind {
    match kind {
        Kind::Choices(words) => Kind::Choice(words),
        Kind::Numbers(_) => Kind::Float,
        _ => Kind::Text,
    }
}

fn check_item(item: &Node, name: &str, kind: &Kind, problems: &mut Vec<Problem>) -> Option<Value> {
    if item.is_null() {
        wrong(item, &format!("{name}[]"), kind, "nothing", problems);
        return None;
    }
    check_scalar(item, &format!("{name}[]"), kind, problems)
}

/// Bytes of a node, counted up to [`RECORDS_BYTES_MAX`], for aliases of aliases can be very long.
fn weigh(node: &Node, bytes: &mut usize) {
    if *bytes > RECORDS_BYTES_MAX {
        return;
    }
    *bytes += 8;
    match &node.body {
        Body::Scalar(text, _) => *bytes += text.len(),
        Body::List(items) => items.iter().for_each(|item| weigh(item, bytes)),
        Body::Map(entries) => entries.iter().for_each(|Entry { key, value, .. }| {
            *bytes += key.len();
            weigh(value, bytes);
        }),
    }
}

/// Users and their permissions take a few hundred bytes each.
const RECORDS_BYTES_MAX: usize = 1 << 20;

fn check_record(item: &Node, name: &str, fields: &[&str], problems: &mut Vec<Problem>) {
    let Body::Map(entries) = &item.body else {
        let message = format!("each entry of `{name}` is a map with {}", fields.join(", "));
        problems.push(Problem::new(&item.origin, message));
        return;
    };
    for Entry { key, origin, .. } in entries.iter().filter(|entry| !fields.contains(&entry.key.as_str())) {
        let hint = super::error::suggestion(key, fields.iter().copied());
        problems.push(Problem::new(origin, format!("unknown key `{key}` in an entry of `{name}`{hint}")));
    }
}

/// A list in an environment variable or flag: YAML, or words between commas.
fn split(node: &Node, text: &str, problems: &mut Vec<Problem>) -> Vec<Arc<Node>> {
    if text.starts_with(['[', '-']) {
        let parsed = parse_raw(node, text, problems);
        return match parsed.as_deref() {
            Some(Node { body: Body::List(items), .. }) => items.clone(),
            _ => Vec::new(),
        };
    }
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    words.map(|word| Arc::new(Node::raw(&node.origin, word))).collect()
}

/// Reads YAML from outside a file. Its places count inside that text.
pub(crate) fn parse_raw(node: &Node, text: &str, problems: &mut Vec<Problem>) -> Option<Arc<Node>> {
    let file = SourceFile { name: node.origin.to_string().into(), text: text.to_owned() };
    tree::parse(&Arc::new(file), problems)
}
