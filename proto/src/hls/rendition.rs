//! Which tracks of a stream go together, and which HLS has no place for.

use core::fmt;
use core::str::FromStr;

use crate::bitstream::latm;
use crate::media::{Codec, Kind, OpaqueConfig, Track, TrackId, Tracks};
use crate::{mp4, opaque, ts};

/// The kind of segments, `hlsVariant`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Transport streams.
    Mpegts,
    /// Fragmented MP4.
    Fmp4,
    /// Fragmented MP4 in parts.
    LowLatency,
}

/// One media playlist's share of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rendition {
    /// Picture and first sound together, or what there is of them; in transport streams with metadata.
    Main,
    /// The picture alone.
    Video,
    /// One sound alone; counts from 0.
    Audio(u8),
}

impl fmt::Display for Rendition {
    /// As it stands in file names: `main`, `video1`, `audio2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Main => f.write_str("main"),
            Self::Video => f.write_str("video1"),
            Self::Audio(index) => write!(f, "audio{}", u16::from(*index) + 1),
        }
    }
}

impl FromStr for Rendition {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        match name {
            "main" => Ok(Self::Main),
            "video1" => Ok(Self::Video),
            other => {
                let number: u8 = other.strip_prefix("audio").and_then(|number| number.parse().ok()).ok_or(())?;
                // One name for one thing: no `audio01`.
                number.checked_sub(1).map(Self::Audio).filter(|this| this.to_string() == name).ok_or(())
            }
        }
    }
}

impl Variant {
    /// Whether segments of this kind can carry the codec and players take it out of them.
    pub(super) fn carries(self, codec: &Codec) -> bool {
        match self {
            Self::Mpegts => {
                let metadata = matches!(codec, Codec::Opaque(opaque) if opaque.label == "KLV");
                ts::carries(codec) && (metadata || !matches!(codec, Codec::Opaque(_)))
            }
            Self::Fmp4 | Self::LowLatency => match codec {
                Codec::H264(_) | Codec::H265(_) | Codec::Av1(_) | Codec::Vp9(_) => true,
                Codec::Aac(_) | Codec::Opus(_) | Codec::Ac3(_) | Codec::Flac(_) => true,
                // Players know layer III only, and it is not known before the first frame.
                Codec::MpegAudio(audio) => matches!(audio.layer, 0 | 3),
                // No player knows the pictures that MP4 can hold besides.
                Codec::Opaque(config) => is_sound(config),
                _ => false,
            },
        }
    }

    /// The ending of segments.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Mpegts => "ts",
            Self::Fmp4 | Self::LowLatency => "mp4",
        }
    }

    fn of_kind(self, tracks: &Tracks, kind: Kind) -> impl Iterator<Item = (TrackId, &Track)> {
        tracks.iter().filter(move |(_, track)| track.kind() == kind && self.carries(&track.codec))
    }
}

/// Sound that every player with MSE or HLS knows beside a picture. Any other gets a playlist of its own, so that players
/// that do not know it can still show the picture.
fn joins_picture(codec: &Codec) -> bool {
    match codec {
        Codec::Aac(_) | Codec::Opus(_) | Codec::Flac(_) | Codec::MpegAudio(_) => true,
        Codec::Opaque(config) => is_sound(config),
        _ => false,
    }
}

/// LATM, whether or not its configuration has come yet.
fn is_sound(config: &OpaqueConfig) -> bool {
    opaque::codec(config).is_some() || latm::is_configured_in_band(config)
}

/// The media playlists of a stream; none when HLS can carry nothing of it.
pub fn renditions(variant: Variant, tracks: &Tracks) -> Vec<Rendition> {
    let pictures = variant.of_kind(tracks, Kind::Video).count();
    let sounds: Vec<&Track> = variant.of_kind(tracks, Kind::Audio).map(|(_, track)| track).collect();
    match (variant, pictures, &sounds[..]) {
        (_, 0, []) => Vec::new(),
        (Variant::Mpegts, ..) | (_, 0, [_]) | (_, _, []) => vec![Rendition::Main],
        (_, 1.., [only]) if joins_picture(&only.codec) => vec![Rendition::Main],
        (_, pictures, sounds) => {
            let picture = (pictures > 0).then_some(Rendition::Video);
            picture.into_iter().chain((0..sounds.len() as u8).map(Rendition::Audio)).collect()
        }
    }
}

/// The tracks that no playlist carries: pictures but the first, sounds behind the first in transport streams, and what
/// HLS does not know.
pub fn left_out(variant: Variant, tracks: &Tracks) -> Vec<(TrackId, &Track)> {
    let taken: Vec<TrackId> = renditions(variant, tracks)
        .into_iter()
        .flat_map(|rendition| rendition.members(variant, tracks).map(|(id, _)| id).collect::<Vec<_>>())
        .collect();
    tracks.iter().filter(|(id, _)| !taken.contains(id)).collect()
}

impl Rendition {
    /// The tracks that belong to it, whether or not their parameters are known. A pure function of the tracks: the same
    /// name never means other tracks elsewhere.
    fn members(self, variant: Variant, tracks: &Tracks) -> impl Iterator<Item = (TrackId, &Track)> {
        let picture = variant.of_kind(tracks, Kind::Video).next();
        let sound = |index: usize| variant.of_kind(tracks, Kind::Audio).nth(index);
        let (picture, sound, metadata) = match self {
            Self::Video => (picture, None, false),
            Self::Audio(index) => (None, sound(index.into()), false),
            Self::Main if variant == Variant::Mpegts => (picture, sound(0), true),
            Self::Main => {
                (picture, sound(0).filter(|(_, track)| picture.is_none() || joins_picture(&track.codec)), false)
            }
        };
        let metadata = variant.of_kind(tracks, Kind::Data).filter(move |_| metadata);
        picture.into_iter().chain(sound).chain(metadata)
    }

    /// Whether parameters of one of its tracks are not known yet.
    pub(super) fn is_incomplete(self, variant: Variant, tracks: &Tracks) -> bool {
        self.tracks(variant, tracks).len() < self.members(variant, tracks).count()
    }

    /// The tracks that go into its segments now: those whose parameters are known.
    pub fn tracks(self, variant: Variant, tracks: &Tracks) -> Vec<(TrackId, &Track)> {
        let known = |track: &Track| variant == Variant::Mpegts || mp4::init([track]).is_some();
        self.members(variant, tracks).filter(|(_, track)| known(track)).collect()
    }
}
