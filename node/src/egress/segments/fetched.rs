//! What a muxer has from other nodes and gives to them.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::debug;
use weft_proto::hls::{File, FileKind, Found, Handover, Segment, Window};

use super::muxer::State;
use super::{Answer, Muxer};

/// How long a listed segment's bytes are looked for that no node has.
const FETCH_PATIENCE: Duration = Duration::from_secs(3);

/// How long a segment is looked for that is not listed meanwhile, nor what comes after it; then it is a gap. It is complete
/// elsewhere a moment after it is here, or a little later on a node further away, and players have as much in store.
const HELD_BACK: Duration = Duration::from_secs(2);

/// The same of one that another node has told, while viewers wait for it: it was complete there, so who has it says so at once.
const TOLD_PATIENCE: Duration = Duration::from_millis(500);

/// How long at once: who says no now may have it when it is asked again, and another one may have died.
const ATTEMPT: Duration = Duration::from_secs(1);

/// How often it is asked for.
const FETCH_AGAIN: Duration = Duration::from_millis(100);

/// Files of other nodes that are kept: each is asked for by many viewers at about the same time.
const STRAYS_MAX: usize = 16;
const STRAY_BYTES_MAX: usize = 8 << 20;

/// Parts ahead of the last that may be another node's: it is no further than that.
const PARTS_AHEAD_MAX: u64 = 16;

/// What asking for a segment came to.
enum Fetched {
    /// Here it is.
    Here(Segment),
    /// Nobody has it, so far.
    Nobody,
    /// It cannot be had, or not stand where it would have to.
    NoPlace,
}

/// Files that another node has named and this one does not have: the end of a segment that another epoch cut short, of which
/// that node has heard more.
#[derive(Debug, Default)]
pub(super) struct Strays {
    /// One question at a time.
    turn: tokio::sync::Mutex<()>,
    kept: Mutex<VecDeque<(File, Bytes)>>,
}

impl Strays {
    fn find(&self, file: &File) -> Option<Bytes> {
        self.kept.lock().iter().find(|(known, _)| known == file).map(|(_, body)| body.clone())
    }

    fn keep(&self, file: File, body: Bytes) {
        let mut kept = self.kept.lock();
        kept.push_back((file, body));
        while kept.len() > STRAYS_MAX || kept.iter().map(|(_, body)| body.len()).sum::<usize>() > STRAY_BYTES_MAX {
            kept.pop_front();
        }
    }
}

impl Muxer {
    /// What another node's muxer can go on with; `None` while there are no playlists here.
    pub(super) fn handover(&self) -> Option<Handover> {
        self.look(|state| state.is_ready.then(|| state.window.handover()))
    }

    /// Waits until there are playlists, and nothing is held back.
    pub(super) async fn settled(&self) {
        let is_settled = |state: &State| state.is_ready && state.window.held_back().is_none();
        self.wait(|state| is_settled(state).then_some(Answer::Here(()))).await;
    }

    /// Waits while a segment is the open one.
    pub(super) async fn complete(&self, number: u64) {
        let is_open = |state: &State| {
            let is_next = state.window.standing().segment == number;
            is_next && state.window.segment(number).is_none()
        };
        self.wait(|state| (!is_open(state)).then_some(Answer::Here(()))).await;
    }

    /// Makes something of a complete segment that is all here.
    pub(super) fn with_segment<R>(&self, number: u64, make: impl FnOnce(&Segment) -> Option<R>) -> Option<R> {
        self.look(|state| make(state.window.segment(number).filter(|segment| !segment.broken)?))
    }

    /// A file's bytes, if they are here.
    pub(super) fn file_here(&self, file: &File) -> Option<Vec<Bytes>> {
        let index = self.index(file.rendition)?;
        match self.look(|state| state.window.find(file, index)) {
            Found::Here(body) => Some(body),
            _ => None,
        }
    }

    /// Whether a segment was cut short and it is not agreed where it ends.
    pub(super) fn has_open_end(&self) -> bool {
        self.look(|state| state.window.open_end().is_some())
    }

    /// Agrees with the other nodes on where segments end that were cut short.
    pub(super) async fn agree_on_ends(&self) {
        while let Some(number) = self.look(|state| state.window.open_end()) {
            let others = self.neighbours.ends(number, self.renditions().len()).await;
            debug!(path = %self.path(), number, others = others.len(), "a segment was cut short");
            self.change(0, |state| state.window.close_end(number, others));
        }
    }

