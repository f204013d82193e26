//! Formats with one unit a packet: Opus (RFC 7587), G.711 and linear PCM (RFC 3551 section 4.5), and opaque tracks.

use super::{UnpackReason, Unpacked};
use crate::media::{LpcmConfig, Payload};
use crate::rtp::Ordered;

#[derive(Debug)]
pub(super) struct Whole {
    /// Bytes of a sample of all channels; payloads are multiples of it.
    block: usize,
    dropped: u32,
}

impl Default for Whole {
    fn default() -> Self {
        Self { block: 1, dropped: 0 }
    }
}

impl Whole {
    pub(super) fn samples(config: &LpcmConfig) -> Self {
        let block = usize::from(config.bit_depth).div_ceil(8) * usize::from(config.channels);
        Self { block: block.max(1), dropped: 0 }
    }

    pub(super) fn push(
        &mut self,
        ordered: &Ordered,
        ticks: i64,
        out: &mut impl FnMut(Unpacked),
    ) -> Result<(), UnpackReason> {
        let packet = &ordered.packet;
        if !packet.payload.len().is_multiple_of(self.block) {
            self.dropped = self.dropped.saturating_add(1);
            return Err(UnpackReason::BrokenSample);
        }
        if !packet.payload.is_empty() {
            out(Unpacked { ticks, payload: Payload::single(packet.payload.clone()), marker: packet.marker });
        }
        Ok(())
    }

    pub(super) const fn dropped(&mut self) -> &mut u32 {
        &mut self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Feed, video};
    use super::*;
    use crate::media::{Codec, Kind, OpaqueConfig, OpusConfig};
    use crate::rtp::golden::Golden;
    use crate::rtp::unpack::{Format, Unpacker};
    use crate::time::ClockRate;

    #[test]
    fn opus_of_ffmpeg_is_one_packet_a_unit() {
        let codec = Codec::Opus(OpusConfig { channels: 2 });
        let mut unpacker = Unpacker::new(&codec, ClockRate::new(48_000).unwrap(), &Format::default());
        let units = Golden::parse(include_str!("../testdata/opus_ffmpeg.hex")).check(&mut unpacker);
        assert_eq!(units[1].ticks - units[0].ticks, 960);
    }

    #[test]
    fn an_opaque_unit_keeps_its_marker_and_an_empty_packet_is_none() {
        let (kind, rtpmap, fmtp) = (Kind::Video, None, None);
        let config = OpaqueConfig { kind, label: "M-JPEG", payload_type: 26, rtpmap, fmtp, in_band: None };
        let mut unpacker = video(&Codec::Opaque(config));
        let packets = &Golden::parse(include_str!("../testdata/h264_ffmpeg.hex")).packets;
        let units = crate::rtp::golden::unpack(&mut unpacker, packets);
        assert!(units.iter().map(|unit| unit.marker).eq(packets.iter().map(|packet| packet.marker)));
        let mut feed = Feed::new(unpacker);
        feed.push(1, 0, false, b"");
        assert_eq!(feed.take(), []);
    }

    #[test]
    fn pcm_with_a_broken_sample_is_refused() {
        let config = LpcmConfig { bit_depth: 24, sample_rate: 48_000, channels: 2 };
        let mut feed = Feed::new(video(&Codec::Lpcm(config)));
        feed.push(1, 0, false, &[1; 12]);
        feed.push(2, 2, false, &[1; 13]);
        assert_eq!((feed.take().len(), feed.unpacker.take_dropped()), (1, 1));
        assert_eq!(feed.errors, [UnpackReason::BrokenSample]);
    }
}
