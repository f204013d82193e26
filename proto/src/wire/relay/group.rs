//! One track of one group, as it goes from node to node.

use std::collections::VecDeque;

use bincode::{Decode, Encode};
use bytes::{Buf, Bytes};

use super::tracks::{decode_tracks, encode_tracks};
use crate::id::Epoch;
use crate::limits::{RELAY_HEAD_BYTES_MAX, UNIT_BYTES_MAX, UNIT_FRAMES_MAX, UNIT_SLICES_MAX};
use crate::media::{Marks, PayloadBuilder, TrackId, Tracks, Unit};
use crate::time::WallClock;
use crate::wire::{from_bytes, to_bytes};

/// What stands at the beginning of a stream of media.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct GroupHead {
    /// The stream on which the child subscribed.
    pub subscription: u64,
    /// The ownership under which it was published.
    pub epoch: Epoch,
    /// Counts the publishers of the epoch.
    pub publication: u32,
    /// The number of the group's first unit.
    pub group: u64,
    /// Whose units follow.
    pub track: u8,
}

/// What stands before a unit's bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct UnitHead {
    /// How far its number is from that of the unit before in this stream; from the group's for the first.
    seq_step: u64,
    /// Decoding time in ticks of the track's clock, less that of the unit before in this stream.
    dts_step: i64,
    /// Presentation time less decoding time.
    shift: i64,
    flags: u8,
    captured_micros: Option<i64>,
    /// The last unit of another track that comes before this one, where that is news in this stream: the track, and how much
    /// lower its number is.
    after: Vec<(u8, u64)>,
    marks: Option<Marks>,
    /// The tracks, where they are not those of the unit before.
    tracks: Option<Vec<u8>>,
    /// Bytes of each frame.
    frames: Vec<u32>,
}

const RANDOM_ACCESS: u8 = 1;
const DISCARDABLE: u8 = 2;
const MARKER: u8 = 4;
const GROUP_START: u8 = 8;
const MISSED: u8 = 16;

/// A unit that has come from another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relayed {
    /// Its number in its epoch.
    pub seq: u64,
    /// The unit, its times in path time.
    pub unit: Unit,
    /// What is stamped before it.
    pub marks: Option<Marks>,
    /// A group begins with it.
    pub group_start: bool,
    /// The sender has not got all that comes before it.
    pub missed: bool,
    /// The tracks in force.
    pub tracks: Tracks,
    /// The last units of other tracks that come before it, as far as this stream had not said so before.
    pub after: Vec<(TrackId, u64)>,
}

/// What a log says of a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Placed {
    /// Its number in its epoch.
    pub seq: u64,
    /// What is stamped before it.
    pub marks: Option<Marks>,
    /// A group begins with it.
    pub group_start: bool,
    /// This node has not got all that comes before it.
    pub missed: bool,
}

/// Why bytes are no group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RelayedError {
    /// A head that cannot be read.
    #[error("a head cannot be read")]
    Head,
    /// More than a unit, or a group's track, may have.
    #[error("something is larger than it may be")]
    TooLarge,
    /// Numbers or times that cannot be, or tracks that do not have the track.
    #[error("a number is out of range")]
    Range,
}

impl GroupHead {
    /// As it stands in the stream.
    pub fn encode(&self) -> Bytes {
        with_length(&to_bytes(self))
    }
}

