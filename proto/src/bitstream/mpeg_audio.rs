//! MPEG-1 and MPEG-2 audio: the frame header (ISO/IEC 11172-3 section 2.4.1.3, 13818-3 section 2.4.1.3).

use super::BitstreamError;
use crate::media::MpegAudioConfig;

/// Bytes of a frame header.
pub const HEADER: usize = 4;

/// What a frame header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Rate, channels and layer.
    pub config: MpegAudioConfig,
    /// Samples in the frame and channel.
    pub samples: u16,
    /// Bytes of the frame, header included; `None` for the free format, which does not say.
    pub len: Option<usize>,
}

/// Kilobits per second by index: MPEG-1 layers I, II, III, then MPEG-2 layer I and layers II and III.
const BITRATES: [[u16; 14]; 5] = [
    [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
    [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
    [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
    [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];

impl FrameHeader {
    /// Reads the header at the beginning of `frame`. MPEG-2.5 (half the rates of MPEG-2) is understood too.
    pub fn parse(frame: &[u8]) -> Result<Self, BitstreamError> {
        let head: &[u8; HEADER] = frame.first_chunk().ok_or(BitstreamError::Ended)?;
        if head[0] != 0xff || head[1] & 0xe0 != 0xe0 {
            return Err(BitstreamError::Bad("MPEG audio syncword"));
        }
        // How often the rates of MPEG-1 are halved.
        let halved = match head[1] >> 3 & 3 {
            0 => 2,
            2 => 1,
            3 => 0,
            _ => return Err(BitstreamError::Bad("MPEG audio version")),
        };
        let layer = 4 - (head[1] >> 1 & 3);
        if layer == 4 {
            return Err(BitstreamError::Bad("MPEG audio layer"));
        }
        let rate = *[44_100u32, 48_000, 32_000]
            .get(usize::from(head[2] >> 2 & 3))
            .ok_or(BitstreamError::Bad("MPEG audio rate"))?;
        let sample_rate = rate >> halved;
        let samples = match layer {
            1 => 384,
            3 if halved > 0 => 576,
            _ => 1152,
        };
        let bitrate = read_bitrate(head[2] >> 4, layer, halved > 0)?;
        let padding = usize::from(head[2] >> 1 & 1);
        let channels = if head[3] >> 6 == 3 { 1 } else { 2 };
        Ok(Self {
            config: MpegAudioConfig { sample_rate, channels, layer },
            samples,
            len: bitrate.map(|bitrate| frame_len(layer, samples, bitrate, sample_rate, padding)),
        })
    }
}

/// Bits per second; `None` for the free format.
fn read_bitrate(index: u8, layer: u8, half: bool) -> Result<Option<u32>, BitstreamError> {
    let row = match (half, layer) {
        (false, layer) => usize::from(layer) - 1,
        (true, 1) => 3,
        (true, _) => 4,
    };
    match index {
        0 => Ok(None),
        15 => Err(BitstreamError::Bad("MPEG audio bitrate")),
        index => Ok(Some(u32::from(BITRATES[row][usize::from(index) - 1]) * 1000)),
    }
}

/// Section 2.4.3.1: layer I counts in slots of four bytes.
fn frame_len(layer: u8, samples: u16, bitrate: u32, sample_rate: u32, padding: usize) -> usize {
    match layer {
        1 => ((12 * bitrate / sample_rate) as usize + padding) * 4,
        _ => (u32::from(samples) / 8 * bitrate / sample_rate) as usize + padding,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn facts(head: [u8; 4]) -> (u32, u8, u8, u16, Option<usize>) {
        let header = FrameHeader::parse(&head).unwrap();
        (header.config.sample_rate, header.config.channels, header.config.layer, header.samples, header.len)
    }

    #[test]
    fn frames_of_real_encoders() {
        assert_eq!(facts([0xff, 0xfd, 0xe0, 0x04]), (44_100, 2, 2, 1152, Some(1253)), "ffmpeg mp2, 384 kbit/s");
        assert_eq!(facts([0xff, 0xfb, 0x54, 0x00]), (48_000, 2, 3, 1152, Some(192)), "lame, 64 kbit/s");
        assert_eq!(facts([0xff, 0xf3, 0x84, 0xc4]), (24_000, 1, 3, 576, Some(192)), "MPEG-2, 64 kbit/s");
        assert_eq!(facts([0xff, 0xe3, 0x18, 0xc4]), (8_000, 1, 3, 576, Some(72)), "MPEG-2.5, 8 kbit/s");
    }

    #[test]
    fn other_bytes_are_refused() {
        assert!(FrameHeader::parse(b"ID3\x04").is_err());
        assert!(FrameHeader::parse(&[0xff, 0xfb, 0x5c, 0]).is_err(), "a reserved rate");
        assert!(FrameHeader::parse(&[0xff, 0xfb]).is_err());
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_refused(head: [u8; 4]) {
            let _ = FrameHeader::parse(&head);
        }
    }
}
