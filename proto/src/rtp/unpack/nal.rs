//! What H.264 and H.265 share: units made of NAL units, and the oddities of cameras about where they end.

use bytes::{Buf, Bytes};

use super::assembler::Assembler;
use super::{UnpackReason, Unpacked};
use crate::rtp::Ordered;

/// What a NAL unit says about the picture it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nal {
    /// A slice. `first` if it is its picture's first, so that nothing of the picture is missing before it.
    Slice { first: bool },
    /// Parameter sets, delimiters, messages.
    Other,
}

/// A unit of NAL units being gathered.
#[derive(Debug, Default)]
pub(super) struct NalAssembler {
    unit: Assembler,
    /// The unit holds a slice.
    has_slice: bool,
    /// The sender marks every slice; its markers end nothing.
    marks_slices: bool,
    /// Timestamp of the last unit that a marker ended.
    ended: Option<i64>,
}

impl NalAssembler {
    /// Looks at the next packet before its payload is added.
    pub(super) fn begin(&mut self, ordered: &Ordered, ticks: i64, out: &mut impl FnMut(Unpacked)) {
        if self.unit.in_fragments() && self.unit.ticks() != ticks {
            // Neither end flag nor marker: the sender gave up in the middle.
            self.unit.break_unit();
        }
        if self.unit.begin(ordered, ticks, out) {
            self.has_slice = false;
        }
    }

    /// Adds a whole NAL unit.
    pub(super) fn push(&mut self, nal: Nal, frame: Bytes) -> Result<(), UnpackReason> {
        self.inspect(nal);
        self.unit.push_frame(frame)
    }

    /// Begins a fragmented NAL unit with its rebuilt header.
    pub(super) fn start(&mut self, nal: Nal, header: Bytes) -> Result<(), UnpackReason> {
        self.inspect(nal);
        self.unit.end_fragments();
        self.unit.push_fragment(header)
    }

    /// Adds a fragment of a NAL unit begun before.
    pub(super) fn push_fragment(&mut self, fragment: Bytes, last: bool) -> Result<(), UnpackReason> {
        if !self.unit.in_fragments() {
            return self.unit.refuse_headless();
        }
        self.unit.push_fragment(fragment)?;
        if last {
            self.unit.end_fragments();
        }
        Ok(())
    }

    /// Ends the unit if the packet's marker says so and can be believed.
    pub(super) fn finish(&mut self, marker: bool, out: &mut impl FnMut(Unpacked)) {
        if marker && !self.marks_slices && (self.has_slice || self.unit.is_broken()) {
            self.ended = Some(self.unit.ticks());
            self.unit.end(true, out);
        }
    }

    pub(super) fn refuse(&mut self, reason: UnpackReason) -> Result<(), UnpackReason> {
        self.unit.refuse(reason)
    }

    pub(super) const fn dropped(&mut self) -> &mut u32 {
        self.unit.dropped()
    }

    fn inspect(&mut self, nal: Nal) {
        let Nal::Slice { first } = nal else { return };
        if !first && !self.has_slice {
            if self.unit.head_unsure() {
                self.unit.break_unit();
            } else if self.ended == Some(self.unit.ticks()) {
                self.marks_slices = true;
                self.unit.break_unit();
            }
        }
        self.has_slice = true;
    }
}

/// The NAL units of an aggregation packet: each behind its size in two bytes.
///
/// Zeros at the end are padding that some cameras add; a size beyond the packet is an error, once.
pub(super) struct Aggregate {
    rest: Bytes,
}

impl Aggregate {
    pub(super) const fn new(rest: Bytes) -> Self {
        Self { rest }
    }
}

impl Iterator for Aggregate {
    type Item = Result<Bytes, UnpackReason>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(size) = self.rest.first_chunk() {
            let size = usize::from(u16::from_be_bytes(*size));
            self.rest.advance(2);
            if size > self.rest.len() {
                self.rest = Bytes::new();
                return Some(Err(UnpackReason::Truncated));
            }
            if size > 0 {
                return Some(Ok(self.rest.split_to(size)));
            }
        }
        None
    }
}

/// Whether a payload begins with a start code (ITU-T H.264 annex B) instead of a NAL header, as some cameras send it.
pub(super) const fn is_annex_b(payload: &[u8]) -> bool {
    matches!(payload, [0, 0, 1, ..] | [0, 0, 0, 1, ..])
}

/// Splits a payload at its start codes.
pub(super) fn split_annex_b(mut payload: Bytes) -> impl Iterator<Item = Bytes> {
    core::iter::from_fn(move || {
        while !payload.is_empty() {
            let end = payload.windows(3).position(|code| code == [0, 0, 1]).unwrap_or(payload.len());
            let mut nal = payload.split_to(end);
            payload.advance(payload.len().min(3));
            nal.truncate(nal.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
            if !nal.is_empty() {
                return Some(nal);
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_codes_split_a_payload() {
        let payload = Bytes::from_static(&[0, 0, 0, 1, 0x67, 9, 0, 0, 1, 0x68, 8, 0, 0, 0, 1, 0x65, 7]);
        assert!(is_annex_b(&payload));
        let nals: Vec<Bytes> = split_annex_b(payload).collect();
        assert_eq!(nals, [&[0x67, 9][..], &[0x68, 8], &[0x65, 7]]);
    }
}
