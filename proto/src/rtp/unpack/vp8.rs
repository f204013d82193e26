//! VP8 (RFC 7741). A frame begins where the descriptor says so (S set, partition 0), which also tells after a loss whether
//! its head is there.

use super::assembler::Assembler;
use super::{UnpackReason, Unpacked};
use crate::rtp::Ordered;

#[derive(Debug, Default)]
pub(super) struct Vp8 {
    unit: Assembler,
}

impl Vp8 {
    pub(super) fn push(
        &mut self,
        ordered: &Ordered,
        ticks: i64,
        out: &mut impl FnMut(Unpacked),
    ) -> Result<(), UnpackReason> {
        self.unit.begin(ordered, ticks, out);
        let pushed = self.push_payload(ordered);
        if ordered.packet.marker {
            self.unit.end(true, out);
        }
        pushed
    }

    pub(super) const fn dropped(&mut self) -> &mut u32 {
        self.unit.dropped()
    }

    fn push_payload(&mut self, ordered: &Ordered) -> Result<(), UnpackReason> {
        let payload = &ordered.packet.payload;
        if payload.is_empty() {
            return Ok(());
        }
        let Some(length) = descriptor_bytes(payload).filter(|length| *length < payload.len()) else {
            return self.unit.refuse(UnpackReason::Truncated);
        };
        let starts = payload[0] & 0x17 == 0x10;
        if self.unit.is_empty() && !starts {
            return self.unit.refuse_headless();
        }
        self.unit.push_fragment(payload.slice(length..))
    }
}

/// Bytes of the payload descriptor (RFC 7741 section 4.2).
fn descriptor_bytes(payload: &[u8]) -> Option<usize> {
    let first = payload.first()?;
    if first & EXTENDED == 0 {
        return Some(1);
    }
    let flags = payload.get(1)?;
    let mut length = 2;
    if flags & PICTURE_ID != 0 {
        // The first bit says whether the picture id has 15 bits or 7.
        length += if payload.get(length)? & 0x80 != 0 { 2 } else { 1 };
    }
    length += usize::from(flags & LEVEL != 0);
    length += usize::from(flags & (TEMPORAL | KEY_INDEX) != 0);
    Some(length)
}

const EXTENDED: u8 = 0x80;
const PICTURE_ID: u8 = 0x80;
const LEVEL: u8 = 0x40;
const TEMPORAL: u8 = 0x20;
const KEY_INDEX: u8 = 0x10;

#[cfg(test)]
mod tests {
    use super::super::tests::{Feed, video};
    use super::*;
    use crate::media::{Codec, Vp8Config};
    use crate::rtp::golden::Golden;

    fn codec() -> Codec {
        Codec::Vp8(Vp8Config::default())
    }

    #[test]
    fn real_senders_are_unpacked_to_the_frames_of_their_file() {
        for text in [include_str!("../testdata/vp8_ffmpeg.hex"), include_str!("../testdata/vp8_gstreamer.hex")] {
            Golden::parse(text).check(&mut video(&codec()));
            Golden::parse(text).check_each_loss(|| video(&codec()), |_| false);
        }
    }

    #[test]
    fn descriptors_have_all_their_lengths() {
        for (length, descriptor) in [
            (1, &[0x10][..]),
            (3, &[0x90, 0x80, 0x11]),
            (4, &[0x90, 0x80, 0x91, 0x11]),
            (6, &[0x90, 0xf0, 0x91, 0x11, 1, 2]),
            (4, &[0x90, 0x60, 1, 2]),
            (3, &[0x90, 0x10, 1]),
        ] {
            assert_eq!(descriptor_bytes(descriptor), Some(length));
        }
        assert_eq!(descriptor_bytes(&[0x90]), None);
        assert_eq!(descriptor_bytes(&[0x90, 0x80]), None);
    }

    #[test]
    fn a_frame_joined_in_the_middle_is_dropped_without_error() {
        let mut feed = Feed::new(video(&codec()));
        feed.push(1, 0, true, &[0x00, 1]);
        feed.push(2, 90, true, &[0x10, 2]);
        feed.push(3, 180, true, &[0x00, 3]);
        assert_eq!(feed.take(), [(90, vec![vec![2]])]);
        assert_eq!(feed.errors, [UnpackReason::FragmentWithoutStart]);
        assert_eq!(feed.unpacker.take_dropped(), 2);
    }
}
