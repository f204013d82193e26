//! The sequence parameter set (ITU-T H.264 section 7.3.2.1 and Annex E).

use crate::bits::BitReader;
use crate::bitstream::nal::unescape;
use crate::bitstream::{BitstreamError, FrameRate, skip_ue};
use crate::limits::PARAMETER_SET_BYTES_MAX;

/// What we need of a sequence parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sps {
    /// `profile_idc`.
    pub profile_idc: u8,
    /// The byte of `constraint_set` flags.
    pub constraints: u8,
    /// `level_idc`, ten times the level.
    pub level_idc: u8,
    /// `seq_parameter_set_id`.
    pub id: u32,
    /// `chroma_format_idc`: 1 is 4:2:0.
    pub chroma_format: u8,
    /// Bits of a luma sample.
    pub luma_bits: u8,
    /// Bits of a chroma sample.
    pub chroma_bits: u8,
    /// Width in pixels after cropping.
    pub width: u32,
    /// Height in pixels after cropping.
    pub height: u32,
    /// Frame rate, where the VUI has it.
    pub frame_rate: Option<FrameRate>,
    /// Frames that may precede a frame in decoding and follow it in output; `None` where the stream does not say.
    pub reorder_frames: Option<u8>,
}

impl Sps {
    /// Reads a NAL unit of type 7, header included.
    pub fn parse(nal: &[u8]) -> Result<Self, BitstreamError> {
        if nal.len() > PARAMETER_SET_BYTES_MAX {
            return Err(BitstreamError::Bad("SPS length"));
        }
        let raw = unescape(nal.get(1..).ok_or(BitstreamError::Ended)?);
        Self::read(&mut BitReader::new(&raw))
    }

    fn read(bits: &mut BitReader<'_>) -> Result<Self, BitstreamError> {
        let profile_idc = bits.bits(8)? as u8;
        let constraints = bits.bits(8)? as u8;
        let level_idc = bits.bits(8)? as u8;
        let id = bits.ue()?;
        let chroma = if has_chroma_info(profile_idc) { Chroma::read(bits)? } else { Chroma::YUV420 };
        let _log2_max_frame_num = bits.ue()?;
        let poc_type = skip_picture_order(bits)?;
        let _max_num_ref_frames = bits.ue()?;
        let _gaps_allowed = bits.flag()?;
        let (width, height) = read_size(bits, &chroma)?;
        // Some encoders cut their SPS short behind the picture's size: what follows is optional for us.
        let vui = if bits.flag().unwrap_or(false) { Vui::read(bits) } else { Vui::default() };
        Ok(Self {
            profile_idc,
            constraints,
            level_idc,
            id,
            chroma_format: chroma.format,
            luma_bits: chroma.luma_bits,
            chroma_bits: chroma.chroma_bits,
            width,
            height,
            frame_rate: vui.frame_rate,
            reorder_frames: if is_in_order(profile_idc, constraints, poc_type) { Some(0) } else { vui.reorder_frames },
        })
    }
}

/// Whether output order is decoding order by profile or by picture order count (sections 8.2.1.3, A.2.1 and E.2.1).
const fn is_in_order(profile_idc: u8, constraints: u8, poc_type: u32) -> bool {
    let intra_only = constraints & 0x10 != 0 && matches!(profile_idc, 44 | 86 | 100 | 110 | 122 | 244);
    poc_type == 2 || profile_idc == 66 || intra_only
}

const fn has_chroma_info(profile_idc: u8) -> bool {
    matches!(profile_idc, 44 | 83 | 86 | 100 | 110 | 118 | 122 | 128 | 134 | 135 | 138 | 139 | 244)
}

struct Chroma {
    format: u8,
    separate_planes: bool,
    luma_bits: u8,
    chroma_bits: u8,
}

impl Chroma {
    const YUV420: Self = Self { format: 1, separate_planes: false, luma_bits: 8, chroma_bits: 8 };

