//! What a synthetic unit says about itself: a SEI message of ours that a server carries without looking at it.
//!
//! One SEI NAL unit (ITU-T H.264 Annex D) holds two `user_data_unregistered` messages. The first is short and
//! carries the [`Stamp`], so that it stands within the first bytes of the unit's first packet however the unit is split.
//! The second is padding that brings the unit to its size.
//!
//! ```text
//! 06 | 05 28 uuid(16) stamp(24) | 05 ff..ff nn uuid(16) padding(n) | 80
//! ```
//!
//! No byte of it is zero, so emulation prevention (section 7.4.1) never changes it and positions can be counted.

use std::sync::LazyLock;

/// Bytes of a stamp inside its message, after the UUID.
pub const STAMP_LEN: usize = 24;

const NAL_SEI: u8 = 6;
const USER_DATA_UNREGISTERED: u8 = 5;
const STAMP_UUID: [u8; 16] = *b"weft-chaos-stamp";
const PAD_UUID: [u8; 16] = *b"weft-chaos-bytes";
const STAMP_MESSAGE: u8 = (16 + STAMP_LEN) as u8;
/// NAL header, type and size of the stamp's message, UUID, stamp.
const STAMP_END: usize = 3 + 16 + STAMP_LEN;
/// Prime, so that neighbouring units start far apart in the table and no period is a round number.
const TABLE_LEN: usize = 65_521;

/// What each unit carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Which of the publishers sent it.
    pub path: u16,
    /// Counts the units of this publisher from 0.
    pub seq: u32,
    /// True for a random access point.
    pub key: bool,
    /// [`now_ns`](super::clock::now_ns) just before the unit's first byte was written.
    pub sent_ns: u64,
    /// Bytes of padding that follow.
    pub pad_len: u32,
}

impl Stamp {
    fn encode(&self) -> [u8; STAMP_LEN] {
        let mut out = [0; STAMP_LEN];
        out[0] = 0x80 | u8::from(self.key);
        put(&mut out[1..4], u64::from(self.path));
        put(&mut out[4..9], u64::from(self.seq));
        put(&mut out[9..19], self.sent_ns);
        put(&mut out[19..24], u64::from(self.pad_len));
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; STAMP_LEN] = bytes.first_chunk()?;
        if bytes.iter().any(|byte| byte & 0x80 == 0) {
            return None;
        }
        Some(Self {
            path: get(&bytes[1..4]) as u16,
            seq: get(&bytes[4..9]) as u32,
            key: bytes[0] & 1 == 1,
            sent_ns: get(&bytes[9..19]),
            pad_len: get(&bytes[19..24]) as u32,
        })
    }

    /// Finds the stamp in a SEI NAL unit of which only the beginning may be at hand. `nal` starts with the NAL header.
    pub fn find(nal: &[u8]) -> Option<Self> {
        if nal.len() < STAMP_END || nal[0] & 0x1f != NAL_SEI {
            return None;
        }
        if nal[1] != USER_DATA_UNREGISTERED || nal[2] != STAMP_MESSAGE || nal[3..19] != STAMP_UUID {
            return None;
        }
        Self::decode(&nal[19..])
    }

    /// Appends the whole SEI NAL unit.
    pub fn write_sei(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[NAL_SEI, USER_DATA_UNREGISTERED, STAMP_MESSAGE]);
        out.extend_from_slice(&STAMP_UUID);
        out.extend_from_slice(&self.encode());
        out.push(USER_DATA_UNREGISTERED);
        let size = 16 + self.pad_len as usize;
        out.resize(out.len() + size / 255, 0xff);
        // A last size byte of 0 would be the only zero around: allowed, and not followed by another one.
        out.push((size % 255) as u8);
        out.extend_from_slice(&PAD_UUID);
        for piece in self.padding(0, self.pad_len as usize) {
            out.extend_from_slice(piece);
        }
        out.push(0x80);
    }

    /// Length of the SEI NAL unit.
    pub const fn sei_len(&self) -> usize {
        self.pad_start() + self.pad_len as usize + 1
    }

    /// The padding length that makes a SEI NAL unit of `total` bytes, or nearly: one byte less where none fits.
    pub const fn pad_for(total: usize) -> u32 {
        let rest = total.saturating_sub(STAMP_END + 1 + 1 + 16 + 1);
        // `rest` pays for the padding and for one size byte per 255 of padding and UUID.
        (rest - (rest + 16) / 256) as u32
    }

    /// Compares what arrived of this unit's SEI, from byte `at` on, with what was sent. Bytes that are not padding pass.
    pub fn matches(&self, at: usize, bytes: &[u8]) -> bool {
        let start = self.pad_start();
        let end = start + self.pad_len as usize;
        let (from, to) = (at.max(start), (at + bytes.len()).min(end));
        if from >= to {
            return true;
        }
        let mut rest = &bytes[from - at..to - at];
        self.padding(from - start, to - from).all(|piece| {
            let (head, tail) = rest.split_at(piece.len());
            rest = tail;
            head == piece
        })
    }

    const fn pad_start(&self) -> usize {
        STAMP_END + 1 + (16 + self.pad_len as usize) / 255 + 1 + 16
    }

    /// Padding bytes `from..from + len` of this unit, as slices of one table.
    fn padding(&self, from: usize, len: usize) -> impl Iterator<Item = &'static [u8]> {
        static TABLE: LazyLock<Vec<u8>> = LazyLock::new(table);
        let table: &'static [u8] = &TABLE;
        let mut at = (self.seq as usize * 7919 + usize::from(self.path) * 104_729 + from) % TABLE_LEN;
        let mut left = len;
        std::iter::from_fn(move || {
            let take = left.min(TABLE_LEN - at);
            let piece = &table[at..at + take];
            (at, left) = (0, left - take);
            (take > 0).then_some(piece)
        })
    }
}

