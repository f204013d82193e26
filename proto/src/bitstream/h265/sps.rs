//! The sequence parameter set (ITU-T H.265 section 7.3.2.2 and Annex E).

use crate::bits::{BitReader, EndOfBits};
use crate::bitstream::nal::unescape;
use crate::bitstream::{BitstreamError, FrameRate, skip_ue};
use crate::limits::PARAMETER_SET_BYTES_MAX;

/// What we need of a sequence parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sps {
    /// Profile, tier and level.
    pub general: ProfileTierLevel,
    /// `sps_max_sub_layers_minus1`: the highest `TemporalId`.
    pub sub_layers_minus1: u8,
    /// `sps_temporal_id_nesting_flag`.
    pub temporal_id_nested: bool,
    /// `sps_seq_parameter_set_id`.
    pub id: u32,
    /// `chroma_format_idc`: 1 is 4:2:0.
    pub chroma_format: u8,
    /// Bits of a luma sample.
    pub luma_bits: u8,
    /// Bits of a chroma sample.
    pub chroma_bits: u8,
    /// Width in pixels inside the conformance window.
    pub width: u32,
    /// Height in pixels inside the conformance window.
    pub height: u32,
    /// Pictures that may precede a picture in decoding and follow it in output.
    pub reorder_pictures: u8,
    /// Frame rate, where the VUI has it.
    pub frame_rate: Option<FrameRate>,
}

/// The general part of `profile_tier_level` (section 7.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileTierLevel {
    /// `general_profile_space`.
    pub profile_space: u8,
    /// `general_tier_flag`: the High tier.
    pub high_tier: bool,
    /// `general_profile_idc`.
    pub profile_idc: u8,
    /// `general_profile_compatibility_flags`.
    pub compatibility: u32,
    /// The 48 bits of constraint flags.
    pub constraints: [u8; 6],
    /// `general_level_idc`, thirty times the level.
    pub level_idc: u8,
}

impl ProfileTierLevel {
    pub(super) fn read(bits: &mut BitReader<'_>, sub_layers_minus1: u32) -> Result<Self, EndOfBits> {
        let general = Self {
            profile_space: bits.bits(2)? as u8,
            high_tier: bits.flag()?,
            profile_idc: bits.bits(5)? as u8,
            compatibility: bits.bits(32)?,
            constraints: {
                let (high, low) = (bits.bits(16)?.to_be_bytes(), bits.bits(32)?.to_be_bytes());
                [high[2], high[3], low[0], low[1], low[2], low[3]]
            },
            level_idc: bits.bits(8)? as u8,
        };
        if sub_layers_minus1 > 0 {
            let present = bits.bits(16)?;
            for layer in 0..sub_layers_minus1 {
                let flags = present >> (14 - 2 * layer) & 3;
                bits.skip(if flags & 2 != 0 { 88 } else { 0 })?;
                bits.skip(if flags & 1 != 0 { 8 } else { 0 })?;
            }
        }
        Ok(general)
    }
}

impl Sps {
    /// Reads a NAL unit of type 33, header included.
    pub fn parse(nal: &[u8]) -> Result<Self, BitstreamError> {
        if nal.len() > PARAMETER_SET_BYTES_MAX {
            return Err(BitstreamError::Bad("SPS length"));
        }
        let raw = unescape(nal.get(2..).ok_or(BitstreamError::Ended)?);
        Self::read(&mut BitReader::new(&raw))
    }