    /// Whether another node may have more than is here.
    pub(super) fn wants_any(&self) -> bool {
        self.look(|state| state.window.wanted().next().is_some())
    }

    /// Whether viewers wait for what other nodes list.
    pub(super) fn is_settling(&self) -> bool {
        self.look(|state| state.settling)
    }

    /// Lists what there is.
    pub(super) fn settle(&self) {
        self.change(0, |state| state.settling = false);
    }

    /// Fetches what other nodes have until there is nothing more to be had.
    pub(super) async fn fetch_missing(&self) {
        let mut since: HashMap<u64, Instant> = HashMap::new();
        while !self.has_ended() {
            let wanted: Vec<u64> = self.look(|state| state.window.wanted().collect());
            if wanted.is_empty() {
                return;
            }
            let is_hole = |number: u64| self.look(|state| state.window.is_hole(number));
            // All of them hold back what comes next, from now on.
            for number in wanted.iter().filter(|number| is_hole(**number)) {
                since.entry(*number).or_insert_with(Instant::now);
            }
            let mut in_vain = 0;
            for number in &wanted {
                let is_hole = is_hole(*number);
                let patience = match is_hole {
                    true => HELD_BACK,
                    false if self.is_settling() => TOLD_PATIENCE,
                    false => FETCH_PATIENCE,
                };
                let begun = *since.entry(*number).or_insert_with(Instant::now);
                let limit = is_hole.then(|| (begun + patience).min(Instant::now() + ATTEMPT));
                match self.fetch(*number, limit).await {
                    Fetched::Here(segment) => self.change(0, |state| state.window.fill(segment)),
                    Fetched::Nobody if begun.elapsed() < patience => in_vain += 1,
                    Fetched::Nobody | Fetched::NoPlace => self.change(0, |state| state.give_up(*number)),
                }
                // What comes to be missing meanwhile goes before what is listed.
                if !is_hole && self.look(|state| state.window.hole().is_some()) {
                    break;
                }
            }
            if in_vain > 0 {
                sleep(FETCH_AGAIN).await;
            }
        }
    }

    /// Asks the others for a segment, until then at most.
    async fn fetch(&self, number: u64, limit: Option<Instant>) -> Fetched {
        if self.neighbours.others().is_empty() {
            return Fetched::NoPlace;
        }
        let has_no_place = Cell::new(false);
        let is_wanted = |segment: &Segment| {
            self.look(|state| {
                has_no_place.set(has_no_place.get() || state.window.refuses(segment));
                state.window.takes(segment)
            })
        };
        let asked = self.neighbours.segment(number, self.renditions().len(), is_wanted);
        let found = match limit {
            Some(limit) => timeout_at(limit, asked).await.unwrap_or(None),
            None => asked.await,
        };
        match found {
            Some(segment) => Fetched::Here(segment),
            None if has_no_place.get() => Fetched::NoPlace,
            None => Fetched::Nobody,
        }
    }

    /// A file that only another node has, if it can be one.
    pub(super) async fn stray(&self, file: &File) -> Option<Bytes> {
        if !self.look(|state| may_be_elsewhere(&state.window, file)) || self.neighbours.others().is_empty() {
            return None;
        }
        let found = self.strays.find(file);
        if found.is_some() {
            return found;
        }
        let _turn = self.strays.turn.lock().await;
        let found = self.strays.find(file);
        if found.is_some() {
            return found;
        }
        let body = self.neighbours.file(file).await?;
        self.strays.keep(*file, body.clone());
        Some(body)
    }
}

/// Whether a node that is about as far as this one could have named it.
fn may_be_elsewhere(window: &Window, file: &File) -> bool {
    let Some(first) = window.listed().next() else { return true };
    match file.kind {
        FileKind::Init => true,
        FileKind::Segment(number) | FileKind::TsSegment(number) => {
            (first.mark.number..=window.standing().segment).contains(&number)
        }
        FileKind::Part(number) => window.next_part().is_some_and(|next| {
            let listed = window.listed().filter_map(|segment| segment.parts.first()).map(|part| part.mark.number);
            (listed.min().unwrap_or(next)..next + PARTS_AHEAD_MAX).contains(&number)
        }),
    }
}
