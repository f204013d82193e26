//! The command line.

use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::probe::door::{Scheme, Transport, Url};

/// Load, probes and experiments against a live-media server.
#[derive(Debug, Parser)]
#[command(name = "weft-chaos", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The storms we have.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Publish synthetic streams, read them many times, and measure what arrives and what it costs.
    ///
    /// Exit codes: 0 all well, 1 more losses than --max-loss or another expectation failed, 2 usage, 3 cannot connect.
    Load(Box<LoadArgs>),
}

/// `weft-chaos load`.
#[derive(Clone, Debug, Args)]
pub struct LoadArgs {
    /// Where to publish, by RTSP or RTMP, or whip://HOST:8889/PATH for WebRTC; with several publishers, paths are numbered:
    /// PATH-0, PATH-1, ...
    #[arg(long, value_name = "URL", default_value = "rtsp://127.0.0.1:8554/load")]
    pub publish: Url,
    /// Number of publishers; 0 reads what somebody else publishes.
    #[arg(long, value_name = "P", default_value_t = 1)]
    pub publishers: u32,
    /// Where to read [default: where we publish]; http://HOST:8888/PATH/index.m3u8 for HLS with parts, whep://HOST:8889/PATH for
    /// WebRTC, rtspu:// and rtspt:// for RTSP over UDP and TCP whatever --read-transport says. Several: readers are spread evenly over them, each is
    /// reported by itself, and how much later units come than at the first one of the same protocol: name the owner's first.
    #[arg(long, value_name = "URL")]
    pub read: Vec<Url>,
    /// Number of readers, spread evenly over the places to read from, then over the paths.
    #[arg(long, value_name = "R", default_value_t = 200)]
    pub readers: u32,
    /// How media travels to and from the server; WebRTC knows one way only.
    #[arg(long, value_enum, default_value_t)]
    pub transport: Transport,
    /// How media travels from the server, if not the same way.
    #[arg(long, value_enum)]
    pub read_transport: Option<Transport>,
    /// Video bits per second of each stream: 500k, 2M, 1.5M.
    #[arg(long, value_parser = bitrate, default_value = "2M")]
    pub bitrate: u64,
    /// Frames per second.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=240))]
    pub fps: u32,
    /// Time between keyframes.
    #[arg(long, value_parser = duration, default_value = "2s")]
    pub gop: Duration,
    /// Publish a silent track too, AAC or over WebRTC Opus (the default).
    #[arg(long, overrides_with = "no_audio")]
    pub audio: bool,
    /// Publish video only.
    #[arg(long)]
    pub no_audio: bool,
    /// Length of the measured window.
    #[arg(long, value_parser = duration, default_value = "30s")]
    pub duration: Duration,
    /// Time between the last reader's joining and the window.
    #[arg(long, value_parser = duration, default_value = "3s")]
    pub warmup: Duration,
    /// Process id of the server, to measure its CPU time and memory. Several: all of them together.
    #[arg(long, value_name = "PID")]
    pub pid: Vec<u32>,
    /// How many readers join each second.
    #[arg(long, value_name = "N/s", value_parser = rate, default_value = "100/s")]
    pub join_rate: f64,
    /// Threads that read; one is enough for some thousand readers.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub read_threads: u32,
    /// A live unit that takes longer counts as late.
    #[arg(long, value_parser = duration, default_value = "1s")]
    pub late: Duration,
    /// Fail if a larger share of the units is lost, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    pub max_loss: f64,
    /// Fail if the 99th percentile of latency is longer.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub max_latency: Option<Duration>,
    /// Fail if a reader waits longer for its first decodable frame.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub max_first_frame: Option<Duration>,
    /// Fail if a reader is further behind live two seconds after its first frame.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub max_behind: Option<Duration>,
    /// Fail if units come later by more, at the 99th percentile, than at the first place of the same protocol.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub max_hop: Option<Duration>,
    /// Also measure what this machine can do at most: one thread that only writes frames to sockets.
    #[arg(long)]
    pub bare: bool,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
    /// No progress lines.
    #[arg(long, short)]
    pub quiet: bool,
}

/// What one reader reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// From which of the places.
    pub place: u16,
    /// Which publisher's stream.
    pub path: u16,
    /// How many read from that place before it.
    pub turn: usize,
    /// Where that is.
    pub url: Url,
}

