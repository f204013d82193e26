//! Session descriptions that this end writes: answers, and its own offers (RFC 8829 section 5).

use core::fmt::{self, Display, Formatter, Write};
use core::net::SocketAddr;

use super::description::{Credentials, Extension, Fingerprint, Payload, SectionKind, Setup};

/// Bytes of a message on a data channel that is taken (RFC 8841 section 6): what browsers say of themselves.
const MESSAGE_BYTES_MAX: u32 = 256 << 10;

/// A description that is to be written.
#[derive(Clone, Debug)]
pub struct Written<'a> {
    /// A number that is nobody else's, below 2^63.
    pub session: u64,
    /// How this end is reached.
    pub credentials: &'a Credentials,
    /// Whether this end answers checks and makes none.
    pub is_lite: bool,
    /// Of this end's certificate.
    pub fingerprint: Fingerprint,
    /// Who begins with DTLS.
    pub setup: Setup,
    /// Where this end is reached, the best first. They stand in the first section that is wanted: all go there.
    pub candidates: &'a [Candidate],
    /// The sections, in the order of the offer.
    pub sections: &'a [WrittenSection],
}

/// A section of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenSection {
    /// Its name.
    pub mid: String,
    /// What it is.
    pub kind: SectionKind,
    /// What is said of it; nothing where it is refused.
    pub media: Option<WrittenMedia>,
}

/// What is said of a section that is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WrittenMedia {
    /// Whether this end sends, and receives.
    pub sends: bool,
    /// See [`Self::sends`].
    pub receives: bool,
    /// Codecs, the most wanted one first; none for data channels.
    pub payloads: Vec<Payload>,
    /// Header extensions.
    pub extensions: Vec<Extension>,
    /// Names of layers that are received.
    pub layers: Vec<String>,
    /// What this end sends.
    pub source: Option<Source>,
}

/// A source of media (RFC 5576).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its number.
    pub ssrc: u32,
    /// Where its packets are repeated (RFC 4588).
    pub repeat: Option<u32>,
    /// The name that it shares with what plays together with it (RFC 3550 section 6.5.1), and of its stream (RFC 8830).
    pub cname: String,
    /// The name of its track.
    pub track: String,
}

/// Where an end is reached (RFC 8839 section 5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The address.
    pub address: SocketAddr,
    /// By TCP, to which the other end connects (RFC 6544 section 4.5); else by UDP.
    pub is_tcp: bool,
    /// Another address of it, as a STUN server has seen it.
    pub base: Option<SocketAddr>,
}

impl Candidate {
    /// By UDP, at an address of this machine.
    pub const fn udp(address: SocketAddr) -> Self {
        Self { address, is_tcp: false, base: None }
    }

    /// By TCP, the other end connecting.
    pub const fn tcp(address: SocketAddr) -> Self {
        Self { address, is_tcp: true, base: None }
    }

    /// The higher the better (RFC 8445 section 5.1.2): UDP before TCP, an address of the machine before one that others see, and
    /// in the given order.
    fn priority(&self, place: usize) -> u32 {
        let kind: u32 = match (self.is_tcp, self.base.is_some()) {
            (false, false) => 126,
            (false, true) => 100,
            (true, _) => 90,
        };
        let place = u16::MAX - u16::try_from(place).unwrap_or(u16::MAX);
        kind << 24 | u32::from(place) << 8 | 255
    }

    /// The attribute's value, as the candidate at this place of a list.
    pub fn to_attribute(&self, place: usize) -> String {
        let (ip, port) = (self.address.ip().to_canonical(), self.address.port());
        let transport = if self.is_tcp { "tcp" } else { "udp" };
        let kind = if self.base.is_some() { "srflx" } else { "host" };
        let mut text = format!("{} 1 {transport} {} {ip} {port} typ {kind}", place + 1, self.priority(place));
        if let Some(base) = self.base {
            let _ = write!(text, " raddr {} rport {}", base.ip(), base.port());
        }
        if self.is_tcp {
            text.push_str(" tcptype passive");
        }
        text
    }
}

impl Display for Written<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "v=0\r\no=- {} 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", self.session)?;
        let wanted = || self.sections.iter().filter(|section| section.media.is_some());
        let names: Vec<&str> = wanted().map(|section| section.mid.as_str()).collect();
        write!(f, "a=group:BUNDLE {}\r\n", names.join(" "))?;
        if self.is_lite {
            f.write_str("a=ice-lite\r\n")?;
        }
        write!(f, "a=extmap-allow-mixed\r\na=msid-semantic: WMS *\r\n")?;
        for section in self.sections {
            let is_first = wanted().next().is_some_and(|first| first.mid == section.mid);
            self.section(f, section, is_first)?;
        }
        Ok(())
    }
}

