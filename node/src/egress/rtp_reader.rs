//! One RTP reader's view of the shared packets: what it adds is its own channels, payload types, numbers and times.

use std::sync::Arc;

use bytes::Bytes;
use weft_cluster::stream::Delivery;
use weft_proto::media::{TrackId, Tracks};
use weft_proto::rtp::HEADER_BYTES;
use weft_proto::rtp::rtcp::SenderInfo;
use weft_proto::time::{ClockRate, NtpTime, WallClock};

use super::rtp::{FRAME_BYTES, Line, Packed, RtpEgress};

/// A track that the reader has set up.
#[derive(Clone, Debug)]
pub struct ReaderTrack {
    /// Interleaved channel of RTP; RTCP has the next. Meaningless over UDP.
    pub channel: u8,
    /// Payload type that the reader was told.
    pub payload_type: u8,
    /// The clock.
    pub rate: ClockRate,
    /// What is shared; set when the reader starts.
    pub line: Line,
    /// Next sequence number; fixed by the first packet.
    pub next_sequence: Option<u16>,
    /// Packets sent.
    pub packets: u32,
    /// Payload bytes sent.
    pub octets: u32,
}

/// Players move every picture when a report moves. A publisher's own reports jitter by some milliseconds, so what readers
/// are told follows only a real drift of its clock: 100 ms are what a clock that is off by 50 ppm drifts in half an hour.
const DRIFT_MICROS: i64 = 100_000;

/// The packets of one unit as this reader gets them.
#[derive(Debug)]
pub enum Rewritten {
    /// As all others.
    Shared(Arc<Packed>),
    /// With the reader's own numbers: the framed bytes, and the packet ends in them.
    Own(Bytes, Arc<Packed>),
}

/// What a reader calls the packets of a unit.
#[derive(Debug)]
pub struct Numbered {
    /// The track, as the reader knows it.
    pub track: TrackId,
    /// The packets.
    pub packed: Arc<Packed>,
    /// The sequence number of the first.
    pub sequence: u16,
    /// What is added to their timestamps.
    pub shift: u32,
}

/// One instant in path time and on the wall, both in microseconds.
#[derive(Clone, Copy, Debug)]
struct Reference {
    path_micros: i64,
    wall_micros: i64,
    /// The publisher told; otherwise it is when the path was born. What a session began with it keeps.
    captured: bool,
}

impl Reference {
    const fn wall_at(self, path_micros: i64) -> i64 {
        self.wall_micros + path_micros - self.path_micros
    }
}

/// A reader of a stream's packets.
#[derive(Debug)]
pub struct RtpReader {
    egress: Arc<RtpEgress>,
    /// By joined track; `None` for those not set up.
    tracks: Vec<Option<ReaderTrack>>,
    joined: Tracks,
    generation: u32,
    /// Joined track that each current track continues.
    map: Vec<Option<TrackId>>,
    /// The same for all tracks, which keeps lips in sync.
    reference: Option<Reference>,
    /// Path time of the last unit sent.
    latest_micros: i64,
    born: WallClock,
}

impl RtpReader {
    /// A reader that joined with `joined` and set up some of them.
    pub fn new(egress: Arc<RtpEgress>, joined: Tracks, mut tracks: Vec<Option<ReaderTrack>>, born: WallClock) -> Self {
        for (track, line) in tracks.iter_mut().zip(egress.lines_of(&joined)) {
            if let (Some(track), Some(line)) = (track, line) {
                track.line = line;
            }
        }
        Self { egress, tracks, joined, generation: 0, map: Vec::new(), reference: None, latest_micros: 0, born }
    }

    /// The tracks that were set up.
    pub fn tracks(&self) -> impl Iterator<Item = (TrackId, &ReaderTrack)> {
        self.tracks.iter().enumerate().filter_map(|(i, track)| Some((TrackId(i as u8), track.as_ref()?)))
    }

