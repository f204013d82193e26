//! A reader's handle. Ends when dropped.
//!
//! A [`Subscription`] takes units from the log. An [`Attendance`] takes none: it stands for a viewer who is served by a
//! reader that several share (a viewer of ready-made segments, a member of a multicast group).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use weft_proto::media::{TrackId, Tracks};

use crate::fabric::Inner;
use crate::path::{EndReason, PathShared, ReaderSlot};
use crate::stream::{Cursor, Delivery, Join, ReadState, Start, StartLimits, Stream, StreamKey, Times, WakeGate};

/// A place among the readers of a path. Ends when dropped.
#[derive(Debug)]
pub struct Attendance {
    inner: Arc<Inner>,
    shared: Arc<PathShared>,
    slot: Arc<ReaderSlot>,
}

impl Attendance {
    pub(crate) const fn new(inner: Arc<Inner>, shared: Arc<PathShared>, slot: Arc<ReaderSlot>) -> Self {
        Self { inner, shared, slot }
    }

    /// The stream that is read.
    pub fn stream(&self) -> &Arc<Stream> {
        &self.shared.stream
    }

    /// Why it is over, if it is.
    pub fn ended(&self) -> Option<EndReason> {
        self.slot.ended.get().copied()
    }

    /// Whether the node is being drained and this reader was not asked to connect elsewhere yet; says so once. The gate
    /// rings when it is.
    pub fn take_drain(&self) -> bool {
        self.slot.drain.load(Ordering::Relaxed) && self.slot.drain.swap(false, Ordering::AcqRel)
    }

    /// Counts bytes sent to this reader, as its protocol counts them.
    pub fn count_sent(&self, bytes: usize) {
        self.shared.stream.counters().outbound_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        self.shared.readers.lock().remove(&self.slot.id);
        self.inner.notice(self.shared.stream.path().clone(), false, self.slot.id);
    }
}

/// What a reader reads from.
#[derive(Debug)]
pub struct Subscription {
    attendance: Attendance,
    gate: Arc<WakeGate>,
    cursor: Cursor,
    joined: Tracks,
}

impl Subscription {
    pub(crate) fn new(attendance: Attendance, gate: &Arc<WakeGate>, cursor: Cursor, joined: Tracks) -> Self {
        attendance.stream().bells().add(gate);
        Self { attendance, gate: gate.clone(), cursor, joined }
    }

    /// The stream's name for the worker's pump.
    pub fn key(&self) -> StreamKey {
        self.stream().key()
    }

    /// The stream that is read.
    pub fn stream(&self) -> &Arc<Stream> {
        self.attendance.stream()
    }

    /// The tracks as they were when the subscription began.
    pub const fn tracks(&self) -> &Tracks {
        &self.joined
    }

    /// Takes the next batch. Never waits: the worker's gate rings when there is more.
    pub fn read(&mut self, out: &mut Vec<Delivery>) -> ReadState {
        let Attendance { inner, shared, slot } = &self.attendance;
        let state = shared.stream.read(&mut self.cursor, inner.now(), out);
        slot.skipped.fetch_add(self.cursor.take_skipped(), Ordering::Relaxed);
        state
    }

    /// The beginning of what is kept, without moving this reader's place.
    pub fn peek(&self, out: &mut Vec<Delivery>) {
        let Attendance { inner, shared, .. } = &self.attendance;
        let everything = Join { from: Start::Everything, times: Times::True, pace: None };
        shared.stream.read(&mut Cursor::new(everything, StartLimits::default()), inner.now(), out);
    }

    /// This reader cannot decode what it gets: the publisher should make a random access point, if it can. Wishes are coalesced.
    pub fn want_keyframe(&self) {
        self.stream().want_keyframe();
    }

    /// Units skipped since the last call, because this reader was too slow.
    pub fn take_skipped(&self) -> u64 {
        self.attendance.slot.skipped.swap(0, Ordering::Relaxed)
    }

    /// Why it is over, if it is.
    pub fn ended(&self) -> Option<EndReason> {
        self.attendance.ended()
    }

    /// The same as [`Attendance::take_drain`].
    pub fn take_drain(&self) -> bool {
        self.attendance.take_drain()
    }

    /// Counts bytes sent to this reader, as its protocol counts them.
    pub fn count_sent(&self, bytes: usize) {
        self.attendance.count_sent(bytes);
    }

    /// Which of the tracks the reader joined with continues each of `current`.
    pub fn map_tracks(&self, current: &Tracks) -> Vec<Option<TrackId>> {
        map_tracks(&self.joined, current)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.stream().bells().remove(&self.gate);
    }
}

/// For each track of `current` the one of `old` that it continues: matched by kind, codec, clock rate and channels, then
/// by order. An old track continues in one new track at most.
pub fn map_tracks(old: &Tracks, current: &Tracks) -> Vec<Option<TrackId>> {
    let mut taken = vec![false; old.len()];
    current
        .iter()
        .map(|(_, track)| {
            let (id, _) = old.iter().find(|(id, known)| !taken[usize::from(id.0)] && track.continues(known))?;
            taken[usize::from(id.0)] = true;
            Some(id)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use weft_proto::media::{Codec, H265Config, Track};
    use weft_proto::time::ClockRate;

    use super::*;
    use crate::stream::testing::tracks;

    #[test]
    fn tracks_match_by_codec_then_by_order() {
        let old = tracks();
        let (video, audio) = (old.get(TrackId(0)).unwrap().clone(), old.get(TrackId(1)).unwrap().clone());
        let swapped = Tracks::new(vec![audio.clone(), video, audio]).unwrap();
        assert_eq!(map_tracks(&old, &swapped), [Some(TrackId(1)), Some(TrackId(0)), None]);
        let hevc = Track { codec: Codec::H265(H265Config::default()), clock_rate: ClockRate::VIDEO };
        assert_eq!(map_tracks(&old, &Tracks::new(vec![hevc]).unwrap()), [None]);
    }
}
