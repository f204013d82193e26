//! Transport streams on their way in: bytes of any cut in, units of one program's tracks out.
//!
//! [`Demuxer`] finds packets in whatever comes, follows the tables of the first program that is listed, puts PES packets
//! together and makes units of them. What is damaged costs its unit, nothing else. It has no clock and knows no segments:
//! HLS, and whatever else brings transport streams, drive it alike.
//!
//! A PES packet of pictures is one access unit (section 2.14.1 wants that of H.264; everybody does it for all codecs); one
//! without a time continues the one before. Sound is cut into its frames, wherever PES packets begin.

mod form;
mod header;
mod pes;
mod pieces;
mod program;
mod section;
mod sound;
mod sync;

use std::collections::VecDeque;

use bytes::Bytes;

use super::PACKET_BYTES;
use crate::bitstream::Taken;
use crate::limits::{TS_PENDING_BYTES_MAX, UNIT_BYTES_MAX};
use crate::media::{Track, TrackId};
use form::Output;
use header::Header;
use program::{Program, Slot};
use section::{Association, Sections};
use sync::Synchronizer;

/// A transport stream on its way in.
#[derive(Debug, Default)]
pub struct Demuxer {
    sync: Synchronizer,
    association: Sections,
    /// Where the program map is.
    map_pid: Option<u16>,
    map: Sections,
    program: Program,
    clock: Clock,
    units: VecDeque<Demuxed>,
    generation: u32,
    dropped: u32,
    foreign: Vec<String>,
    told: usize,
}

/// A unit out of a transport stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demuxed {
    /// [`Demuxer::generation`] as it was with this unit: the list of tracks that it belongs to.
    pub generation: u32,
    /// The unit and what changed with it. Its track is its place in [`Demuxer::tracks`].
    pub taken: Taken,
}

/// Foreign streams that are named; more say nothing new.
const FOREIGN_MAX: usize = 32;

impl Demuxer {
    /// Begins anywhere in a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes. Take what comes out of them before the next ones.
    pub fn push(&mut self, bytes: &[u8]) {
        self.sync.push(bytes);
        while let Some(packet) = self.sync.next(false) {
            self.packet(&packet);
        }
    }

    /// Nothing follows what came, or what follows counts anew: gives out what was held until its end is known.
    pub fn flush(&mut self) {
        while let Some(packet) = self.sync.next(true) {
            self.packet(&packet);
        }
        let mut slots = core::mem::take(&mut self.program.slots);
        slots.iter_mut().for_each(|slot| {
            self.finish(slot);
            slot.pes.forget_counter();
        });
        self.program.slots = slots;
        self.association.forget_counter();
        self.map.forget_counter();
    }

    /// The next unit.
    pub fn take(&mut self) -> Option<Demuxed> {
        self.units.pop_front()
    }

    /// Times within half of their range of this one, in ticks of 90 kHz, are meant: for a stream whose times belong to
    /// those of another one. Of effect before the first time only.
    pub const fn follow(&mut self, ticks: i64) {
        if self.clock.last.is_none() {
            self.clock.last = Some(ticks);
        }
    }

    /// Whether the program map has been read.
    pub const fn has_program(&self) -> bool {
        self.program.map.is_some()
    }

    /// The tracks of the program in the order of its map; `None` for one whose parameters have not come yet.
    pub fn tracks(&self) -> impl ExactSizeIterator<Item = Option<Track>> {
        self.program.slots.iter().map(Slot::track)
    }

    /// Counts the lists of tracks: a unit of a higher one belongs to other tracks.
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// Units lost since the last call.
    pub const fn take_dropped(&mut self) -> u32 {
        core::mem::replace(&mut self.dropped, 0)
    }

    /// Bytes in which there was no packet, since the last call.
    pub const fn take_skipped(&mut self) -> u64 {
        self.sync.take_skipped()
    }

    /// A stream of the program that is left out and has not been told yet.
    pub fn take_foreign(&mut self) -> Option<&str> {
        let foreign = self.foreign.get(self.told)?;
        self.told += 1;
        Some(foreign)
    }

