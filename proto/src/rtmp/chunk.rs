//! Takes messages out of a stream of chunks (Adobe's RTMP 1.0, section 5.3).
//!
//! Messages of different chunk streams interleave; each chunk stream has its own state. A message's body is slices of the
//! receive buffer. Chunk size and abort are the reader's own affair and are not handed out.

use bytes::{Buf, Bytes, BytesMut};

use super::Body;
use super::message::{Message, kind};
use crate::limits::{RTMP_CHUNK_STREAMS_MAX, RTMP_COMMAND_BYTES_MAX, RTMP_UNFINISHED_MAX, UNIT_BYTES_MAX};

/// Cuts a byte stream into [`Message`]s.
#[derive(Debug)]
pub struct ChunkReader {
    buffer: BytesMut,
    /// The peer's chunk size (section 5.4.1).
    chunk_bytes: usize,
    streams: Vec<ChunkStream>,
    /// The chunk that is being read: index of its stream, and bytes of it that are not here yet.
    open: Option<(usize, usize)>,
    /// Bytes of all messages that are not complete.
    unfinished_bytes: usize,
    message_bytes_max: usize,
}

/// Why a connection cannot be read further. It is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkError {
    /// A chunk refers to a header that was never sent.
    #[error("chunk stream {0} begins without a full header")]
    NoHeader(u32),
    /// Zero, or with the highest bit set (section 5.4.1).
    #[error("chunk size of {0:#x}")]
    ChunkSize(u32),
    /// A control message of the chunk layer has another length than it must.
    #[error("control message of the wrong length")]
    Control,
    /// A message is announced that is longer than may be.
    #[error("message of {bytes} bytes, {max} are allowed")]
    MessageTooLarge {
        /// Its announced length.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// More is begun than may be at once.
    #[error("too much is begun and not finished")]
    TooMuchUnfinished,
    /// More than [`RTMP_CHUNK_STREAMS_MAX`].
    #[error("more than {RTMP_CHUNK_STREAMS_MAX} chunk streams")]
    TooManyStreams,
}

/// The message header of a chunk stream (section 5.3.1.2), and what has come of its message.
#[derive(Debug, Default)]
struct ChunkStream {
    id: u32,
    timestamp: u32,
    /// What a header without time adds (section 5.3.1.2.4).
    delta: u32,
    /// The timestamp or delta, where it did not fit into three bytes.
    extended: Option<u32>,
    length: usize,
    kind: u8,
    stream_id: u32,
    body: Body,
    /// Small pieces, joined.
    tail: BytesMut,
    /// Pieces of the body since the last ones were joined.
    pieces: usize,
}

/// The size of chunks before the peer sets another (section 5.4.1).
const CHUNK_BYTES: usize = 128;

/// Pieces smaller than this are copied together: a slice costs 32 bytes, and time at every step after this one. Encoders
/// that care send chunks of 4,096 bytes and more.
const PIECE_BYTES_MIN: usize = 1024;

/// Bytes of a chunk that are waited for, so that they are one slice; of a larger chunk, pieces of this size are taken.
const PIECE_BYTES_MAX: usize = 32 << 10;

/// Slices after which they are joined: each may keep a receive buffer of 64 KB, of which the peer may have used the rest
/// for something else. At 4,096 bytes a chunk, only what is above 512 KB is copied.
const PIECES_MAX: usize = 128;

/// Longest chunk header: basic header of 3, message header of 11, extended timestamp of 4 bytes.
const HEADER_BYTES_MAX: usize = 18;

/// What stands in the three bytes when a timestamp does not fit.
const EXTENDED: u32 = 0xff_ffff;

impl Default for ChunkReader {
    fn default() -> Self {
        Self::new()
    }
}

impl ChunkReader {
    /// A reader behind the handshake, for messages as small as commands; see [`Self::allow_media`].
    pub fn new() -> Self {
        Self {
            buffer: BytesMut::new(),
            chunk_bytes: CHUNK_BYTES,
            streams: Vec::new(),
            open: None,
            unfinished_bytes: 0,
            message_bytes_max: RTMP_COMMAND_BYTES_MAX,
        }
    }

    /// The peer may send media: messages may be as long as units.
    pub const fn allow_media(&mut self) {
        self.message_bytes_max = UNIT_BYTES_MAX;
    }

