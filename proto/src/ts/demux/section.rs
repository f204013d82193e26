//! Sections: tables in one packet or several (section 2.4.4), checked.

use super::header::Header;
use crate::ts::tables::crc32;

/// Bytes of a section of the tables of a program, its head included (sections 2.4.4.4 and 2.4.4.9).
const SECTION_BYTES_MAX: usize = 3 + 1021;

/// Puts the sections of one packet identifier together.
#[derive(Clone, Debug, Default)]
pub(super) struct Sections {
    pending: Vec<u8>,
    /// A section has begun, so that bytes mean something.
    open: bool,
    counter: Option<u8>,
}

impl Sections {
    /// Takes a packet; whole sections whose checksum is right go to `found`.
    pub(super) fn packet(&mut self, header: &Header, payload: &[u8], mut found: impl FnMut(&[u8])) {
        let expected = self.counter.map(|counter| (counter + 1) & 0xf);
        if self.counter == Some(header.counter) && !header.starts && !header.discontinuity {
            return;
        }
        if expected.is_some_and(|expected| expected != header.counter) && !header.discontinuity {
            self.open = false;
        }
        self.counter = Some(header.counter);
        if !header.starts {
            self.append(payload, &mut found);
            return;
        }
        let Some((pointer, rest)) = payload.split_first() else { return };
        let Some((end, next)) = rest.split_at_checked(usize::from(*pointer)) else { return };
        self.append(end, &mut found);
        self.pending.clear();
        self.open = true;
        self.append(next, &mut found);
    }

    /// The next packet's counter need not follow.
    pub(super) const fn forget_counter(&mut self) {
        self.counter = None;
    }

    fn append(&mut self, bytes: &[u8], found: &mut impl FnMut(&[u8])) {
        const STUFFING: u8 = 0xff;
        if !self.open {
            return;
        }
        self.pending.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(head) = self.pending[at..].first_chunk::<3>() {
            let length = 3 + (usize::from(head[1] & 0xf) << 8 | usize::from(head[2]));
            if head[0] == STUFFING || length > SECTION_BYTES_MAX {
                self.open = false;
                break;
            }
            let Some(section) = self.pending[at..].get(..length) else { break };
            if crc32(section) == 0 {
                found(section);
            }
            at += length;
        }
        self.pending.drain(..at);
        if !self.open {
            self.pending.clear();
        }
    }
}

/// What stands between the head of a section of this table and its checksum. Those that are not in force yet are passed
/// over.
pub(super) fn body(section: &[u8], table: u8) -> Option<&[u8]> {
    const HEAD: usize = 8;
    const CHECKSUM: usize = 4;
    let body = section.get(HEAD..section.len().checked_sub(CHECKSUM)?)?;
    let is_in_force = section[5] & 1 == 1;
    (section[0] == table && section[1] & 0x80 != 0 && is_in_force).then_some(body)
}

/// The program association (section 2.4.4.3): where the map of the first program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Association {
    pub(super) map_pid: u16,
}

impl Association {
    pub(super) const PID: u16 = 0;

    pub(super) fn parse(section: &[u8]) -> Option<Self> {
        let body = body(section, 0)?;
        let (programs, _) = body.as_chunks::<4>();
        // Program 0 is the network's information.
        let program = programs.iter().find(|program| program[..2] != [0, 0])?;
        Some(Self { map_pid: u16::from_be_bytes([program[2] & 0x1f, program[3]]) })
    }
}
