//! Walks the chunks of an RTMP connection (RTMP 1.0 section 5.3) as they come out of a socket, in pieces of any size,
//! keeping of a message only its beginning.

use weft_proto::rtmp::message::kind;

/// As much of a message as a reader looks at: the tag's head, parameter sets, a stamp.
const HEAD: usize = 512;

/// Longest header: basic header of 3, message header of 11, extended timestamp of 4 bytes.
const HEADER_MAX: usize = 18;

/// Messages longer than this are no messages.
const LENGTH_MAX: usize = 16 << 20;

/// What is no chunk.
#[derive(Debug, PartialEq, Eq)]
pub struct OutOfStep;

/// A complete message, which may be cut off after its head.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Its kind.
    pub kind: u8,
    /// Its message stream.
    pub stream_id: u32,
    /// Milliseconds.
    pub timestamp: u32,
    /// Its bytes, or the first of them.
    pub bytes: &'a [u8],
}

/// Where in the byte stream a connection stands.
#[derive(Debug)]
pub struct Wire {
    streams: Vec<Stream>,
    chunk_bytes: usize,
    header: Vec<u8>,
    /// The stream whose chunk is open, and how much of it is to come.
    open: Option<(usize, usize)>,
    /// Keep whole messages, not only their heads.
    pub whole: bool,
}

#[derive(Debug, Default)]
struct Stream {
    id: u32,
    timestamp: u32,
    delta: u32,
    extended: Option<u32>,
    length: usize,
    kind: u8,
    stream_id: u32,
    got: usize,
    kept: Vec<u8>,
}

impl Wire {
    /// At the first chunk; keeps whole messages until told otherwise.
    pub const fn new() -> Self {
        Self { streams: Vec::new(), chunk_bytes: 128, header: Vec::new(), open: None, whole: true }
    }

    /// Takes `data` and calls `each` for every message that is now complete.
    pub fn feed(&mut self, mut data: &[u8], mut each: impl FnMut(Message<'_>)) -> Result<(), OutOfStep> {
        loop {
            let Some((index, left)) = self.open else {
                if !self.read_header(&mut data)? {
                    return Ok(());
                }
                continue;
            };
            if left > 0 && data.is_empty() {
                return Ok(());
            }
            let take = left.min(data.len());
            let (piece, rest) = data.split_at(take);
            data = rest;
            let stream = &mut self.streams[index];
            let begins = stream.got == 0;
            stream.got += take;
            self.open = (left > take).then_some((index, left - take));
            if stream.got < stream.length {
                let room = if self.whole { take } else { take.min(HEAD.saturating_sub(stream.kept.len())) };
                stream.kept.extend_from_slice(&piece[..room]);
                continue;
            }
            self.open = None;
            stream.got = 0;
            let Stream { kind, stream_id, timestamp, kept, .. } = stream;
            let (kind, stream_id, timestamp) = (*kind, *stream_id, *timestamp);
            if !begins {
                let room = if self.whole { take } else { take.min(HEAD.saturating_sub(kept.len())) };
                kept.extend_from_slice(&piece[..room]);
            }
            let bytes = if begins { piece } else { &kept[..] };
            if kind == kind::SET_CHUNK_SIZE {
                let size = bytes.first_chunk().map_or(0, |size| u32::from_be_bytes(*size));
                self.chunk_bytes = size.max(1) as usize;
            } else {
                each(Message { kind, stream_id, timestamp, bytes });
            }
            self.streams[index].kept.clear();
        }
    }

    /// Takes a chunk's header. Whether all of it is here.
    fn read_header(&mut self, data: &mut &[u8]) -> Result<bool, OutOfStep> {
        // Nearly always the whole header is in `data`; else it is put together.
        let stashed = self.header.len();
        let mut joined = [0; HEADER_MAX];
        let seen = (stashed + data.len()).min(HEADER_MAX);
        joined[..stashed].copy_from_slice(&self.header);
        joined[stashed..seen].copy_from_slice(&data[..seen - stashed]);
        match self.parse(&joined[..seen])? {
            Some(len) => {
                *data = &data[len - stashed..];
                self.header.clear();
                Ok(true)
            }
            None => {
                self.header.extend_from_slice(data);
                *data = &[];
                Ok(false)
            }
        }
    }

    /// Opens the chunk whose header `bytes` begin with; says how long that is.
    fn parse(&mut self, bytes: &[u8]) -> Result<Option<usize>, OutOfStep> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let (id, basic) = match (first & 0x3f, bytes) {
            (0, [_, low, ..]) => (64 + u32::from(*low), 2),
            (1, [_, low, high, ..]) => (64 + u32::from(*low) + 256 * u32::from(*high), 3),
            (0 | 1, _) => return Ok(None),
            (id, _) => (id.into(), 1),
        };
        let format = first >> 6;
        let fields_len = [11, 7, 3, 0][usize::from(format)];
        let Some(fields) = bytes.get(basic..basic + fields_len) else { return Ok(None) };
        let known = self.streams.iter().position(|stream| stream.id == id);
        let time = fields.first_chunk::<3>().map(|[a, b, c]| u32::from_be_bytes([0, *a, *b, *c]));
        let repeated = known.and_then(|index| self.streams[index].extended);
        let is_extended = time.map_or(repeated.is_some(), |time| time == 0xff_ffff);
        let mut len = basic + fields_len;
        let mut extended = None;
        if is_extended {
            let Some(four) = bytes.get(len..len + 4).and_then(|four| four.first_chunk()) else { return Ok(None) };
            extended = Some(u32::from_be_bytes(*four));
            len += 4;
        }
        let index = match known {
            Some(index) => index,
            None if format > 1 || self.streams.len() > 64 => return Err(OutOfStep),
            None => {
                self.streams.push(Stream { id, ..Stream::default() });
                self.streams.len() - 1
            }
        };
        let stream = &mut self.streams[index];
        if let Some([a, b, c, kind]) = fields.get(3..).and_then(|fields| fields.first_chunk()) {
            stream.length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            stream.kind = *kind;
        }
        if let Some(id) = fields.get(7..).and_then(|fields| fields.first_chunk()) {
            stream.stream_id = u32::from_le_bytes(*id);
        }
        if let Some(time) = time {
            stream.extended = extended;
            stream.delta = extended.unwrap_or(time);
        }
        if stream.got == 0 {
            stream.timestamp = if format == 0 { stream.delta } else { stream.timestamp.wrapping_add(stream.delta) };
        }
        if stream.length > LENGTH_MAX {
            return Err(OutOfStep);
        }
        self.open = Some((index, (stream.length - stream.got.min(stream.length)).min(self.chunk_bytes)));
        Ok(Some(len))
    }
}

