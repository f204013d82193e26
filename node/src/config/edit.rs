//! A change of the shared configuration that somebody asks for, checked as a file is.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::error::{Origin, Problem};
use super::json;
use super::keys::{self, Scope, Table};
use super::layers::{Layers, Level};
use super::shared::{KeyValues, Shared, in_a_line, is_shared};

/// Fields of a request, by the names of keys. `null` takes what was set away.
pub type Fields = Map<String, Json>;

/// A change.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// Sets keys of the top level that are shared.
    Global(Fields),
    /// Sets keys of `pathDefaults`.
    Defaults(Fields),
    /// A path that is not there yet.
    AddPath(String, Fields),
    /// Sets keys of a path that is there.
    PatchPath(String, Fields),
    /// A path with these keys and no others, whether it is there or not.
    ReplacePath(String, Fields),
    /// A path is there no more.
    DeletePath(String),
    /// This and nothing else, from a file of this name.
    Import(String, Shared),
    /// What revision so-and-so said.
    Rollback(u64, Shared),
}

impl Edit {
    /// Equal for equal changes, and for no others. It is the same in every release, and whatever the node's own file says.
    pub fn fingerprint(&self) -> String {
        let (tag, name, fields) = match self {
            Self::Global(fields) => ("global", "", canonical(fields)),
            Self::Defaults(fields) => ("defaults", "", canonical(fields)),
            Self::AddPath(name, fields) => ("add", name.as_str(), canonical(fields)),
            Self::PatchPath(name, fields) => ("patch", name.as_str(), canonical(fields)),
            Self::ReplacePath(name, fields) => ("replace", name.as_str(), canonical(fields)),
            Self::DeletePath(name) => ("delete", name.as_str(), String::new()),
            Self::Import(file, shared) => ("import", file.as_str(), canonical(shared)),
            // The revision alone: over what the rest lies is no part of the wish.
            Self::Rollback(revision, _) => ("rollback", "", revision.to_string()),
        };
        let digest = digest::digest(&digest::SHA256, Json::from(vec![tag, name, &fields]).to_string().as_bytes());
        digest.as_ref().iter().take(FINGERPRINT_BYTES).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// As text, with keys in the order of the alphabet at each depth.
fn canonical(fields: &impl Serialize) -> String {
    fn sorted(json: &Json) -> Json {
        match json {
            Json::Object(fields) => {
                let fields: BTreeMap<_, _> = fields.iter().map(|(key, value)| (key, sorted(value))).collect();
                fields.into_iter().map(|(key, value)| (key.clone(), value)).collect()
            }
            Json::Array(items) => items.iter().map(sorted).collect(),
            other => other.clone(),
        }
    }
    // Maps with texts as keys: nothing of it can fail.
    serde_json::to_value(fields).map_or_else(|_| String::new(), |json| sorted(&json).to_string())
}

/// Enough that nobody meets two changes of one.
const FINGERPRINT_BYTES: usize = 16;

/// Why a change cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// It makes no sense; what, and what to do about it.
    #[error("{0}")]
    Invalid(String),
    /// The path is not there.
    #[error("path configuration not found")]
    NotFound,
}

impl Edit {
    /// In words, for the history.
    pub fn what(&self) -> String {
        match self {
            Self::Global(_) => "patch global".into(),
            Self::Defaults(_) => "patch pathDefaults".into(),
            Self::AddPath(name, _) => format!("add path {name}"),
            Self::PatchPath(name, _) => format!("patch path {name}"),
            Self::ReplacePath(name, _) => format!("replace path {name}"),
            Self::DeletePath(name) => format!("delete path {name}"),
            Self::Import(file, _) => format!("import {file}"),
            Self::Rollback(revision, _) => format!("rollback to {revision}"),
        }
    }

