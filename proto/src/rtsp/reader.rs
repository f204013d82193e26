//! Takes messages and interleaved frames out of a stream of bytes (RFC 2326 sections 4, 10.12).
//!
//! Lenient, because encoders and cameras are: bare line feeds, folded and misspaced fields, blank lines between
//! messages. Interleaved frames are slices of the buffer, never copied.

use bytes::{Buf, Bytes, BytesMut};

use super::message::{Headers, Method, Request, Response, Version};
use super::status::Status;
use crate::limits::{RTSP_BODY_BYTES_MAX, RTSP_HEAD_BYTES_MAX, RTSP_HEADERS_MAX};

/// Cuts a byte stream into [`Incoming`]s.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: BytesMut,
    /// Bytes at the front of the buffer where no head ends, so that none is looked at twice.
    scanned: usize,
    /// A message whose head is complete and whose body is not.
    open: Option<(Incoming, usize)>,
}

/// What arrives on an RTSP connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// The peer asks.
    Request(Request),
    /// The peer answers.
    Response(Response),
    /// RTP or RTCP inside the connection.
    Interleaved {
        /// The channel it came on.
        channel: u8,
        /// One packet.
        data: Bytes,
    },
}

/// Why a connection cannot be read further. It is to be closed, after a response with [`ReadError::status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Not RTSP.
    #[error("bytes are no RTSP message")]
    Syntax,
    /// The first line does not end within the bound of a head.
    #[error("request line above {RTSP_HEAD_BYTES_MAX} bytes")]
    UriTooLarge,
    /// The head does not end within its bound.
    #[error("message head above {RTSP_HEAD_BYTES_MAX} bytes")]
    HeadTooLarge,
    /// Too many header fields.
    #[error("more than {RTSP_HEADERS_MAX} header fields")]
    TooManyHeaders,
    /// The body's announced length is above its bound.
    #[error("body above {RTSP_BODY_BYTES_MAX} bytes")]
    BodyTooLarge,
}

impl ReadError {
    /// The status to answer before closing.
    pub const fn status(self) -> Status {
        match self {
            Self::Syntax | Self::HeadTooLarge | Self::TooManyHeaders => Status::BAD_REQUEST,
            Self::UriTooLarge => Status::REQUEST_URI_TOO_LARGE,
            Self::BodyTooLarge => Status::REQUEST_ENTITY_TOO_LARGE,
        }
    }
}

impl Reader {
    /// A reader at the beginning of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where arriving bytes are appended. The caller reserves room and reads the socket into it, nothing else; it holds
    /// at most one incomplete item once [`Reader::next`] has said `None`: 64 KiB of frame or body, or 16 KiB of head.
    pub const fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next complete item; `None` when more bytes are needed. After an error the connection is of no more use.
    #[expect(clippy::should_implement_trait, reason = "fallible and not final: None means not yet")]
    pub fn next(&mut self) -> Result<Option<Incoming>, ReadError> {
        if self.open.is_none() {
            self.skip_blank();
            match self.buffer.first() {
                None => return Ok(None),
                Some(b'$') => return Ok(self.frame()),
                // A TLS hello or plain noise is told from a method at its first byte.
                Some(byte) if !byte.is_ascii_alphabetic() => return Err(ReadError::Syntax),
                Some(_) => self.open = self.head()?,
            }
        }
        Ok(self.body())
    }

    fn skip_blank(&mut self) {
        if matches!(self.buffer.first(), Some(b'\r' | b'\n')) {
            let blank = self.buffer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            self.buffer.advance(blank);
        }
    }

    fn frame(&mut self) -> Option<Incoming> {
        let &[_, channel, high, low] = self.buffer.first_chunk()?;
        let end = FRAME_HEADER_BYTES + usize::from(u16::from_be_bytes([high, low]));
        if self.buffer.len() < end {
            return None;
        }
        let mut data = self.buffer.split_to(end).freeze();
        data.advance(FRAME_HEADER_BYTES);
        Some(Incoming::Interleaved { channel, data })
    }

    fn head(&mut self) -> Result<Option<(Incoming, usize)>, ReadError> {
        let bounded = &self.buffer[..self.buffer.len().min(RTSP_HEAD_BYTES_MAX)];
        let Some(end) = head_end(bounded, &mut self.scanned) else {
            return match (bounded.len() < RTSP_HEAD_BYTES_MAX, bounded.contains(&b'\n')) {
                (true, _) => Ok(None),
                (false, true) => Err(ReadError::HeadTooLarge),
                (false, false) => Err(ReadError::UriTooLarge),
            };
        };
        let parsed = parse_head(&String::from_utf8_lossy(&bounded[..end]))?;
        self.scanned = 0;
        self.buffer.advance(end);
        Ok(Some(parsed))
    }

