//! The program map (section 2.4.4.8), and the streams of the program as they come in.

use bytes::Bytes;

use super::form::{Form, Output};
use super::pes::Pending;
use super::{place, section};
use crate::limits::TRACKS_MAX;
use crate::media::Track;

/// The program that is taken apart.
#[derive(Debug, Default)]
pub(super) struct Program {
    pub(super) map: Option<Map>,
    pub(super) slots: Vec<Slot>,
}

/// A program map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Map {
    entries: Vec<Entry>,
}

/// What the map says of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pid: u16,
    pub(super) stream_type: u8,
    descriptors: Vec<u8>,
}

/// A stream that is taken.
#[derive(Debug)]
pub(super) struct Slot {
    entry: Entry,
    pub(super) pes: Pending,
    form: Form,
    index: usize,
    /// PES packets without a time have come: the end of one is known when the next one begins.
    pub(super) joins: bool,
}

impl Map {
    pub(super) fn parse(section: &[u8]) -> Option<Self> {
        const TABLE: u8 = 2;
        let body = section::body(section, TABLE)?;
        let length = |at: usize| Some(usize::from(u16::from_be_bytes([*body.get(at)? & 0xf, *body.get(at + 1)?])));
        let mut at = 4 + length(2)?;
        let mut entries = Vec::new();
        while let Some(head) = body.get(at..at + 5) {
            let descriptors = body.get(at + 5..at + 5 + length(at + 3)?)?.to_vec();
            at += 5 + descriptors.len();
            let pid = u16::from_be_bytes([head[1] & 0x1f, head[2]]);
            entries.push(Entry { pid, stream_type: head[0], descriptors });
        }
        Some(Self { entries })
    }

    /// Whether a stream is still what it was.
    pub(super) fn has(&self, slot: &Slot) -> bool {
        self.entries.contains(&slot.entry)
    }

    /// The streams that are taken: those of before where they are the same. And the names of those that are not.
    pub(super) fn slots(&self, mut before: Vec<Slot>) -> (Vec<Slot>, Vec<String>) {
        let (mut slots, mut foreign): (Vec<Slot>, Vec<String>) = (Vec::new(), Vec::new());
        for entry in &self.entries {
            let is_known = slots.iter().any(|slot| slot.entry.pid == entry.pid);
            if is_known || slots.len() == TRACKS_MAX {
                continue;
            }
            let index = slots.len();
            if let Some(at) = before.iter().position(|slot| slot.entry == *entry) {
                slots.push(Slot { index, ..before.swap_remove(at) });
                continue;
            }
            match Form::of(entry) {
                Ok(form) => {
                    let (entry, pes) = (entry.clone(), Pending::default());
                    slots.push(Slot { entry, pes, form, index, joins: false });
                }
                Err(name) => foreign.push(name),
            }
        }
        (slots, foreign)
    }
}

impl Entry {
    /// The descriptors: tag and content (section 2.6).
    fn descriptors(&self) -> impl Iterator<Item = (u8, &[u8])> {
        let mut rest = &self.descriptors[..];
        core::iter::from_fn(move || {
            let (tag, after) = rest.split_first()?;
            let (length, after) = after.split_first()?;
            let (content, after) = after.split_at_checked(usize::from(*length))?;
            rest = after;
            Some((*tag, content))
        })
    }

    /// The content of the descriptor with this tag.
    pub(super) fn descriptor(&self, tag: u8) -> Option<&[u8]> {
        self.descriptors().find_map(|(own, content)| (own == tag).then_some(content))
    }

    /// The identifier of the registration descriptor (section 2.6.8).
    pub(super) fn registration(&self) -> Option<&[u8; 4]> {
        const REGISTRATION: u8 = 5;
        self.descriptor(REGISTRATION)?.first_chunk()
    }
}

impl Slot {
    pub(super) const fn pid(&self) -> u16 {
        self.entry.pid
    }

    pub(super) const fn is_picture(&self) -> bool {
        self.form.is_picture()
    }

    /// The track, once it is known.
    pub(super) fn track(&self) -> Option<Track> {
        self.form.track()
    }

    /// Makes units of an access unit, or of frames; says how many were of no use.
    pub(super) fn take(
        &mut self,
        body: &Bytes,
        times: Option<(i64, Option<i64>)>,
        out: &mut impl FnMut(Output),
    ) -> u32 {
        self.form.take(place(self.index), body, times, out)
    }

    /// Something of the stream is missing: throws away what it belonged to. Whether there was something.
    pub(super) fn lose(&mut self) -> bool {
        self.form.lose();
        self.pes.abandon()
    }
}
