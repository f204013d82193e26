//! Decoding times for streams that carry presentation times only.

use bytes::Bytes;
use smallvec::SmallVec;

use super::{FrameRate, h264, h265};
use crate::media::Codec;

/// Derives decoding times for streams that carry only presentation times (RTP).
///
/// With a reorder depth of n, at most n of the frames decoded before a frame are shown after it. So when a frame is
/// decoded, the one with the (n + 1)-th highest presentation time so far is shown: that is its decoding time. The depth
/// comes from the sequence parameter set; a frame that needs more raises it. Where the set does not say, the depth
/// starts at 0, and a decoding time does not follow a leap of the presentation time at once, because frames in between
/// may be about to come.
///
/// A result is never after `pts`. It never decreases, but where `pts` itself goes back behind what was already given:
/// by more than ten seconds or sixteen frames (a restart), or by an order that differs from what the set announced.
#[derive(Clone, Debug)]
pub struct DtsEstimator {
    depth: Depth,
    /// The highest presentation times so far, highest first.
    highest: SmallVec<[i64; DEPTH_MAX + 1]>,
    last: Option<Last>,
    /// The SPS from which the depth was read.
    sps: Bytes,
}

#[derive(Clone, Copy, Debug)]
struct Depth {
    frames: usize,
    /// The stream says so; else it is a guess that grows.
    certain: bool,
    /// Ticks of a frame, as far as is known.
    step: i64,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    pts: i64,
    dts: i64,
    /// From the presentation time before to this one.
    leap: i64,
}

/// Frames of the deepest reordering that H.264 and H.265 allow.
const DEPTH_MAX: usize = 16;

/// Ticks of a second: streams without decoding times come over RTP, where video counts at 90 kHz (RFC 3551 section 5).
const SECOND: i64 = 90_000;

/// A leap of more than this is a new beginning.
const JUMP: i64 = 10 * SECOND;

/// Ticks of a frame where nothing says more: a sixtieth of a second, the shortest that is usual.
const STEP: i64 = SECOND / 60;

impl DtsEstimator {
    /// Starts with what the codec knows already.
    pub fn new(codec: &Codec) -> Self {
        let sps = sps_of(codec).cloned().unwrap_or_default();
        Self { depth: Depth::of(codec), highest: SmallVec::new(), last: None, sps }
    }

    /// The decoding time of the next unit, in decoding order. `codec` is the codec as it is with this unit.
    pub fn dts(&mut self, pts: i64, random_access: bool, codec: &Codec) -> i64 {
        if !matches!(codec, Codec::H264(_) | Codec::H265(_)) {
            return pts;
        }
        if random_access {
            self.follow(codec);
        }
        let jumped = self.last.is_some_and(|last| pts.saturating_sub(last.pts).saturating_abs() > JUMP);
        if jumped || self.later_than(pts) > DEPTH_MAX {
            self.restart(codec);
        }
        let dts = self.next(pts).min(pts);
        let leap = self.last.map_or(0, |last| pts.saturating_sub(last.pts));
        self.last = Some(Last { pts, dts, leap });
        dts
    }

    /// Takes up a changed SPS. A guess that has grown is kept where the new one is silent too.
    fn follow(&mut self, codec: &Codec) {
        if let Some(sps) = sps_of(codec).filter(|sps| **sps != self.sps) {
            self.sps = sps.clone();
            let depth = Depth::of(codec);
            self.depth = Depth { frames: if depth.certain { depth.frames } else { self.depth.frames }, ..depth };
        }
    }

    fn restart(&mut self, codec: &Codec) {
        self.depth = Depth::of(codec);
        self.highest.clear();
        self.last = None;
    }

    /// Frames so far that are shown after `pts`.
    fn later_than(&self, pts: i64) -> usize {
        self.highest.partition_point(|high| *high > pts)
    }

    fn next(&mut self, pts: i64) -> i64 {
        let later = self.later_than(pts);
        self.highest.truncate(DEPTH_MAX);
        self.highest.insert(later, pts);
        let grown = later > self.depth.frames;
        self.depth.frames = self.depth.frames.max(later);
        let Some(last) = self.last else {
            return pts.saturating_sub(self.depth.step * self.depth.frames as i64);
        };
        let leaps = !self.depth.certain && self.leaps(pts, last);
        let step_on = last.dts.saturating_add(self.depth.step);
        let dts = match self.highest.get(self.depth.frames) {
            Some(shown) if !leaps && !grown => *shown,
            // Too few frames yet, or a leap: one step, but not beyond what is shown.
            Some(shown) => step_on.min(*shown),
            None => step_on.min(self.highest.last().copied().unwrap_or(pts)),
        };
        dts.max(last.dts)
    }

    /// Whether `pts` leaves out frames that may be yet to come. Two leaps in a row have left nothing out.
    fn leaps(&mut self, pts: i64, last: Last) -> bool {
        let leap = pts.saturating_sub(last.pts);
        if leap > 0 && last.leap > 0 {
            self.depth.step = last.leap;
        }
        self.depth.frames == 0 && leap > self.depth.step.saturating_add(self.depth.step / 2)
    }
}

impl Depth {
    fn of(codec: &Codec) -> Self {
        let (frames, rate) = match codec {
            Codec::H264(config) => match config.sps.first().and_then(|sps| h264::Sps::parse(sps).ok()) {
                Some(sps) => (sps.reorder_frames, sps.frame_rate),
                None => (None, None),
            },
            Codec::H265(config) => match config.sps.first().and_then(|sps| h265::Sps::parse(sps).ok()) {
                Some(sps) => (Some(sps.reorder_pictures), sps.frame_rate),
                None => (None, None),
            },
            _ => (Some(0), None),
        };
        Self {
            frames: frames.map_or(0, |frames| usize::from(frames).min(DEPTH_MAX)),
            certain: frames.is_some(),
            step: rate.and_then(step_of).unwrap_or(STEP),
        }
    }
}

/// Ticks of a frame, where the rate is one that a video can have: 1 to 240 frames per second.
fn step_of(rate: FrameRate) -> Option<i64> {
    let step = i64::from(rate.den) * SECOND / i64::from(rate.num);
    (SECOND / 240..=SECOND).contains(&step).then_some(step)
}

fn sps_of(codec: &Codec) -> Option<&Bytes> {
    match codec {
        Codec::H264(config) => config.sps.first(),
        Codec::H265(config) => config.sps.first(),
        _ => None,
    }
}

#[cfg(test)]
#[path = "dts_tests.rs"]
mod tests;
