//! ITU-T G.711: one byte a sample.

use crate::media::{AudioLayout, G711Law};

/// Bytes of one sample of every channel; never zero.
pub const fn sample_bytes(layout: AudioLayout) -> usize {
    if layout.channels == 0 { 1 } else { layout.channels as usize }
}

/// The byte that is silence.
pub const fn silence(law: G711Law) -> u8 {
    match law {
        G711Law::A => 0xd5,
        G711Law::Mu => 0xff,
    }
}

/// The static payload type, where rate and channels are those of RFC 3551 section 6.
pub const fn payload_type(law: G711Law, layout: AudioLayout) -> Option<u8> {
    match (law, layout.sample_rate, layout.channels) {
        (G711Law::Mu, 8000, 1) => Some(0),
        (G711Law::A, 8000, 1) => Some(8),
        _ => None,
    }
}