    fn body(&mut self) -> Option<Incoming> {
        let (mut message, length) = self.open.take()?;
        if self.buffer.len() < length {
            self.open = Some((message, length));
            return None;
        }
        if length > 0 {
            // Copied, so that a description kept for long does not keep the receive buffer.
            let bytes = Bytes::copy_from_slice(&self.buffer[..length]);
            self.buffer.advance(length);
            match &mut message {
                Incoming::Request(request) => request.body = bytes,
                Incoming::Response(response) => response.body = bytes,
                Incoming::Interleaved { .. } => {}
            }
        }
        Some(message)
    }
}

/// The four bytes before an interleaved packet (RFC 2326 section 10.12); `None` when it is too long for the field.
pub fn write_interleaved_header(channel: u8, bytes: usize) -> Option<[u8; FRAME_HEADER_BYTES]> {
    let [high, low] = u16::try_from(bytes).ok()?.to_be_bytes();
    Some([b'$', channel, high, low])
}

/// The index after the blank line that ends a head. `scanned` moves on to the last line break not yet decided.
fn head_end(bytes: &[u8], scanned: &mut usize) -> Option<usize> {
    while let Some(found) = bytes[*scanned..].iter().position(|byte| *byte == b'\n') {
        let line_end = *scanned + found;
        *scanned = line_end;
        match &bytes[line_end + 1..] {
            [b'\n', ..] => return Some(line_end + 2),
            [b'\r', b'\n', ..] => return Some(line_end + 3),
            [] | [b'\r'] => return None,
            _ => *scanned += 1,
        }
    }
    *scanned = bytes.len();
    None
}

fn parse_head(head: &str) -> Result<(Incoming, usize), ReadError> {
    let mut lines = head.split('\n').map(|line| line.trim_end_matches('\r'));
    let first = lines.next().unwrap_or_default().trim();
    let mut message = parse_first_line(first).ok_or(ReadError::Syntax)?;
    let headers = parse_fields(lines)?;
    let length = body_length(&headers)?;
    match &mut message {
        Incoming::Request(request) => request.headers = headers,
        Incoming::Response(response) => response.headers = headers,
        Incoming::Interleaved { .. } => {}
    }
    Ok((message, length))
}

fn parse_first_line(line: &str) -> Option<Incoming> {
    let (first, rest) = line.split_once(|c: char| c.is_ascii_whitespace())?;
    if parse_version(first).is_some() {
        let (code, reason) = rest.trim_start().split_once(' ').unwrap_or((rest.trim(), ""));
        let mut response = Response::new(Status::new(code.parse().ok()?)?);
        response.reason = reason.trim().to_owned().into();
        return Some(Incoming::Response(response));
    }
    // Cameras and people put spaces into URIs: all between method and version is the URI.
    let (uri, version) = rest.trim().rsplit_once(|c: char| c.is_ascii_whitespace())?;
    let mut request = Request::new(Method::from_name(first), uri.trim());
    request.version = parse_version(version)?;
    Some(Incoming::Request(request))
}

fn parse_version(text: &str) -> Option<Version> {
    let (name, numbers) = text.split_once('/')?;
    let (major, minor) = numbers.split_once('.')?;
    let version = Version { major: major.parse().ok()?, minor: minor.parse().ok()? };
    name.eq_ignore_ascii_case("RTSP").then_some(version)
}

fn parse_fields<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Headers, ReadError> {
    let mut headers = Headers::new();
    for line in lines {
        if line.starts_with([' ', '\t']) && headers.fold(line.trim()) {
            continue;
        }
        // Lines without a colon are noise that we pass over.
        let Some((name, value)) = line.split_once(':') else { continue };
        if headers.len() == RTSP_HEADERS_MAX {
            return Err(ReadError::TooManyHeaders);
        }
        headers.push(name.trim().to_owned(), value.trim());
    }
    Ok(headers)
}

fn body_length(headers: &Headers) -> Result<usize, ReadError> {
    match headers.get("Content-Length") {
        None | Some("") => Ok(0),
        Some(text) if !text.bytes().all(|byte| byte.is_ascii_digit()) => Err(ReadError::Syntax),
        Some(text) => match text.parse() {
            Ok(length) if length <= RTSP_BODY_BYTES_MAX => Ok(length),
            _ => Err(ReadError::BodyTooLarge),
        },
    }
}

/// `$`, channel, two bytes of length.
const FRAME_HEADER_BYTES: usize = 4;

#[cfg(test)]
mod tests;
