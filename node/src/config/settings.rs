//! What was set, by dotted key: to say what differs between two configurations.

use std::collections::{BTreeMap, BTreeSet};

use super::build::default_value;
use super::keys::{self, Reload, Table};
use super::layers::{Layers, Values};
use super::value::Value;

/// The values that somebody set: `logLevel`, `pathDefaults.maxReaders`, `paths.cam.source`; `paths.cam` for its being there.
#[derive(Clone, Debug, Default)]
pub struct Settings(BTreeMap<String, Value>);

/// A key whose value differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Its dotted name. Values are not said: some are secrets.
    pub key: String,
    /// When the change takes effect.
    pub reload: Reload,
}

impl Settings {
    /// What the layers hold.
    pub(crate) fn of(layers: &Layers) -> Self {
        let mut all = BTreeMap::new();
        add(&mut all, "", &layers.global);
        add(&mut all, "pathDefaults.", &layers.path_defaults);
        if layers.has_implicit_path() {
            all.insert("paths.all_others".to_owned(), Value::Unkept);
        }
        for (name, layer) in &layers.paths {
            all.insert(format!("paths.{name}"), Value::Unkept);
            add(&mut all, &format!("paths.{name}."), &layer.values);
        }
        Self(all)
    }

    /// Whether somebody set a key.
    pub fn is_set(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// The keys whose values differ, by name. To set a key to its default changes nothing.
    pub fn changed(&self, other: &Self) -> Vec<Changed> {
        let keys: BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        let differs = |key: &&&String| self.value(key) != other.value(key);
        keys.iter().filter(differs).map(|key| Changed { key: (**key).clone(), reload: reload(key) }).collect()
    }

    fn value(&self, key: &str) -> Option<Value> {
        if let Some(value) = self.0.get(key) {
            return Some(value.clone());
        }
        match table(key) {
            (table, Level::Whole, name) => default_value(table, name),
            (table, Level::Defaults, name) => default_value(table, name),
            // What a path does not say, `pathDefaults` says.
            (_, Level::Path, name) => {
                let inherited = format!("pathDefaults.{name}");
                self.0.get(&inherited).cloned().or_else(|| default_value(&keys::PATH, name))
            }
            (_, Level::PathItself, _) => None,
        }
    }
}

fn add(all: &mut BTreeMap<String, Value>, prefix: &str, values: &Values) {
    all.extend(values.iter().map(|(name, setting)| (format!("{prefix}{name}"), setting.value.clone())));
}

enum Level {
    Whole,
    Defaults,
    Path,
    PathItself,
}

/// The table that a dotted key is in, and its name there.
fn table(key: &str) -> (&'static Table, Level, &str) {
    if let Some(name) = key.strip_prefix("pathDefaults.") {
        return (&keys::PATH, Level::Defaults, name);
    }
    match key.strip_prefix("paths.") {
        // Path names have dots, keys have none.
        Some(rest) => match rest.rsplit_once('.').filter(|(_, name)| keys::PATH.find(name).is_some()) {
            Some((_, name)) => (&keys::PATH, Level::Path, name),
            None => (&keys::PATH, Level::PathItself, rest),
        },
        None => (&keys::GLOBAL, Level::Whole, key),
    }
}

fn reload(key: &str) -> Reload {
    let (table, _, name) = table(key);
    table.find(name).map_or(Reload::Now, |key| key.reload)
}

#[cfg(test)]
mod tests {
    use super::super::{Config, LoadSource};
    use super::*;

    fn settings(text: &str) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weft.yml");
        std::fs::write(&file, text).unwrap();
        Config::load(&LoadSource::file(&file)).unwrap_or_else(|errors| panic!("{errors}")).settings
    }

    fn changed(old: &str, new: &str) -> Vec<String> {
        settings(new).changed(&settings(old)).into_iter().map(|changed| changed.key).collect()
    }

    #[test]
    fn only_what_differs_in_effect_has_changed() {
        assert_eq!(changed("logLevel: info\n", "rtspAddress: :8554\n"), [""; 0]);
        assert_eq!(changed("logLevel: info\n", "logLevel: debug\n"), ["logLevel"]);
        assert_eq!(changed("paths: {a.b: {}}\n", "paths: {a.b: {maxReaders: 1}}\n"), ["paths.a.b.maxReaders"]);
        assert_eq!(changed("paths: {a: {}}\n", "paths: {b: {}}\n"), ["paths.a", "paths.b"]);
        let inherited = "pathDefaults: {maxReaders: 3}\npaths: {a: {}}\n";
        assert_eq!(changed(inherited, "pathDefaults: {maxReaders: 3}\npaths: {a: {maxReaders: 3}}\n"), [""; 0]);
    }

    #[test]
    fn keys_that_wait_for_a_restart_say_so() {
        let changed = settings("workers: 3\nreadTimeout: 1s\n").changed(&settings(""));
        let when: Vec<Reload> = changed.iter().map(|changed| changed.reload).collect();
        assert_eq!(when, [Reload::Now, Reload::Restart]);
    }
}
