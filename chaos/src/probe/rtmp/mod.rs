//! An RTMP client as small as the probes need: proto's machine understands the server, a walker of our own keeps of a
//! message only its beginning.

mod client;
mod play;
mod record;
mod wire;

pub use play::play;
pub use record::{RecordSink, record};
pub use wire::{Message, OutOfStep, Wire};

use weft_proto::rtmp::Outgoing;
use weft_proto::rtmp::message::kind;

/// Bytes of our chunks: larger than any frame that we make.
const CHUNK_BYTES: u32 = 8 << 20;

/// Appends a message in one chunk with a full header (RTMP 1.0 section 5.3.1.2.1).
fn put_message(kind: u8, stream_id: u32, timestamp: u32, parts: &[&[u8]], out: &mut Vec<u8>) {
    let id = match kind {
        kind::AUDIO => 4,
        kind::VIDEO => 6,
        kind::SET_CHUNK_SIZE..=kind::SET_PEER_BANDWIDTH => 2,
        _ => 3,
    };
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.push(id);
    out.extend_from_slice(&timestamp.min(0xff_ffff).to_be_bytes()[1..]);
    out.extend_from_slice(&(length as u32).to_be_bytes()[1..]);
    out.push(kind);
    out.extend_from_slice(&stream_id.to_le_bytes());
    if timestamp >= 0xff_ffff {
        out.extend_from_slice(&timestamp.to_be_bytes());
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// The acknowledgement of all that arrived so far.
pub fn acknowledgement(bytes: u64) -> Vec<u8> {
    let Outgoing { kind, stream_id, payload } = Outgoing::number(kind::ACKNOWLEDGEMENT, bytes as u32);
    let mut out = Vec::new();
    put_message(kind, stream_id, 0, &[&payload], &mut out);
    out
}
