//! Which segment comes next, and when the playlist is to be read again (RFC 8216 sections 6.3.3 and 6.3.4). Pure.

use core::time::Duration;

use super::{MediaSegment, RemoteMedia};
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
    /// The number of the next segment, once one was taken.
    next: Option<u64>,
    asked_at: Now,
    /// When a segment was added last, or the playlist came first.
    changed_at: Option<Now>,
    changed: bool,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Read this segment. `jumped`: it does not follow the one before.
    Segment {
        /// The segment.
        segment: Box<MediaSegment>,
        /// Others between were missed.
        jumped: bool,
    },
    /// Ask for the playlist at this time.
    Reload(Now),
    /// Everything was read.
    End,
}

impl Follower {
    /// Takes a playlist that was asked for at `asked` and came `now`.
    pub fn take(&mut self, playlist: RemoteMedia, asked: Now, now: Now) {
        let last = |playlist: &RemoteMedia| playlist.segments.last().map(|segment| segment.sequence);
        self.changed = last(&playlist) != last(&self.playlist) || playlist.is_ended != self.playlist.is_ended;
        if self.changed || self.changed_at.is_none() {
            self.changed_at = Some(now);
        }
        self.asked_at = asked;
        self.playlist = playlist;
    }

    /// What comes next.
    pub fn step(&mut self) -> Next {
        let segments = &self.playlist.segments;
        let (Some(first), Some(last)) = (segments.first(), segments.last()) else { return self.wait() };
        let (first, last) = (first.sequence, last.sequence);
        let at = match self.next {
            Some(next) if next > last && next - last == 1 => return self.wait(),
            Some(next) if (first..=last).contains(&next) => (next - first) as usize,
            // It was too slow, or the server counts anew.
            _ => self.start(),
        };
        let Some(segment) = segments.get(at) else { return self.wait() };
        let jumped = self.next.is_some_and(|next| next != segment.sequence);
        self.next = Some(segment.sequence.saturating_add(1));
        Next::Segment { segment: Box::new(segment.clone()), jumped }
    }

    /// How much is listed behind what was taken.
    pub fn ahead(&self) -> Duration {
        let is_ahead = |segment: &&MediaSegment| self.next.is_none_or(|next| segment.sequence >= next);
        self.playlist.segments.iter().filter(is_ahead).map(|segment| segment.duration).sum()
    }

    /// How far from its end a live stream is begun.
    pub fn distance(&self) -> Duration {
        self.playlist.target.saturating_mul(FROM_END as u32)
    }

    /// Whether the stream is one that goes on, and its end is not known yet.
    pub const fn is_live(&self) -> bool {
        !self.playlist.is_ended && !self.playlist.is_on_demand
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

    /// The place of the first segment.
    fn start(&self) -> usize {
        if self.is_live() { self.playlist.segments.len().saturating_sub(FROM_END) } else { 0 }
    }

    fn wait(&self) -> Next {
        if self.playlist.is_ended {
            return Next::End;
        }
        let target = self.playlist.target;
        let pause = if self.changed { target } else { target / 2 };
        Next::Reload(self.asked_at.after(pause.max(RELOAD_MIN)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hls::Resource;

    fn playlist(numbers: core::ops::Range<u64>, is_ended: bool) -> RemoteMedia {
        let segment = |sequence| MediaSegment {
            sequence,
            discontinuity: 0,
            resource: Resource { uri: format!("{sequence}.ts"), range: None },
            duration: Duration::from_secs(2),
            map: None,
            key: None,
            map_key: None,
            date: None,
            is_gap: false,
        };
        let segments = numbers.map(segment).collect();
        RemoteMedia { target: Duration::from_secs(2), segments, is_ended, is_on_demand: false }
    }

    const fn at(millis: u64) -> Now {
        Now::from_micros(millis * 1_000)
    }

    fn taken(follower: &mut Follower) -> Vec<(u64, bool)> {
        let mut all = Vec::new();
        while let Next::Segment { segment, jumped } = follower.step() {
            all.push((segment.sequence, jumped));
        }
        all
    }

    #[test]
    fn live_streams_begin_near_their_end_and_are_asked_again() {
        let mut follower = Follower::default();
        follower.take(playlist(5..15, false), at(0), at(100));
        assert_eq!(taken(&mut follower), [(12, false), (13, false), (14, false)]);
        assert_eq!(follower.step(), Next::Reload(at(2_000)));
        follower.take(playlist(5..15, false), at(2_000), at(2_100));
        assert_eq!(follower.step(), Next::Reload(at(3_000)), "half, for nothing has changed");
        follower.take(playlist(6..16, false), at(3_000), at(3_100));
        assert_eq!(follower.ahead(), Duration::from_secs(2));
        assert_eq!(taken(&mut follower), [(15, false)]);
        assert!(!follower.is_stalled(at(9_100), Duration::ZERO) && follower.is_stalled(at(9_101), Duration::ZERO));
        follower.take(playlist(6..16, true), at(9_000), at(9_200));
        assert_eq!(follower.step(), Next::End);
    }

    #[test]
    fn finished_streams_are_read_from_the_beginning() {
        let mut follower = Follower::default();
        follower.take(playlist(0..5, true), at(0), at(0));
        assert_eq!(taken(&mut follower).len(), 5);
        assert_eq!(follower.step(), Next::End);
        let (mut early, mut follower) = (playlist(0..0, false), Follower::default());
        early.target = Duration::ZERO;
        follower.take(early, at(0), at(0));
        assert_eq!(follower.step(), Next::Reload(at(200)), "nothing is there yet");
        assert!(!follower.is_stalled(at(1_000), Duration::from_secs(1)), "nor need it be");
    }

    #[test]
    fn who_is_too_late_or_hears_other_numbers_begins_near_the_end_again() {
        let mut follower = Follower::default();
        follower.take(playlist(0..5, false), at(0), at(0));
        taken(&mut follower);
        follower.take(playlist(50..60, false), at(60_000), at(60_000));
        assert_eq!(taken(&mut follower), [(57, true), (58, false), (59, false)]);
        follower.take(playlist(0..2, false), at(90_000), at(90_000));
        assert_eq!(taken(&mut follower), [(0, true), (1, false)]);
    }
}
