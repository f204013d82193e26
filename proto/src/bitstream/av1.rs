//! AOMedia AV1: OBUs, sequence header, frame headers, configuration record.

use bytes::{BufMut, Bytes, BytesMut};

use super::BitstreamError;
use crate::bits::BitReader;
use crate::limits::PARAMETER_SET_BYTES_MAX;
use crate::media::Av1Config;

/// OBU types (section 6.2.2).
pub mod obu {
    /// Sequence header.
    pub const SEQUENCE_HEADER: u8 = 1;
    /// Temporal delimiter.
    pub const TEMPORAL_DELIMITER: u8 = 2;
    /// Frame header.
    pub const FRAME_HEADER: u8 = 3;
    /// Tile group.
    pub const TILE_GROUP: u8 = 4;
    /// Frame: header and tiles in one.
    pub const FRAME: u8 = 6;
    /// Redundant frame header.
    pub const REDUNDANT_FRAME_HEADER: u8 = 7;
    /// Tile list.
    pub const TILE_LIST: u8 = 8;
    /// Padding.
    pub const PADDING: u8 = 15;
}

/// The type of an OBU, from its first byte (section 5.3.2).
pub const fn obu_type(header: u8) -> u8 {
    header >> 3 & 0xf
}

/// Whether a size follows the header.
pub const fn has_size(header: u8) -> bool {
    header & 2 != 0
}

/// Bytes of the header itself: two with an extension.
pub const fn header_len(header: u8) -> usize {
    if header & 4 != 0 { 2 } else { 1 }
}

/// Reads an unsigned `leb128` (section 4.10.5): its value and how many bytes it takes.
pub fn read_leb128(bytes: &[u8]) -> Option<(u32, usize)> {
    let mut value = 0u64;
    for (i, byte) in bytes.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return u32::try_from(value).ok().map(|value| (value, i + 1));
        }
    }
    None
}

/// Writes an unsigned `leb128` into `out`, which it may fill; gives the bytes used.
pub fn write_leb128(mut value: u32, out: &mut [u8; 5]) -> &[u8] {
    let mut len = 0;
    loop {
        out[len] = value as u8 & 0x7f;
        value >>= 7;
        len += 1;
        if value == 0 {
            return &out[..len];
        }
        out[len - 1] |= 0x80;
    }
}

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

/// Whether an OBU with a frame header begins a keyframe that is shown at once (section 5.9.2). `head` is the beginning
/// of the OBU without size.
pub fn is_shown_keyframe(head: &[u8], still: bool) -> bool {
    let Some(first) = head.first().and_then(|header| head.get(header_len(*header))) else { return false };
    // show_existing_frame 0, frame_type 0 (KEY_FRAME), show_frame 1.
    still || first >> 4 == 0b0001
}

/// Reads an `av1C` record (AV1 in ISOBMFF, section 2.3.3): the first sequence header of its OBUs.
pub fn parse_av1c(record: &Bytes) -> Result<Av1Config, BitstreamError> {
    match record.first() {
        None => return Err(BitstreamError::Ended),
        Some(0x81) if record.len() >= 4 => {}
        Some(_) => return Err(BitstreamError::Bad("av1C version")),
    }
    for unit in split_obus(&record.slice(4..)) {
        let Obu { header, body } = unit?;
        if obu_type(header[0]) == obu::SEQUENCE_HEADER {
            let mut whole = BytesMut::with_capacity(header.len() + body.len());
            whole.put_slice(&header);
            whole.put_slice(&body);
            return Ok(Av1Config { sequence_header: whole.freeze() });
        }
    }
    Ok(Av1Config::default())
}

/// Writes an `av1C` record; `None` without a sequence header that can be read.
pub fn build_av1c(config: &Av1Config) -> Option<Bytes> {
    let unit = &config.sequence_header;
    let sequence = SequenceHeader::parse(unit).ok()?;
    let mut record = BytesMut::with_capacity(8 + unit.len());
    record.put_u8(0x81);
    record.put_u8(sequence.profile << 5 | sequence.level_idx);
    record.put_u8(
        sequence.tier << 7
            | u8::from(sequence.bit_depth > 8) << 6
            | u8::from(sequence.bit_depth == 12) << 5
            | u8::from(sequence.monochrome) << 4
            | u8::from(sequence.subsampling_x) << 3
            | u8::from(sequence.subsampling_y) << 2
            | sequence.chroma_position,
    );
    record.put_u8(0);
    put_sized(&mut record, unit)?;
    Some(record.freeze())
}

/// Writes an OBU with its size ("low-overhead format", section 5.2), as files want it.
fn put_sized(out: &mut BytesMut, unit: &[u8]) -> Option<()> {
    let header = *unit.first()?;
    if has_size(header) {
        out.put_slice(unit);
        return Some(());
    }
    let body = unit.get(header_len(header)..)?;
    out.put_u8(header | 2);
    out.put_slice(&unit[1..header_len(header)]);
    out.put_slice(write_leb128(u32::try_from(body.len()).ok()?, &mut [0; 5]));
    out.put_slice(body);
    Some(())
}

/// An OBU apart: its header without size flag, and what follows the size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obu {
    /// One or two bytes; the size flag is cleared.
    pub header: Bytes,
    /// The rest, sharing the memory it came in.
    pub body: Bytes,
}

/// The OBUs of a temporal unit in low-overhead format. One without size reaches to the end.
pub fn split_obus(stream: &Bytes) -> ObuSplitter {
    ObuSplitter { rest: stream.clone() }
}

/// The iterator of [`split_obus`]; ends after an error.
#[derive(Clone, Debug)]
pub struct ObuSplitter {
    rest: Bytes,
}

impl Iterator for ObuSplitter {
    type Item = Result<Obu, BitstreamError>;

    fn next(&mut self) -> Option<Self::Item> {
        let header = *self.rest.first()?;
        let obu = self.split(header);
        if obu.is_err() {
            self.rest.clear();
        }
        Some(obu)
    }
}

impl ObuSplitter {
    fn split(&mut self, first: u8) -> Result<Obu, BitstreamError> {
        let header_len = header_len(first);
        if self.rest.len() < header_len {
            return Err(BitstreamError::Ended);
        }
        let mut header = self.rest.split_to(header_len);
        if !has_size(first) {
            return Ok(Obu { header, body: core::mem::take(&mut self.rest) });
        }
        let (size, used) = read_leb128(&self.rest).ok_or(BitstreamError::Ended)?;
        let _size = self.rest.split_to(used);
        if self.rest.len() < size as usize {
            return Err(BitstreamError::Ended);
        }
        header = [first & !2].iter().chain(&header[1..]).copied().collect();
        Ok(Obu { header, body: self.rest.split_to(size as usize) })
    }
}

#[cfg(test)]
#[path = "av1_tests.rs"]
mod tests;
