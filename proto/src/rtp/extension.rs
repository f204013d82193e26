//! Header extensions of RTP packets (RFC 8285), and those of WebRTC that Weft reads or writes.
//!
//! Reading borrows from the datagram, allocates nothing and takes both forms; what is malformed ends the walk. Writing makes a
//! block of the one-byte form, which is the one that every receiver reads.

use core::time::Duration;

use super::header;

/// The section of the description that a packet is of (RFC 8843 section 15).
pub const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";

/// The layer of simulcast that a packet is of (RFC 8852 section 4.1).
pub const RID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";

/// The layer that a repair is of (RFC 8852 section 4.2).
pub const REPAIRED_RID: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";

/// The packet's number among all of the transport (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 2).
pub const TRANSPORT_SEQUENCE: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// When the packet was sent, for receivers that estimate the bandwidth (REMB).
pub const ABS_SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";

/// How long a receiver is to hold pictures at least and at most.
pub const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";

/// How loud the packet's sound is (RFC 6464 section 4).
pub const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";

/// The extensions of a packet with their ids, in order. None where the packet has none, or is no packet.
pub fn extensions(datagram: &[u8]) -> Extensions<'_> {
    let (form, rest) = match header::extension(datagram) {
        Some((ONE_BYTE, rest)) => (Form::OneByte, rest),
        // The last four bits are the application's (section 4.3).
        Some((profile, rest)) if profile & 0xfff0 == TWO_BYTES => (Form::TwoBytes, rest),
        _ => (Form::OneByte, &[][..]),
    };
    Extensions { form, rest }
}

/// See [`extensions`].
#[derive(Clone, Debug)]
pub struct Extensions<'a> {
    form: Form,
    rest: &'a [u8],
}

#[derive(Clone, Copy, Debug)]
enum Form {
    /// Four bits of id, four of length less one (RFC 8285 section 4.2).
    OneByte,
    /// A byte of id, a byte of length (RFC 8285 section 4.3).
    TwoBytes,
}

impl<'a> Iterator for Extensions<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (first, rest) = self.rest.split_first()?;
            let (id, length, rest) = match self.form {
                // A byte of zeros is padding, whatever the form.
                _ if *first == 0 => {
                    self.rest = rest;
                    continue;
                }
                Form::OneByte => (first >> 4, usize::from(first & 0x0f) + 1, rest),
                Form::TwoBytes => {
                    let (length, rest) = rest.split_first()?;
                    (*first, usize::from(*length), rest)
                }
            };
            // Number 15 ends a block of the one-byte form, 0 with a length is nobody's (section 4.2).
            let ends = matches!(self.form, Form::OneByte) && id == 15;
            let Some((value, rest)) = rest.split_at_checked(length).filter(|_| !ends) else {
                self.rest = &[];
                return None;
            };
            self.rest = rest;
            if id != 0 {
                return Some((id, value));
            }
        }
    }
}

