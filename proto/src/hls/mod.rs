//! HTTP live streaming (RFC 8216bis): units with marks in, parts, segments and playlists out.
//!
//! - [`Rendition`] says which tracks go together, [`Variant`] in which kind of segments.
//! - [`Cutter`] makes parts and segments; [`Window`] keeps a run of them and says what players may ask for.
//! - [`media_playlist`] and [`multivariant_playlist`] write what players read; [`File`] and [`Reload`] read what they ask.
//! - [`RemotePlaylist`] reads the playlists of other servers.
//!
//! # Where streams are cut
//!
//! Parts and segments begin where the leading track has a mark (`media::marks`). A unit of any track belongs to the part
//! that was open in the log when it came. So what a part holds follows from positions and marks alone, and every node that
//! has the log makes the same bytes. Each unit lasts up to the next one of its track in the same part; the last one of the
//! leading track up to the mark that ends the part, unless a discontinuity does; any other last one as long as it says
//! itself (`mp4::durations`).
//!
//! # Names
//!
//! `<12 hex>_<stream>_seg7.mp4`: the digits are the epoch's, so that numbers that begin anew under another epoch do not
//! name other bytes alike. Initialisation segments have digits of their own content instead: whatever tracks and
//! parameters there are, one name is one content. So have a segment that another epoch cut short, and its last part: nodes may
//! have heard different amounts of its end. A name never means two things, on no node and at no time.

mod cutter;
mod file;
mod media;
mod multivariant;
mod read;
mod rendition;
mod template;
mod window;

pub use cutter::{Cut, Cutter, Piece};
pub use file::{File, FileKind, Reload, ReloadError, init_id};
pub use media::{MediaPlaylist, media_playlist};
pub use multivariant::{RenditionFacts, multivariant_playlist};
pub use read::{
    AudioRendition, Follower, Key, MediaPart, MediaSegment, Method, Next, PlaylistError, RemoteMedia,
    RemoteMultivariant, RemotePlaylist, Resource, Stream,
};
pub use rendition::{Rendition, Variant, left_out, renditions};
pub use template::Template;
pub use window::{Body, Found, Handover, Part, Place, Segment, Standing, Verdict, Window, WindowLimits};

#[cfg(test)]
mod cut_off_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod window_tests;
