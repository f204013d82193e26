//! Opus (RFC 7587 section 4.2): a packet a packet.

use super::{PacketSink, WHOLE_BYTES_MAX, put_frame};
use crate::bitstream::opus::packet_samples;
use crate::media::Unit;

pub(super) fn pack(unit: &Unit, sink: &mut impl PacketSink) {
    let mut ticks = 0u32;
    for frame in unit.payload.frames() {
        // Opus cannot be fragmented; 1,275 bytes is the most that a frame of 20 ms has.
        if frame.len() <= WHOLE_BYTES_MAX {
            sink.begin(ticks);
            put_frame(frame, sink);
            sink.end(false);
        }
        let mut head = [0; 2];
        let len = frame.copy_prefix(&mut head);
        ticks = ticks.wrapping_add(packet_samples(&head[..len]).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{packets, unit};
    use crate::media::{Codec, OpusConfig};

    #[test]
    fn packets_go_as_they_are() {
        let packets =
            packets(&Codec::Opus(OpusConfig { channels: 2 }), &unit(&[&[&[0xfc, 1]], &[&[0xfc; 65]], &[&[0xfc]]]), 64);
        assert_eq!(
            packets.iter().map(|packet| (packet.ticks, packet.bytes.len())).collect::<Vec<_>>(),
            [(0, 2), (960, 65), (1920, 1)]
        );
    }
}
