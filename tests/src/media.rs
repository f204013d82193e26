//! What is published: files that ffmpeg makes once, and that no two frames of are alike.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tools;

/// Video codecs that clients can send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Video {
    /// H.264 without frames out of order.
    H264,
    /// H.264 with two frames out of order between others.
    H264Reordered,
    /// H.265.
    H265,
    /// VP8.
    Vp8,
    /// VP9.
    Vp9,
    /// AV1.
    Av1,
}

/// Audio codecs that clients can send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audio {
    /// AAC.
    Aac,
    /// AAC in the way of LATM (RFC 6416).
    Latm,
    /// Opus.
    Opus,
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// MPEG-1 layer 3.
    Mp3,
    /// AC-3.
    Ac3,
    /// FLAC.
    Flac,
}

/// A file of one video and one audio track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Media {
    /// Its video codec.
    pub video: Video,
    /// Its audio codec.
    pub audio: Audio,
    group_seconds: u32,
    kilobits: u32,
}

/// Frames per second of all files.
pub const FRAME_RATE: u32 = 25;

/// Length of all files. A test reads a few seconds out of the middle.
const SECONDS: u32 = 40;

/// Above this rate the picture is larger and full of noise, so that the encoder has something to spend bits on.
const NOISY_KILOBITS: u32 = 1_000;

impl Media {
    /// 300 kbit/s, a keyframe each second.
    pub const fn new(video: Video, audio: Audio) -> Self {
        Self { video, audio, group_seconds: 1, kilobits: 300 }
    }

    /// The same with so many seconds between keyframes.
    #[must_use]
    pub const fn with_group_seconds(mut self, seconds: u32) -> Self {
        self.group_seconds = seconds;
        self
    }

    /// The same with another bit rate.
    #[must_use]
    pub const fn with_kilobits(mut self, kilobits: u32) -> Self {
        self.kilobits = kilobits;
        self
    }

    /// The file for ffmpeg, made if it is not there yet.
    pub fn nut(&self) -> PathBuf {
        cached(&format!("{self}.nut"), |file| {
            tools::run(Command::new(tools::ffmpeg()).args(self.encoding()).args(["-f", "nut"]).arg(file));
        })
    }

    /// The same for GStreamer, which does not read the other container. Times are rounded to milliseconds in it.
    pub fn matroska(&self) -> PathBuf {
        let from = self.nut();
        cached(&format!("{self}.mkv"), |file| {
            let mut ffmpeg = Command::new(tools::ffmpeg());
            ffmpeg.args(QUIET).arg("-i").arg(&from).args(["-map", "0", "-c", "copy", "-f", "matroska"]);
            tools::run(ffmpeg.arg(file));
        })
    }

    fn encoding(&self) -> Vec<OsString> {
        let Self { video, group_seconds, kilobits, .. } = self;
        let (size, noise) =
            if *kilobits > NOISY_KILOBITS { ("640x480", ",noise=alls=60:allf=t") } else { ("320x240", "") };
        let (group, rate) = (group_seconds * FRAME_RATE, format!("{kilobits}k"));
        let picture = format!("testsrc2=size={size}:rate={FRAME_RATE}:duration={SECONDS}{noise}");
        // Noise, since of a tone many frames would be the same.
        let sound = format!("anoisesrc=amplitude=0.2:seed=7:sample_rate=48000:duration={SECONDS}");
        let mut all = QUIET.join(" ");
        all += &format!(" -f lavfi -i {picture} -f lavfi -i {sound} -map 0 -map 1 -flags +bitexact -ac 1");
        all += &format!(" -pix_fmt yuv420p -threads 1 -g {group} -b:v {rate} -maxrate {rate} -bufsize {rate}");
        all += &match video {
            Video::H264 => " -c:v libx264 -preset ultrafast -bf 0 -sc_threshold 0".to_owned(),
            Video::H264Reordered => " -c:v libx264 -preset veryfast -bf 2 -sc_threshold 0".to_owned(),
            Video::H265 => format!(
                " -c:v libx265 -preset ultrafast -x265-params log-level=error:bframes=0:keyint={group}:min-keyint={group}"
            ),
            Video::Vp8 => " -c:v libvpx -deadline realtime -cpu-used 8".to_owned(),
            Video::Vp9 => " -c:v libvpx-vp9 -deadline realtime -cpu-used 8".to_owned(),
            Video::Av1 => " -c:v libaom-av1 -usage realtime -cpu-used 8".to_owned(),
        };
        all += match self.audio {
            Audio::Aac | Audio::Latm => " -c:a aac -b:a 64k",
            Audio::Opus => " -c:a libopus -b:a 64k",
            Audio::Pcmu => " -c:a pcm_mulaw -ar 8000",
            Audio::Pcma => " -c:a pcm_alaw -ar 8000",
            Audio::Mp3 => " -c:a libmp3lame -b:a 64k",
            Audio::Ac3 => " -c:a ac3 -b:a 64k",
            Audio::Flac => " -c:a flac -sample_fmt s16",
        };
        all.split(' ').map(OsString::from).collect()
    }
}

impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { video, audio, group_seconds, kilobits } = self;
        write!(f, "{video:?}-{audio:?}-{group_seconds}s-{kilobits}k")
    }
}

/// What every ffmpeg is told first.
pub const QUIET: &[&str] = &["-hide_banner", "-nostdin", "-loglevel", "warning", "-y"];

/// `target/test-media/NAME`, made by `make` if it is not there. Made beside and moved, so that nobody sees half of it.
fn cached(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let folder = tools::target().join("test-media");
    let file = folder.join(name);
    if !file.is_file() {
        std::fs::create_dir_all(&folder).expect("make the folder of test media");
        let beside = tempfile::Builder::new().tempfile_in(&folder).expect("make a file beside").into_temp_path();
        make(&beside);
        std::fs::rename(&beside, &file).expect("move a finished file");
        // It is elsewhere now; there is nothing left to remove.
        let _ = beside.keep();
    }
    file
}
