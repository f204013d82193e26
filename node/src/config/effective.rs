//! What is in force on a node: its own part from its file, environment, flags and edits, and what is shared from the
//! document that the nodes agree on.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::document::{Document, Write};
use super::edit::{self, Edit, EditError};
use super::error::{ConfigErrors, Origin, Problem};
use super::keys::{self, Key, Kind};
use super::layers::Layers;
use super::model::Config;
use super::settings::Settings;
use super::shared::{Difference, KeyValues, Shared, is_shared};
use super::{Loaded, build, json, rules};

/// What a node itself says: its file, environment, flags, and edits of its own keys.
#[derive(Clone, Debug)]
pub struct Local {
    layers: Layers,
    /// What it says of what is shared.
    pub shared: Shared,
    /// The file.
    pub file: Option<PathBuf>,
}

/// A configuration in force.
#[derive(Clone, Debug)]
pub struct Effective {
    /// What the node itself says.
    pub local: Arc<Local>,
    /// The revision of the document; 0 before the first.
    pub revision: u64,
    /// The document.
    pub document: Document,
    /// What is shared and in force.
    pub shared: Shared,
    /// All of it, for the node to use.
    pub config: Config,
    /// What is set, to be compared.
    pub settings: Settings,
    /// What the user should know.
    pub warnings: Vec<Problem>,
}

impl Local {
    /// Out of what was loaded.
    pub fn of(loaded: &Loaded) -> Self {
        let layers = loaded.layers.clone();
        Self { shared: Shared::of(&layers), file: loaded.file.clone(), layers }
    }

    /// This node's own keys of the top level that somebody set.
    pub fn own(&self) -> KeyValues {
        let own = self.layers.global.iter().filter(|(name, _)| edit::is_own(name));
        own.map(|(name, setting)| ((*name).to_owned(), json::of(&setting.value))).collect()
    }

    /// This node's own keys whose value in the file is another than before, and counts for nothing because of an edit.
    pub fn own_shadowed(&self, before: &Self) -> Vec<String> {
        let (now, was) = (&self.layers.beneath, &before.layers.beneath);
        let differs = |key: &&String| was.get(*key).is_some_and(|value| Some(value) != now.get(*key));
        now.keys().filter(differs).cloned().collect()
    }

    /// With this in place of what is shared; and all that is wrong with that.
    fn with(&self, shared: &Shared, origin: &Origin) -> (Layers, Config) {
        let mut layers = self.layers.clone();
        layers.warnings.clear();
        layers.replace_shared(shared, origin);
        let config = build::build(&layers);
        rules::check(&mut layers, &config);
        (layers, config)
    }
}

impl Effective {
    /// What is in force with this revision. What this node does not understand of it, as of a newer version, it warns of and
    /// leaves out.
    pub fn of(local: Arc<Local>, revision: u64, document: Document) -> Self {
        let shared = document.over(&local.shared);
        let (mut layers, config) = local.with(&shared, &Origin::Agreed(revision));
        let problems = layers.problems.iter().map(|problem| {
            Problem::new(&problem.origin, format!("{}; this node goes on without that", problem.message))
        });
        let warnings = problems.chain(layers.warnings.drain(..)).collect();
        let settings = Settings::of(&layers);
        Self { local, revision, document, shared, config, settings, warnings }
    }

    /// The document that an edit makes, with its warnings, if what comes of it is right.
    pub fn edited(
        &self,
        edit: &Edit,
        whole: bool,
        id: &str,
        write: Write,
    ) -> Result<(Document, Vec<Problem>), EditError> {
        let file = self.document.whole.is_none().then_some(&self.local.shared);
        let wanted = edit.apply(&self.shared, file)?;
        let (layers, _) = self.local.with(&wanted, &Origin::Request);
        if !layers.problems.is_empty() {
            // What this node does not understand of a newer one's is no fault of who writes now.
            let known = self.local.with(&self.shared, &Origin::Request).0.problems;
            let new: Vec<Problem> = layers.problems.into_iter().filter(|problem| !known.contains(problem)).collect();
            if !new.is_empty() {
                return Err(edit::invalid(&new));
            }
        }
        let write = Write { what: edit.what(), ..write };
        let mut document = self.document.next(wanted, &self.local.shared, whole, id, write);
        document.fingerprints.insert(id.to_owned(), edit.fingerprint());
        Ok((document, layers.warnings))
    }

