//! Follows one playlist: reads segment after segment, or part after part, as far ahead as there is room, and makes units of
//! them.

mod needs;
mod playlist;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tracing::warn;
use url::Url;
use weft_proto::bitstream::Taken;
use weft_proto::hls::{Follower, Key, MediaSegment, Next, RemoteMedia, Resource};
use weft_proto::time::{ClockRate, Now, WallClock};

use super::decrypt::Undecryptable;
use super::hint::Hints;
use super::http::Client;
use super::media::Media;
use super::shelf::{Shelf, Stored};
use crate::source::{Pull, SourceEnd};

/// After what failed it is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// Segments that may be missing one after the other.
const FAILURES_MAX: u32 = 2;

/// Segments in a row in which no track is found, before the others go on without.
const UNTOLD_MAX: u32 = 3;

/// Bytes of units that wait for a track that the stream announces and of which nothing comes.
const HELD_BYTES_MAX: usize = 4 << 20;

/// How often the end of what is read is taken for the live edge: what is listed when it is read first may have been there for
/// the duration of a part, what was waited for is new.
const LOOKS: u32 = 2;

/// Who reads parts and has so much more than one of them before it is due was held up, and makes good for that.
const BEHIND: Duration = Duration::from_millis(700);

/// One playlist and what comes of it.
pub(super) struct Rendition<'a> {
    pull: &'a Pull,
    client: Client,
    hints: Hints,
    url: Url,
    /// What URIs in the playlist stand in relation to.
    base: Url,
    shelf: Rc<Shelf>,
    media: Media,
    /// How many tracks were told.
    told: Option<usize>,
    /// What was read last is a part, and a unit may go on in the next one.
    is_divided: bool,
    /// Units of tracks that are not told yet.
    held: Vec<Stored>,
    generation: u32,
    discontinuity: Option<u64>,
    /// The number of the segment that was read last.
    number: Option<u64>,
    jumped: bool,
    date: Option<Date>,
    key: Option<(Arc<Key>, Bytes)>,
    /// The initialisation segment of the last segments.
    map: Option<(Arc<Resource>, Bytes)>,
    /// That of the segments that are being read.
    in_force: Option<Arc<Resource>>,
    failures: u32,
    /// Segments without a track.
    untold: u32,
}

/// What the playlist says of the time at which pictures were taken.
#[derive(Clone, Copy, Debug)]
struct Date {
    wall: WallClock,
    /// Of which unit: its time in microseconds, once there is one.
    micros: Option<i64>,
}

/// What came of a segment.
enum Came {
    /// All of it; or it is left out.
    Whole,
    /// It was a part, and cannot be read; or not all of it.
    NoPart { partly: bool },
}

/// A segment could not be read, and whether something of it was.
struct Failed {
    end: SourceEnd,
    partly: bool,
}

impl<'a> Rendition<'a> {
    pub(super) fn new(pull: &'a Pull, client: Client, (url, base): (Url, Url), shelf: Rc<Shelf>) -> Self {
        Self {
            pull,
            hints: Hints::new(client.session()),
            client,
            url,
            base,
            shelf,
            media: Media::default(),
            told: None,
            is_divided: false,
            held: Vec::new(),
            generation: 0,
            discontinuity: None,
            number: None,
            jumped: false,
            date: None,
            key: None,
            map: None,
            in_force: None,
            failures: 0,
            untold: 0,
        }
    }

    /// Follows the playlist to its end.
    pub(super) async fn follow(mut self, first: Option<(RemoteMedia, Now)>) -> Result<(), SourceEnd> {
        let clock = self.pull.fabric.clock();
        let mut follower = Follower::default();
        match first {
            Some((playlist, asked)) => follower.take(playlist, asked, clock.now()),
            None => self.load(&mut follower, None).await?,
        }
        let mut looks = LOOKS;
        loop {
            let distance = follower.distance();
            if follower.is_outdated(clock.now()) {
                self.reload(&mut follower).await?;
            }
            let next = follower.step();
            if !matches!(next, Next::Segment { .. })
                && let Some(part) = follower.part_target()
            {
                self.at_edge(part, looks > 0);
                looks = looks.saturating_sub(1);
            }
            match next {
                Next::End => return Ok(()),
                Next::Reload(at) => {
                    self.pause(&follower, at).await?;
                    self.reload(&mut follower).await?;
                }
                Next::Await { at, sequence, part, hint } => {
                    self.pause(&follower, at).await?;
                    if let Some(hint) = hint.as_ref().filter(|_| self.shelf.has_room()) {
                        self.wait_with_hint(&mut follower, (sequence, part), hint).await?;
                    } else {
                        self.wait_for(&mut follower, (sequence, part)).await?;
                    }
                }
                Next::Segment { segment, is_part, jumped } => {
                    self.shelf.room().await;
                    self.jumped |= jumped;
                    if jumped {
                        looks = LOOKS;
                    }
                    if let Came::NoPart { partly } = self.segment(&segment, is_part).await? {
                        follower.leave_parts(partly);
                    }
                    if follower.part_target().is_none() {
                        let is_behind = follower.is_live() && follower.ahead() > distance;
                        self.shelf.shared().is_behind.set(is_behind);
                    }
                }
            }
        }
    }

