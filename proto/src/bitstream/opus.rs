//! Opus: how long a packet lasts (RFC 6716 section 3) and the heads of files (RFC 7845 section 5.1).

use bytes::{BufMut, Bytes, BytesMut};

use super::BitstreamError;

/// Samples per second of Opus in RTP and in files, whatever was recorded.
pub const SAMPLE_RATE: u32 = 48_000;

/// Samples at 48 kHz in a packet, from its first two bytes; `None` when it is empty or lasts longer than the 120 ms
/// that the standard allows.
pub fn packet_samples(packet: &[u8]) -> Option<u32> {
    const SAMPLES_MAX: u32 = SAMPLE_RATE / 1000 * 120;
    let toc = *packet.first()?;
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3f),
    };
    Some(frame_samples(toc) * frames).filter(|samples| (1..=SAMPLES_MAX).contains(samples))
}

/// Samples of one frame, from the configuration number in the TOC byte (table 2).
const fn frame_samples(toc: u8) -> u32 {
    let config = toc >> 3;
    match config {
        0..=11 => [480, 960, 1920, 2880][config as usize & 3],
        12..=15 => [480, 960][config as usize & 1],
        _ => [120, 240, 480, 960][config as usize & 3],
    }
}

/// The head of an Opus stream: `OpusHead` in Ogg and Matroska, `dOps` in MP4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpusHead {
    /// Channels, never 0.
    pub channels: u8,
    /// Samples at 48 kHz to throw away at the beginning.
    pub pre_skip: u16,
    /// What was recorded, samples per second; informative.
    pub input_rate: u32,
    /// Gain in dB as Q7.8.
    pub gain: i16,
    /// Channel mapping family, and the table behind it where the family is not 0.
    pub mapping: Option<(u8, Bytes)>,
}

impl OpusHead {
    /// The usual head of `channels` channels, mono or stereo.
    pub const fn new(channels: u8) -> Self {
        Self { channels, pre_skip: 0, input_rate: SAMPLE_RATE, gain: 0, mapping: None }
    }

    /// Reads `OpusHead` with its magic bytes.
    pub fn parse_ogg(head: &Bytes) -> Result<Self, BitstreamError> {
        if !head.starts_with(b"OpusHead") {
            return Err(BitstreamError::Bad("OpusHead magic"));
        }
        let body = head.slice(8..);
        let fixed: &[u8; 11] = body.first_chunk().ok_or(BitstreamError::Ended)?;
        // The upper four bits of the version are the incompatible ones.
        if fixed[0] & 0xf0 != 0 {
            return Err(BitstreamError::Bad("OpusHead version"));
        }
        Self {
            channels: fixed[1],
            pre_skip: u16::from_le_bytes([fixed[2], fixed[3]]),
            input_rate: u32::from_le_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            gain: i16::from_le_bytes([fixed[8], fixed[9]]),
            mapping: None,
        }
        .with_mapping(fixed[10], &body)
    }

    /// Reads the data of a `dOps` box (Opus in ISOBMFF, section 4.3.2).
    pub fn parse_mp4(body: &Bytes) -> Result<Self, BitstreamError> {
        let fixed: &[u8; 11] = body.first_chunk().ok_or(BitstreamError::Ended)?;
        if fixed[0] != 0 {
            return Err(BitstreamError::Bad("dOps version"));
        }
        Self {
            channels: fixed[1],
            pre_skip: u16::from_be_bytes([fixed[2], fixed[3]]),
            input_rate: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            gain: i16::from_be_bytes([fixed[8], fixed[9]]),
            mapping: None,
        }
        .with_mapping(fixed[10], body)
    }

    fn with_mapping(mut self, family: u8, body: &Bytes) -> Result<Self, BitstreamError> {
        if self.channels == 0 {
            return Err(BitstreamError::Bad("Opus channels"));
        }
        if family != 0 {
            let table = 11..11 + 2 + usize::from(self.channels);
            body.get(table.clone()).ok_or(BitstreamError::Ended)?;
            self.mapping = Some((family, body.slice(table)));
        }
        Ok(self)
    }

    /// Writes `OpusHead` with its magic bytes.
    pub fn build_ogg(&self) -> Bytes {
        let mut head = BytesMut::with_capacity(32);
        head.put_slice(b"OpusHead");
        head.put_slice(&[1, self.channels]);
        head.put_u16_le(self.pre_skip);
        head.put_u32_le(self.input_rate);
        head.put_i16_le(self.gain);
        self.put_mapping(head)
    }

    /// Writes the data of a `dOps` box.
    pub fn build_mp4(&self) -> Bytes {
        let mut head = BytesMut::with_capacity(32);
        head.put_slice(&[0, self.channels]);
        head.put_u16(self.pre_skip);
        head.put_u32(self.input_rate);
        head.put_i16(self.gain);
        self.put_mapping(head)
    }

    fn put_mapping(&self, mut head: BytesMut) -> Bytes {
        match &self.mapping {
            None => head.put_u8(0),
            Some((family, table)) => {
                head.put_u8(*family);
                head.put_slice(table);
            }
        }
        head.freeze()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bitstream::testdata::hex;

    #[test]
    fn packets_last_what_their_toc_says() {
        assert_eq!(packet_samples(&[0xfc, 0]), Some(960), "CELT, 20 ms");
        assert_eq!(packet_samples(&[0xfd]), Some(1920), "two frames");
        assert_eq!(packet_samples(&[0x1b, 2]), Some(5760), "SILK, two frames of 60 ms");
        assert_eq!(packet_samples(&[0x1b, 3]), None, "longer than 120 ms");
        assert_eq!(packet_samples(&[0x03]), None);
        assert_eq!(packet_samples(&[]), None);
    }

    #[test]
    fn heads_of_ffmpeg_read_and_write_back() {
        let ogg = hex("4f707573486561640102380180bb0000000000");
        let mp4 = hex("000201380000bb80000000");
        let head = OpusHead::parse_ogg(&ogg).unwrap();
        assert_eq!((head.channels, head.pre_skip, head.input_rate), (2, 312, 48_000));
        assert_eq!(OpusHead::parse_mp4(&mp4).unwrap(), head);
        assert_eq!((head.build_ogg(), head.build_mp4()), (ogg, mp4));
    }

    proptest! {
        #[test]
        fn heads_round_trip(channels in 1u8.., pre_skip: u16, input_rate: u32, gain: i16, family: u8) {
            let table = Bytes::from(vec![7; 2 + usize::from(channels)]);
            let mapping = (family != 0).then_some((family, table));
            let head = OpusHead { channels, pre_skip, input_rate, gain, mapping };
            prop_assert_eq!(OpusHead::parse_ogg(&head.build_ogg()), Ok(head.clone()));
            prop_assert_eq!(OpusHead::parse_mp4(&head.build_mp4()), Ok(head));
        }
    }
}
