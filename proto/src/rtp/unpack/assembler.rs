//! Gathers the packets of one unit of video and decides when it is whole.

use bytes::Bytes;

use super::{UnpackReason, Unpacked};
use crate::limits::{UNIT_BYTES_MAX, UNIT_FRAMES_MAX, UNIT_SLICES_MAX};
use crate::media::PayloadBuilder;
use crate::rtp::Ordered;

/// The unit being gathered.
#[derive(Debug)]
pub(super) struct Assembler {
    builder: PayloadBuilder,
    state: State,
    ticks: i64,
    slices: usize,
    /// Packets before the unit's first seen one are missing and may have been its own.
    head_unsure: bool,
    dropped: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The last unit ended, none began.
    Idle,
    Open,
    /// Part of the unit is missing: what is left of it is passed over.
    Broken,
}

impl Default for Assembler {
    fn default() -> Self {
        // A stream may be joined in the middle of a unit.
        let builder = PayloadBuilder::default();
        Self { builder, state: State::Idle, ticks: 0, slices: 0, head_unsure: true, dropped: 0 }
    }
}

impl Assembler {
    /// Looks at the next packet before its payload is added. True if it begins a unit.
    ///
    /// Open => Broken where packets are missing; Open => Idle where the timestamp changes; then Idle => Open.
    pub(super) fn begin(&mut self, ordered: &Ordered, ticks: i64, out: &mut impl FnMut(Unpacked)) -> bool {
        if ordered.lost_before > 0 {
            self.on_loss(ticks);
        } else if self.state != State::Idle && self.ticks != ticks {
            self.end(false, out);
        }
        let begins = self.state == State::Idle;
        if begins {
            self.state = State::Open;
            self.ticks = ticks;
        }
        begins
    }

    fn on_loss(&mut self, ticks: i64) {
        if self.state == State::Open && self.slices > 0 {
            self.break_unit();
        }
        if self.state != State::Broken || self.ticks != ticks {
            self.state = State::Idle;
            self.head_unsure = true;
        }
    }

    /// Ends the unit and hands it out if it is whole.
    pub(super) fn end(&mut self, marker: bool, out: &mut impl FnMut(Unpacked)) {
        if self.state == State::Open && self.slices > 0 {
            let payload = core::mem::take(&mut self.builder).finish();
            out(Unpacked { ticks: self.ticks, payload, marker });
        }
        self.slices = 0;
        self.state = State::Idle;
        self.head_unsure = false;
    }

    /// Gives the unit up, counts it, and passes over what is left of it.
    pub(super) fn break_unit(&mut self) {
        if self.state != State::Broken {
            self.dropped = self.dropped.saturating_add(1);
            self.builder = PayloadBuilder::default();
            self.slices = 0;
            self.state = State::Broken;
        }
    }

    /// Gives the unit up for a packet that does not follow its format.
    pub(super) fn refuse(&mut self, reason: UnpackReason) -> Result<(), UnpackReason> {
        self.break_unit();
        Err(reason)
    }

    /// A fragment came that continues nothing. An error only if no packet is missing.
    pub(super) fn refuse_headless(&mut self) -> Result<(), UnpackReason> {
        let known = self.state == State::Broken || self.head_unsure;
        self.break_unit();
        if known { Ok(()) } else { Err(UnpackReason::FragmentWithoutStart) }
    }

    /// Adds a whole frame. A fragmented one still open ends here: no packet is missing, so only its end flag is.
    pub(super) fn push_frame(&mut self, frame: Bytes) -> Result<(), UnpackReason> {
        self.end_fragments();
        self.push_fragment(frame)?;
        self.end_fragments();
        Ok(())
    }

    /// Adds a piece of the open frame, or begins one.
    pub(super) fn push_fragment(&mut self, slice: Bytes) -> Result<(), UnpackReason> {
        if self.state == State::Broken || slice.is_empty() {
            return Ok(());
        }
        let full = self.slices == UNIT_SLICES_MAX
            || self.builder.frames() == UNIT_FRAMES_MAX
            || self.builder.bytes() + slice.len() > UNIT_BYTES_MAX;
        if full {
            return self.refuse(UnpackReason::TooLarge);
        }
        self.slices += 1;
        self.builder.push_slice(slice);
        Ok(())
    }

    /// Ends the open frame, if any.
    pub(super) fn end_fragments(&mut self) {
        self.builder.end_frame();
    }

    /// Whether a fragmented frame is open.
    pub(super) fn in_fragments(&self) -> bool {
        self.builder.open_slices() > 0
    }

    pub(super) const fn is_broken(&self) -> bool {
        matches!(self.state, State::Broken)
    }

    /// Whether nothing was added to the unit yet.
    pub(super) const fn is_empty(&self) -> bool {
        self.slices == 0
    }

    pub(super) const fn head_unsure(&self) -> bool {
        self.head_unsure
    }

    pub(super) const fn ticks(&self) -> i64 {
        self.ticks
    }

    pub(super) const fn dropped(&mut self) -> &mut u32 {
        &mut self.dropped
    }
}

/// A byte as a shared slice, without allocation.
pub(super) fn byte(value: u8) -> Bytes {
    let at = usize::from(value);
    Bytes::from_static(&BYTES[at..=at])
}

static BYTES: [u8; 256] = {
    let mut bytes = [0; 256];
    let mut at = 0;
    while at < 256 {
        bytes[at] = at as u8;
        at += 1;
    }
    bytes
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::Packet;

    fn ordered(lost_before: u32) -> Ordered {
        let packet =
            Packet { marker: false, payload_type: 96, sequence: 0, timestamp: 0, ssrc: 0, payload: Bytes::new() };
        Ordered { packet, lost_before }
    }

    #[test]
    fn a_unit_has_no_more_slices_frames_or_bytes_than_its_limits() {
        let piece = |len| Bytes::from(vec![1; len]);
        let mut unit = Assembler::default();
        unit.begin(&ordered(0), 0, &mut |_| {});
        assert_eq!((0..=UNIT_SLICES_MAX).filter(|_| unit.push_fragment(piece(1)).is_err()).count(), 1);
        unit.begin(&ordered(0), 1, &mut |_| panic!("the unit is too large"));
        assert_eq!((0..=UNIT_FRAMES_MAX).filter(|_| unit.push_frame(piece(1)).is_err()).count(), 1);
        unit.begin(&ordered(0), 2, &mut |_| panic!("the unit is too large"));
        let large = piece(1 << 20);
        assert_eq!((0..17).filter(|_| unit.push_fragment(large.clone()).is_err()).count(), 1);
        assert_eq!(core::mem::take(unit.dropped()), 3);
    }

    #[test]
    fn loss_breaks_the_open_unit_once_and_leaves_a_finished_one_alone() {
        let mut units = 0;
        let mut unit = Assembler::default();
        unit.begin(&ordered(0), 0, &mut |_| {});
        unit.push_frame(Bytes::from_static(b"x")).unwrap();
        unit.end(true, &mut |_| units += 1);
        assert!(unit.begin(&ordered(3), 1, &mut |_| {}));
        assert!(unit.head_unsure());
        unit.push_frame(Bytes::from_static(b"x")).unwrap();
        assert!(!unit.begin(&ordered(1), 1, &mut |_| {}));
        assert!(!unit.begin(&ordered(1), 1, &mut |_| {}));
        unit.end(true, &mut |_| units += 1);
        assert_eq!((units, *unit.dropped(), unit.head_unsure()), (1, 1, false));
    }
}