    /// Waits until the playlist may be asked for again.
    async fn pause(&self, follower: &Follower, until: Now) -> Result<(), SourceEnd> {
        let clock = self.pull.fabric.clock();
        if follower.is_stalled(clock.now(), self.pull.read_timeout) {
            return Err(SourceEnd::TimedOut("no segment is added to the playlist"));
        }
        tokio::time::sleep_until(tokio::time::Instant::from_std(clock.instant(until))).await;
        Ok(())
    }

    /// All that there is was read, and parts follow: from here on units are given out one part behind.
    fn at_edge(&self, part: Duration, is_new: bool) {
        if is_new {
            self.shelf.shared().edge.set(Some(part));
        }
        self.shelf.shared().is_behind.set(self.shelf.ahead() > part + BEHIND);
    }

    /// Reads a segment. One that cannot be read is left out; several in a row are the end.
    async fn segment(&mut self, segment: &MediaSegment, is_part: bool) -> Result<Came, SourceEnd> {
        if segment.is_gap {
            self.jumped = true;
            self.note_untold();
            // There may be thousands of them.
            tokio::task::yield_now().await;
            return Ok(Came::Whole);
        }
        let mut read = self.read(segment, is_part).await;
        if let Err(Failed { end, partly: false }) = &read
            && !is_final(end)
        {
            tokio::time::sleep(AGAIN).await;
            read = self.read(segment, is_part).await;
        }
        let (path, number) = (&self.pull.path, segment.sequence);
        match read {
            Ok(()) => {
                self.failures = 0;
                Ok(Came::Whole)
            }
            Err(Failed { end, .. }) if is_final(&end) || self.failures == FAILURES_MAX => Err(end),
            Err(Failed { end, partly }) if is_part => {
                warn!(%path, source = "hlsSource", number, "no more parts are read, but segments: {end}");
                self.jumped = true;
                Ok(Came::NoPart { partly })
            }
            Err(Failed { end, .. }) => {
                warn!(%path, source = "hlsSource", number, "a segment is left out: {end}");
                self.failures += 1;
                self.jumped = true;
                Ok(Came::Whole)
            }
        }
    }

    async fn read(&mut self, segment: &MediaSegment, is_part: bool) -> Result<(), Failed> {
        let whole = |end| Failed { end, partly: false };
        let url = self.join(&segment.resource.uri).map_err(whole)?;
        let mut decryptor = match &segment.key {
            Some(key) => Some(self.decryptor(key, segment.sequence).await.map_err(whole)?),
            None => None,
        };
        let map = match &segment.map {
            Some(map) => Some(self.map(map, segment).await.map_err(whole)?),
            None => None,
        };
        let hinted = self.hints.take(&segment.resource);
        let mut answer = match &hinted {
            Some(_) => None,
            None => Some(self.client.get(self.pull, "a segment", &url, segment.resource.range).await.map_err(whole)?),
        };
        if let Err(end) = self.begin(segment, map) {
            self.map = None;
            return Err(whole(end));
        }
        let partly = |end| Failed { end, partly: true };
        if let Some(bytes) = hinted {
            self.push(&bytes).map_err(partly)?;
        }
        while let Some(answer) = &mut answer
            && let Some(bytes) = answer.next(self.pull).await.map_err(partly)?
        {
            match &mut decryptor {
                Some(decryptor) => self.push(&decryptor.update(&bytes).map_err(undecryptable)?),
                None => self.push(&bytes),
            }
            .map_err(partly)?;
            self.shelf.room().await;
        }
        if let Some(decryptor) = decryptor {
            self.push(&decryptor.finish().map_err(undecryptable)?).map_err(partly)?;
        }
        self.end(is_part);
        if self.told.is_none() && !is_part {
            self.note_untold();
        }
        Ok(())
    }

