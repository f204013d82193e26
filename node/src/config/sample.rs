//! The shipped configuration file: every key with its default and what it does, made from the table of keys.

use std::fmt::Write;

use super::keys::{self, Group, Key, Kind};

/// The whole file. `weft config sample` prints it.
pub fn yaml() -> String {
    let mut file = String::from(HEAD);
    for Group { title, keys } in keys::GLOBAL.groups {
        let keys: Vec<&Key> = keys.iter().filter(|key| !matches!(key.kind, Kind::PathKeys | Kind::Paths)).collect();
        if !keys.is_empty() {
            heading(&mut file, "", title);
            keys.into_iter().for_each(|key| entry(&mut file, "", key));
        }
    }
    file.push_str(DEFAULTS);
    for Group { title, keys } in keys::PATH.groups {
        heading(&mut file, "  ", title);
        keys.iter().for_each(|key| entry(&mut file, "  ", key));
    }
    file.push_str(PATHS);
    file
}

const HEAD: &str = "\
# Weft's configuration: every key with the value that it has when nobody sets it. A file needs only what it changes.
#
# Made by `weft config sample`. Also as environment variables (WEFT_LOGLEVEL, MTX_LOGLEVEL) and flags (--set logLevel=debug).
# `weft config check FILE` says what is wrong with a file; a running node takes a changed file at once, or leaves it
# as a whole and says why. Keys marked (not yet) are accepted and have no effect in this version.
";

const DEFAULTS: &str = "
###############################################
# Paths
#
# What every path has unless it says otherwise.

pathDefaults:
";

const PATHS: &str = "
###############################################
# Paths by name. A name that begins with `~` is a regular expression. Names are looked up as they are, then in the
# expressions in their order, then in `all_others`.

paths:
  # cam/front: {maxReaders: 50}
  # '~^guest/.+$': {overridePublisher: no}
  all_others: {}
";

fn heading(file: &mut String, indent: &str, title: &str) {
    let _ = write!(file, "\n{indent}###############################################\n{indent}# {title}\n\n");
}

fn entry(file: &mut String, indent: &str, key: &Key) {
    let not_yet = if key.since.is_none() { " (not yet)" } else { "" };
    let _ = writeln!(file, "{indent}# {}{not_yet}", key.doc);
    match key.kind {
        // An empty section says nothing; it is shown as a user would begin it.
        Kind::Section(inner) => {
            let _ = writeln!(file, "{indent}# {}:", key.name);
            inner.iter().for_each(|key| entry(file, &format!("{indent}#   "), key));
        }
        kind => {
            let _ = writeln!(file, "{indent}{}: {}", key.name, value(kind, key.default));
        }
    }
}

/// Texts are quoted where YAML would take them for something else.
fn value(kind: Kind, default: &str) -> String {
    let is_text = matches!(kind, Kind::Text | Kind::Secret | Kind::OptionalAddress);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/:".contains(c);
    let is_number = default.parse::<f64>().is_ok();
    if default.is_empty() || is_text && (is_number || !default.chars().all(is_plain)) {
        return format!("'{}'", default.replace('\'', "''"));
    }
    default.to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::{Config, LoadSource};
    use super::*;

    #[test]
    fn the_shipped_file_is_up_to_date() {
        let shipped = include_str!("../../../deploy/weft.yml");
        assert!(shipped == yaml(), "run: cargo run -p weft-node -- config sample > deploy/weft.yml");
    }

    #[test]
    fn it_names_every_key_and_changes_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weft.yml");
        std::fs::write(&file, yaml()).unwrap();
        let loaded = Config::load(&LoadSource::file(&file)).unwrap_or_else(|errors| panic!("{errors}"));
        let defaults = Config::load(&LoadSource::default()).unwrap();
        assert_eq!(loaded.config, defaults.config);
        assert_eq!(loaded.settings.changed(&defaults.settings), []);
        for key in
            keys::GLOBAL.keys().filter(|key| !matches!(key.kind, Kind::Section(_) | Kind::PathKeys | Kind::Paths))
        {
            assert!(loaded.settings.is_set(key.name), "{} is missing", key.name);
        }
        for key in keys::PATH.keys() {
            assert!(loaded.settings.is_set(&format!("pathDefaults.{}", key.name)), "{} is missing", key.name);
        }
    }
}
