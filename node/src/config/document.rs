//! The configuration as the nodes agree on it: one text for each revision.
//!
//! In a cluster a document is *whole*: it alone says what is shared. On a node that is alone it holds *edits*, which lie over
//! the node's file: a path that somebody added, a key that has another value. Unknown fields are passed over, so that an
//! older node reads what a newer one wrote.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::shared::{KeyValues, Shared};

/// One revision's text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Document {
    /// All that is shared, where it is whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whole: Option<Shared>,
    /// What lies over the file, where it is not.
    #[serde(skip_serializing_if = "Edits::is_empty")]
    pub edits: Edits,
    /// How it came about.
    pub write: Write,
    /// The ids of the last writes, this one's last: a write that is tried again is found here, and not done twice.
    #[serde(skip_serializing_if = "VecDeque::is_empty")]
    pub recent: VecDeque<String>,
    /// What they were ([`super::Edit::fingerprint`]), by their ids, as far as that is known: older programs write none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fingerprints: BTreeMap<String, String>,
}

/// How a revision came about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Write {
    /// When, by the clock of the node that was asked: microseconds since 1970.
    pub at_micros: i64,
    /// The label of that node.
    pub node: String,
    /// Who asked, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What was asked: `add path cam`, `import weft.yml`, `rollback to 12`.
    pub what: String,
    /// Dotted names of what has changed, as many as [`CHANGED_MAX`].
    pub changed: Vec<String>,
    /// How many more have.
    pub more: usize,
}

/// What lies over a file. A value of `null` takes what the file says away.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Edits {
    /// Keys of the top level.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub global: KeyValues,
    /// `pathDefaults`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub path_defaults: KeyValues,
    /// Paths; none for one that is deleted.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub paths: BTreeMap<String, Option<PathEdit>>,
}

/// What was done to a path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PathEdit {
    /// It is not the file's: it was added.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub added: bool,
    /// Its keys.
    pub keys: KeyValues,
}

/// Names of changed keys that a revision carries.
const CHANGED_MAX: usize = 32;

/// Ids of writes that a document carries. A write is tried for `claimTimeout`, 3 s, and seldom are 40 a second made.
const RECENT_MAX: usize = 128;

impl Document {
    /// Reads a revision's text. One that is not to be understood is none.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The text.
    pub fn text(&self) -> String {
        // Maps with texts as keys: nothing of it can fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What is in force where a node's own file says this.
    pub fn over(&self, file: &Shared) -> Shared {
        self.whole.clone().unwrap_or_else(|| self.edits.over(file))
    }

    /// The document that brings `wanted` into force after this one, and under this id.
    pub fn next(&self, wanted: Shared, file: &Shared, whole: bool, id: &str, mut write: Write) -> Self {
        let changed = self.over(file).differences(&wanted);
        write.changed = changed.iter().take(CHANGED_MAX).map(|difference| difference.key.clone()).collect();
        write.more = changed.len().saturating_sub(CHANGED_MAX);
        let mut recent = self.recent.clone();
        recent.push_back(id.to_owned());
        while recent.len() > RECENT_MAX {
            recent.pop_front();
        }
        let kept = self.fingerprints.iter().filter(|(id, _)| recent.contains(id));
        let fingerprints = kept.map(|(id, print)| (id.clone(), print.clone())).collect();
        // A document that was whole stays so: a node that was left alone goes on with what its cluster had.
        if whole || self.whole.is_some() {
            return Self { whole: Some(wanted), edits: Edits::default(), write, recent, fingerprints };
        }
        Self { whole: None, edits: Edits::between(file, &wanted), write, recent, fingerprints }
    }
}

impl Edits {
    /// Whether nothing was edited.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The edits that make this of that.
    fn between(file: &Shared, wanted: &Shared) -> Self {
        let mut paths = BTreeMap::new();
        for (name, values) in &wanted.paths {
            match file.paths.get(name) {
                None => drop(paths.insert(name.clone(), Some(PathEdit { added: true, keys: values.clone() }))),
                Some(before) if before == values => {}
                Some(before) => {
                    paths.insert(name.clone(), Some(PathEdit { added: false, keys: between(before, values) }));
                }
            }
        }
        let gone = file.paths.keys().filter(|name| !wanted.paths.contains_key(*name));
        paths.extend(gone.map(|name| (name.clone(), None)));
        Self {
            global: between(&file.global, &wanted.global),
            path_defaults: between(&file.path_defaults, &wanted.path_defaults),
            paths,
        }
    }

    fn over(&self, file: &Shared) -> Shared {
        let mut shared = file.clone();
        lay(&mut shared.global, &self.global);
        lay(&mut shared.path_defaults, &self.path_defaults);
        for (name, edit) in &self.paths {
            match edit {
                None => drop(shared.paths.remove(name)),
                Some(edit) if edit.added => lay(shared.paths.entry(name.clone()).or_default(), &edit.keys),
                // Of a path that the file does not have any more nothing is left to edit.
                Some(edit) => shared.paths.get_mut(name).into_iter().for_each(|path| lay(path, &edit.keys)),
            }
        }
        shared
    }