    fn read(bits: &mut BitReader<'_>) -> Result<Self, BitstreamError> {
        let format = bits.ue()?;
        if format > 3 {
            return Err(BitstreamError::Bad("chroma_format_idc"));
        }
        let separate_planes = format == 3 && bits.flag()?;
        let (luma, chroma) = (bits.ue()?, bits.ue()?);
        if luma > 6 || chroma > 6 {
            return Err(BitstreamError::Bad("bit_depth"));
        }
        let _lossless = bits.flag()?;
        if bits.flag()? {
            for list in 0..if format == 3 { 12 } else { 8 } {
                if bits.flag()? {
                    skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
        Ok(Self { format: format as u8, separate_planes, luma_bits: luma as u8 + 8, chroma_bits: chroma as u8 + 8 })
    }

    /// Luma pixels of a unit of cropping, across and down (table 6-1).
    const fn crop_unit(&self) -> (u32, u32) {
        match self.format {
            _ if self.separate_planes => (1, 1),
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        }
    }
}

/// Section 7.3.2.1.1.1.
fn skip_scaling_list(bits: &mut BitReader<'_>, size: u32) -> Result<(), BitstreamError> {
    let (mut last, mut next) = (8i32, 8i32);
    for _ in 0..size {
        if next != 0 {
            next = last.wrapping_add(bits.se()?) & 0xff;
        }
        last = if next == 0 { last } else { next };
    }
    Ok(())
}

/// Passes over the picture order count fields; gives `pic_order_cnt_type`.
fn skip_picture_order(bits: &mut BitReader<'_>) -> Result<u32, BitstreamError> {
    let poc_type = bits.ue()?;
    match poc_type {
        0 => {
            bits.ue()?;
        }
        1 => {
            bits.skip(1)?;
            bits.se()?;
            bits.se()?;
            let cycle = bits.ue()?;
            if cycle > 255 {
                return Err(BitstreamError::Bad("num_ref_frames_in_pic_order_cnt_cycle"));
            }
            for _ in 0..cycle {
                bits.se()?;
            }
        }
        2 => {}
        _ => return Err(BitstreamError::Bad("pic_order_cnt_type")),
    }
    Ok(poc_type)
}

fn read_size(bits: &mut BitReader<'_>, chroma: &Chroma) -> Result<(u32, u32), BitstreamError> {
    /// 16,384 pixels; level 6.2 ends below.
    const MACROBLOCKS_MAX: u32 = 1024;
    let (wide, high) = (bits.ue()?, bits.ue()?);
    if wide >= MACROBLOCKS_MAX || high >= MACROBLOCKS_MAX {
        return Err(BitstreamError::Bad("picture size"));
    }
    let frames_only = bits.flag()?;
    let fields = if frames_only { 1 } else { 2 };
    bits.skip(if frames_only { 1 } else { 2 })?;
    let (width, height) = ((wide + 1) * 16, (high + 1) * 16 * fields);
    if !bits.flag()? {
        return Ok((width, height));
    }
    let (left, right, top, bottom) = (bits.ue()?, bits.ue()?, bits.ue()?, bits.ue()?);
    let (across, down) = chroma.crop_unit();
    let crop = |size: u32, a: u32, b: u32, unit: u32| {
        let cut = (u64::from(a) + u64::from(b)) * u64::from(unit);
        u64::from(size).checked_sub(cut).filter(|left| *left > 0).map(|left| left as u32)
    };
    match (crop(width, left, right, across), crop(height, top, bottom, down * fields)) {
        (Some(width), Some(height)) => Ok((width, height)),
        _ => Err(BitstreamError::Bad("frame cropping")),
    }
}

/// What we need of the video usability information (section E.1.1).
#[derive(Default)]
struct Vui {
    frame_rate: Option<FrameRate>,
    reorder_frames: Option<u8>,
}

impl Vui {
    /// A VUI that ends early is taken as far as it goes: several cameras write it short.
    fn read(bits: &mut BitReader<'_>) -> Self {
        let mut vui = Self::default();
        let _ = vui.fill(bits);
        vui
    }

    fn fill(&mut self, bits: &mut BitReader<'_>) -> Result<(), BitstreamError> {
        skip_display(bits)?;
        if bits.flag()? {
            let (tick, scale) = (bits.bits(32)?, bits.bits(32)?);
            let _fixed = bits.flag()?;
            // Two fields a frame; a tick that cannot be doubled is nonsense anyway.
            self.frame_rate = tick.checked_mul(2).and_then(|tick| FrameRate::new(scale, tick));
        }
        let nal_hrd = skip_hrd(bits)?;
        let vcl_hrd = skip_hrd(bits)?;
        if nal_hrd || vcl_hrd {
            bits.skip(1)?;
        }
        let _pic_struct = bits.flag()?;
        if bits.flag()? {
            bits.skip(1)?;
            skip_ue(bits, 4)?;
            let reorder = bits.ue()?;
            if reorder <= 16 {
                self.reorder_frames = Some(reorder as u8);
            }
        }
        Ok(())
    }
}

/// Aspect ratio, overscan, colours and chroma location.
fn skip_display(bits: &mut BitReader<'_>) -> Result<(), BitstreamError> {
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
    Ok(())
}

/// Section E.1.2; says whether there was one.
fn skip_hrd(bits: &mut BitReader<'_>) -> Result<bool, BitstreamError> {
    if !bits.flag()? {
        return Ok(false);
    }
    let count = bits.ue()?;
    if count > 31 {
        return Err(BitstreamError::Bad("cpb_cnt"));
    }
    bits.skip(8)?;
    for _ in 0..=count {
        skip_ue(bits, 2)?;
        bits.skip(1)?;
    }
    bits.skip(20)?;
    Ok(true)
}

#[cfg(test)]
#[path = "sps_tests.rs"]
mod tests;