    /// What is to be in force, out of what is, where a node's file says `file`.
    pub fn apply(&self, now: &Shared, file: Option<&Shared>) -> Result<Shared, EditError> {
        let mut wanted = now.clone();
        match self {
            Self::Global(fields) => {
                let (set, unset) = checked(Level::Global, fields, &now.global)?;
                wanted.global.extend(set);
                for key in unset {
                    // Over a file, an edit is taken back; what the file says holds again.
                    match file.and_then(|file| file.global.get(&key)) {
                        Some(value) => drop(wanted.global.insert(key, value.clone())),
                        None => drop(wanted.global.remove(&key)),
                    }
                }
            }
            Self::Defaults(fields) => {
                patch(&mut wanted.path_defaults, checked(Level::PathDefaults, fields, &now.path_defaults)?);
            }
            Self::AddPath(name, _) if now.paths.contains_key(name) => {
                return Err(EditError::Invalid("path already exists".into()));
            }
            Self::AddPath(name, fields) | Self::ReplacePath(name, fields) => {
                let old = now.paths.get(name).cloned().unwrap_or_default();
                let (set, _) = checked(Level::Path(name), fields, &old)?;
                wanted.paths.insert(name.clone(), set);
            }
            Self::PatchPath(name, fields) => {
                let path = wanted.paths.get_mut(name).ok_or(EditError::NotFound)?;
                let changes = checked(Level::Path(name), fields, path)?;
                patch(path, changes);
            }
            Self::DeletePath(name) => {
                wanted.paths.remove(name).ok_or(EditError::NotFound)?;
            }
            Self::Import(_, shared) | Self::Rollback(_, shared) => wanted = shared.clone(),
        }
        Ok(wanted)
    }
}

fn patch(values: &mut KeyValues, (set, unset): (KeyValues, Vec<String>)) {
    values.extend(set);
    unset.iter().for_each(|key| drop(values.remove(key)));
}

/// The fields under the names and in the form in which they are kept, and those that are to be taken away.
fn checked(level: Level<'_>, fields: &Fields, old: &KeyValues) -> Result<(KeyValues, Vec<String>), EditError> {
    let mut layers = Layers::default();
    if let Level::Path(name) = level {
        layers.add_path(name, &Origin::Request);
    }
    let mut unset = Vec::new();
    for (name, written) in fields {
        if let (Level::Path(path), "name", Some(said)) = (level, name.as_str(), written.as_str()) {
            // As it is shown.
            if said != path {
                layers.problem(&Origin::Request, format!("`name` is `{said}`, but the path is `{path}`"));
            }
            continue;
        }
        let key = level.table().find(name);
        if let Some(key) = key.filter(|_| written.is_null()).filter(|key| !key.kind.is_list()) {
            unset.push(key.name.to_owned());
            continue;
        }
        let kind = key.map_or(keys::Kind::Text, |key| key.kind);
        match json::with_secrets(&kind, written, old.get(name)) {
            Some(value) => layers.apply_json(level, name, &Origin::Request, &value),
            None => layers.problem(&Origin::Request, format!("`{name}` says {}: write the secret", json::REDACTED)),
        }
    }
    if !layers.problems.is_empty() {
        return Err(EditError::Invalid(in_a_line(&layers.problems)));
    }
    let Shared { global, path_defaults, mut paths } = Shared::of(&layers);
    let set = match level {
        Level::Global => global,
        Level::PathDefaults => path_defaults,
        Level::Path(name) => paths.remove(name).unwrap_or_default(),
    };
    Ok((set, unset))
}

/// The fields of a request for the top level, apart: what the cluster shares, and what is this node's.
pub fn split(fields: Fields) -> Result<(Fields, BTreeMap<String, Json>), EditError> {
    let (mut shared, mut own, mut problems) = (Fields::new(), BTreeMap::new(), Vec::new());
    for (name, value) in fields {
        let found = keys::GLOBAL.find(&name);
        match name.as_str() {
            "pathDefaults" | "paths" => {
                problems.push(format!("`{name}` is not changed here, but under /v3/config/{}", name.to_lowercase()));
            }
            old if keys::GLOBAL.find_deprecated(old).is_some() => {
                problems.extend(keys::GLOBAL.find_deprecated(old).map(keys::Deprecated::advice));
            }
            "cluster" | "mode" | "dataDir" => {
                problems.push(format!("`{name}` belongs to the file: it is needed before anything else is known"));
            }
            _ if found.is_some_and(is_shared) => drop(shared.insert(name, value)),
            _ => drop(own.insert(name, value)),
        }
    }
    if problems.is_empty() { Ok((shared, own)) } else { Err(EditError::Invalid(problems.join("; "))) }
}

/// Looks at this node's own keys in a request: names and values, not yet what must hold between them.
pub fn check_own(own: &BTreeMap<String, Json>, old: &KeyValues) -> Result<(KeyValues, Vec<String>), EditError> {
    let fields: Fields = own.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let mut layers = Layers::default();
    let mut unset = Vec::new();
    for (name, written) in &fields {
        match keys::GLOBAL.find(name) {
            Some(key) if written.is_null() && !key.kind.is_list() => unset.push(name.clone()),
            found => {
                let kind = found.map_or(keys::Kind::Text, |key| key.kind);
                let value = json::with_secrets(&kind, written, old.get(name));
                layers.apply_json(Level::Global, name, &Origin::Request, &value.unwrap_or_else(|| written.clone()));
            }
        }
    }
    if !layers.problems.is_empty() {
        return Err(EditError::Invalid(in_a_line(&layers.problems)));
    }
    let set = layers.global.iter().map(|(name, setting)| ((*name).to_owned(), json::of(&setting.value)));
    Ok((set.collect(), unset))
}

/// A problem as who asked should read it.
pub(crate) fn invalid(problems: &[Problem]) -> EditError {
    EditError::Invalid(in_a_line(problems))
}

/// Every key of a table with its value, as it is shown.
pub(crate) fn all(table: &'static Table, layered: &[&KeyValues], own: impl Fn(&keys::Key) -> Option<Json>) -> Fields {
    let keys = table.keys().filter(|key| !matches!(key.kind, keys::Kind::PathKeys | keys::Kind::Paths));
    let value = |key: &'static keys::Key| {
        let set = layered.iter().find_map(|values| values.get(key.name)).cloned().or_else(|| own(key));
        let default = || super::build::default_value(table, key.name).map(|value| json::of(&value));
        let value = set.or_else(default).unwrap_or_default();
        (key.name.to_owned(), json::shown(&key.kind, &value))
    };
    keys.map(value).collect()
}

