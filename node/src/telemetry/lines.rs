//! An event as one line: text for people or JSON for programs.
//!
//! Much of what is logged came from the network. Whatever could move a cursor, colour a terminal, begin another line or
//! turn the direction of writing is escaped, so that nobody forges a log.

use std::fmt::{self, Write};
use std::time::SystemTime;

use serde_json::{Map, Value};
use tracing::Level;
use tracing::field::{Field, Visit};

use crate::clock::{rfc3339, rfc3339_millis};

/// Fields of an event or span, in order; `message` apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    message: String,
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    /// Adds the fields of a span around the event.
    pub(super) fn extend(&mut self, other: &Self) {
        self.others.extend(other.others.iter().cloned());
    }

    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            ("message", other) => self.message = other.to_string(),
            (name, value) => {
                self.others.retain(|(have, _)| *have != name);
                self.others.push((name, value));
            }
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, Value::String(limited(format_args!("{value:?}"))));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Value::String(limited(format_args!("{value}"))));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }
}

/// Three letters, as MediaMTX writes them.
fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERR",
        Level::WARN => "WAR",
        Level::INFO => "INF",
        _ => "DEB",
    }
}

/// `2026-11-23T22:30:00.123Z INF message key=value`.
pub(super) fn text(time: SystemTime, level: Level, fields: &Fields) -> String {
    let mut line = format!("{} {} ", rfc3339_millis(time), word(level));
    escape(&mut line, &fields.message);
    for (name, value) in &fields.others {
        let _ = write!(line, " {name}=");
        match value {
            Value::String(text) if is_bare(text) => line.push_str(text),
            Value::String(text) => {
                line.push('"');
                escape(&mut line, &text.replace('\\', "\\\\").replace('"', "\\\""));
                line.push('"');
            }
            other => {
                let _ = write!(line, "{other}");
            }
        }
    }
    line.push('\n');
    line
}

/// `{"timestamp":…,"level":"INF","message":…,"key":value}`.
pub(super) fn json(time: SystemTime, level: Level, fields: &Fields) -> String {
    let mut object = Map::new();
    object.insert("timestamp".into(), rfc3339(time).into());
    object.insert("level".into(), word(level).into());
    object.insert("message".into(), clean(&fields.message).into());
    for (name, value) in &fields.others {
        let value = if let Value::String(text) = value { clean(text).into() } else { value.clone() };
        // A field never takes the place of the three above.
        let name = if object.contains_key(*name) { format!("field_{name}") } else { (*name).to_owned() };
        object.insert(name, value);
    }
    let mut line = Value::Object(object).to_string();
    line.push('\n');
    line
}

fn is_bare(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '=' | '\\'))
}

fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    escape(&mut cleaned, text);
    cleaned
}

fn escape(into: &mut String, text: &str) {
    for c in text.chars() {
        if is_dangerous(c) {
            into.extend(c.escape_default());
        } else {
            into.push(c);
        }
    }
}

/// Control characters, line and paragraph separators, and what turns the direction of writing.
fn is_dangerous(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Formats a value; what is beyond [`VALUE_BYTES_MAX`] is cut.
fn limited(arguments: fmt::Arguments<'_>) -> String {
    struct Limited(String);
    impl Write for Limited {
        fn write_str(&mut self, piece: &str) -> fmt::Result {
            let room = VALUE_BYTES_MAX - self.0.len();
            if piece.len() <= room {
                self.0.push_str(piece);
                return Ok(());
            }
            self.0.push_str(&piece[..piece.floor_char_boundary(room)]);
            Err(fmt::Error)
        }
    }
    let mut limited = Limited(String::new());
    if limited.write_fmt(arguments).is_err() {
        limited.0.push('…');
    }
    limited.0
}

/// Bytes of one value in a log. URLs and SDP lines are shorter.
const VALUE_BYTES_MAX: usize = 4096;
