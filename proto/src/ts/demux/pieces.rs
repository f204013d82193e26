//! What is carried unopened, in the pieces in which RTP carries it: MPEG-1/2 video (RFC 2250), MPEG-4 video (RFC 6416), KLV
//! (RFC 6597). A unit is one payload, and the last one of an access unit bears the marker.

use bytes::{BufMut, Bytes, BytesMut};

use super::form::Output;
use crate::bits::BitReader;
use crate::bitstream::Taken;
use crate::bitstream::mpeg_video::{mpeg4_head, mpeg12_head};
use crate::media::{Codec, Kind, OpaqueConfig, Payload, Track, TrackId, Unit};
use crate::opaque::with_config;
use crate::time::ClockRate;

/// Bytes of a payload: with all headers it fits a packet of Ethernet's size over IPv6, and MediaMTX's default.
const PIECE_BYTES: usize = 1_400;

/// Bytes of the header of RFC 2250 section 3.4.
const MPEG12_HEAD: usize = 4;

/// A stream that is not looked into.
#[derive(Debug)]
pub(super) struct Pieces {
    way: Way,
    config: OpaqueConfig,
    /// The headers that a decoder begins with were seen, or there are none.
    known: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Mpeg12,
    Mpeg4,
    Klv {
        /// Behind a header of the metadata stream (ISO/IEC 13818-1 section 2.12.4).
        wrapped: bool,
    },
}

impl Pieces {
    pub(super) fn mpeg12_video() -> Self {
        Self::new(Way::Mpeg12, Kind::Video, "MPEG-1/2 Video", 32, None)
    }

    pub(super) fn mpeg4_video() -> Self {
        Self::new(Way::Mpeg4, Kind::Video, "MPEG-4 Video", 96, Some("MP4V-ES/90000"))
    }

    pub(super) fn klv(wrapped: bool) -> Self {
        Self { known: true, ..Self::new(Way::Klv { wrapped }, Kind::Data, "KLV", 96, Some("SMPTE336M/90000")) }
    }

    fn new(way: Way, kind: Kind, label: &'static str, payload_type: u8, rtpmap: Option<&str>) -> Self {
        let rtpmap = rtpmap.map(str::to_owned);
        let config = OpaqueConfig { kind, label, payload_type, rtpmap, fmtp: None, in_band: None };
        Self { way, config, known: false }
    }

    pub(super) const fn is_picture(&self) -> bool {
        !matches!(self.way, Way::Klv { .. })
    }

    pub(super) fn track(&self) -> Option<Track> {
        self.known.then(|| Track { codec: Codec::Opaque(self.config.clone()), clock_rate: ClockRate::VIDEO })
    }

    /// Cuts an access unit into payloads; says how many were of no use.
    pub(super) fn take(
        &mut self,
        track: TrackId,
        body: &Bytes,
        (pts, dts): (i64, i64),
        out: &mut impl FnMut(Output),
    ) -> u32 {
        let mut codec = self.learn(body).then(|| Codec::Opaque(self.config.clone()));
        let pieces = match self.way {
            Way::Mpeg12 => mpeg12_pieces(body),
            Way::Mpeg4 | Way::Klv { wrapped: false } => plain_pieces(body),
            Way::Klv { wrapped: true } => match unwrapped(body) {
                Some(unit) => plain_pieces(&unit),
                None => return 1,
            },
        };
        let last = pieces.len().saturating_sub(1);
        if !self.known || pieces.is_empty() {
            return 0;
        }
        for (index, piece) in pieces.into_iter().enumerate() {
            let unit = Unit {
                track,
                pts,
                dts: dts.min(pts),
                captured: None,
                random_access: true,
                discardable: false,
                marker: index == last,
                payload: Payload::single(piece),
            };
            out(Output::Unit(Taken { unit, codec: codec.take(), clock_rate: ClockRate::VIDEO }));
        }
        0
    }

    /// Takes up the headers in front of a picture; whether they are others than before.
    fn learn(&mut self, body: &[u8]) -> bool {
        let head = match self.way {
            Way::Mpeg12 => mpeg12_head(body),
            Way::Mpeg4 => mpeg4_head(body),
            Way::Klv { .. } => &[],
        };
        if head.is_empty() {
            return false;
        }
        let was_known = core::mem::replace(&mut self.known, true);
        // Of MPEG-1/2 an SDP says nothing: each group brings its headers.
        if self.way == Way::Mpeg12 {
            return false;
        }
        let config = with_config(&self.config, head);
        let changed = was_known && config != self.config;
        self.config = config;
        changed
    }
}

fn plain_pieces(body: &Bytes) -> Vec<Bytes> {
    (0..body.len()).step_by(PIECE_BYTES).map(|at| body.slice(at..body.len().min(at + PIECE_BYTES))).collect()
}

/// The content of a metadata access unit: service, sequence number, flags, length.
fn unwrapped(body: &Bytes) -> Option<Bytes> {
    const HEAD: usize = 5;
    let head: &[u8; HEAD] = body.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
    (body.len() >= HEAD + length).then(|| body.slice(HEAD..HEAD + length))
}

/// Payloads of MPEG-1/2 video, cut between slices where these are short enough.
fn mpeg12_pieces(body: &Bytes) -> Vec<Bytes> {
    /// Of slices.
    const SLICES: core::ops::RangeInclusive<u8> = 0x01..=0xaf;
    const PICTURE: u8 = 0;
    const SEQUENCE: u8 = 0xb3;
    const ROOM: usize = PIECE_BYTES - MPEG12_HEAD;
    let codes = body.windows(4).enumerate().filter(|(_, four)| four[..3] == [0, 0, 1]);
    let (mut cuts, mut picture, mut sequence) = (Vec::new(), 0, None);
    for (at, four) in codes {
        match four[3] {
            PICTURE if cuts.is_empty() => picture = mpeg12_head_bits(&body[at + 4..]),
            SEQUENCE => sequence = Some(at),
            code if SLICES.contains(&code) => cuts.push(at),
            _ => {}
        }
    }
    let (mut pieces, mut at, mut begins) = (Vec::new(), 0, true);
    while at < body.len() {
        let furthest = (at + ROOM).min(body.len());
        let after = cuts.partition_point(|cut| *cut <= furthest);
        let cut = cuts[..after].last().copied().filter(|cut| *cut > at);
        let end = if furthest == body.len() { furthest } else { cut.unwrap_or(furthest) };
        let ends = end == body.len() || Some(end) == cut;
        let has_sequence = sequence.is_some_and(|sequence| (at..end).contains(&sequence));
        let bits = picture | u32::from(has_sequence) << 13 | u32::from(begins) << 12 | u32::from(ends) << 11;
        let mut piece = BytesMut::with_capacity(MPEG12_HEAD + end - at);
        piece.put_u32(bits);
        piece.put_slice(&body[at..end]);
        pieces.push(piece.freeze());
        (at, begins) = (end, ends);
    }
    pieces
}

/// What the header of RFC 2250 repeats of a picture's: temporal reference, type, vectors.
fn mpeg12_head_bits(picture: &[u8]) -> u32 {
    const INTRA: u32 = 1;
    const BIDIRECTIONAL: u32 = 3;
    let mut bits = BitReader::new(picture);
    let mut read = |count| bits.bits(count).unwrap_or_default();
    let (reference, kind) = (read(10), read(3));
    let _delay = read(16);
    let forward = if kind > INTRA { read(4) } else { 0 };
    let backward = if kind == BIDIRECTIONAL { read(4) } else { 0 };
    reference << 16 | kind << 8 | backward << 4 | forward
}
