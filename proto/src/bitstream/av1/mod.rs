//! AOMedia AV1: OBUs, sequence header, frame headers, configuration record.

mod record;
mod sequence;

pub use record::{build_av1c, parse_av1c};
pub use sequence::SequenceHeader;

use bytes::Bytes;

use super::BitstreamError;

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

/// Whether an OBU with a frame header begins a keyframe that is shown at once (section 5.9.2). `head` is the beginning
/// of the OBU without size.
pub fn is_shown_keyframe(head: &[u8], still: bool) -> bool {
    let Some(first) = head.first().and_then(|header| head.get(header_len(*header))) else { return false };
    // show_existing_frame 0, frame_type 0 (KEY_FRAME), show_frame 1.
    still || first >> 4 == 0b0001
}

/// Whether a sequence header says that every frame of its sequence is a keyframe (`reduced_still_picture_header`).
pub fn is_still(sequence_header: &[u8]) -> bool {
    let body = sequence_header.first().and_then(|header| sequence_header.get(header_len(*header)));
    body.is_some_and(|first| first & 0x08 != 0)
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
mod tests;
