//! RTP packets of the two synthetic tracks, and the header of a packet that came back (RFC 3550 section 5.1).
//! H.264 as in RFC 6184, packetization mode 1; AAC as in RFC 3640, AAC-hbr.

/// The largest packet we send, header included: what fits a path MTU of 1,500 through a tunnel or two.
pub const PACKET_MAX: usize = 1_400;

/// Bytes of a header without extensions.
pub const HEADER_LEN: usize = 12;

const NAL_STAP_A: u8 = 24;
const NAL_FU_A: u8 = 28;

/// Packets one after the other in one buffer, each behind its interleaved header (RFC 2326 section 10.12) if it has a channel.
#[derive(Debug, Default)]
pub struct PacketBuf {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    channel: Option<u8>,
}

impl PacketBuf {
    /// A buffer for datagrams, or for a TCP channel.
    pub fn new(channel: Option<u8>) -> Self {
        Self { channel, ..Self::default() }
    }

    /// Forgets all packets.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// All packets as they go onto a TCP connection.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Each packet alone.
    pub fn packets(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }

    fn push(&mut self, parts: &[&[u8]]) {
        if let Some(channel) = self.channel {
            let len: usize = parts.iter().map(|part| part.len()).sum();
            self.bytes.extend_from_slice(&[b'$', channel]);
            self.bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        self.ends.push(self.bytes.len());
    }
}

/// The sending state of one track.
#[derive(Debug)]
pub struct Packer {
    payload_type: u8,
    ssrc: u32,
    seq: u16,
    packet_max: usize,
    packets: u32,
    bytes: u32,
}

impl Packer {
    /// A track that starts at sequence number `seq`.
    pub const fn new(payload_type: u8, ssrc: u32, seq: u16) -> Self {
        Self { payload_type, ssrc, seq, packet_max: PACKET_MAX, packets: 0, bytes: 0 }
    }

    /// The same with packets of at most so many bytes, header included.
    #[must_use]
    pub const fn with_packets_of(self, bytes: usize) -> Self {
        Self { packet_max: bytes, ..self }
    }

    /// Its source, and how many packets and payload bytes it has sent, modulo 2^32.
    pub const fn counts(&self) -> (u32, u32, u32) {
        (self.ssrc, self.packets, self.bytes)
    }

    /// One access unit: leading parameter sets together in a STAP-A, large NAL units in FU-As, the marker on the last.
    pub fn video(&mut self, nals: &[&[u8]], timestamp: u32, out: &mut PacketBuf) {
        let sets = nals.iter().take_while(|nal| matches!(nal[0] & 0x1f, 7 | 8)).count();
        let (sets, rest) = nals.split_at(if sets > 1 { sets } else { 0 });
        if !sets.is_empty() {
            let mut stap = vec![NAL_STAP_A | sets[0][0] & 0x60];
            for set in sets {
                stap.extend_from_slice(&(set.len() as u16).to_be_bytes());
                stap.extend_from_slice(set);
            }
            self.emit(false, timestamp, &[&stap], out);
        }
        for (index, nal) in rest.iter().enumerate() {
            self.nal(nal, index + 1 == rest.len(), timestamp, out);
        }
    }

    fn nal(&mut self, nal: &[u8], last: bool, timestamp: u32, out: &mut PacketBuf) {
        if HEADER_LEN + nal.len() <= self.packet_max {
            return self.emit(last, timestamp, &[nal], out);
        }
        let indicator = nal[0] & 0x60 | NAL_FU_A;
        let mut pieces = nal[1..].chunks(self.packet_max - HEADER_LEN - 2).peekable();
        let mut start = 0x80;
        while let Some(piece) = pieces.next() {
            let end = if pieces.peek().is_none() { 0x40 } else { 0 };
            let head = [indicator, start | end | nal[0] & 0x1f];
            self.emit(last && end != 0, timestamp, &[&head, piece], out);
            start = 0;
        }
    }

    /// One AAC frame in a packet of its own.
    pub fn audio(&mut self, frame: &[u8], timestamp: u32, out: &mut PacketBuf) {
        let size = (frame.len() as u16) << 3;
        let [high, low] = size.to_be_bytes();
        self.emit(true, timestamp, &[&[0, 16, high, low], frame], out);
    }

    /// One frame of sound that needs nothing around it (RFC 7587).
    pub fn frame(&mut self, frame: &[u8], timestamp: u32, out: &mut PacketBuf) {
        self.emit(true, timestamp, &[frame], out);
    }

    /// A sender report (RFC 3550 section 6.4.1) that ties `timestamp` to the wall clock; 28 bytes.
    pub fn sender_report(&self, ntp: u64, timestamp: u32) -> [u8; 28] {
        let mut out = [0; 28];
        out[..4].copy_from_slice(&[0x80, 200, 0, 6]);
        out[4..8].copy_from_slice(&self.ssrc.to_be_bytes());
        out[8..16].copy_from_slice(&ntp.to_be_bytes());
        out[16..20].copy_from_slice(&timestamp.to_be_bytes());
        out[20..24].copy_from_slice(&self.packets.to_be_bytes());
        out[24..28].copy_from_slice(&self.bytes.to_be_bytes());
        out
    }

