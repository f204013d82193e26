//! MPEG-4 AAC: AudioSpecificConfig (ISO/IEC 14496-3 section 1.6.2.1) and ADTS (section 1.A.3).

use bytes::Bytes;

use super::BitstreamError;
use crate::bits::BitReader;
use crate::limits::PARAMETER_SET_BYTES_MAX;
use crate::media::AacConfig;

/// Samples per second by index (table 1.18).
const RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// AAC LC, the object type nearly everybody uses.
pub const LOW_COMPLEXITY: u8 = 2;
const SPECTRAL_BAND_REPLICATION: u8 = 5;
const PARAMETRIC_STEREO: u8 = 29;

/// What an AudioSpecificConfig says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioSpecificConfig {
    /// `audioObjectType` of the core: 2 is AAC LC.
    pub object_type: u8,
    /// Samples per second of the core.
    pub sample_rate: u32,
    /// Channels of the core; 0 where only the stream itself says.
    pub channels: u8,
    /// Samples per second behind spectral band replication, where that is signalled.
    pub extension_rate: Option<u32>,
    /// Parametric stereo is signalled: a decoder makes two channels of one.
    pub parametric_stereo: bool,
    /// Samples of the core in an access unit and channel: 1024, 960, or 512 and 480 for low delay.
    pub frame_samples: u16,
}

impl AudioSpecificConfig {
    /// Reads a config. Signalling of SBR and PS is understood in its hierarchical and its backward compatible form.
    pub fn parse(asc: &[u8]) -> Result<Self, BitstreamError> {
        if asc.len() > PARAMETER_SET_BYTES_MAX {
            return Err(BitstreamError::Bad("AudioSpecificConfig length"));
        }
        let bits = &mut BitReader::new(asc);
        let (mut config, channel_config) = Self::read_head(bits)?;
        // What follows may be cut or unknown to us; the facts above stand.
        let _ = config.read_core(bits, channel_config);
        if config.extension_rate.is_none() {
            let _ = config.read_sync_extension(bits);
        }
        Ok(config)
    }

    /// Reads a config that other syntax follows: of AAC whose channels are not listed, else its end is not to be known.
    pub(super) fn read_exactly(bits: &mut BitReader<'_>) -> Result<Self, BitstreamError> {
        let (mut config, channel_config) = Self::read_head(bits)?;
        if channel_config == 0 || !matches!(config.object_type, 1..=4) {
            return Err(BitstreamError::Bad("audioObjectType"));
        }
        config.read_core(bits, channel_config)?;
        // GStreamer hands on what ffmpeg's encoder puts behind the core: that there is no SBR.
        let mut ahead = bits.clone();
        if config.read_sync_extension(&mut ahead) == Ok(true) {
            *bits = ahead;
        }
        Ok(config)
    }

    /// The facts up to where codecs differ, and `channelConfiguration`.
    fn read_head(bits: &mut BitReader<'_>) -> Result<(Self, u8), BitstreamError> {
        let mut object_type = read_object_type(bits)?;
        let sample_rate = read_rate(bits)?;
        let channel_config = bits.bits(4)? as u8;
        let (mut extension_rate, mut parametric_stereo) = (None, false);
        if matches!(object_type, SPECTRAL_BAND_REPLICATION | PARAMETRIC_STEREO) {
            parametric_stereo = object_type == PARAMETRIC_STEREO;
            extension_rate = Some(read_rate(bits)?);
            object_type = read_object_type(bits)?;
        }
        let config = Self {
            object_type,
            sample_rate,
            channels: channels(channel_config)?,
            extension_rate,
            parametric_stereo,
            frame_samples: 1024,
        };
        Ok((config, channel_config))
    }

