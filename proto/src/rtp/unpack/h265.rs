//! H.265 (RFC 7798): single NAL unit packets, aggregation packets, fragmentation units.
//!
//! Without decoding order numbers: `sprop-max-don-diff` above 0 is not known to be sent by anybody. PACI packets are
//! refused. After a loss a unit is whole from its start when its first slice is the first of a picture
//! (`first_slice_segment_in_pic_flag`).

use bytes::Bytes;

use super::nal::{Aggregate, Nal, NalAssembler, is_annex_b, split_annex_b};
use super::{UnpackReason, Unpacked};
use crate::rtp::Ordered;

#[derive(Debug, Default)]
pub(super) struct H265 {
    unit: NalAssembler,
}

impl H265 {
    pub(super) fn push(
        &mut self,
        ordered: &Ordered,
        ticks: i64,
        out: &mut impl FnMut(Unpacked),
    ) -> Result<(), UnpackReason> {
        self.unit.begin(ordered, ticks, out);
        let pushed = self.push_payload(&ordered.packet.payload);
        self.unit.finish(ordered.packet.marker, out);
        pushed
    }

    pub(super) const fn dropped(&mut self) -> &mut u32 {
        self.unit.dropped()
    }

    fn push_payload(&mut self, payload: &Bytes) -> Result<(), UnpackReason> {
        let [first, _, ..] = payload[..] else {
            return if payload.is_empty() { Ok(()) } else { self.unit.refuse(UnpackReason::Truncated) };
        };
        match first >> 1 & 0x3f {
            0 if is_annex_b(payload) => split_annex_b(payload.clone()).try_for_each(|nal| self.push_nal(nal)),
            AGGREGATION => self.push_aggregate(payload),
            FRAGMENTATION => self.push_fragment(payload),
            PACI => self.unit.refuse(UnpackReason::Unsupported(PACI)),
            _ => self.push_nal(payload.clone()),
        }
    }

    /// A NAL unit. Types that none may have are ignored (RFC 7798 section 4.4), and what has no whole header.
    fn push_nal(&mut self, nal: Bytes) -> Result<(), UnpackReason> {
        match nal[..] {
            [first, _, ..] if first >> 1 & 0x3f < AGGREGATION => {
                self.unit.push(classify(first >> 1 & 0x3f, nal.get(2)), nal)
            }
            _ => Ok(()),
        }
    }

    /// RFC 7798 section 4.4.2.
    fn push_aggregate(&mut self, payload: &Bytes) -> Result<(), UnpackReason> {
        for nal in Aggregate::new(payload.slice(2..)) {
            match nal {
                Ok(nal) => self.push_nal(nal)?,
                Err(reason) => return self.unit.refuse(reason),
            }
        }
        Ok(())
    }

    /// RFC 7798 section 4.4.3.
    fn push_fragment(&mut self, payload: &Bytes) -> Result<(), UnpackReason> {
        let [first, second, flags, slice, ..] = payload[..] else {
            return self.unit.refuse(UnpackReason::Truncated);
        };
        let nal_type = flags & 0x3f;
        if nal_type >= AGGREGATION {
            return self.unit.refuse(UnpackReason::Unsupported(nal_type));
        }
        if flags & START != 0 {
            self.unit.start(classify(nal_type, Some(&slice)), header(first & 0x81 | nal_type << 1, second))?;
        }
        self.unit.push_fragment(payload.slice(3..), flags & END != 0)
    }
}

/// By NAL unit type and the first byte behind the header, whose first bit says whether the slice is its picture's first
/// (ITU-T H.265 section 7.3.6.1). Types below 32 are slices.
fn classify(nal_type: u8, slice: Option<&u8>) -> Nal {
    match nal_type {
        0..32 => Nal::Slice { first: slice.is_some_and(|byte| byte & 0x80 != 0) },
        _ => Nal::Other,
    }
}

