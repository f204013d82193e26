//! NAL units, common to H.264 and H.265: start codes and emulation prevention (ITU-T H.264 section 7.4.1 and Annex B).

use bytes::Bytes;

/// Where the next start code prefix `00 00 01` begins.
pub fn find_start_code(bytes: &[u8]) -> Option<usize> {
    let mut i = 0;
    while i + 2 < bytes.len() {
        match bytes[i + 2] {
            0 => i += 1,
            1 if bytes[i] == 0 && bytes[i + 1] == 0 => return Some(i),
            _ => i += 3,
        }
    }
    None
}

/// Whether the bytes begin with a start code of three or four bytes.
pub fn begins_with_start_code(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0, 0, 1]) || bytes.starts_with(&[0, 0, 0, 1])
}

/// The NAL units of a byte stream (ITU-T H.264 Annex B), sharing its memory.
///
/// Bytes before the first start code count as a NAL unit: devices put start codes only *between* the NAL units of an
/// RTP packet. Zero bytes around start codes are left out, and so are empty NAL units.
pub fn split_annex_b(stream: &Bytes) -> AnnexB {
    AnnexB { rest: stream.clone() }
}

/// The iterator of [`split_annex_b`].
#[derive(Clone, Debug)]
pub struct AnnexB {
    rest: Bytes,
}

impl Iterator for AnnexB {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        while !self.rest.is_empty() {
            let nal = match find_start_code(&self.rest) {
                Some(at) => {
                    let nal = self.rest.split_to(at);
                    let _start_code = self.rest.split_to(3);
                    nal
                }
                None => core::mem::take(&mut self.rest),
            };
            let len = trimmed(&nal).len();
            if len > 0 {
                return Some(nal.slice(..len));
            }
        }
        None
    }
}

/// The NAL unit without zero bytes at its end, which belong to the byte stream and which some encoders leave behind
/// parameter sets (a NAL unit itself never ends in zero: ITU-T H.264 section 7.4.1).
pub fn trimmed(nal: &[u8]) -> &[u8] {
    let zeros = nal.iter().rev().take_while(|byte| **byte == 0).count();
    &nal[..nal.len() - zeros]
}

/// The bytes without emulation prevention (`00 00 03` becomes `00 00`), one by one and without allocation.
#[derive(Clone, Debug)]
pub struct Unescaped<'a> {
    bytes: core::slice::Iter<'a, u8>,
    zeros: u8,
}

impl<'a> Unescaped<'a> {
    /// Starts at the first byte.
    pub fn new(escaped: &'a [u8]) -> Self {
        Self { bytes: escaped.iter(), zeros: 0 }
    }

    /// Bytes left, those of emulation prevention included: never less than what is still to come.
    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }
}

impl Iterator for Unescaped<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let mut byte = *self.bytes.next()?;
        if self.zeros == 2 && byte == 3 {
            self.zeros = 0;
            byte = *self.bytes.next()?;
        }
        self.zeros = if byte == 0 { (self.zeros + 1).min(2) } else { 0 };
        Some(byte)
    }
}

/// The bytes without emulation prevention.
pub fn unescape(escaped: &[u8]) -> Vec<u8> {
    Unescaped::new(escaped).collect()
}

/// The first `N` bytes without emulation prevention, zeros behind a shorter end.
pub fn unescape_prefix<const N: usize>(escaped: &[u8]) -> [u8; N] {
    let mut prefix = [0; N];
    prefix.iter_mut().zip(Unescaped::new(escaped)).for_each(|(to, byte)| *to = byte);
    prefix
}

/// The bytes with emulation prevention: no start code can be found in the result.
pub fn escape(raw: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(raw.len() + raw.len() / 64);
    let mut zeros = 0;
    for &byte in raw {
        if zeros == 2 && byte <= 3 {
            escaped.push(3);
            zeros = 0;
        }
        escaped.push(byte);
        zeros = if byte == 0 { zeros + 1 } else { 0 };
    }
    escaped
}

