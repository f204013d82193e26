//! RTP packets, packed once per stream and shared by all its RTP readers.
//!
//! A unit becomes one contiguous buffer with each packet behind its interleaved frame header, as RTSP over TCP sends it.
//! A reader whose channels, payload types, sequence numbers and times are the shared ones sends that buffer as it is;
//! any other copies it and patches its own in. Sequence numbers are given in the order of the log to the units that are
//! packed first; a unit packed again later (for a reader that joins) gets the same numbers.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use parking_lot::Mutex;
use weft_cluster::map_tracks;
use weft_cluster::stream::{Entry, Stream, StreamKey};
use weft_proto::id::Position;
use weft_proto::media::{Track, TrackId, Tracks};
use weft_proto::rtp::pack::{PacketSink, pack};
use weft_proto::rtp::{HEADER_BYTES, Header};
use weft_proto::sdp::payload_type;

/// Bytes before a packet inside an RTSP connection (RFC 2326 section 10.12).
pub const FRAME_BYTES: usize = 4;

/// Units whose numbers are remembered, beyond which the oldest are forgotten: the largest group (20 s) at 60 fps with
/// 47 Hz audio, and what the log keeps before it. 24 bytes each, 60 KB a stream that is read.
const REMEMBERED_MAX: usize = 2560;

/// Units whose packets are found again while a reader still sends them: about a second. Each keeps the 120 bytes of its
/// record allocated, 10 KB a stream.
const RECENT_MAX: usize = 64;

/// Bytes of packed units that are kept for the other workers, who come a moment later.
pub const WARM_BYTES: usize = 64 << 10;

/// The same where readers may ask for packets again: a second of 16 Mbit/s.
pub const HISTORY_BYTES: usize = 2 << 20;

/// The packets of one unit.
#[derive(Debug)]
pub struct Packed {
    framed: Bytes,
    /// End of each packet in `framed`.
    ends: Box<[u32]>,
    /// Which line it belongs to.
    pub line: TrackId,
    /// What the packets bear beside their numbers and times.
    pub shared: Line,
    /// Sequence number of the first packet.
    pub first_sequence: u16,
    plain: OnceLock<Bytes>,
}

impl Packed {
    /// All packets, each behind `$`, channel and length.
    pub const fn framed(&self) -> &Bytes {
        &self.framed
    }

    /// All packets one behind the other, as GSO wants them.
    pub fn plain(&self) -> &Bytes {
        self.plain.get_or_init(|| {
            let mut plain = Vec::with_capacity(self.framed.len() - FRAME_BYTES * self.ends.len());
            self.packets().for_each(|packet| plain.extend_from_slice(packet));
            plain.into()
        })
    }

    /// Each packet, without frame header.
    pub fn packets(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let packet = &self.framed[start + FRAME_BYTES..*end as usize];
            start = *end as usize;
            packet
        })
    }

    /// Number of packets.
    pub const fn count(&self) -> u16 {
        self.ends.len() as u16
    }

    /// Payload bytes of all packets, without RTP headers.
    pub const fn payload_bytes(&self) -> usize {
        self.framed.len() - (FRAME_BYTES + HEADER_BYTES) * self.ends.len()
    }
}

/// What readers of a track share beside the packets.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Synchronisation source.
    pub ssrc: u32,
    /// Payload type.
    pub payload_type: u8,
    /// RTP timestamp minus path time, in ticks modulo 2^32.
    pub offset: u32,
}

/// A stream's RTP packets.
#[derive(Debug)]
pub struct RtpEgress {
    packet_bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    lines: Vec<LineState>,
    tracks: Tracks,
    generation: u32,
    /// Line of each track of the current generation.
    map: Vec<TrackId>,
    remembered: VecDeque<Remembered>,
    recent: VecDeque<(Position, Weak<Packed>)>,
    warm: VecDeque<Arc<Packed>>,
    warm_bytes: usize,
    warm_bytes_max: usize,
}

#[derive(Debug)]
struct LineState {
    line: Line,
    track: Track,
    next_sequence: u16,
}

#[derive(Debug)]
struct Remembered {
    position: Position,
    first_sequence: u16,
}

