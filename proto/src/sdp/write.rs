//! Tracks to SDP.

use std::net::IpAddr;

use sdp_types::{Attribute, Connection, Media, MediaType, Origin, TransportProto};

use super::AuHeaderLengths;
use super::fmtp::{join_parameter_sets, to_hex};
use super::names;
use crate::media::{Codec, G711Law, H264Config, H265Config, OpaqueConfig, Track, TrackId, Tracks};

/// What a description is made of.
#[derive(Clone, Debug)]
pub struct WriteParams<'a> {
    /// The session's name.
    pub title: &'a str,
    /// The tracks.
    pub tracks: &'a Tracks,
    /// Where packets go.
    pub delivery: WriteDelivery<'a>,
}

/// Where packets go.
#[derive(Clone, Copy, Debug)]
pub enum WriteDelivery<'a> {
    /// To whoever sets up a transport. The address is the unspecified one of the family the client came by.
    Unicast(IpAddr),
    /// To a group.
    Multicast {
        /// The group.
        address: IpAddr,
        /// Hops.
        ttl: u8,
        /// The RTP port of each track.
        ports: &'a [u16],
    },
}

/// The description of a stream, its tracks under the controls `trackID=0`, `trackID=1` and so on, AAC in
/// [`AuHeaderLengths::default`] packing.
pub fn write(params: &WriteParams<'_>) -> String {
    let (address, ttl, ports) = match params.delivery {
        WriteDelivery::Unicast(address) => (address, None, &[][..]),
        WriteDelivery::Multicast { address, ttl, ports } => (address, Some(ttl), ports),
    };
    // An origin of zeros: the description says nothing about the machine, and the same tracks give the same text.
    let unspecified = if address.is_ipv4() { "0.0.0.0" } else { "::" };
    let origin = Origin::new("0", 0, sdp_types::NetType::In, address.into(), unspecified);
    let title = if params.title.trim().is_empty() { "-" } else { params.title };
    let mut session = sdp_types::Session::new(origin, title);
    session.connection = Some(Connection::from_ip_addr_ttl(address, ttl));
    session.times = vec![sdp_types::Time::new(0, 0)];
    session.attributes = vec![Attribute::with_value("control", "*")];
    session.medias = params
        .tracks
        .iter()
        .filter(|(_, track)| is_described(&track.codec))
        .map(|(id, track)| media(id, track, ports.get(usize::from(id.0)).copied().unwrap_or(0)))
        .collect();
    let mut out = Vec::new();
    // Writing into memory does not fail.
    let _ = session.write(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether RTP has a format for the codec. A track of another one is left out of descriptions; the controls of the
/// others keep their numbers.
pub const fn is_described(codec: &Codec) -> bool {
    !matches!(codec, Codec::Flac(_))
}

/// The payload type that [`write()`] gives a track: static where RFC 3551 has one that players expect, else 96 and up.
pub fn payload_type(id: TrackId, track: &Track) -> u8 {
    let dynamic = 96 + id.0 % 32;
    match &track.codec {
        Codec::G711(law, layout) if layout.sample_rate == 8000 && layout.channels == 1 => match law {
            G711Law::Mu => 0,
            G711Law::A => 8,
        },
        Codec::MpegAudio(_) if track.clock_rate.hertz() == 90_000 => 14,
        Codec::Opaque(opaque) if names::static_rtpmap(opaque.payload_type).is_some() => opaque.payload_type,
        _ => dynamic,
    }
}

fn media(id: TrackId, track: &Track, port: u16) -> Media {
    let payload_type = payload_type(id, track);
    let word = names::media_word(track.kind(), track.codec.label());
    let mut media = Media::new(MediaType::Video, port, TransportProto::RtpAvp, payload_type);
    word.clone_into(&mut media.media);
    if let Some(rtpmap) = rtpmap(track) {
        media.add_attribute_with_value("rtpmap", format!("{payload_type} {rtpmap}"));
    }
    if let Some(fmtp) = fmtp(track) {
        media.add_attribute_with_value("fmtp", format!("{payload_type} {fmtp}"));
    }
    media.add_attribute_with_value("control", format!("trackID={}", id.0));
    media
}

fn rtpmap(track: &Track) -> Option<String> {
    let clock = track.clock_rate.hertz();
    let with_channels = |name: &str, channels: u8| match channels {
        1 => format!("{name}/{clock}"),
        _ => format!("{name}/{clock}/{channels}"),
    };
    Some(match &track.codec {
        Codec::H264(_) => format!("H264/{clock}"),
        Codec::H265(_) => format!("H265/{clock}"),
        Codec::Av1(_) => format!("AV1/{clock}"),
        Codec::Vp8(_) => format!("VP8/{clock}"),
        Codec::Vp9(_) => format!("VP9/{clock}"),
        Codec::Aac(aac) => format!("mpeg4-generic/{clock}/{}", aac.channels),
        Codec::Opus(_) => format!("opus/{clock}/2"),
        Codec::MpegAudio(_) => format!("MPA/{clock}"),
        Codec::Ac3(ac3) => format!("AC3/{clock}/{}", ac3.channels),
        Codec::G711(G711Law::A, layout) => with_channels("PCMA", layout.channels),
        Codec::G711(G711Law::Mu, layout) => with_channels("PCMU", layout.channels),
        Codec::Lpcm(lpcm) => format!("L{}/{clock}/{}", lpcm.bit_depth, lpcm.channels),
        Codec::Flac(_) => return None,
        Codec::Opaque(opaque) => return opaque.rtpmap.clone(),
    })
}

fn fmtp(track: &Track) -> Option<String> {
    match &track.codec {
        Codec::H264(config) => Some(h264(config)),
        Codec::H265(config) => h265(config),
        Codec::Vp9(config) if config.profile > 0 => Some(format!("profile-id={}", config.profile)),
        Codec::Aac(config) => Some(aac(&config.asc)),
        Codec::Opus(config) => Some(format!("sprop-stereo={}", u8::from(config.channels == 2))),
        Codec::Opaque(OpaqueConfig { fmtp, .. }) => fmtp.clone(),
        _ => None,
    }
}

/// RFC 6184 section 8.1. The profile is the three bytes after the SPS's header.
fn h264(config: &H264Config) -> String {
    let mut out = String::from("packetization-mode=1");
    if !config.sps.is_empty() || !config.pps.is_empty() {
        out.push_str("; sprop-parameter-sets=");
        out.push_str(&join_parameter_sets(config.sps.iter().chain(&config.pps)));
    }
    if let Some(profile) = config.sps.first().and_then(|sps| sps.get(1..4)) {
        out.push_str("; profile-level-id=");
        out.push_str(&to_hex(profile).to_uppercase());
    }
    out
}

/// RFC 7798 section 7.1.
fn h265(config: &H265Config) -> Option<String> {
    let sets = [("sprop-vps", &config.vps), ("sprop-sps", &config.sps), ("sprop-pps", &config.pps)];
    let parts: Vec<String> = sets
        .iter()
        .filter(|(_, sets)| !sets.is_empty())
        .map(|(name, sets)| format!("{name}={}", join_parameter_sets(*sets)))
        .collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// RFC 3640 section 4.1.
fn aac(asc: &[u8]) -> String {
    let AuHeaderLengths { size, index, index_delta } = AuHeaderLengths::default();
    format!(
        "streamtype=5; profile-level-id=1; mode=AAC-hbr; sizelength={size}; indexlength={index}; \
         indexdeltalength={index_delta}; config={}",
        to_hex(asc)
    )
}
