//! VP8: the frame header (RFC 6386 section 9.1).

use crate::media::Vp8Config;

/// Bytes of a frame that [`keyframe`] wants to see.
pub const HEAD: usize = 10;

/// Whether the frame depends on no other: the lowest bit of the frame tag is 0.
pub const fn is_keyframe(first: u8) -> bool {
    first & 1 == 0
}

/// The size of the picture, from the head of a keyframe; `None` for other frames.
pub fn keyframe(head: &[u8]) -> Option<Vp8Config> {
    let head: &[u8; HEAD] = head.first_chunk()?;
    if !is_keyframe(head[0]) || head[3..6] != [0x9d, 0x01, 0x2a] {
        return None;
    }
    // The two highest bits scale the picture for display only.
    let size = |low: u8, high: u8| u16::from_le_bytes([low, high]) & 0x3fff;
    Some(Vp8Config { width: size(head[6], head[7]), height: size(head[8], head[9]) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitstream::testdata::*;

    #[test]
    fn frames_of_libvpx() {
        assert_eq!(keyframe(&hex(VP8_KEY)), Some(Vp8Config { width: 640, height: 360 }));
        assert_eq!(keyframe(&hex(VP8_DELTA)), None);
        assert_eq!(keyframe(&hex(VP8_KEY)[..9]), None);
    }
}
