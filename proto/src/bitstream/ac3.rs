//! AC-3: `syncinfo` and `bsi` (ETSI TS 102 366 sections 4.4.1 and 4.4.2).

use super::BitstreamError;
use crate::bits::BitReader;
use crate::media::Ac3Config;

/// Samples per channel of a syncframe.
pub const FRAME_SAMPLES: u32 = 1536;

/// `bsid` of plain AC-3.
pub const BITSTREAM_ID: u32 = 8;

/// Bytes of a frame that [`FrameHeader::parse`] wants to see.
pub const HEAD: usize = 8;

/// Kilobits per second by half of `frmsizecod` (table 4.13).
const BITRATES: [u16; 19] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];

/// What the head of a syncframe says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Rate and channels.
    pub config: Ac3Config,
    /// Bytes of the frame.
    pub len: usize,
    /// `fscod`.
    pub rate_code: u8,
    /// `frmsizecod`; half of it is the bit rate code of MP4's `dac3`.
    pub size_code: u8,
    /// `bsid`: 8, or 6; more is not AC-3 but E-AC-3.
    pub bitstream_id: u8,
    /// `bsmod`.
    pub mode: u8,
    /// `acmod`.
    pub layout: u8,
    /// `lfeon`.
    pub low_frequency: bool,
}

impl FrameHeader {
    /// Reads the head of a syncframe.
    pub fn parse(frame: &[u8]) -> Result<Self, BitstreamError> {
        if !frame.starts_with(&[0x0b, 0x77]) {
            return Err(BitstreamError::Bad("AC-3 syncword"));
        }
        let bits = &mut BitReader::new(frame);
        bits.skip(32)?;
        let (rate_code, size_code) = (bits.bits(2)? as u8, bits.bits(6)? as u8);
        let (bitstream_id, mode, layout) = (bits.bits(5)? as u8, bits.bits(3)? as u8, bits.bits(3)? as u8);
        if bitstream_id > 8 {
            return Err(BitstreamError::Bad("bsid"));
        }
        // Mix levels stand here for some layouts only: centre, surround, Dolby Surround.
        bits.skip(if layout & 1 != 0 && layout != 1 { 2 } else { 0 })?;
        bits.skip(if layout & 4 != 0 { 2 } else { 0 })?;
        bits.skip(if layout == 2 { 2 } else { 0 })?;
        let low_frequency = bits.flag()?;
        let channels = [2, 1, 2, 3, 3, 4, 4, 5][usize::from(layout)] + u8::from(low_frequency);
        let (sample_rate, len) = read_size(rate_code, size_code)?;
        let config = Ac3Config { sample_rate, channels };
        Ok(Self { config, len, rate_code, size_code, bitstream_id, mode, layout, low_frequency })
    }
}

/// Samples per second, and bytes of a frame.
fn read_size(rate_code: u8, size_code: u8) -> Result<(u32, usize), BitstreamError> {
    let rate = *[48_000, 44_100, 32_000].get(usize::from(rate_code)).ok_or(BitstreamError::Bad("fscod"))?;
    let kilobits = *BITRATES.get(usize::from(size_code / 2)).ok_or(BitstreamError::Bad("frmsizecod"))?;
    // Words of 16 bits; only 44.1 kHz does not divide evenly and pads every other frame.
    let words = u32::from(kilobits) * 1000 / 16 * FRAME_SAMPLES / rate;
    let padding = if rate == 44_100 { u32::from(size_code & 1) } else { 0 };
    Ok((rate, 2 * (words + padding) as usize))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bitstream::testdata::hex;

    #[test]
    fn surround_of_ffmpeg() {
        let header = FrameHeader::parse(&hex("0b77b50b1e40ebf8")).unwrap();
        assert_eq!(header.config, Ac3Config { sample_rate: 48_000, channels: 6 });
        assert_eq!((header.len, header.bitstream_id, header.layout), (1792, 8, 7));
    }

    #[test]
    fn padded_stereo_of_ffmpeg() {
        let header = FrameHeader::parse(&hex("0b77c2ea544043e1")).unwrap();
        assert_eq!(header.config, Ac3Config { sample_rate: 44_100, channels: 2 });
        assert_eq!(header.len, 834);
    }

    #[test]
    fn enhanced_ac3_is_refused() {
        assert_eq!(FrameHeader::parse(&hex("0b7701ff3f86ff01")), Err(BitstreamError::Bad("bsid")));
    }

    proptest! {
        #[test]
        fn any_head_is_read_or_refused(tail: [u8; 6]) {
            let _ = FrameHeader::parse(&[&[0x0b, 0x77], &tail[..]].concat());
        }
    }
}