/// The number of a packet among all of its transport.
pub fn transport_sequence(value: &[u8]) -> Option<u16> {
    // The second version of the extension has two bytes behind it.
    value.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

/// How long pictures are to be held, at least and at most.
pub fn playout_delay(value: &[u8]) -> Option<(Duration, Duration)> {
    let [high, middle, low] = *value.first_chunk()?;
    let tens = |count: u16| Duration::from_millis(u64::from(count) * 10);
    let least = u16::from(high) << 4 | u16::from(middle) >> 4;
    Some((tens(least), tens(u16::from(middle & 0x0f) << 8 | u16::from(low))))
}

/// Whether there is speech, as the sender believes, and how loud it is, in -dBov: 0 is the loudest, 127 silence.
pub fn audio_level(value: &[u8]) -> Option<(bool, u8)> {
    value.first().map(|byte| (byte & 0x80 != 0, byte & 0x7f))
}

/// Bytes of the longest block that we write.
pub const BLOCK_BYTES_MAX: usize = 64;

/// A block of extensions of the one-byte form under construction. It goes behind the fixed header, whose extension bit is to be
/// set ([`Header::set_extension`](super::Header::set_extension)).
#[derive(Clone, Copy, Debug)]
pub struct Block {
    bytes: [u8; BLOCK_BYTES_MAX],
    /// Bytes in use, the four of the block's head included.
    length: usize,
}

impl Block {
    /// A block without extensions.
    pub const fn new() -> Self {
        Self { bytes: [0; BLOCK_BYTES_MAX], length: BLOCK_HEAD_BYTES }
    }

    /// Adds an extension of 1 to 16 bytes; `id` is 1 to 14. False where that does not hold, or the block is full: then nothing is
    /// added.
    pub fn push(&mut self, id: u8, value: &[u8]) -> bool {
        let end = self.length + 1 + value.len();
        let fits = matches!(id, 1..=14) && matches!(value.len(), 1..=16) && end <= BLOCK_BYTES_MAX;
        if fits {
            self.bytes[self.length] = id << 4 | (value.len() - 1) as u8;
            self.bytes[self.length + 1..end].copy_from_slice(value);
            self.length = end;
        }
        fits
    }

    /// Adds the packet's number among all of the transport.
    pub fn transport_sequence(&mut self, id: u8, sequence: u16) -> bool {
        self.push(id, &sequence.to_be_bytes())
    }

    /// Adds how long pictures are to be held, at least and at most: in steps of 10 ms, up to 40.95 s.
    pub fn playout_delay(&mut self, id: u8, least: Duration, most: Duration) -> bool {
        let tens = |time: Duration| (time.as_millis() / 10).min(0xfff) as u32;
        let [_, bytes @ ..] = (tens(least) << 12 | tens(most)).to_be_bytes();
        self.push(id, &bytes)
    }

    /// Adds the section of the description.
    pub fn mid(&mut self, id: u8, mid: &str) -> bool {
        self.push(id, mid.as_bytes())
    }

    /// The whole block with its head, in whole words; empty where nothing was added.
    pub fn finish(&mut self) -> &[u8] {
        let words = (self.length - BLOCK_HEAD_BYTES).div_ceil(4);
        if words == 0 {
            return &[];
        }
        let [p0, p1] = ONE_BYTE.to_be_bytes();
        self.bytes[..BLOCK_HEAD_BYTES].copy_from_slice(&[p0, p1, 0, words as u8]);
        &self.bytes[..BLOCK_HEAD_BYTES + 4 * words]
    }
}

impl Default for Block {
    fn default() -> Self {
        Self::new()
    }
}

/// What the extension of RFC 3550 begins with, by its form.
const ONE_BYTE: u16 = 0xbede;
const TWO_BYTES: u16 = 0x1000;

/// The form and the length in words.
const BLOCK_HEAD_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rtp::{HEADER_BYTES, Header, Packet};

    /// A packet with a CSRC, this extension and a payload.
    fn packet(profile: u16, extension: &[u8]) -> Vec<u8> {
        let mut head = [0; HEADER_BYTES];
        Header::default().write(&mut head);
        Header::set_extension(&mut head);
        head[0] |= 1;
        let words = (extension.len() / 4) as u16;
        [&head[..], &[9; 4], &profile.to_be_bytes(), &words.to_be_bytes(), extension, b"media"].concat()
    }

    fn read(datagram: &[u8]) -> Vec<(u8, &[u8])> {
        extensions(datagram).collect()
    }

    #[test]
    fn the_example_of_the_standard_is_read() {
        // RFC 8285 section 4.2: three extensions with padding between and behind.
        let bytes = packet(0xbede, &[0x10, 1, 0x21, 2, 3, 0, 0, 0x33, 4, 5, 6, 7]);
        assert_eq!(read(&bytes), [(1, &[1][..]), (2, &[2, 3]), (3, &[4, 5, 6, 7])]);
    }

    #[test]
    fn the_form_with_two_bytes_is_read() {
        // RFC 8285 section 4.3: an extension without bytes, one with one, one with four.
        let bytes = packet(0x1000, &[1, 0, 2, 1, 9, 0, 3, 4, 5, 6, 7, 8]);
        assert_eq!(read(&bytes), [(1, &[][..]), (2, &[9]), (3, &[5, 6, 7, 8])]);
        let with_bits = packet(0x100f, &[15, 1, 9, 0]);
        assert_eq!(read(&with_bits), [(15, &[9][..])]);
    }

    #[test]
    fn number_fifteen_ends_the_block() {
        assert_eq!(read(&packet(0xbede, &[0x10, 1, 0xf0, 1, 0x20, 2, 0, 0])), [(1, &[1][..])]);
    }

    #[test]
    fn what_is_no_extension_of_that_kind_has_none() {
        assert_eq!(read(&packet(0x1234, &[0x10, 1, 0, 0])), []);
        assert_eq!(read(&packet(0xbede, &[0x1f, 1, 2, 3])), [], "it ends early");
        assert_eq!(read(&packet(0xbede, &[])), []);
        assert_eq!(read(&[0x80; 20]), [], "no extension bit");
        assert_eq!(read(&packet(0xbede, &[0x10, 1, 0, 0])[..20]), [], "the packet ends early");
        assert_eq!(read(&[]), []);
    }

    #[test]
    fn a_written_block_is_read_again() {
        let mut block = Block::new();
        assert!(block.transport_sequence(3, 0xfffe));
        assert!(block.playout_delay(12, Duration::from_millis(200), Duration::from_secs(3600)));
        assert!(block.mid(4, "video0"));
        let written = block.finish();
        // 3 + 4 + 7 bytes are four words.
        assert_eq!(written[..4], [0xbe, 0xde, 0, 4]);
        let bytes = packet(0xbede, &written[4..]);
        let read = read(&bytes);
        assert_eq!(read.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [3, 12, 4]);
        assert_eq!(transport_sequence(read[0].1), Some(0xfffe));
        assert_eq!(playout_delay(read[1].1), Some((Duration::from_millis(200), Duration::from_millis(40_950))));
        assert_eq!(read[2].1, b"video0");
        assert_eq!(Packet::parse(bytes.clone().into()).unwrap().payload, "media");
    }

    #[test]
    fn what_has_no_place_in_a_block_is_not_added() {
        let mut block = Block::new();
        assert!(!block.push(0, b"a") && !block.push(15, b"a") && !block.push(1, b"") && !block.push(1, &[0; 17]));
        assert_eq!(block.finish(), b"");
        assert_eq!((1..=14).filter(|id| block.push(*id, &[0; 16])).count(), 3);
        assert!(block.finish().len() <= BLOCK_BYTES_MAX);
    }

    #[test]
    fn loudness_is_told_from_speech() {
        assert_eq!(
            (audio_level(&[0x80 | 30]), audio_level(&[127]), audio_level(&[])),
            (Some((true, 30)), Some((false, 127)), None)
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, profile in prop_oneof![Just(0xbedeu16), 0x1000u16..0x1010]) {
            let datagram = packet(profile, &bytes);
            prop_assert!(extensions(&datagram).count() <= bytes.len() + 5);
            let _ = extensions(&bytes).count();
        }

        #[test]
        fn any_block_is_read_as_written(values in prop::collection::vec((1u8..15, prop::collection::vec(any::<u8>(), 1..17)), 0..8)) {
            let mut block = Block::new();
            let added: Vec<_> = values.iter().filter(|(id, value)| block.push(*id, value)).collect();
            let written = block.finish();
            prop_assert_eq!(written.len() % 4, 0);
            let bytes = packet(0xbede, written.get(4..).unwrap_or_default());
            let read: Vec<_> = extensions(&bytes).map(|(id, value)| (id, value.to_vec())).collect();
            prop_assert_eq!(read.iter().collect::<Vec<_>>(), added);
        }
    }
}