    /// Where arriving bytes are appended. The caller reserves room and reads the socket into it, nothing else; it holds
    /// 32 KB of one chunk and a header at most once [`ChunkReader::next`] has said `None`.
    pub const fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next complete message; `None` when more bytes are needed. After an error the connection is of no more use.
    #[expect(clippy::should_implement_trait, reason = "fallible and not final: None means not yet")]
    pub fn next(&mut self) -> Result<Option<Message>, ChunkError> {
        loop {
            let Some((index, left)) = self.open else {
                if self.header()? {
                    continue;
                }
                return Ok(None);
            };
            let take = left.min(PIECE_BYTES_MAX);
            if self.buffer.len() < take {
                return Ok(None);
            }
            let piece = self.buffer.split_to(take).freeze();
            self.open = (left > take).then_some((index, left - take));
            self.take(index, piece)?;
            if self.open.is_none()
                && self.streams[index].is_complete()
                && let Some(message) = self.finish(index)?
            {
                return Ok(Some(message));
            }
        }
    }

    /// Reads a chunk's header. Whether it was there.
    fn header(&mut self) -> Result<bool, ChunkError> {
        let Some(basic) = BasicHeader::read(&self.buffer) else { return Ok(false) };
        let message_header = [11, 7, 3, 0][usize::from(basic.format)];
        let Some(fields) = self.buffer.get(basic.len..basic.len + message_header) else { return Ok(false) };
        let known = self.streams.iter().position(|stream| stream.id == basic.id);
        // librtmp begins with a header without stream id; the other two have nothing to begin with.
        if known.is_none() && basic.format > 1 {
            return Err(ChunkError::NoHeader(basic.id));
        }
        let after = &self.buffer[basic.len + message_header..];
        let three = fields.first_chunk().map(|[a, b, c]| u32::from_be_bytes([0, *a, *b, *c]));
        let extended = match three {
            Some(EXTENDED) => match after.first_chunk() {
                Some(four) => Some(u32::from_be_bytes(*four)),
                None => return Ok(false),
            },
            Some(_) => None,
            None => match known.and_then(|index| self.streams[index].extended) {
                Some(value) => match repeats(after, value) {
                    Some(true) => Some(value),
                    Some(false) => None,
                    None => return Ok(false),
                },
                None => None,
            },
        };
        let header = Header {
            format: basic.format,
            time: extended.or(three),
            length_kind: length_and_kind(fields),
            stream_id: stream_id(fields),
        };
        if let Some((length, _)) = header.length_kind
            && length > self.message_bytes_max
        {
            return Err(ChunkError::MessageTooLarge { bytes: length, max: self.message_bytes_max });
        }
        let len = basic.len + message_header + if extended.is_some() { 4 } else { 0 };
        debug_assert!(len <= HEADER_BYTES_MAX);
        self.buffer.advance(len);
        let index = match known {
            Some(index) => index,
            None if self.streams.len() == RTMP_CHUNK_STREAMS_MAX => return Err(ChunkError::TooManyStreams),
            None => {
                self.streams.push(ChunkStream { id: basic.id, ..ChunkStream::default() });
                self.streams.len() - 1
            }
        };
        let stream = &mut self.streams[index];
        self.unfinished_bytes -= stream.begin(&header, three == Some(EXTENDED));
        self.open = Some((index, (stream.length - stream.filled()).min(self.chunk_bytes)));
        Ok(true)
    }

    fn take(&mut self, index: usize, piece: Bytes) -> Result<(), ChunkError> {
        self.unfinished_bytes += piece.len();
        let stream = &mut self.streams[index];
        stream.add(piece);
        let begun = self.streams.iter().filter(|stream| stream.filled() > 0).count();
        // What is complete is taken out at once; the bound is for what lies here until more comes.
        if self.unfinished_bytes > 2 * self.message_bytes_max || begun > RTMP_UNFINISHED_MAX {
            return Err(ChunkError::TooMuchUnfinished);
        }
        Ok(())
    }

    /// Takes the complete message out. What concerns chunks is done here.
    fn finish(&mut self, index: usize) -> Result<Option<Message>, ChunkError> {
        let stream = &mut self.streams[index];
        self.unfinished_bytes -= stream.filled();
        let message = stream.finish();
        match message.kind {
            kind::SET_CHUNK_SIZE => {
                let size = u32::from_be_bytes(message.body.peek().ok_or(ChunkError::Control)?);
                if size == 0 || size > i32::MAX as u32 {
                    return Err(ChunkError::ChunkSize(size));
                }
                self.chunk_bytes = size as usize;
                Ok(None)
            }
            kind::ABORT => {
                let id = u32::from_be_bytes(message.body.peek().ok_or(ChunkError::Control)?);
                if let Some(aborted) = self.streams.iter_mut().find(|stream| stream.id == id) {
                    self.unfinished_bytes -= aborted.abandon();
                }
                Ok(None)
            }
            _ => Ok(Some(message)),
        }
    }
}

