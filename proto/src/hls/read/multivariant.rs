//! Playlists that name other playlists (section 4.3.4), and which of those is taken.

use super::attributes::Attributes;
use super::{PlaylistError, tag};
use crate::limits::TRACKS_MAX;

/// Variants and renditions of one programme.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteMultivariant {
    /// The variants, each the whole programme.
    pub streams: Vec<Stream>,
    /// Renditions of sound that have playlists of their own.
    pub audio: Vec<AudioRendition>,
}

/// A variant (`EXT-X-STREAM-INF`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its playlist.
    pub uri: String,
    /// Bits a second at most.
    pub bandwidth: u64,
    /// The names of its codecs (RFC 6381), where it says them.
    pub codecs: Vec<String>,
    /// The group of sounds that belongs to it.
    pub audio: Option<String>,
}

/// A rendition of sound (`EXT-X-MEDIA`) with a playlist of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioRendition {
    /// Its playlist.
    pub uri: String,
    /// The group to which it belongs.
    pub group: String,
}

/// Beginnings of names of codecs of which units can be made.
const SUPPORTED: [&str; 17] = [
    "avc1.", "avc3.", "hvc1", "hev1", "av01", "vp08", "vp8", "vp09", "vp9", "mp4a.", "opus", "Opus", "ac-3", "fLaC",
    "flac", "mp4v.", "dvh1",
];

impl RemoteMultivariant {
    /// The variant that is taken: of those whose codecs are known, or not said, the one with the most bits.
    pub fn best(&self) -> Option<&Stream> {
        let is_known = |name: &String| SUPPORTED.iter().any(|known| name.starts_with(known));
        let known = self.streams.iter().filter(|stream| stream.codecs.iter().all(is_known));
        // Of equal ones the first, as their author orders them.
        known.reduce(|best, other| if other.bandwidth > best.bandwidth { other } else { best })
    }

    /// The playlists of sound that belong to a variant.
    pub fn audio_of(&self, stream: &Stream) -> impl Iterator<Item = &AudioRendition> {
        let group = stream.audio.clone();
        self.audio.iter().filter(move |rendition| Some(&rendition.group) == group.as_ref())
    }
}

pub(super) fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> Result<RemoteMultivariant, PlaylistError> {
    let mut playlist = RemoteMultivariant::default();
    let mut next: Option<Stream> = None;
    for line in lines {
        match tag(line) {
            Some(("#EXT-X-STREAM-INF", value)) => next = Some(stream(Attributes::new(value))?),
            Some(("#EXT-X-MEDIA", value)) => {
                let attributes = Attributes::new(value);
                let (uri, group) = (attributes.get("URI"), attributes.get("GROUP-ID"));
                if let (Some("AUDIO"), Some(uri), Some(group)) = (attributes.get("TYPE"), uri, group)
                    && playlist.audio.len() < TRACKS_MAX
                {
                    playlist.audio.push(AudioRendition { uri: uri.to_owned(), group: group.to_owned() });
                }
            }
            None if !line.starts_with('#') => {
                if let Some(stream) = next.take() {
                    playlist.streams.push(Stream { uri: line.to_owned(), ..stream });
                }
            }
            _ => {}
        }
    }
    Ok(playlist)
}

fn stream(attributes: Attributes<'_>) -> Result<Stream, PlaylistError> {
    let bandwidth = attributes.get("BANDWIDTH").unwrap_or("0");
    let codecs = attributes.get("CODECS").unwrap_or_default();
    Ok(Stream {
        uri: String::new(),
        bandwidth: bandwidth.parse().map_err(|_| PlaylistError::Tag("BANDWIDTH"))?,
        codecs: codecs.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect(),
        audio: attributes.get("AUDIO").map(str::to_owned),
    })
}
