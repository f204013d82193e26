//! The bytes of a unit: frames (NAL units, OBUs) made of slices of what arrived, never copied.

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

/// The immutable bytes of one unit: one or more frames, each one or more slices.
///
/// A frame that arrived in fragments stays in fragments: its slices, joined, are the frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    slices: SmallVec<[Bytes; 2]>,
    /// Index of the slice after each frame's last.
    ends: SmallVec<[u32; 4]>,
    bytes: usize,
}

/// One frame of a [`Payload`]: its slices in order.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    slices: &'a [Bytes],
}

/// Collects slices into frames.
#[derive(Clone, Debug, Default)]
pub struct PayloadBuilder {
    payload: Payload,
}

impl Payload {
    /// A payload of one frame in one slice.
    pub fn single(frame: Bytes) -> Self {
        Self::from_frames([frame])
    }

    /// A payload of whole frames, each in one slice. Empty frames are left out.
    pub fn from_frames(frames: impl IntoIterator<Item = Bytes>) -> Self {
        let mut builder = PayloadBuilder::default();
        for frame in frames {
            builder.push_frame(frame);
        }
        builder.finish()
    }

    /// The frames in order.
    pub fn frames(&self) -> impl ExactSizeIterator<Item = Frame<'_>> + Clone {
        (0..self.ends.len()).map(|i| {
            let start = if i == 0 { 0 } else { self.ends[i - 1] as usize };
            Frame { slices: &self.slices[start..self.ends[i] as usize] }
        })
    }

    /// Bytes of all frames together.
    pub const fn len(&self) -> usize {
        self.bytes
    }

    /// Whether there is no byte at all.
    pub const fn is_empty(&self) -> bool {
        self.bytes == 0
    }
}

impl<'a> Frame<'a> {
    /// The slices in order. None is empty.
    pub const fn slices(&self) -> &'a [Bytes] {
        self.slices
    }

    /// Bytes of the frame.
    pub fn len(&self) -> usize {
        self.slices.iter().map(Bytes::len).sum()
    }

    /// Whether the frame has no byte; never so inside a payload.
    pub fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    /// The byte at `index`, if there is one.
    pub fn get(&self, mut index: usize) -> Option<u8> {
        for slice in self.slices {
            match slice.get(index) {
                Some(byte) => return Some(*byte),
                None => index -= slice.len(),
            }
        }
        None
    }

    /// Copies the first bytes into `out`; says how many there were.
    pub fn copy_prefix(&self, out: &mut [u8]) -> usize {
        let mut done = 0;
        for slice in self.slices {
            let take = slice.len().min(out.len() - done);
            out[done..done + take].copy_from_slice(&slice[..take]);
            done += take;
            if done == out.len() {
                break;
            }
        }
        done
    }

    /// The frame in one piece: shared when it is one slice, copied when it is several.
    pub fn to_bytes(&self) -> Bytes {
        match self.slices {
            [only] => only.clone(),
            slices => {
                let mut joined = BytesMut::with_capacity(self.len());
                slices.iter().for_each(|slice| joined.extend_from_slice(slice));
                joined.freeze()
            }
        }
    }
}

impl PayloadBuilder {
    /// Adds a whole frame.
    pub fn push_frame(&mut self, frame: Bytes) {
        self.push_slice(frame);
        self.end_frame();
    }

    /// Adds a slice to the frame being built. Empty slices are left out.
    pub fn push_slice(&mut self, slice: Bytes) {
        if !slice.is_empty() {
            self.payload.bytes += slice.len();
            self.payload.slices.push(slice);
        }
    }

    /// Ends the frame being built; nothing happens when it is empty.
    pub fn end_frame(&mut self) {
        if self.open_slices() > 0 {
            self.payload.ends.push(self.payload.slices.len() as u32);
        }
    }

    /// Throws away the frame being built.
    pub fn abandon_frame(&mut self) {
        let keep = self.payload.ends.last().map_or(0, |end| *end as usize);
        for slice in self.payload.slices.drain(keep..) {
            self.payload.bytes -= slice.len();
        }
    }

    /// Slices of the frame being built.
    pub fn open_slices(&self) -> usize {
        self.payload.slices.len() - self.payload.ends.last().map_or(0, |end| *end as usize)
    }

    /// Frames ended so far.
    pub fn frames(&self) -> usize {
        self.payload.ends.len()
    }

    /// Bytes so far, open frame included.
    pub const fn bytes(&self) -> usize {
        self.payload.bytes
    }

    /// Ends an open frame and hands out the payload.
    pub fn finish(mut self) -> Payload {
        self.end_frame();
        self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragments() -> Payload {
        let mut builder = PayloadBuilder::default();
        builder.push_frame(Bytes::from_static(b"ab"));
        builder.push_slice(Bytes::from_static(b"c"));
        builder.push_slice(Bytes::new());
        builder.push_slice(Bytes::from_static(b"de"));
        builder.finish()
    }

    #[test]
    fn frames_keep_their_slices_and_join_on_demand() {
        let payload = fragments();
        let joined: Vec<Bytes> = payload.frames().map(|frame| frame.to_bytes()).collect();
        assert_eq!(joined, [&b"ab"[..], b"cde"]);
        assert_eq!(payload.len(), 5);
        let last = payload.frames().last().unwrap();
        assert_eq!((last.get(0), last.get(2), last.get(3)), (Some(b'c'), Some(b'e'), None));
        let mut prefix = [0; 2];
        assert_eq!((last.copy_prefix(&mut prefix), &prefix), (2, b"cd"));
    }

    #[test]
    fn an_abandoned_frame_leaves_no_trace() {
        let mut builder = PayloadBuilder::default();
        builder.push_frame(Bytes::from_static(b"ab"));
        builder.push_slice(Bytes::from_static(b"cd"));
        builder.abandon_frame();
        assert_eq!(builder.finish(), Payload::single(Bytes::from_static(b"ab")));
    }
}
