//! LATM (ISO/IEC 14496-3 section 1.7.3): AAC access units out of `AudioMuxElement`s.
//!
//! One program of one layer, as everybody sends it; more than one access unit in an element is understood.

use bytes::Bytes;

use super::BitstreamError;
use super::aac::{AudioSpecificConfig, config_from_asc};
use crate::bits::BitReader;
use crate::limits::PARAMETER_SET_BYTES_MAX;
use crate::media::{AacConfig, OpaqueConfig};

/// What a `StreamMuxConfig` says (table 1.42).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamMuxConfig {
    /// The AAC inside.
    pub aac: AacConfig,
    /// Access units in an element, 1 to 64.
    pub access_units: u8,
    /// Bits of other data at the end of an element.
    other_data_bits: u32,
}

impl StreamMuxConfig {
    /// Reads a configuration that stands alone, as the `config` of an SDP.
    ///
    /// # Errors
    /// When it ends early, or describes what we have no use for: several programs or layers, other codecs than AAC.
    pub fn parse(bytes: &[u8]) -> Result<Self, BitstreamError> {
        Self::read(&mut BitReader::new(bytes), true)
    }

    /// `alone`: nothing follows. GStreamer leaves out what then stands behind the `AudioSpecificConfig`.
    fn read(bits: &mut BitReader<'_>, alone: bool) -> Result<Self, BitstreamError> {
        let version = bits.bits(1)?;
        if version == 1 {
            if bits.flag()? {
                return Err(BitstreamError::Bad("audioMuxVersionA"));
            }
            // taraBufferFullness
            read_value(bits)?;
        }
        if !bits.flag()? {
            return Err(BitstreamError::Bad("allStreamsSameTimeFraming"));
        }
        let access_units = bits.bits(6)? as u8 + 1;
        if bits.bits(4 + 3)? != 0 {
            return Err(BitstreamError::Bad("numProgram or numLayer"));
        }
        let asc_bits = match version {
            0 => core_bits(bits)?,
            _ => read_value(bits)? as usize,
        };
        let aac = config_from_asc(read_bits(bits, asc_bits)?)?;
        if alone && bits.remaining() < TAIL_BITS {
            return Ok(Self { aac, access_units, other_data_bits: 0 });
        }
        // frameLengthType: only elements that say their length are in use. Then latmBufferFullness.
        if bits.bits(3)? != 0 {
            return Err(BitstreamError::Bad("frameLengthType"));
        }
        bits.skip(8)?;
        let other_data_bits = match (bits.flag()?, version) {
            (false, _) => 0,
            (true, 0) => read_other_length(bits)?,
            (true, _) => read_value(bits)?,
        };
        if bits.flag()? {
            bits.skip(8)?;
        }
        Ok(Self { aac, access_units, other_data_bits })
    }
}

/// `frameLengthType`, `latmBufferFullness`, `otherDataPresent` and `crcCheckPresent`.
const TAIL_BITS: usize = 3 + 8 + 1 + 1;

/// Takes the access units out of an `AudioMuxElement` (table 1.41).
///
/// With `in_band` (`muxConfigPresent`) the element may bring a configuration, which replaces `config`.
///
/// # Errors
/// When the element is cut, or there is no configuration for it.
pub fn access_units(
    config: &mut Option<StreamMuxConfig>,
    in_band: bool,
    element: &Bytes,
) -> Result<Vec<Bytes>, BitstreamError> {
    let bits = &mut BitReader::new(element);
    if in_band && !bits.flag()? {
        *config = Some(StreamMuxConfig::read(bits, false)?);
    }
    let config = config.as_ref().ok_or(BitstreamError::Bad("StreamMuxConfig"))?;
    let mut units = Vec::with_capacity(config.access_units.into());
    for _ in 0..config.access_units {
        let mut length = 0;
        loop {
            let more = bits.bits(8)?;
            length += more as usize;
            if more != 255 {
                break;
            }
        }
        units.push(read_payload(bits, element, length)?);
    }
    bits.skip(config.other_data_bits as usize)?;
    Ok(units)
}

/// The name of tracks that come so (RFC 6416).
pub const LABEL: &str = "MPEG-4 Audio LATM";

