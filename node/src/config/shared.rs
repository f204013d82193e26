//! What all nodes of a cluster share of the configuration: users, `pathDefaults`, `paths`, and whatever else the table of keys
//! calls shared. Values are JSON, and only what somebody set is there.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::error::{Origin, Problem};
use super::keys::{self, Key, Scope, Table};
use super::layers::{Layers, Level, Values};
use super::{json, paths};

/// Keys and their values.
pub type KeyValues = BTreeMap<String, Json>;

/// The shared part of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Shared {
    /// Keys of the top level.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub global: KeyValues,
    /// `pathDefaults`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub path_defaults: KeyValues,
    /// `paths`, by name.
    pub paths: BTreeMap<String, KeyValues>,
}

/// A key that has another value, or is there only once. Secrets are not shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Its dotted name: `paths.cam.source`; `paths.cam` for the path itself.
    pub key: String,
    /// Before; none when it was not set.
    pub from: Option<Json>,
    /// Afterwards; none when it is not set.
    pub to: Option<Json>,
}

/// Whether a key of the top level is the cluster's.
pub(crate) fn is_shared(key: &Key) -> bool {
    key.scope == Scope::Cluster
}

impl Shared {
    /// What the layers say.
    pub(crate) fn of(layers: &Layers) -> Self {
        let global = layers.global.iter().filter(|(name, _)| keys::GLOBAL.find(name).is_some_and(is_shared));
        let mut paths: BTreeMap<String, KeyValues> =
            layers.paths.iter().map(|(name, layer)| (name.clone(), values(&layer.values))).collect();
        if layers.has_implicit_path() {
            paths.insert(paths::ALL_OTHERS.to_owned(), KeyValues::new());
        }
        Self {
            global: global.map(|(name, setting)| ((*name).to_owned(), json::of(&setting.value))).collect(),
            path_defaults: values(&layers.path_defaults),
            paths,
        }
    }

    /// All that is set, by dotted names.
    fn flat(&self) -> BTreeMap<String, (&'static Table, &str, Option<&Json>)> {
        let mut all = BTreeMap::new();
        for (key, value) in &self.global {
            all.insert(key.clone(), (&keys::GLOBAL, key.as_str(), Some(value)));
        }
        for (key, value) in &self.path_defaults {
            all.insert(format!("pathDefaults.{key}"), (&keys::PATH, key.as_str(), Some(value)));
        }
        for (name, values) in &self.paths {
            all.insert(format!("paths.{name}"), (&keys::PATH, "", None));
            for (key, value) in values {
                all.insert(format!("paths.{name}.{key}"), (&keys::PATH, key.as_str(), Some(value)));
            }
        }
        all
    }

    /// What is to be changed to come from this to the other, by name.
    pub fn differences(&self, to: &Self) -> Vec<Difference> {
        let (before, after) = (self.flat(), to.flat());
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let show = |found: Option<&(&'static Table, &str, Option<&Json>)>| {
            let (table, key, value) = found?;
            let kind = table.find(key).map(|key| key.kind);
            Some(match (kind, value) {
                (Some(kind), Some(value)) => json::shown(&kind, value),
                // A key that this version does not know may be a secret.
                (None, Some(_)) => json::REDACTED.into(),
                (_, None) => Json::Object(serde_json::Map::new()),
            })
        };
        let differs = |name: &&&String| before.get(**name).map(|it| it.2) != after.get(**name).map(|it| it.2);
        let difference =
            |name: &String| Difference { key: name.clone(), from: show(before.get(name)), to: show(after.get(name)) };
        names.iter().filter(differs).map(|name| difference(name)).collect()
    }
}

fn values(values: &Values) -> KeyValues {
    values.iter().map(|(name, setting)| ((*name).to_owned(), json::of(&setting.value))).collect()
}

impl Layers {
    /// Puts this in place of all that the layers say of what is shared. What cannot be taken is among the problems.
    pub(crate) fn replace_shared(&mut self, shared: &Shared, origin: &Origin) {
        self.global.retain(|name, _| !keys::GLOBAL.find(name).is_some_and(is_shared));
        self.path_defaults.clear();
        self.paths.clear();
        self.file_has_paths = true;
        for (key, value) in &shared.global {
            if keys::GLOBAL.find(key).is_none_or(is_shared) {
                self.apply_json(Level::Global, key, origin, value);
            }
        }
        for (key, value) in &shared.path_defaults {
            self.apply_json(Level::PathDefaults, key, origin, value);
        }
        for (name, values) in &shared.paths {
            self.add_path(name, origin);
            for (key, value) in values {
                self.apply_json(Level::Path(name), key, origin, value);
            }
        }
    }

    pub(crate) fn apply_json(&mut self, level: Level<'_>, key: &str, origin: &Origin, value: &Json) {
        self.apply_entry(level, key, origin, &std::sync::Arc::new(json::node(value, origin)));
    }
}

/// Problems in one line, for an answer to who wrote them.
pub(crate) fn in_a_line(problems: &[Problem]) -> String {
    problems.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>().join("; ")
}
