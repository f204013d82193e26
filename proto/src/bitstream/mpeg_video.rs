//! MPEG-1 and MPEG-2 video (ISO/IEC 11172-2, ITU-T H.262) and MPEG-4 video (ISO/IEC 14496-2): what headers say.

use super::BitstreamError;
use crate::bits::BitReader;
use crate::limits::PARAMETER_SET_BYTES_MAX;

/// Start codes, the byte behind `00 00 01`.
mod start {
    /// MPEG-1 and MPEG-2.
    pub(super) const PICTURE: u8 = 0x00;
    pub(super) const SEQUENCE: u8 = 0xb3;
    pub(super) const EXTENSION: u8 = 0xb5;
    pub(super) const GROUP: u8 = 0xb8;
    /// MPEG-4; its group of planes has the number of MPEG-1's sequence.
    pub(super) const LAYERS: core::ops::RangeInclusive<u8> = 0x20..=0x2f;
    pub(super) const GROUP_OF_PLANES: u8 = 0xb3;
    pub(super) const PLANE: u8 = 0xb6;
}

/// What the headers before the first picture say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
    /// A sequence extension is there: MPEG-2, not MPEG-1. Never set for MPEG-4.
    pub is_mpeg2: bool,
}

/// Where start codes are: the byte behind each, and the offset of its first zero.
fn start_codes(bytes: &[u8]) -> impl Iterator<Item = (u8, usize)> {
    bytes.windows(4).enumerate().filter(|(_, four)| four[..3] == [0, 0, 1]).map(|(at, four)| (four[3], at))
}

/// Reads the sequence header and extension of MPEG-1 or MPEG-2 video (H.262 sections 6.2.2.1 and 6.2.2.3).
///
/// # Errors
/// When there is no sequence header, or no picture in what it describes.
pub fn mpeg12_headers(bytes: &[u8]) -> Result<Headers, BitstreamError> {
    let bytes = bytes.get(..PARAMETER_SET_BYTES_MAX).unwrap_or(bytes);
    let find =
        |code| start_codes(bytes).find(|(found, _)| *found == code).map(|(_, at)| BitReader::new(&bytes[at + 4..]));
    let mut bits = find(start::SEQUENCE).ok_or(BitstreamError::Bad("sequence_header_code"))?;
    let (mut width, mut height) = (bits.bits(12)? as u16, bits.bits(12)? as u16);
    let mut is_mpeg2 = false;
    if let Some(mut bits) = find(start::EXTENSION)
        && bits.bits(4)? == 1
    {
        is_mpeg2 = true;
        // Profile and level, progressive, chroma.
        bits.skip(8 + 1 + 2)?;
        width |= (bits.bits(2)? as u16) << 12;
        height |= (bits.bits(2)? as u16) << 12;
    }
    sized(Headers { width, height, is_mpeg2 })
}

/// Reads the video object layer of MPEG-4 video (section 6.2.3) of rectangular shape.
///
/// # Errors
/// When there is none, or none with a picture that we understand.
pub fn mpeg4_headers(bytes: &[u8]) -> Result<Headers, BitstreamError> {
    let bytes = bytes.get(..PARAMETER_SET_BYTES_MAX).unwrap_or(bytes);
    let layer = start_codes(bytes).find(|(code, _)| start::LAYERS.contains(code));
    let (_, at) = layer.ok_or(BitstreamError::Bad("video_object_layer_start_code"))?;
    let bits = &mut BitReader::new(&bytes[at + 4..]);
    bits.skip(1 + 8)?;
    if bits.flag()? {
        bits.skip(4 + 3)?;
    }
    const EXTENDED_ASPECT: u32 = 15;
    if bits.bits(4)? == EXTENDED_ASPECT {
        bits.skip(8 + 8)?;
    }
    if bits.flag()? {
        bits.skip(2 + 1)?;
        if bits.flag()? {
            // The buffer of the decoder, with markers between.
            bits.skip(79)?;
        }
    }
    if bits.bits(2)? != 0 {
        return Err(BitstreamError::Bad("video_object_layer_shape"));
    }
    bits.skip(1)?;
    let resolution = bits.bits(16)?;
    bits.skip(1)?;
    if bits.flag()? {
        let largest = resolution.saturating_sub(1).max(1);
        bits.skip((32 - largest.leading_zeros()) as usize)?;
    }
    bits.skip(1)?;
    let width = bits.bits(13)? as u16;
    bits.skip(1)?;
    sized(Headers { width, height: bits.bits(13)? as u16, is_mpeg2: false })
}

