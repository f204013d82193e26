//! Clients of WebRTC that are no browsers: aiortc, and the WHIP muxer of ffmpeg 9.

use std::process::Command;

use serde_json::Value;

use crate::process::Process;
use crate::{rust_files, tools, wait};

/// aiortc, publishing or playing. Dropped, it is killed.
#[derive(Debug)]
pub struct Rtc {
    /// The process.
    pub process: Process,
}

impl Rtc {
    /// Publishes moving bars and a tone to a WHIP endpoint, in these codecs: `h264` or `vp8`; `opus`, `pcmu`, `pcma` or `g722`.
    pub fn publish(whip: &str, video: &str, audio: &str) -> Self {
        Self::start(&["publish", whip, "--video", video, "--audio", audio])
    }

    /// Plays a WHEP endpoint.
    pub fn read(whep: &str) -> Self {
        Self::start(&["read", whep])
    }

    fn start(arguments: &[&str]) -> Self {
        let mut python = Command::new(tools::python());
        python.arg(rust_files::root().join("tests/clients/rtc.py")).args(arguments);
        Self { process: Process::start(format!("aiortc {}", arguments.join(" ")), python) }
    }

    /// Waits for what it says of itself to be so.
    pub fn wait_for(&self, what: &str, seconds: u64, is: impl Fn(&Value) -> bool) -> Value {
        let said = std::fmt::from_fn(|f| write!(f, "{what}; aiortc said:\n{}", tail(&self.process.log())));
        wait::until(&said, seconds, || {
            let log = self.process.log();
            log.lines().rev().filter_map(|line| serde_json::from_str(line).ok()).find(&is)
        })
    }

    /// Waits until it has been sent, and decoded, so many pictures that are not black, and sound that is not silence.
    pub fn wait_played(&self, frames: u64, seconds: u64) -> Value {
        self.wait_for("pictures and sound", seconds, |said| {
            let above = |name: &str, least: f64| said[name].as_f64().is_some_and(|value| value > least);
            said["frames"].as_u64() >= Some(frames)
                && above("sounds", 20.0)
                && above("bright", 30.0)
                && above("loud", 100.0)
        })
    }

    /// Asks it to end, and waits: it tells the server.
    pub fn leave(mut self) {
        self.process.signal(libc::SIGTERM);
        self.process.wait(10);
    }
}

/// ffmpeg 9 publishes 25 frames a second of H.264 and Opus to a WHIP endpoint until dropped.
pub fn ffmpeg_whip(whip: &str) -> Process {
    let mut ffmpeg = Command::new(tools::ffmpeg9());
    ffmpeg.args(["-hide_banner", "-loglevel", "info", "-nostdin", "-re"]);
    ffmpeg.args(["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25"]);
    ffmpeg.args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"]);
    ffmpeg.args(["-c:v", "libx264", "-profile:v", "baseline", "-preset", "ultrafast", "-tune", "zerolatency"]);
    ffmpeg.args(["-pix_fmt", "yuv420p", "-g", "25", "-bf", "0", "-c:a", "libopus", "-ac", "2", "-f", "whip"]).arg(whip);
    Process::start(format!("ffmpeg 9 publishing to {whip}"), ffmpeg)
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
