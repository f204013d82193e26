//! The layers laid over each other: which value each key has in the end, and who said so.
//!
//! The loader applies the file first, then single keys from the environment and the command line; the last word wins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weft_proto::id::PathName;

use super::check::{check, parse_raw};
use super::error::{Origin, Problem, Spot, suggestion};
use super::keys::{self, Deprecated, Key, Kind, Now, Table};
use super::tree::{Body, Entry, Node, Style};
use super::value::{Address, Value};

/// A value and who said so.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

/// Values by key. Only what somebody set: the rest is in the table.
pub(crate) type Values = BTreeMap<&'static str, Setting>;

/// A path that somebody named.
#[derive(Clone, Debug)]
pub(crate) struct PathLayer {
    pub(crate) origin: Origin,
    pub(crate) values: Values,
}

/// What was said so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    pub(crate) global: Values,
    pub(crate) path_defaults: Values,
    pub(crate) paths: BTreeMap<String, PathLayer>,
    /// Keys of sections by their dotted names, as `cluster.node`.
    pub(crate) sections: BTreeMap<String, Setting>,
    /// Whether the file has a `paths` key, so that it alone says which paths there are.
    pub(crate) file_has_paths: bool,
    /// What was said of keys of the top level before an edit of the API was laid over them.
    pub(crate) beneath: BTreeMap<String, Option<Value>>,
    /// Global keys whose value was refused: rules between keys leave them alone.
    pub(crate) refused: BTreeSet<&'static str>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
}

/// Which level of the file a key is on.
#[derive(Clone, Copy)]
pub(crate) enum Level<'a> {
    Global,
    PathDefaults,
    Path(&'a str),
}

impl Level<'_> {
    pub(crate) fn table(self) -> &'static Table {
        match self {
            Self::Global => &keys::GLOBAL,
            Self::PathDefaults | Self::Path(_) => &keys::PATH,
        }
    }
}

impl Layers {
    /// Whether `all_others` is there although nobody named it: when no file says which paths there are.
    pub(crate) fn has_implicit_path(&self) -> bool {
        !self.file_has_paths && !self.paths.keys().any(|name| super::paths::is_catch_all(name))
    }

    /// Lays a whole file over what is there.
    pub(crate) fn apply_file(&mut self, root: &Node) {
        if let Body::Map(entries) = &root.body {
            self.file_has_paths = entries.iter().any(|entry| entry.key == "paths");
        }
        self.apply_map(Level::Global, root);
    }

    /// Sets one key, named as `key`, `pathDefaults.key`, `paths.NAME.key` or `cluster.key`.
    pub(crate) fn apply_key(&mut self, dotted: &str, origin: &Origin, text: &str) {
        let node = Arc::new(Node::raw(origin, text));
        if let Some(key) = dotted.strip_prefix("pathDefaults.") {
            return self.apply_entry(Level::PathDefaults, key, origin, &node);
        }
        if let Some(rest) = dotted.strip_prefix("paths.") {
            let Some((name, key)) = rest.rsplit_once('.') else {
                return self.problem(origin, format!("expected `paths.NAME.KEY`, found `{dotted}`"));
            };
            self.add_path(name, origin);
            return self.apply_entry(Level::Path(name), key, origin, &node);
        }
        if let Some(key) = dotted.strip_prefix("cluster.") {
            return self.apply_cluster_key(key, origin, &node);
        }
        self.apply_entry(Level::Global, dotted, origin, &node);
    }

    /// Replaces the port of a listener's address and leaves its host.
    pub(crate) fn apply_port(&mut self, name: &'static str, origin: &Origin, port: u16) {
        let Some(key) = keys::GLOBAL.find(name) else { return };
        let host = match self.global.get(name) {
            Some(Setting { value: Value::Address(address), .. }) => address.host.clone(),
            _ => Address::parse(key.default).map_or_else(String::new, |address| address.host),
        };
        let value = Value::Address(Address { host, port });
        self.global.insert(key.name, Setting { value, origin: origin.clone() });
    }

    fn apply_map(&mut self, level: Level<'_>, node: &Node) {
        let Body::Map(entries) = &node.body else {
            return self.problem(&node.origin, "expected keys and values, as in `logLevel: debug`");
        };
        // Deprecated keys first, so that a current key beside them wins.
        let is_old = |entry: &&Entry| level.table().find_deprecated(&entry.key).is_some();
        for entry in entries.iter().filter(is_old).chain(entries.iter().filter(|entry| !is_old(entry))) {
            self.apply_entry(level, &entry.key, &entry.origin, &entry.value);
        }
    }

    pub(crate) fn apply_entry(&mut self, level: Level<'_>, name: &str, origin: &Origin, node: &Arc<Node>) {
        if let Some(key) = level.table().find(name) {
            self.apply(level, key, origin, node);
        } else if let Some(old) = level.table().find_deprecated(name) {
            self.apply_deprecated(level, old, origin, node);
        } else {
            let message = format!("unknown key `{name}`{}", hint(level, name));
            self.problem(origin, message);
        }
    }

    fn apply(&mut self, level: Level<'_>, key: &'static Key, origin: &Origin, node: &Arc<Node>) {
        let map = self.as_map(key, node);
        match key.kind {
            Kind::PathKeys => self.apply_section(&map, |layers, map| layers.apply_map(Level::PathDefaults, map)),
            Kind::Paths => self.apply_section(&map, Self::apply_paths),
            Kind::Section(table) => {
                self.apply_section(&map, |layers, map| layers.check_section(key.name, table, map));
                self.set(level, key.name, Value::Unkept, origin);
            }
            _ => {
                let before = self.problems.len();
                if let Some(value) = check(node, key.name, &key.kind, &mut self.problems) {
                    self.set(level, key.name, value, &place(origin, node));
                } else if self.problems.len() > before {
                    self.refused.insert(key.name);
                }
            }
        }
    }

