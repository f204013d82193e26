//! Payloads up to the marker.

use crate::limits::OPAQUE_PENDING_BYTES_MAX;
use crate::media::{Payload, Unit};

/// Collects the payloads of an access unit: those of one time, up to the one with the marker.
#[derive(Clone, Debug, Default)]
pub struct Collector {
    pending: Vec<Payload>,
    bytes: usize,
    pts: i64,
}

impl Collector {
    /// Takes the next payload; hands out all of the access unit that ends with it. One whose end was lost, or that grows
    /// beyond all measure, is thrown away.
    pub fn push(&mut self, unit: &Unit) -> Option<Vec<Payload>> {
        self.bytes += unit.payload.len();
        if self.pts != unit.pts || self.bytes > OPAQUE_PENDING_BYTES_MAX {
            self.pending.clear();
            self.bytes = unit.payload.len();
            self.pts = unit.pts;
        }
        self.pending.push(unit.payload.clone());
        if !unit.marker {
            return None;
        }
        self.bytes = 0;
        Some(core::mem::take(&mut self.pending))
    }
}