    /// `GASpecificConfig` (section 4.4.1): frame length, and channels where they are listed.
    fn read_core(&mut self, bits: &mut BitReader<'_>, channel_config: u8) -> Result<(), BitstreamError> {
        const LOW_DELAY: u8 = 23;
        if !matches!(self.object_type, 1..=4 | 6 | 7 | 17 | 19..=23) {
            return Err(BitstreamError::Bad("audioObjectType"));
        }
        let short = bits.flag()?;
        self.frame_samples = match (self.object_type == LOW_DELAY, short) {
            (false, false) => 1024,
            (false, true) => 960,
            (true, false) => 512,
            (true, true) => 480,
        };
        if bits.flag()? {
            bits.skip(14)?;
        }
        let extension = bits.flag()?;
        if channel_config == 0 {
            self.channels = read_program_channels(bits)?;
        }
        if matches!(self.object_type, 6 | 20) {
            bits.skip(3)?;
        }
        if extension {
            bits.skip(if self.object_type == 22 { 16 } else { 0 })?;
            bits.skip(if matches!(self.object_type, 17 | 19 | 20 | 23) { 3 } else { 0 })?;
            bits.skip(1)?;
        }
        Ok(())
    }

    /// SBR and PS signalled behind a config that older decoders understand. Whether there is such a thing; reads to its end.
    fn read_sync_extension(&mut self, bits: &mut BitReader<'_>) -> Result<bool, BitstreamError> {
        const SYNC_SBR: u32 = 0x2b7;
        const SYNC_PS: u32 = 0x548;
        if bits.bits(11)? != SYNC_SBR || read_object_type(bits)? != SPECTRAL_BAND_REPLICATION {
            return Ok(false);
        }
        if bits.flag()? {
            self.extension_rate = Some(read_rate(bits)?);
            let mut ahead = bits.clone();
            if ahead.bits(11) == Ok(SYNC_PS) {
                self.parametric_stereo = ahead.flag()?;
                *bits = ahead;
            }
        }
        Ok(true)
    }
}

/// Writes a config of two bytes (five, where the rate is not in the table) without extensions.
pub fn build_asc(object_type: u8, sample_rate: u32, channels: u8) -> Option<Bytes> {
    let channel_config = match channels {
        1..=6 => u64::from(channels),
        8 => 7,
        _ => return None,
    };
    if object_type == 0 || object_type > 30 || sample_rate >= 1 << 24 {
        return None;
    }
    let object_type = u64::from(object_type);
    Some(match RATES.iter().position(|rate| *rate == sample_rate) {
        Some(index) => {
            let asc = object_type << 11 | (index as u64) << 7 | channel_config << 3;
            Bytes::copy_from_slice(&(asc as u16).to_be_bytes())
        }
        None => {
            let asc = object_type << 35 | 15 << 31 | u64::from(sample_rate) << 7 | channel_config << 3;
            Bytes::copy_from_slice(&asc.to_be_bytes()[3..])
        }
    })
}

/// The facts of a track from its AudioSpecificConfig.
pub fn config_from_asc(asc: Bytes) -> Result<AacConfig, BitstreamError> {
    let parsed = AudioSpecificConfig::parse(&asc)?;
    Ok(AacConfig { asc, sample_rate: parsed.sample_rate, channels: parsed.channels })
}

fn read_object_type(bits: &mut BitReader<'_>) -> Result<u8, BitstreamError> {
    const ESCAPE: u32 = 31;
    Ok(match bits.bits(5)? {
        ESCAPE => 32 + bits.bits(6)? as u8,
        object_type => object_type as u8,
    })
}

fn read_rate(bits: &mut BitReader<'_>) -> Result<u32, BitstreamError> {
    const EXPLICIT: u32 = 15;
    let rate = match bits.bits(4)? {
        EXPLICIT => bits.bits(24)?,
        index => *RATES.get(index as usize).ok_or(BitstreamError::Bad("samplingFrequencyIndex"))?,
    };
    if rate == 0 { Err(BitstreamError::Bad("samplingFrequency")) } else { Ok(rate) }
}

