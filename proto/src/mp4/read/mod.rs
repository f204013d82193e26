//! Fragmented MP4 on its way in: bytes of any cut in, units out.
//!
//! [`Reader`] takes an initialisation segment, then fragments: each `moof` says where in the `mdat` behind it the samples
//! are. A fragment is in memory as a whole; so is what HLS and DASH servers have it for. It has no clock and no history but
//! the tracks.

mod boxes;
mod entry;
mod fragment;
mod init;
mod sample;

use std::collections::VecDeque;

use crate::bitstream::{Elementary, Taken};
use crate::limits::{MP4_FRAGMENT_BYTES_MAX, MP4_HEADERS_BYTES_MAX};
use crate::media::{Track, TrackId};
use crate::time::ClockRate;
use boxes::Head;
use fragment::Sample;
use init::Described;

/// Why the bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mp4Error {
    /// A box ends outside of the one that holds it, or before what it must have.
    #[error("MP4: `{}` is cut", .0.escape_ascii())]
    Cut([u8; 4]),
    /// A box is larger than we take.
    #[error("MP4: `{}` is too large", .0.escape_ascii())]
    TooLarge([u8; 4]),
    /// Fragments come before what describes them.
    #[error("MP4: there is no initialisation segment")]
    NoInit,
    /// A box without an end.
    #[error("MP4: a box has no length")]
    Endless,
    /// A value that makes no sense.
    #[error("MP4: {0} makes no sense")]
    Bad(&'static str),
}

/// Fragments on their way in.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: Vec<u8>,
    /// Bytes of the buffer that are done with.
    done: usize,
    /// Where the rest of it begins in the segment.
    position: u64,
    /// Bytes of a box of no interest that are still to come.
    skip: u64,
    /// The last `moov`, to know it again.
    described: Vec<u8>,
    lines: Vec<Line>,
    /// The samples that the last `moof` announced.
    announced: Vec<Sample>,
    units: VecDeque<Taken>,
    generation: u32,
    dropped: u32,
    foreign: Vec<String>,
}

/// A track.
#[derive(Debug)]
struct Line {
    described: Described,
    stream: Elementary,
    /// The decoding time behind the last sample.
    next: u64,
    /// How far presentation was before decoding at most.
    lead: i64,
}

impl Reader {
    /// Begins with an initialisation segment.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes. Take what comes out of them before the next ones.
    ///
    /// # Errors
    /// When they make no sense; nothing that follows in the segment does then.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), Mp4Error> {
        let skipped = (bytes.len() as u64).min(self.skip);
        (self.skip, self.position) = (self.skip - skipped, self.position + skipped);
        bytes = &bytes[skipped as usize..];
        self.buffer.extend_from_slice(bytes);
        let read = self.boxes();
        // Once, and not for each box: there may be a hundred thousand in it.
        self.buffer.drain(..self.done);
        self.done = 0;
        if self.buffer.is_empty() {
            // A fragment was large; what comes next may not be.
            self.buffer = Vec::new();
        }
        read
    }

    fn boxes(&mut self) -> Result<(), Mp4Error> {
        loop {
            let rest = &self.buffer[self.done..];
            let Some(head) = Head::parse(rest)? else { return Ok(()) };
            let here = rest.len();
            let most = match &head.kind {
                b"moov" | b"moof" => MP4_HEADERS_BYTES_MAX,
                b"mdat" => MP4_FRAGMENT_BYTES_MAX,
                _ => {
                    let here = head.length.min(here as u64);
                    self.skip = head.length - here;
                    self.advance(here as usize);
                    continue;
                }
            };
            if head.length > most as u64 {
                return Err(Mp4Error::TooLarge(head.kind));
            }
            let length = head.length as usize;
            if here < length {
                return Ok(());
            }
            self.whole(&head)?;
            self.advance(length);
        }
    }

    /// A segment is over: what follows begins with a box.
    pub fn flush(&mut self) {
        self.dropped += u32::from(!self.buffer.is_empty()) + self.announced.len() as u32;
        (self.buffer, self.announced) = (Vec::new(), Vec::new());
        (self.done, self.position, self.skip) = (0, 0, 0);
    }

    /// The next unit.
    pub fn take(&mut self) -> Option<Taken> {
        self.units.pop_front()
    }

    /// The tracks in the order of the initialisation segment; `None` for one whose parameters have not come yet.
    pub fn tracks(&self) -> impl ExactSizeIterator<Item = Option<Track>> {
        self.lines.iter().map(|line| line.stream.track())
    }

    /// Counts the lists of tracks.
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// Units lost since the last call.
    pub const fn take_dropped(&mut self) -> u32 {
        core::mem::replace(&mut self.dropped, 0)
    }

    /// A track that is left out and has not been told yet.
    pub fn take_foreign(&mut self) -> Option<String> {
        self.foreign.pop()
    }

    fn advance(&mut self, length: usize) {
        self.done += length;
        self.position += length as u64;
    }

    fn whole(&mut self, head: &Head) -> Result<(), Mp4Error> {
        let buffer = core::mem::take(&mut self.buffer);
        let body = &buffer[self.done..][head.bytes..head.length as usize];
        let done = match &head.kind {
            b"moov" => self.describe(body),
            b"moof" if self.described.is_empty() => Err(Mp4Error::NoInit),
            b"moof" => self.announce(body),
            _ => {
                self.samples(body, self.position + head.bytes as u64);
                Ok(())
            }
        };
        self.buffer = buffer;
        done
    }

    fn describe(&mut self, moov: &[u8]) -> Result<(), Mp4Error> {
        if self.described == moov {
            return Ok(());
        }
        let (tracks, foreign) = init::parse(moov)?;
        // Samples that were announced belong to tracks that are no more.
        self.dropped += self.announced.len() as u32;
        self.announced.clear();
        let line = |(described, codec)| Line { described, stream: Elementary::new(codec), next: 0, lead: 0 };
        self.lines = tracks.into_iter().map(line).collect();
        self.foreign = foreign;
        self.described = moov.to_vec();
        self.generation += 1;
        Ok(())
    }

    fn announce(&mut self, moof: &[u8]) -> Result<(), Mp4Error> {
        self.dropped += self.announced.len() as u32;
        self.announced.clear();
        fragment::parse(moof, self.position, &mut self.lines, &mut self.announced)
    }

    /// Makes units of the samples that are in these bytes, which begin there in the segment.
    fn samples(&mut self, data: &[u8], start: u64) {
        // Samples do not overlap; those that claim to would be copied without end.
        let mut left = data.len();
        for sample in core::mem::take(&mut self.announced) {
            let from = sample.offset.checked_sub(start).and_then(|from| usize::try_from(from).ok());
            let bytes = from.and_then(|from| data.get(from..)?.get(..sample.size as usize));
            let Some(bytes) = bytes.filter(|bytes| bytes.len() <= left) else {
                self.dropped += 1;
                continue;
            };
            left -= bytes.len();
            let line = &mut self.lines[sample.line];
            let rate = line.described.rate;
            let times = (sample.pts, Some(sample.dts));
            let track = TrackId(sample.line as u8);
            let payload = sample::payload(line.stream.codec(), line.described.length_size, bytes);
            match payload.and_then(|payload| line.stream.take(track, payload, times, rate)) {
                Some(taken) => self.units.push_back(taken),
                None => self.dropped += 1,
            }
        }
    }
}

/// The clock of a track or movie.
fn rate(hertz: u32) -> Result<ClockRate, Mp4Error> {
    ClockRate::new(hertz).ok_or(Mp4Error::Bad("a timescale of 0"))
}

#[cfg(test)]
mod tests;
