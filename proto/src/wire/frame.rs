//! Frames: how a message is told from the next one, and a known one from an unknown.

use bytes::Bytes;

use super::to_bytes;

/// The version of the framing itself. Another one is another language: the connection is closed.
pub const VERSION: u8 = 1;

/// Bytes before the body: version, kind, length, in network order.
pub const FRAME_HEAD_BYTES: usize = 7;

/// What stands before a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// The kind of message.
    pub kind: u16,
    /// Bytes of the body.
    pub length: usize,
}

/// A message that has arrived, not yet looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The kind of message.
    pub kind: u16,
    /// The body.
    pub body: Bytes,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Another framing.
    #[error("the frame has version {0}, which this node does not speak")]
    Version(u8),
    /// Longer than the reader allows.
    #[error("the frame has {0} bytes, which is more than is allowed here")]
    TooLong(usize),
    /// Shorter than it says, or with something behind it.
    #[error("the frame is cut or has something behind it")]
    Length,
}

impl FrameHead {
    /// Reads a head, and refuses bodies longer than `longest`.
    pub fn read(bytes: [u8; FRAME_HEAD_BYTES], longest: usize) -> Result<Self, FrameError> {
        let [version, kind_high, kind_low, length @ ..] = bytes;
        if version != VERSION {
            return Err(FrameError::Version(version));
        }
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > longest {
            return Err(FrameError::TooLong(length));
        }
        Ok(Self { kind: u16::from_be_bytes([kind_high, kind_low]), length })
    }
}

impl Frame {
    /// A whole frame with this body.
    pub fn write(kind: u16, body: &impl bincode::Encode) -> Vec<u8> {
        let body = to_bytes(body);
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        let mut frame = Vec::with_capacity(FRAME_HEAD_BYTES + body.len());
        frame.push(VERSION);
        frame.extend_from_slice(&kind.to_be_bytes());
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(&body);
        frame
    }

    /// Reads exactly one frame, as a datagram or a whole stream holds it.
    pub fn read(mut bytes: Bytes, longest: usize) -> Result<Self, FrameError> {
        let head = bytes.first_chunk::<FRAME_HEAD_BYTES>().ok_or(FrameError::Length)?;
        let FrameHead { kind, length } = FrameHead::read(*head, longest)?;
        let body = bytes.split_off(FRAME_HEAD_BYTES);
        if body.len() != length {
            return Err(FrameError::Length);
        }
        Ok(Self { kind, body })
    }
}
