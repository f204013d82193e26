//! The two tables of a program: PAT and PMT (sections 2.4.4.3 and 2.4.4.8).

use super::packet::{Lane, Opening};

/// Where the program map is.
pub(super) const PMT_PID: u16 = 0x1000;

/// The first track's identifier; each next track has the next.
pub(super) const FIRST_PID: u16 = 0x100;

const PROGRAM: u16 = 1;

/// What the program map says of a track.
#[derive(Clone, Debug)]
pub(super) struct Elementary {
    pub(super) pid: u16,
    pub(super) stream_type: u8,
    pub(super) descriptors: Vec<u8>,
}

/// A registration descriptor (section 2.6.8).
pub(super) fn registration(identifier: &[u8; 4]) -> Vec<u8> {
    [&[5, 4], &identifier[..]].concat()
}

/// The tables with their counters.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    association: Lane,
    map: Lane,
    pat: Vec<u8>,
    pmt: Vec<u8>,
}

impl Tables {
    pub(super) fn new(tracks: &[Elementary], pcr_pid: u16) -> Self {
        let mut body = Vec::new();
        body.extend_from_slice(&PROGRAM.to_be_bytes());
        body.extend_from_slice(&(0xe000 | PMT_PID).to_be_bytes());
        let pat = section(0, 1, &body);
        let mut body = (0xe000 | pcr_pid).to_be_bytes().to_vec();
        // No descriptors of the program.
        body.extend_from_slice(&[0xf0, 0]);
        for track in tracks {
            body.push(track.stream_type);
            body.extend_from_slice(&(0xe000 | track.pid).to_be_bytes());
            body.extend_from_slice(&(0xf000 | track.descriptors.len() as u16).to_be_bytes());
            body.extend_from_slice(&track.descriptors);
        }
        let pmt = section(2, PROGRAM, &body);
        Self { association: Lane::new(0), map: Lane::new(PMT_PID), pat, pmt }
    }

    /// Writes both. With `discontinuity` their counters need not continue those before.
    pub(super) fn write(&mut self, discontinuity: bool, out: &mut Vec<u8>) {
        let opening = Opening { discontinuity, ..Opening::default() };
        self.association.write(&self.pat, opening, false, out);
        self.map.write(&self.pmt, opening, false, out);
    }
}

/// A section of one piece behind its pointer field, with its checksum.
fn section(table: u8, id: u16, body: &[u8]) -> Vec<u8> {
    let mut section = vec![0, table];
    // Identifier, version and numbers before the body, checksum behind it.
    section.extend_from_slice(&(0xb000 | (5 + body.len() + 4) as u16).to_be_bytes());
    section.extend_from_slice(&id.to_be_bytes());
    section.extend_from_slice(&[0xc1, 0, 0]);
    section.extend_from_slice(body);
    let checksum = crc32(&section[1..]);
    section.extend_from_slice(&checksum.to_be_bytes());
    section
}

/// The checksum of Annex A.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            if crc & 0x8000_0000 == 0 { crc << 1 } else { crc << 1 ^ 0x04c1_1db7 }
        })
    })
}
