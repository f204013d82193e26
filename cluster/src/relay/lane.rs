//! One track of one subscription on its way out: read from the log, written to a stream for each group.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use quinn::{SendStream, VarInt};
use smallvec::SmallVec;
use tracing::debug;
use weft_proto::id::Epoch;
use weft_proto::media::{Kind, TrackId};
use weft_proto::time::Now;
use weft_proto::wire::relay::{Dropped, GroupHead, Placed, UnitWriter};

use super::turns::Class;
use crate::stream::{Entry, Stream};

/// Bytes of units that are read from the log at once; the rest stays there, where it can be dropped.
const AHEAD_BYTES: usize = 64 << 10;

/// What comes within this time after the first picture of a group goes before what others go on with, so that more than one
/// picture of it is seen.
const EARLY: Duration = Duration::from_millis(100);

/// Groups that begin more often do not go first.
const LEAD_EVERY: Duration = Duration::from_secs(1);

/// What a lane needs of the connection.
pub(super) trait Outlet {
    /// A new stream, when one may be opened.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<SendStream, Closed>>;

    /// Tells the child of units that do not come.
    fn dropped(&mut self, subscription: u64, dropped: Dropped);
}

/// The connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed;

/// How far a lane came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// All that is there is written.
    Idle,
    /// The next unit cannot be written yet.
    Blocked,
}

type After = SmallVec<[(TrackId, u64); 2]>;

/// One track of one subscription.
pub(super) struct Lane {
    subscription: u64,
    track: TrackId,
    is_sound: bool,
    /// Since when there is this lane: what was in the log before has not waited for longer.
    begun: Now,
    /// Index in the log of what comes next.
    next: u64,
    ahead: VecDeque<(Arc<Entry>, After)>,
    ahead_bytes: usize,
    passed: Passed,
    /// Something was given up before the next unit.
    jumped: bool,
    out: Option<Out>,
    /// The unit that is being written.
    writing: Option<Arc<Entry>>,
    chunks: SmallVec<[Bytes; 4]>,
    /// Bytes that the connection took.
    written: u64,
    lead: Lead,
}

/// Epoch, publisher and group of a unit: what has a stream of its own.
type Key = (Epoch, u32, u64);

struct Out {
    send: SendStream,
    key: Key,
    writer: UnitWriter,
}

impl Lane {
    /// A lane that begins now, at this index of the log.
    pub(super) fn new(subscription: u64, track: TrackId, kind: Kind, next: u64, begun: Now) -> Self {
        Self {
            subscription,
            track,
            is_sound: kind != Kind::Video,
            begun,
            next,
            ahead: VecDeque::new(),
            ahead_bytes: 0,
            passed: Passed::default(),
            jumped: false,
            out: None,
            writing: None,
            chunks: SmallVec::new(),
            written: 0,
            lead: Lead::default(),
        }
    }

    /// Where it is served while it is not late.
    pub(super) fn class(&self) -> Class {
        match self.next_unit() {
            _ if self.is_sound => Class::Sound,
            Some(entry) => self.lead.class_of(entry),
            None => Class::Pictures,
        }
    }

    /// Where it is served when what is next gives way to a newer group, because it has waited too long.
    pub(super) fn class_after(&self, stream: &Stream, now: Now, patience: Duration) -> Option<Class> {
        if !self.gives_way(stream, now, patience) {
            return None;
        }
        stream.newest_group().map(|(_, newest)| self.lead.class_of(&newest))
    }

    /// Whether what is next has waited too long, and there is a newer group to go on with.
    fn gives_way(&self, stream: &Stream, now: Now, patience: Duration) -> bool {
        self.is_old(now, patience) && self.may_jump(stream)
    }

    /// A child that comes back after its way was cut gets what the log still holds: that is old, but no connection was too
    /// narrow for it.
    fn is_old(&self, now: Now, patience: Duration) -> bool {
        self.next_unit().is_some_and(|entry| now.since(entry.arrived.max(self.begun)) > patience)
    }

    /// Bytes that the connection has taken so far.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// Whether what is next has waited too long, and there is no newer group yet that it could give way to.
    pub(super) fn is_late(&self, stream: &Stream, now: Now, patience: Duration) -> bool {
        !self.is_sound && self.is_old(now, patience) && !self.may_jump(stream)
    }

