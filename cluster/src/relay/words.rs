//! Frames on a subscription's stream.

use std::time::Duration;

use quinn::{RecvStream, SendStream};
use tokio::time::timeout;
use weft_proto::wire::Frame;

use crate::limits::RELAY_MESSAGE_BYTES_MAX;
use crate::mesh::{read_body, read_head};

/// The stream has ended, or what comes on it is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoWord;

/// The next frame, which must be whole within `within` once it has begun.
pub(super) async fn read(recv: &mut RecvStream, within: Duration) -> Result<Frame, NoWord> {
    let head = read_head(recv, |_| RELAY_MESSAGE_BYTES_MAX).await.ok_or(NoWord)?;
    timeout(within, read_body(recv, head)).await.ok().flatten().ok_or(NoWord)
}

/// Writes a frame.
pub(super) async fn write(send: &mut SendStream, frame: Vec<u8>) -> Result<(), NoWord> {
    send.write_chunk(frame.into()).await.map_err(|_| NoWord)
}
