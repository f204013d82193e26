//! H.265 (RFC 7798): single NAL units, aggregation packets for small neighbours, fragmentation units for large ones.

use super::{Cursor, PacketSink, fitting, put_frame};
use crate::bitstream::h265::nal_type;
use crate::media::{Frame, Unit};

/// Packet type of aggregation packets (section 4.4.2) and the bytes before each of their NAL units.
const AP: u8 = 48;
const AP_SIZE: usize = 2;

/// Packet type of fragmentation units (section 4.4.3) and the bytes before the fragment: payload header, FU header.
const FU: u8 = 49;
const FU_HEAD: usize = 3;

/// Bytes of a NAL header.
const HEADER: usize = 2;

pub(super) fn pack(unit: &Unit, max: usize, sink: &mut impl PacketSink) {
    let mut rest = unit.payload.frames();
    while rest.len() > 0 {
        let together = fitting(rest.clone().map(|frame| frame.len()), AP_SIZE, max - HEADER);
        let last = together.max(1) == rest.len();
        if together > 1 {
            put_together(rest.clone().take(together), last, sink);
            rest.nth(together - 1);
        } else if let Some(frame) = rest.next() {
            put_one(frame, last, max, sink);
        }
    }
}

fn put_one(frame: Frame<'_>, last: bool, max: usize, sink: &mut impl PacketSink) {
    if frame.len() > max {
        return put_fragments(frame, last, max, sink);
    }
    sink.begin(0);
    put_frame(frame, sink);
    sink.end(last);
}

fn header(frame: Frame<'_>) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    frame.copy_prefix(&mut header);
    header
}

fn with_type(header: [u8; HEADER], kind: u8) -> [u8; HEADER] {
    [header[0] & 0x81 | kind << 1, header[1]]
}

fn put_together<'a>(frames: impl Iterator<Item = Frame<'a>> + Clone, last: bool, sink: &mut impl PacketSink) {
    // The forbidden bit of any, the lowest layer and the lowest temporal id (section 4.4.2).
    let headers = frames.clone().map(|frame| u16::from_be_bytes(header(frame)));
    let forbidden = headers.clone().fold(0, |all, header| all | header & 0x8000);
    let layer = headers.clone().map(|header| header & 0x01f8).min().unwrap_or_default();
    let temporal = headers.map(|header| header & 7).min().unwrap_or_default();
    sink.begin(0);
    sink.put(&with_type((forbidden | layer | temporal).to_be_bytes(), AP));
    for frame in frames {
        sink.put(&(frame.len() as u16).to_be_bytes());
        put_frame(frame, sink);
    }
    sink.end(last);
}

fn put_fragments(frame: Frame<'_>, last: bool, max: usize, sink: &mut impl PacketSink) {
    const START: u8 = 0x80;
    const END: u8 = 0x40;
    let header = header(frame);
    let [first, second] = with_type(header, FU);
    let mut cursor = Cursor::new(frame);
    cursor.skip(HEADER);
    let mut flags = START;
    while cursor.left() > 0 {
        let ends = cursor.left() <= max - FU_HEAD;
        flags |= if ends { END } else { 0 };
        sink.begin(0);
        sink.put(&[first, second, flags | nal_type(header[0])]);
        cursor.put(max - FU_HEAD, sink);
        sink.end(ends && last);
        flags = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{packets, unit};
    use crate::media::{Codec, H265Config};

    fn pack(frames: &[&[&[u8]]]) -> Vec<Vec<u8>> {
        let packets = packets(&Codec::H265(H265Config::default()), &unit(frames), 64);
        packets.into_iter().map(|packet| packet.bytes).collect()
    }

    #[test]
    fn parameter_sets_travel_together() {
        let packets = pack(&[&[&[0x40, 1, 9]], &[&[0x42, 1]], &[&[0x26; 61]]]);
        assert_eq!(packets[0], [0x60, 1, 0, 3, 0x40, 1, 9, 0, 2, 0x42, 1]);
        assert_eq!(packets[1].len(), 61);
    }

    #[test]
    fn large_units_are_fragmented_at_the_maximum() {
        let packets = pack(&[&[&[0x26, 1], &[7; 123]]]);
        assert_eq!(packets.iter().map(Vec::len).collect::<Vec<_>>(), [64, 64, 4]);
        assert_eq!(packets[0][..4], [0x62, 1, 0x80 | 19, 7]);
        assert_eq!(packets[1][..4], [0x62, 1, 19, 7]);
        assert_eq!(packets[2], [0x62, 1, 0x40 | 19, 7]);
    }
}
