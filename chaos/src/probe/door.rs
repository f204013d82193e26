//! The border between what is measured and how it travels. A protocol is two functions: one that opens a [`Sink`] to
//! publish into, one that takes a [`Seat`] to read from. Everything else of it stays in its own module.

use std::io;
use std::net::{TcpStream, UdpSocket};
use std::str::FromStr;

use super::ProbeError;
use super::h264::Unit;
use super::hls::{self, Viewing};
use super::{aac, rtmp, rtsp, webrtc};

/// How media travels below the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// In the protocol's own connection.
    #[default]
    Tcp,
    /// In datagrams beside it.
    Udp,
}

impl Transport {
    /// As the command line spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// Takes the units of one publisher to a server. Calls block; an error ends the publisher.
pub trait Sink: Send {
    /// Sends one video unit; `pts` counts 90 kHz ticks.
    fn video(&mut self, unit: &Unit<'_>, pts: u64) -> io::Result<()>;

    /// Sends one frame of [`Self::sound`]; `pts` counts samples.
    fn audio(&mut self, frame: &[u8], pts: u64) -> io::Result<()>;

    /// What it takes for sound.
    fn sound(&self) -> Sound {
        Sound { frame: &aac::SILENCE, samples: aac::FRAME_SAMPLES }
    }

    /// Whether the next unit should be a random access point: readers have asked for one since this was last called.
    fn wants_key(&mut self) -> bool {
        false
    }

    /// Called about once a second: reports, keepalives, and reading what the server says.
    fn tend(&mut self, now_ns: u64) -> io::Result<()>;
}

/// Silence at 48 kHz.
#[derive(Clone, Copy, Debug)]
pub struct Sound {
    /// One frame.
    pub frame: &'static [u8],
    /// Its samples.
    pub samples: u32,
}

/// What [`publish`] needs to describe a stream.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// H.264 sequence parameter set.
    pub sps: &'a [u8],
    /// H.264 picture parameter set.
    pub pps: &'a [u8],
    /// Whether there is an audio track.
    pub audio: bool,
}

/// One reader's place at a server: media flows from now on.
#[derive(Debug)]
pub struct Seat {
    /// When the first request was written.
    pub asked_ns: u64,
    /// When the server had agreed to play: what was sent later is live to this reader.
    pub joined_ns: u64,
    /// The protocol's connection; datagrams may do without.
    pub control: Option<TcpStream>,
    /// What keeps the session open, if anything is needed.
    pub keepalive: Option<Keepalive>,
    /// Where media comes from.
    pub media: Media,
}

/// Where a reader finds its packets.
#[derive(Debug)]
pub enum Media {
    /// RTP packets behind `$` headers in the control connection.
    Interleaved {
        /// Channel of the video packets.
        video: u8,
        /// Channel of the audio packets.
        audio: Option<u8>,
        /// What arrived together with the last answer.
        early: Vec<u8>,
    },
    /// Parts of HLS segments over the control connection, each asked for.
    Parts(Box<Viewing>),
    /// RTP packets in datagrams.
    Datagrams {
        /// Socket of the video packets, and the one of its reports.
        video: (UdpSocket, UdpSocket),
        /// The same for audio.
        audio: Option<(UdpSocket, UdpSocket)>,
    },
    /// Encrypted packets, reports and checks in the datagrams of one socket.
    Sealed(Box<webrtc::Reading>),
    /// RTMP messages in the control connection.
    Messages {
        /// Where the connection stands.
        wire: Box<rtmp::Wire>,
        /// What arrived together with the last answer.
        early: Vec<u8>,
        /// Bytes received before that.
        received: u64,
    },
}

/// A request to be repeated on the control connection.
#[derive(Debug)]
pub struct Keepalive {
    /// The request without its number.
    pub request: Box<str>,
    /// The next number.
    pub number: u32,
    /// How often, in nanoseconds.
    pub every_ns: u64,
}

impl Keepalive {
    /// The next request, complete.
    pub fn renew(&mut self) -> String {
        self.number += 1;
        format!("{}CSeq: {}\r\n\r\n", self.request, self.number)
    }
}

/// Begins to publish at `url`.
pub fn publish(url: &Url, transport: Transport, offer: Offer<'_>) -> Result<Box<dyn Sink>, ProbeError> {
    let transport = url.transport.unwrap_or(transport);
    match url.scheme {
        Scheme::Rtsp => Ok(Box::new(rtsp::record(&url.plain(), transport, offer)?)),
        Scheme::Http => Err(ProbeError::Url { url: url.to_string(), reason: "one cannot publish to a playlist" }),
        Scheme::Rtmp => Ok(Box::new(rtmp::record(url, offer)?)),
        Scheme::Webrtc => Ok(Box::new(webrtc::record(url, offer)?)),
    }
}

/// Begins to read from `url`.
pub fn read(url: &Url, transport: Transport) -> Result<Seat, ProbeError> {
    let transport = url.transport.unwrap_or(transport);
    match url.scheme {
        Scheme::Rtsp => rtsp::play(&url.plain(), transport),
        Scheme::Http => hls::watch(url),
        Scheme::Rtmp => rtmp::play(url),
        Scheme::Webrtc => webrtc::play(url),
    }
}

/// The protocols we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// RTSP 1.0 (RFC 2326).
    Rtsp,
    /// RTMP 1.0, over TCP only.
    Rtmp,
    /// HLS with parts (RFC 8216bis), read only.
    Http,
    /// WebRTC by WHEP and WHIP (RFC 9725), over HTTP.
    Webrtc,
}

