//! Which of the codecs that a section offers fits a track, and what track a codec makes.

use super::description::{Payload, Section, SectionKind};
use crate::media::{AudioLayout, Codec, G711Law, H264Config, Kind, LpcmConfig, OpaqueConfig, OpusConfig, Track};
use crate::sdp;
use crate::time::ClockRate;

/// The offered format in which a track can be sent, as the answer has it.
pub(super) fn chosen_for(codec: &Codec, rate: ClockRate, offered: &[Payload]) -> Option<Payload> {
    let named = |name: &str| {
        let name = name.to_owned();
        offered.iter().filter(move |payload| payload.encoding.eq_ignore_ascii_case(&name))
    };
    let plain = |name: &str, channels: u8| {
        named(name).find(|payload| payload.clock_rate == rate.hertz() && payload.channels == channels).cloned()
    };
    match codec {
        Codec::H264(config) => h264(config, named("H264")),
        Codec::H265(_) => named("H265").next().cloned(),
        Codec::Av1(_) => named("AV1").next().cloned(),
        Codec::Vp8(_) => named("VP8").next().cloned(),
        Codec::Vp9(config) => named("VP9").find(|payload| profile(payload) == config.profile).cloned(),
        Codec::Opus(config) => named("opus").next().map(|payload| opus(payload, *config)),
        Codec::G711(law, AudioLayout { channels, .. }) => match law {
            G711Law::Mu => plain("PCMU", *channels),
            G711Law::A => plain("PCMA", *channels),
        },
        Codec::Lpcm(LpcmConfig { bit_depth: 16, channels, .. }) => plain("L16", *channels),
        Codec::Opaque(opaque) => unopened(opaque, offered),
        Codec::Lpcm(_) | Codec::Aac(_) | Codec::MpegAudio(_) | Codec::Ac3(_) | Codec::Flac(_) => None,
    }
}

/// Packets of any size go under packetization mode 1 only (RFC 6184 section 6.2). Decoders take what comes, whatever profile was
/// agreed; one that says the stream's own profile is preferred.
fn h264<'a>(config: &H264Config, offered: impl Iterator<Item = &'a Payload>) -> Option<Payload> {
    let profile = config.sps.first().and_then(|sps| sps.get(1)).copied();
    let of = |payload: &Payload| {
        let text = payload.parameter("profile-level-id")?.get(..2)?;
        u8::from_str_radix(text, 16).ok()
    };
    let usable: Vec<&Payload> = offered.filter(|payload| is_whole_mode(payload)).collect();
    let same = usable.iter().find(|payload| of(payload) == profile && profile.is_some());
    same.or_else(|| usable.first()).map(|payload| (*payload).clone())
}

fn is_whole_mode(payload: &Payload) -> bool {
    payload.parameter("packetization-mode") == Some("1")
}

/// RFC 9628 section 7: 0 where nothing is said.
fn profile(payload: &Payload) -> u8 {
    payload.parameter("profile-id").and_then(|profile| profile.parse().ok()).unwrap_or(0)
}

/// Two channels are told on both ends, or browsers play one (RFC 7587 section 7.1).
fn opus(payload: &Payload, config: OpusConfig) -> Payload {
    let mut payload = payload.clone();
    if config.channels == 2 {
        for word in ["stereo", "sprop-stereo"] {
            if payload.parameter(word).is_none() {
                let separator = if payload.fmtp.is_empty() { "" } else { ";" };
                payload.fmtp = format!("{}{separator}{word}=1", payload.fmtp);
            }
        }
    }
    payload
}

/// G.722, and Opus of more channels than two: offered under the same name with the same parameters.
fn unopened(opaque: &OpaqueConfig, offered: &[Payload]) -> Option<Payload> {
    let map = opaque.rtpmap.as_deref().or(if opaque.label == "G722" { Some("G722/8000") } else { None })?;
    let mut parts = map.split('/');
    let (encoding, rate) = (parts.next()?, parts.next()?.parse().ok()?);
    let channels = parts.next().and_then(|channels| channels.parse().ok()).unwrap_or(1);
    let is_carried = ["G722", "multiopus"].iter().any(|name| encoding.eq_ignore_ascii_case(name));
    let fits = |payload: &&Payload| {
        payload.encoding.eq_ignore_ascii_case(encoding)
            && (payload.clock_rate, payload.channels) == (rate, channels)
            && CHANNELS.iter().all(|name| payload.parameter(name) == opaque.parameter(name))
    };
    is_carried.then(|| offered.iter().find(fits).cloned()).flatten()
}

/// What tells one multi-channel stream of Opus from another.
const CHANNELS: [&str; 3] = ["num_streams", "coupled_streams", "channel_mapping"];

/// The first offered format that this end can take, and the track that it makes.
pub(super) fn taken_as(section: &Section) -> Option<(Track, Payload)> {
    section.payloads.iter().find_map(|payload| Some((track_of(section.kind, payload)?, payload.clone())))
}

fn track_of(kind: SectionKind, payload: &Payload) -> Option<Track> {
    let name = payload.encoding.to_ascii_uppercase();
    let is_taken = match (kind, name.as_str()) {
        // What comes in mode 0 is a part of what comes in mode 1.
        (SectionKind::Video, "H264" | "H265" | "AV1" | "VP8" | "VP9") => true,
        (SectionKind::Audio, "OPUS" | "MULTIOPUS" | "PCMU" | "PCMA" | "G722" | "L16") => true,
        _ => false,
    };
    if !is_taken {
        return None;
    }
    let media = if kind == SectionKind::Video { Kind::Video } else { Kind::Audio };
    let channels = if payload.channels > 1 { format!("/{}", payload.channels) } else { String::new() };
    let map = format!("{}/{}{channels}", payload.encoding, payload.clock_rate);
    let fmtp = (!payload.fmtp.is_empty()).then_some(payload.fmtp.as_str());
    let mut track = sdp::track_of(media, payload.payload_type, &map, fmtp);
    if let Codec::Opus(config) = &mut track.codec
        && ["stereo", "sprop-stereo"].iter().any(|name| payload.parameter(name) == Some("1"))
    {
        config.channels = 2;
    }
    Some(track)
}
