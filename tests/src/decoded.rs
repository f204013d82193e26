//! What ffmpeg decodes of a URL: that a stream is not only carried but can be seen and heard.

use std::process::Command;

use crate::process::Process;
use crate::tools;

/// Frames that were decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// Pictures.
    pub video: usize,
    /// Frames of sound.
    pub audio: usize,
}

/// Lets ffmpeg 9 read a URL of RTSP, RTMP or HLS until it has decoded so many pictures.
pub fn frames(url: &str, pictures: usize) -> Frames {
    let mut ffmpeg = Command::new(tools::ffmpeg9());
    ffmpeg.args(["-hide_banner", "-loglevel", "error", "-nostdin"]);
    if url.starts_with("rtsp") {
        ffmpeg.args(["-rtsp_transport", "tcp"]);
    }
    ffmpeg.args(["-i", url, "-frames:v", &pictures.to_string(), "-f", "framecrc", "-"]);
    let mut process = Process::start(format!("ffmpeg decoding {url}"), ffmpeg);
    let status = process.wait(40);
    let log = process.log();
    assert!(status.success(), "{url}: {status}\n{log}");
    // A line is the number of the stream, times, size and checksum; heads begin with `#`. ffmpeg puts pictures first.
    let of = |stream: &str| log.lines().filter(|line| line.split(',').next().map(str::trim) == Some(stream)).count();
    let is_picture = |stream: &str| log.lines().any(|line| line.starts_with(&format!("#media_type {stream}: video")));
    if is_picture("0") { Frames { video: of("0"), audio: of("1") } } else { Frames { video: of("1"), audio: of("0") } }
}
