//! VP9 (RFC 9628). The layer frames of one picture, if there are several, go out joined as one frame, as decoders take
//! them. A picture begins with a beginning layer frame (B set) that is the lowest there is, which also tells after a loss
//! whether its head is there.

use super::assembler::Assembler;
use super::{UnpackReason, Unpacked};
use crate::rtp::Ordered;

#[derive(Debug, Default)]
pub(super) struct Vp9 {
    unit: Assembler,
}

/// What the payload descriptor says (RFC 9628 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Descriptor {
    bytes: usize,
    /// The packet begins a picture.
    starts: bool,
}

impl Vp9 {
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
        let Some(descriptor) = read_descriptor(payload).filter(|descriptor| descriptor.bytes < payload.len()) else {
            return self.unit.refuse(UnpackReason::Truncated);
        };
        if self.unit.is_empty() && !descriptor.starts {
            return self.unit.refuse_headless();
        }
        self.unit.push_fragment(payload.slice(descriptor.bytes..))
    }
}

fn read_descriptor(payload: &[u8]) -> Option<Descriptor> {
    let flags = *payload.first()?;
    let mut bytes = 1;
    if flags & PICTURE_ID != 0 {
        bytes += if payload.get(bytes)? & 0x80 != 0 { 2 } else { 1 };
    }
    let mut depends = false;
    if flags & LAYERS != 0 {
        // TID 3 bits, U, SID 3 bits, D. A layer that is not the lowest, or builds on a lower one, begins no picture.
        let layers = payload.get(bytes)?;
        depends = layers & 0x0e != 0 || layers & 0x01 != 0;
        bytes += if flags & FLEXIBLE == 0 { 2 } else { 1 };
    }
    if flags & FLEXIBLE != 0 && flags & INTER != 0 {
        bytes += reference_bytes(payload.get(bytes..)?)?;
    }
    if flags & STRUCTURE != 0 {
        bytes += structure_bytes(payload.get(bytes..)?)?;
    }
    Some(Descriptor { bytes, starts: flags & BEGINS != 0 && !depends })
}

/// Up to three P_DIFF, each saying whether another follows.
fn reference_bytes(bytes: &[u8]) -> Option<usize> {
    for at in 0..3 {
        if bytes.get(at)? & 1 == 0 {
            return Some(at + 1);
        }
    }
    Some(3)
}

/// The scalability structure (RFC 9628 section 4.2.1).
fn structure_bytes(bytes: &[u8]) -> Option<usize> {
    let head = bytes.first()?;
    let mut length = 1;
    if head & 0x10 != 0 {
        length += 4 * (usize::from(head >> 5) + 1);
    }
    if head & 0x08 != 0 {
        let pictures = *bytes.get(length)?;
        length += 1;
        for _ in 0..pictures {
            length += 1 + usize::from(bytes.get(length)? >> 2 & 3);
        }
    }
    Some(length)
}

const PICTURE_ID: u8 = 0x80;
const INTER: u8 = 0x40;
const LAYERS: u8 = 0x20;
const FLEXIBLE: u8 = 0x10;
const BEGINS: u8 = 0x08;
const STRUCTURE: u8 = 0x02;

#[cfg(test)]
mod tests {
    use super::super::tests::{Feed, video};
    use super::*;
    use crate::media::{Codec, Vp9Config};
    use crate::rtp::golden::Golden;

    fn codec() -> Codec {
        Codec::Vp9(Vp9Config::default())
    }

    #[test]
    fn real_senders_are_unpacked_to_the_frames_of_their_file() {
        for text in [include_str!("../testdata/vp9_ffmpeg.hex"), include_str!("../testdata/vp9_gstreamer.hex")] {
            Golden::parse(text).check(&mut video(&codec()));
            Golden::parse(text).check_each_loss(|| video(&codec()), |_| false);
        }
    }

    #[test]
    fn descriptors_have_all_their_lengths() {
        let read = |bytes: &[u8]| read_descriptor(bytes).map(|descriptor| (descriptor.bytes, descriptor.starts));
        assert_eq!(read(&[0x08]), Some((1, true)));
        assert_eq!(read(&[0x88, 0x11]), Some((2, true)));
        assert_eq!(read(&[0x88, 0x91, 0x11]), Some((3, true)));
        assert_eq!(read(&[0x28, 0x00, 7]), Some((3, true)), "not flexible: layers and TL0PICIDX");
        assert_eq!(read(&[0x38, 0x02]), Some((2, false)), "flexible: second spatial layer");
        assert_eq!(read(&[0x58, 0x03, 0x02]), Some((3, true)), "two references");
        assert_eq!(read(&[0x58, 1, 1, 1]), Some((4, true)), "three references, whatever the last says");
        assert_eq!(read(&[0x58, 1]), None);
        assert_eq!(read(&[0x0a, 0x18, 1, 0, 1, 0, 1, 0x04, 9]), Some((9, true)), "one layer, one picture");
        assert_eq!(read(&[0x0a, 0x08]), None);
    }

    #[test]
    fn layer_frames_go_out_joined_and_never_without_the_lowest() {
        let mut feed = Feed::new(video(&codec()));
        feed.push(1, 0, false, &[0x2c, 0x00, 1, b'a']);
        feed.push(2, 0, true, &[0x2c, 0x03, 1, b'b']);
        feed.push(4, 90, true, &[0x2c, 0x03, 2, b'd']);
        assert_eq!(feed.take(), [(0, vec![b"ab".to_vec()])]);
        assert_eq!((feed.errors.len(), feed.unpacker.take_dropped()), (0, 1));
    }
}