/// A NAL unit header as a shared slice: from a table for layer 0, copied for the rest, which nobody sends.
fn header(first: u8, second: u8) -> Bytes {
    let at = (usize::from(first >> 1) << 3 | usize::from(second)) * 2;
    if first & 0x81 == 0 && second < 8 {
        Bytes::from_static(&HEADERS[at..at + 2])
    } else {
        Bytes::copy_from_slice(&[first, second])
    }
}

/// The headers of layer 0: 64 types, 8 values of `nuh_temporal_id_plus1`.
static HEADERS: [u8; 64 * 8 * 2] = {
    let mut headers = [0; 64 * 8 * 2];
    let mut at = 0;
    while at < 64 * 8 {
        headers[at * 2] = (at as u16 >> 3 << 1) as u8;
        headers[at * 2 + 1] = (at % 8) as u8;
        at += 1;
    }
    headers
};

const AGGREGATION: u8 = 48;
const FRAGMENTATION: u8 = 49;
const PACI: u8 = 50;

/// Flags of the FU header (RFC 7798 section 4.4.3).
const START: u8 = 0x80;
const END: u8 = 0x40;

#[cfg(test)]
mod tests {
    use super::super::tests::{Feed, video};
    use super::*;
    use crate::media::{Codec, H265Config};
    use crate::rtp::golden::Golden;

    const SPS: &[u8] = &[0x42, 1, 9];
    const FIRST: &[u8] = &[0x26, 1, 0x80, 2];
    const SECOND: &[u8] = &[0x26, 1, 0x00, 3];

    fn feed() -> Feed {
        Feed::new(video(&Codec::H265(H265Config::default())))
    }

    #[test]
    fn real_senders_are_unpacked_to_the_frames_of_their_file() {
        for text in [
            include_str!("../testdata/h265_ffmpeg.hex"),
            include_str!("../testdata/h265_gstreamer.hex"),
            include_str!("../testdata/h265_aggregate_gstreamer.hex"),
        ] {
            let new = || video(&Codec::H265(H265Config::default()));
            Golden::parse(text).check(&mut new());
            Golden::parse(text).check_each_loss(new, |nal| nal[0] >> 1 >= 32);
        }
    }

    #[test]
    fn a_fragmented_header_is_rebuilt_for_any_layer() {
        assert_eq!(header(0x26, 1), [0x26, 1][..]);
        assert_eq!(header(0x7e, 7), [0x7e, 7][..]);
        assert_eq!(header(0x27, 9), [0x27, 9][..]);
        let mut feed = feed();
        feed.push(1, 0, false, &[0x62, 1, 0x80 | 19, 0x80, 2]);
        feed.push(2, 0, true, &[0x62, 1, 0x40 | 19, 5]);
        assert_eq!(feed.take(), [(0, vec![vec![0x26, 1, 0x80, 2, 5]])]);
    }

    #[test]
    fn parameter_sets_with_their_own_marker_go_out_with_the_picture() {
        let mut feed = feed();
        feed.push(1, 0, true, SPS);
        feed.push(2, 0, true, FIRST);
        assert_eq!(feed.take(), [(0, vec![SPS.to_vec(), FIRST.to_vec()])]);
    }

    #[test]
    fn a_picture_whose_first_slice_is_lost_is_dropped() {
        let mut feed = feed();
        feed.push(1, 0, true, FIRST);
        feed.push(3, 90, true, SECOND);
        feed.push(5, 180, true, FIRST);
        assert_eq!(feed.take(), [(0, vec![FIRST.to_vec()]), (180, vec![FIRST.to_vec()])]);
        assert_eq!(feed.unpacker.take_dropped(), 1);
    }

    #[test]
    fn paci_and_short_packets_are_refused() {
        let mut feed = feed();
        feed.push(1, 0, false, &[0x64, 1, 0]);
        feed.push(2, 90, false, &[0x62]);
        feed.push(3, 180, false, &[0x62, 1, 0x80]);
        assert_eq!(feed.errors, [UnpackReason::Unsupported(50), UnpackReason::Truncated, UnpackReason::Truncated]);
        assert_eq!(feed.take(), []);
    }
}
