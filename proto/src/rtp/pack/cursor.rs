//! A place in the slices of one or several frames.

use bytes::Bytes;

use super::PacketSink;
use crate::media::Frame;

/// Gives out the bytes of a frame piece by piece, without joining its slices.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    slices: &'a [Bytes],
    /// Bytes of the first slice that are gone.
    offset: usize,
    left: usize,
}

impl<'a> Cursor<'a> {
    /// Starts at the first byte.
    pub(super) fn new(frame: Frame<'a>) -> Self {
        Self { slices: frame.slices(), offset: 0, left: frame.len() }
    }

    /// Bytes not yet given out.
    pub(super) const fn left(&self) -> usize {
        self.left
    }

    /// Passes over `count` bytes.
    pub(super) fn skip(&mut self, count: usize) {
        self.advance(count, |_| {});
    }

    /// Puts the next `count` bytes, or as many as there are.
    pub(super) fn put(&mut self, count: usize, sink: &mut impl PacketSink) {
        self.advance(count, |piece| sink.put(piece));
    }

    fn advance(&mut self, mut count: usize, mut each: impl FnMut(&[u8])) {
        while let ([slice, behind @ ..], 1..) = (self.slices, count) {
            let piece = &slice[self.offset..];
            let piece = &piece[..piece.len().min(count)];
            each(piece);
            count -= piece.len();
            self.left -= piece.len();
            self.offset += piece.len();
            if self.offset == slice.len() {
                (self.slices, self.offset) = (behind, 0);
            }
        }
    }
}