/// A length and what has it: one byte for less than 255, else 255 and four bytes.
fn with_length(body: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(body.len() + 5);
    match u8::try_from(body.len()) {
        Ok(short) if short < LONG => bytes.push(short),
        _ => {
            bytes.push(LONG);
            bytes.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
    bytes.extend_from_slice(body);
    bytes.into()
}

const LONG: u8 = 255;

/// Writes the units of one track of one group.
#[derive(Clone, Debug)]
pub struct UnitWriter {
    seq: u64,
    dts: i64,
    tracks: Option<Tracks>,
}

impl UnitWriter {
    /// For the group with this number.
    pub const fn new(group: u64) -> Self {
        Self { seq: group, dts: 0, tracks: None }
    }

    /// The head of the next unit; its payload's slices follow as they are. `after`: the last units of other tracks before it
    /// that have not been named in this stream.
    pub fn write(
        &mut self,
        placed: Placed,
        unit: &Unit,
        tracks: &Tracks,
        after: impl IntoIterator<Item = (TrackId, u64)>,
    ) -> Bytes {
        let Placed { seq, marks, group_start, missed } = placed;
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        let is_news = self.tracks.as_ref().is_none_or(|known| !known.is_same_list(tracks) && known != tracks);
        let head = UnitHead {
            seq_step: seq.saturating_sub(self.seq),
            dts_step: unit.dts.wrapping_sub(self.dts),
            shift: unit.pts.wrapping_sub(unit.dts),
            flags: flag(unit.random_access, RANDOM_ACCESS)
                | flag(unit.discardable, DISCARDABLE)
                | flag(unit.marker, MARKER)
                | flag(group_start, GROUP_START)
                | flag(missed, MISSED),
            captured_micros: unit.captured.map(WallClock::unix_micros),
            after: after.into_iter().map(|(track, other)| (track.0, seq.saturating_sub(other))).collect(),
            marks,
            tracks: is_news.then(|| encode_tracks(tracks)),
            frames: unit.payload.frames().map(|frame| u32::try_from(frame.len()).unwrap_or(u32::MAX)).collect(),
        };
        if is_news {
            self.tracks = Some(tracks.clone());
        }
        (self.seq, self.dts) = (seq, unit.dts);
        with_length(&to_bytes(&head))
    }
}

/// Reads one track of one group. Bytes come as they arrive; payloads are slices of them.
#[derive(Debug, Default)]
pub struct GroupReader {
    chunks: VecDeque<Bytes>,
    buffered: usize,
    head: Option<GroupHead>,
    seq: u64,
    dts: i64,
    tracks: Option<Tracks>,
    /// What was last read as tracks, so that equal ones stay one list.
    tracks_bytes: Vec<u8>,
    open: Option<Open>,
}

/// A unit of which the head was read.
#[derive(Debug)]
struct Open {
    head: UnitHead,
    payload: PayloadBuilder,
    slices: usize,
    frame: usize,
    /// Bytes of the frame that are still to come.
    missing: usize,
}

impl GroupReader {
    /// A reader at the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what has arrived.
    pub fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.buffered += chunk.len();
            self.chunks.push_back(chunk);
        }
    }

    /// The stream's head, once it is there.
    pub fn head(&mut self) -> Result<Option<GroupHead>, RelayedError> {
        if self.head.is_none()
            && let Some(bytes) = self.take_with_length(HEAD_BYTES_MAX)?
        {
            let head: GroupHead = from_bytes(&bytes).ok_or(RelayedError::Head)?;
            self.seq = head.group;
            self.head = Some(head);
        }
        Ok(self.head)
    }

    /// The tracks that were in force when the last stream of the path was read: while this one's are written the same they
    /// are the same list.
    pub fn expect(&mut self, tracks: &Tracks) {
        self.tracks_bytes = encode_tracks(tracks);
        self.tracks = Some(tracks.clone());
    }

    /// The next unit, once it is whole.
    #[expect(clippy::should_implement_trait, reason = "no iterator: more may come after `None`")]
    pub fn next(&mut self) -> Result<Option<Relayed>, RelayedError> {
        if self.head()?.is_none() {
            return Ok(None);
        }
        if self.open.is_none() {
            let Some(bytes) = self.take_with_length(RELAY_HEAD_BYTES_MAX)? else { return Ok(None) };
            let head: UnitHead = from_bytes(&bytes).ok_or(RelayedError::Head)?;
            self.open = Some(self.begin(head)?);
        }
        if !self.fill()? {
            return Ok(None);
        }
        let Some(open) = self.open.take() else { return Ok(None) };
        self.finish(open).map(Some)
    }

    /// Whether nothing is half read: the stream may end here.
    pub fn is_between_units(&self) -> bool {
        self.open.is_none() && self.buffered == 0
    }

    fn begin(&mut self, mut head: UnitHead) -> Result<Open, RelayedError> {
        let bytes = head.frames.iter().fold(0usize, |sum, frame| sum.saturating_add(*frame as usize));
        if bytes > UNIT_BYTES_MAX || head.frames.len() > UNIT_FRAMES_MAX {
            return Err(RelayedError::TooLarge);
        }
        if head.frames.contains(&0) {
            return Err(RelayedError::Range);
        }
        if let Some(written) = head.tracks.take()
            && (self.tracks.is_none() || written != self.tracks_bytes)
        {
            self.tracks = Some(decode_tracks(&written).ok_or(RelayedError::Head)?);
            self.tracks_bytes = written;
        }
        let missing = head.frames.first().map_or(0, |bytes| *bytes as usize);
        Ok(Open { head, payload: PayloadBuilder::default(), slices: 0, frame: 0, missing })
    }

    /// Moves what has come into the open unit; whether it is whole.
    fn fill(&mut self) -> Result<bool, RelayedError> {
        let Some(open) = &mut self.open else { return Ok(false) };
        while open.frame < open.head.frames.len() {
            let Some(front) = self.chunks.front_mut() else { return Ok(false) };
            let slice = front.split_to(front.len().min(open.missing));
            if front.is_empty() {
                self.chunks.pop_front();
            }
            self.buffered -= slice.len();
            open.missing -= slice.len();
            open.slices += 1;
            if open.slices > UNIT_SLICES_MAX {
                return Err(RelayedError::TooLarge);
            }
            open.payload.push_slice(slice);
            if open.missing == 0 {
                open.payload.end_frame();
                open.frame += 1;
                open.missing = open.head.frames.get(open.frame).map_or(0, |bytes| *bytes as usize);
            }
        }
        Ok(true)
    }

    fn finish(&mut self, open: Open) -> Result<Relayed, RelayedError> {
        let Open { head, payload, .. } = open;
        let track = TrackId(self.head.map_or(0, |head| head.track));
        let tracks = self.tracks.clone().filter(|tracks| tracks.get(track).is_some()).ok_or(RelayedError::Range)?;
        let seq = self.seq.checked_add(head.seq_step).ok_or(RelayedError::Range)?;
        let dts = self.dts.checked_add(head.dts_step).ok_or(RelayedError::Range)?;
        let pts = dts.checked_add(head.shift).ok_or(RelayedError::Range)?;
        // Half of what an integer holds: sums of two times must not overflow anywhere.
        if dts.unsigned_abs() > TIME_MAX || pts.unsigned_abs() > TIME_MAX || pts < dts || seq > SEQ_MAX {
            return Err(RelayedError::Range);
        }
        let after: Option<Vec<(TrackId, u64)>> =
            head.after.iter().map(|(track, less)| Some((TrackId(*track), seq.checked_sub(*less)?))).collect();
        let after = after.ok_or(RelayedError::Range)?;
        if after.len() > tracks.len() || after.iter().any(|(track, _)| tracks.get(*track).is_none()) {
            return Err(RelayedError::Range);
        }
        (self.seq, self.dts) = (seq, dts);
        let unit = Unit {
            track,
            pts,
            dts,
            captured: head.captured_micros.map(WallClock::from_unix_micros),
            random_access: head.flags & RANDOM_ACCESS != 0,
            discardable: head.flags & DISCARDABLE != 0,
            marker: head.flags & MARKER != 0,
            payload: payload.finish(),
        };
        let group_start = head.flags & GROUP_START != 0;
        let missed = head.flags & MISSED != 0;
        Ok(Relayed { seq, unit, marks: head.marks, group_start, missed, tracks, after })
    }

    /// A length and what has it, once that is there.
    fn take_with_length(&mut self, longest: usize) -> Result<Option<Bytes>, RelayedError> {
        let Some(first) = self.peek(0) else { return Ok(None) };
        let (width, length) = if first < LONG {
            (1, usize::from(first))
        } else {
            let mut long = [0; 4];
            for (at, byte) in long.iter_mut().enumerate() {
                let Some(found) = self.peek(1 + at) else { return Ok(None) };
                *byte = found;
            }
            (5, usize::try_from(u32::from_be_bytes(long)).unwrap_or(usize::MAX))
        };
        if length > longest {
            return Err(RelayedError::TooLarge);
        }
        if self.buffered < width + length {
            return Ok(None);
        }
        self.take(width);
        Ok(Some(self.take(length)))
    }

    fn peek(&self, mut at: usize) -> Option<u8> {
        for chunk in &self.chunks {
            match chunk.get(at) {
                Some(byte) => return Some(*byte),
                None => at -= chunk.len(),
            }
        }
        None
    }

    /// The next so many bytes, which must be there: shared where they lie in one chunk.
    fn take(&mut self, length: usize) -> Bytes {
        self.buffered -= length;
        let mut taken = Vec::new();
        while let Some(front) = self.chunks.front_mut() {
            let missing = length - taken.len();
            if taken.is_empty() && front.len() > missing {
                return front.split_to(missing);
            }
            let step = front.len().min(missing);
            taken.extend_from_slice(&front[..step]);
            front.advance(step);
            if front.is_empty() {
                self.chunks.pop_front();
            }
            if taken.len() == length {
                break;
            }
        }
        taken.into()
    }
}

/// Bytes of a group's head: five integers.
const HEAD_BYTES_MAX: usize = 64;
const TIME_MAX: u64 = 1 << 61;
const SEQ_MAX: u64 = 1 << 62;

#[cfg(test)]
#[path = "group_test.rs"]
mod tests;