    fn emit(&mut self, marker: bool, timestamp: u32, payload: &[&[u8]], out: &mut PacketBuf) {
        let mut header = [0; HEADER_LEN];
        header[0] = 0x80;
        header[1] = self.payload_type | u8::from(marker) << 7;
        header[2..4].copy_from_slice(&self.seq.to_be_bytes());
        header[4..8].copy_from_slice(&timestamp.to_be_bytes());
        header[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        self.seq = self.seq.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        let len: usize = payload.iter().map(|part| part.len()).sum();
        self.bytes = self.bytes.wrapping_add(len as u32);
        match payload {
            [one] => out.push(&[&header, one]),
            [one, two] => out.push(&[&header, one, two]),
            _ => unreachable!("a payload has one or two parts"),
        }
    }
}

/// What a reader wants of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Last packet of a unit.
    pub marker: bool,
    /// Sequence number.
    pub seq: u16,
    /// In the track's clock.
    pub timestamp: u32,
    /// Who sends.
    pub ssrc: u32,
    /// Where the payload begins.
    pub payload: usize,
}

impl Header {
    /// Reads the header of a packet whose end may be cut off. The payload may begin beyond what is there.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let fixed: &[u8; HEADER_LEN] = packet.first_chunk()?;
        if fixed[0] >> 6 != 2 {
            return None;
        }
        let mut payload = HEADER_LEN + usize::from(fixed[0] & 0x0f) * 4;
        if fixed[0] & 0x10 != 0 {
            let words: &[u8; 2] = packet.get(payload + 2..)?.first_chunk()?;
            payload += 4 + usize::from(u16::from_be_bytes(*words)) * 4;
        }
        Some(Self {
            marker: fixed[1] & 0x80 != 0,
            seq: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            payload,
        })
    }
}

/// A piece of a NAL unit inside a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The NAL unit from its header on; it may be cut off by the end of what is at hand.
    Start {
        /// The NAL header.
        header: u8,
        /// What follows the header.
        body: &'a [u8],
        /// False when more pieces follow.
        whole: bool,
    },
    /// What follows in a later packet.
    More {
        /// Bytes of the NAL unit.
        body: &'a [u8],
        /// True for the last piece.
        end: bool,
    },
}

/// Calls `each` for the pieces of NAL units in an H.264 payload.
pub fn pieces<'a>(payload: &'a [u8], mut each: impl FnMut(Piece<'a>)) {
    let Some((&first, body)) = payload.split_first() else { return };
    match first & 0x1f {
        NAL_STAP_A => {
            let mut rest = body;
            while let Some((size, tail)) = rest.split_first_chunk::<2>() {
                let size = usize::from(u16::from_be_bytes(*size));
                let (nal, after) = tail.split_at(size.min(tail.len()));
                if let Some((&header, body)) = nal.split_first() {
                    each(Piece::Start { header, body, whole: true });
                }
                rest = after;
            }
        }
        NAL_FU_A => {
            let Some((&fu, body)) = body.split_first() else { return };
            let end = fu & 0x40 != 0;
            each(match fu & 0x80 {
                0 => Piece::More { body, end },
                _ => Piece::Start { header: first & 0x60 | fu & 0x1f, body, whole: end },
            });
        }
        _ => each(Piece::Start { header: first, body, whole: true }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::h264::Synth;

    #[test]
    fn what_is_packed_is_unpacked() {
        let mut synth = Synth::new(0, 2_000_000, 30, 60);
        let (mut packer, mut out) = (Packer::new(96, 1, 65_530), PacketBuf::new(None));
        let unit = synth.unit(5);
        packer.video(unit.nals(), 9_000, &mut out);
        let (mut nals, mut markers) = (Vec::<Vec<u8>>::new(), Vec::new());
        for packet in out.packets() {
            assert!(packet.len() <= PACKET_MAX);
            let header = Header::parse(packet).unwrap();
            markers.push(header.marker);
            pieces(&packet[header.payload..], |piece| match piece {
                Piece::Start { header, body, .. } => nals.push([&[header], body].concat()),
                Piece::More { body, .. } => nals.last_mut().unwrap().extend_from_slice(body),
            });
        }
        assert_eq!(nals, unit.nals());
        assert_eq!(markers.iter().rposition(|&marker| marker), markers.iter().position(|&marker| marker));
        assert_eq!(markers.last(), Some(&true));
    }

    #[test]
    fn interleaved_headers_frame_the_packets() {
        let (mut packer, mut out) = (Packer::new(97, 1, 0), PacketBuf::new(Some(2)));
        packer.audio(&[1, 2, 3], 0, &mut out);
        assert_eq!(out.as_bytes()[..4], [b'$', 2, 0, 19]);
        assert_eq!(out.as_bytes()[16..], [0, 16, 0, 24, 1, 2, 3]);
    }

    #[test]
    fn headers_with_extension_and_contributors_are_passed() {
        let mut packet = vec![0x92, 0x80, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        packet.extend([0; 8]);
        packet.extend([0xbe, 0xde, 0, 1, 0, 0, 0, 0, 0x65]);
        assert_eq!(Header::parse(&packet).unwrap().payload, 28);
        assert_eq!(Header::parse(&packet[..20]), None);
        assert_eq!(Header::parse(&[0; 12]), None);
    }
}
