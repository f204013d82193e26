//! Counting what is missing, comes twice or comes late, in numbers that should grow by one.

/// How a number stands to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The next one, or the first.
    InOrder,
    /// So many are missing before it.
    After(u32),
    /// Was missing and is here now.
    Late,
    /// Was here before.
    Again,
}

/// The units or packets of one track.
#[derive(Clone, Copy, Debug, Default)]
pub struct Order {
    started: bool,
    highest: u32,
    /// Bit n: `highest - n` was seen.
    seen: u64,
    /// Still missing.
    pub missing: u64,
    /// Came after a higher one.
    pub reordered: u64,
    /// Came more than once.
    pub duplicates: u64,
}

impl Order {
    /// Takes note of number `seq`.
    pub fn note(&mut self, seq: u32) -> Arrival {
        if !self.started {
            *self = Self { started: true, highest: seq, seen: !0, ..*self };
            return Arrival::InOrder;
        }
        let ahead = seq.wrapping_sub(self.highest) as i32;
        if ahead > 0 {
            self.seen = self.seen.checked_shl(ahead as u32).unwrap_or(0) | 1;
            self.highest = seq;
            self.missing += ahead as u64 - 1;
            return if ahead == 1 { Arrival::InOrder } else { Arrival::After(ahead as u32 - 1) };
        }
        let bit = 1u64.checked_shl(ahead.unsigned_abs()).unwrap_or(0);
        if bit == 0 || self.seen & bit != 0 {
            // Older than we remember counts as a copy: a loss is never taken back wrongly.
            self.duplicates += 1;
            return Arrival::Again;
        }
        self.seen |= bit;
        self.missing -= self.missing.min(1);
        self.reordered += 1;
        Arrival::Late
    }

    /// The same for 16-bit numbers that wrap, as RTP has them.
    pub fn note_u16(&mut self, seq: u16) -> Arrival {
        let step = seq.wrapping_sub(self.highest as u16) as i16;
        let near = self.highest.wrapping_add_signed(i32::from(step));
        self.note(if self.started { near } else { u32::from(seq) })
    }

    /// The highest number so far.
    pub const fn highest(&self) -> Option<u32> {
        if self.started { Some(self.highest) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Arrival::{After, Again, InOrder, Late};

    #[test]
    fn holes_are_counted_and_filled() {
        let mut order = Order::default();
        let arrivals = [10, 11, 14, 12, 12, 15, 13].map(|seq| order.note(seq));
        assert_eq!(arrivals, [InOrder, InOrder, After(2), Late, Again, InOrder, Late]);
        assert_eq!((order.missing, order.reordered, order.duplicates), (0, 2, 1));
        assert_eq!(order.note(200), After(184));
        assert_eq!(order.note(9), Again);
        assert_eq!(order.missing, 184);
    }

    #[test]
    fn sixteen_bits_wrap() {
        let mut order = Order::default();
        let arrivals = [65_534, 65_535, 1, 0, 2].map(|seq| order.note_u16(seq));
        assert_eq!(arrivals, [InOrder, InOrder, After(1), Late, InOrder]);
        assert_eq!((order.missing, order.reordered, order.duplicates), (0, 1, 0));
    }

    #[test]
    fn what_came_before_the_first_is_no_loss() {
        let mut order = Order::default();
        order.note(50);
        assert_eq!(order.note(49), Again);
        assert_eq!(order.missing, 0);
    }
}