/// Whether a header without time is followed by the extended timestamp of the one before, as it must be; `None` when
/// that cannot be seen yet. Old encoders (and Flash Media Live Encoder) leave it out.
fn repeats(after: &[u8], value: u32) -> Option<bool> {
    let expected = value.to_be_bytes();
    let seen = after.len().min(expected.len());
    if after[..seen] != expected[..seen] {
        return Some(false);
    }
    (seen == expected.len()).then_some(true)
}

/// The first bytes of a chunk (section 5.3.1.1).
#[derive(Clone, Copy, Debug)]
struct BasicHeader {
    format: u8,
    id: u32,
    len: usize,
}

impl BasicHeader {
    fn read(bytes: &[u8]) -> Option<Self> {
        let first = *bytes.first()?;
        let format = first >> 6;
        Some(match first & 0x3f {
            0 => Self { format, id: 64 + u32::from(*bytes.get(1)?), len: 2 },
            1 => {
                let [low, high] = [*bytes.get(1)?, *bytes.get(2)?];
                Self { format, id: 64 + u32::from(u16::from_le_bytes([low, high])), len: 3 }
            }
            id => Self { format, id: id.into(), len: 1 },
        })
    }
}

/// A message header as it stands in a chunk; what it leaves out is `None`.
struct Header {
    format: u8,
    /// Timestamp in format 0, else a delta.
    time: Option<u32>,
    length_kind: Option<(usize, u8)>,
    stream_id: Option<u32>,
}

fn length_and_kind(fields: &[u8]) -> Option<(usize, u8)> {
    let [a, b, c, kind] = *fields.get(3..)?.first_chunk()?;
    Some((u32::from_be_bytes([0, a, b, c]) as usize, kind))
}

fn stream_id(fields: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(*fields.get(7..)?.first_chunk()?))
}

impl ChunkStream {
    /// Takes up a header. Says how many bytes of an unfinished message it made worthless.
    fn begin(&mut self, header: &Header, is_extended: bool) -> usize {
        let abandoned = if self.filled() == 0 || self.goes_on(header) {
            0
        } else {
            // A new header inside a message: the sender has given it up.
            self.abandon()
        };
        if self.filled() > 0 {
            return abandoned;
        }
        if let Some((length, kind)) = header.length_kind {
            (self.length, self.kind) = (length, kind);
        }
        self.stream_id = header.stream_id.unwrap_or(self.stream_id);
        if header.format < 3 {
            self.extended = header.time.filter(|_| is_extended);
            self.delta = header.time.unwrap_or(0);
        }
        self.timestamp = if header.format == 0 { self.delta } else { self.timestamp.wrapping_add(self.delta) };
        abandoned
    }

    /// Whether a header inside a message continues it: one without fields, or (as some serialisers repeat it) the same.
    fn goes_on(&self, header: &Header) -> bool {
        header.format == 3
            || header.format == 0
                && header.time == Some(self.timestamp)
                && header.length_kind == Some((self.length, self.kind))
    }

    fn filled(&self) -> usize {
        self.body.len() + self.tail.len()
    }

    fn is_complete(&self) -> bool {
        self.filled() == self.length
    }

    fn add(&mut self, piece: Bytes) {
        if piece.len() < PIECE_BYTES_MIN && piece.len() < self.length {
            self.tail.extend_from_slice(&piece);
            return;
        }
        self.flush_tail();
        self.body.push(piece);
        self.pieces += 1;
        if self.pieces == PIECES_MAX {
            self.body.join_from(self.body.count() - PIECES_MAX);
            self.pieces = 0;
        }
    }

    fn flush_tail(&mut self) {
        if !self.tail.is_empty() {
            self.body.push(core::mem::take(&mut self.tail).freeze());
            // Not a piece of the receive buffer, but it counts, so that the pieces are always the last slices.
            self.pieces += 1;
            if self.pieces == PIECES_MAX {
                self.body.join_from(self.body.count() - PIECES_MAX);
                self.pieces = 0;
            }
        }
    }

    fn finish(&mut self) -> Message {
        self.flush_tail();
        self.pieces = 0;
        let body = core::mem::take(&mut self.body);
        Message { kind: self.kind, stream_id: self.stream_id, timestamp: self.timestamp, body }
    }

    /// Forgets an unfinished message; says how many bytes it had.
    fn abandon(&mut self) -> usize {
        let filled = self.filled();
        self.body = Body::default();
        self.tail = BytesMut::new();
        self.pieces = 0;
        filled
    }
}

#[cfg(test)]
#[path = "chunk_tests.rs"]
mod tests;
