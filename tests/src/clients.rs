//! Real clients as children: ffmpeg of two ages and GStreamer, publishing a file and recording what they read.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::media::{Audio, Media, QUIET, Video};
use crate::process::Process;
use crate::recording::{self, Recording};
use crate::server::Server;
use crate::tools;

/// A client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// ffmpeg as the distribution has it.
    Ffmpeg,
    /// ffmpeg 9.
    Ffmpeg9,
    /// GStreamer.
    GStreamer,
}

/// How media travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Inside the RTSP connection.
    Tcp,
    /// Beside it.
    Udp,
    /// Inside an RTSPS connection.
    Tls,
    /// To a group.
    Multicast,
}

/// A client that records what it reads.
#[derive(Debug)]
pub struct Capture {
    /// The client.
    pub process: Process,
    client: Client,
    folder: TempDir,
}

impl Client {
    /// Publishes `media` once, at its own pace.
    pub fn publish(self, server: &Server, way: Way, path: &str, media: Media) -> Process {
        self.publish_times(server, way, path, media, 0)
    }

    /// Publishes `media` over and over. Only ffmpeg can.
    pub fn publish_for_ever(self, server: &Server, way: Way, path: &str, media: Media) -> Process {
        assert_ne!(self, Self::GStreamer, "GStreamer's command line does not repeat a file");
        self.publish_times(server, way, path, media, -1)
    }

    fn publish_times(self, server: &Server, way: Way, path: &str, media: Media, more_times: i32) -> Process {
        let url = way.url(server, path);
        let command = match self {
            Self::Ffmpeg | Self::Ffmpeg9 => {
                let mut ffmpeg = self.ffmpeg();
                ffmpeg.args(["-re", "-stream_loop", &more_times.to_string(), "-i"]).arg(media.nut());
                // RTP for VP9 counts as experimental.
                ffmpeg.args(["-c", "copy", "-strict", "experimental", "-f", "rtsp"]);
                ffmpeg.args(["-rtsp_transport", way.word()]).args(self.trust(way)).arg(&url);
                ffmpeg
            }
            Self::GStreamer => gst_publish(&url, way, media),
        };
        Process::start(format!("{self:?} publishing {path}"), command)
    }

    /// Reads `path`, which carries `media`, and records it.
    pub fn capture(self, server: &Server, way: Way, path: &str, media: Media) -> Capture {
        let folder = TempDir::new().expect("make a temporary folder");
        let url = way.url(server, path);
        let command = match self {
            Self::Ffmpeg | Self::Ffmpeg9 => {
                let mut ffmpeg = self.ffmpeg();
                ffmpeg.args(["-rtsp_transport", way.word()]).args(self.trust(way)).arg("-i").arg(&url);
                record(&mut ffmpeg, folder.path());
                ffmpeg
            }
            Self::GStreamer => gst_capture(&url, way, media, folder.path()),
        };
        Capture { process: Process::start(format!("{self:?} reading {path}"), command), client: self, folder }
    }

    fn ffmpeg(self) -> Command {
        let mut command = Command::new(if self == Self::Ffmpeg9 { tools::ffmpeg9() } else { tools::ffmpeg() });
        command.args(QUIET);
        command
    }

    /// Since version 8 ffmpeg looks at certificates.
    fn trust(self, way: Way) -> &'static [&'static str] {
        if self == Self::Ffmpeg9 && way == Way::Tls { &["-tls_verify", "0"] } else { &[] }
    }
}

impl Way {
    fn url(self, server: &Server, path: &str) -> String {
        if self == Self::Tls { server.rtsps(path) } else { server.rtsp(path) }
    }

    /// ffmpeg's word.
    fn word(self) -> &'static str {
        match self {
            Self::Tcp | Self::Tls => "tcp",
            Self::Udp => "udp",
            Self::Multicast => "udp_multicast",
        }
    }

    /// GStreamer's word.
    fn protocols(self) -> &'static str {
        match self {
            Self::Tcp | Self::Tls => "protocols=tcp",
            Self::Udp => "protocols=udp",
            Self::Multicast => "protocols=udp-mcast",
        }
    }
}

impl Capture {
    /// What has been recorded so far.
    pub fn recording(&self) -> Recording {
        match self.client {
            Client::Ffmpeg | Client::Ffmpeg9 => recording::from_ffmpeg(self.folder.path()),
            Client::GStreamer => recording::from_gstreamer(self.folder.path()),
        }
    }

    /// Waits until every track has so many seconds, ends the client and gives the recording.
    pub fn finish(mut self, seconds: u32) -> Recording {
        let limit = Instant::now() + Duration::from_secs(15 + u64::from(seconds) * 2);
        while self.recording().seconds() < f64::from(seconds) {
            self.process.assert_running();
            let (client, log, read) = (self.client, self.process.log(), self.recording());
            let (video, audio) = (read.video.len(), read.audio.len());
            assert!(Instant::now() < limit, "{client:?} recorded only {video} + {audio} packets; it said:\n{log}");
            std::thread::sleep(Duration::from_millis(200));
        }
        self.process.signal(libc::SIGINT);
        self.process.wait(10);
        self.recording()
    }
}