    fn packet(&mut self, packet: &[u8; PACKET_BYTES]) {
        let Some((header, payload)) = Header::parse(packet) else { return };
        match header.pid {
            Association::PID => {
                let mut found = None;
                self.association.packet(&header, payload, |section| {
                    found = Association::parse(section).map(|association| association.map_pid).or(found);
                });
                if let Some(pid) = found.filter(|pid| self.map_pid != Some(*pid)) {
                    self.map_pid = Some(pid);
                    self.map = Sections::default();
                }
            }
            pid if Some(pid) == self.map_pid => {
                let mut maps = Vec::new();
                self.map.packet(&header, payload, |section| maps.extend(program::Map::parse(section)));
                maps.into_iter().for_each(|map| self.follow_map(map));
            }
            pid => {
                let Some(at) = self.program.slots.iter().position(|slot| slot.pid() == pid) else { return };
                let mut slots = core::mem::take(&mut self.program.slots);
                self.elementary(&mut slots, at, &header, payload);
                self.program.slots = slots;
            }
        }
    }

    /// The program map was read: streams that are new, or others than before, begin.
    fn follow_map(&mut self, map: program::Map) {
        if self.program.map.as_ref() == Some(&map) {
            return;
        }
        let mut before = core::mem::take(&mut self.program.slots);
        before.iter_mut().filter(|slot| !map.has(slot)).for_each(|slot| self.finish(slot));
        let pids: Vec<u16> = before.iter().map(Slot::pid).collect();
        let is_same = before.iter().all(|slot| map.has(slot));
        let (slots, foreign) = map.slots(before);
        for name in foreign {
            if !self.foreign.contains(&name) && self.foreign.len() < FOREIGN_MAX {
                self.foreign.push(name);
            }
        }
        self.generation += u32::from(!is_same || slots.iter().map(Slot::pid).ne(pids));
        self.program = Program { map: Some(map), slots };
    }

    fn elementary(&mut self, slots: &mut [Slot], at: usize, header: &Header, payload: &[u8]) {
        let pending: usize = slots.iter().map(|slot| slot.pes.len()).sum();
        let slot = &mut slots[at];
        match slot.pes.accepts(header) {
            pes::Verdict::Repeated => return,
            pes::Verdict::Next => {}
            pes::Verdict::Lost => self.dropped += u32::from(slot.lose()),
        }
        if header.starts && !header.scrambled {
            self.end_of_pes(slot, payload);
            slot.pes.begin();
        }
        let is_full = pending + payload.len() > TS_PENDING_BYTES_MAX || slot.pes.len() > UNIT_BYTES_MAX;
        if header.scrambled || is_full {
            self.dropped += u32::from(slot.lose());
            return;
        }
        slot.pes.append(payload);
        if slot.pes.is_complete() && !slot.joins {
            self.finish(slot);
        }
    }

    /// The next PES packet of a stream begins: the one before is over, but where this one continues it.
    fn end_of_pes(&mut self, slot: &mut Slot, payload: &[u8]) {
        if slot.is_picture() && pes::continues(payload) {
            slot.joins = true;
            slot.pes.set_aside();
        } else {
            self.finish(slot);
        }
    }

    /// Makes units of the PES packet that has come.
    fn finish(&mut self, slot: &mut Slot) {
        let Some(taken) = slot.pes.take() else { return };
        let taken = taken.map(|parts| (parts.times, Bytes::copy_from_slice(parts.body)));
        slot.pes.clear();
        let Ok((times, body)) = taken else {
            self.dropped += 1;
            return;
        };
        let times = times.map(|(pts, dts)| self.clock.unwrap(pts, dts));
        let (generation, units) = (&mut self.generation, &mut self.units);
        self.dropped += slot.take(&body, times, &mut |output| match output {
            Output::Renewed => *generation += 1,
            Output::Unit(taken) => units.push_back(Demuxed { generation: *generation, taken }),
        });
    }
}

/// Times without end out of those of 33 bits, of all streams of a program.
#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    last: Option<i64>,
}

impl Clock {
    /// Presentation and decoding time: those that are nearest to the last ones.
    fn unwrap(&mut self, pts: u64, dts: Option<u64>) -> (i64, Option<i64>) {
        let near = |ticks: u64, last: Option<i64>| match last {
            None => ticks as i64,
            // 33 bits with their sign.
            Some(last) => last + (((ticks as i64).wrapping_sub(last) << 31) >> 31),
        };
        let first = near(dts.unwrap_or(pts), self.last);
        self.last = Some(first);
        (near(pts, Some(first)), dts.map(|_| first))
    }
}

/// The place of a stream in its program, as units have it.
const fn place(index: usize) -> TrackId {
    TrackId(index as u8)
}

#[cfg(test)]
mod tests;
