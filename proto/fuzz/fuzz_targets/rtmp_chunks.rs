//! Chunks in any portions: whatever comes out, it does not depend on how it arrived.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weft_proto::rtmp::{ChunkError, ChunkReader};

fuzz_target!(|bytes: &[u8]| {
    let portion = usize::from(bytes.first().copied().unwrap_or(1)).max(1);
    let bytes = bytes.get(1..).unwrap_or_default();
    assert_eq!(read(bytes, portion), read(bytes, bytes.len().max(1)));
});

/// Kind, stream, timestamp and body of each message, and how it ended.
fn read(bytes: &[u8], portion: usize) -> (Vec<(u8, u32, u32, Vec<u8>)>, Option<ChunkError>) {
    let mut reader = ChunkReader::new();
    reader.allow_media();
    let mut messages = Vec::new();
    for chunk in bytes.chunks(portion) {
        reader.buffer().extend_from_slice(chunk);
        loop {
            match reader.next() {
                Ok(Some(message)) => {
                    let body = message.body.to_bytes().to_vec();
                    messages.push((message.kind, message.stream_id, message.timestamp, body));
                }
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
    }
    (messages, None)
}
