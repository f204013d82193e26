//! What the other end of a WebRTC session offers or answers (RFC 8829; the syntax is RFC 8866).
//!
//! Everything goes over one way (BUNDLE, RFC 9143, and RTCP beside RTP, RFC 8834): a description without that, or without the
//! fingerprint and the ICE credentials which make it safe, is refused with words that a person understands.

use sdp_types::{Attribute, Media, Session};

/// Bytes of a description. A browser's with all its codecs for four tracks has 20 KB.
pub const DESCRIPTION_BYTES_MAX: usize = 64 << 10;

/// Media sections of a description.
pub const SECTIONS_MAX: usize = 32;

/// Payload types of a section, header extensions, layers: what is beyond is passed over. A browser's video has 50.
const LIST_MAX: usize = 128;

/// Letters of the parameters of a codec, and kinds of feedback of one: a browser has 120 and six.
const WORDS_MAX: usize = 512;
const FEEDBACK_MAX: usize = 16;

/// Letters of names and passwords (RFC 8839 section 5.4).
pub(super) const UFRAG_MAX: usize = 256;

/// A description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The way that all of it takes.
    pub transport: Transport,
    /// Its media, in order, those that are refused as well.
    pub sections: Vec<Section>,
}

/// How the other end is reached and recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transport {
    /// For connectivity checks.
    pub credentials: Credentials,
    /// It answers checks and makes none (RFC 8445 section 2.5).
    pub is_lite: bool,
    /// The hash of the certificate that its DTLS has.
    pub fingerprint: Fingerprint,
    /// Who begins with DTLS.
    pub setup: Setup,
}

/// Name fragment and password of ICE (RFC 8839 section 5.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The name fragment.
    pub ufrag: String,
    /// The password.
    pub password: String,
}

/// The hash of a certificate (RFC 8122 section 5), by SHA-256: what every browser says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

/// Who begins with DTLS (RFC 8842 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// The one who says it.
    Active,
    /// The other one.
    Passive,
    /// Whoever answers decides.
    Either,
}

/// One media section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its name (RFC 9143 section 8.5).
    pub mid: String,
    /// What it is.
    pub kind: SectionKind,
    /// Port 0 without being bundled: it is not wanted.
    pub is_refused: bool,
    /// Whether who describes it sends, and receives.
    pub sends: bool,
    /// See [`Self::sends`].
    pub receives: bool,
    /// Codecs, the most wanted one first.
    pub payloads: Vec<Payload>,
    /// Header extensions by their numbers (RFC 8285).
    pub extensions: Vec<Extension>,
    /// Names of the layers that are sent (RFC 8853), the most wanted one first.
    pub layers: Vec<String>,
    /// Sources that are named (RFC 5576), in order.
    pub sources: Vec<u32>,
    /// Which of them repeats which one (RFC 4588 section 8.6): what is repeated first.
    pub repeats: Vec<(u32, u32)>,
}

/// What a section is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionKind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
    /// Data channels (RFC 8841).
    Data,
    /// Something else, which is refused.
    Other,
}

/// A codec under a payload type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The payload type, below 128.
    pub payload_type: u8,
    /// As `rtpmap` has it: `H264`, `opus`, `rtx`.
    pub encoding: String,
    /// Ticks a second.
    pub clock_rate: u32,
    /// Channels of sound, one where nothing is said.
    pub channels: u8,
    /// The parameters, as they are; empty where there are none.
    pub fmtp: String,
    /// What the receiver wants to say of it (RFC 4585 section 4.2): `nack`, `nack pli`, `transport-cc`.
    pub feedback: Vec<String>,
}

impl Payload {
    /// A parameter; names compare without case.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.fmtp.split(';').find_map(|part| {
            let (key, value) = part.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// The payload type whose packets it repeats (RFC 4588 section 8.1).
    pub fn repeats(&self) -> Option<u8> {
        let is_rtx = self.encoding.eq_ignore_ascii_case("rtx");
        is_rtx.then(|| self.parameter("apt")?.parse().ok()).flatten()
    }

    /// Whether the receiver says this.
    pub fn has_feedback(&self, wanted: &str) -> bool {
        self.feedback.iter().any(|known| known.eq_ignore_ascii_case(wanted))
    }
}

/// A header extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Its number in packets, 1 to 14 where they are short (RFC 8285 section 4.2).
    pub id: u8,
    /// What it is.
    pub uri: String,
}

