//! Packets of 188 bytes (section 2.4.3): a PES packet or section cut into them, with adaptation fields and stuffing.

/// Bytes of a transport packet.
pub const PACKET_BYTES: usize = 188;

/// Bytes of a packet after its header.
const BODY: usize = PACKET_BYTES - 4;

/// What the first packet of a payload says beside it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Opening {
    /// Program clock reference in ticks of 90 kHz, modulo 2^33.
    pub(super) pcr: Option<u64>,
    /// Decoding may start here.
    pub(super) random_access: bool,
    /// The counter does not continue the one before (section 2.4.3.5).
    pub(super) discontinuity: bool,
}

impl Opening {
    /// The adaptation field without stuffing, its length not included; empty when there is nothing to say.
    fn field(self) -> ([u8; 7], usize) {
        let mut field = [0; 7];
        field[0] = u8::from(self.discontinuity) << 7 | u8::from(self.random_access) << 6;
        let Some(pcr) = self.pcr else { return (field, usize::from(field[0] != 0)) };
        field[0] |= 0x10;
        // 33 bits of base, six reserved, nine of extension, which is 0.
        let bits = (pcr & 0x1_ffff_ffff) << 15 | 0x3f << 9;
        field[1..7].copy_from_slice(&bits.to_be_bytes()[2..]);
        (field, 7)
    }
}

/// One packet identifier and its counter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lane {
    pub(super) pid: u16,
    /// The next packet's continuity counter.
    counter: u8,
}

impl Lane {
    pub(super) const fn new(pid: u16) -> Self {
        Self { pid, counter: 0 }
    }

    /// Cuts `payload` into packets. With `to_wrap` it takes as many as bring the counter back to 0.
    pub(super) fn write(&mut self, payload: &[u8], opening: Opening, to_wrap: bool, out: &mut Vec<u8>) {
        let (field, field_len) = opening.field();
        let first_room = BODY - if field_len == 0 { 0 } else { 1 + field_len };
        let least = 1 + payload.len().saturating_sub(first_room).div_ceil(BODY);
        let wanted = if to_wrap { least + (16 - (usize::from(self.counter) + least) % 16) % 16 } else { least };
        // Each packet must carry a byte.
        let mut packets = wanted.min(payload.len().max(1)).max(least);
        let mut rest = payload;
        let mut opening = Some((field, field_len));
        while packets > 0 {
            let (field, field_len) = opening.take().unwrap_or_default();
            let first = rest.len() == payload.len();
            let room = BODY - if field_len == 0 { 0 } else { 1 + field_len };
            let share = rest.len().saturating_sub(packets - 1).min(room).min(rest.len());
            let (now, later) = rest.split_at(share);
            self.packet(now, first, &field[..field_len], out);
            rest = later;
            packets -= 1;
        }
    }

    /// Writes a packet: header, adaptation field with as much stuffing as is needed, payload.
    fn packet(&mut self, payload: &[u8], first: bool, field: &[u8], out: &mut Vec<u8>) {
        let space = BODY - payload.len();
        let adapted = space > 0;
        let [high, low] = self.pid.to_be_bytes();
        out.extend_from_slice(&[
            0x47,
            u8::from(first) << 6 | high & 0x1f,
            low,
            if adapted { 0x30 } else { 0x10 } | self.counter,
        ]);
        self.counter = (self.counter + 1) & 0xf;
        if adapted {
            out.push(space as u8 - 1);
            // A length of 0 is a field without flags; any longer one has them.
            if space > 1 {
                out.push(field.first().copied().unwrap_or_default());
                out.extend_from_slice(field.get(1..).unwrap_or_default());
                out.resize(out.len() + space - 1 - field.len().max(1), 0xff);
            }
        }
        out.extend_from_slice(payload);
    }
}