impl LoadArgs {
    /// How readers get their media.
    pub fn read_transport(&self) -> Transport {
        // Nothing else is there to be chosen.
        let is_webrtc = self.places().iter().all(|url| url.scheme == Scheme::Webrtc);
        if is_webrtc { Transport::Udp } else { self.read_transport.unwrap_or(self.transport) }
    }

    /// Whether an audio track is published.
    pub const fn with_audio(&self) -> bool {
        !self.no_audio
    }

    /// Where publisher `index` publishes.
    pub fn publish_url(&self, index: u32) -> Url {
        self.publish.numbered(index, self.publishers)
    }

    /// Where readers read.
    pub fn places(&self) -> &[Url] {
        if self.read.is_empty() { std::slice::from_ref(&self.publish) } else { &self.read }
    }

    /// What reader `index` reads.
    pub fn view(&self, index: u32) -> View {
        let places = self.places();
        let count = places.len() as u32;
        let (place, turn) = (index % count, index / count);
        let path = turn % self.publishers.max(1);
        let url = places[place as usize].numbered(path, self.publishers);
        View { place: place as u16, path: path as u16, turn: turn as usize, url }
    }

    /// How many readers read from a place.
    pub fn readers_of(&self, place: usize) -> u32 {
        let (count, place) = (self.places().len() as u32, place as u32);
        self.readers / count + u32::from(place < self.readers % count)
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let scale = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        _ => return Err("a time is a number with ms, s, m or h".into()),
    };
    Duration::try_from_secs_f64(positive(number)? * scale).map_err(|error| error.to_string())
}

fn bitrate(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let scale = match unit {
        "" => 1.0,
        "k" | "K" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        _ => return Err("a bitrate is a number with k, M or G".into()),
    };
    match positive(number)? * scale {
        bits if !(1.0..=1e10).contains(&bits) => Err("a bitrate lies between 1 and 10G".into()),
        bits => Ok(bits as u64),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match positive(text.strip_suffix("/s").unwrap_or(text))? {
        0.0 => Err("nobody would ever join".into()),
        rate => Ok(rate),
    }
}

fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len()))
}

fn positive(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        _ => Err(format!("'{text}' is not a number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(words: &[&str]) -> Result<LoadArgs, clap::Error> {
        let words = ["weft-chaos", "load"].iter().chain(words);
        Cli::try_parse_from(words).map(|cli| match cli.command {
            Command::Load(args) => *args,
        })
    }

    #[test]
    fn numbers_with_units() {
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!((bitrate("2M"), bitrate("64k")), (Ok(2_000_000), Ok(64_000)));
        assert_eq!((rate("50/s"), rate("0.5")), (Ok(50.0), Ok(0.5)));
        assert!(duration("-1s").is_err() && duration("1x").is_err() && bitrate("0").is_err() && rate("0").is_err());
    }

    #[test]
    fn readers_spread_over_numbered_paths() {
        let args = load(&["--publishers", "3", "--read", "rtsp://b:1/x"]).unwrap();
        assert_eq!(args.publish_url(2).path, "load-2");
        let View { path, url, .. } = args.view(7);
        assert_eq!((path, url.to_string().as_str()), (1, "rtsp://b:1/x-1"));
        assert_eq!(load(&[]).unwrap().view(7).url.path, "load");
    }

    #[test]
    fn readers_spread_over_several_places_first() {
        let words = ["--publishers", "2", "--readers", "7", "--read", "rtsp://a:1/x", "--read", "rtmp://b:1/x"];
        let args = load(&words).unwrap();
        let views: Vec<String> = (0..7).map(|index| args.view(index).url.to_string()).collect();
        let (first, second) = (["rtsp://a:1/x-0", "rtmp://b:1/x-0"], ["rtsp://a:1/x-1", "rtmp://b:1/x-1"]);
        assert_eq!(views, [first, second, first, ["rtsp://a:1/x-1", ""]].concat()[..7]);
        assert_eq!((args.view(6).turn, args.view(6).place), (3, 0));
        assert_eq!((args.readers_of(0), args.readers_of(1)), (4, 3));
    }

    #[test]
    fn audio_can_be_left_out() {
        assert!(load(&[]).unwrap().with_audio());
        assert!(!load(&["--no-audio"]).unwrap().with_audio());
        assert!(load(&["--publish", "ftp://a/b"]).is_err());
    }
}
