//! Bodies that are shared with other clients: pieces that somebody made once.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use smallvec::SmallVec;

/// The pieces that are still to be sent.
#[derive(Debug, Default)]
pub struct Body {
    pieces: SmallVec<[Bytes; 1]>,
    next: usize,
    left: u64,
}

impl Body {
    /// A body of these pieces, in order.
    pub fn pieces(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        let pieces: SmallVec<[Bytes; 1]> = pieces.into_iter().collect();
        let left = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { pieces, next: 0, left }
    }

    /// Bytes that are still to be sent.
    pub const fn len(&self) -> u64 {
        self.left
    }

    /// Whether nothing is left to be sent.
    pub const fn is_empty(&self) -> bool {
        self.left == 0
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(whole: T) -> Self {
        Self::pieces([whole.into()])
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        let Some(piece) = this.pieces.get_mut(this.next).map(std::mem::take) else { return Poll::Ready(None) };
        this.next += 1;
        this.left -= piece.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
