//! The names of codecs with their parameters, as players ask for them (RFC 6381 and each codec's own document).

use crate::bitstream::aac::AudioSpecificConfig;
use crate::bitstream::{av1, h265};
use crate::media::{Codec, Vp9Config};

/// The `codecs` parameter of a track: `avc1.64001f`, `mp4a.40.2`. `None` while the parameters are not known, or where
/// there is no name.
pub fn rfc6381(codec: &Codec) -> Option<String> {
    match codec {
        Codec::H264(config) => match config.sps.first()?.get(1..4)? {
            [profile, constraints, level] => Some(format!("avc1.{profile:02x}{constraints:02x}{level:02x}")),
            _ => None,
        },
        Codec::H265(config) => h265::Sps::parse(config.sps.first()?).ok().map(|sps| hevc(&sps.general)),
        Codec::Av1(config) => {
            let sequence = av1::SequenceHeader::parse(&config.sequence_header).ok()?;
            let tier = if sequence.tier == 0 { 'M' } else { 'H' };
            Some(format!("av01.{}.{:02}{tier}.{:02}", sequence.profile, sequence.level_idx, sequence.bit_depth))
        }
        Codec::Vp9(config) => {
            Some(format!("vp09.{:02}.{}.{:02}", config.profile, vp9_level(*config), vp9_depth(*config)))
        }
        Codec::Vp8(_) => Some("vp8".to_owned()),
        Codec::Aac(aac) => {
            let object_type = AudioSpecificConfig::parse(&aac.asc).ok()?.object_type;
            Some(format!("mp4a.40.{object_type}"))
        }
        Codec::MpegAudio(audio) if audio.layer == 3 => Some("mp4a.40.34".to_owned()),
        Codec::MpegAudio(_) => Some("mp4a.40.33".to_owned()),
        Codec::Opus(_) => Some("opus".to_owned()),
        Codec::Ac3(_) => Some("ac-3".to_owned()),
        Codec::Flac(_) => Some("fLaC".to_owned()),
        _ => None,
    }
}

/// ISO/IEC 14496-15 Annex E.
fn hevc(general: &h265::ProfileTierLevel) -> String {
    let space = ["", "A", "B", "C"][usize::from(general.profile_space & 3)];
    let compatibility = general.compatibility.reverse_bits();
    let tier = if general.high_tier { 'H' } else { 'L' };
    let mut name = format!("hvc1.{space}{}.{compatibility:x}.{tier}{}", general.profile_idc, general.level_idc);
    let used = general.constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    for byte in &general.constraints[..used] {
        name += &format!(".{byte:x}");
    }
    name
}

/// The least level for the picture's size (VP9 levels, webmproject.org), with room for 60 frames a second.
pub(super) fn vp9_level(config: Vp9Config) -> u8 {
    const SIZES: [(u64, u8); 8] = [
        (36_864, 10),
        (73_728, 11),
        (122_880, 20),
        (245_760, 21),
        (552_960, 30),
        (983_040, 31),
        (2_228_224, 41),
        (8_912_896, 51),
    ];
    let size = u64::from(config.width) * u64::from(config.height);
    SIZES.iter().find(|(most, _)| size <= *most).map_or(61, |(_, level)| *level)
}

/// Profiles 2 and 3 have 10 bits, or 12, which their headers say and nobody sends.
pub(super) const fn vp9_depth(config: Vp9Config) -> u8 {
    if config.profile >= 2 { 10 } else { 8 }
}
