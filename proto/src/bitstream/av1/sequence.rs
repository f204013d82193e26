//! The sequence header (AV1 bitstream specification, section 5.5).

use super::{has_size, header_len, read_leb128};
use crate::bits::BitReader;
use crate::bitstream::BitstreamError;
use crate::limits::PARAMETER_SET_BYTES_MAX;

/// What we need of a sequence header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceHeader {
    /// `seq_profile`: 0 Main, 1 High, 2 Professional.
    pub profile: u8,
    /// `seq_level_idx` of the first operating point.
    pub level_idx: u8,
    /// `seq_tier` of the first operating point: 1 is High.
    pub tier: u8,
    /// Largest width in pixels.
    pub width: u32,
    /// Largest height in pixels.
    pub height: u32,
    /// `reduced_still_picture_header`: every frame is a keyframe.
    pub still: bool,
    /// Bits of a sample: 8, 10 or 12.
    pub bit_depth: u8,
    /// No chroma.
    pub monochrome: bool,
    /// Chroma is half as wide as luma.
    pub subsampling_x: bool,
    /// Chroma is half as high as luma.
    pub subsampling_y: bool,
    /// `chroma_sample_position`.
    pub chroma_position: u8,
}

impl SequenceHeader {
    /// Reads an OBU of type 1, header included, with or without size (section 5.5.1).
    pub fn parse(unit: &[u8]) -> Result<Self, BitstreamError> {
        if unit.len() > PARAMETER_SET_BYTES_MAX {
            return Err(BitstreamError::Bad("sequence header length"));
        }
        let header = *unit.first().ok_or(BitstreamError::Ended)?;
        let mut body = unit.get(header_len(header)..).ok_or(BitstreamError::Ended)?;
        if has_size(header) {
            let (_, used) = read_leb128(body).ok_or(BitstreamError::Ended)?;
            body = &body[used..];
        }
        Self::read(&mut BitReader::new(body))
    }

    fn read(bits: &mut BitReader<'_>) -> Result<Self, BitstreamError> {
        let profile = bits.bits(3)? as u8;
        if profile > 2 {
            return Err(BitstreamError::Bad("seq_profile"));
        }
        bits.skip(1)?;
        let still = bits.flag()?;
        let (level_idx, tier) = if still { (bits.bits(5)? as u8, 0) } else { read_operating_points(bits)? };
        let (width_bits, height_bits) = (bits.bits(4)? + 1, bits.bits(4)? + 1);
        let (width, height) = (bits.bits(width_bits)? + 1, bits.bits(height_bits)? + 1);
        skip_tools(bits, still)?;
        let mut header = Self {
            profile,
            level_idx,
            tier,
            width,
            height,
            still,
            bit_depth: 8,
            monochrome: false,
            subsampling_x: true,
            subsampling_y: true,
            chroma_position: 0,
        };
        header.read_colors(bits)?;
        Ok(header)
    }

    /// Section 5.5.2.
    fn read_colors(&mut self, bits: &mut BitReader<'_>) -> Result<(), BitstreamError> {
        /// BT.709 primaries, sRGB transfer, identity matrix: RGB.
        const SRGB: [u32; 3] = [1, 13, 0];
        let high = bits.flag()?;
        self.bit_depth = match (self.profile, high) {
            (2, true) if bits.flag()? => 12,
            (_, true) => 10,
            (_, false) => 8,
        };
        self.monochrome = self.profile != 1 && bits.flag()?;
        let described = bits.flag()?;
        let colors = if described { [bits.bits(8)?, bits.bits(8)?, bits.bits(8)?] } else { [2; 3] };
        if self.monochrome {
            return Ok(bits.skip(1)?);
        }
        if colors == SRGB {
            (self.subsampling_x, self.subsampling_y) = (false, false);
            return Ok(());
        }
        bits.skip(1)?;
        (self.subsampling_x, self.subsampling_y) = match (self.profile, self.bit_depth) {
            (0, _) => (true, true),
            (1, _) => (false, false),
            (_, 12) => {
                let x = bits.flag()?;
                (x, x && bits.flag()?)
            }
            _ => (true, false),
        };
        if self.subsampling_x && self.subsampling_y {
            self.chroma_position = bits.bits(2)? as u8;
        }
        Ok(())
    }
}

/// Timing, decoder model and operating points; gives level and tier of the first.
fn read_operating_points(bits: &mut BitReader<'_>) -> Result<(u8, u8), BitstreamError> {
    let mut delay_bits = None;
    if bits.flag()? {
        bits.skip(64)?;
        if bits.flag()? {
            bits.ue()?;
        }
        if bits.flag()? {
            delay_bits = Some(bits.bits(5)? as usize + 1);
            bits.skip(32 + 5 + 5)?;
        }
    }
    let delays = bits.flag()?;
    let mut first = None;
    for _ in 0..=bits.bits(5)? {
        bits.skip(12)?;
        let level = bits.bits(5)? as u8;
        let tier = if level > 7 { bits.bits(1)? as u8 } else { 0 };
        if let Some(delay_bits) = delay_bits
            && bits.flag()?
        {
            bits.skip(2 * delay_bits + 1)?;
        }
        if delays && bits.flag()? {
            bits.skip(4)?;
        }
        first.get_or_insert((level, tier));
    }
    first.ok_or(BitstreamError::Ended)
}

/// From `frame_id_numbers_present_flag` to `film_grain_params_present`, which stands behind the colours.
fn skip_tools(bits: &mut BitReader<'_>, still: bool) -> Result<(), BitstreamError> {
    if !still && bits.flag()? {
        bits.skip(7)?;
    }
    bits.skip(3)?;
    if !still {
        bits.skip(4)?;
        let order_hint = bits.flag()?;
        if order_hint {
            bits.skip(2)?;
        }
        // Screen content tools: chosen per frame, or forced on or off; integer motion likewise where they can be on.
        let screen_content = bits.flag()? || bits.flag()?;
        if screen_content && !bits.flag()? {
            bits.skip(1)?;
        }
        if order_hint {
            bits.skip(3)?;
        }
    }
    Ok(bits.skip(3)?)
}
