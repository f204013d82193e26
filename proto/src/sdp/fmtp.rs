//! Format parameters (RFC 8866 section 6.15) and the binary values inside them.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

use crate::bits::BitReader;
use crate::limits::PARAMETER_SET_BYTES_MAX;

/// `name=value` pairs between semicolons.
#[derive(Clone, Copy)]
pub(super) struct Fmtp<'a>(pub(super) &'a str);

impl<'a> Fmtp<'a> {
    /// The value of a parameter; names compare without case.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.split(';').find_map(|part| {
            let (key, value) = part.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then_some(value.trim().trim_matches('"'))
        })
    }

    /// The value of a parameter as a number.
    pub(super) fn number<T: core::str::FromStr>(&self, name: &str) -> Option<T> {
        self.get(name)?.parse().ok()
    }

    /// The NAL units of a parameter, base64 between commas (RFC 6184 section 8.1). What does not decode is left out.
    pub(super) fn parameter_sets(&self, name: &str) -> Vec<Bytes> {
        let value = self.get(name).unwrap_or_default();
        value.split(',').filter_map(parameter_set).take(PARAMETER_SETS_MAX).collect()
    }
}

fn parameter_set(base64: &str) -> Option<Bytes> {
    let base64 = base64.trim();
    if base64.len() / 4 * 3 > PARAMETER_SET_BYTES_MAX {
        return None;
    }
    let mut bytes = Bytes::from(BASE64.decode(base64).ok()?);
    // Some cameras put a start code before the NAL unit.
    for start_code in [&[0, 0, 0, 1][..], &[0, 0, 1]] {
        if bytes.starts_with(start_code) {
            bytes = bytes.slice(start_code.len()..);
        }
    }
    (!bytes.is_empty() && bytes.len() <= PARAMETER_SET_BYTES_MAX).then_some(bytes)
}

/// NAL units as a parameter's value.
pub(super) fn join_parameter_sets<'a>(sets: impl IntoIterator<Item = &'a Bytes>) -> String {
    sets.into_iter().map(|set| BASE64.encode(set)).collect::<Vec<_>>().join(",")
}

/// Bytes from hexadecimal digits.
pub(super) fn from_hex(text: &str) -> Option<Bytes> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    (rest.is_empty() && !pairs.is_empty() && pairs.len() <= CONFIG_BYTES_MAX)
        .then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// Bytes as hexadecimal digits.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    use core::fmt::Write;
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Sample rate and channels of an AudioSpecificConfig (ISO/IEC 14496-3 section 1.6.2.1), those of the core.
/// Zero channels stand for a layout given further on.
pub(super) fn audio_specific_config(asc: &[u8]) -> Option<(u32, u8)> {
    let mut bits = BitReader::new(asc);
    if bits.bits(5).ok()? == AOT_ESCAPE {
        bits.skip(6).ok()?;
    }
    let rate = match bits.bits(4).ok()? {
        FREQUENCY_ESCAPE => bits.bits(24).ok()?,
        index => *FREQUENCIES.get(index as usize)?,
    };
    let channels = match bits.bits(4).ok()? as u8 {
        channels @ 0..=6 => channels,
        7 => 8,
        11 => 7,
        12 | 14 => 8,
        _ => return None,
    };
    (rate > 0).then_some((rate, channels))
}

/// Audio object type 31 says that six more bits follow.
const AOT_ESCAPE: u32 = 31;
/// Frequency index 15 says that 24 bits of frequency follow.
const FREQUENCY_ESCAPE: u32 = 15;
/// ISO/IEC 14496-3 table 1.18.
const FREQUENCIES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// Sets of one kind. H.264 allows 32 SPS and 256 PPS; nobody signals more than a few.
const PARAMETER_SETS_MAX: usize = 32;
/// The longest AudioSpecificConfig, with a program config element, is below 300 bytes.
const CONFIG_BYTES_MAX: usize = 512;

/// Cameras leave out the padding or the last bits' zeros.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_without_case_and_with_odd_spacing() {
        let fmtp = Fmtp("Packetization-Mode=1;sprop-parameter-sets = Z0I=,aM4 ; config=\"1210\"; flag");
        assert_eq!(fmtp.number("packetization-mode"), Some(1));
        assert_eq!(fmtp.parameter_sets("sprop-parameter-sets"), [&[0x67, 0x42][..], &[0x68, 0xce]]);
        assert_eq!(fmtp.get("CONFIG"), Some("1210"));
        assert_eq!(fmtp.get("flag"), None);
    }

    #[test]
    fn broken_parameter_sets_are_left_out_and_start_codes_cut() {
        let long = "A".repeat(PARAMETER_SET_BYTES_MAX * 2);
        let value = format!("x=!!!,,{long},AAAAAWdC");
        assert_eq!(Fmtp(&value).parameter_sets("x"), [&[0x67, 0x42][..]]);
    }

    #[test]
    fn audio_configs_tell_rate_and_channels_of_the_core() {
        let read = |hex: &str| audio_specific_config(&from_hex(hex).unwrap());
        assert_eq!(read("1210"), Some((44_100, 2)));
        assert_eq!(read("1190"), Some((48_000, 2)));
        assert_eq!(read("2b8a0800"), Some((22_050, 1)), "HE-AAC: explicit SBR of 44.1 kHz");
        assert_eq!(read("12"), None);
        assert_eq!(from_hex("121"), None);
        assert_eq!(from_hex("12zz"), None);
    }
}
