//! Packets captured from real senders, with the units of the file that they sent.

use bytes::Bytes;

use super::{Ordered, Packet, Reorder, Timeline, Unpacked, Unpacker};
use crate::time::Now;

/// A capture of `testdata`.
pub(super) struct Golden {
    pub(super) packets: Vec<Packet>,
    units: Vec<String>,
}

impl Golden {
    pub(super) fn parse(text: &str) -> Self {
        let lines = |prefix: &'static str| text.lines().filter_map(move |line| line.strip_prefix(prefix));
        Self {
            packets: lines("p ").map(|line| Packet::parse(hex(line)).unwrap()).collect(),
            units: lines("u ").map(str::to_owned).collect(),
        }
    }

    /// Unpacks all and compares with the units of the sender's file.
    pub(super) fn check(&self, unpacker: &mut Unpacker) -> Vec<Unpacked> {
        let units = unpack(unpacker, &self.packets);
        let described: Vec<String> = units.iter().map(describe).collect();
        assert_eq!(described, self.units);
        assert_eq!(unpacker.take_dropped(), 0);
        units
    }

    /// Unpacks all but one packet, for each packet: what comes out is whole units. At their head, frames that `may_lack`
    /// allows may be missing, for nobody can tell that they were there.
    pub(super) fn check_each_loss(&self, new: impl Fn() -> Unpacker, may_lack: impl Fn(&[u8]) -> bool) {
        let whole = unpack(&mut new(), &self.packets);
        for lost in 1..self.packets.len() {
            let mut packets = self.packets.clone();
            packets.remove(lost);
            let units = unpack(&mut new(), &packets);
            assert!(units.len() + LOST_UNITS_MAX >= whole.len(), "packet {lost} lost: {} units", units.len());
            for unit in units {
                let whole = whole.iter().find(|whole| (whole.ticks - unit.ticks).abs() <= 1).unwrap();
                let (whole, frames) = (frames(whole), frames(&unit));
                let (head, tail) = whole.split_at(whole.len() - frames.len());
                assert!(tail == frames && head.iter().all(|frame| may_lack(frame)), "packet {lost} lost: not whole");
            }
        }
    }
}

fn frames(unit: &Unpacked) -> Vec<Bytes> {
    unit.payload.frames().map(|frame| frame.to_bytes()).collect()
}

/// Puts packets in order and unpacks them, as a session does.
pub(super) fn unpack(unpacker: &mut Unpacker, packets: &[Packet]) -> Vec<Unpacked> {
    let mut reorder = Reorder::new(core::time::Duration::ZERO);
    let mut timeline = Timeline::new();
    let mut units = Vec::new();
    for packet in packets {
        reorder.push(packet.clone(), Now::default(), &mut |ordered: Ordered| {
            let ticks = timeline.extend(ordered.packet.timestamp);
            let _ = unpacker.push(&ordered, ticks, &mut |unit| units.push(unit));
        });
    }
    units
}

/// Bytes written as hexadecimal digits; blanks are passed over.
pub(super) fn hex(text: &str) -> Bytes {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect()
}

/// Bytes of each frame and the CRC-32 of all, as the captures have it.
fn describe(unit: &Unpacked) -> String {
    let lengths: Vec<String> = unit.payload.frames().map(|frame| frame.len().to_string()).collect();
    let bytes: Vec<u8> = unit.payload.frames().flat_map(|frame| frame.to_bytes().to_vec()).collect();
    format!("{} {:08x}", lengths.join(","), crc32(&bytes))
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// Audio units that ffmpeg puts into one packet.
const LOST_UNITS_MAX: usize = 9;
