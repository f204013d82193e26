//! RTMP messages, chunked once per stream and shared by all its RTMP readers.
//!
//! A unit becomes one buffer: a full chunk header (format 0), the tag's head, the media. A reader sends a few bytes of its
//! own, header and head with its times, and the rest as it is. Every message has a full header, so none depends on the
//! one before, and a reader can leave out any.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use rml_rtmp::chunk_io::ChunkSerializer;
use rml_rtmp::messages::MessagePayload;
use rml_rtmp::time::RtmpTimestamp;
use weft_cluster::stream::{Entry, Stream, StreamKey};
use weft_proto::id::Position;
use weft_proto::media::Kind;
use weft_proto::rtmp::Outgoing;
use weft_proto::rtmp::message::kind;
use weft_proto::rtmp::tag::{Form, write_unit};

/// Bytes of our chunks, the same for all clients. Most frames fit into one; what other servers use, too.
pub const CHUNK_BYTES: u32 = 60_000;

/// Bytes of a full chunk header of chunk streams below 64, without extended timestamp (RTMP 1.0 section 5.3.1.2.1).
pub const HEADER_BYTES: usize = 12;

/// Timestamps from here on stand behind the header (RTMP 1.0 section 5.3.1.3).
const EXTENDED: u32 = 0xff_ffff;

/// Longest message (24 bits of length).
const MESSAGE_BYTES_MAX: usize = 0xff_ffff;

/// Units that are remembered: readers that are further apart pack again.
const REMEMBERED_MAX: usize = 1024;

/// Bytes of packed units that are kept for the other workers, who come a moment later.
const WARM_BYTES_MAX: usize = 64 << 10;

/// A unit's message in chunks, with timestamp 0 and message stream 1.
#[derive(Debug)]
pub struct Packed {
    bytes: Bytes,
    /// Chunk header and head of the tag: what each reader writes for itself.
    own_bytes: usize,
    /// Where in it the composition time is.
    composition_at: Option<usize>,
}

impl Packed {
    /// The message as one reader gets it: its own beginning into `arena`, and all of it to `send`. Says how many bytes.
    pub fn send(
        &self,
        timestamp: u32,
        stream_id: u32,
        composition_millis: i32,
        arena: &mut BytesMut,
        mut send: impl FnMut(Bytes),
    ) -> usize {
        let short = timestamp.min(EXTENDED).to_be_bytes();
        arena.extend_from_slice(&self.bytes[..self.own_bytes]);
        arena[1..4].copy_from_slice(&short[1..]);
        arena[8..HEADER_BYTES].copy_from_slice(&stream_id.to_le_bytes());
        if let Some(at) = self.composition_at {
            arena[at..at + 3].copy_from_slice(&composition_millis.to_be_bytes()[1..]);
        }
        if timestamp < EXTENDED {
            send(arena.split().freeze());
            send(self.bytes.slice(self.own_bytes..));
            return self.bytes.len();
        }
        self.send_extended(timestamp, arena, send)
    }

    /// The same for timestamps that do not fit: they follow the header of each chunk, so the shared bytes are cut there.
    fn send_extended(&self, timestamp: u32, arena: &mut BytesMut, mut send: impl FnMut(Bytes)) -> usize {
        let long = timestamp.to_be_bytes();
        let head = arena.split_off(HEADER_BYTES);
        arena.extend_from_slice(&long);
        arena.extend_from_slice(&head);
        let mut sent = arena.len();
        send(arena.split().freeze());
        let chunk = CHUNK_BYTES as usize;
        let mut at = self.own_bytes;
        let mut end = HEADER_BYTES + chunk;
        loop {
            let piece = self.bytes.slice(at..end.min(self.bytes.len()));
            sent += piece.len();
            send(piece);
            if end >= self.bytes.len() {
                return sent;
            }
            arena.extend_from_slice(&self.bytes[end..=end]);
            arena.extend_from_slice(&long);
            sent += arena.len();
            send(arena.split().freeze());
            at = end + 1;
            end = at + chunk;
        }
    }
}

/// A stream's messages.
pub struct ChunkEgress {
    state: Mutex<State>,
}

struct State {
    serializer: ChunkSerializer,
    remembered: VecDeque<Remembered>,
    warm: VecDeque<Arc<Packed>>,
    warm_bytes: usize,
}

struct Remembered {
    place: (Position, Form),
    packed: Weak<Packed>,
}

impl std::fmt::Debug for ChunkEgress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkEgress").finish_non_exhaustive()
    }
}

