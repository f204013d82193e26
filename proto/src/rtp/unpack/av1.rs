//! AV1 (RTP payload format of the Alliance for Open Media, version 1.0.0).
//!
//! Frames of the unit are OBUs without size field; temporal delimiters and tile lists are left out, as the format says.
//! After a loss a temporal unit counts as whole from its start when its first packet continues no OBU and its first OBU
//! may begin a frame. (A temporal unit of several frames whose first packet ends with a frame looks the same without it;
//! the format gives no sign to tell.)

use bytes::{Buf, Bytes};

use super::assembler::{Assembler, byte};
use super::{UnpackReason, Unpacked};
use crate::rtp::Ordered;

#[derive(Debug, Default)]
pub(super) struct Av1 {
    unit: Assembler,
}

impl Av1 {
    pub(super) fn push(
        &mut self,
        ordered: &Ordered,
        ticks: i64,
        out: &mut impl FnMut(Unpacked),
    ) -> Result<(), UnpackReason> {
        if self.unit.in_fragments() && self.unit.ticks() != ticks {
            self.unit.break_unit();
        }
        self.unit.begin(ordered, ticks, out);
        let mut pushed = self.push_payload(&ordered.packet.payload);
        if ordered.packet.marker {
            if self.unit.in_fragments() {
                pushed = self.unit.refuse(UnpackReason::FragmentMismatch);
            }
            self.unit.end(true, out);
        }
        pushed
    }

    pub(super) const fn dropped(&mut self) -> &mut u32 {
        self.unit.dropped()
    }

    /// The aggregation header and the elements behind it (section 4.4).
    fn push_payload(&mut self, payload: &Bytes) -> Result<(), UnpackReason> {
        if payload.is_empty() || self.unit.is_broken() {
            return Ok(());
        }
        let flags = payload[0];
        let mut payload = payload.slice(1..);
        let mut continues = flags & CONTINUES != 0;
        if continues && !self.unit.in_fragments() {
            return self.unit.refuse_headless();
        }
        if !continues && self.unit.in_fragments() {
            return self.unit.refuse(UnpackReason::FragmentMismatch);
        }
        let count = flags >> 4 & 3;
        let mut number = 0;
        while !payload.is_empty() {
            // Of a counted number of elements the last has no size; more cannot follow.
            number = u8::min(number + 1, 4);
            let Some(element) = take_element(&mut payload, number == count) else {
                return self.unit.refuse(UnpackReason::Truncated);
            };
            if core::mem::take(&mut continues) {
                self.unit.push_fragment(element)?;
            } else {
                self.push_obu(element, flags)?;
            }
            if !payload.is_empty() || flags & TO_BE_CONTINUED == 0 {
                self.unit.end_fragments();
            }
        }
        Ok(())
    }

    /// The beginning of an OBU, or all of it.
    fn push_obu(&mut self, mut obu: Bytes, flags: u8) -> Result<(), UnpackReason> {
        let Some(header) = obu.first().copied() else { return Ok(()) };
        let obu_type = header >> 3 & 0x0f;
        if matches!(obu_type, TEMPORAL_DELIMITER | TILE_LIST) {
            return Ok(());
        }
        let may_begin = flags & NEW_SEQUENCE != 0 || !matches!(obu_type, TILE_GROUP | REDUNDANT_FRAME_HEADER);
        if self.unit.is_empty() && self.unit.head_unsure() && !may_begin {
            return self.unit.refuse_headless();
        }
        if header & HAS_SIZE == 0 {
            return self.unit.push_fragment(obu);
        }
        let mut rest = obu.split_off(if header & HAS_EXTENSION != 0 { obu.len().min(2) } else { 1 });
        let Some(size) = take_leb128(&mut rest) else { return self.unit.refuse(UnpackReason::Truncated) };
        rest.truncate(size);
        self.unit.push_fragment(byte(header & !HAS_SIZE))?;
        self.unit.push_fragment(obu.split_off(1))?;
        self.unit.push_fragment(rest)
    }
}

fn take_element(payload: &mut Bytes, last: bool) -> Option<Bytes> {
    if last {
        return Some(core::mem::take(payload));
    }
    let size = take_leb128(payload)?;
    (size <= payload.len()).then(|| payload.split_to(size))
}

/// A number of seven bits a byte, lowest first, eight bytes at most (AV1 specification section 4.10.5).
fn take_leb128(bytes: &mut Bytes) -> Option<usize> {
    let mut value = 0u64;
    for (at, byte) in bytes.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            bytes.advance(at + 1);
            return usize::try_from(value).ok();
        }
    }
    None
}

