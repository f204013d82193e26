//! Finds the file, lays environment and command line over it, and gives the configuration or all that is wrong with it.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{ConfigErrors, Origin, Problem, SourceFile};
use super::layers::{Layers, Level};
use super::model::Config;
use super::settings::Settings;
use super::shared::KeyValues;
use super::{build, env, rules, tree};

/// Where a configuration comes from. Kept by a running node, which loads again from the same places.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The file that the user named; it must exist.
    pub file: Option<PathBuf>,
    /// Where to look when no file was named: the first that exists.
    pub search: Vec<PathBuf>,
    /// Environment variables; those that are not ours are passed over.
    pub environment: Vec<(String, String)>,
    /// Flags of the command line, in order.
    pub overrides: Vec<Override>,
    /// What the API has set of this node's own keys.
    pub edits: KeyValues,
}

/// A flag that sets a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// As the user wrote it, for messages: `--rtsp-port`.
    pub flag: String,
    /// What it does.
    pub change: Change,
}

/// What a flag does to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Sets a key to a text: `paths.cam.maxReaders`, `3`.
    Set(String, String),
    /// Replaces the port of a listener's address.
    Port(&'static str, u16),
}

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// It.
    pub config: Config,
    /// What the user should know: keys without effect, deprecated keys.
    pub warnings: Vec<Problem>,
    /// What was set, to be compared with what is set later.
    pub settings: Settings,
    /// The file it came from, if there was one.
    pub file: Option<PathBuf>,
    /// All that was said.
    pub(crate) layers: Layers,
}

impl Source {
    /// The places of a node that is started without a flag.
    pub fn standard() -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let search = SEARCH.iter().map(PathBuf::from).collect();
        Self { file: None, search, environment, ..Self::default() }
    }

    /// A file and nothing else.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { file: Some(path.into()), ..Self::default() }
    }
}

impl Config {
    /// Loads the configuration. Defaults give way to the file, the file to the environment (`WEFT_*` over `MTX_*`), and
    /// the environment to the command line. All errors are reported at once.
    ///
    /// Reads files: not for a worker thread.
    pub fn load(source: &Source) -> Result<Loaded, ConfigErrors> {
        let mut layers = Layers::default();
        let file = source.file.clone().or_else(|| source.search.iter().find(|path| path.exists()).cloned());
        if let Some(path) = &file {
            apply_file(&mut layers, path);
        }
        apply_environment(&mut layers, &source.environment);
        for Override { flag, change } in &source.overrides {
            let origin = Origin::CommandLine(flag.clone());
            match change {
                Change::Set(key, text) => layers.apply_key(key, &origin, text),
                Change::Port(key, port) => layers.apply_port(key, &origin, *port),
            }
        }
        for (key, value) in &source.edits {
            let beneath = layers.global.get(key.as_str()).map(|setting| setting.value.clone());
            layers.beneath.insert(key.clone(), beneath);
            layers.apply_json(Level::Global, key, &Origin::Edit, value);
        }
        finish(layers, file)
    }
}

/// A file of this name that says this, and nothing else.
pub(crate) fn text(name: &str, text: &str) -> Result<Loaded, ConfigErrors> {
    let mut layers = Layers::default();
    apply_text(&mut layers, Path::new(name), text.to_owned());
    finish(layers, Some(name.into()))
}

fn finish(mut layers: Layers, file: Option<PathBuf>) -> Result<Loaded, ConfigErrors> {
    let config = build::build(&layers);
    rules::check(&mut layers, &config);
    let settings = Settings::of(&layers);
    let (mut problems, mut warnings) = (std::mem::take(&mut layers.problems), std::mem::take(&mut layers.warnings));
    sort(&mut problems);
    sort(&mut warnings);
    if problems.is_empty() {
        Ok(Loaded { config, warnings, settings, file, layers })
    } else {
        Err(ConfigErrors(problems))
    }
}

/// In the order of the file, then whatever is not in it.
fn sort(problems: &mut Vec<Problem>) {
    problems.sort_by_key(|problem| match &problem.origin {
        Origin::File(_, spot) => (0, spot.line, spot.column),
        _ => (1, 0, 0),
    });
    problems.dedup();
}

fn apply_file(layers: &mut Layers, path: &Path) {
    match read(path) {
        Ok(text) => apply_text(layers, path, text),
        Err(error) => {
            let message = format!("cannot read configuration file {}: {error}", path.display());
            layers.problem(&Origin::Default, message);
        }
    }
}

fn apply_text(layers: &mut Layers, name: &Path, text: String) {
    let file = Arc::new(SourceFile { name: name.to_owned(), text });
    if let Some(root) = tree::parse(&file, &mut layers.problems) {
        layers.apply_file(&root);
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let length = std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if length as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("larger than {} MB", FILE_BYTES_MAX >> 20)));
    }
    Ok(text)
}

fn apply_environment(layers: &mut Layers, variables: &[(String, String)]) {
    let configured: Vec<String> = layers.paths.keys().cloned().collect();
    let configured: Vec<&str> = configured.iter().map(String::as_str).chain(["all_others"]).collect();
    // Sorted, so that `WEFT_*` comes after `MTX_*` and the result does not depend on the order of the environment.
    let mut variables: Vec<_> = variables.iter().collect();
    variables.sort();
    for (name, value) in variables {
        let origin = Origin::Environment(name.clone());
        match env::meaning(name, value, &configured) {
            env::Meaning::None => {}
            env::Meaning::Key(key) => layers.apply_key(&key, &origin, value),
            env::Meaning::Useless(why) => layers.warnings.push(Problem::new(&origin, why)),
        }
    }
}

/// Where a file is looked for, first to last.
const SEARCH: [&str; 8] = [
    "weft.yml",
    "mediamtx.yml",
    "/etc/weft/weft.yml",
    "/etc/mediamtx/mediamtx.yml",
    "/usr/local/etc/weft.yml",
    "/usr/local/etc/mediamtx.yml",
    "/usr/etc/mediamtx.yml",
    "/weft.yml",
];

/// A file of 100,000 paths with ten keys each is 30 MB.
const FILE_BYTES_MAX: u64 = 64 << 20;
