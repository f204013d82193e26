//! SDP to tracks.

use sdp_types::{Attribute, Media};

use super::media::Format;
use super::repair::repair;
use super::{Direction, MediaDescription, Session, names};

/// Why a description is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SdpError {
    /// Larger than any RTSP body may be.
    #[error("description is too large")]
    TooLarge,
    /// No `m=` line.
    #[error("description has no media")]
    NoMedia,
    /// More media sections than [`crate::limits::TRACKS_MAX`].
    #[error("description has too many media sections")]
    TooManyTracks,
    /// What the repairs left is still no SDP.
    #[error("description is malformed: {0}")]
    Syntax(String),
}

/// Reads a description. Bad lines are passed over; a section whose codec we do not know becomes an opaque track.
pub fn parse(sdp: &[u8]) -> Result<Session, SdpError> {
    let repaired = repair(sdp)?;
    let parsed = sdp_types::Session::parse(repaired.as_bytes()).map_err(|error| SdpError::Syntax(error.to_string()))?;
    let address = parsed.connection.as_ref().map(|connection| connection.connection_address.as_str());
    let session_direction = direction(&parsed.attributes).unwrap_or_default();
    let media = parsed.medias.iter().map(|media| section(media, address, session_direction)).collect();
    let title = if parsed.session_name == "-" { String::new() } else { parsed.session_name };
    Ok(Session { title, control: value(&parsed.attributes, "control").map(str::to_owned), media })
}

fn section(media: &Media, session_address: Option<&str>, session_direction: Direction) -> MediaDescription {
    let format = choose(media);
    let (track, au_headers) = format.track();
    let address = media.connections.first().map(|connection| connection.connection_address.as_str());
    MediaDescription {
        track,
        payload_type: format.payload_type,
        au_headers,
        control: value(&media.attributes, "control").map(str::to_owned),
        direction: direction(&media.attributes).unwrap_or(session_direction),
        port: media.port,
        address: address.or(session_address).map(str::to_owned),
    }
}

/// The format that a section's packets will have: the first that does not merely help another.
fn choose(media: &Media) -> Format<'_> {
    let mut formats =
        media.fmt.split_ascii_whitespace().filter_map(payload_type).map(|payload_type| format(media, payload_type));
    let first = formats.next();
    first
        .filter(|format| !names::is_helper(format.encoding()))
        .or_else(|| formats.find(|format| !names::is_helper(format.encoding())))
        .or(first)
        // "m=application 0 RTP/AVP smpte336m" and the like: whoever describes a format by name means its rtpmap.
        .unwrap_or_else(|| format(media, described_payload_type(media)))
}

fn format(media: &Media, payload_type: u8) -> Format<'_> {
    Format {
        media: &media.media,
        payload_type,
        rtpmap: of_payload_type(media, "rtpmap", payload_type),
        fmtp: of_payload_type(media, "fmtp", payload_type),
    }
}

fn described_payload_type(media: &Media) -> u8 {
    let first_word = |value: &str| payload_type(value.split_ascii_whitespace().next()?);
    value(&media.attributes, "rtpmap").and_then(first_word).unwrap_or(FIRST_DYNAMIC)
}

fn payload_type(word: &str) -> Option<u8> {
    word.parse().ok().filter(|payload_type| *payload_type < 128)
}

/// The rest of the attribute `name` whose first word is the payload type.
fn of_payload_type<'a>(media: &'a Media, name: &str, payload_type: u8) -> Option<&'a str> {
    media.attributes.iter().filter(|attribute| attribute.attribute.trim().eq_ignore_ascii_case(name)).find_map(
        |attribute| {
            let (first, rest) = attribute.value.as_deref()?.trim().split_once([' ', '\t'])?;
            (first.parse() == Ok(payload_type)).then_some(rest.trim())
        },
    )
}

fn value<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a str> {
    let attribute = attributes.iter().find(|attribute| attribute.attribute.trim().eq_ignore_ascii_case(name))?;
    attribute.value.as_deref().map(str::trim)
}

fn direction(attributes: &[Attribute]) -> Option<Direction> {
    attributes.iter().find_map(|attribute| match attribute.attribute.trim() {
        "sendrecv" => Some(Direction::Both),
        "recvonly" => Some(Direction::RecvOnly),
        "sendonly" => Some(Direction::SendOnly),
        "inactive" => Some(Direction::Inactive),
        _ => None,
    })
}

/// RFC 3551 section 6.
const FIRST_DYNAMIC: u8 = 96;