/// Whether the stream itself brings its configuration (`cpresent`); it does where nothing is said.
pub fn is_configured_in_band(opaque: &OpaqueConfig) -> bool {
    opaque.label == LABEL && opaque.parameter("cpresent") != Some("0")
}

/// The configuration that stands in an `AudioMuxElement`, as bytes of its own. Only an element that is whole and nothing
/// else is believed: a fragment of one may look like anything.
pub fn in_band(element: &Bytes) -> Option<Bytes> {
    let mut bits = BitReader::new(element);
    if bits.flag().ok()? {
        return None;
    }
    let mut from = bits.clone();
    StreamMuxConfig::read(&mut bits, false).ok()?;
    let length = from.remaining() - bits.remaining();
    let config = shifted(&mut from, length).ok()?;
    let mut seen = None;
    let units = access_units(&mut seen, true, element).ok()?;
    let lengths: usize = units.iter().map(|unit| (unit.len() / 255 + 1 + unit.len()) * 8).sum();
    let rest = bits.remaining().checked_sub(lengths + seen?.other_data_bits as usize)?;
    (rest < 8).then_some(config)
}

/// A payload: shared where it begins with a byte, else shifted.
fn read_payload(bits: &mut BitReader<'_>, element: &Bytes, length: usize) -> Result<Bytes, BitstreamError> {
    let left = bits.remaining();
    if left.is_multiple_of(8) {
        bits.skip(length * 8)?;
        let start = element.len() - left / 8;
        return Ok(element.slice(start..start + length));
    }
    shifted(bits, length * 8)
}

/// Bits as bytes of their own, zeros behind the last. There are so many, or nothing is read.
fn shifted(bits: &mut BitReader<'_>, count: usize) -> Result<Bytes, BitstreamError> {
    if bits.remaining() < count {
        return Err(BitstreamError::Ended);
    }
    let mut bytes = Vec::with_capacity(count.div_ceil(8));
    for _ in 0..count / 8 {
        bytes.push(bits.bits(8)? as u8);
    }
    let rest = (count % 8) as u32;
    if rest > 0 {
        bytes.push((bits.bits(rest)? << (8 - rest)) as u8);
    }
    Ok(bytes.into())
}

fn read_bits(bits: &mut BitReader<'_>, count: usize) -> Result<Bytes, BitstreamError> {
    if count > PARAMETER_SET_BYTES_MAX * 8 {
        return Err(BitstreamError::Bad("AudioSpecificConfig length"));
    }
    shifted(bits, count)
}

/// Version 0 does not say how long the `AudioSpecificConfig` is: it must be understood to the end.
fn core_bits(bits: &BitReader<'_>) -> Result<usize, BitstreamError> {
    let mut ahead = bits.clone();
    AudioSpecificConfig::read_exactly(&mut ahead)?;
    Ok(bits.remaining() - ahead.remaining())
}

/// `LatmGetValue` (table 1.43): how many bytes follow less one, then the bytes.
fn read_value(bits: &mut BitReader<'_>) -> Result<u32, BitstreamError> {
    let bytes = bits.bits(2)? + 1;
    Ok(bits.bits(bytes * 8)?)
}

