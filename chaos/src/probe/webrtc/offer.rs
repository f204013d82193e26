//! What this end offers, and what it reads out of the answer.

use std::net::{IpAddr, SocketAddr};

use weft_proto::webrtc::answer::{Candidate, Source, Written, WrittenMedia, WrittenSection};
use weft_proto::webrtc::description::{self, Credentials, Description, Fingerprint, Payload, SectionKind, Setup};

/// Payload type of H.264 in our offers.
pub(super) const VIDEO_TYPE: u8 = 96;
/// Payload type of Opus in our offers.
pub(super) const AUDIO_TYPE: u8 = 111;

/// Which way media is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// To us: H.264, and Opus where there is some.
    Receive,
    /// From us: H.264 by this source, and Opus by that one.
    Send {
        /// Of the pictures.
        video: u32,
        /// Of the sound.
        audio: Option<u32>,
    },
}

/// Writes the offer. The server may choose who begins with DTLS, as browsers let it.
pub(super) fn write(
    direction: Direction,
    credentials: &Credentials,
    fingerprint: Fingerprint,
    local: SocketAddr,
) -> String {
    let (sends, video, audio) = match direction {
        Direction::Receive => (false, None, Some(None)),
        Direction::Send { video, audio } => (true, Some(video), audio.map(Some)),
    };
    let section = |mid: &str, kind, payloads, ssrc: Option<u32>| {
        let source = ssrc.map(|ssrc| Source { ssrc, repeat: None, cname: "weft-chaos".into(), track: mid.into() });
        let media = WrittenMedia { sends, receives: !sends, payloads, source, ..WrittenMedia::default() };
        WrittenSection { mid: mid.into(), kind, media: Some(media) }
    };
    let mut sections = vec![section("video", SectionKind::Video, vec![h264()], video)];
    // There are servers that refuse whoever does not take G.711, as every browser does (RFC 7874 section 3).
    let sounds = if sends { vec![opus()] } else { vec![opus(), pcmu()] };
    sections.extend(audio.map(|ssrc| section("audio", SectionKind::Audio, sounds, ssrc)));
    let written = Written {
        session: u64::from(rand::random::<u32>()),
        credentials,
        is_lite: false,
        fingerprint,
        setup: Setup::Either,
        candidates: &[Candidate::udp(local)],
        sections: &sections,
    };
    written.to_string()
}

fn h264() -> Payload {
    Payload {
        payload_type: VIDEO_TYPE,
        encoding: "H264".into(),
        clock_rate: 90_000,
        channels: 1,
        fmtp: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f".into(),
        feedback: vec!["nack".into(), "nack pli".into(), "ccm fir".into()],
    }
}

fn opus() -> Payload {
    Payload {
        payload_type: AUDIO_TYPE,
        encoding: "opus".into(),
        clock_rate: 48_000,
        channels: 2,
        fmtp: "minptime=10;useinbandfec=1".into(),
        feedback: Vec::new(),
    }
}

fn pcmu() -> Payload {
    Payload {
        payload_type: 0,
        encoding: "PCMU".into(),
        clock_rate: 8_000,
        channels: 1,
        fmtp: String::new(),
        feedback: Vec::new(),
    }
}

/// The server's answer.
#[derive(Debug)]
pub(super) struct Answered {
    /// All of it.
    pub(super) description: Description,
    /// Where it is reached by UDP, the most promising first.
    pub(super) candidates: Vec<SocketAddr>,
}

/// Reads an answer. `peer` is where the server is over HTTP: the same machine, if it is among the candidates, is asked first.
pub(super) fn read(sdp: &[u8], peer: IpAddr) -> Result<Answered, String> {
    let description = description::parse(sdp).map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(sdp);
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("a=candidate:"));
    let mut candidates: Vec<SocketAddr> =
        lines.filter_map(candidate).filter(|address| address.is_ipv4() == peer.is_ipv4()).collect();
    candidates.sort_by_key(|address| address.ip() != peer);
    let mut known = std::collections::HashSet::new();
    candidates.retain(|address| known.insert(*address));
    if candidates.is_empty() {
        return Err("the answer names no address that can be reached by UDP".into());
    }
    Ok(Answered { description, candidates })
}

/// `1 1 udp 2130706431 192.0.2.1 8189 typ host` (RFC 8839 section 5.1).
fn candidate(value: &str) -> Option<SocketAddr> {
    let mut words = value.split_ascii_whitespace().skip(1);
    let (component, transport) = (words.next()?, words.next()?);
    let (ip, port) = (words.nth(1)?.parse().ok()?, words.next()?.parse().ok()?);
    (component == "1" && transport.eq_ignore_ascii_case("udp")).then(|| SocketAddr::new(ip, port))
}

impl Answered {
    /// Payload types of a kind that the server has taken, the most wanted first.
    pub(super) fn types(&self, kind: SectionKind) -> Vec<u8> {
        let sections = self.description.sections.iter();
        let sections = sections.filter(|section| section.kind == kind && !section.is_refused);
        let live = sections.filter(|section| section.sends || section.receives);
        live.flat_map(|section| section.payloads.iter().map(|payload| payload.payload_type)).collect()
    }

    /// Whether it is on us to begin with DTLS.
    pub(super) fn is_client(&self) -> bool {
        self.description.transport.setup != Setup::Active
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::webrtc::ice::credentials;

    fn offer(direction: Direction) -> String {
        write(direction, &credentials(), Fingerprint([7; 32]), "192.0.2.9:5000".parse().unwrap())
    }

    #[test]
    fn our_own_offers_are_understood() {
        let read = description::parse(offer(Direction::Receive).as_bytes()).unwrap();
        assert_eq!(read.transport.fingerprint, Fingerprint([7; 32]));
        assert!(read.sections.len() == 2 && read.sections.iter().all(|section| section.receives && !section.sends));
        let read = description::parse(offer(Direction::Send { video: 5, audio: None }).as_bytes()).unwrap();
        assert_eq!((read.sections.len(), &read.sections[0].sources[..]), (1, &[5][..]));
        assert!(read.sections[0].sends && !read.sections[0].receives);
    }

    #[test]
    fn the_servers_own_machine_is_tried_first() {
        let answer = offer(Direction::Receive).replace(
            "a=end-of-candidates",
            "a=candidate:2 1 udp 1 127.0.0.1 8189 typ host\r\na=candidate:2 2 udp 1 127.0.0.1 8189 typ host\r\n\
             a=candidate:3 1 tcp 1 127.0.0.1 8190 typ host tcptype passive\r\na=candidate:4 1 UDP 1 ::1 8189 typ host",
        );
        let answered = read(answer.as_bytes(), "127.0.0.1".parse().unwrap()).unwrap();
        let candidates: Vec<String> = answered.candidates.iter().map(SocketAddr::to_string).collect();
        assert_eq!(candidates, ["127.0.0.1:8189", "192.0.2.9:5000"]);
        assert_eq!((answered.types(SectionKind::Video), answered.types(SectionKind::Audio)), (vec![96], vec![111, 0]));
        assert!(answered.is_client());
        assert!(read(answer.as_bytes(), "::1".parse().unwrap()).is_ok());
        let none = answer.replace("a=candidate", "a=x");
        assert!(read(none.as_bytes(), "127.0.0.1".parse().unwrap()).is_err());
    }
}
