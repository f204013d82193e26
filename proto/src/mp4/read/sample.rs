//! Samples as payloads, codec by codec.

use bytes::Bytes;

use crate::limits::{UNIT_BYTES_MAX, UNIT_FRAMES_MAX};
use crate::media::{Codec, Payload, PayloadBuilder};

/// The payload of a sample; `None` when it makes no sense. It is copied, so that what a unit holds is all that it keeps.
pub(super) fn payload(codec: &Codec, length_size: u8, bytes: &[u8]) -> Option<Payload> {
    if bytes.len() > UNIT_BYTES_MAX {
        return None;
    }
    let bytes = Bytes::copy_from_slice(bytes);
    match codec {
        Codec::H264(_) | Codec::H265(_) => nal_units(bytes, length_size.into()),
        // The inspector takes OBUs apart.
        _ => Some(Payload::single(bytes)),
    }
}

/// NAL units behind their lengths.
fn nal_units(mut bytes: Bytes, length_size: usize) -> Option<Payload> {
    let mut builder = PayloadBuilder::default();
    while !bytes.is_empty() {
        let head = bytes.get(..length_size)?;
        let length = head.iter().fold(0usize, |length, byte| length << 8 | usize::from(*byte));
        if builder.frames() == UNIT_FRAMES_MAX || length > bytes.len() - length_size {
            return None;
        }
        builder.push_frame(bytes.slice(length_size..length_size + length));
        bytes = bytes.slice(length_size + length..);
    }
    Some(builder.finish())
}
