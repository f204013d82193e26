//! Which segment or part comes next, and when the playlist is to be read again (RFC 8216bis sections 6.3.3, 6.3.4 and 6.3.7).
//! Pure.
//!
//! Where the server has parts and lets itself be waited for, what is not complete is read part by part; what is complete is
//! read as a whole. Encrypted segments are always: a part of one is not decrypted alone.

use core::time::Duration;

use super::{MediaPart, MediaSegment, RemoteMedia, Resource};
use crate::time::Now;

/// A live stream begins so many segments before its end, as MediaMTX does it: section 6.3.3 wants three target durations.
const FROM_END: usize = 3;

/// The playlist is not read again sooner than this, whatever durations it says.
const RELOAD_MIN: Duration = Duration::from_millis(200);

/// A playlist is given up that has not changed for so many target durations.
const TARGETS_WITHOUT_CHANGE: u32 = 3;

/// Follows one playlist of segments.
#[derive(Clone, Debug, Default)]
pub struct Follower {
    playlist: RemoteMedia,
    /// What is next, once something was taken.
    next: Option<Place>,
    /// Parts are not read any more.
    without_parts: bool,
    asked_at: Now,
    /// When something was added last, or the playlist came first.
    changed_at: Option<Now>,
    changed: bool,
    /// The furthest that a playlist has reached: the segment that is made, and its parts.
    end: Option<(u64, usize)>,
}

/// The number of a segment, and that of a part of it: the first one is the beginning of the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    sequence: u64,
    part: usize,
}

impl Place {
    const fn after(sequence: u64) -> Self {
        Self { sequence: sequence.saturating_add(1), part: 0 }
    }
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Read this segment. `jumped`: it does not follow the one before.
    Segment {
        /// The segment. Of a part: its segment, with the part's bytes and duration.
        segment: Box<MediaSegment>,
        /// It is a part.
        is_part: bool,
        /// Others between were missed.
        jumped: bool,
    },
    /// Ask for the playlist at this time.
    Reload(Now),
    /// Ask for the playlist now: the server answers when it has this part (section 6.2.5.2).
    Await {
        /// But not before: a server that answers at once is not asked without a pause.
        at: Now,
        /// The number of the segment, for `_HLS_msn`.
        sequence: u64,
        /// The number of the part in it, for `_HLS_part`.
        part: usize,
        /// What the part is going to be, if the server keeps its word: it can be asked for at the same time.
        hint: Option<Resource>,
    },
    /// Everything was read.
    End,
}

impl Follower {
    /// Takes a playlist that was asked for at `asked` and came `now`.
    pub fn take(&mut self, playlist: RemoteMedia, asked: Now, now: Now) {
        let is_over = playlist.is_ended && !self.playlist.is_ended;
        self.asked_at = asked;
        self.playlist = playlist;
        let end = self.end_of_list();
        // One that lists less than another one did is an older one, or the server counts anew.
        let counts_anew = end < self.end && self.next.is_some_and(|next| self.is_lost(next));
        self.changed = is_over || counts_anew || end > self.end;
        if self.changed {
            self.end = end;
        }
        if self.changed || self.changed_at.is_none() {
            self.changed_at = Some(now);
        }
    }

    /// What comes next.
    pub fn step(&mut self) -> Next {
        let expected = self.next;
        if expected.is_none_or(|next| self.is_lost(next)) {
            // The first one; or it was too slow, or the server counts anew.
            let Some(start) = self.start() else { return self.wait() };
            self.next = Some(start);
        }
        let mut missed = expected.is_some_and(|expected| Some(expected) != self.next);
        while let Some(Place { sequence, part }) = self.next {
            let Some(segment) = self.complete(sequence) else { break };
            if part == 0 {
                let segment = Box::new(segment.clone());
                self.next = Some(Place::after(sequence));
                return Next::Segment { segment, is_part: false, jumped: missed };
            }
            if let Some(found) = segment.parts.get(part) {
                let segment = of_part(segment, found);
                return self.part(segment, part, missed);
            }
            // Its end was a part that was taken; or its parts are listed no more, and the rest is missed.
            missed |= segment.parts.len() != part;
            self.next = Some(Place::after(sequence));
        }
        let Some(Place { sequence, part }) = self.next else { return self.wait() };
        let open = self.open().filter(|open| open.sequence == sequence);
        match open.and_then(|open| Some(of_part(open, open.parts.get(part)?))) {
            Some(segment) => self.part(segment, part, missed),
            None => self.wait(),
        }
    }

    /// A part cannot be read: from now on there are segments only. `partly`: something of it was read.
    pub fn leave_parts(&mut self, partly: bool) {
        self.without_parts = true;
        self.next = self.next.map(|next| match next {
            // Nothing of its segment was read.
            Place { part: 1, .. } if !partly => Place { part: 0, ..next },
            Place { part: 0, .. } => next,
            Place { sequence, .. } => Place::after(sequence),
        });
    }

    /// How much is listed behind what was taken.
    pub fn ahead(&self) -> Duration {
        let after = |segment: &MediaSegment| match self.next {
            Some(next) if segment.sequence < next.sequence => Duration::ZERO,
            Some(next) if segment.sequence == next.sequence && next.part > 0 => {
                segment.parts.iter().skip(next.part).map(|part| part.duration).sum()
            }
            _ => segment.duration,
        };
        self.playlist.segments.iter().chain(self.open()).map(after).sum()
    }

    /// How far from its end a live stream is begun.
    pub fn distance(&self) -> Duration {
        self.playlist.target.saturating_mul(FROM_END as u32)
    }

