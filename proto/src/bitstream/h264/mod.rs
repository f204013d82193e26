//! ITU-T H.264: NAL units, sequence parameter sets, configuration record.

mod avcc;
mod sps;

pub use avcc::{AvcC, build_avcc, parse_avcc};
pub use sps::Sps;

use super::nal::unescape_prefix;
use crate::bits::BitReader;

/// The type of a NAL unit, from its first byte (section 7.3.1).
pub const fn nal_type(header: u8) -> u8 {
    header & 0x1f
}

/// Whether other pictures may refer to this NAL unit: `nal_ref_idc` is not 0 (section 7.4.1).
pub const fn is_referenced(header: u8) -> bool {
    header & 0x60 != 0
}

/// NAL unit types (table 7-1).
pub mod nal {
    /// Slice of a picture that is not IDR.
    pub const SLICE: u8 = 1;
    /// Data partition C of a slice, the last of three.
    pub const PARTITION_C: u8 = 4;
    /// Slice of an IDR picture.
    pub const IDR: u8 = 5;
    /// Supplemental enhancement information.
    pub const SEI: u8 = 6;
    /// Sequence parameter set.
    pub const SPS: u8 = 7;
    /// Picture parameter set.
    pub const PPS: u8 = 8;
    /// Access unit delimiter.
    pub const AUD: u8 = 9;
    /// End of sequence.
    pub const END_OF_SEQUENCE: u8 = 10;
    /// End of stream.
    pub const END_OF_STREAM: u8 = 11;
    /// Filler data.
    pub const FILLER: u8 = 12;
    /// First of the types that RTP uses for itself (RFC 6184 section 5.2).
    pub const RTP: u8 = 24;
}

/// `seq_parameter_set_id` of an SPS (section 7.3.2.1.1), 0 to 31.
pub fn sps_id(sps: &[u8]) -> Option<u32> {
    let prefix: [u8; 16] = unescape_prefix(sps.get(4..)?);
    BitReader::new(&prefix).ue().ok().filter(|id| *id < 32)
}

/// `pic_parameter_set_id` of a PPS (section 7.3.2.2), 0 to 255.
pub fn pps_id(pps: &[u8]) -> Option<u32> {
    let prefix: [u8; 16] = unescape_prefix(pps.get(1..)?);
    BitReader::new(&prefix).ue().ok().filter(|id| *id < 256)
}

/// What people call a profile (Annex A); the number where it has no name.
pub fn profile_name(profile_idc: u8) -> Option<&'static str> {
    Some(match profile_idc {
        44 => "CAVLC 4:4:4 Intra",
        66 => "Baseline",
        77 => "Main",
        88 => "Extended",
        100 => "High",
        110 => "High 10",
        122 => "High 4:2:2",
        244 => "High 4:4:4 Predictive",
        _ => return None,
    })
}

/// A level as people write it: 40 is `4`, 41 is `4.1`.
pub fn level_name(level_idc: u8) -> String {
    match (level_idc / 10, level_idc % 10) {
        (major, 0) => major.to_string(),
        (major, minor) => format!("{major}.{minor}"),
    }
}
