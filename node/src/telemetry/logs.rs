//! Logs by `tracing`: text or JSON lines, to standard output and a file, at the configured level.
//!
//! Each event is one line, with the fields of the spans around it. [`init`] is called once, before anything is logged.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::reload;

use super::lines::{self, Fields};
use super::writer::{Lines, Sink};
use crate::config::{LogConfig, LogLevel};

/// Why nothing can be logged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The file cannot be opened.
    #[error("cannot open log file {path}: {source}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The system gives no thread.
    #[error("cannot start the log thread: {0}")]
    Thread(std::io::Error),
    /// Somebody else has set up logging in this process.
    #[error("logging is set up already")]
    Twice,
}

/// Writes out what is queued when it is dropped. Keep it until the node ends.
#[must_use]
pub struct LogGuard {
    lines: Lines,
    levels: LogLevels,
}

impl LogGuard {
    /// Changes how much is logged.
    pub fn levels(&self) -> LogLevels {
        self.levels.clone()
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.lines.flush();
    }
}

/// Changes how much is logged while the node runs.
#[derive(Clone)]
pub struct LogLevels(Arc<dyn Fn(LogLevel) + Send + Sync>);

impl LogLevels {
    /// From now on this much.
    pub fn set(&self, level: LogLevel) {
        (self.0)(level);
    }
}

/// Sets up logging for the process.
pub fn init(config: &LogConfig) -> Result<LogGuard, LogError> {
    let (subscriber, guard) = subscriber(config, sinks(config)?)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::Twice)?;
    Ok(guard)
}

fn sinks(config: &LogConfig) -> Result<Vec<Sink>, LogError> {
    let mut sinks = Vec::new();
    if config.stdout {
        sinks.push(Sink::Stdout);
    }
    if let Some(path) = &config.file {
        let opened = OpenOptions::new().append(true).create(true).open(path);
        sinks.push(Sink::File(opened.map_err(|source| LogError::File { path: path.clone(), source })?));
    }
    Ok(sinks)
}

fn subscriber(config: &LogConfig, sinks: Vec<Sink>) -> Result<(impl Subscriber + use<>, LogGuard), LogError> {
    let lines = Lines::start(sinks).map_err(LogError::Thread)?;
    let layer = LineLayer { lines: lines.clone(), structured: config.structured };
    let (filter, handle) = reload::Layer::new(targets(config.level));
    let subscriber = Registry::default().with(layer.with_filter(filter));
    // It fails only when the subscriber is gone, and then nobody logs.
    let levels = LogLevels(Arc::new(move |level| drop(handle.reload(targets(level)))));
    Ok((subscriber, LogGuard { lines, levels }))
}

/// Ours at the configured level; libraries one level quieter, for they speak of themselves and not of streams.
fn targets(level: LogLevel) -> Targets {
    let (ours, libraries) = match level {
        LogLevel::Error => (LevelFilter::ERROR, LevelFilter::ERROR),
        LogLevel::Warn => (LevelFilter::WARN, LevelFilter::ERROR),
        LogLevel::Info => (LevelFilter::INFO, LevelFilter::WARN),
        LogLevel::Debug => (LevelFilter::DEBUG, LevelFilter::INFO),
    };
    // Raft warns of every message to a node that is down; what is worth knowing the cluster says itself.
    Targets::new().with_target("weft", ours).with_target("openraft", LevelFilter::ERROR).with_default(libraries)
}

struct LineLayer {
    lines: Lines,
    structured: bool,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LineLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().replace(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.extend(outer);
            }
        }
        let format = if self.structured { lines::json } else { lines::text };
        self.lines.send(format(SystemTime::now(), *event.metadata().level(), &fields));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;

    fn logged(level: LogLevel, structured: bool, log: impl FnOnce()) -> Vec<String> {
        let memory = Arc::new(Mutex::new(Vec::new()));
        let config = LogConfig { level, stdout: false, file: None, structured };
        let (subscriber, guard) = subscriber(&config, vec![Sink::Memory(memory.clone())]).unwrap();
        tracing::subscriber::with_default(subscriber, log);
        drop(guard);
        let text = String::from_utf8(memory.lock().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// The lines without their time.
    fn timeless(lines: &[String]) -> Vec<&str> {
        lines.iter().map(|line| line.split_once(' ').unwrap().1).collect()
    }

    #[test]
    fn text_has_message_fields_and_the_span_around() {
        let lines = logged(LogLevel::Info, false, || {
            let _span = tracing::info_span!("session", id = 7u32, peer = "192.0.2.1:5").entered();
            tracing::info!(path = "cam/front", agent = "VLC media player", live = true, "reads");
            tracing::debug!("not shown");
        });
        let expected = r#"INF reads path=cam/front agent="VLC media player" live=true id=7 peer=192.0.2.1:5"#;
        assert_eq!(timeless(&lines), [expected]);
    }

    #[test]
    fn nothing_from_the_network_forges_a_line() {
        let evil = "x\n2026 ERR \u{1b}[31mred\u{9b}\u{202e}\" y=\"1";
        let lines = logged(LogLevel::Info, false, || tracing::warn!(agent = evil, "got {evil}"));
        let expected = r#"WAR got x\n2026 ERR \u{1b}[31mred\u{9b}\u{202e}" y="1 agent="x\n2026 ERR \u{1b}[31mred\u{9b}\u{202e}\" y=\"1""#;
        assert_eq!(timeless(&lines), [expected]);
        let lines = logged(LogLevel::Info, true, || tracing::warn!(agent = evil, "got it"));
        assert_eq!(lines.len(), 1);
        let json: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(json["agent"], r#"x\n2026 ERR \u{1b}[31mred\u{9b}\u{202e}" y="1"#);
    }

    #[test]
    fn json_has_types_and_keeps_its_own_names() {
        let lines = logged(LogLevel::Debug, true, || tracing::debug!(bytes = 5u64, level = "x", "done"));
        let mut json: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        json["timestamp"] = "t".into();
        let expected = r#"{"timestamp":"t","level":"DEB","message":"done","bytes":5,"field_level":"x"}"#;
        assert_eq!(json.to_string(), expected);
    }

    #[test]
    fn the_level_can_be_changed_while_it_runs() {
        let memory = Arc::new(Mutex::new(Vec::new()));
        let config = LogConfig { level: LogLevel::Warn, stdout: false, file: None, structured: false };
        let (subscriber, guard) = subscriber(&config, vec![Sink::Memory(memory.clone())]).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("before");
            guard.levels().set(LogLevel::Info);
            tracing::info!("after");
        });
        drop(guard);
        let text = String::from_utf8(memory.lock().clone()).unwrap();
        assert!(text.contains("after") && !text.contains("before"), "{text}");
    }

    #[test]
    fn libraries_are_quieter_and_long_values_are_cut() {
        let lines = logged(LogLevel::Info, false, || {
            tracing::info!(target: "hyper", "chatter");
            tracing::warn!(target: "hyper", "trouble");
            tracing::info!("{}", "é".repeat(10_000));
        });
        assert_eq!(timeless(&lines)[0], "WAR trouble");
        assert!(lines[1].len() < 4200 && lines[1].ends_with("é…"), "{}", lines[1].len());
    }
}