    /// A section given as text in the environment or on the command line is YAML.
    fn as_map(&mut self, key: &Key, node: &Arc<Node>) -> Arc<Node> {
        match &node.body {
            Body::Scalar(text, Style::Raw) if matches!(key.kind, Kind::PathKeys | Kind::Paths | Kind::Section(_)) => {
                parse_raw(node, text, &mut self.problems).unwrap_or_else(|| node.clone())
            }
            _ => node.clone(),
        }
    }

    fn apply_section(&mut self, node: &Node, then: impl FnOnce(&mut Self, &Node)) {
        if !node.is_null() {
            then(self, node);
        }
    }

    fn apply_paths(&mut self, node: &Node) {
        let Body::Map(entries) = &node.body else {
            return self.problem(&node.origin, "expected path names, each with its keys below it");
        };
        for entry in entries {
            self.add_path(&entry.key, &entry.origin);
            if !entry.value.is_null() {
                self.apply_map(Level::Path(&entry.key), &entry.value);
            }
        }
    }

    pub(crate) fn add_path(&mut self, name: &str, origin: &Origin) {
        if self.paths.contains_key(name) {
            return;
        }
        if let Some(expression) = name.strip_prefix('~') {
            if let Err(error) = regex::Regex::new(expression) {
                let reason = error.to_string().lines().last().unwrap_or_default().to_owned();
                self.problem(origin, format!("`{name}` is not a regular expression: {reason}"));
            }
        } else if let Err(error) = PathName::new(name) {
            self.problem(origin, format!("`{}` cannot be a path: {error}", name.escape_default()));
        }
        self.paths.insert(name.to_owned(), PathLayer { origin: origin.clone(), values: Values::new() });
    }

    fn apply_deprecated(&mut self, level: Level<'_>, old: &Deprecated, origin: &Origin, node: &Arc<Node>) {
        self.warnings.push(Problem::new(origin, old.advice()));
        match old.now {
            Now::Is(new) => self.apply_entry(level, new, origin, node),
            Now::OneOf(new) => {
                let list = Node { origin: origin.clone(), body: Body::List(vec![node.clone()]) };
                self.apply_entry(level, new, origin, &Arc::new(list));
            }
            Now::PathDefault(new) => self.apply_entry(Level::PathDefaults, new, origin, node),
            Now::IsNot(new) => {
                let value = check(node, old.name, &Kind::Bool, &mut self.problems);
                if let (Some(Value::Bool(is)), Some(key)) = (value, level.table().find(new)) {
                    self.set(level, key.name, Value::Bool(!is), origin);
                }
            }
            Now::See(_) | Now::Gone => {}
        }
    }

    /// Keys of a section are kept by their dotted names.
    fn check_section(&mut self, parent: &str, table: &'static [Key], node: &Node) {
        let Body::Map(entries) = &node.body else {
            return self.problem(&node.origin, format!("`{parent}` expects a map of keys"));
        };
        for Entry { key: name, origin, value } in entries {
            let dotted = format!("{parent}.{name}");
            match table.iter().find(|key| key.name == name) {
                Some(Key { kind: Kind::Section(inner), .. }) => {
                    self.apply_section(value, |layers, map| layers.check_section(&dotted, inner, map));
                }
                Some(key) => {
                    if let Some(checked) = check(value, &dotted, &key.kind, &mut self.problems) {
                        self.sections.insert(dotted, Setting { value: checked, origin: place(origin, value) });
                    }
                }
                None => {
                    let hint = suggestion(name, table.iter().map(|key| key.name));
                    self.problem(origin, format!("unknown key `{dotted}`{hint}"));
                }
            }
        }
    }

    fn apply_cluster_key(&mut self, dotted: &str, origin: &Origin, node: &Arc<Node>) {
        let mut wrapped = node.clone();
        for key in dotted.rsplit('.') {
            let entry = Entry { key: key.to_owned(), origin: origin.clone(), value: wrapped };
            wrapped = Arc::new(Node { origin: origin.clone(), body: Body::Map(vec![entry]) });
        }
        self.apply_entry(Level::Global, "cluster", origin, &wrapped);
    }

    fn set(&mut self, level: Level<'_>, name: &'static str, value: Value, origin: &Origin) {
        let values = match level {
            Level::Global => &mut self.global,
            Level::PathDefaults => &mut self.path_defaults,
            Level::Path(path) => match self.paths.get_mut(path) {
                Some(layer) => &mut layer.values,
                None => return,
            },
        };
        values.insert(name, Setting { value, origin: origin.clone() });
    }

    pub(crate) fn problem(&mut self, origin: &Origin, message: impl Into<String>) {
        self.problems.push(Problem::new(origin, message));
    }
}

/// Where a setting is: its key and value, or its key only when the value came through an alias.
fn place(key: &Origin, value: &Node) -> Origin {
    match (key, &value.origin) {
        (Origin::File(file, key), Origin::File(_, value)) if key.line == value.line && value.width < usize::MAX => {
            let width = (value.column + value.width).saturating_sub(key.column);
            Origin::File(file.clone(), Spot { width, ..*key })
        }
        _ => key.clone(),
    }
}

/// What to do about an unknown key.
fn hint(level: Level<'_>, name: &str) -> String {
    match level {
        Level::Global if keys::PATH.find(name).is_some() => "; it belongs to a path or to `pathDefaults`".to_owned(),
        Level::PathDefaults | Level::Path(_) if keys::GLOBAL.find(name).is_some() => {
            "; it belongs to the top level".to_owned()
        }
        _ => suggestion(name, level.table().keys().map(|key| key.name)),
    }
}
