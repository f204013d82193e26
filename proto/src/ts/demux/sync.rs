//! Bytes to packets: where they begin, and how they are found again.

use crate::ts::PACKET_BYTES;

const SYNC: u8 = 0x47;

/// Finds packets of 188 bytes. Where none begins it looks for one that another one follows.
#[derive(Clone, Debug, Default)]
pub(super) struct Synchronizer {
    rest: Vec<u8>,
    at: usize,
    locked: bool,
    skipped: u64,
}

impl Synchronizer {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.rest.drain(..self.at);
        self.at = 0;
        self.rest.extend_from_slice(bytes);
    }

    /// The next packet. `last`: nothing follows, so that one at the end needs no other one behind it.
    pub(super) fn next(&mut self, last: bool) -> Option<[u8; PACKET_BYTES]> {
        loop {
            let rest = &self.rest[self.at..];
            let packet: &[u8; PACKET_BYTES] = match rest.first_chunk() {
                Some(packet) => packet,
                None if last => {
                    self.skip(rest.len());
                    return None;
                }
                None => return None,
            };
            if packet[0] != SYNC {
                self.locked = false;
                let to = rest.iter().position(|byte| *byte == SYNC).unwrap_or(rest.len());
                self.skip(to);
                continue;
            }
            match rest.get(PACKET_BYTES) {
                Some(&SYNC) => self.locked = true,
                Some(_) if !self.locked => {
                    self.skip(1);
                    continue;
                }
                // This one is whole, but who knows where the next one begins.
                Some(_) => self.locked = false,
                None if !self.locked && !last => return None,
                _ => {}
            }
            let packet = *packet;
            self.at += PACKET_BYTES;
            return Some(packet);
        }
    }

    pub(super) const fn take_skipped(&mut self) -> u64 {
        core::mem::replace(&mut self.skipped, 0)
    }

    const fn skip(&mut self, bytes: usize) {
        self.at += bytes;
        self.skipped += bytes as u64;
    }
}
