//! The only media types that the fabric knows: codecs, tracks, units, marks.

mod codec;
pub mod marks;
mod payload;
mod track;
mod unit;

pub use codec::{
    AacConfig, Ac3Config, AudioLayout, Av1Config, Codec, FlacConfig, G711Law, H264Config, H265Config, Kind, LpcmConfig,
    MpegAudioConfig, OpaqueConfig, OpusConfig, Vp8Config, Vp9Config,
};
pub use marks::{Marks, PartMark, SegmentMark};
pub use payload::{Frame, Payload, PayloadBuilder};
pub use track::{Track, TrackId, Tracks, TracksError};
pub use unit::Unit;