fn sized(headers: Headers) -> Result<Headers, BitstreamError> {
    match headers {
        Headers { width: 0, .. } | Headers { height: 0, .. } => Err(BitstreamError::Bad("size")),
        headers => Ok(headers),
    }
}

/// The headers at the beginning of a frame of MPEG-1 or MPEG-2 video, up to the group or picture; empty where none are.
pub fn mpeg12_head(frame: &[u8]) -> &[u8] {
    head(frame, start::SEQUENCE, |code| matches!(code, start::PICTURE | start::GROUP))
}

/// The headers at the beginning of a frame of MPEG-4 video, up to the group or plane; empty where none are.
pub fn mpeg4_head(frame: &[u8]) -> &[u8] {
    const SEQUENCE: u8 = 0xb0;
    head(frame, SEQUENCE, |code| matches!(code, start::GROUP_OF_PLANES | start::PLANE))
}

fn head(frame: &[u8], first: u8, ends: impl Fn(u8) -> bool) -> &[u8] {
    let mut codes = start_codes(frame.get(..PARAMETER_SET_BYTES_MAX).unwrap_or(frame));
    if codes.next() != Some((first, 0)) {
        return &[];
    }
    codes.find(|(code, _)| ends(*code)).map_or(&[], |(_, at)| &frame[..at])
}

/// Whether a frame of MPEG-1 or MPEG-2 video is an intra picture with its sequence header (H.262 section 6.2.3).
pub fn is_mpeg12_key(frame: &[u8]) -> bool {
    let Some((_, at)) = start_codes(frame).find(|(code, _)| *code == start::PICTURE) else { return false };
    !mpeg12_head(frame).is_empty() && frame.get(at + 5).is_some_and(|byte| byte >> 3 & 7 == 1)
}

/// Whether a frame of MPEG-4 video is an intra plane (section 6.2.5).
pub fn is_mpeg4_key(frame: &[u8]) -> bool {
    let Some((_, at)) = start_codes(frame).find(|(code, _)| *code == start::PLANE) else { return false };
    frame.get(at + 4).is_some_and(|byte| byte >> 6 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitstream::testdata::hex;

    #[test]
    fn headers_of_ffmpeg_say_the_size() {
        let mpeg4 = hex("000001B001000001B58913000001000000012000C48D8800550204061443");
        assert_eq!(mpeg4_headers(&mpeg4), Ok(Headers { width: 64, height: 48, is_mpeg2: false }));
        let mpeg2 = hex("000001b304003023ffffe018000001b5148a00010000");
        assert_eq!(mpeg12_headers(&mpeg2), Ok(Headers { width: 64, height: 48, is_mpeg2: true }));
        let mpeg1 = mpeg12_headers(&mpeg2[..12]);
        assert_eq!(mpeg1, Ok(Headers { width: 64, height: 48, is_mpeg2: false }));
    }

    #[test]
    fn cut_headers_are_errors() {
        let mpeg4 = hex("000001B001000001B58913000001000000012000C48D8800550204061443");
        assert!((0..26).all(|len| mpeg4_headers(&mpeg4[..len]).is_err()));
        assert!((0..7).all(|len| mpeg12_headers(&hex("000001b304003023")[..len]).is_err()));
    }
}
