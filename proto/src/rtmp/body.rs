//! The bytes of a message: slices of what arrived, in order, read from the front.

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

/// A message's bytes, one slice for each piece that they came in. Reading takes from the front and copies nothing.
#[derive(Clone, Debug, Default)]
pub struct Body {
    slices: SmallVec<[Bytes; 2]>,
    /// Slices before this one are read.
    first: usize,
    bytes: usize,
}

impl Body {
    /// Adds bytes at the end.
    pub fn push(&mut self, slice: Bytes) {
        if !slice.is_empty() {
            self.bytes += slice.len();
            self.slices.push(slice);
        }
    }

    /// Bytes that are left.
    pub const fn len(&self) -> usize {
        self.bytes
    }

    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// What is left, in order. No slice is empty.
    pub fn slices(&self) -> &[Bytes] {
        &self.slices[self.first..]
    }

    /// Takes the next `N` bytes; nothing is taken when there are fewer.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let array = self.peek()?;
        self.advance(N);
        Some(array)
    }

    /// The next `N` bytes, without taking them.
    pub fn peek<const N: usize>(&self) -> Option<[u8; N]> {
        if self.bytes < N {
            return None;
        }
        let mut array = [0; N];
        let all = self.slices().iter().flat_map(|slice| slice.iter());
        array.iter_mut().zip(all).for_each(|(to, byte)| *to = *byte);
        Some(array)
    }

    /// Takes one byte.
    pub fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Takes a number of three bytes.
    pub fn u24(&mut self) -> Option<u32> {
        self.array::<3>().map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    /// Takes a signed number of three bytes.
    pub fn i24(&mut self) -> Option<i32> {
        self.u24().map(|value| ((value << 8) as i32) >> 8)
    }

    /// Takes the next `count` bytes as a body of their own; nothing is taken when there are fewer.
    pub fn split_to(&mut self, count: usize) -> Option<Body> {
        if self.bytes < count {
            return None;
        }
        let mut front = Body::default();
        let mut missing = count;
        while missing > 0 {
            let slice = &mut self.slices[self.first];
            if slice.len() <= missing {
                missing -= slice.len();
                front.push(core::mem::take(slice));
                self.first += 1;
            } else {
                front.push(slice.split_to(missing));
                missing = 0;
            }
        }
        self.bytes -= count;
        Some(front)
    }

    /// What is left in one piece: shared when it is one slice, copied when it is several.
    pub fn to_bytes(&self) -> Bytes {
        match self.slices() {
            [] => Bytes::new(),
            [only] => only.clone(),
            several => {
                let mut joined = BytesMut::with_capacity(self.bytes);
                several.iter().for_each(|slice| joined.extend_from_slice(slice));
                joined.freeze()
            }
        }
    }

    /// What is left, copied: for what is kept for long and must not keep the receive buffer.
    pub fn copied(&self) -> Bytes {
        let mut copy = BytesMut::with_capacity(self.bytes);
        self.slices().iter().for_each(|slice| copy.extend_from_slice(slice));
        copy.freeze()
    }

    /// Slices that are left.
    pub fn count(&self) -> usize {
        self.slices.len() - self.first
    }

    /// Joins the last slices, from number `from` on, into one.
    pub(super) fn join_from(&mut self, from: usize) {
        let tail: SmallVec<[Bytes; 2]> = self.slices.drain(self.first + from..).collect();
        let bytes: usize = tail.iter().map(Bytes::len).sum();
        let mut joined = BytesMut::with_capacity(bytes);
        tail.iter().for_each(|slice| joined.extend_from_slice(slice));
        self.slices.push(joined.freeze());
    }

    fn advance(&mut self, count: usize) {
        self.bytes -= count;
        let mut missing = count;
        while missing > 0 {
            let slice = &mut self.slices[self.first];
            let taken = slice.len().min(missing);
            let _ = slice.split_to(taken);
            missing -= taken;
            self.first += usize::from(slice.is_empty());
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        let mut body = Self::default();
        body.push(bytes);
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> Body {
        let mut body = Body::default();
        [&b"ab"[..], b"", b"cde", b"f"].into_iter().for_each(|slice| body.push(Bytes::from_static(slice)));
        body
    }

    #[test]
    fn reading_crosses_slices() {
        let mut body = body();
        assert_eq!((body.peek::<3>(), body.len()), (Some(*b"abc"), 6));
        assert_eq!(body.array::<3>(), Some(*b"abc"));
        assert_eq!(body.split_to(2).unwrap().to_bytes(), &b"de"[..]);
        assert_eq!(body.array::<2>(), None);
        assert_eq!((body.byte(), body.byte(), body.is_empty()), (Some(b'f'), None, true));
    }

    #[test]
    fn what_is_split_shares_memory() {
        let whole = Bytes::from_static(b"0123456789");
        let mut body = Body::from(whole.clone());
        let front = body.split_to(4).unwrap();
        assert_eq!(front.slices()[0].as_ptr(), whole.as_ptr());
        assert_eq!(body.to_bytes().as_ptr(), whole[4..].as_ptr());
    }

    #[test]
    fn numbers_of_three_bytes_have_a_sign() {
        let mut body = Body::from(Bytes::from_static(&[0xff, 0xff, 0xfe, 0, 1, 0]));
        assert_eq!((body.i24(), body.u24()), (Some(-2), Some(256)));
    }

    #[test]
    fn joined_slices_hold_the_same_bytes() {
        let mut body = body();
        body.array::<1>();
        body.join_from(1);
        assert_eq!((body.count(), body.to_bytes()), (2, Bytes::from_static(b"bcdef")));
    }
}