    /// Whether there is a newer group than that of what is next.
    pub(super) fn may_jump(&self, stream: &Stream) -> bool {
        let Some((epoch, _, group)) = self.next_unit().map(|entry| key_of(entry)) else { return false };
        stream.newest_group().is_some_and(|(_, newest)| (newest.position.epoch, newest.group) > (epoch, group))
    }

    fn next_unit(&self) -> Option<&Arc<Entry>> {
        self.writing.as_ref().or_else(|| self.ahead.front().map(|(entry, _)| entry))
    }

    /// Since when the unit that is next has been in the log, if one waits.
    pub(super) fn waits_since(&self) -> Option<Now> {
        self.next_unit().map(|entry| entry.arrived)
    }

    /// Writes what can be written. `patience`: what is older is given up as soon as there is a newer group.
    pub(super) fn poll(
        &mut self,
        stream: &Stream,
        outlet: &mut impl Outlet,
        (now, patience): (Now, Duration),
        cx: &mut Context<'_>,
    ) -> Result<Progress, Closed> {
        loop {
            self.give_up_old(stream, outlet, now, patience);
            if self.writing.is_some() {
                match self.poll_write(cx) {
                    Poll::Ready(Written::All) => self.writing = None,
                    Poll::Ready(Written::Some) => {}
                    // The child does not want this group: it has been taken from elsewhere.
                    Poll::Ready(Written::Stopped) => self.forget_unit(),
                    Poll::Ready(Written::Closed) => return Err(Closed),
                    Poll::Pending => return Ok(Progress::Blocked),
                }
                continue;
            }
            let Some((entry, _)) = self.ahead.front() else {
                if !self.read(stream, outlet) {
                    return Ok(Progress::Idle);
                }
                continue;
            };
            let key = key_of(entry);
            if self.out.as_ref().is_none_or(|out| out.key != key) {
                self.finish();
                match outlet.poll_open(cx) {
                    Poll::Ready(Ok(send)) => self.begin(send, key)?,
                    Poll::Ready(Err(closed)) => return Err(closed),
                    Poll::Pending => return Ok(Progress::Blocked),
                }
            }
            self.write_next();
        }
    }

    fn begin(&mut self, send: SendStream, key: Key) -> Result<(), Closed> {
        let (epoch, publication, group) = key;
        let priority = if self.is_sound { SOUND } else { PICTURES };
        send.set_priority(priority).map_err(|_| Closed)?;
        let head = GroupHead { subscription: self.subscription, epoch, publication, group, track: self.track.0 };
        self.chunks.clear();
        self.chunks.push(head.encode());
        self.out = Some(Out { send, key, writer: UnitWriter::new(group) });
        Ok(())
    }

