//! The unit: what a path carries.

use super::{Payload, TrackId};
use crate::time::WallClock;

/// One access unit: a whole video frame as NAL units or OBUs, or one audio frame; for opaque tracks one RTP payload.
///
/// Times are ticks of the track's clock. A unit that is a random access point begins with the parameter sets in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Which track of the stream.
    pub track: TrackId,
    /// When to present it.
    pub pts: i64,
    /// When to decode it; never after `pts`, never before the track's previous unit's.
    pub dts: i64,
    /// When it was captured, where the publisher said so.
    pub captured: Option<WallClock>,
    /// Decoding may start here (keyframe, GDR recovery point). Always set where units stand alone.
    pub random_access: bool,
    /// No other unit refers to this one; the first to go when a reader is slow.
    pub discardable: bool,
    /// RTP marker bit, kept for opaque tracks only.
    pub marker: bool,
    /// The bytes.
    pub payload: Payload,
}
