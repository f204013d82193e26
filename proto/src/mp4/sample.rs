//! Units as samples: their bytes, codec by codec.

use bytes::BufMut;

use crate::bitstream::{av1, h264, h265};
use crate::media::{Codec, Frame, G711Law, Unit};

/// Bytes of the length before each NAL unit.
const LENGTH_BYTES: usize = 4;

/// Bytes that [`put`] will write.
pub(super) fn len(codec: &Codec, unit: &Unit) -> usize {
    match codec {
        Codec::H264(_) | Codec::H265(_) => nal_units(codec, unit).map(|frame| LENGTH_BYTES + frame.len()).sum(),
        Codec::Av1(_) => unit.payload.frames().map(obu_len).sum(),
        Codec::G711(..) => unit.payload.len() * 2,
        _ => unit.payload.len(),
    }
}

/// Writes a unit.
pub(super) fn put(codec: &Codec, unit: &Unit, out: &mut Vec<u8>) {
    match codec {
        Codec::H264(_) | Codec::H265(_) => {
            for frame in nal_units(codec, unit) {
                out.put_u32(frame.len() as u32);
                put_frame(frame, out);
            }
        }
        Codec::Av1(_) => unit.payload.frames().for_each(|frame| put_obu(frame, out)),
        Codec::G711(law, _) => {
            for byte in unit.payload.frames().flat_map(|frame| frame.slices()).flatten() {
                out.put_i16(linear(*law, *byte));
            }
        }
        _ => unit.payload.frames().for_each(|frame| put_frame(frame, out)),
    }
}

fn put_frame(frame: Frame<'_>, out: &mut Vec<u8>) {
    frame.slices().iter().for_each(|slice| out.extend_from_slice(slice));
}

/// NAL units without the parameter sets that lead a random access point: the initialisation segment has them, and where
/// they change there is another one. New ones that come with other units stay.
fn nal_units<'a>(codec: &'a Codec, unit: &'a Unit) -> impl Iterator<Item = Frame<'a>> {
    unit.payload.frames().filter(move |frame| {
        let first = frame.get(0).unwrap_or_default();
        let set = match codec {
            Codec::H264(_) => matches!(h264::nal_type(first), h264::nal::SPS | h264::nal::PPS),
            _ => matches!(h265::nal_type(first), h265::nal::VPS..=h265::nal::PPS),
        };
        !(set && unit.random_access)
    })
}

/// An OBU comes without size field and wants one (AV1 in ISOBMFF, section 2.4).
fn obu_len(frame: Frame<'_>) -> usize {
    let body = frame.len().saturating_sub(av1::header_len(frame.get(0).unwrap_or_default()));
    frame.len() + av1::write_leb128(body as u32, &mut [0; 5]).len()
}

fn put_obu(frame: Frame<'_>, out: &mut Vec<u8>) {
    let header = frame.get(0).unwrap_or_default();
    let head = av1::header_len(header).min(frame.len());
    out.put_u8(header | 2);
    if head > 1 {
        out.put_u8(frame.get(1).unwrap_or_default());
    }
    out.put_slice(av1::write_leb128((frame.len() - head) as u32, &mut [0; 5]));
    let mut skip = head;
    for slice in frame.slices() {
        let rest = slice.get(skip..).unwrap_or_default();
        skip = skip.saturating_sub(slice.len());
        out.put_slice(rest);
    }
}

/// A sample of 16 bits (ITU-T G.711).
fn linear(law: G711Law, byte: u8) -> i16 {
    match law {
        G711Law::Mu => {
            let byte = !byte;
            let magnitude = ((i16::from(byte & 0xf) << 3) + 0x84) << (byte >> 4 & 7);
            if byte & 0x80 == 0 { magnitude - 0x84 } else { 0x84 - magnitude }
        }
        G711Law::A => {
            let byte = byte ^ 0x55;
            let exponent = byte >> 4 & 7;
            let mantissa = i16::from(byte & 0xf) << 4;
            let magnitude = if exponent == 0 { mantissa + 8 } else { (mantissa + 0x108) << (exponent - 1) };
            if byte & 0x80 == 0 { -magnitude } else { magnitude }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g711_means_what_the_tables_say() {
        assert_eq!([0xff, 0x00, 0x80, 0xf0].map(|byte| linear(G711Law::Mu, byte)), [0, -32_124, 32_124, 120]);
        assert_eq!([0xd5, 0x55, 0x2a, 0xaa].map(|byte| linear(G711Law::A, byte)), [8, -8, -32_256, 32_256]);
    }
}