    fn write_next(&mut self) {
        let (Some((entry, after)), Some(out)) = (self.ahead.pop_front(), &mut self.out) else { return };
        self.ahead_bytes -= entry.unit.payload.len();
        let Entry { position, marks, group_start, missed, .. } = *entry;
        let missed = core::mem::take(&mut self.jumped) || missed;
        let placed = Placed { seq: position.seq, marks, group_start, missed };
        self.lead.note(&entry);
        let head = out.writer.write(placed, &entry.unit, &entry.tracks, after);
        self.chunks.push(head);
        self.chunks.extend(entry.unit.payload.frames().flat_map(|frame| frame.slices().iter().cloned()));
        self.writing = Some(entry);
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Written> {
        let Some(out) = &mut self.out else { return Poll::Ready(Written::All) };
        if self.chunks.is_empty() {
            return Poll::Ready(Written::All);
        }
        // Polled once: if it cannot write it has noted the waker, and nothing was written.
        let result = std::task::ready!(pin!(out.send.write_chunks(&mut self.chunks)).poll(cx));
        match result {
            Ok(written) => {
                self.written += written.bytes as u64;
                self.chunks.drain(..written.chunks);
                Poll::Ready(if self.chunks.is_empty() { Written::All } else { Written::Some })
            }
            Err(quinn::WriteError::Stopped(_) | quinn::WriteError::ClosedStream) => Poll::Ready(Written::Stopped),
            Err(_) => Poll::Ready(Written::Closed),
        }
    }

    /// Reads on in the log; false when there is nothing.
    fn read(&mut self, stream: &Stream, outlet: &mut impl Outlet) -> bool {
        let Self { track, ahead, ahead_bytes, passed, next, .. } = self;
        let before = *next;
        let read = stream.look(before, |entry| {
            if *ahead_bytes >= AHEAD_BYTES {
                return false;
            }
            if let Some(after) = passed.pass(entry, *track) {
                *ahead_bytes += entry.unit.payload.len();
                ahead.push_back((entry.clone(), after));
            }
            true
        });
        match read {
            Some(next) => self.next = next,
            // Trimmed: with the newest group it goes on.
            None => self.jump(stream, outlet),
        }
        self.next != before
    }

    /// What has waited too long gives way to the newest group, when that is another one.
    fn give_up_old(&mut self, stream: &Stream, outlet: &mut impl Outlet, now: Now, patience: Duration) {
        if self.gives_way(stream, now, patience) {
            self.jump(stream, outlet);
        }
    }

    /// Gives up what has not been sent, and goes on with the newest group.
    fn jump(&mut self, stream: &Stream, outlet: &mut impl Outlet) {
        let mut given_up: Vec<Key> = Vec::new();
        if let Some(mut out) = self.out.take() {
            given_up.push(out.key);
            // Fails when it is over already.
            let _ = out.send.reset(VarInt::from_u32(GIVEN_UP));
        }
        let (first, head) = stream.bounds();
        let (target, newest) =
            stream.newest_group().map_or((head, None), |(index, entry)| (index, Some(key_of(&entry))));
        let mut note = |key| {
            if given_up.last() != Some(&key) && Some(key) != newest {
                given_up.push(key);
            }
        };
        self.writing.take().iter().for_each(|entry| note(key_of(entry)));
        self.ahead.drain(..).for_each(|(entry, _)| note(key_of(&entry)));
        let mut index = self.next.max(first);
        stream.look(index, |entry| {
            if entry.unit.track == self.track {
                note(key_of(entry));
            }
            index += 1;
            index < target
        });
        debug!(path = %stream.path(), track = self.track.0, groups = given_up.len(), "pictures that are too old are not sent to a node");
        for (epoch, _, group) in given_up {
            outlet.dropped(self.subscription, Dropped { epoch, group, track: self.track.0 });
        }
        self.chunks.clear();
        self.ahead_bytes = 0;
        self.next = target.max(first);
        self.passed = Passed::default();
        self.jumped = true;
    }

    fn forget_unit(&mut self) {
        self.writing = None;
        self.chunks.clear();
    }

    /// Ends the group's stream.
    pub(super) fn finish(&mut self) {
        if let Some(mut out) = self.out.take() {
            // Fails when the child has stopped it.
            let _ = out.send.finish();
        }
    }
}

/// Which pictures of a lane go before those of others: with which a group begins, but not more of them than a
/// usual stream has.
#[derive(Debug, Default)]
struct Lead {
    /// When the first picture of the last group was there that went first.
    last: Option<Now>,
}

impl Lead {
    fn class_of(&self, entry: &Entry) -> Class {
        let arrived = entry.arrived;
        match self.last {
            _ if entry.group_start && self.may_lead(arrived) => Class::First(arrived),
            Some(last) if arrived.since(last) < EARLY => Class::Early(arrived),
            _ => Class::Pictures,
        }
    }

    fn may_lead(&self, arrived: Now) -> bool {
        self.last.is_none_or(|last| arrived == last || arrived.since(last) >= LEAD_EVERY)
    }