impl RtpEgress {
    /// For a stream whose tracks are `tracks` now. `packet_bytes_max`: RTP packet with header.
    /// `warm_bytes_max`: how much of what was sent is kept.
    pub fn new(tracks: &Tracks, packet_bytes_max: usize, warm_bytes_max: usize) -> Self {
        let mut state = State {
            lines: Vec::new(),
            tracks: tracks.clone(),
            generation: 0,
            map: Vec::new(),
            remembered: VecDeque::new(),
            recent: VecDeque::new(),
            warm: VecDeque::new(),
            warm_bytes: 0,
            warm_bytes_max,
        };
        tracks.iter().for_each(|(id, track)| state.add_line(id, track));
        state.map = tracks.iter().map(|(id, _)| id).collect();
        Self { packet_bytes_max, state: Mutex::new(state) }
    }

    /// Lines of the tracks a reader joined with.
    pub fn lines_of(&self, tracks: &Tracks) -> Vec<Option<Line>> {
        let state = self.state.lock();
        let lines = state.line_tracks();
        map_tracks(&lines, tracks).into_iter().map(|id| Some(state.lines[usize::from(id?.0)].line)).collect()
    }

    /// The sequence number that the next packet of a line will bear.
    pub fn next_sequence(&self, id: TrackId) -> u16 {
        self.state.lock().lines.get(usize::from(id.0)).map_or(0, |line| line.next_sequence)
    }

    /// The packets of an entry of the stream's log.
    pub fn pack(&self, entry: &Entry) -> Arc<Packed> {
        let mut state = self.state.lock();
        if entry.generation > state.generation {
            state.follow(entry);
        }
        let line = state.line_for(entry);
        let sequence = match state.known(entry.position) {
            Known::Packed(packed) => return packed,
            Known::Numbered(sequence) => Some(sequence),
            Known::Next => None,
            // Was passed over when the others were packed: its numbers are its reader's own affair.
            Known::Never => {
                let sequence = state.lines[usize::from(line.0)].next_sequence;
                return Arc::new(state.make(self.packet_bytes_max, entry, line, sequence));
            }
        };
        let first = sequence.unwrap_or(state.lines[usize::from(line.0)].next_sequence);
        let packed = Arc::new(state.make(self.packet_bytes_max, entry, line, first));
        state.remember(entry.position, &packed, sequence.is_none());
        packed
    }
}

enum Known {
    Packed(Arc<Packed>),
    Numbered(u16),
    Next,
    Never,
}

impl State {
    fn add_line(&mut self, id: TrackId, track: &Track) {
        let random = RandomState::new().hash_one(id);
        let line = Line { ssrc: random as u32, payload_type: payload_type(id, track), offset: (random >> 32) as u32 };
        let next_sequence = RandomState::new().hash_one(line.ssrc) as u16;
        self.lines.push(LineState { line, track: track.clone(), next_sequence });
    }

    fn line_tracks(&self) -> Tracks {
        let tracks = self.lines.iter().map(|line| line.track.clone()).collect();
        Tracks::new(tracks).unwrap_or_else(|_| self.tracks.clone())
    }

    /// Another publisher: its tracks go on in the lines they continue, new ones get lines of their own.
    fn follow(&mut self, entry: &Entry) {
        self.generation = entry.generation;
        self.tracks = entry.tracks.clone();
        let continued = map_tracks(&self.line_tracks(), &entry.tracks);
        self.map = continued
            .into_iter()
            .zip(entry.tracks.iter())
            .map(|(line, (_, track))| {
                line.unwrap_or_else(|| {
                    let id = TrackId(self.lines.len() as u8);
                    self.add_line(id, track);
                    id
                })
            })
            .collect();
    }

    fn line_for(&self, entry: &Entry) -> TrackId {
        self.map.get(usize::from(entry.unit.track.0)).copied().unwrap_or_default()
    }

    fn known(&self, position: Position) -> Known {
        if self.remembered.back().is_none_or(|last| last.position < position) {
            return Known::Next;
        }
        let recent = self.recent.iter().rev().find(|(known, _)| *known == position);
        if let Some(packed) = recent.and_then(|(_, packed)| packed.upgrade()) {
            return Known::Packed(packed);
        }
        match self.remembered.binary_search_by(|known| known.position.cmp(&position)) {
            Ok(at) => Known::Numbered(self.remembered[at].first_sequence),
            Err(_) => Known::Never,
        }
    }