/// Channels by `channelConfiguration` (table 1.19).
fn channels(config: u8) -> Result<u8, BitstreamError> {
    Ok(match config {
        0..=6 => config,
        7 | 12 | 14 => 8,
        11 => 7,
        _ => return Err(BitstreamError::Bad("channelConfiguration")),
    })
}

/// Channels of a `program_config_element` (section 4.4.1.1).
fn read_program_channels(bits: &mut BitReader<'_>) -> Result<u8, BitstreamError> {
    bits.skip(4 + 2 + 4)?;
    let (front, side, back) = (bits.bits(4)?, bits.bits(4)?, bits.bits(4)?);
    let low_frequency = bits.bits(2)?;
    let (data, coupling) = (bits.bits(3)?, bits.bits(4)?);
    // Mono, stereo and matrix mixdown.
    for width in [4, 4, 3] {
        let present = bits.flag()?;
        bits.skip(if present { width } else { 0 })?;
    }
    let mut channels = low_frequency as u8;
    for _ in 0..front + side + back {
        channels += if bits.flag()? { 2 } else { 1 };
        bits.skip(4)?;
    }
    bits.skip((4 * low_frequency + 4 * data + 5 * coupling) as usize)?;
    let padding = bits.remaining() % 8;
    bits.skip(padding)?;
    let comment = bits.bits(8)?;
    bits.skip(8 * comment as usize)?;
    Ok(channels)
}

/// An ADTS header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adts {
    /// `audioObjectType`, 1 to 4.
    pub object_type: u8,
    /// Samples per second.
    pub sample_rate: u32,
    /// Channels; 0 where only the stream itself says.
    pub channels: u8,
    /// Bytes of the header: 7, or 9 with a checksum.
    pub header_len: usize,
    /// Bytes of header and access unit.
    pub frame_len: usize,
}

impl Adts {
    /// Reads the header at the beginning of `bytes`. Frames with several access units are refused: nobody sends them.
    pub fn parse(bytes: &[u8]) -> Result<Self, BitstreamError> {
        let head: &[u8; 7] = bytes.first_chunk().ok_or(BitstreamError::Ended)?;
        if head[0] != 0xff || head[1] & 0xf6 != 0xf0 {
            return Err(BitstreamError::Bad("ADTS syncword"));
        }
        let sample_rate = *RATES.get(usize::from(head[2] >> 2 & 0xf)).ok_or(BitstreamError::Bad("ADTS rate"))?;
        let header_len = if head[1] & 1 == 1 { 7 } else { 9 };
        let frame_len = usize::from(head[3] & 3) << 11 | usize::from(head[4]) << 3 | usize::from(head[5] >> 5);
        if frame_len < header_len || head[6] & 3 != 0 {
            return Err(BitstreamError::Bad("ADTS frame"));
        }
        Ok(Self {
            object_type: (head[2] >> 6) + 1,
            sample_rate,
            channels: channels((head[2] & 1) << 2 | head[3] >> 6)?,
            header_len,
            frame_len,
        })
    }

    /// Writes the header before an access unit of `unit_len` bytes; `None` where ADTS cannot say it.
    pub fn build(object_type: u8, sample_rate: u32, channels: u8, unit_len: usize) -> Option<[u8; 7]> {
        let rate = RATES.iter().position(|rate| *rate == sample_rate)? as u8;
        let channels = if channels == 8 { 7 } else { channels };
        let len = u16::try_from(unit_len + 7).ok()?;
        if !(1..=4).contains(&object_type) || channels > 7 || len >= 1 << 13 {
            return None;
        }
        let profile = (object_type - 1) << 6 | rate << 2 | channels >> 2;
        Some([0xff, 0xf1, profile, channels << 6 | (len >> 11) as u8, (len >> 3) as u8, (len << 5) as u8 | 0x1f, 0xfc])
    }
}

#[cfg(test)]
#[path = "aac_tests.rs"]
mod tests;