/// Why a description cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptionError {
    /// Longer than [`DESCRIPTION_BYTES_MAX`].
    #[error("the description has more than {} KB", DESCRIPTION_BYTES_MAX >> 10)]
    TooLarge,
    /// No SDP.
    #[error("the description is malformed: {0}")]
    Syntax(String),
    /// No `m=` line, or too many.
    #[error("the description has {0} media sections; from 1 to {SECTIONS_MAX} can be answered")]
    Sections(usize),
    /// No ICE.
    #[error("the description has no ICE credentials (a=ice-ufrag, a=ice-pwd)")]
    NoIce,
    /// No DTLS, or one by a hash that nobody should believe.
    #[error("the description has no SHA-256 fingerprint of a certificate (a=fingerprint)")]
    NoFingerprint,
    /// More than one way would be needed.
    #[error("section {0} is not bundled with the first one (a=group:BUNDLE)")]
    NotBundled(String),
    /// RTCP on a port of its own.
    #[error("section {0} wants RTCP on a port of its own (a=rtcp-mux is missing)")]
    NoMux(String),
}

/// Reads a description.
pub fn parse(sdp: &[u8]) -> Result<Description, DescriptionError> {
    if sdp.len() > DESCRIPTION_BYTES_MAX {
        return Err(DescriptionError::TooLarge);
    }
    let session = Session::parse(sdp).map_err(|error| DescriptionError::Syntax(error.to_string()))?;
    if !(1..=SECTIONS_MAX).contains(&session.medias.len()) {
        return Err(DescriptionError::Sections(session.medias.len()));
    }
    let sections: Vec<Section> = session.medias.iter().enumerate().map(section).collect();
    check_bundle(&session, &sections)?;
    Ok(Description { transport: transport(&session)?, sections })
}

/// All that is wanted goes one way.
fn check_bundle(session: &Session, sections: &[Section]) -> Result<(), DescriptionError> {
    let group = values(&session.attributes, "group").find_map(|group| group.strip_prefix("BUNDLE"));
    let bundled: Vec<&str> = group.unwrap_or_default().split_ascii_whitespace().collect();
    let wanted = || sections.iter().zip(&session.medias).filter(|(section, _)| !section.is_refused);
    for (section, media) in wanted() {
        if wanted().count() > 1 && !bundled.contains(&section.mid.as_str()) {
            return Err(DescriptionError::NotBundled(section.mid.clone()));
        }
        if section.kind != SectionKind::Data && !has(&media.attributes, "rtcp-mux") {
            return Err(DescriptionError::NoMux(section.mid.clone()));
        }
    }
    Ok(())
}

/// What the session says, or the first section: with BUNDLE the others say the same (RFC 9143 section 7.1.3).
fn transport(session: &Session) -> Result<Transport, DescriptionError> {
    let places: Vec<&[Attribute]> = core::iter::once(&session.attributes)
        .chain(session.medias.iter().map(|media| &media.attributes))
        .map(Vec::as_slice)
        .collect();
    let find = |name| places.iter().find_map(|attributes| values(attributes, name).next());
    let name = |value: &&str| (1..=UFRAG_MAX).contains(&value.len());
    let (ufrag, password) = (find("ice-ufrag").filter(name), find("ice-pwd").filter(name));
    let (Some(ufrag), Some(password)) = (ufrag, password) else { return Err(DescriptionError::NoIce) };
    let fingerprint =
        places.iter().flat_map(|attributes| values(attributes, "fingerprint")).find_map(Fingerprint::parse);
    let setup = match find("setup") {
        Some("active") => Setup::Active,
        Some("passive") => Setup::Passive,
        _ => Setup::Either,
    };
    Ok(Transport {
        credentials: Credentials { ufrag: ufrag.to_owned(), password: password.to_owned() },
        is_lite: has(&session.attributes, "ice-lite"),
        fingerprint: fingerprint.ok_or(DescriptionError::NoFingerprint)?,
        setup,
    })
}

impl Fingerprint {
    /// `sha-256 AB:CD:…` (RFC 8122 section 5).
    fn parse(value: &str) -> Option<Self> {
        let (hash, digits) = value.split_once(' ')?;
        let mut bytes = [0; 32];
        let mut pairs = digits.trim().split(':');
        for byte in &mut bytes {
            *byte = u8::from_str_radix(pairs.next().filter(|pair| pair.len() == 2)?, 16).ok()?;
        }
        (hash.eq_ignore_ascii_case("sha-256") && pairs.next().is_none()).then_some(Self(bytes))
    }
}

