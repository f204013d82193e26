//! A reader of bits, as the parameter sets of video codecs are written (ITU-T H.264 section 7.2, 9.1).

/// The bits ended before the syntax did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bitstream ended early")]
pub struct EndOfBits;

/// Reads most significant bit first from a slice.
#[derive(Clone, Debug)]
pub struct BitReader<'a> {
    bytes: &'a [u8],
    bit: usize,
}

impl<'a> BitReader<'a> {
    /// Starts at the first bit of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, bit: 0 }
    }

    /// Bits not yet read.
    pub const fn remaining(&self) -> usize {
        self.bytes.len() * 8 - self.bit
    }

    /// One bit as a flag.
    pub fn flag(&mut self) -> Result<bool, EndOfBits> {
        Ok(self.bits(1)? == 1)
    }

    /// Up to 32 bits as an unsigned number.
    pub fn bits(&mut self, count: u32) -> Result<u32, EndOfBits> {
        debug_assert!(count <= 32);
        if self.remaining() < count as usize {
            return Err(EndOfBits);
        }
        let mut value = 0u64;
        for _ in 0..count {
            let byte = self.bytes[self.bit / 8];
            value = value << 1 | u64::from(byte >> (7 - self.bit % 8) & 1);
            self.bit += 1;
        }
        Ok(value as u32)
    }

    /// Passes over `count` bits.
    pub fn skip(&mut self, count: usize) -> Result<(), EndOfBits> {
        if self.remaining() < count {
            return Err(EndOfBits);
        }
        self.bit += count;
        Ok(())
    }

    /// An unsigned Exp-Golomb number, `ue(v)` (ITU-T H.264 section 9.1).
    pub fn ue(&mut self) -> Result<u32, EndOfBits> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return Err(EndOfBits);
            }
        }
        Ok((1u32 << zeros) - 1 + self.bits(zeros)?)
    }

    /// A signed Exp-Golomb number, `se(v)` (ITU-T H.264 section 9.1.1).
    pub fn se(&mut self) -> Result<i32, EndOfBits> {
        let k = self.ue()? as i64;
        Ok(if k % 2 == 1 { (k + 1) / 2 } else { -(k / 2) } as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_reads_the_table_of_the_standard() {
        // 1, 010, 011, 00100, 00101 => 0, 1, 2, 3, 4
        let mut reader = BitReader::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let read: Vec<u32> = (0..5).map(|_| reader.ue().unwrap()).collect();
        assert_eq!(read, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn signed_numbers_alternate() {
        let mut reader = BitReader::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let read: Vec<i32> = (0..5).map(|_| reader.se().unwrap()).collect();
        assert_eq!(read, [0, 1, -1, 2, -2]);
    }

    #[test]
    fn running_out_is_an_error_not_a_panic() {
        let mut reader = BitReader::new(&[0]);
        assert_eq!(reader.ue(), Err(EndOfBits));
        assert_eq!(BitReader::new(&[]).bits(1), Err(EndOfBits));
        assert_eq!(BitReader::new(&[0; 9]).ue(), Err(EndOfBits));
    }
}
