//! Tracks and the list of them that a stream has.

use std::sync::Arc;

use super::{Codec, Kind};
use crate::limits::TRACKS_MAX;
use crate::time::ClockRate;

/// The index of a track in its stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackId(pub u8);

/// One elementary stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// Codec and parameters.
    pub codec: Codec,
    /// The clock of `pts` and `dts` of the track's units.
    pub clock_rate: ClockRate,
}

impl Track {
    /// What the track is for.
    pub const fn kind(&self) -> Kind {
        self.codec.kind()
    }

    /// Whether `self` can continue `old` when a path's publisher changes.
    pub fn continues(&self, old: &Track) -> bool {
        self.clock_rate == old.clock_rate && self.codec.continues(&old.codec)
    }
}

/// The tracks of a stream, shared and immutable; a change makes a new list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracks(Arc<[Track]>);

/// Why a list of tracks is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TracksError {
    /// No track.
    #[error("a stream needs at least one track")]
    Empty,
    /// More than [`TRACKS_MAX`].
    #[error("a stream may have {TRACKS_MAX} tracks at most")]
    TooMany,
}

impl Tracks {
    /// Takes one to [`TRACKS_MAX`] tracks.
    pub fn new(tracks: Vec<Track>) -> Result<Self, TracksError> {
        match tracks.len() {
            0 => Err(TracksError::Empty),
            1..=TRACKS_MAX => Ok(Self(tracks.into())),
            _ => Err(TracksError::TooMany),
        }
    }

    /// Whether this is the very same list: quick, and false for equal ones that were made apart.
    pub fn is_same_list(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The track with this id.
    pub fn get(&self, id: TrackId) -> Option<&Track> {
        self.0.get(usize::from(id.0))
    }

    /// Ids and tracks in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (TrackId, &Track)> {
        self.0.iter().enumerate().map(|(i, track)| (TrackId(i as u8), track))
    }

    /// Number of tracks, never zero.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The track whose random access points begin groups: the first whose units depend on each other, if any.
    pub fn leading(&self) -> Option<TrackId> {
        self.iter().find(|(_, track)| track.codec.has_dependent_units()).map(|(id, _)| id)
    }

    /// The same list with one track's codec replaced.
    #[must_use]
    pub fn with_codec(&self, id: TrackId, codec: Codec) -> Self {
        let mut tracks = self.0.to_vec();
        if let Some(track) = tracks.get_mut(usize::from(id.0)) {
            track.codec = codec;
        }
        Self(tracks.into())
    }
}

impl<'a> IntoIterator for &'a Tracks {
    type Item = (TrackId, &'a Track);
    type IntoIter =
        core::iter::Map<core::iter::Enumerate<core::slice::Iter<'a, Track>>, fn((usize, &'a Track)) -> Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().enumerate().map(|(i, track)| (TrackId(i as u8), track))
    }
}