    /// In what this node's file differs from what the nodes agree on; nothing where the file counts.
    pub fn file_differs(&self) -> Vec<Difference> {
        match &self.document.whole {
            Some(whole) => whole.differences(&self.local.shared),
            None => Vec::new(),
        }
    }

    /// Keys whose value in the file is another than it was, and counts for nothing because of an edit.
    pub fn shadowed(&self, before: &Shared) -> Vec<String> {
        let changed = before.differences(&self.local.shared).into_iter().map(|difference| difference.key);
        changed.filter(|key| self.document.edits.shadows(key)).collect()
    }

    /// The keys of the top level, as they are shown.
    pub fn shown_global(&self) -> Map<String, Json> {
        let own = |key: &Key| match key.kind {
            Kind::Section(table) => Some(section(&self.local.layers, key.name, table)),
            _ if is_shared(key) => None,
            _ => self.local.layers.global.get(key.name).map(|setting| json::of(&setting.value)),
        };
        edit::all(&keys::GLOBAL, &[&self.shared.global], own)
    }

    /// `pathDefaults`, as they are shown.
    pub fn shown_defaults(&self) -> Map<String, Json> {
        edit::all(&keys::PATH, &[&self.shared.path_defaults], |_| None)
    }

    /// A path with its name and all that it has, by itself or for all, as it is shown.
    pub fn shown_path(&self, name: &str) -> Option<Map<String, Json>> {
        let own = self.shared.paths.get(name)?;
        let mut shown = Map::from_iter([("name".to_owned(), Json::from(name))]);
        shown.extend(edit::all(&keys::PATH, &[own, &self.shared.path_defaults], |_| None));
        Some(shown)
    }
}

/// The keys of a section, secrets struck out.
fn section(layers: &Layers, parent: &str, table: &'static [Key]) -> Json {
    let value = |key: &'static Key| {
        let dotted = format!("{parent}.{}", key.name);
        let shown = match key.kind {
            Kind::Section(inner) => section(layers, &dotted, inner),
            _ => {
                let set = layers.sections.get(&dotted).map(|setting| json::of(&setting.value));
                json::shown(&key.kind, &set.unwrap_or_else(|| default(key)))
            }
        };
        (key.name.to_owned(), shown)
    };
    Json::Object(table.iter().map(value).collect())
}

fn default(key: &Key) -> Json {
    let node = super::tree::Node::raw(&Origin::Default, key.default);
    super::check::check(&node, key.name, &key.kind, &mut Vec::new()).map_or(Json::Null, |value| json::of(&value))
}

/// What a file says of what is shared, for an import; with the keys in it that stay with each node, and warnings.
pub struct Imported {
    /// It.
    pub shared: Shared,
    /// Keys that are not taken.
    pub own: Vec<String>,
    /// What the user should know.
    pub warnings: Vec<Problem>,
}