/// Whether a supplemental enhancement NAL unit holds a recovery point message (payload type 6 in ITU-T H.264 section
/// D.1.8 and H.265 section D.2.8). `body` is what follows the NAL header.
pub fn has_recovery_point(body: &[u8]) -> bool {
    const RECOVERY_POINT: usize = 6;
    /// Type, size and at least one byte of payload.
    const RECOVERY_MESSAGE_BYTES: usize = 3;
    let mut bytes = Unescaped::new(trimmed(body));
    while let (Some(kind), Some(size)) = (sei_number(&mut bytes), sei_number(&mut bytes)) {
        if kind == RECOVERY_POINT {
            return size > 0 && bytes.next().is_some();
        }
        // The common large message (user data, padding) is the last: nothing can follow it, so it need not be walked.
        let last = size + RECOVERY_MESSAGE_BYTES > bytes.remaining();
        if last || (size > 0 && bytes.nth(size - 1).is_none()) {
            return false;
        }
    }
    false
}

/// A number coded as a row of 0xff bytes and a last byte (ITU-T H.264 section 7.3.2.3.1).
fn sei_number(bytes: &mut Unescaped<'_>) -> Option<usize> {
    let mut number = 0usize;
    loop {
        let byte = bytes.next()?;
        number += usize::from(byte);
        if byte != 0xff {
            return Some(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn annex_b_with_long_and_short_start_codes_and_padding() {
        let stream = Bytes::from_static(&[0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x67, 1, 0, 0, 0, 0, 0, 1, 0x68, 2, 0, 0]);
        let nals: Vec<Bytes> = split_annex_b(&stream).collect();
        assert_eq!(nals, [&[9, 0xf0][..], &[0x67, 1], &[0x68, 2]]);
    }

    #[test]
    fn a_bare_nal_is_one_nal() {
        let nals: Vec<Bytes> = split_annex_b(&Bytes::from_static(&[0x41, 1, 2])).collect();
        assert_eq!(nals, [&[0x41, 1, 2][..]]);
    }

    #[test]
    fn recovery_point_is_found_behind_other_messages() {
        assert!(has_recovery_point(&[5, 2, 0xaa, 0xbb, 6, 1, 0x84, 0x80]));
        assert!(has_recovery_point(&[0xff, 1, 1, 9, 6, 1, 0x84, 0x80]));
        assert!(!has_recovery_point(&[5, 4, 6, 1, 0x84, 0x80, 0x80]));
        assert!(!has_recovery_point(&[5, 0xff, 0xff, 6]));
        assert!(!has_recovery_point(&[]));
    }

    #[test]
    fn recovery_point_is_found_behind_escaped_payload() {
        // Five payload bytes 0 0 1 0 0 carry one byte of emulation prevention.
        assert!(has_recovery_point(&[5, 5, 0, 0, 3, 1, 0, 0, 6, 1, 0x84, 0x80]));
    }

    proptest! {
        #[test]
        fn escaping_round_trips(raw in prop::collection::vec(prop_oneof![Just(0u8), 0u8..5, any::<u8>()], 0..200)) {
            let escaped = escape(&raw);
            prop_assert_eq!(unescape(&escaped), raw);
            prop_assert_eq!(find_start_code(&escaped), None);
        }

        #[test]
        fn start_codes_are_found_where_a_plain_search_finds_them(bytes in prop::collection::vec(0u8..3, 0..40)) {
            let plain = bytes.windows(3).position(|window| window == [0, 0, 1]);
            prop_assert_eq!(find_start_code(&bytes), plain);
        }

        #[test]
        fn annex_b_gives_back_what_was_joined(raw in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..30), 0..9)) {
            let nals: Vec<Vec<u8>> = raw.iter().map(|raw| [&[0x65], &escape(raw)[..], &[0x80]].concat()).collect();
            let stream: Vec<u8> = nals.iter().flat_map(|nal| [&[0, 0, 1], &nal[..]].concat()).collect();
            let split: Vec<Bytes> = split_annex_b(&stream.into()).collect();
            prop_assert_eq!(split, nals);
        }
    }
}
