//! MPEG-1/2 audio (RFC 2250 section 3.5): several frames a packet, or one in fragments behind their offset.

use bytes::Bytes;

use super::partial::Partial;
use super::{UnpackReason, Unpacked};
use crate::media::Payload;
use crate::rtp::Ordered;
use crate::time::ClockRate;

#[derive(Debug)]
pub(super) struct MpegAudio {
    clock_rate: ClockRate,
    partial: Partial,
}

/// What the head of a frame says (ISO/IEC 11172-3 section 2.4.1.3, ISO/IEC 13818-3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FrameHead {
    bytes: usize,
    samples: u32,
    sample_rate: u32,
}

impl MpegAudio {
    pub(super) fn new(clock_rate: ClockRate) -> Self {
        Self { clock_rate, partial: Partial::default() }
    }

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
        match payload[..] {
            [] => Ok(()),
            [_, _, 0, 0, _, ..] => self.push_frames(payload.slice(4..), ticks, marker, out),
            [_, _, high, low, _, ..] => {
                let offset = usize::from(u16::from_be_bytes([high, low]));
                if !self.partial.continues(ticks, Some(offset)) {
                    return self.partial.refuse_headless(ticks, ordered.lost_before > 0);
                }
                if let Some(payload) = self.partial.push(payload.slice(4..))? {
                    out(Unpacked { ticks, payload, marker });
                }
                Ok(())
            }
            _ => self.partial.refuse(UnpackReason::Truncated),
        }
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
            let Some(head) = FrameHead::read(&data) else {
                return self.partial.refuse(UnpackReason::BadFrameHeader);
            };
            if head.bytes > data.len() {
                return if first {
                    self.partial.start(ticks, head.bytes, data)
                } else {
                    self.partial.refuse(UnpackReason::Truncated)
                };
            }
            out(Unpacked { ticks, payload: Payload::single(data.split_to(head.bytes)), marker });
            let step = u64::from(head.samples) * u64::from(self.clock_rate.hertz()) / u64::from(head.sample_rate);
            ticks = ticks.saturating_add(step as i64);
            first = false;
        }
        Ok(())
    }
}

impl FrameHead {
    /// Free format (bit rate index 0), whose length no header tells, is refused.
    fn read(bytes: &[u8]) -> Option<Self> {
        let [0xff, second, third, ..] = *bytes else { return None };
        let version = second >> 3 & 3;
        let half = version != MPEG_1;
        let layer = 4 - (second >> 1 & 3);
        let base = *[44_100u32, 48_000, 32_000].get(usize::from(third >> 2 & 3))?;
        let sample_rate = match version {
            MPEG_1 => base,
            MPEG_2 => base / 2,
            MPEG_2_5 => base / 4,
            _ => return None,
        };
        let table = match (layer, half) {
            (1, false) => &LAYER_1,
            (2, false) => &LAYER_2,
            (3, false) => &LAYER_3,
            (1, true) => &LAYER_1_HALF,
            (2 | 3, true) => &LAYER_2_3_HALF,
            _ => return None,
        };
        let bits = 1000 * u32::from(*table.get(usize::from(third >> 4).checked_sub(1)?)?);
        let padding = u32::from(third >> 1 & 1);
        let (bytes, samples) = match layer {
            1 => ((12 * bits / sample_rate + padding) * 4, 384),
            3 if half => (72 * bits / sample_rate + padding, 576),
            _ => (144 * bits / sample_rate + padding, 1152),
        };
        (second & 0xe0 == 0xe0).then_some(Self { bytes: bytes as usize, samples, sample_rate })
    }
}

const MPEG_1: u8 = 3;
const MPEG_2: u8 = 2;
const MPEG_2_5: u8 = 0;

/// Bit rates of indices 1 to 14 in kbit/s.
const LAYER_1: [u16; 14] = [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448];
const LAYER_2: [u16; 14] = [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384];
const LAYER_3: [u16; 14] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
/// The same at half and quarter sample rates (MPEG-2 and 2.5).
const LAYER_1_HALF: [u16; 14] = [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256];
const LAYER_2_3_HALF: [u16; 14] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];

#[cfg(test)]
mod tests {
    use super::super::tests::{Feed, video};
    use super::*;
    use crate::media::{Codec, MpegAudioConfig};
    use crate::rtp::golden::Golden;

    fn unpacker() -> super::super::Unpacker {
        video(&Codec::MpegAudio(MpegAudioConfig::default()))
    }

    #[test]
    fn real_senders_are_unpacked_to_the_frames_of_their_file() {
        for text in [
            include_str!("../testdata/mp3_ffmpeg.hex"),
            include_str!("../testdata/mp2_ffmpeg.hex"),
            include_str!("../testdata/mp2_fragments_gstreamer.hex"),
        ] {
            let units = Golden::parse(text).check(&mut unpacker());
            assert!(units.windows(2).all(|pair| (2159..=2161).contains(&(pair[1].ticks - pair[0].ticks))), "24 ms");
            Golden::parse(text).check_each_loss(unpacker, |_| false);
        }
    }

    #[test]
    fn frame_heads_of_all_layers_are_read() {
        let read = |bytes: [u8; 3]| FrameHead::read(&bytes).map(|head| (head.bytes, head.samples, head.sample_rate));
        assert_eq!(read([0xff, 0xfb, 0x90]), Some((417, 1152, 44_100)), "layer III, 128 kbit/s");
        assert_eq!(read([0xff, 0xfb, 0x92]), Some((418, 1152, 44_100)), "padded");
        assert_eq!(read([0xff, 0xff, 0x14]), Some((32, 384, 48_000)), "layer I, 32 kbit/s");
        assert_eq!(read([0xff, 0xf3, 0x84]), Some((192, 576, 24_000)), "MPEG-2 layer III, 64 kbit/s");
        assert_eq!(read([0xff, 0xe3, 0x18]), Some((72, 576, 8000)), "MPEG-2.5 layer III, 8 kbit/s");
        for bad in [[0xff, 0xfb, 0x00], [0xff, 0xfb, 0xf0], [0xff, 0xfb, 0x9c], [0xff, 0xf9, 0x90], [0xff, 0xeb, 0x90]]
        {
            assert_eq!(read(bad), None);
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let mut feed = Feed::new(unpacker());
        feed.push(1, 0, false, &[0, 0, 0]);
        feed.push(2, 1, false, &[0, 0, 0, 0, 1, 2, 3]);
        feed.push(3, 2, false, &[0, 0, 0, 9, 1, 2, 3]);
        let reasons = [UnpackReason::Truncated, UnpackReason::BadFrameHeader, UnpackReason::FragmentWithoutStart];
        assert_eq!(feed.errors, reasons);
        assert_eq!((feed.take().len(), feed.unpacker.take_dropped()), (0, 3));
    }
}
