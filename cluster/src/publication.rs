//! A publisher's handle. Ends when dropped.

use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::mpsc;
use weft_proto::id::{Epoch, PathName};
use weft_proto::media::{Codec, TrackId, Tracks, Unit};
use weft_proto::time::Now;

use crate::fabric::Inner;
use crate::path::{Accepted, PathShared, PublisherEvent, PublisherSlot};
use crate::stream::{RelayedUnit, Replaced, Stream};

/// What a publisher pushes into.
#[derive(Debug)]
pub struct Publication {
    inner: Arc<Inner>,
    shared: Arc<PathShared>,
    slot: Arc<PublisherSlot>,
    tracks: Tracks,
    staged: Vec<Unit>,
    events: mpsc::Receiver<PublisherEvent>,
}

impl Publication {
    pub(crate) const fn new(
        inner: Arc<Inner>,
        shared: Arc<PathShared>,
        slot: Arc<PublisherSlot>,
        tracks: Tracks,
        events: mpsc::Receiver<PublisherEvent>,
    ) -> Self {
        Self { inner, shared, slot, tracks, staged: Vec::new(), events }
    }

    /// The path.
    pub fn path(&self) -> &PathName {
        self.shared.stream.path()
    }

    /// The stream that is published.
    pub fn stream(&self) -> &Arc<Stream> {
        &self.shared.stream
    }

    /// Whether this publisher is the active one; a standby waits its turn.
    pub fn is_active(&self) -> bool {
        self.slot.ended.get().is_none() && !self.slot.waits(&self.shared)
    }

    /// Stages a unit. Its times are the publisher's own, with one zero for all tracks; the fabric ties them to path time.
    pub fn push(&mut self, unit: Unit) {
        self.staged.push(unit);
    }

    /// Hands the staged units to the readers: one append, one wake-up per worker.
    pub fn flush(&mut self) -> Result<(), Replaced> {
        self.flush_arrived(self.inner.now())
    }

    /// The same for units that were held back: they count as having come `at` then, not after what was flushed later.
    pub fn flush_arrived(&mut self, at: Now) -> Result<(), Replaced> {
        if self.staged.is_empty() {
            return Ok(());
        }
        let now = self.inner.now();
        self.slot.pulse.beat(now);
        // Whoever makes it the active publisher, or no longer, waits until the batch has its place.
        let outlet = self.slot.outlet.lock();
        outlet.stream.push(outlet.generation, &mut self.staged, at.min(now))
    }

    /// Units were lost on the way in; readers see a hole in positions.
    pub fn lose(&mut self, units: u32) {
        let outlet = self.slot.outlet.lock();
        outlet.stream.lose(outlet.generation, units);
    }

    /// A track's parameters changed in the stream. What is staged is flushed under the old ones.
    pub fn set_codec(&mut self, track: TrackId, codec: Codec) -> Result<(), Replaced> {
        self.flush()?;
        self.tracks = self.tracks.with_codec(track, codec);
        let outlet = self.slot.outlet.lock();
        outlet.stream.set_tracks(outlet.generation, self.tracks.clone())
    }

    /// Whether a reader waits for a random access point. Requests are coalesced until this takes them.
    pub fn take_keyframe_wanted(&self) -> bool {
        self.slot.outlet.lock().stream.take_keyframe_wanted()
    }

    /// Whether anybody reads, be it the node itself.
    pub fn is_read(&self) -> bool {
        !self.shared.readers.lock().is_empty()
    }

    /// Waits for what the fabric has to say.
    pub async fn event(&mut self) -> PublisherEvent {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    /// The same for a session that polls by hand. After [`PublisherEvent::Ended`] it says so for ever.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<PublisherEvent> {
        self.slot.poll_event(&mut self.events, cx)
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        let _ = self.flush();
        self.shared.publisher.lock().take_if(|slot| slot.id == self.slot.id);
        self.shared.standbys.lock().retain(|slot| slot.id != self.slot.id);
        self.inner.notice(self.path().clone(), true, self.slot.id);
    }
}

/// What a relay pushes into: another node's publisher, as it is heard here. Ends when dropped.
#[derive(Debug)]
pub(crate) struct Relaying {
    inner: Arc<Inner>,
    shared: Arc<PathShared>,
    slot: Arc<PublisherSlot>,
    generation: u32,
    /// The publisher of the last unit, as its owner counts it.
    last: Option<(Epoch, u32)>,
    events: mpsc::Receiver<PublisherEvent>,
}

impl Relaying {
    pub(crate) fn new(inner: Arc<Inner>, shared: Arc<PathShared>, accepted: Accepted) -> Self {
        let Accepted { slot, events } = accepted;
        let generation = slot.outlet.lock().generation;
        Self { inner, shared, slot, generation, last: None, events }
    }

    /// Appends units, in order.
    pub(crate) fn push(&mut self, units: &mut Vec<RelayedUnit>) -> Result<(), Replaced> {
        let now = self.inner.now();
        self.slot.pulse.beat(now);
        self.shared.stream.relay(&mut self.generation, &mut self.last, units, now)
    }

    /// What the path's actor has to say; see [`Publication::poll_event`].
    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<PublisherEvent> {
        self.slot.poll_event(&mut self.events, cx)
    }
}

impl Drop for Relaying {
    fn drop(&mut self) {
        self.shared.publisher.lock().take_if(|slot| slot.id == self.slot.id);
        self.inner.notice(self.shared.stream.path().clone(), true, self.slot.id);
    }
}
