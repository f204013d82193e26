//! Sources that nodes pull, as they are configured.

use std::time::Duration;

use super::value::parse_duration;

/// What is pulled for a path, and by what rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceConfig {
    /// `source`: the URL, with `$G1` and so on still in it.
    pub url: String,
    /// The protocol of the URL.
    pub protocol: SourceProtocol,
    /// `sourceFingerprint`: the SHA-256 of the certificate that the server must have; none for any that is trusted.
    pub fingerprint: Option<[u8; 32]>,
    /// `sourceOnDemand` with its two times: pulled only while somebody reads.
    pub on_demand: Option<OnDemandConfig>,
    /// `sourceExclusive`: only while the node is part of a quorum.
    pub exclusive: bool,
    /// `rtspTransport`.
    pub rtsp_transport: RtspSourceTransport,
    /// `rtspAnyPort`: packets may come from other ports than the server has said.
    pub rtsp_any_port: bool,
    /// `rtspRangeType` and `rtspRangeStart` as the header `Range` says them; none for live.
    pub rtsp_range: Option<String>,
    /// `rtspScale` for the header `Scale`.
    pub rtsp_scale: Option<String>,
    /// `rtspUDPSourcePortRange`: the first and the last local port for media over UDP.
    pub rtsp_udp_ports: (u16, u16),
    /// What is particular to WHEP.
    pub whep: WhepSourceConfig,
}

/// How a WHEP source is pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhepSourceConfig {
    /// `whepBearerToken`: shown to the server; empty for none.
    pub bearer_token: String,
    /// `whepSTUNGatherTimeout`: STUN servers may take so long to say this node's addresses.
    pub gather_timeout: Duration,
    /// `whepHandshakeTimeout`: from the answer until keys are agreed.
    pub handshake_timeout: Duration,
    /// `whepTrackGatherTimeout`: from there until every track has sent something; what has not is left out.
    pub track_timeout: Duration,
}

/// When a source that is pulled on demand comes and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnDemandConfig {
    /// `sourceOnDemandStartTimeout`: readers wait so long for it.
    pub start_timeout: Duration,
    /// `sourceOnDemandCloseAfter`: it stays so long without readers.
    pub close_after: Duration,
}

/// How a source is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceProtocol {
    /// `rtsp://`.
    Rtsp,
    /// `rtsps://`.
    Rtsps,
    /// `rtmp://`.
    Rtmp,
    /// `rtmps://`.
    Rtmps,
    /// HLS over `http://` or `https://`.
    Hls,
    /// `whep://`: WebRTC, asked for over HTTP.
    Whep,
    /// `wheps://`: WebRTC, asked for over HTTPS.
    Wheps,
}

/// What RTP comes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtspSourceTransport {
    /// The connection; where the server does not want that, UDP, and then a multicast group.
    Automatic,
    /// UDP to this node.
    Udp,
    /// UDP to a multicast group.
    Multicast,
    /// The connection.
    Tcp,
}

impl SourceProtocol {
    /// The protocol of a URL that this version pulls.
    pub fn of(url: &str) -> Option<Self> {
        match url.split_once("://")?.0 {
            "rtsp" => Some(Self::Rtsp),
            "rtsps" => Some(Self::Rtsps),
            "rtmp" => Some(Self::Rtmp),
            "rtmps" => Some(Self::Rtmps),
            "http" | "https" => Some(Self::Hls),
            "whep" => Some(Self::Whep),
            "wheps" => Some(Self::Wheps),
            _ => None,
        }
    }

    /// The API's name of the source, MediaMTX's.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Rtsp | Self::Rtsps => "rtspSource",
            Self::Rtmp | Self::Rtmps => "rtmpSource",
            Self::Hls => "hlsSource",
            Self::Whep | Self::Wheps => "webRTCSource",
        }
    }
}

impl SourceConfig {
    /// The URL for a path whose name matched an expression: `$G1` is the text of its first group, and so on; `$MTX_PATH` is
    /// the whole name.
    pub fn url_for(&self, name: &str, groups: &[String]) -> String {
        let mut url = self.url.replace("$MTX_PATH", name);
        // From the last on: `$G1` is the beginning of `$G10`.
        for (number, text) in groups.iter().enumerate().rev() {
            url = url.replace(&format!("$G{}", number + 1), text);
        }
        url
    }
}

/// A SHA-256 in hexadecimal digits, with or without colons.
pub(super) fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    let mut hash = [0; 32];
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// The header `Range` (RFC 2326 section 12.29); `Err` says what `rtspRangeStart` should be.
pub(super) fn range(kind: &str, start: &str) -> Result<Option<String>, &'static str> {
    let seconds = || parse_duration(start).map(|start| start.as_secs_f64());
    match kind {
        "" => Ok(None),
        "clock" if is_clock(start) => Ok(Some(format!("clock={start}-"))),
        "clock" => Err("a time like `20230812T120000Z`"),
        "npt" => seconds().map(|from| Some(format!("npt={from}-"))).ok_or("a duration like `30s`"),
        _ => seconds().map(|from| Some(smpte(from))).ok_or("a duration like `30s`"),
    }
}

fn is_clock(text: &str) -> bool {
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.strip_suffix('Z')
        .and_then(|text| text.split_once('T'))
        .is_some_and(|(day, time)| day.len() == 8 && time.len() >= 6 && is_digits(day) && is_digits(time))
}

fn smpte(seconds: f64) -> String {
    let whole = seconds as u64;
    format!("smpte={}:{:02}:{:02}-", whole / 3600, whole / 60 % 60, whole % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_an_expression_go_into_the_url() {
        let config = SourceConfig {
            url: "rtsp://host/$G1/$G10$G2?path=$MTX_PATH".into(),
            protocol: SourceProtocol::Rtsp,
            fingerprint: None,
            on_demand: None,
            exclusive: false,
            rtsp_transport: RtspSourceTransport::Automatic,
            rtsp_any_port: false,
            rtsp_range: None,
            rtsp_scale: None,
            rtsp_udp_ports: (1, 2),
            whep: WhepSourceConfig {
                bearer_token: String::new(),
                gather_timeout: Duration::ZERO,
                handshake_timeout: Duration::ZERO,
                track_timeout: Duration::ZERO,
            },
        };
        let groups: Vec<String> = "abcdefghij".chars().map(String::from).collect();
        assert_eq!(config.url_for("x/y", &groups), "rtsp://host/a/jb?path=x/y");
    }

    #[test]
    fn fingerprints_are_thirty_two_bytes_in_hexadecimal() {
        let plain = "00ff".repeat(16);
        assert_eq!(fingerprint(&plain).unwrap()[..3], [0, 255, 0]);
        assert_eq!(fingerprint(&plain.to_uppercase()), fingerprint(&plain));
        assert_eq!(fingerprint("00:ff"), None);
        assert_eq!(fingerprint(&"zz".repeat(32)), None);
    }

    #[test]
    fn ranges_are_written_as_the_standard_says() {
        assert_eq!(range("", "x"), Ok(None));
        assert_eq!(range("clock", "20230812T120000Z").unwrap().as_deref(), Some("clock=20230812T120000Z-"));
        assert_eq!(range("npt", "1m0.5s").unwrap().as_deref(), Some("npt=60.5-"));
        assert_eq!(range("smpte", "1h2m3s").unwrap().as_deref(), Some("smpte=1:02:03-"));
        assert!(range("clock", "yesterday").is_err() && range("npt", "").is_err());
    }
}
