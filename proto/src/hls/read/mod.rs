//! Playlists of others (RFC 8216): text in, values out.
//!
//! Read by hand and not with a crate: `m3u8-rs` ends at the first line that it does not understand and gives out what it
//! has, so that half a playlist looks like a whole one. Here a line that nobody knows is passed over, and one that makes no
//! sense is an error.

mod attributes;
mod date;
mod follow;
mod media;
mod multivariant;

pub use follow::{Follower, Next};
pub use media::{Key, MediaPart, MediaSegment, Method, RemoteMedia, Resource};
pub use multivariant::{AudioRendition, RemoteMultivariant, Stream};

use crate::limits::{HLS_PLAYLIST_LINES_MAX, HLS_PLAYLIST_URI_BYTES_MAX};

/// A playlist.
#[derive(Clone, Debug, PartialEq)]
pub enum RemotePlaylist {
    /// One that names others.
    Multivariant(RemoteMultivariant),
    /// One that names segments.
    Media(RemoteMedia),
}

/// Why a playlist cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaylistError {
    /// It is none.
    #[error("no playlist: it does not begin with #EXTM3U")]
    NotOne,
    /// It is no text.
    #[error("the playlist is no UTF-8")]
    NotText,
    /// It has too many lines, or too long ones.
    #[error("the playlist is too large")]
    TooLarge,
    /// A tag has no value that makes sense.
    #[error("{0} makes no sense in the playlist")]
    Tag(&'static str),
}

impl RemotePlaylist {
    /// Reads a playlist.
    ///
    /// # Errors
    /// When it is none, or more than can be taken.
    pub fn parse(bytes: &[u8]) -> Result<Self, PlaylistError> {
        let text = core::str::from_utf8(bytes).map_err(|_| PlaylistError::NotText)?;
        // Section 4.1 forbids the mark, and editors write it.
        let text = text.trim_start_matches('\u{feff}');
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        if !lines.next().is_some_and(|line| line.starts_with("#EXTM3U")) {
            return Err(PlaylistError::NotOne);
        }
        let is_too_long = |line: &str| !line.starts_with('#') && line.len() > HLS_PLAYLIST_URI_BYTES_MAX;
        if lines.clone().count() > HLS_PLAYLIST_LINES_MAX || lines.clone().any(is_too_long) {
            return Err(PlaylistError::TooLarge);
        }
        let names_others = |line: &str| ["#EXT-X-STREAM-INF:", "#EXT-X-MEDIA:"].iter().any(|tag| line.starts_with(tag));
        if lines.clone().any(names_others) {
            return multivariant::parse(lines).map(Self::Multivariant);
        }
        media::parse(lines).map(Self::Media)
    }
}

/// A tag and its value, or `None` for URIs and comments.
fn tag(line: &str) -> Option<(&str, &str)> {
    line.starts_with("#EXT").then(|| line.split_once(':').unwrap_or((line, "")))
}

#[cfg(test)]
mod tests;