/// Reads the text of a file under this name, as a node would that has no other settings.
pub fn import(name: &str, text: &str) -> Result<Imported, ConfigErrors> {
    let loaded = super::load::text(name, text)?;
    let shared = Shared::of(&loaded.layers);
    let own = loaded.layers.global.keys().filter(|name| edit::is_own(name)).map(|name| (*name).to_owned());
    Ok(Imported { shared, own: own.collect(), warnings: loaded.warnings })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::model::Source;
    use super::*;

    fn local(text: &str) -> Arc<Local> {
        Arc::new(Local::of(&super::super::load::text("weft.yml", text).unwrap_or_else(|errors| panic!("{errors}"))))
    }

    fn effective(text: &str) -> Effective {
        Effective::of(local(text), 0, Document::default())
    }

    fn edit(before: &Effective, edit: &Edit, whole: bool) -> Result<Effective, EditError> {
        let (document, _) = before.edited(edit, whole, "id", Write::default())?;
        Ok(Effective::of(before.local.clone(), before.revision + 1, document))
    }

    fn fields(value: Json) -> edit::Fields {
        serde_json::from_value(value).unwrap()
    }

    fn refused(before: &Effective, what: &Edit) -> String {
        edit(before, what, true).map(|_| ()).expect_err("refused").to_string()
    }

    #[test]
    fn edits_are_checked_as_a_file_is() {
        let before = effective("paths: {cam: {}}\n");
        let add = |name: &str, value: Json| refused(&before, &Edit::AddPath(name.into(), fields(value)));
        assert_eq!(add("cam", json!({})), "path already exists");
        assert_eq!(add("a/../b", json!({})).split(':').next(), Some("`a/../b` cannot be a path"));
        assert_eq!(add("x", json!({"maxReader": 1})), "unknown key `maxReader`; did you mean `maxReaders`?");
        assert!(add("x", json!({"maxReaders": "1"})).starts_with("`maxReaders` expects a whole number"));
        assert!(add("x", json!({"source": 5})).starts_with("`source` expects a text"));
        assert!(add("x", json!({"source": "nonsense"})).starts_with("`source` expects `publisher`"));
        assert!(add("~^x", json!({"source": "rtsp://a/b"})).contains("needs `sourceOnDemand: yes`"));
        assert!(add("x", json!({"forward": null})).contains("may not be empty"));
        assert!(add("x", json!({"name": "y"})).contains("the path is `x`"));
        let patch = |value| refused(&before, &Edit::PatchPath("gone".into(), fields(value)));
        assert_eq!(patch(json!({})), "path configuration not found");
        assert_eq!(refused(&before, &Edit::DeletePath("gone".into())), "path configuration not found");
    }

    #[test]
    fn paths_are_added_patched_replaced_and_deleted() {
        for whole in [false, true] {
            let before = effective("pathDefaults: {maxReaders: 3}\npaths: {cam: {readerHold: 1s}}\n");
            let add = Edit::AddPath("new".into(), fields(json!({"source": "rtsp://u:p@a/b", "name": "new"})));
            let added = edit(&before, &add, whole).unwrap();
            let (_, path) = added.config.paths.iter().find(|(name, _)| *name == "new").unwrap();
            assert!(matches!(&path.source, Source::Pulled(source) if source.url == "rtsp://u:p@a/b"));
            assert_eq!(path.max_readers, Some(3));
            let shown = added.shown_path("new").unwrap();
            assert_eq!((&shown["source"], &shown["readerHold"]), (&json!("rtsp://u:<redacted>@a/b"), &json!("10s")));
            // What is shown can be written back.
            let again = edit(&added, &Edit::ReplacePath("new".into(), shown), whole).unwrap();
            assert_eq!(again.shared.paths["new"]["source"], "rtsp://u:p@a/b");
            let patch = Edit::PatchPath("cam".into(), fields(json!({"maxReaders": 7, "readerHold": null})));
            let patched = edit(&added, &patch, whole).unwrap();
            assert_eq!(serde_json::to_value(&patched.shared.paths["cam"]).unwrap(), json!({"maxReaders": 7}));
            let defaults = edit(&patched, &Edit::Defaults(fields(json!({"maxReaders": 9}))), whole).unwrap();
            assert_eq!(defaults.shown_defaults()["maxReaders"], 9);
            let gone = edit(&defaults, &Edit::DeletePath("cam".into()), whole).unwrap();
            assert_eq!(gone.shared.paths.keys().collect::<Vec<_>>(), ["new"]);
            assert_eq!(gone.document.write.changed, ["paths.cam", "paths.cam.maxReaders"]);
        }
    }

    #[test]
    fn shared_keys_of_a_whole_document_are_not_the_files() {
        let before = effective("logLevel: debug\nhlsVariant: fmp4\npaths: {cam: {}}\n");
        let set = Edit::Global(fields(json!({"hlsSegmentDuration": "2s"})));
        let whole = edit(&before, &set, true).unwrap();
        let other = Effective::of(local("logLevel: warn\nhlsVariant: mpegts\npaths: {other: {}}\n"), 1, whole.document);
        assert_eq!(other.shown_global()["hlsVariant"], "fmp4");
        assert_eq!(
            (&other.shown_global()["hlsSegmentDuration"], &other.shown_global()["logLevel"]),
            (&json!("2s"), &json!("warn"))
        );
        let differs: Vec<String> = other.file_differs().into_iter().map(|one| one.key).collect();
        assert_eq!(differs, ["hlsSegmentDuration", "hlsVariant", "paths.cam", "paths.other"]);
    }

    #[test]
    fn a_file_that_changes_under_an_edit_is_told() {
        let before = effective("paths: {cam: {maxReaders: 1}}\n");
        let edited = edit(&before, &Edit::PatchPath("cam".into(), fields(json!({"maxReaders": 2}))), false).unwrap();
        let after = Effective::of(local("paths: {cam: {maxReaders: 3, standby: yes}}\n"), 1, edited.document);
        assert_eq!(after.shadowed(&before.local.shared), ["paths.cam.maxReaders"]);
        assert_eq!(after.shown_path("cam").unwrap()["maxReaders"], 2);
        assert_eq!(after.shown_path("cam").unwrap()["standby"], true);
        assert_eq!(after.file_differs(), []);
    }

    #[test]
    fn a_shared_key_taken_back_is_the_files_again() {
        let before = effective("hlsVariant: fmp4\n");
        let edited = edit(&before, &Edit::Global(fields(json!({"hlsVariant": "mpegts"}))), false).unwrap();
        let back = edit(&edited, &Edit::Global(fields(json!({"hlsVariant": null}))), false).unwrap();
        assert_eq!(
            (edited.shown_global()["hlsVariant"].clone(), back.shown_global()["hlsVariant"].clone()),
            (json!("mpegts"), json!("fmp4"))
        );
        assert!(back.document.edits.is_empty());
    }

    #[test]
    fn what_a_newer_node_wrote_is_left_out_with_a_warning() {
        let text = r#"{"whole": {"paths": {"cam": {"fromTheFuture": 1, "maxReaders": 2}}}}"#;
        let effective = Effective::of(local(""), 7, Document::parse(text).unwrap());
        assert_eq!(effective.config.paths.iter().next().map(|(_, path)| path.max_readers), Some(Some(2)));
        assert!(effective.warnings.iter().any(|warning| warning.message.contains("fromTheFuture")));
        // It can still be written over, and keeps what it does not understand.
        let after = edit(&effective, &Edit::AddPath("new".into(), fields(json!({}))), true).unwrap();
        assert_eq!(after.shared.paths["cam"]["fromTheFuture"], 1);
    }

    #[test]
    fn sections_are_shown_without_secrets() {
        let shown = effective("cluster: {node: a, join: weft-secret, bootstrap: {expect: 3, peers: [a, b, c]}}\n")
            .shown_global();
        let cluster = &shown["cluster"];
        assert_eq!((&cluster["join"], &cluster["bootstrap"]["expect"]), (&json!("<redacted>"), &json!(3)));
        assert_eq!((&cluster["node"], &cluster["heartbeat"]), (&json!("a"), &json!("40ms")));
    }

    #[test]
    fn an_import_takes_what_is_shared() {
        let imported = import("f.yml", "logLevel: debug\nauthMethod: jwt\npaths: {cam: {}}\n").unwrap();
        assert_eq!(
            (imported.own, imported.shared.global.len(), imported.shared.paths.len()),
            (vec!["logLevel".to_owned()], 1, 1)
        );
        let error = import("f.yml", "paths: {cam: {x: 1}}\n").err().expect("wrong").to_string();
        assert!(error.starts_with("f.yml:1:") && error.contains("unknown key `x`"), "{error}");
    }
}
