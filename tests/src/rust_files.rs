//! The project's own source as the house rules look at it.

use std::path::{Path, PathBuf};

/// A source file without its tests and comments.
#[derive(Clone, Debug)]
pub struct RustFile {
    /// Relative to the workspace.
    pub path: PathBuf,
    /// Lines up to the tests at its end, with their numbers, comments taken away.
    pub code: Vec<(usize, String)>,
    /// Lines up to the tests at its end, comments and blank lines included.
    pub production_lines: usize,
}

/// The workspace's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests stand in the workspace")
}

/// All files of a folder of the workspace that are compiled into the product, in order.
pub fn production(folder: &str) -> Vec<RustFile> {
    let mut paths = Vec::new();
    collect(&root().join(folder), &mut paths);
    paths.sort_unstable();
    paths.iter().filter(|path| !is_test(path)).map(|path| read(path)).collect()
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.map(|entry| entry.expect("read a folder").path()) {
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// Files that only `cfg(test)` compiles, by their names.
fn is_test(path: &Path) -> bool {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    ["tests", "testing", "golden"].contains(&stem)
        || stem.ends_with("_test")
        || stem.ends_with("_tests")
        || path.components().any(|part| part.as_os_str() == "testdata")
}

fn read(path: &Path) -> RustFile {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines: Vec<&str> = text.lines().collect();
    // Tests stand at the end, in a module of their own.
    let tests = lines.windows(2).position(|pair| {
        pair[0].trim() == "#[cfg(test)]"
            && pair[1].trim_start().starts_with("mod ")
            && pair[1].trim_end().ends_with('{')
    });
    let lines = &lines[..tests.unwrap_or(lines.len())];
    let code = lines.iter().enumerate().map(|(index, line)| (index + 1, uncommented(line).to_owned())).collect();
    let path = path.strip_prefix(root()).expect("inside the workspace").to_owned();
    RustFile { path, code, production_lines: lines.len() }
}

/// The line up to `//`, unless that stands in a text.
fn uncommented(line: &str) -> &str {
    let mut starts = line.match_indices("//").map(|(at, _)| at);
    let comment = starts.find(|at| line[..*at].matches('"').count().is_multiple_of(2));
    comment.map_or(line, |at| &line[..at])
}