    /// Whether what the file says under a dotted name counts for nothing.
    pub fn shadows(&self, key: &str) -> bool {
        if let Some(key) = key.strip_prefix("pathDefaults.") {
            return self.path_defaults.contains_key(key);
        }
        let Some(rest) = key.strip_prefix("paths.") else { return self.global.contains_key(key) };
        match (self.paths.get(rest), rest.rsplit_once('.')) {
            (Some(None), _) => true,
            (Some(Some(edit)), _) => edit.added,
            (None, Some((name, key))) => match self.paths.get(name) {
                Some(Some(edit)) => edit.keys.contains_key(key),
                Some(None) => true,
                None => false,
            },
            (None, None) => false,
        }
    }
}

fn between(file: &KeyValues, wanted: &KeyValues) -> KeyValues {
    let set = wanted.iter().filter(|(key, value)| file.get(*key) != Some(*value));
    let gone = file.keys().filter(|key| !wanted.contains_key(*key)).map(|key| (key.clone(), Json::Null));
    set.map(|(key, value)| (key.clone(), value.clone())).chain(gone).collect()
}

fn lay(values: &mut KeyValues, edits: &KeyValues) {
    for (key, value) in edits {
        if value.is_null() {
            values.remove(key);
        } else {
            values.insert(key.clone(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shared(value: Json) -> Shared {
        serde_json::from_value(value).unwrap()
    }

    fn file() -> Shared {
        shared(json!({"pathDefaults": {"maxReaders": 3}, "paths": {"all_others": {}, "cam": {"source": "rtsp://a/b"}}}))
    }

    fn next(document: &Document, wanted: &Shared, whole: bool) -> Document {
        document.next(wanted.clone(), &file(), whole, "id", Write::default())
    }

    #[test]
    fn edits_lie_over_the_file_and_hold_only_what_differs() {
        let wanted = shared(json!({
            "global": {"authMethod": "jwt"},
            "paths": {"cam": {"source": "rtsp://a/b", "maxReaders": 1}, "new": {"standby": true}}
        }));
        let document = next(&Document::default(), &wanted, false);
        let edits = serde_json::to_value(&document.edits).unwrap();
        assert_eq!(
            edits,
            json!({
                "global": {"authMethod": "jwt"},
                "pathDefaults": {"maxReaders": null},
                "paths": {
                    "all_others": null,
                    "cam": {"keys": {"maxReaders": 1}},
                    "new": {"added": true, "keys": {"standby": true}}
                }
            })
        );
        assert_eq!(document.over(&file()), wanted);
        assert_eq!(
            document.write.changed,
            [
                "authMethod",
                "pathDefaults.maxReaders",
                "paths.all_others",
                "paths.cam.maxReaders",
                "paths.new",
                "paths.new.standby"
            ]
        );
        let back = Document::parse(&document.text()).unwrap();
        assert_eq!(back, document);
        // The file goes on under them.
        let mut changed = file();
        changed.paths.get_mut("cam").unwrap().insert("source".into(), json!("rtsp://c/d"));
        assert_eq!(
            document.over(&changed).paths["cam"],
            shared(json!({"paths": {"cam": {"source": "rtsp://c/d", "maxReaders": 1}}})).paths["cam"]
        );
        changed.paths.remove("cam");
        assert!(!document.over(&changed).paths.contains_key("cam"));
    }

    #[test]
    fn what_the_file_says_is_shadowed_by_edits() {
        let wanted = shared(json!({
            "global": {"authMethod": "jwt"}, "pathDefaults": {"maxReaders": 3},
            "paths": {"cam": {"source": "rtsp://a/b", "maxReaders": 1}, "a.b": {}}
        }));
        let edits = next(&Document::default(), &wanted, false).edits;
        let names = ["authMethod", "paths.cam.maxReaders", "paths.all_others", "paths.all_others.source", "paths.a.b"];
        assert!(names.iter().all(|name| edits.shadows(name)));
        let names = ["authJWTJWKS", "pathDefaults.maxReaders", "paths.cam", "paths.cam.source", "paths.other.source"];
        assert!(!names.iter().any(|name| edits.shadows(name)));
    }

    #[test]
    fn a_whole_document_asks_no_file_and_stays_whole() {
        let wanted = shared(json!({"paths": {"x": {}}}));
        let document = next(&Document::default(), &wanted, true);
        assert_eq!(document.over(&file()), wanted);
        assert_eq!(next(&document, &file(), false).whole, Some(file()));
    }

    #[test]
    fn a_node_reads_what_a_newer_one_wrote() {
        let document =
            Document::parse(r#"{"whole": {"paths": {}, "new": 1}, "write": {"node": "a"}, "more": 2}"#).unwrap();
        assert_eq!((document.whole.is_some(), document.write.node.as_str()), (true, "a"));
        assert_eq!(Document::parse("nothing of that kind"), None);
    }

    #[test]
    fn the_last_writes_are_remembered() {
        let mut document = Document::default();
        for n in 0..RECENT_MAX + 10 {
            document = document.next(file(), &file(), true, &n.to_string(), Write::default());
        }
        assert_eq!((document.recent.len(), document.recent.back().map(String::as_str)), (RECENT_MAX, Some("137")));
    }
}