    fn read(bits: &mut BitReader<'_>) -> Result<Self, BitstreamError> {
        bits.skip(4)?;
        let sub_layers_minus1 = bits.bits(3)?;
        if sub_layers_minus1 > 6 {
            return Err(BitstreamError::Bad("sps_max_sub_layers_minus1"));
        }
        let temporal_id_nested = bits.flag()?;
        let general = ProfileTierLevel::read(bits, sub_layers_minus1)?;
        let id = bits.ue()?;
        let (chroma_format, width, height) = read_size(bits)?;
        let (luma, chroma) = (bits.ue()?, bits.ue()?);
        if luma > 8 || chroma > 8 {
            return Err(BitstreamError::Bad("bit_depth"));
        }
        let poc_bits = bits.ue()?.saturating_add(4);
        if poc_bits > 16 {
            return Err(BitstreamError::Bad("log2_max_pic_order_cnt_lsb"));
        }
        let reorder_pictures = read_reorder(bits, sub_layers_minus1)?;
        Ok(Self {
            general,
            sub_layers_minus1: sub_layers_minus1 as u8,
            temporal_id_nested,
            id,
            chroma_format,
            luma_bits: luma as u8 + 8,
            chroma_bits: chroma as u8 + 8,
            width,
            height,
            reorder_pictures,
            // The picture rate is a help, not a need: what cannot be read behind here is left out.
            frame_rate: read_rate(bits, poc_bits).unwrap_or(None),
        })
    }
}