    /// Gets ready for a segment: other times, or units that were missed, begin anew.
    fn begin(&mut self, segment: &MediaSegment, map: Option<(bool, Bytes)>) -> Result<(), SourceEnd> {
        if core::mem::take(&mut self.is_divided) && self.number != Some(segment.sequence) {
            self.media.flush();
            self.drain(true);
        }
        self.number = Some(segment.sequence);
        let is_continued = self.discontinuity.replace(segment.discontinuity) == Some(segment.discontinuity);
        if !is_continued || self.jumped || map.as_ref().is_some_and(|(is_new, _)| *is_new) {
            self.media = match map {
                Some((_, init)) => Media::after(&init).map_err(SourceEnd::Server)?,
                None => Media::default(),
            };
            self.told = None;
            self.held.clear();
            self.generation = 0;
            self.date = None;
            // What an initialisation segment says is known before the first unit.
            self.tell(false);
        }
        self.in_force = segment.map.clone();
        if let Some(wall) = segment.date {
            self.date = Some(Date { wall, micros: None });
        }
        Ok(())
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), SourceEnd> {
        let near = self.shelf.shared().near.get();
        self.media.push(bytes, near).map_err(SourceEnd::Server)?;
        self.drain(false);
        Ok(())
    }

    fn end(&mut self, is_part: bool) {
        // Pictures of a transport stream may go on in the next part.
        self.is_divided = is_part && self.media.wraps();
        if !self.is_divided {
            self.media.flush();
        }
        self.drain(!is_part);
        let dropped = self.media.take_dropped();
        let (path, source) = (&self.pull.path, "hlsSource");
        if dropped > 0 {
            warn!(%path, source, units = dropped, "units of a segment are damaged");
        }
        while let Some(codec) = self.media.take_foreign() {
            warn!(%path, source, codec, "a track is left out, its codec is not supported");
        }
    }

    /// Puts on the shelf what has come.
    fn drain(&mut self, is_over: bool) {
        while let Some((generation, taken)) = self.media.take() {
            if generation != self.generation {
                // What waits to be told belongs to tracks that are no more.
                self.held.clear();
                (self.generation, self.told) = (generation, None);
            }
            let stored = self.store(taken);
            if self.told.is_some() {
                self.shelf.put(stored);
            } else {
                self.held.push(stored);
            }
        }
        // Who is silent for so long is not waited for.
        let held = self.held.iter().map(Stored::bytes).sum::<usize>();
        self.tell(is_over || held > HELD_BYTES_MAX);
    }

    /// A rendition in which there is nothing that can be carried must not keep the others waiting.
    fn note_untold(&mut self) {
        self.untold += 1;
        if self.told.is_none() && self.untold == UNTOLD_MAX {
            warn!(path = %self.pull.path, source = "hlsSource", "no track is found in a playlist");
            self.shelf.begin(Vec::new(), false);
        }
    }

    /// Says which tracks there are, once all are known, or with what is known at the end of a segment.
    fn tell(&mut self, is_over: bool) {
        let tracks = self.media.tracks();
        let known = tracks.iter().flatten().count();
        let is_told = self.told.is_some_and(|told| told >= known);
        if is_told || known == 0 || known < tracks.len() && !is_over {
            return;
        }
        self.shelf.begin(tracks, core::mem::take(&mut self.jumped));
        self.told = Some(known);
        self.held.drain(..).for_each(|stored| self.shelf.put(stored));
    }

    fn store(&mut self, mut taken: Taken) -> Stored {
        let rate = taken.clock_rate;
        let (micros, shown) = (rate.to_micros(taken.unit.dts), rate.to_micros(taken.unit.pts));
        if let Some(date) = &mut self.date {
            let from = *date.micros.get_or_insert(shown);
            taken.unit.captured = Some(WallClock::from_unix_micros(date.wall.unix_micros() + shown - from));
        }
        if self.media.wraps() {
            self.shelf.shared().near.set(Some(ClockRate::VIDEO.from_micros(micros)));
        }
        Stored { taken, micros, discontinuity: self.discontinuity.unwrap_or_default() }
    }

    fn join(&self, uri: &str) -> Result<Url, SourceEnd> {
        let url = self.base.join(uri).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        url.ok_or_else(|| SourceEnd::Server("a URI in the playlist makes no sense".into()))
    }
}

/// Whether nothing is to be tried again.
const fn is_final(end: &SourceEnd) -> bool {
    matches!(end, SourceEnd::Stopped)
}

fn undecryptable(_: Undecryptable) -> Failed {
    Failed { end: SourceEnd::Server("a segment cannot be decrypted".into()), partly: true }
}
