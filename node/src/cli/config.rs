//! `weft config …`.

use std::path::PathBuf;

use super::{complain, refuse, say};
use crate::config::{Config, LoadSource, docs, sample};
use crate::exit::Exit;

/// Checks a file as the node would load it, with the environment and flags of this call.
pub(super) fn check(file: Option<PathBuf>, mut source: LoadSource) -> Exit {
    source.file = file.or(source.file);
    match Config::load(&source) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                complain(&format!("warning: {warning}"));
            }
            let name = loaded.file.map_or_else(|| "no file, defaults".to_owned(), |file| file.display().to_string());
            say(&format!("{name}: valid, {}", count(loaded.warnings.len(), "warning")));
            Exit::Ok
        }
        Err(errors) => {
            refuse(&errors);
            complain(&count(errors.0.len(), "error"));
            Exit::Configuration
        }
    }
}

/// Prints a file with every key.
pub(super) fn sample() -> Exit {
    say(sample::yaml().trim_end());
    Exit::Ok
}

/// Prints the table of keys.
pub(super) fn docs() -> Exit {
    say(docs::markdown().trim_end());
    Exit::Ok
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