impl core::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("sha-256 ")?;
        for (at, byte) in self.0.iter().enumerate() {
            let colon = if at == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

fn section((number, media): (usize, &Media)) -> Section {
    let attributes = &media.attributes;
    let kind = match media.media.as_str() {
        "audio" => SectionKind::Audio,
        "video" => SectionKind::Video,
        "application" if media.proto.ends_with("DTLS/SCTP") => SectionKind::Data,
        _ => SectionKind::Other,
    };
    let (sends, receives) = match direction(attributes) {
        "sendonly" => (true, false),
        "recvonly" => (false, true),
        "inactive" => (false, false),
        _ => (true, true),
    };
    let mid = values(attributes, "mid").next().map_or_else(|| number.to_string(), str::to_owned);
    let numbers =
        |value: &str| value.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<u32>>();
    let mut sources: Vec<u32> =
        values(attributes, "ssrc").filter_map(|value| numbers(value).first().copied()).collect();
    sources.dedup();
    sources.truncate(LIST_MAX);
    let repeats = values(attributes, "ssrc-group").filter_map(|value| match numbers(value.strip_prefix("FID")?)[..] {
        [media, repeat] => Some((media, repeat)),
        _ => None,
    });
    Section {
        mid,
        kind,
        is_refused: media.port == 0 && !has(attributes, "bundle-only"),
        sends,
        receives,
        payloads: if kind == SectionKind::Data { Vec::new() } else { payloads(media) },
        extensions: values(attributes, "extmap").filter_map(extension).take(LIST_MAX).collect(),
        layers: values(attributes, "rid").filter_map(layer).take(LIST_MAX).collect(),
        sources,
        repeats: repeats.take(LIST_MAX).collect(),
    }
}

fn direction(attributes: &[Attribute]) -> &str {
    let names = ["sendonly", "recvonly", "inactive", "sendrecv"];
    attributes
        .iter()
        .map(|attribute| attribute.attribute.as_str())
        .find(|name| names.contains(name))
        .unwrap_or_default()
}

/// `a=rid:<name> send` (RFC 8851 section 4).
fn layer(value: &str) -> Option<String> {
    let mut words = value.split_ascii_whitespace();
    let name = words.next()?;
    (words.next() == Some("send")).then(|| name.to_owned())
}

/// `a=extmap:<id>[/<direction>] <uri>` (RFC 8285 section 5).
fn extension(value: &str) -> Option<Extension> {
    let (id, rest) = value.split_once(' ')?;
    let id = id.split('/').next()?.parse().ok().filter(|id| *id > 0)?;
    Some(Extension { id, uri: rest.split_ascii_whitespace().next()?.to_owned() })
}

fn payloads(media: &Media) -> Vec<Payload> {
    let mut types: Vec<u8> = Vec::new();
    for number in media.fmt.split_ascii_whitespace().filter_map(|word| word.parse().ok()) {
        if number < 128 && !types.contains(&number) {
            types.push(number);
        }
    }
    types.into_iter().filter_map(|number| payload(media, number)).collect()
}

fn payload(media: &Media, payload_type: u8) -> Option<Payload> {
    let of = |name| {
        values(&media.attributes, name).filter_map(move |value| {
            let (number, rest) = value.split_once(' ')?;
            (number == "*" || number.parse() == Ok(payload_type)).then_some(rest.trim())
        })
    };
    let map = of("rtpmap").next().or(match payload_type {
        0 => Some("PCMU/8000"),
        8 => Some("PCMA/8000"),
        9 => Some("G722/8000"),
        _ => None,
    })?;
    let mut parts = map.split('/');
    Some(Payload {
        payload_type,
        encoding: parts.next()?.to_owned(),
        clock_rate: parts.next()?.parse().ok()?,
        channels: parts.next().and_then(|channels| channels.parse().ok()).unwrap_or(1),
        fmtp: of("fmtp").find(|fmtp| fmtp.len() <= WORDS_MAX).unwrap_or_default().to_owned(),
        feedback: of("rtcp-fb")
            .filter(|words| words.len() <= WORDS_MAX)
            .map(str::to_owned)
            .take(FEEDBACK_MAX)
            .collect(),
    })
}

fn values<'a>(attributes: &'a [Attribute], name: &'static str) -> impl Iterator<Item = &'a str> {
    let named = attributes.iter().filter(move |attribute| attribute.attribute == name);
    named.filter_map(|attribute| attribute.value.as_deref()).map(str::trim)
}

fn has(attributes: &[Attribute], name: &str) -> bool {
    attributes.iter().any(|attribute| attribute.attribute == name)
}

#[cfg(test)]
#[path = "description_tests.rs"]
pub(super) mod tests;
