//! A picture and a tone from ffmpeg, where the test does not care for the exact bytes.

use std::process::Command;

use crate::process::Process;
use crate::server::Server;
use crate::tools;

/// Publishes 25 frames a second of H.264 with a keyframe every `gop_seconds`, and AAC, until dropped.
pub fn publish(server: &Server, path: &str, gop_seconds: u32) -> Process {
    publish_rtsp(server, path, gop_seconds, "tcp")
}

/// The same over `udp`, or `tcp`.
pub fn publish_rtsp(server: &Server, path: &str, gop_seconds: u32, transport: &str) -> Process {
    let mut ffmpeg = encoder(gop_seconds);
    ffmpeg.args(["-f", "rtsp", "-rtsp_transport", transport]).arg(server.rtsp(path));
    Process::start(format!("ffmpeg publishing {path}"), ffmpeg)
}

/// The same, over TCP, with a keyframe every second and Opus.
pub fn publish_opus(server: &Server, path: &str) -> Process {
    let mut ffmpeg = encoder(1);
    ffmpeg.args(["-c:a", "libopus", "-f", "rtsp", "-rtsp_transport", "tcp"]).arg(server.rtsp(path));
    Process::start(format!("ffmpeg publishing {path}"), ffmpeg)
}

/// Publishes a tone alone, on two channels, in this codec of ffmpeg's, over RTSP.
pub fn publish_sound(server: &Server, path: &str, codec: &str) -> Process {
    let mut ffmpeg = Command::new(tools::ffmpeg());
    ffmpeg.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-re"]);
    ffmpeg.args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-ac", "2", "-c:a", codec]);
    ffmpeg.args(["-f", "rtsp", "-rtsp_transport", "tcp"]).arg(server.rtsp(path));
    Process::start(format!("ffmpeg publishing {path}"), ffmpeg)
}

/// A picture and AAC over RTMP.
pub fn publish_rtmp(server: &Server, path: &str, gop_seconds: u32) -> Process {
    let mut ffmpeg = encoder(gop_seconds);
    ffmpeg.args(["-f", "flv"]).arg(server.rtmp(path));
    Process::start(format!("ffmpeg publishing {path}"), ffmpeg)
}

/// The same to any address of RTMP.
pub fn publish_rtmp_to(url: &str) -> Process {
    let mut ffmpeg = encoder(1);
    ffmpeg.args(["-f", "flv"]).arg(url);
    Process::start(format!("ffmpeg publishing {url}"), ffmpeg)
}

/// The same over RTSP, with a keyframe every 2 s for so long, and every 12 s from then on.
pub fn publish_growing(server: &Server, path: &str, short_seconds: u32) -> Process {
    let mut ffmpeg = encoder(1_000);
    let groups = short_seconds / 2;
    let keys =
        format!("expr:if(lt(n_forced,{groups}),gte(t,n_forced*2),gte(t,{short_seconds}+(n_forced-{groups})*12))");
    ffmpeg.args(["-force_key_frames", &keys, "-f", "rtsp", "-rtsp_transport", "tcp"]).arg(server.rtsp(path));
    Process::start(format!("ffmpeg publishing {path}"), ffmpeg)
}

fn encoder(gop_seconds: u32) -> Command {
    let gop = (25 * gop_seconds).to_string();
    let mut ffmpeg = Command::new(tools::ffmpeg());
    ffmpeg.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-re"]);
    ffmpeg.args(["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25", "-f", "lavfi", "-i", "sine=frequency=440"]);
    ffmpeg.args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", &gop, "-keyint_min", &gop]);
    ffmpeg.args(["-sc_threshold", "0", "-c:a", "aac"]);
    ffmpeg
}
