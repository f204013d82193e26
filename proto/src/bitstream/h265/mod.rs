//! ITU-T H.265: NAL units, sequence parameter sets, configuration record.

mod hvcc;
mod sps;

pub use hvcc::{HvcC, build_hvcc, parse_hvcc};
pub use sps::{ProfileTierLevel, Sps};

use super::nal::unescape_prefix;
use crate::bits::BitReader;

/// The type of a NAL unit, from its first byte (section 7.3.1.2).
pub const fn nal_type(header: u8) -> u8 {
    header >> 1 & 0x3f
}

/// `nuh_layer_id`, from both bytes of the header.
pub const fn layer_id(header: [u8; 2]) -> u8 {
    (header[0] & 1) << 5 | header[1] >> 3
}

/// `TemporalId`, from the second byte of the header. A forbidden 0 in the header counts as 0.
pub const fn temporal_id(header: [u8; 2]) -> u8 {
    (header[1] & 7).saturating_sub(1)
}

/// NAL unit types (table 7-1).
pub mod nal {
    /// The last type of sub-layer non-reference pictures; those are the even ones up to here.
    pub const SUB_LAYER_NON_REFERENCE_LAST: u8 = 14;
    /// First of the pictures that decoding may start with (BLA).
    pub const IRAP_FIRST: u8 = 16;
    /// An IDR picture with leading pictures.
    pub const IDR_W_RADL: u8 = 19;
    /// A clean random access picture.
    pub const CRA: u8 = 21;
    /// Last of the types of such pictures.
    pub const IRAP_LAST: u8 = 23;
    /// Last of the types of slices.
    pub const SLICE_LAST: u8 = 31;
    /// Video parameter set.
    pub const VPS: u8 = 32;
    /// Sequence parameter set.
    pub const SPS: u8 = 33;
    /// Picture parameter set.
    pub const PPS: u8 = 34;
    /// Access unit delimiter.
    pub const AUD: u8 = 35;
    /// End of sequence.
    pub const END_OF_SEQUENCE: u8 = 36;
    /// End of bitstream.
    pub const END_OF_BITSTREAM: u8 = 37;
    /// Filler data.
    pub const FILLER: u8 = 38;
    /// Supplemental enhancement information before the picture.
    pub const PREFIX_SEI: u8 = 39;
    /// First of the types that RTP uses for itself (RFC 7798 section 4.4).
    pub const RTP: u8 = 48;
}

/// `vps_video_parameter_set_id` (section 7.3.2.1), 0 to 15.
pub fn vps_id(vps: &[u8]) -> Option<u32> {
    vps.get(2).map(|byte| u32::from(byte >> 4))
}

/// `sps_seq_parameter_set_id` (section 7.3.2.2), 0 to 15.
pub fn sps_id(sps: &[u8]) -> Option<u32> {
    /// Header of the set, profile, tier and level of seven sub-layers, and the number itself.
    const PREFIX: usize = 1 + 12 + 2 + 6 * 12 + 8;
    let prefix: [u8; PREFIX] = unescape_prefix(sps.get(2..)?);
    let mut bits = BitReader::new(&prefix);
    bits.skip(4).ok()?;
    let sub_layers_minus1 = bits.bits(3).ok()?;
    bits.skip(1).ok()?;
    ProfileTierLevel::read(&mut bits, sub_layers_minus1).ok()?;
    bits.ue().ok().filter(|id| *id < 16)
}

/// `pps_pic_parameter_set_id` (section 7.3.2.3), 0 to 63.
pub fn pps_id(pps: &[u8]) -> Option<u32> {
    let prefix: [u8; 8] = unescape_prefix(pps.get(2..)?);
    BitReader::new(&prefix).ue().ok().filter(|id| *id < 64)
}

/// The highest `TemporalId` that a sequence may use, from its SPS (section 7.3.2.2).
pub fn highest_temporal_id(sps: &[u8]) -> Option<u8> {
    sps.get(2).map(|byte| byte >> 1 & 7)
}

/// What people call a profile (Annex A); `None` where it has no name.
pub fn profile_name(profile_idc: u8) -> Option<&'static str> {
    Some(match profile_idc {
        1 => "Main",
        2 => "Main 10",
        3 => "Main Still Picture",
        4 => "Range Extensions",
        5 => "High Throughput",
        6 => "Multiview Main",
        7 => "Scalable Main",
        8 => "3D Main",
        9 => "Screen Content Coding Extensions",
        10 => "Scalable Range Extensions",
        _ => return None,
    })
}

/// A level as people write it: 120 is `4`, 123 is `4.1`.
pub fn level_name(level_idc: u8) -> String {
    match (level_idc / 30, level_idc % 30 / 3) {
        (major, 0) => major.to_string(),
        (major, minor) => format!("{major}.{minor}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitstream::testdata::*;

    #[test]
    fn ids_of_real_sets() {
        assert_eq!(vps_id(&hex(H265_VPS_MAIN)), Some(0));
        assert_eq!(sps_id(&hex(H265_SPS_MAIN)), Some(0));
        assert_eq!(pps_id(&hex(H265_PPS_MAIN)), Some(0));
        assert_eq!(highest_temporal_id(&hex(H265_SPS_MAIN)), Some(0));
    }

    #[test]
    fn headers_of_two_bytes() {
        assert_eq!((nal_type(0x42), layer_id([0x43, 0x0a]), temporal_id([0x42, 0x03])), (33, 33, 2));
    }

    #[test]
    fn levels_as_people_write_them() {
        assert_eq!([level_name(120), level_name(123), level_name(93)], ["4", "4.1", "3.1"]);
    }
}