/// Whether a key belongs to the node, for what is said of a file that is imported.
pub(crate) fn is_own(name: &str) -> bool {
    keys::GLOBAL.find(name).is_some_and(|key| key.scope != Scope::Cluster)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_changes_have_equal_fingerprints_and_others_have_not() {
        let fields = |text: &str| serde_json::from_str::<Fields>(text).unwrap();
        let patch = |text: &str| Edit::PatchPath("cam".into(), fields(text)).fingerprint();
        let once = patch(r#"{"source": "publisher", "recordPath": {"a": 1, "b": 2}}"#);
        assert_eq!(once, patch(r#"{"recordPath": {"b": 2, "a": 1}, "source": "publisher"}"#), "in another order");
        assert_ne!(once, patch(r#"{"source": "publisher"}"#));
        let [add, replace] =
            [Edit::AddPath, Edit::ReplacePath].map(|kind| kind("a".into(), Fields::default()).fingerprint());
        assert_ne!(add, replace);
        let rollback = |name: &str| {
            let shared = Shared { paths: [(name.to_owned(), KeyValues::new())].into(), ..Shared::default() };
            Edit::Rollback(12, shared).fingerprint()
        };
        assert_eq!(rollback("a"), rollback("b"), "whatever lies under it now");
        assert_eq!(patch("{}"), "8349cb5547b1ec0a4ca287b92e5a752b", "the same in every release");
    }
}