    fn make(&self, packet_bytes_max: usize, entry: &Entry, line: TrackId, first_sequence: u16) -> Packed {
        let Line { ssrc, payload_type, offset } = self.lines[usize::from(line.0)].line;
        let timestamp = (entry.unit.pts as u32).wrapping_add(offset);
        let header = Header { marker: false, payload_type, sequence: first_sequence, timestamp, ssrc };
        let packets = entry.unit.payload.len() / (packet_bytes_max - HEADER_BYTES) + 2;
        let buffer = Vec::with_capacity(entry.unit.payload.len() + packets * (FRAME_BYTES + HEADER_BYTES + 4));
        let mut sink =
            Sink { header, base: timestamp, channel: line.0.wrapping_mul(2), buffer, ends: Vec::new(), start: 0 };
        if let Some(track) = entry.tracks.get(entry.unit.track) {
            pack(&track.codec, &entry.unit, packet_bytes_max - HEADER_BYTES, &mut sink);
        }
        let (framed, ends) = (sink.buffer.into(), sink.ends.into());
        let shared = self.lines[usize::from(line.0)].line;
        Packed { framed, ends, line, shared, first_sequence, plain: OnceLock::new() }
    }

    fn remember(&mut self, position: Position, packed: &Arc<Packed>, new: bool) {
        if new {
            let line = &mut self.lines[usize::from(packed.line.0)];
            line.next_sequence = packed.first_sequence.wrapping_add(packed.count());
            let first_sequence = packed.first_sequence;
            self.remembered.push_back(Remembered { position, first_sequence });
            if self.remembered.len() > REMEMBERED_MAX {
                self.remembered.pop_front();
            }
            self.keep_warm(packed);
        }
        self.recent.push_back((position, Arc::downgrade(packed)));
        if self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
    }

    fn keep_warm(&mut self, packed: &Arc<Packed>) {
        self.warm_bytes += packed.framed.len();
        self.warm.push_back(packed.clone());
        while self.warm_bytes > self.warm_bytes_max && self.warm.len() > 1 {
            if let Some(cold) = self.warm.pop_front() {
                self.warm_bytes -= cold.framed.len();
            }
        }
    }
}

/// Lays packets out behind each other.
struct Sink {
    header: Header,
    base: u32,
    channel: u8,
    buffer: Vec<u8>,
    ends: Vec<u32>,
    start: usize,
}

impl PacketSink for Sink {
    fn begin(&mut self, ticks_after: u32) {
        self.start = self.buffer.len();
        self.header.timestamp = self.base.wrapping_add(ticks_after);
        self.buffer.extend_from_slice(&[0; FRAME_BYTES + HEADER_BYTES]);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    fn end(&mut self, marker: bool) {
        self.header.marker = marker;
        let packet_bytes = (self.buffer.len() - self.start - FRAME_BYTES) as u16;
        let [high, low] = packet_bytes.to_be_bytes();
        let mut header = [0; HEADER_BYTES];
        self.header.write(&mut header);
        self.buffer[self.start..self.start + FRAME_BYTES].copy_from_slice(&[b'$', self.channel, high, low]);
        self.buffer[self.start + FRAME_BYTES..self.start + FRAME_BYTES + HEADER_BYTES].copy_from_slice(&header);
        self.header.sequence = self.header.sequence.wrapping_add(1);
        self.ends.push(self.buffer.len() as u32);
    }
}

/// The egresses of a node's streams. One lives as long as a reader holds it.
#[derive(Debug)]
pub struct RtpEgresses {
    streams: Mutex<HashMap<StreamKey, Weak<RtpEgress>>>,
    warm_bytes: usize,
}

impl RtpEgresses {
    /// None yet. `warm_bytes`: how much of what was sent is kept of each, [`WARM_BYTES`] or [`HISTORY_BYTES`].
    pub fn new(warm_bytes: usize) -> Self {
        Self { streams: Mutex::default(), warm_bytes }
    }

    /// The egress of a stream, made with its first reader.
    pub fn of(&self, stream: &Stream, tracks: &Tracks, packet_bytes_max: usize) -> Arc<RtpEgress> {
        let mut streams = self.streams.lock();
        if let Some(egress) = streams.get(&stream.key()).and_then(Weak::upgrade) {
            return egress;
        }
        streams.retain(|_, egress| egress.strong_count() > 0);
        let egress = Arc::new(RtpEgress::new(tracks, packet_bytes_max, self.warm_bytes));
        streams.insert(stream.key(), Arc::downgrade(&egress));
        egress
    }
}
