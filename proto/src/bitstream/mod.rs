//! What the bytes of a codec say of themselves: parameter sets, random access, decoding order, config records.
//!
//! One codec a file. [`Inspector`] looks at each unit as it arrives; [`DtsEstimator`] finds decoding times where the
//! wire has none; [`codec_props`] names what people want to know of a track. No pixel or sample is ever decoded.

pub mod aac;
pub mod ac3;
pub mod av1;
mod dts;
mod elementary;
pub mod flac;
pub mod g711;
pub mod h264;
pub mod h265;
mod inspect;
pub mod latm;
pub mod lpcm;
pub mod mpeg_audio;
pub mod mpeg_video;
pub mod nal;
pub mod opus;
mod props;
pub mod samples;
#[cfg(test)]
pub(crate) mod testdata;
pub mod vp8;
pub mod vp9;

pub use dts::DtsEstimator;
pub use elementary::{Elementary, Taken};
pub use inspect::{Inspected, Inspector};
pub use props::{Prop, codec_props};

use crate::bits::{BitReader, EndOfBits};

/// Why bytes are not what they claim to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BitstreamError {
    /// The bytes ended before the syntax did.
    #[error("bitstream ended early")]
    Ended,
    /// A value that the standard forbids, or that exceeds our limits.
    #[error("bad value of {0}")]
    Bad(&'static str),
}

impl From<EndOfBits> for BitstreamError {
    fn from(_: EndOfBits) -> Self {
        Self::Ended
    }
}

/// Frames per second as a fraction; neither part is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRate {
    /// Frames in `den` seconds.
    pub num: u32,
    /// Seconds.
    pub den: u32,
}

impl FrameRate {
    /// `num / den` frames per second; `None` when a part is zero.
    pub const fn new(num: u32, den: u32) -> Option<Self> {
        if num == 0 || den == 0 { None } else { Some(Self { num, den }) }
    }
}

/// Passes over `count` Exp-Golomb numbers.
fn skip_ue(bits: &mut BitReader<'_>, count: u32) -> Result<(), EndOfBits> {
    (0..count).try_for_each(|_| bits.ue().map(drop))
}
