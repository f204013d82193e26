//! Chromium without a window, watching a page.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::process::Process;
use crate::{rust_files, tools, wait};

/// A browser with one page. Dropped, it ends.
#[derive(Debug)]
pub struct Browser {
    process: Process,
    screenshot: PathBuf,
}

/// What a browser does on a page for WebRTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It plays.
    Read,
    /// It presses the button of a publisher page, and gives its own camera and microphone.
    Publish,
    /// A script in it publishes pictures that tell the time, and a tone.
    Clock,
    /// A script in it publishes its camera in three layers.
    Layers,
}

impl Browser {
    /// Opens a page that plays HLS. `screenshot` is where [`Self::screenshot`] puts its picture.
    pub fn open(url: &str, screenshot: &Path) -> Self {
        Self::start(&["watch.mjs", url], screenshot)
    }

    /// Opens a page for WebRTC.
    pub fn open_webrtc(role: Role, url: &str, screenshot: &Path) -> Self {
        let role = match role {
            Role::Read => "read",
            Role::Publish => "publish",
            Role::Clock => "clock",
            Role::Layers => "layers",
        };
        Self::start(&["webrtc.mjs", role, url], screenshot)
    }

    fn start(script: &[&str], screenshot: &Path) -> Self {
        let folder = rust_files::root().join("tests/browser");
        assert!(
            folder.join("node_modules/puppeteer-core").is_dir(),
            "puppeteer-core is missing: `npm ci` in tests/browser (`tests/run` does)"
        );
        let mut node = Command::new(tools::node());
        node.args(script).arg(screenshot).env("WEFT_CHROMIUM", tools::chromium()).current_dir(folder);
        Self { process: Process::start("Chromium", node), screenshot: screenshot.to_owned() }
    }

    /// The newest state of the page's player.
    pub fn state(&self) -> Option<Value> {
        let log = self.process.log();
        log.lines()
            .rev()
            .filter_map(|line| serde_json::from_str(line).ok())
            .find(|value: &Value| value["say"].is_string())
    }

    /// Waits for a state of the player.
    pub fn wait_for(&self, what: &str, seconds: u64, is: impl Fn(&Value) -> bool) -> Value {
        let said = std::fmt::from_fn(|f| write!(f, "{what}; the browser said:\n{}", tail(&self.process.log())));
        wait::until(&said, seconds, || self.state().filter(&is))
    }

    /// Frames decoded so far.
    pub fn frames(&self) -> u64 {
        self.state().and_then(|state| state["frames"].as_u64()).unwrap_or(0)
    }

    /// Takes a picture of the page; gives the file.
    pub fn screenshot(&self) -> &Path {
        self.process.signal(libc::SIGUSR1);
        wait::until("a screenshot", 15, || self.process.log().contains("\"screenshot\":true").then_some(()));
        &self.screenshot
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Asked nicely it takes the processes and the folder of its own along.
        self.process.signal(libc::SIGTERM);
        let limit = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while self.process.ended().is_none() && std::time::Instant::now() < limit {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