/// Bytes from 1 to 255, never 0, from a fixed seed (xorshift64).
fn table() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % 255) as u8 + 1
    };
    (0..TABLE_LEN).map(|_| next()).collect()
}

/// Seven bits a byte, highest first, the top bit set so that no byte is zero.
fn put(out: &mut [u8], mut value: u64) {
    for byte in out.iter_mut().rev() {
        *byte = 0x80 | (value & 0x7f) as u8;
        value >>= 7;
    }
}

fn get(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(pad_len: u32) -> Stamp {
        Stamp { path: 513, seq: u32::MAX - 1, key: true, sent_ns: u64::MAX / 3, pad_len }
    }

    #[test]
    fn a_stamp_is_found_in_the_first_bytes_of_its_sei() {
        let mut sei = Vec::new();
        stamp(70_000).write_sei(&mut sei);
        assert_eq!(Stamp::find(&sei[..60]), Some(stamp(70_000)));
        assert_eq!(Stamp::find(&sei[..STAMP_END - 1]), None);
        assert_eq!(Stamp::find(&[6, 5, 4, 1, 2, 3, 4]), None);
    }

    #[test]
    fn lengths_are_what_they_say() {
        for pad in [0, 1, 238, 239, 240, 8_000, 100_000] {
            let mut sei = Vec::new();
            stamp(pad).write_sei(&mut sei);
            assert_eq!(sei.len(), stamp(pad).sei_len(), "pad {pad}");
        }
        for total in [200, 1_000, 8_333, 50_000, 3_000_000] {
            let got = stamp(Stamp::pad_for(total)).sei_len();
            assert!(total - got <= 2, "{total} gave {got}");
        }
    }

    #[test]
    fn no_start_code_can_appear() {
        let mut sei = Vec::new();
        stamp(200_000).write_sei(&mut sei);
        assert!(sei.windows(2).all(|two| two != [0, 0]));
    }

    #[test]
    fn padding_of_another_unit_or_place_is_noticed() {
        let (mine, mut sei) = (stamp(100_000), Vec::new());
        mine.write_sei(&mut sei);
        assert!(mine.matches(0, &sei));
        assert!(mine.matches(70_001, &sei[70_001..90_000]));
        assert!(!mine.matches(70_000, &sei[70_001..90_000]));
        let other = Stamp { seq: 7, ..mine };
        assert!(!other.matches(1_000, &sei[1_000..2_000]));
    }
}