/// `otherDataLenBits` of version 0: bytes, each with a flag before it whether another follows.
fn read_other_length(bits: &mut BitReader<'_>) -> Result<u32, BitstreamError> {
    const BYTES_MAX: u32 = 3;
    let mut length = 0;
    for _ in 0..BYTES_MAX {
        let more = bits.flag()?;
        length = length << 8 | bits.bits(8)?;
        if !more {
            return Ok(length);
        }
    }
    Err(BitstreamError::Bad("otherDataLenBits"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitstream::testdata::hex;

    /// What ffmpeg 5.1 writes for AAC LC of one channel at 44,100 Hz.
    const FFMPEG: &str = "400024103fc0";

    #[test]
    fn the_configuration_of_ffmpeg_holds_the_one_of_aac() {
        let config = StreamMuxConfig::parse(&hex(FFMPEG)).unwrap();
        assert_eq!((config.aac.sample_rate, config.aac.channels, config.access_units), (44_100, 1, 1));
        assert_eq!(config.aac.asc[..], [0x12, 0x08]);
    }

    #[test]
    fn the_configuration_of_gstreamer_ends_with_the_one_of_aac() {
        // What rtpmp4apay makes of ffmpeg's 1188 56e500: AAC LC of one channel at 48,000 Hz, and no SBR.
        let config = StreamMuxConfig::parse(&hex("40002310adca00")).unwrap();
        assert_eq!((config.aac.sample_rate, config.aac.channels, config.access_units), (48_000, 1, 1));
        assert_eq!(config.aac.asc[..2], [0x11, 0x88]);
        let units = access_units(&mut Some(config), false, &Bytes::from_static(&[2, 7, 8])).unwrap();
        assert_eq!(units, [&[7, 8][..]]);
    }

    #[test]
    fn elements_hold_as_many_access_units_as_the_configuration_says() {
        // numSubFrames 1.
        let config = StreamMuxConfig::parse(&hex("410024103fc0")).unwrap();
        let units = access_units(&mut Some(config), false, &Bytes::from_static(&[2, 7, 8, 1, 9])).unwrap();
        assert_eq!(units, [&[7, 8][..], &[9]]);
    }

    #[test]
    fn long_access_units_have_their_length_in_steps() {
        let element = Bytes::from([&[255, 1][..], &[5; 256]].concat());
        let config = StreamMuxConfig::parse(&hex(FFMPEG)).unwrap();
        let units = access_units(&mut Some(config.clone()), false, &element).unwrap();
        assert_eq!(units[0][..], [5; 256]);
        let cut = element.slice(..257);
        assert_eq!(access_units(&mut Some(config), false, &cut), Err(BitstreamError::Ended));
    }

    #[test]
    fn a_configuration_in_the_element_holds_until_the_next() {
        // useSameStreamMux 0, the 44 bits of the configuration, one byte of length, two of payload.
        let same = u128::from_str_radix(FFMPEG, 16).unwrap() >> 4;
        let bits = (same << 24 | 0x02_aa_bb) << (128 - 1 - 44 - 24);
        let mut config = None;
        let first = Bytes::copy_from_slice(&bits.to_be_bytes()[..9]);
        assert_eq!(access_units(&mut config, true, &first).unwrap(), [&[0xaa, 0xbb][..]]);
        assert_eq!(config, StreamMuxConfig::parse(&hex(FFMPEG)).ok());
        // useSameStreamMux 1.
        let next = Bytes::from_static(&[0x80, 0x81, 0x80]);
        assert_eq!(access_units(&mut config, true, &next).unwrap(), [&[3][..]]);
        assert!(access_units(&mut None, true, &next).is_err());
    }

    #[test]
    fn a_configuration_is_found_in_whole_elements_only() {
        let same = u128::from_str_radix(FFMPEG, 16).unwrap() >> 4;
        let bits = (same << 24 | 0x02_aa_bb) << (128 - 1 - 44 - 24);
        let element = Bytes::copy_from_slice(&bits.to_be_bytes()[..9]);
        let config = in_band(&element).unwrap();
        assert_eq!(StreamMuxConfig::parse(&config), StreamMuxConfig::parse(&hex(FFMPEG)));
        for other in [element.slice(..8), [&element[..], &[0]].concat().into(), Bytes::from_static(&[0x80, 0x81, 0x80])]
        {
            assert_eq!(in_band(&other), None);
        }
    }

    #[test]
    fn version_1_says_how_long_its_configuration_is() {
        // audioMuxVersion 1, taraBufferFullness 0, one of everything, 16 bits of configuration.
        let config = StreamMuxConfig::parse(&hex("80080001012081fe00")).unwrap();
        assert_eq!((&config.aac.asc[..], config.aac.sample_rate), (&[0x12, 0x08][..], 44_100));
    }

    #[test]
    fn what_is_not_one_program_of_one_layer_is_refused() {
        for other in ["000024103fc0", "402024103fc0", "400424103fc0", "c00024103fc0", "4000", ""] {
            assert!(StreamMuxConfig::parse(&hex(other)).is_err(), "{other}");
        }
    }
}