    /// It is being written.
    fn note(&mut self, entry: &Entry) {
        if entry.group_start && self.may_lead(entry.arrived) {
            self.last = Some(entry.arrived);
        }
    }
}

enum Written {
    All,
    Some,
    Stopped,
    Closed,
}

fn key_of(entry: &Entry) -> Key {
    (entry.position.epoch, entry.publication, entry.group)
}

/// What a lane has passed in the log: its units tell the child what comes before them on other tracks.
#[derive(Debug, Default)]
struct Passed {
    /// Of the last unit, of whichever track.
    epoch: Option<Epoch>,
    /// Of the last unit of the lane's own track.
    key: Option<Key>,
    /// The last unit of each track in that epoch, and whether it was told in the present stream.
    last: SmallVec<[Option<(u64, bool)>; 4]>,
}

impl Passed {
    /// Passes an entry. For the lane's own: what comes before it, as far as that is news in its stream.
    fn pass(&mut self, entry: &Entry, track: TrackId) -> Option<After> {
        let is_own = entry.unit.track == track;
        let key = key_of(entry);
        if self.epoch.replace(key.0).is_some_and(|before| before != key.0) {
            self.last.clear();
        }
        if is_own && self.key != Some(key) {
            // A stream's first unit names what comes before it on all tracks.
            self.last.iter_mut().flatten().for_each(|(_, told)| *told = false);
            self.key = Some(key);
        }
        let after = is_own.then(|| {
            let untold = self.last.iter_mut().enumerate().filter_map(|(index, last)| {
                let (seq, told) = last.as_mut().filter(|(_, told)| !*told)?;
                *told = true;
                Some((TrackId(index as u8), *seq))
            });
            untold.collect()
        });
        let index = usize::from(entry.unit.track.0);
        if self.last.len() <= index {
            self.last.resize(index + 1, None);
        }
        // The own track's units are in order in their stream anyway.
        self.last[index] = Some((entry.position.seq, is_own));
        after
    }
}

const SOUND: i32 = 2;
const PICTURES: i32 = 1;
/// Why a stream is reset: what it carries is too old.
const GIVEN_UP: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testing::entry_on;

    /// Unit `n` of a track under an epoch.
    fn at(epoch: u64, track: u8, n: u64) -> Entry {
        let mut entry = Arc::into_inner(entry_on(track, n, track == 0, 10)).unwrap();
        entry.position.epoch = Epoch(epoch);
        entry
    }

    #[test]
    fn groups_go_first_once_a_second_and_the_pictures_right_after_with_them() {
        let mut lead = Lead::default();
        let mut class = |millis: u64, group_start| {
            let mut entry = Arc::into_inner(entry_on(0, millis, group_start, 10)).unwrap();
            entry.arrived = Now::from_micros(millis * 1_000);
            let class = lead.class_of(&entry);
            lead.note(&entry);
            // While it is being written it stays where it is.
            assert_eq!(lead.class_of(&entry), class);
            class
        };
        let at = |millis: u64| Now::from_micros(millis * 1_000);
        assert_eq!(class(0, true), Class::First(at(0)));
        assert_eq!(class(99, false), Class::Early(at(99)));
        assert_eq!(class(100, false), Class::Pictures);
        assert_eq!(class(500, true), Class::Pictures);
        assert_eq!(class(540, false), Class::Pictures);
        assert_eq!(class(1_000, true), Class::First(at(1_000)));
    }

    #[test]
    fn what_was_there_before_a_child_asked_is_too_old_only_when_it_has_waited_since() {
        let at = |millis: u64| Now::from_micros(millis * 1_000);
        let (patience, mut lane) = (Duration::from_millis(500), Lane::new(1, TrackId(0), Kind::Video, 0, at(9_000)));
        let mut is_old = |arrived: u64, now: u64| {
            let mut entry = Arc::into_inner(entry_on(0, 0, true, 10)).unwrap();
            entry.arrived = at(arrived);
            lane.ahead = VecDeque::from([(Arc::new(entry), After::new())]);
            lane.is_old(at(now), patience)
        };
        assert!(!is_old(7_000, 9_500) && is_old(7_000, 9_501));
        assert!(!is_old(9_400, 9_900) && is_old(9_400, 9_901));
    }

    #[test]
    fn sound_of_a_new_epoch_says_that_it_comes_after_the_pictures_before_it() {
        let (picture, sound) = (TrackId(0), TrackId(1));
        let mut passed = Passed::default();
        let log = [at(1, 0, 0), at(1, 1, 1), at(1, 1, 2), at(2, 0, 0), at(2, 1, 1), at(2, 0, 2), at(2, 1, 3)];
        let after: Vec<After> = log.iter().filter_map(|entry| passed.pass(entry, sound)).collect();
        let says = |list: &[(TrackId, u64)]| After::from_slice(list);
        // What comes before on the own track is named where a stream may begin; nothing of another epoch is.
        assert_eq!(after[0], says(&[(picture, 0)]));
        assert_eq!(after[2], says(&[(picture, 0)]), "the first sound of the second epoch");
        assert_eq!(after[3], says(&[(picture, 2)]));
    }
}
