//! Publishes what lies on the shelves, each unit when it is due.

use std::rc::Rc;
use std::time::Duration;

use tracing::info;
use weft_cluster::Publication;
use weft_cluster::path::{EndReason, PublisherEvent};
use weft_cluster::stream::Replaced;
use weft_proto::media::{Track, TrackId, Tracks};
use weft_proto::time::Now;

use super::axis::{Axis, Line};
use super::labels;
use super::pace::Pacer;
use super::shelf::{Shared, Shelf};
use crate::source::{Pull, SourceEnd};

/// Where nothing is due it is looked again after so long.
const IDLE: Duration = Duration::from_secs(1);

/// Renditions begin with different segments: what comes so long before the first unit of the first one is left out.
const BEFORE_FIRST_MICROS: i64 = 500_000;

/// The publishing half of a source.
pub(super) struct Publisher<'a> {
    pull: &'a Pull,
    shared: Rc<Shared>,
    shelves: Vec<Rc<Shelf>>,
    /// Of each shelf, once it has told.
    renditions: Vec<Option<Vec<Slot>>>,
    publication: Option<Publication>,
    axis: Axis,
    pacer: Pacer,
    /// The time of the first unit of all.
    first_micros: Option<i64>,
}

/// A track of a rendition.
struct Slot {
    track: Option<Track>,
    id: Option<TrackId>,
    line: Line,
}

/// A unit that waits on a shelf.
struct Head {
    shelf: usize,
    line: usize,
    shift: i64,
    due: Now,
    /// Its time on the common axis.
    micros: i64,
}

impl<'a> Publisher<'a> {
    pub(super) fn new(pull: &'a Pull, shared: Rc<Shared>, shelves: Vec<Rc<Shelf>>) -> Self {
        let renditions = shelves.iter().map(|_| None).collect();
        Self {
            pull,
            shared,
            shelves,
            renditions,
            publication: None,
            axis: Axis::default(),
            pacer: Pacer::default(),
            first_micros: None,
        }
    }

    /// Whether nothing is left to be published, or will not be: what the first rendition needs has not come.
    pub(super) fn is_done(&self) -> bool {
        self.first_micros.is_none() || self.shelves.iter().all(|shelf| shelf.is_empty())
    }

    /// Publishes what is due; says when the next unit is. `is_all`: nothing more comes, so nothing is waited for.
    pub(super) async fn release(&mut self, is_all: bool) -> Result<Now, SourceEnd> {
        let clock = self.pull.fabric.clock();
        self.pacer.set_hasty(self.shared.is_behind.get(), clock.now());
        loop {
            for shelf in 0..self.shelves.len() {
                self.look(shelf)?;
            }
            if self.publication.is_none() && !self.begin(is_all).await? {
                return Ok(clock.now().after(IDLE));
            }
            self.skip_early();
            let now = clock.now();
            self.skip_to_edge(now);
            let Some(head) = self.first(now) else { break };
            if head.due > now {
                self.flush()?;
                return Ok(head.due.min(now.after(IDLE)));
            }
            self.push(&head)?;
        }
        self.flush()?;
        Ok(clock.now().after(IDLE))
    }

