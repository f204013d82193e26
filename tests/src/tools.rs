//! Where the programs are. One that is missing is a failure that names it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The server under test: `WEFT_BIN`, else the `weft` that stands beside the running test.
pub fn weft() -> PathBuf {
    std::env::var_os("WEFT_BIN").map_or_else(
        || {
            let built = profile().join("weft");
            assert!(built.is_file(), "{} is missing: build weft-node first (`tests/run` does)", built.display());
            built
        },
        PathBuf::from,
    )
}

/// The server as its next release will be, which knows one level more: the `weft-next` that stands beside the running test.
pub fn next_weft() -> PathBuf {
    let built = profile().join("weft-next");
    assert!(built.is_file(), "{} is missing: `tests/run` builds it", built.display());
    built
}

/// The load generator: the `weft-chaos` that stands beside the running test.
pub fn chaos() -> PathBuf {
    let built = profile().join("weft-chaos");
    assert!(built.is_file(), "{} is missing: build weft-chaos first (`tests/run` does)", built.display());
    built
}

/// Cargo's target folder.
pub fn target() -> PathBuf {
    profile().parent().expect("profiles stand in the target folder").to_owned()
}

/// The folder of the profile that the running test was built with.
fn profile() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own file");
    test.parent().and_then(Path::parent).expect("tests stand in target/<profile>/deps").to_owned()
}

/// Debian's ffmpeg: `WEFT_FFMPEG`, else the one in `PATH`.
pub fn ffmpeg() -> PathBuf {
    named("WEFT_FFMPEG", "ffmpeg", "apt-get install ffmpeg")
}

/// The newest ffmpeg, as `imageio-ffmpeg` ships it: `WEFT_FFMPEG9`.
pub fn ffmpeg9() -> PathBuf {
    let path = std::env::var_os("WEFT_FFMPEG9").map(PathBuf::from);
    path.filter(|path| path.is_file())
        .expect("WEFT_FFMPEG9 names no file: `tests/run` installs imageio-ffmpeg and sets it to its ffmpeg")
}

/// Chromium: `WEFT_CHROMIUM`, else the one in `PATH`.
pub fn chromium() -> PathBuf {
    named("WEFT_CHROMIUM", "chromium", "apt-get install chromium")
}

/// Node.js.
pub fn node() -> PathBuf {
    named("WEFT_NODE", "node", "apt-get install nodejs npm")
}

/// Python with aiortc: `WEFT_PYTHON`, else the one that `tests/run` makes.
pub fn python() -> PathBuf {
    let found = std::env::var_os("WEFT_PYTHON")
        .map_or_else(|| crate::rust_files::root().join("tests/.venv/bin/python"), PathBuf::from);
    assert!(found.is_file(), "{} is missing: `tests/run` makes it and installs aiortc", found.display());
    found
}

/// GStreamer's command line.
pub fn gst_launch() -> PathBuf {
    named("WEFT_GST_LAUNCH", "gst-launch-1.0", "apt-get install gstreamer1.0-tools")
}

fn named(variable: &str, name: &str, install: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        return path.into();
    }
    let found = std::env::var_os("PATH")
        .and_then(|path| std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file()));
    found.unwrap_or_else(|| panic!("{name} is missing: {install}"))
}

/// Runs a command to its end and gives what it printed; panics when it fails.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