    /// Of which duration parts are at most, where they are read.
    pub fn part_target(&self) -> Option<Duration> {
        let is_used = self.is_live() && self.playlist.can_block && !self.without_parts;
        self.playlist.part_target.filter(|_| is_used)
    }

    /// Whether the stream is one that goes on, and its end is not known yet.
    pub const fn is_live(&self) -> bool {
        !self.playlist.is_ended && !self.playlist.is_on_demand
    }

    /// Whether the playlist lists these bytes as a part that is next.
    pub fn is_next(&self, resource: &Resource) -> bool {
        let Some(Place { sequence, part }) = self.next else { return false };
        let segment = self.complete(sequence).or_else(|| self.open().filter(|open| open.sequence == sequence));
        segment.and_then(|segment| segment.parts.get(part)).is_some_and(|part| part.resource == *resource)
    }

    /// Whether the playlist is so old that what it lists may be gone.
    pub fn is_outdated(&self, now: Now) -> bool {
        !self.playlist.is_ended && now.since(self.asked_at) > self.playlist.target.max(RELOAD_MIN)
    }

    /// Whether no segment has been added for so long that none will be; `patience` at the least.
    pub fn is_stalled(&self, now: Now, patience: Duration) -> bool {
        let limit = self.playlist.target.saturating_mul(TARGETS_WITHOUT_CHANGE).max(patience);
        !self.playlist.is_ended && self.changed_at.is_some_and(|changed| now.since(changed) > limit)
    }

    /// The segment that is made, and how many parts of it are listed.
    fn end_of_list(&self) -> Option<(u64, usize)> {
        let open = self.playlist.open.as_ref().map(|open| (open.sequence, open.parts.len()));
        open.or_else(|| Some((self.playlist.segments.last()?.sequence.saturating_add(1), 0)))
    }

    fn part(&mut self, segment: Box<MediaSegment>, part: usize, jumped: bool) -> Next {
        let sequence = segment.sequence;
        // What follows a part that is missing cannot be decoded before the next segment.
        self.next = Some(if segment.is_gap { Place::after(sequence) } else { Place { sequence, part: part + 1 } });
        Next::Segment { segment, is_part: true, jumped }
    }

    fn complete(&self, sequence: u64) -> Option<&MediaSegment> {
        let first = self.playlist.segments.first()?.sequence;
        self.playlist.segments.get(usize::try_from(sequence.checked_sub(first)?).ok()?)
    }

    /// The segment that is not complete, where parts are read.
    fn open(&self) -> Option<&MediaSegment> {
        self.playlist.open.as_deref().filter(|open| self.part_target().is_some() && open.key.is_none())
    }

    /// Whether nothing that is listed can follow.
    fn is_lost(&self, next: Place) -> bool {
        let (segments, open) = (&self.playlist.segments, self.open());
        let first = segments.first().or(open).map(|segment| segment.sequence);
        let last = open.or(segments.last()).map(|segment| segment.sequence);
        // The rest of what is not complete may have been given up, or that is not read any more.
        let beyond = 1 + u64::from(self.without_parts);
        let (Some(first), Some(last)) = (first, last) else { return false };
        next.sequence < first || next.sequence > last.saturating_add(beyond)
    }

    /// The place to begin at: near the end of what is live.
    fn start(&self) -> Option<Place> {
        let segments = &self.playlist.segments;
        if self.part_target().is_some() {
            return self.open().into_iter().chain(segments.iter().rev()).find_map(last_beginning);
        }
        let at = if self.is_live() { segments.len().saturating_sub(FROM_END) } else { 0 };
        segments.get(at).map(|segment| Place { sequence: segment.sequence, part: 0 })
    }

    fn wait(&self) -> Next {
        if self.playlist.is_ended {
            return Next::End;
        }
        let of_parts = self.part_target();
        // A server that has answered without anything new does not let itself be waited for.
        if let (Some(Place { sequence, part }), true) = (self.next, of_parts.is_some() && self.changed) {
            let is_open = |open: &&MediaSegment| open.sequence == sequence;
            let hint = self.open().filter(is_open).and_then(|_| self.playlist.hint.clone());
            let pause = of_parts.map_or(RELOAD_MIN, |target| RELOAD_MIN.min(target / 2));
            return Next::Await { at: self.asked_at.after(pause), sequence, part, hint };
        }
        let target = of_parts.unwrap_or(self.playlist.target);
        let pause = if self.changed { target } else { target / 2 };
        Next::Reload(self.asked_at.after(pause.max(RELOAD_MIN)))
    }
}

/// The last place in a segment with which decoding can begin. One whose parts are not listed is taken for independent.
fn last_beginning(segment: &MediaSegment) -> Option<Place> {
    let sequence = segment.sequence;
    // What is encrypted is read whole.
    if segment.parts.is_empty() || segment.key.is_some() {
        return Some(Place { sequence, part: 0 });
    }
    let part = segment.parts.iter().rposition(|part| part.is_independent && !part.is_gap)?;
    Some(Place { sequence, part })
}

/// A part as a segment of its own.
fn of_part(segment: &MediaSegment, part: &MediaPart) -> Box<MediaSegment> {
    let MediaPart { resource, duration, is_gap, .. } = part.clone();
    let is_first = segment.parts.first() == Some(part);
    let date = segment.date.filter(|_| is_first);
    Box::new(MediaSegment { resource, duration, is_gap, date, parts: Vec::new(), ..segment.clone() })
}

#[cfg(test)]
mod tests;
