//! Linear PCM, big-endian (RFC 3551 section 4.5.11, RFC 3190).

use crate::media::LpcmConfig;

/// Bytes of one sample of every channel; never zero.
pub const fn sample_bytes(config: &LpcmConfig) -> usize {
    let bytes = (config.bit_depth as usize).div_ceil(8) * config.channels as usize;
    if bytes == 0 { 1 } else { bytes }
}

/// The static payload type, where the format is that of RFC 3551 section 6.
pub const fn payload_type(config: &LpcmConfig) -> Option<u8> {
    match (config.bit_depth, config.sample_rate, config.channels) {
        (16, 44_100, 2) => Some(10),
        (16, 44_100, 1) => Some(11),
        _ => None,
    }
}
