//! AAC as LOAS/LATM (ISO/IEC 14496-3 sections 1.7.2 and 1.7.3), for what the ADTS header has no words for.

/// Writes bits, highest first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn put(&mut self, value: u32, count: u32) {
        for bit in (0..count).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= ((value >> bit & 1) as u8) << (7 - self.used % 8);
            }
            self.used += 1;
        }
    }
}

/// Largest `audioMuxLengthBytes`.
const ELEMENT_BYTES_MAX: usize = (1 << 13) - 1;

/// Writes an `AudioSyncStream` element with its configuration; `None` when the access unit is too long for one.
pub(super) fn element(asc: &[u8], unit: &[u8]) -> Option<Vec<u8>> {
    let mut bits = Bits::default();
    // useSameStreamMux, then StreamMuxConfig of version 1: it says how long the configuration is.
    bits.put(0, 1);
    bits.put(1, 1);
    bits.put(0, 1);
    latm_value(&mut bits, 0);
    // allStreamsSameTimeFraming, numSubFrames, numProgram, numLayer.
    bits.put(1, 1);
    bits.put(0, 6 + 4 + 3);
    latm_value(&mut bits, u32::try_from(asc.len() * 8).ok()?);
    asc.iter().for_each(|byte| bits.put(u32::from(*byte), 8));
    // frameLengthType, latmBufferFullness, otherDataPresent, crcCheckPresent.
    bits.put(0, 3);
    bits.put(0xff, 8);
    bits.put(0, 2);
    let mut left = unit.len();
    while left >= 255 {
        bits.put(255, 8);
        left -= 255;
    }
    bits.put(left as u32, 8);
    unit.iter().for_each(|byte| bits.put(u32::from(*byte), 8));
    let body = bits.bytes;
    if body.len() > ELEMENT_BYTES_MAX {
        return None;
    }
    let length = body.len() as u16;
    let mut element = vec![0x56, 0xe0 | (length >> 8) as u8, length as u8];
    element.extend_from_slice(&body);
    Some(element)
}

/// `LatmGetValue`: how many bytes follow less one, then the bytes.
fn latm_value(bits: &mut Bits, value: u32) {
    let bytes = (32 - value.leading_zeros()).div_ceil(8).max(1);
    bits.put(bytes - 1, 2);
    bits.put(value, bytes * 8);
}
