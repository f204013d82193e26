//! Frames on a subscription's stream.

use std::time::Duration;

use bytes::BytesMut;
use quinn::{RecvStream, SendStream};
use tokio::time::timeout;
use weft_proto::wire::{FRAME_HEAD_BYTES, Frame, FrameHead};

use crate::limits::RELAY_MESSAGE_BYTES_MAX;

/// The stream has ended, or what comes on it is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoWord;

/// The next frame, which must be whole within `within` once it has begun.
pub(super) async fn read(recv: &mut RecvStream, within: Duration) -> Result<Frame, NoWord> {
    let mut head = [0; FRAME_HEAD_BYTES];
    recv.read_exact(&mut head).await.map_err(|_| NoWord)?;
    let FrameHead { kind, length } = FrameHead::read(head, RELAY_MESSAGE_BYTES_MAX).map_err(|_| NoWord)?;
    let body = timeout(within, read_body(recv, length)).await.map_err(|_| NoWord)??;
    Ok(Frame { kind, body: body.freeze() })
}

/// Memory is asked for as bytes come, not as they are announced.
async fn read_body(recv: &mut RecvStream, length: usize) -> Result<BytesMut, NoWord> {
    let mut body = BytesMut::new();
    while body.len() < length {
        let chunk = recv.read_chunk(length - body.len(), true).await.map_err(|_| NoWord)?.ok_or(NoWord)?;
        body.extend_from_slice(&chunk.bytes);
    }
    Ok(body)
}

/// Writes a frame.
pub(super) async fn write(send: &mut SendStream, frame: Vec<u8>) -> Result<(), NoWord> {
    send.write_chunk(frame.into()).await.map_err(|_| NoWord)
}