impl Written<'_> {
    fn section(&self, f: &mut Formatter<'_>, section: &WrittenSection, is_first: bool) -> fmt::Result {
        let WrittenSection { mid, kind, media } = section;
        let (word, protocol) = match kind {
            SectionKind::Audio => ("audio", "UDP/TLS/RTP/SAVPF"),
            SectionKind::Video => ("video", "UDP/TLS/RTP/SAVPF"),
            SectionKind::Data | SectionKind::Other => ("application", "UDP/DTLS/SCTP"),
        };
        let formats: Vec<String> =
            media.iter().flat_map(|media| &media.payloads).map(|payload| payload.payload_type.to_string()).collect();
        let formats = match (formats.is_empty(), kind) {
            (false, _) => formats.join(" "),
            (true, SectionKind::Audio | SectionKind::Video) => "0".into(),
            (true, _) => "webrtc-datachannel".into(),
        };
        let port = if media.is_some() { 9 } else { 0 };
        write!(f, "m={word} {port} {protocol} {formats}\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\n")?;
        let Credentials { ufrag, password } = self.credentials;
        let setup = match self.setup {
            Setup::Active => "active",
            Setup::Passive => "passive",
            Setup::Either => "actpass",
        };
        write!(f, "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\na=ice-options:trickle\r\n")?;
        write!(f, "a=fingerprint:{}\r\na=setup:{setup}\r\n", self.fingerprint)?;
        // What is refused needs no way, but some clients (aiortc) look for one in each section.
        let Some(media) = media else {
            let mux = if matches!(kind, SectionKind::Audio | SectionKind::Video) { "a=rtcp-mux\r\n" } else { "" };
            return write!(f, "a=inactive\r\n{mux}");
        };
        match kind {
            SectionKind::Audio | SectionKind::Video => media.write(f)?,
            SectionKind::Data | SectionKind::Other => {
                write!(f, "a=sctp-port:5000\r\na=max-message-size:{MESSAGE_BYTES_MAX}\r\n")?;
            }
        }
        if is_first {
            for (place, candidate) in self.candidates.iter().enumerate() {
                write!(f, "a=candidate:{}\r\n", candidate.to_attribute(place))?;
            }
            f.write_str("a=end-of-candidates\r\n")?;
        }
        Ok(())
    }
}

impl WrittenMedia {
    fn write(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let direction = match (self.sends, self.receives) {
            (true, true) => "sendrecv",
            (true, false) => "sendonly",
            (false, true) => "recvonly",
            (false, false) => "inactive",
        };
        write!(f, "a={direction}\r\na=rtcp-mux\r\na=rtcp-rsize\r\n")?;
        for Extension { id, uri } in &self.extensions {
            write!(f, "a=extmap:{id} {uri}\r\n")?;
        }
        for payload in &self.payloads {
            let Payload { payload_type, encoding, clock_rate, channels, fmtp, feedback } = payload;
            write!(f, "a=rtpmap:{payload_type} {encoding}/{clock_rate}")?;
            if *channels > 1 {
                write!(f, "/{channels}")?;
            }
            f.write_str("\r\n")?;
            if !fmtp.is_empty() {
                write!(f, "a=fmtp:{payload_type} {fmtp}\r\n")?;
            }
            for feedback in feedback {
                write!(f, "a=rtcp-fb:{payload_type} {feedback}\r\n")?;
            }
        }
        for layer in &self.layers {
            write!(f, "a=rid:{layer} recv\r\n")?;
        }
        if !self.layers.is_empty() {
            write!(f, "a=simulcast:recv {}\r\n", self.layers.join(";"))?;
        }
        let Some(Source { ssrc, repeat, cname, track }) = &self.source else { return Ok(()) };
        write!(f, "a=msid:{cname} {track}\r\n")?;
        if let Some(repeat) = repeat {
            write!(f, "a=ssrc-group:FID {ssrc} {repeat}\r\n")?;
        }
        for ssrc in [Some(*ssrc), *repeat].into_iter().flatten() {
            write!(f, "a=ssrc:{ssrc} cname:{cname}\r\n")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