/// What `file` holds, as a client would record it.
pub fn contents(file: &Path) -> Recording {
    let folder = TempDir::new().expect("make a temporary folder");
    let mut ffmpeg = Command::new(tools::ffmpeg());
    ffmpeg.args(QUIET).arg("-i").arg(file);
    record(&mut ffmpeg, folder.path());
    tools::run(&mut ffmpeg);
    recording::from_ffmpeg(folder.path())
}

/// For each track, times and sizes of its packets into one file and the packets, unchanged, into another.
///
/// ffmpeg guesses decoding times, and where its guesses contradict the presentation times that it received it changes
/// these, too. So it is given decoding times that contradict nothing. The files of packets bear made-up times only, for
/// their muxer counts frames and refuses those whose true times are closer.
fn record(ffmpeg: &mut Command, folder: &Path) {
    // Decoding times that only count keep ffmpeg from moving presentation times; sound it presents at its decoding time.
    for (kind, times) in [("v", "setts=pts=PTS:dts=N-1000000"), ("a", "setts=pts=PTS:dts=PTS")] {
        let map = format!("0:{kind}");
        // ffmpeg before 6 does not tell keyframes of VP9 in RTP, and would wait for one for ever.
        ffmpeg.args(["-copyinkf", "-map", &map, "-c", "copy", "-bsf", times, "-flush_packets", "1"]);
        ffmpeg.args(["-f", "framecrc"]).arg(folder.join(format!("{kind}.times")));
        ffmpeg.args(["-copyinkf", "-map", &map, "-c", "copy", "-bsf", "setts=ts=N", "-flush_packets", "1"]);
        ffmpeg.args(["-f", "data"]).arg(folder.join(kind));
    }
}

fn gst_publish(url: &str, way: Way, media: Media) -> Command {
    let video = match media.video {
        Video::H264 | Video::H264Reordered => ("! h264parse", "rtph264pay"),
        Video::H265 => ("! h265parse", "rtph265pay"),
        Video::Vp8 => ("", "rtpvp8pay"),
        Video::Vp9 => ("! vp9parse", "rtpvp9pay"),
        Video::Av1 => panic!("GStreamer has no RTP for AV1 among its C plugins"),
    };
    let audio = match media.audio {
        Audio::Aac => ("! aacparse", "rtpmp4gpay"),
        Audio::Opus => ("! opusparse", "rtpopuspay"),
        Audio::Pcmu => ("", "rtppcmupay"),
        Audio::Pcma => ("", "rtppcmapay"),
        Audio::Mp3 => ("! mpegaudioparse", "rtpmpapay"),
        Audio::Ac3 => ("! ac3parse", "rtpac3pay"),
    };
    let file: PathBuf = media.matroska();
    let protocols = way.protocols();
    gst_launch(&format!(
        "filesrc location={} ! matroskademux name=d \
         d.video_0 ! queue {} ! clocksync ! s.sink_0 d.audio_0 ! queue {} ! clocksync ! s.sink_1 \
         rtspclientsink name=s location={url} {protocols} tls-validation-flags=0 \
         sink_0::payloader={} sink_1::payloader={}",
        file.display(),
        video.0,
        audio.0,
        video.1,
        audio.1
    ))
}

fn gst_capture(url: &str, way: Way, media: Media, folder: &Path) -> Command {
    let video = match media.video {
        Video::H264 | Video::H264Reordered => {
            "rtph264depay ! h264parse ! video/x-h264,stream-format=byte-stream,alignment=au"
        }
        Video::H265 => "rtph265depay ! h265parse ! video/x-h265,stream-format=byte-stream,alignment=au",
        Video::Vp8 => "rtpvp8depay",
        Video::Vp9 => "rtpvp9depay",
        Video::Av1 => panic!("GStreamer has no RTP for AV1 among its C plugins"),
    };
    let audio = match media.audio {
        Audio::Aac => "rtpmp4gdepay",
        Audio::Opus => "rtpopusdepay",
        Audio::Pcmu => "rtppcmudepay",
        Audio::Pcma => "rtppcmadepay",
        Audio::Mp3 => "rtpmpadepay ! mpegaudioparse",
        Audio::Ac3 => "rtpac3depay ! ac3parse",
    };
    // No jitter buffer's guess at the sender's clock: times as RTP has them.
    gst_launch(&format!(
        "rtspsrc name=s location={url} {} tls-validation-flags=0 buffer-mode=none latency=500 \
         s. ! application/x-rtp,media=video ! {video} ! gdppay ! filesink buffer-mode=unbuffered location={} \
         s. ! application/x-rtp,media=audio ! {audio} ! gdppay ! filesink buffer-mode=unbuffered location={}",
        way.protocols(),
        folder.join("v").display(),
        folder.join("a").display()
    ))
}

fn gst_launch(pipeline: &str) -> Command {
    let mut command = Command::new(tools::gst_launch());
    command.arg("-q").args(pipeline.split_ascii_whitespace().map(OsStr::new));
    command
}
