//! Real clients as children: ffmpeg of two ages and GStreamer, publishing a file and recording what they read.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use weft_proto::media::Kind;

use crate::media::{Audio, Media, QUIET, Video};
use crate::process::Process;
use crate::recording::{self, Packet, Recording};
use crate::tools;
use crate::urls::Urls;

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
    /// By RTMP.
    Rtmp,
    /// By RTMP inside TLS.
    Rtmps,
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
    pub fn publish(self, server: &dyn Urls, way: Way, path: &str, media: Media) -> Process {
        self.publish_times(server, way, path, media, 0)
    }

    /// Publishes `media` over and over. Only ffmpeg can.
    pub fn publish_for_ever(self, server: &dyn Urls, way: Way, path: &str, media: Media) -> Process {
        assert_ne!(self, Self::GStreamer, "GStreamer's command line does not repeat a file");
        self.publish_times(server, way, path, media, -1)
    }

    fn publish_times(self, server: &dyn Urls, way: Way, path: &str, media: Media, more_times: i32) -> Process {
        let url = way.url(server, path);
        let command = match self {
            Self::Ffmpeg | Self::Ffmpeg9 => {
                let mut ffmpeg = self.ffmpeg();
                ffmpeg.args(["-re", "-stream_loop", &more_times.to_string(), "-i"]).arg(media.nut());
                // RTP for VP9 counts as experimental.
                ffmpeg.args(["-c", "copy", "-strict", "experimental"]);
                if way.is_rtmp() {
                    ffmpeg.args(["-f", "flv"]);
                } else {
                    ffmpeg.args(["-f", "rtsp", "-rtsp_transport", way.word()]);
                    if media.audio == Audio::Latm {
                        ffmpeg.args(["-rtpflags", "latm"]);
                    }
                }
                ffmpeg.args(self.trust(way)).arg(&url);
                ffmpeg
            }
            Self::GStreamer if way.is_rtmp() => gst_publish_rtmp(&url, media),
            Self::GStreamer => gst_publish(&url, way, media),
        };
        Process::start(format!("{self:?} publishing {path}"), command)
    }

    /// Reads `path` over HLS and records it. Only ffmpeg does.
    pub fn capture_hls(self, server: &dyn Urls, path: &str) -> Capture {
        assert_ne!(self, Self::GStreamer, "GStreamer's HLS reader cannot hand on what it reads unchanged");
        let folder = TempDir::new().expect("make a temporary folder");
        let mut ffmpeg = self.ffmpeg();
        ffmpeg.args(["-err_detect", "explode", "-i"]).arg(server.hls(path));
        record(&mut ffmpeg, folder.path());
        Capture { process: Process::start(format!("{self:?} reading {path} over HLS"), ffmpeg), client: self, folder }
    }

    /// Reads `path`, which carries `media`, and records it.
    pub fn capture(self, server: &dyn Urls, way: Way, path: &str, media: Media) -> Capture {
        let folder = TempDir::new().expect("make a temporary folder");
        let url = way.url(server, path);
        let command = match self {
            Self::Ffmpeg | Self::Ffmpeg9 => {
                let mut ffmpeg = self.ffmpeg();
                match (way.is_rtmp(), self) {
                    (false, _) => drop(ffmpeg.args(["-rtsp_transport", way.word()])),
                    // Says what it can decode only when it is told to.
                    (true, Self::Ffmpeg9) => drop(ffmpeg.args(["-rtmp_enhanced_codecs", ENHANCED])),
                    (true, _) => {}
                }
                ffmpeg.args(self.trust(way)).arg("-i").arg(&url);
                record(&mut ffmpeg, folder.path());
                ffmpeg
            }
            Self::GStreamer if way.is_rtmp() => gst_capture_rtmp(&url, media, folder.path()),
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
        if self == Self::Ffmpeg9 && matches!(way, Way::Tls | Way::Rtmps) { &["-tls_verify", "0"] } else { &[] }
    }
}

impl Way {
    fn url(self, server: &dyn Urls, path: &str) -> String {
        match self {
            Self::Tls => server.rtsps(path),
            Self::Rtmp => server.rtmp(path),
            Self::Rtmps => server.rtmps(path),
            Self::Tcp | Self::Udp | Self::Multicast => server.rtsp(path),
        }
    }

    /// Whether it is RTMP, encrypted or not.
    pub const fn is_rtmp(self) -> bool {
        matches!(self, Self::Rtmp | Self::Rtmps)
    }

