//! H.264 (RFC 6184): single NAL unit packets, STAP-A, STAP-B, FU-A, FU-B.
//!
//! Interleaved packets are taken in the order they come, their decoding order numbers passed over. MTAPs, which would need
//! reordering by time, are refused; no sender of them is known. After a loss a unit is whole from its start when its first
//! slice is the first of a picture (`first_mb_in_slice` is 0).

use bytes::Bytes;

use super::assembler::byte;
use super::nal::{Aggregate, Nal, NalAssembler, is_annex_b, split_annex_b};
use super::{UnpackReason, Unpacked};
use crate::rtp::Ordered;

#[derive(Debug, Default)]
pub(super) struct H264 {
    unit: NalAssembler,
}

impl H264 {
    pub(super) fn push(
        &mut self,
        ordered: &Ordered,
        ticks: i64,
        out: &mut impl FnMut(Unpacked),
    ) -> Result<(), UnpackReason> {
        self.unit.begin(ordered, ticks, out);
        let pushed = self.push_payload(&ordered.packet.payload);
        self.unit.finish(ordered.packet.marker, out);
        pushed
    }

    pub(super) const fn dropped(&mut self) -> &mut u32 {
        self.unit.dropped()
    }

    fn push_payload(&mut self, payload: &Bytes) -> Result<(), UnpackReason> {
        let Some(first) = payload.first() else { return Ok(()) };
        match first & 0x1f {
            0 if is_annex_b(payload) => split_annex_b(payload.clone()).try_for_each(|nal| self.push_nal(nal)),
            STAP_A => self.push_aggregate(payload, 1),
            STAP_B => self.push_aggregate(payload, 3),
            FU_A => self.push_fragment(payload, 2),
            FU_B => self.push_fragment(payload, 4),
            mtap @ (26 | 27) => self.unit.refuse(UnpackReason::Unsupported(mtap)),
            _ => self.push_nal(payload.clone()),
        }
    }

    /// A NAL unit. Types that none may have are ignored (RFC 6184 section 5.2).
    fn push_nal(&mut self, nal: Bytes) -> Result<(), UnpackReason> {
        match nal.first().map_or(0, |header| header & 0x1f) {
            0 | 24.. => Ok(()),
            nal_type => self.unit.push(classify(nal_type, nal.get(1)), nal),
        }
    }

    /// NAL units behind a header of `skip` bytes (RFC 6184 section 5.7.1).
    fn push_aggregate(&mut self, payload: &Bytes, skip: usize) -> Result<(), UnpackReason> {
        if payload.len() < skip {
            return self.unit.refuse(UnpackReason::Truncated);
        }
        for nal in Aggregate::new(payload.slice(skip..)) {
            match nal {
                Ok(nal) => self.push_nal(nal)?,
                Err(reason) => return self.unit.refuse(reason),
            }
        }
        Ok(())
    }

    /// A fragment behind a header of `skip` bytes (RFC 6184 section 5.8).
    fn push_fragment(&mut self, payload: &Bytes, skip: usize) -> Result<(), UnpackReason> {
        let [indicator, flags, ..] = payload[..] else { return self.unit.refuse(UnpackReason::Truncated) };
        if payload.len() <= skip {
            // An empty fragment is allowed (RFC 6184 section 5.8), but a start needs its first byte.
            return if flags & START != 0 { self.unit.refuse(UnpackReason::Truncated) } else { Ok(()) };
        }
        if matches!(flags & 0x1f, 0 | 24..) {
            return self.unit.refuse(UnpackReason::Unsupported(flags & 0x1f));
        }
        if flags & START != 0 {
            let header = indicator & 0xe0 | flags & 0x1f;
            self.unit.start(classify(flags & 0x1f, payload.get(skip)), byte(header))?;
        }
        self.unit.push_fragment(payload.slice(skip..), flags & END != 0)
    }
}

/// By NAL unit type and the first byte behind the header: a slice begins with `first_mb_in_slice` as ue(v), and 0 is
/// written as a single 1 (ITU-T H.264 section 7.3.3).
fn classify(nal_type: u8, slice: Option<&u8>) -> Nal {
    match nal_type {
        1 | 2 | 5 => Nal::Slice { first: slice.is_some_and(|byte| byte & 0x80 != 0) },
        _ => Nal::Other,
    }
}

const STAP_A: u8 = 24;
const STAP_B: u8 = 25;
const FU_A: u8 = 28;
const FU_B: u8 = 29;

/// Flags of the FU header (RFC 6184 section 5.8).
const START: u8 = 0x80;
const END: u8 = 0x40;

#[cfg(test)]
#[path = "h264_tests.rs"]
mod tests;