/// Flags of the aggregation header: Z, Y, N.
const CONTINUES: u8 = 0x80;
const TO_BE_CONTINUED: u8 = 0x40;
const NEW_SEQUENCE: u8 = 0x08;

/// Flags of the OBU header (AV1 specification section 5.3.2).
const HAS_EXTENSION: u8 = 0x04;
const HAS_SIZE: u8 = 0x02;

/// OBU types (AV1 specification section 6.2.2).
const TEMPORAL_DELIMITER: u8 = 2;
const TILE_GROUP: u8 = 4;
const REDUNDANT_FRAME_HEADER: u8 = 7;
const TILE_LIST: u8 = 8;

#[cfg(test)]
mod tests {
    use super::super::tests::{Feed, video};
    use super::*;
    use crate::media::{Av1Config, Codec};
    use crate::rtp::golden::Golden;

    const SEQUENCE: &[u8] = &[1 << 3, 9];
    const FRAME: &[u8] = &[6 << 3, 1, 2];

    fn feed() -> Feed {
        Feed::new(video(&Codec::Av1(Av1Config::default())))
    }

    #[test]
    fn what_ffmpeg_sends_is_the_units_of_its_file() {
        let golden = Golden::parse(include_str!("../testdata/av1_ffmpeg.hex"));
        golden.check(&mut video(&Codec::Av1(Av1Config::default())));
        golden.check_each_loss(|| video(&Codec::Av1(Av1Config::default())), |_| false);
    }

    #[test]
    fn elements_come_with_sizes_or_counted() {
        for (flags, last_size) in [(0x28, &[][..]), (0x08, &[3])] {
            let mut feed = feed();
            let payload = [&[flags, 1, TEMPORAL_DELIMITER << 3, 2][..], SEQUENCE, last_size, FRAME].concat();
            let payload = if flags == 0x28 { [&[flags, 2][..], SEQUENCE, FRAME].concat() } else { payload };
            feed.push(1, 0, true, &payload);
            assert_eq!(feed.take(), [(0, vec![SEQUENCE.to_vec(), FRAME.to_vec()])]);
        }
    }

    #[test]
    fn an_obu_in_fragments_is_joined_and_its_size_field_taken_out() {
        let mut feed = feed();
        feed.push(1, 0, false, &[0x50, 6 << 3 | 6, 0x20, 5, b'a', b'b']);
        feed.push(2, 0, false, &[0xd0, b'c']);
        feed.push(3, 0, true, &[0xa0, 2, b'd', b'e', 5 << 3, 7]);
        assert_eq!(feed.take(), [(0, vec![[&[6 << 3 | 4, 0x20], &b"abcde"[..]].concat(), vec![5 << 3, 7]])]);
    }

    #[test]
    fn a_fragment_that_fits_nothing_costs_its_unit() {
        let mut feed = feed();
        feed.push(1, 0, true, &[0x10, 6 << 3, 1]);
        feed.push(2, 90, true, &[0x90, 1]);
        feed.push(3, 180, false, &[0x50, 6 << 3, 1]);
        feed.push(4, 180, true, &[0x10, 6 << 3, 1]);
        feed.push(5, 270, true, &[0x50, 6 << 3, 1]);
        feed.push(6, 360, true, &[0x00, 9, 6 << 3]);
        assert_eq!(
            feed.errors,
            [
                UnpackReason::FragmentWithoutStart,
                UnpackReason::FragmentMismatch,
                UnpackReason::FragmentMismatch,
                UnpackReason::Truncated
            ]
        );
        assert_eq!((feed.take().len(), feed.unpacker.take_dropped()), (1, 4));
    }

    #[test]
    fn loss_costs_the_unit_it_falls_into_and_no_other() {
        let mut feed = feed();
        feed.push(1, 0, false, &[0x50, 6 << 3, 1]);
        feed.push(3, 0, true, &[0x90, 3]);
        feed.push(4, 90, true, &[0x10, 6 << 3, 4]);
        feed.push(6, 180, true, &[0x10, 6 << 3, 5]);
        feed.push(8, 270, true, &[0x10, TILE_GROUP << 3, 6]);
        let ticks: Vec<i64> = feed.take().iter().map(|(ticks, _)| *ticks).collect();
        assert_eq!((ticks, feed.unpacker.take_dropped()), (vec![90, 180], 2));
        assert_eq!(feed.errors, []);
    }
}