/// Chroma format, and width and height inside the conformance window.
fn read_size(bits: &mut BitReader<'_>) -> Result<(u8, u32, u32), BitstreamError> {
    /// Level 6.2 ends at 8,192 by 4,320; a picture may be up to eight times its square root wide.
    const PIXELS_MAX: u32 = 65_536;
    let chroma = bits.ue()?;
    if chroma > 3 {
        return Err(BitstreamError::Bad("chroma_format_idc"));
    }
    let separate_planes = chroma == 3 && bits.flag()?;
    let (width, height) = (bits.ue()?, bits.ue()?);
    if width > PIXELS_MAX || height > PIXELS_MAX {
        return Err(BitstreamError::Bad("picture size"));
    }
    if !bits.flag()? {
        return Ok((chroma as u8, width, height));
    }
    let (left, right, top, bottom) = (bits.ue()?, bits.ue()?, bits.ue()?, bits.ue()?);
    let (across, down) = match chroma {
        _ if separate_planes => (1, 1),
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let crop = |size: u32, a: u32, b: u32, unit: u64| {
        let cut = (u64::from(a) + u64::from(b)) * unit;
        u64::from(size).checked_sub(cut).filter(|left| *left > 0).map(|left| left as u32)
    };
    match (crop(width, left, right, across), crop(height, top, bottom, down)) {
        (Some(width), Some(height)) => Ok((chroma as u8, width, height)),
        _ => Err(BitstreamError::Bad("conformance window")),
    }
}

/// `sps_max_num_reorder_pics` of the highest sub-layer.
fn read_reorder(bits: &mut BitReader<'_>, sub_layers_minus1: u32) -> Result<u8, BitstreamError> {
    let each = bits.flag()?;
    let mut reorder = 0;
    for _ in if each { 0 } else { sub_layers_minus1 }..=sub_layers_minus1 {
        let _max_dec_pic_buffering = bits.ue()?;
        reorder = bits.ue()?;
        let _max_latency_increase = bits.ue()?;
    }
    u8::try_from(reorder).ok().filter(|reorder| *reorder <= 16).ok_or(BitstreamError::Bad("sps_max_num_reorder_pics"))
}

/// From `log2_min_luma_coding_block_size_minus3` to the VUI's timing.
fn read_rate(bits: &mut BitReader<'_>, poc_bits: u32) -> Result<Option<FrameRate>, BitstreamError> {
    skip_ue(bits, 6)?;
    if bits.flag()? && bits.flag()? {
        skip_scaling_lists(bits)?;
    }
    bits.skip(2)?;
    if bits.flag()? {
        bits.skip(8)?;
        skip_ue(bits, 2)?;
        bits.skip(1)?;
    }
    skip_short_term_sets(bits)?;
    if bits.flag()? {
        let count = bits.ue()?;
        if count > 32 {
            return Err(BitstreamError::Bad("num_long_term_ref_pics_sps"));
        }
        bits.skip((count * (poc_bits + 1)) as usize)?;
    }
    bits.skip(2)?;
    if bits.flag()? { read_vui_rate(bits) } else { Ok(None) }
}

/// Section 7.3.4.
fn skip_scaling_lists(bits: &mut BitReader<'_>) -> Result<(), BitstreamError> {
    for size in 0..4u32 {
        for _ in 0..if size == 3 { 2 } else { 6 } {
            if !bits.flag()? {
                bits.ue()?;
                continue;
            }
            if size > 1 {
                bits.se()?;
            }
            for _ in 0..64.min(1 << (4 + (size << 1))) {
                bits.se()?;
            }
        }
    }
    Ok(())
}

/// Section 7.3.7.
fn skip_short_term_sets(bits: &mut BitReader<'_>) -> Result<(), BitstreamError> {
    const BAD: BitstreamError = BitstreamError::Bad("short-term reference picture set");
    let count = bits.ue()?;
    if count > 64 {
        return Err(BAD);
    }
    // Pictures of the set before, from which the next may be predicted.
    let mut pictures = 0;
    for set in 0..count {
        if set > 0 && bits.flag()? {
            bits.skip(1)?;
            bits.ue()?;
            let mut kept = 0;
            for _ in 0..=pictures {
                let used = bits.flag()?;
                kept += u32::from(used || bits.flag()?);
            }
            pictures = kept;
        } else {
            let (negative, positive) = (bits.ue()?, bits.ue()?);
            if negative > 16 || positive > 16 {
                return Err(BAD);
            }
            pictures = negative + positive;
            for _ in 0..pictures {
                bits.ue()?;
                bits.skip(1)?;
            }
        }
        if pictures > 32 {
            return Err(BAD);
        }
    }
    Ok(())
}

/// Section E.2.1 up to the timing.
fn read_vui_rate(bits: &mut BitReader<'_>) -> Result<Option<FrameRate>, BitstreamError> {
    const EXTENDED_SAR: u32 = 255;
    if bits.flag()? && bits.bits(8)? == EXTENDED_SAR {
        bits.skip(32)?;
    }
    if bits.flag()? {
        bits.skip(1)?;
    }
    if bits.flag()? {
        bits.skip(4)?;
        if bits.flag()? {
            bits.skip(24)?;
        }
    }
    if bits.flag()? {
        skip_ue(bits, 2)?;
    }
    bits.skip(3)?;
    if bits.flag()? {
        skip_ue(bits, 4)?;
    }
    if !bits.flag()? {
        return Ok(None);
    }
    let (tick, scale) = (bits.bits(32)?, bits.bits(32)?);
    Ok(FrameRate::new(scale, tick))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bitstream::testdata::*;

    #[test]
    fn main_profile() {
        let sps = Sps::parse(&hex(H265_SPS_MAIN)).unwrap();
        assert_eq!((sps.general.profile_idc, sps.general.level_idc, sps.width, sps.height), (1, 63, 640, 360));
        assert_eq!((sps.reorder_pictures, sps.frame_rate), (2, FrameRate::new(25, 1)));
    }

    #[test]
    fn ten_bits_in_a_cropped_picture() {
        let sps = Sps::parse(&hex(H265_SPS_MAIN10)).unwrap();
        assert_eq!((sps.general.profile_idc, sps.general.level_idc, sps.luma_bits), (2, 123, 10));
        assert_eq!((sps.width, sps.height, sps.frame_rate), (1920, 1080, FrameRate::new(50, 1)));
    }

    proptest! {
        #[test]
        fn broken_sets_are_errors(flips in prop::collection::vec((0usize..42, any::<u8>()), 1..6)) {
            let mut bytes = hex(H265_SPS_MAIN).to_vec();
            flips.iter().for_each(|(at, value)| bytes[*at] = *value);
            let _ = Sps::parse(&bytes);
        }
    }
}
