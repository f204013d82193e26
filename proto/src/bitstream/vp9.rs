//! VP9: the uncompressed header (VP9 bitstream specification, section 6.2).

use super::BitstreamError;
use crate::bits::BitReader;
use crate::media::Vp9Config;

/// Bytes of a frame that [`FrameHeader::parse`] wants to see at most.
pub const HEAD: usize = 20;

/// What the first frame of a unit says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Size and profile, on keyframes.
    pub keyframe: Option<Vp9Config>,
    /// The frame changes no reference: no other frame can depend on it.
    pub discardable: bool,
}

impl FrameHeader {
    /// Reads the head of a frame.
    pub fn parse(head: &[u8]) -> Result<Self, BitstreamError> {
        let bits = &mut BitReader::new(head);
        if bits.bits(2)? != 2 {
            return Err(BitstreamError::Bad("frame_marker"));
        }
        let profile = (bits.bits(1)? | bits.bits(1)? << 1) as u8;
        if profile == 3 {
            bits.skip(1)?;
        }
        let show_existing_frame = bits.flag()?;
        if show_existing_frame {
            return Ok(Self { keyframe: None, discardable: true });
        }
        let inter = bits.flag()?;
        let (shown, resilient) = (bits.flag()?, bits.flag()?);
        if inter {
            let discardable = refreshes_nothing(bits, profile, shown, resilient)?;
            return Ok(Self { keyframe: None, discardable });
        }
        sync_code(bits)?;
        skip_colors(bits, profile)?;
        let (width, height) = (bits.bits(16)? + 1, bits.bits(16)? + 1);
        Ok(Self { keyframe: Some(Vp9Config { width, height, profile }), discardable: false })
    }
}

/// Whether a unit is a superframe (Annex B): several frames, with an index behind them.
pub const fn is_superframe(last_byte: u8) -> bool {
    last_byte & 0xe0 == 0xc0
}

/// Reads on to `refresh_frame_flags` of a frame that is no keyframe.
fn refreshes_nothing(
    bits: &mut BitReader<'_>,
    profile: u8,
    shown: bool,
    resilient: bool,
) -> Result<bool, BitstreamError> {
    let intra_only = !shown && bits.flag()?;
    bits.skip(if resilient { 0 } else { 2 })?;
    if intra_only {
        sync_code(bits)?;
        if profile > 0 {
            skip_colors(bits, profile)?;
        }
    }
    Ok(bits.bits(8)? == 0)
}

fn sync_code(bits: &mut BitReader<'_>) -> Result<(), BitstreamError> {
    if bits.bits(24)? == 0x49_8342 { Ok(()) } else { Err(BitstreamError::Bad("frame_sync_code")) }
}

/// Section 6.2.2.
fn skip_colors(bits: &mut BitReader<'_>, profile: u8) -> Result<(), BitstreamError> {
    const RGB: u32 = 7;
    bits.skip(if profile >= 2 { 1 } else { 0 })?;
    let odd = profile & 1 == 1;
    if bits.bits(3)? == RGB {
        return Ok(bits.skip(usize::from(odd))?);
    }
    Ok(bits.skip(if odd { 4 } else { 1 })?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bitstream::testdata::*;

    #[test]
    fn frames_of_libvpx() {
        let key = FrameHeader::parse(&hex(VP9_KEY)).unwrap();
        assert_eq!(key.keyframe, Some(Vp9Config { width: 640, height: 360, profile: 0 }));
        let key = FrameHeader::parse(&hex(VP9_KEY_PROFILE_2)).unwrap();
        assert_eq!(key.keyframe, Some(Vp9Config { width: 640, height: 360, profile: 2 }));
        let delta = FrameHeader::parse(&hex(VP9_DELTA)).unwrap();
        assert_eq!((delta.keyframe, delta.discardable), (None, false));
    }

    proptest! {
        #[test]
        fn broken_headers_are_errors(bytes in prop::collection::vec(any::<u8>(), 0..30)) {
            let _ = FrameHeader::parse(&bytes);
        }
    }
}