impl Default for Wire {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::super::put_message;
    use super::*;

    fn stream() -> Vec<u8> {
        let mut bytes = Vec::new();
        put_message(kind::SET_CHUNK_SIZE, 0, 0, &[&1000u32.to_be_bytes()], &mut bytes);
        for (number, length) in [0usize, 3, 900, 1000].into_iter().enumerate() {
            let body: Vec<u8> = (0..length).map(|at| at as u8).collect();
            put_message(kind::VIDEO, 1, number as u32 * 40, &[&body], &mut bytes);
        }
        // One of three chunks, another stream's message in between, with an extended timestamp.
        let body: Vec<u8> = (0..2_500).map(|at| at as u8).collect();
        let header = [&[7, 0xff, 0xff, 0xff, 0, 0x09, 0xc4, 8, 1, 0, 0, 0][..], &[1, 0, 0, 0]].concat();
        bytes.extend([&header[..], &body[..1000]].concat());
        put_message(kind::VIDEO, 1, 500, &[&[0, 1, 2]], &mut bytes);
        bytes.extend([&[0xc7, 1, 0, 0, 0][..], &body[1000..2000], &[0xc7, 1, 0, 0, 0], &body[2000..]].concat());
        bytes
    }

    #[test]
    fn messages_are_the_same_however_the_bytes_are_split() {
        let bytes = stream();
        for size in [1, 2, 3, 7, 100, 999, 1_012, bytes.len()] {
            for whole in [true, false] {
                let mut wire = Wire { whole, ..Wire::new() };
                let mut seen = Vec::new();
                for piece in bytes.chunks(size) {
                    wire.feed(piece, |message| {
                        assert!(message.bytes.iter().enumerate().all(|(at, byte)| *byte == at as u8));
                        assert!(!whole || message.kind != kind::AUDIO || message.bytes.len() == 2_500);
                        seen.push((message.kind, message.timestamp));
                    })
                    .unwrap();
                }
                assert_eq!(seen, [(9, 0), (9, 40), (9, 80), (9, 120), (9, 500), (8, 0x0100_0000)], "{size}");
            }
        }
    }

    #[test]
    fn a_long_message_costs_no_more_than_its_head() {
        let mut wire = Wire { whole: false, ..Wire::new() };
        let mut bytes = Vec::new();
        put_message(kind::SET_CHUNK_SIZE, 0, 0, &[&100_000u32.to_be_bytes()], &mut bytes);
        put_message(kind::VIDEO, 1, 0, &[&[7; 50_000]], &mut bytes);
        for piece in bytes.chunks(10_000) {
            wire.feed(piece, |_| ()).unwrap();
        }
        assert!(wire.streams.iter().all(|stream| stream.kept.capacity() <= 2 * HEAD));
        assert_eq!(wire.feed(&[0xc9, 0], |_| ()), Err(OutOfStep));
    }
}
