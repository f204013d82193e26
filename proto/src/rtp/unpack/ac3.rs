//! AC-3 (RFC 4184): several syncframes a packet, or one in fragments.

use bytes::Bytes;

use super::partial::Partial;
use super::{UnpackReason, Unpacked};
use crate::media::Payload;
use crate::rtp::Ordered;
use crate::time::ClockRate;

#[derive(Debug)]
pub(super) struct Ac3 {
    clock_rate: ClockRate,
    partial: Partial,
}

impl Ac3 {
    pub(super) fn new(clock_rate: ClockRate) -> Self {
        Self { clock_rate, partial: Partial::default() }
    }

    /// The payload's head is two bytes: the frame type in the lowest bits of the first, a count in the second
    /// (RFC 4184 section 4.1.1).
    pub(super) fn push(
        &mut self,
        ordered: &Ordered,
        ticks: i64,
        out: &mut impl FnMut(Unpacked),
    ) -> Result<(), UnpackReason> {
        if ordered.lost_before > 0 {
            self.partial.abandon();
        }
        let payload = &ordered.packet.payload;
        let marker = ordered.packet.marker;
        let [head, _, _, ..] = payload[..] else {
            return if payload.is_empty() { Ok(()) } else { self.partial.refuse(UnpackReason::Truncated) };
        };
        let data = payload.slice(2..);
        if head & 3 != CONTINUATION {
            return self.push_frames(data, ticks, marker, out);
        }
        if !self.partial.continues(ticks, None) {
            return self.partial.refuse_headless(ticks, ordered.lost_before > 0);
        }
        if let Some(payload) = self.partial.push(data)? {
            out(Unpacked { ticks, payload, marker });
        }
        Ok(())
    }

    pub(super) const fn dropped(&mut self) -> &mut u32 {
        self.partial.dropped()
    }

    fn push_frames(
        &mut self,
        mut data: Bytes,
        mut ticks: i64,
        marker: bool,
        out: &mut impl FnMut(Unpacked),
    ) -> Result<(), UnpackReason> {
        self.partial.abandon();
        let mut first = true;
        while !data.is_empty() {
            let Some((bytes, sample_rate)) = read_syncinfo(&data) else {
                return self.partial.refuse(UnpackReason::BadFrameHeader);
            };
            if bytes > data.len() {
                return if first {
                    self.partial.start(ticks, bytes, data)
                } else {
                    self.partial.refuse(UnpackReason::Truncated)
                };
            }
            out(Unpacked { ticks, payload: Payload::single(data.split_to(bytes)), marker });
            let step = SAMPLES * u64::from(self.clock_rate.hertz()) / u64::from(sample_rate);
            ticks = ticks.saturating_add(step as i64);
            first = false;
        }
        Ok(())
    }
}

/// Bytes and sample rate of a syncframe (ETSI TS 102 366 section 4.4.1).
fn read_syncinfo(bytes: &[u8]) -> Option<(usize, u32)> {
    let [0x0b, 0x77, _, _, codes, ..] = *bytes else { return None };
    let kilobits = u32::from(*BIT_RATES.get(usize::from(codes & 0x3f) / 2)?);
    // A frame is 1,536 samples long; at 44.1 kHz its size alternates.
    let (words, sample_rate) = match codes >> 6 {
        0 => (2 * kilobits, 48_000),
        1 => (kilobits * 1000 * 96 / 44_100 + u32::from(codes & 1), 44_100),
        2 => (3 * kilobits, 32_000),
        _ => return None,
    };
    Some((words as usize * 2, sample_rate))
}

/// The frame type of a fragment that is not the first.
const CONTINUATION: u8 = 3;

/// Samples of a syncframe.
const SAMPLES: u64 = 1536;

/// In kbit/s (ETSI TS 102 366 table 4.13).
const BIT_RATES: [u16; 19] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];

#[cfg(test)]
mod tests {
    use super::super::tests::Feed;
    use super::super::{Format, Unpacker};
    use super::*;
    use crate::media::{Ac3Config, Codec};
    use crate::rtp::golden::Golden;

    fn unpacker() -> Unpacker {
        let codec = Codec::Ac3(Ac3Config { sample_rate: 48_000, channels: 2 });
        Unpacker::new(&codec, ClockRate::new(48_000).unwrap(), &Format::default())
    }

    #[test]
    fn gstreamer_is_unpacked_to_the_frames_of_its_file() {
        for text in
            [include_str!("../testdata/ac3_gstreamer.hex"), include_str!("../testdata/ac3_fragments_gstreamer.hex")]
        {
            let units = Golden::parse(text).check(&mut unpacker());
            assert!(units.windows(2).all(|pair| pair[1].ticks - pair[0].ticks == 1536));
            Golden::parse(text).check_each_loss(unpacker, |_| false);
        }
    }

    #[test]
    fn sizes_follow_the_table_of_the_standard() {
        let size = |codes: u8| read_syncinfo(&[0x0b, 0x77, 0, 0, codes]);
        assert_eq!(size(0x00), Some((128, 48_000)));
        assert_eq!(size(0x40), Some((138, 44_100)));
        assert_eq!(size(0x41), Some((140, 44_100)));
        assert_eq!(size(0x80 | 36), Some((3840, 32_000)));
        assert_eq!(size(0x40 | 36), Some((2786, 44_100)));
        assert_eq!((size(0xc0), size(38)), (None, None));
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let mut feed = Feed::new(unpacker());
        feed.push(1, 0, false, &[0, 1]);
        feed.push(2, 1, false, &[0, 1, 0x0b, 0x78, 0, 0, 0]);
        feed.push(3, 2, false, &[3, 2, 1]);
        let reasons = [UnpackReason::Truncated, UnpackReason::BadFrameHeader, UnpackReason::FragmentWithoutStart];
        assert_eq!(feed.errors, reasons);
        assert_eq!((feed.take().len(), feed.unpacker.take_dropped()), (0, 3));
    }
}
