//! A sink that keeps packets, and units made of slices.

use bytes::Bytes;

use super::{PacketSink, pack};
use crate::media::{Codec, PayloadBuilder, TrackId, Unit};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) ticks: u32,
    pub(super) bytes: Vec<u8>,
    pub(super) marker: bool,
}

#[derive(Default)]
struct Packets {
    done: Vec<Packet>,
    open: Option<Packet>,
}

impl PacketSink for Packets {
    fn begin(&mut self, ticks_after: u32) {
        let open = self.open.replace(Packet { ticks: ticks_after, ..Packet::default() });
        assert_eq!(open, None, "the packet before was not ended");
    }

    fn put(&mut self, bytes: &[u8]) {
        self.open.as_mut().unwrap().bytes.extend_from_slice(bytes);
    }

    fn end(&mut self, marker: bool) {
        let packet = self.open.take().unwrap();
        self.done.push(Packet { marker, ..packet });
    }
}

pub(super) fn packets(codec: &Codec, unit: &Unit, max: usize) -> Vec<Packet> {
    let mut packets = Packets::default();
    pack(codec, unit, max, &mut packets);
    assert_eq!(packets.open, None, "the last packet was not ended");
    packets.done
}

/// A random access unit of frames of slices.
pub(super) fn unit(frames: &[&[&[u8]]]) -> Unit {
    let mut payload = PayloadBuilder::default();
    for frame in frames {
        frame.iter().for_each(|slice| payload.push_slice(Bytes::copy_from_slice(slice)));
        payload.end_frame();
    }
    Unit {
        track: TrackId(0),
        pts: 0,
        dts: 0,
        captured: None,
        random_access: true,
        discardable: false,
        marker: false,
        payload: payload.finish(),
    }
}