impl Scheme {
    const ALL: [Self; 4] = [Self::Rtsp, Self::Rtmp, Self::Http, Self::Webrtc];

    /// As it stands in a URL.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Rtsp => "rtsp://",
            Self::Rtmp => "rtmp://",
            Self::Http => "http://",
            Self::Webrtc => "whep://",
        }
    }

    /// The port of URLs without one.
    const fn port(self) -> u16 {
        match self {
            Self::Rtsp => 554,
            Self::Rtmp => 1935,
            Self::Http | Self::Webrtc => 80,
        }
    }
}

/// Where a stream is: `rtsp://user:password@host:port/path?query`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// The protocol.
    pub scheme: Scheme,
    /// How its media travels, where the URL says it.
    pub transport: Option<Transport>,
    /// `user:password`, as given.
    pub user: Option<String>,
    /// Host and port, ready to dial.
    pub authority: String,
    /// The path without its leading slash.
    pub path: String,
    /// With its question mark; empty if there is none.
    pub query: String,
}

impl Url {
    /// As it stands in requests: how media travels is said elsewhere in them.
    fn plain(&self) -> Self {
        Self { transport: None, ..self.clone() }
    }

    /// The URL of stream number `index` out of `count`: itself when it is the only one.
    #[must_use]
    pub fn numbered(&self, index: u32, count: u32) -> Self {
        match count {
            0 | 1 => self.clone(),
            _ => Self { path: format!("{}-{index}", self.path), ..self.clone() },
        }
    }
}

/// Without user and password.
impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let prefix = match self.transport {
            Some(Transport::Tcp) => "rtspt://",
            Some(Transport::Udp) => "rtspu://",
            None => self.scheme.prefix(),
        };
        write!(f, "{prefix}{}/{}{}", self.authority, self.path, self.query)
    }
}

impl FromStr for Url {
    type Err = ProbeError;

    fn from_str(url: &str) -> Result<Self, ProbeError> {
        let wrong = |reason| ProbeError::Url { url: url.to_owned(), reason };
        // As GStreamer writes them.
        let told = [("rtspt://", Transport::Tcp), ("rtspu://", Transport::Udp)];
        let told = told.into_iter().map(|(prefix, transport)| (prefix, Scheme::Rtsp, Some(transport)));
        // Which of both is a matter of what is done with it.
        let whip = std::iter::once(("whip://", Scheme::Webrtc, None));
        let mut known = Scheme::ALL.into_iter().map(|scheme| (scheme.prefix(), scheme, None)).chain(told).chain(whip);
        let found = known.find_map(|(prefix, scheme, transport)| Some((scheme, transport, url.strip_prefix(prefix)?)));
        let (scheme, transport, rest) =
            found.ok_or_else(|| wrong("only rtsp://, rtmp://, whip://, whep:// and http:// are known"))?;
        let (authority, path) = rest.split_once('/').ok_or_else(|| wrong("a path is missing"))?;
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, authority),
        };
        let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
        // Streams are numbered by their paths.
        let path = match scheme {
            Scheme::Http => path.strip_suffix("/index.m3u8").unwrap_or(path),
            Scheme::Webrtc => path.strip_suffix("/whep").or(path.strip_suffix("/whip")).unwrap_or(path),
            Scheme::Rtsp | Scheme::Rtmp => path,
        };
        if host.is_empty() || path.is_empty() {
            return Err(wrong("host or path is missing"));
        }
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if has_port { host.to_owned() } else { format!("{host}:{}", scheme.port()) };
        Ok(Self { scheme, transport, user, authority, path: path.to_owned(), query: query.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_come_apart_and_hide_secrets() {
        let url: Url = "rtsp://me:se@cret@[::1]:8554/cam/front?x=1".parse().unwrap();
        assert_eq!(url.user.as_deref(), Some("me:se@cret"));
        assert_eq!(
            (url.authority.as_str(), url.path.as_str(), url.query.as_str()),
            ("[::1]:8554", "cam/front", "?x=1")
        );
        assert_eq!(url.numbered(2, 3).to_string(), "rtsp://[::1]:8554/cam/front-2?x=1");
        assert_eq!(url.numbered(0, 1), url);
    }

    #[test]
    fn urls_that_name_nothing_are_refused() {
        for url in ["ftp://a/b", "rtsp://a", "rtsp:///b", "rtsp://a/"] {
            assert!(url.parse::<Url>().is_err(), "{url}");
        }
        assert_eq!("rtsp://a/b".parse::<Url>().unwrap().authority, "a:554");
        let url: Url = "http://a:8888/cam/front/index.m3u8".parse().unwrap();
        assert_eq!((url.authority.as_str(), url.numbered(1, 2).path.as_str()), ("a:8888", "cam/front-1"));
        let url: Url = "rtspu://a/b".parse().unwrap();
        assert_eq!((url.transport, url.to_string().as_str()), (Some(Transport::Udp), "rtspu://a:554/b"));
        for url in ["whep://a:8889/cam/front", "whip://a:8889/cam/front/whip", "whep://a:8889/cam/front/whep"] {
            assert_eq!(url.parse::<Url>().unwrap().to_string(), "whep://a:8889/cam/front");
        }
        assert_eq!("rtmp://a/b/c".parse::<Url>().unwrap().to_string(), "rtmp://a:1935/b/c");
    }
}