impl Default for ChunkEgress {
    fn default() -> Self {
        let state = State {
            serializer: serializer(CHUNK_BYTES),
            remembered: VecDeque::new(),
            warm: VecDeque::new(),
            warm_bytes: 0,
        };
        Self { state: Mutex::new(state) }
    }
}

impl ChunkEgress {
    /// The message of an entry of the stream's log; `None` when RTMP has no place for it.
    pub fn pack(&self, entry: &Entry, form: Form) -> Option<Arc<Packed>> {
        let mut state = self.state.lock();
        let place = (entry.position, form);
        let found = state.remembered.binary_search_by(|known| known.place.cmp(&place));
        if let Ok(at) = found
            && let Some(packed) = state.remembered[at].packed.upgrade()
        {
            return Some(packed);
        }
        let packed = Arc::new(state.make(entry, form)?);
        let remembered = Remembered { place, packed: Arc::downgrade(&packed) };
        match found {
            Ok(at) => state.remembered[at] = remembered,
            // Older than what is remembered: its reader is alone.
            Err(0) if state.remembered.len() == REMEMBERED_MAX => return Some(packed),
            Err(at) => state.remembered.insert(at, remembered),
        }
        if state.remembered.len() > REMEMBERED_MAX {
            state.remembered.pop_front();
        }
        state.keep_warm(&packed);
        Some(packed)
    }
}

impl State {
    fn make(&mut self, entry: &Entry, form: Form) -> Option<Packed> {
        let unit = &entry.unit;
        let track = entry.tracks.get(unit.track)?;
        let mut body = BytesMut::with_capacity(unit.payload.len() + 64);
        // Each reader writes the composition time for itself.
        let written = write_unit(&track.codec, form, unit, 0, &mut body)?;
        if body.len() > MESSAGE_BYTES_MAX || body.len() == written.head_bytes {
            return None;
        }
        let type_id = if track.kind() == Kind::Video { kind::VIDEO } else { kind::AUDIO };
        let message =
            MessagePayload { timestamp: RtmpTimestamp::new(0), type_id, message_stream_id: 1, data: body.freeze() };
        // "Can be dropped" makes the serialiser give the next message a full header.
        let bytes: Bytes = self.serializer.serialize(&message, false, true).ok()?.bytes.into();
        Some(Packed {
            bytes,
            own_bytes: HEADER_BYTES + written.head_bytes,
            composition_at: written.composition_at.map(|at| HEADER_BYTES + at),
        })
    }

    fn keep_warm(&mut self, packed: &Arc<Packed>) {
        self.warm_bytes += packed.bytes.len();
        self.warm.push_back(packed.clone());
        while self.warm_bytes > WARM_BYTES_MAX && self.warm.len() > 1 {
            if let Some(cold) = self.warm.pop_front() {
                self.warm_bytes -= cold.bytes.len();
            }
        }
    }
}

/// A message that is not shared, in chunks of this size, at this time.
pub fn chunked(message: Outgoing, timestamp: u32, chunk_bytes: u32) -> Bytes {
    let Outgoing { kind, stream_id, payload } = message;
    let timestamp = RtmpTimestamp::new(timestamp);
    let payload = MessagePayload { timestamp, type_id: kind, message_stream_id: stream_id, data: payload };
    // All headers in full, which the serialiser does to further chunks of a message, too: only those of one chunk may ask
    // for it. Others are on chunk streams that a fresh serialiser has not used. What 24 bits cannot say is never made.
    let full = payload.data.len() <= chunk_bytes as usize;
    serializer(chunk_bytes).serialize(&payload, full, true).map_or_else(|_| Bytes::new(), |packet| packet.bytes.into())
}

fn serializer(chunk_bytes: u32) -> ChunkSerializer {
    let mut serializer = ChunkSerializer::new();
    // What it would send to say so is sent by the session. The size is one that RTMP allows.
    let _ = serializer.set_max_chunk_size(chunk_bytes, RtmpTimestamp::new(0));
    serializer
}

/// The egresses of a node's streams. One lives as long as a reader holds it.
#[derive(Debug, Default)]
pub struct ChunkEgresses {
    streams: Mutex<HashMap<StreamKey, Weak<ChunkEgress>>>,
}

impl ChunkEgresses {
    /// The egress of a stream, made with its first reader.
    pub fn of(&self, stream: &Stream) -> Arc<ChunkEgress> {
        let mut streams = self.streams.lock();
        if let Some(egress) = streams.get(&stream.key()).and_then(Weak::upgrade) {
            return egress;
        }
        streams.retain(|_, egress| egress.strong_count() > 0);
        let egress = Arc::new(ChunkEgress::default());
        streams.insert(stream.key(), Arc::downgrade(&egress));
        egress
    }
}
