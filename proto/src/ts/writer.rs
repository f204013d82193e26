//! One program: tables, tracks, times.

use super::access::{self, Assembler};
use super::packet::{Lane, Opening, PACKET_BYTES};
use super::tables::{Elementary, FIRST_PID, Tables};
use crate::media::{Codec, Track, TrackId, Unit};
use crate::time::ClockRate;

/// Ticks of 90 kHz added to all times. A stream's first times may lie a little before zero, and the clock before them.
const HEAD_START: i64 = 10 * 90_000;

/// The program clock stands so far before a unit's decoding time: the time in which its packets may arrive.
const CLOCK_LEAD: i64 = 90_000 / 10;

/// Times have 33 bits.
const TIME_MASK: i64 = (1 << 33) - 1;

/// Whether a transport stream can carry the codec.
pub fn carries(codec: &Codec) -> bool {
    access::kind(codec).is_some()
}

/// Writes a program of some tracks.
#[derive(Clone, Debug)]
pub struct Writer {
    tables: Tables,
    lines: Vec<Line>,
    /// Whose packets bear the clock.
    clock: TrackId,
    scratch: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Line {
    id: TrackId,
    lane: Lane,
    codec: Codec,
    rate: ClockRate,
    stream_id: u8,
    assembler: Assembler,
}

impl Writer {
    /// A program of those of `wanted` that can be carried; `None` when there is none.
    pub fn new<'a>(wanted: impl IntoIterator<Item = (TrackId, &'a Track)>) -> Option<Self> {
        let (mut lines, mut map) = (Vec::new(), Vec::new());
        for (id, track) in wanted {
            let Some(kind) = access::kind(&track.codec) else { continue };
            let pid = FIRST_PID + lines.len() as u16;
            map.push(Elementary { pid, stream_type: kind.stream_type, descriptors: kind.descriptors });
            lines.push(Line {
                id,
                lane: Lane::new(pid),
                codec: track.codec.clone(),
                rate: track.clock_rate,
                stream_id: kind.stream_id,
                assembler: Assembler::new(track),
            });
        }
        let clock = lines.iter().find(|line| line.codec.has_dependent_units()).or(lines.first())?;
        let (clock, pid) = (clock.id, clock.lane.pid);
        Some(Self { tables: Tables::new(&map, pid), lines, clock, scratch: Vec::new() })
    }

    /// Writes the tables: at the beginning, and about every 100 ms where readers may come in at any time.
    pub fn tables(&mut self, out: &mut Vec<u8>) {
        self.tables.write(false, out);
    }

    /// Writes a unit. Those of tracks that are not in the program are left out.
    pub fn unit(&mut self, unit: &Unit, out: &mut Vec<u8>) {
        self.put(unit, false, out);
    }

    /// The next unit of each track continues a counter of 0: with `to_wrap` the packets of this one are so many.
    fn put(&mut self, unit: &Unit, to_wrap: bool, out: &mut Vec<u8>) {
        let Some(line) = self.lines.iter_mut().find(|line| line.id == unit.track) else { return };
        let ticks = |time: i64| ninety(line.rate, time) + HEAD_START;
        let (pts, dts) = (ticks(unit.pts), ticks(unit.dts));
        self.scratch.clear();
        pes_header(line.stream_id, pts, dts, &mut self.scratch);
        if !line.assembler.write(&line.codec, unit, &mut self.scratch) {
            return;
        }
        set_length(line.stream_id, &mut self.scratch);
        let pcr = (unit.track == self.clock).then_some(((dts - CLOCK_LEAD) & TIME_MASK) as u64);
        let opening = Opening { pcr, random_access: unit.random_access, discontinuity: false };
        line.lane.write(&self.scratch, opening, to_wrap, out);
    }
}

/// A piece of a stream that stands alone: tables, then the units. A pure function of tracks and units: counters begin at 0,
/// and each track's last unit is cut into as many packets as bring its counter back there, so that the next piece
/// continues this one. Only the tables' counters do not, and say so.
pub fn segment<'a>(tracks: impl IntoIterator<Item = (TrackId, &'a Track)>, units: &[Unit]) -> Option<Vec<u8>> {
    let mut writer = Writer::new(tracks)?;
    let bytes: usize = units.iter().map(|unit| unit.payload.len()).sum();
    let mut out = Vec::with_capacity(bytes + bytes / 16 + units.len() * PACKET_BYTES + 32 * PACKET_BYTES);
    writer.tables.write(true, &mut out);
    let last = |id: TrackId| units.iter().rposition(|unit| unit.track == id);
    let lasts: Vec<Option<usize>> = writer.lines.iter().map(|line| last(line.id)).collect();
    for (index, unit) in units.iter().enumerate() {
        writer.put(unit, lasts.contains(&Some(index)), &mut out);
    }
    Some(out)
}

fn ninety(rate: ClockRate, time: i64) -> i64 {
    let hertz = i128::from(rate.hertz());
    (i128::from(time) * 90_000 + hertz / 2).div_euclid(hertz) as i64
}

/// Start code, identifier, a length that is set later, alignment, times (section 2.4.3.6).
fn pes_header(stream_id: u8, pts: i64, dts: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0, 0, 1, stream_id, 0, 0, 0x84]);
    if pts == dts {
        out.extend_from_slice(&[0x80, 5]);
        put_time(2, pts, out);
    } else {
        out.extend_from_slice(&[0xc0, 10]);
        put_time(3, pts, out);
        put_time(1, dts, out);
    }
}

fn put_time(prefix: u8, time: i64, out: &mut Vec<u8>) {
    let time = time & TIME_MASK;
    out.push(prefix << 4 | (time >> 29) as u8 & 0xe | 1);
    out.push((time >> 22) as u8);
    out.push((time >> 14) as u8 | 1);
    out.push((time >> 7) as u8);
    out.push((time << 1) as u8 | 1);
}

/// Video may leave its length unsaid, and everything else fits.
fn set_length(stream_id: u8, pes: &mut [u8]) {
    let length = u16::try_from(pes.len() - 6).unwrap_or(0);
    if stream_id & 0xf0 != 0xe0 {
        pes[4..6].copy_from_slice(&length.to_be_bytes());
    }
}