    /// ffmpeg's word.
    fn word(self) -> &'static str {
        match self {
            Self::Tcp | Self::Tls => "tcp",
            Self::Udp => "udp",
            Self::Multicast => "udp_multicast",
            Self::Rtmp | Self::Rtmps => panic!("RTMP has one transport"),
        }
    }

    /// GStreamer's word.
    fn protocols(self) -> &'static str {
        match self {
            Self::Tcp | Self::Tls => "protocols=tcp",
            Self::Udp => "protocols=udp",
            Self::Multicast => "protocols=udp-mcast",
            Self::Rtmp | Self::Rtmps => panic!("RTMP has one transport"),
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

/// The packets of one kind in `file`, as ffmpeg sees them.
pub fn packets(file: &Path, kind: Kind) -> Vec<Packet> {
    let folder = TempDir::new().expect("make a temporary folder");
    let mut ffmpeg = Command::new(tools::ffmpeg());
    ffmpeg.args(QUIET).arg("-i").arg(file);
    record_track(&mut ffmpeg, folder.path(), if kind == Kind::Video { "v" } else { "a" });
    tools::run(&mut ffmpeg);
    recording::from_ffmpeg(folder.path()).track(kind).to_vec()
}

/// For each track, times and sizes of its packets into one file and the packets, unchanged, into another.
///
/// ffmpeg guesses decoding times, and where its guesses contradict the presentation times that it received it changes
/// these, too. So it is given decoding times that contradict nothing. The files of packets bear made-up times only, for
/// their muxer counts frames and refuses those whose true times are closer.
fn record(ffmpeg: &mut Command, folder: &Path) {
    for kind in ["v", "a"] {
        record_track(ffmpeg, folder, kind);
    }
}

/// The same for one track, as ffmpeg names it: `v`, `a:1`. [`recording::track`] reads it.
pub fn record_track(ffmpeg: &mut Command, folder: &Path, track: &str) {
    // Decoding times that only count keep ffmpeg from moving presentation times; sound it presents at its decoding time.
    let times = if track.starts_with('v') { "setts=pts=PTS:dts=N-1000000" } else { "setts=pts=PTS:dts=PTS" };
    let (map, name) = (format!("0:{track}"), track.replace(':', "_"));
    // ffmpeg before 6 does not tell keyframes of VP9 in RTP, and would wait for one for ever.
    ffmpeg.args(["-copyinkf", "-map", &map, "-c", "copy", "-bsf", times, "-flush_packets", "1"]);
    ffmpeg.args(["-f", "framecrc"]).arg(folder.join(format!("{name}.times")));
    ffmpeg.args(["-copyinkf", "-map", &map, "-c", "copy", "-bsf", "setts=ts=N", "-flush_packets", "1"]);
    ffmpeg.args(["-f", "data"]).arg(folder.join(name));
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
        Audio::Latm => ("! aacparse", "rtpmp4apay"),
        Audio::Opus => ("! opusparse", "rtpopuspay"),
        Audio::Pcmu => ("", "rtppcmupay"),
        Audio::Pcma => ("", "rtppcmapay"),
        Audio::Mp3 => ("! mpegaudioparse", "rtpmpapay"),
        Audio::Ac3 => ("! ac3parse", "rtpac3pay"),
        Audio::Flac => panic!("RTP has no format for FLAC"),
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
        Audio::Latm => "rtpmp4adepay ! aacparse ! audio/mpeg,stream-format=raw",
        Audio::Opus => "rtpopusdepay",
        Audio::Pcmu => "rtppcmudepay",
        Audio::Pcma => "rtppcmadepay",
        Audio::Mp3 => "rtpmpadepay ! mpegaudioparse",
        Audio::Ac3 => "rtpac3depay ! ac3parse",
        Audio::Flac => panic!("RTP has no format for FLAC"),
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

/// The codecs of Enhanced RTMP that ffmpeg 9 can be told to ask for.
const ENHANCED: &str = "hvc1,av01,vp09,Opus,fLaC,ac-3";

/// FLV as GStreamer has it knows no codec newer than AAC.
fn gst_publish_rtmp(url: &str, media: Media) -> Command {
    assert!(media.video == Video::H264 && media.audio == Audio::Aac, "GStreamer's FLV has H.264 in order, and AAC");
    gst_launch(&format!(
        "filesrc location={} ! matroskademux name=d \
         d.video_0 ! queue ! h264parse ! video/x-h264,stream-format=avc ! clocksync ! m. \
         d.audio_0 ! queue ! aacparse ! clocksync ! m. \
         flvmux name=m streamable=true ! rtmp2sink location={url} tls-validation-flags=0",
        media.matroska().display()
    ))
}

fn gst_capture_rtmp(url: &str, media: Media, folder: &Path) -> Command {
    assert!(matches!(media.video, Video::H264 | Video::H264Reordered), "GStreamer's FLV has H.264");
    let audio = match media.audio {
        Audio::Aac => "aacparse",
        Audio::Pcmu => "audio/x-mulaw",
        Audio::Pcma => "audio/x-alaw",
        Audio::Mp3 => "mpegaudioparse",
        other => panic!("GStreamer's FLV has no {other:?}"),
    };
    gst_launch(&format!(
        "rtmp2src location={url} tls-validation-flags=0 ! flvdemux name=d \
         d.video ! queue ! h264parse ! video/x-h264,stream-format=byte-stream,alignment=au ! gdppay \
         ! filesink buffer-mode=unbuffered sync=false location={} \
         d.audio ! queue ! {audio} ! gdppay ! filesink buffer-mode=unbuffered sync=false location={}",
        folder.join("v").display(),
        folder.join("a").display()
    ))
}

fn gst_launch(pipeline: &str) -> Command {
    let mut command = Command::new(tools::gst_launch());
    command.arg("-q").args(pipeline.split_ascii_whitespace().map(OsStr::new));
    command
}
