//! The header of a packet (section 2.4.3.2) and its adaptation field, as much of it as matters.

use crate::ts::PACKET_BYTES;

/// What a packet says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) pid: u16,
    /// A PES packet or section begins in it.
    pub(super) starts: bool,
    pub(super) counter: u8,
    /// The counter need not continue the one before.
    pub(super) discontinuity: bool,
    pub(super) scrambled: bool,
}

impl Header {
    /// The header and what is carried; `None` for packets that are damaged, empty or stuffing.
    pub(super) fn parse(packet: &[u8; PACKET_BYTES]) -> Option<(Self, &[u8])> {
        const NULL_PID: u16 = 0x1fff;
        let is_damaged = packet[1] & 0x80 != 0;
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let (adapted, carries) = (packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
        if is_damaged || pid == NULL_PID || !carries {
            return None;
        }
        let field = if adapted { 1 + usize::from(packet[4]) } else { 0 };
        let payload = packet.get(4 + field..).filter(|payload| !payload.is_empty())?;
        let header = Self {
            pid,
            starts: packet[1] & 0x40 != 0,
            counter: packet[3] & 0xf,
            discontinuity: field > 1 && packet[5] & 0x80 != 0,
            scrambled: packet[3] & 0xc0 != 0,
        };
        Some((header, payload))
    }
}