    /// Waits for what there is to be done.
    pub(super) async fn wait(&mut self, due: Now) -> Result<(), SourceEnd> {
        let clock = self.pull.fabric.clock();
        let event = async {
            match &mut self.publication {
                Some(publication) => publication.event().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            event = event => match event {
                PublisherEvent::Ended(reason) => Err(SourceEnd::Fabric(reason)),
                _ => Ok(()),
            },
            () = tokio::time::sleep_until(tokio::time::Instant::from_std(clock.instant(due))) => Ok(()),
            () = self.shared.filled.notified() => Ok(()),
        }
    }

    /// Takes up the list of tracks under which the first units of a shelf are.
    fn look(&mut self, shelf: usize) -> Result<(), SourceEnd> {
        let told = self.shelves[shelf].first(|batch| {
            let is_new = !core::mem::replace(&mut batch.seen, true);
            is_new.then(|| (batch.tracks.clone(), batch.jumped))
        });
        let Some((tracks, jumped)) = told.flatten() else { return Ok(()) };
        if jumped {
            self.pacer.reset();
        }
        if let Some(slots) = &mut self.renditions[shelf]
            && continues(slots, &tracks)
        {
            for (slot, track) in slots.iter_mut().zip(tracks) {
                let before = core::mem::replace(&mut slot.track, track);
                let codec = slot.track.as_ref().map(|track| &track.codec);
                if let (Some(publication), Some(id), Some(codec)) = (&mut self.publication, slot.id, codec)
                    && before.as_ref().map(|track| &track.codec) != Some(codec)
                {
                    // What an initialisation segment says need not come with the pictures.
                    publication.set_codec(id, codec.clone()).map_err(replaced)?;
                }
            }
            return Ok(());
        }
        // Other tracks: this publication ends, and the readers wait for the next.
        self.publication = None;
        let slots = tracks.into_iter().map(|track| Slot { track, id: None, line: Line::default() });
        self.renditions[shelf] = Some(slots.collect());
        Ok(())
    }

    /// Publishes the tracks of all renditions, once they have told; whether it did.
    async fn begin(&mut self, is_all: bool) -> Result<bool, SourceEnd> {
        if !is_all && self.renditions.iter().any(Option::is_none) {
            return Ok(false);
        }
        let (mut tracks, mut next) = (Vec::new(), 0..);
        for slot in self.renditions.iter_mut().flatten().flatten() {
            slot.id = slot.track.as_ref().and_then(|_| next.next()).map(TrackId);
            tracks.extend(slot.track.clone());
        }
        if tracks.is_empty() {
            return Ok(false);
        }
        let tracks = Tracks::new(tracks).map_err(|error| SourceEnd::Server(error.to_string()))?;
        let (path, info) = (self.pull.path.clone(), self.pull.info());
        let published = self.pull.fabric.publish_source(path, info, tracks.clone()).await;
        self.publication = Some(published.map_err(SourceEnd::Refused)?);
        info!(path = %self.pull.path, source = "hlsSource", tracks = labels(&tracks), "source ready");
        Ok(true)
    }

    /// Leaves out what comes before the first unit of the first rendition.
    fn skip_early(&mut self) {
        self.first_micros = self.first_micros.or_else(|| first_micros(&self.shelves[0]));
        let Some(first) = self.first_micros else { return };
        for (shelf, slots) in self.shelves.iter().zip(&mut self.renditions) {
            for (line, slot) in slots.iter_mut().flatten().enumerate() {
                while let Some((run, micros)) = shelf.head(line)
                    && micros + self.axis.shift(&mut slot.line, run, micros) < first - BEFORE_FIRST_MICROS
                {
                    shelf.take(line);
                }
            }
        }
    }

    /// Where parts follow, what was read so far is not given out at the rate of its times: that would keep all readers as far from
    /// the live edge as the first key picture was.
    fn skip_to_edge(&mut self, now: Now) {
        let Some(part) = self.shared.edge.get() else { return };
        let mut edge = None::<i64>;
        for (shelf, slots) in self.shelves.iter().zip(&mut self.renditions) {
            let axis = &mut self.axis;
            let last = shelf.first(|batch| {
                let lines = batch.lines.iter().zip(slots.iter_mut().flatten());
                let shown = lines.filter_map(|(units, slot)| {
                    let (first, last) = (units.front()?, units.back()?);
                    let shift = axis.shift(&mut slot.line, first.discontinuity, first.micros);
                    (first.discontinuity == last.discontinuity).then(|| last.micros + shift)
                });
                shown.max()
            });
            // All of them are waited for.
            let Some(last) = last.flatten() else { return };
            edge = Some(edge.map_or(last, |edge| edge.min(last)));
        }
        self.shared.edge.set(None);
        if let Some(edge) = edge {
            self.pacer.skip_to(edge - part.as_micros() as i64, now);
        }
    }

    /// The unit that is due first.
    fn first(&mut self, now: Now) -> Option<Head> {
        self.first_micros?;
        let (axis, pacer, mut first) = (&mut self.axis, &mut self.pacer, None::<Head>);
        for (shelf, slots) in self.renditions.iter_mut().enumerate() {
            let Some(slots) = slots else { continue };
            self.shelves[shelf].first(|batch| {
                for (line, (units, slot)) in batch.lines.iter().zip(slots).enumerate() {
                    let Some(stored) = units.front() else { continue };
                    let shift = axis.shift(&mut slot.line, stored.discontinuity, stored.micros);
                    let micros = stored.micros + shift;
                    let due = pacer.due(micros, now);
                    if first.as_ref().is_none_or(|first| micros < first.micros) {
                        first = Some(Head { shelf, line, shift, due, micros });
                    }
                }
            });
        }
        first
    }

    fn push(&mut self, head: &Head) -> Result<(), SourceEnd> {
        let Some(stored) = self.shelves[head.shelf].take(head.line) else { return Ok(()) };
        let slot = self.renditions[head.shelf].as_ref().and_then(|slots| slots.get(head.line));
        let Some((slot, id)) = slot.and_then(|slot| Some((slot, slot.id?))) else { return Ok(()) };
        let (Some(publication), Some(track)) = (&mut self.publication, &slot.track) else { return Ok(()) };
        let shift = track.clock_rate.from_micros(head.shift);
        let mut unit = stored.taken.unit;
        (unit.track, unit.pts, unit.dts) = (id, unit.pts + shift, unit.dts + shift);
        if let Some(codec) = stored.taken.codec {
            publication.set_codec(id, codec).map_err(replaced)?;
        }
        publication.push(unit);
        self.axis.gave(head.micros);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SourceEnd> {
        self.publication.as_mut().map_or(Ok(()), |publication| publication.flush().map_err(replaced))
    }
}

/// The first time on a shelf.
fn first_micros(shelf: &Shelf) -> Option<i64> {
    shelf.first(|batch| batch.lines.iter().filter_map(|line| line.front()).map(|unit| unit.micros).min()).flatten()
}

/// Whether a rendition's tracks are those of before, but for their parameters.
fn continues(slots: &[Slot], tracks: &[Option<Track>]) -> bool {
    slots.len() == tracks.len()
        && slots.iter().zip(tracks).all(|(slot, track)| match (&slot.track, track) {
            (Some(old), Some(new)) => new.continues(old),
            (None, None) => true,
            _ => false,
        })
}

const fn replaced(_: Replaced) -> SourceEnd {
    SourceEnd::Fabric(EndReason::Replaced)
}
