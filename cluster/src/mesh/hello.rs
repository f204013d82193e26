//! Frames on streams, and the first of them.

use tokio::io::{AsyncRead, AsyncReadExt as _};
use weft_proto::limits::HELLO_BYTES_MAX;
use weft_proto::wire::hello::{Greeting, Hello};
use weft_proto::wire::{FRAME_HEAD_BYTES, Frame, FrameHead};

use super::refusal::Refusal;

/// Reads the head of a frame; `None` if there is none, or it is too long for its kind.
pub(crate) async fn read_head(
    from: &mut (impl AsyncRead + Unpin),
    longest: impl Fn(u16) -> usize,
) -> Option<FrameHead> {
    let mut head = [0; FRAME_HEAD_BYTES];
    from.read_exact(&mut head).await.ok()?;
    let head = FrameHead::read(head, usize::MAX).ok()?;
    (head.length <= longest(head.kind)).then_some(head)
}

/// Reads what follows a head.
pub(crate) async fn read_body(from: &mut (impl AsyncRead + Unpin), head: FrameHead) -> Option<Frame> {
    // Grows with what comes, so that a length that is only claimed costs nothing.
    let mut body = Vec::with_capacity(head.length.min(FIRST_BYTES));
    let length = u64::try_from(head.length).ok()?;
    from.take(length).read_to_end(&mut body).await.ok()?;
    (body.len() == head.length).then(|| Frame { kind: head.kind, body: body.into() })
}

/// Reads who the other side is.
pub(super) async fn read_hello(from: &mut (impl AsyncRead + Unpin)) -> Result<Hello, Refusal> {
    let head = read_head(from, |_| HELLO_BYTES_MAX).await.ok_or(Refusal::BadHello)?;
    let frame = read_body(from, head).await.ok_or(Refusal::BadHello)?;
    match Greeting::decode(&frame) {
        Ok(Some(Greeting::Hello(hello))) => Ok(hello),
        Ok(None) | Err(_) => Err(Refusal::BadHello),
    }
}

const FIRST_BYTES: usize = 16 << 10;
