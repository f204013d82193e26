//! FLAC (RFC 9639): stream information and the block size in a frame's header.

use bytes::{BufMut, Bytes, BytesMut};

use super::BitstreamError;
use crate::bits::BitReader;
use crate::media::FlacConfig;

/// Bytes of STREAMINFO without its block header (section 8.2).
pub const STREAM_INFO_BYTES: usize = 34;

/// What a file begins with (section 7), before its metadata blocks.
pub const MARKER: [u8; 4] = *b"fLaC";

/// Bytes of a metadata block's header: a flag and type, and a length of three bytes (section 8.1).
const BLOCK_HEADER_BYTES: usize = 4;

/// The facts of a track from the body of its STREAMINFO block (section 8.2).
pub fn config_from_stream_info(stream_info: &Bytes) -> Result<FlacConfig, BitstreamError> {
    if stream_info.len() < STREAM_INFO_BYTES {
        return Err(BitstreamError::Ended);
    }
    let stream_info = stream_info.slice(..STREAM_INFO_BYTES);
    let mut bits = BitReader::new(&stream_info);
    // Block and frame sizes.
    bits.skip(2 * 16 + 2 * 24)?;
    let sample_rate = bits.bits(20)?;
    let channels = bits.bits(3)? as u8 + 1;
    let bit_depth = bits.bits(5)? as u8 + 1;
    if sample_rate == 0 {
        return Err(BitstreamError::Bad("FLAC sample rate"));
    }
    if bit_depth < 4 {
        return Err(BitstreamError::Bad("FLAC bit depth"));
    }
    Ok(FlacConfig { stream_info, sample_rate, channels, bit_depth })
}

/// Reads what stands before the frames of a stream: the marker and STREAMINFO, or STREAMINFO alone, with or without its
/// block header. Other metadata is passed over.
pub fn parse_header(header: &Bytes) -> Result<FlacConfig, BitstreamError> {
    if header.len() == STREAM_INFO_BYTES {
        return config_from_stream_info(header);
    }
    let blocks = if header.starts_with(&MARKER) { header.slice(MARKER.len()..) } else { header.clone() };
    let [kind, length @ ..] = *blocks.first_chunk::<BLOCK_HEADER_BYTES>().ok_or(BitstreamError::Ended)?;
    // Section 8.2: STREAMINFO, type 0, is the first block.
    if kind & 0x7f != 0 || length != [0, 0, STREAM_INFO_BYTES as u8] {
        return Err(BitstreamError::Bad("FLAC metadata block"));
    }
    config_from_stream_info(&blocks.slice(BLOCK_HEADER_BYTES..))
}

/// Writes the marker and STREAMINFO as the only metadata block.
pub fn build_header(config: &FlacConfig) -> Bytes {
    let mut header = BytesMut::with_capacity(MARKER.len() + BLOCK_HEADER_BYTES + STREAM_INFO_BYTES);
    header.put_slice(&MARKER);
    // The highest bit says that no other block follows.
    header.put_slice(&[0x80, 0, 0, STREAM_INFO_BYTES as u8]);
    header.put_slice(&config.stream_info);
    header.freeze()
}

/// Bytes of a frame that [`frame_samples`] wants to see: the longest header.
pub const HEAD: usize = 16;

/// Samples of a frame and channel, from its header (section 9.1); `None` where that is broken.
pub fn frame_samples(head: &[u8]) -> Option<u32> {
    if head.len() < 5 || head[0] != 0xff || head[1] & 0xfe != 0xf8 {
        return None;
    }
    // The coded number between the fixed head and the block size is as long as its first byte says (section 9.1.5).
    let number_bytes = match head[4].leading_ones() {
        0 => 1,
        ones @ 2..=7 => ones as usize,
        _ => return None,
    };
    let at = 4 + number_bytes;
    match head[2] >> 4 {
        0 => None,
        1 => Some(192),
        code @ 2..=5 => Some(144 << code),
        6 => head.get(at).map(|size| u32::from(*size) + 1),
        7 => Some(u32::from(u16::from_be_bytes([*head.get(at)?, *head.get(at + 1)?])) + 1),
        code => Some(1 << code),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bitstream::testdata::hex;

    /// ffmpeg's encoder: 44.1 kHz, stereo, 16 bits, blocks of 4,608 samples.
    const STREAM_INFO: &str = "1200120000000a0000230ac442f000000000000000000000000000000000000000000000";

    #[test]
    fn stream_info_tells_rate_channels_and_depth() {
        let config = config_from_stream_info(&hex(STREAM_INFO).slice(..34)).unwrap();
        assert_eq!((config.sample_rate, config.channels, config.bit_depth), (44_100, 2, 16));
        assert_eq!(parse_header(&build_header(&config)).unwrap(), config);
        assert_eq!(parse_header(&config.stream_info).unwrap(), config);
        assert_eq!(parse_header(&build_header(&config).slice(4..)).unwrap(), config);
    }

    #[test]
    fn cut_and_foreign_headers_are_refused() {
        let config = config_from_stream_info(&hex(STREAM_INFO).slice(..34)).unwrap();
        let header = build_header(&config);
        for len in (0..header.len()).filter(|len| *len != 34) {
            assert!(parse_header(&header.slice(..len)).is_err(), "{len}");
        }
        assert!(parse_header(&hex("664c614384000028")).is_err(), "comments first");
    }

    #[test]
    fn block_sizes_of_the_table() {
        let frame = |code: u8, more: &[u8]| [&[0xff, 0xf8, code << 4 | 9, 0x18, 0x00][..], more].concat();
        assert_eq!(frame_samples(&frame(1, &[0])), Some(192));
        assert_eq!(frame_samples(&frame(5, &[0])), Some(4608));
        assert_eq!(frame_samples(&frame(12, &[0])), Some(4096));
        assert_eq!(frame_samples(&frame(6, &[0x7f])), Some(128));
        assert_eq!(frame_samples(&frame(7, &[0x03, 0xff])), Some(1024));
        assert_eq!(frame_samples(&frame(0, &[0])), None);
    }

    proptest! {
        #[test]
        fn any_head_is_read_or_refused(head in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = frame_samples(&head);
            let _ = parse_header(&head.into());
        }
    }
}