    /// The packets of a delivered unit; `None` when its track is not set up.
    pub fn rewrite(&mut self, delivery: &Delivery) -> Option<(TrackId, Rewritten)> {
        let Numbered { track: id, packed, sequence, shift } = self.number(delivery)?;
        let track = self.tracks.get(usize::from(id.0))?.as_ref()?;
        let same = sequence == packed.first_sequence
            && shift == 0
            && track.channel == packed.line.0.wrapping_mul(2)
            && packed.shared.ssrc == track.line.ssrc
            && packed.shared.payload_type == track.payload_type;
        if same {
            return Some((id, Rewritten::Shared(packed)));
        }
        let own = patch(&packed, track, sequence, shift);
        Some((id, Rewritten::Own(own, packed)))
    }

    /// The same for who writes the numbers by itself.
    pub fn number(&mut self, delivery: &Delivery) -> Option<Numbered> {
        let entry = &delivery.entry;
        if entry.generation != self.generation {
            self.generation = entry.generation;
            self.map = weft_cluster::map_tracks(&self.joined, &entry.tracks);
        }
        let id = (*self.map.get(usize::from(entry.unit.track.0))?)?;
        let track = self.tracks.get_mut(usize::from(id.0))?.as_mut()?;
        let packed = self.egress.pack(entry);
        if packed.count() == 0 {
            return None;
        }
        let sequence = track.next_sequence.unwrap_or(packed.first_sequence);
        let shift = delivery.pts(track.rate).wrapping_sub(entry.unit.pts) as u32;
        track.next_sequence = Some(sequence.wrapping_add(packed.count()));
        track.packets = track.packets.wrapping_add(u32::from(packed.count()));
        track.octets = track.octets.wrapping_add(packed.payload_bytes() as u32);
        let path_micros = track.rate.to_micros(entry.unit.pts);
        let wall = entry.unit.captured.map_or(self.born.unix_micros() + path_micros, WallClock::unix_micros);
        let captured = entry.unit.captured.is_some();
        let moved = self
            .reference
            .is_none_or(|known| known.captured && captured && (wall - known.wall_at(path_micros)).abs() > DRIFT_MICROS);
        if moved {
            self.reference = Some(Reference { path_micros, wall_micros: wall, captured });
        }
        self.latest_micros = path_micros;
        Some(Numbered { track: id, packed, sequence, shift })
    }

    /// What a sender report says of a track; `None` before the first unit.
    pub fn sender_info(&self, track: &ReaderTrack) -> Option<SenderInfo> {
        let (path_micros, wall_micros) = (self.latest_micros, self.reference?.wall_at(self.latest_micros));
        Some(SenderInfo {
            ssrc: track.line.ssrc,
            ntp: NtpTime::from_wall(WallClock::from_unix_micros(wall_micros)),
            rtp_timestamp: (track.rate.from_micros(path_micros) as u32).wrapping_add(track.line.offset),
            packets: track.packets,
            octets: track.octets,
        })
    }
}

/// Copies the packets and writes the reader's own fields over the shared ones.
fn patch(packed: &Packed, track: &ReaderTrack, sequence: u16, shift: u32) -> Bytes {
    let mut own = packed.framed().to_vec();
    let mut at = 0;
    for i in 0..packed.count() {
        let length = usize::from(u16::from_be_bytes([own[at + 2], own[at + 3]]));
        own[at + 1] = track.channel;
        let header = &mut own[at + FRAME_BYTES..at + FRAME_BYTES + HEADER_BYTES];
        header[1] = header[1] & 0x80 | track.payload_type;
        header[2..4].copy_from_slice(&sequence.wrapping_add(i).to_be_bytes());
        let timestamp = u32::from_be_bytes([header[4], header[5], header[6], header[7]]).wrapping_add(shift);
        header[4..8].copy_from_slice(&timestamp.to_be_bytes());
        header[8..12].copy_from_slice(&track.line.ssrc.to_be_bytes());
        at += FRAME_BYTES + length;
    }
    own.into()
}
