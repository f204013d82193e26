//! Gathers the fragments of one audio frame, whose size its first fragment tells.

use bytes::Bytes;

use super::UnpackReason;
use crate::limits::{UNIT_BYTES_MAX, UNIT_SLICES_MAX};
use crate::media::{Payload, PayloadBuilder};

#[derive(Debug, Default)]
pub(super) struct Partial {
    open: Option<Open>,
    /// Timestamp of the frame given up last: what is left of it is passed over.
    broken: Option<i64>,
    dropped: u32,
}

#[derive(Debug)]
struct Open {
    builder: PayloadBuilder,
    ticks: i64,
    size: usize,
}

impl Partial {
    /// Gives up the open frame, if any, and counts it.
    pub(super) fn abandon(&mut self) {
        if let Some(open) = self.open.take() {
            self.give_up(open.ticks);
        }
    }

    /// Whether a frame with this timestamp and these bytes so far is open.
    pub(super) fn continues(&self, ticks: i64, bytes: Option<usize>) -> bool {
        self.open
            .as_ref()
            .is_some_and(|open| open.ticks == ticks && bytes.is_none_or(|bytes| bytes == open.builder.bytes()))
    }

    /// Bytes of the open frame when complete.
    pub(super) fn size(&self) -> Option<usize> {
        self.open.as_ref().map(|open| open.size)
    }

    /// Begins a frame of `size` bytes, unless it is what is left of one given up.
    pub(super) fn start(&mut self, ticks: i64, size: usize, first: Bytes) -> Result<(), UnpackReason> {
        self.abandon();
        if self.broken == Some(ticks) {
            return Ok(());
        }
        if size > UNIT_BYTES_MAX {
            self.give_up(ticks);
            return Err(UnpackReason::TooLarge);
        }
        let mut builder = PayloadBuilder::default();
        builder.push_slice(first);
        self.open = Some(Open { builder, ticks, size });
        Ok(())
    }

    /// Adds a fragment to the open frame and hands it out when complete.
    pub(super) fn push(&mut self, fragment: Bytes) -> Result<Option<Payload>, UnpackReason> {
        let Some(mut open) = self.open.take() else { return Ok(None) };
        let bytes = open.builder.bytes() + fragment.len();
        let reason = match () {
            () if bytes > open.size => UnpackReason::FragmentMismatch,
            () if open.builder.open_slices() == UNIT_SLICES_MAX => UnpackReason::TooLarge,
            () => {
                open.builder.push_slice(fragment);
                if bytes == open.size {
                    return Ok(Some(open.builder.finish()));
                }
                self.open = Some(open);
                return Ok(None);
            }
        };
        self.give_up(open.ticks);
        Err(reason)
    }

    /// Passes over a fragment that continues nothing; its frame is counted once. An error unless packets are missing.
    pub(super) fn refuse_headless(&mut self, ticks: i64, lost: bool) -> Result<(), UnpackReason> {
        self.abandon();
        if self.broken == Some(ticks) {
            return Ok(());
        }
        self.give_up(ticks);
        if lost { Ok(()) } else { Err(UnpackReason::FragmentWithoutStart) }
    }

    /// Counts a packet that holds no frame that could be read.
    pub(super) fn refuse(&mut self, reason: UnpackReason) -> Result<(), UnpackReason> {
        self.abandon();
        self.dropped = self.dropped.saturating_add(1);
        Err(reason)
    }

    pub(super) const fn dropped(&mut self) -> &mut u32 {
        &mut self.dropped
    }

    fn give_up(&mut self, ticks: i64) {
        self.broken = Some(ticks);
        self.dropped = self.dropped.saturating_add(1);
    }
}
