//! `M-JPEG` (RFC 2435): images in packets, which bring neither their headers nor the tables that everybody has.

use super::huffman;
use super::video::with_config;
use crate::media::{Codec, OpaqueConfig, Payload, Track, Unit};

/// The name of such tracks.
const LABEL: &str = "M-JPEG";

/// Bytes of a quantisation table.
const TABLE: usize = 64;

/// Quantisers of quality 50 in zigzag order (ITU-T T.81 tables K.1 and K.2, RFC 2435 Appendix A).
#[rustfmt::skip]
const LUMA: [u8; TABLE] = [
    16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40,
    26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51, 61, 60, 57, 51,
    56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87,
    95, 98, 103, 104, 103, 62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99,
];
/// All that follow are 99.
const CHROMA: [u8; 14] = [17, 18, 18, 24, 21, 24, 47, 26, 26, 47, 99, 66, 56, 66];

/// The headers before a fragment (section 3.1).
#[derive(Clone, Copy, Debug)]
struct Header {
    offset: usize,
    /// Bit 6 stands for restart markers; the rest is the sampling: 0 is 4:2:2, 1 is 4:2:0.
    kind: u8,
    quality: u8,
    /// In blocks of 8 pixels.
    width: u8,
    height: u8,
    restart_interval: u16,
}

/// Makes images of payloads.
#[derive(Clone, Debug, Default)]
pub(super) struct Painter {
    /// The last quantisation tables that packets brought, one or two, and the quality that they stand for.
    tables: Option<(u8, Vec<u8>)>,
    /// The last frame header: the size stands in it.
    frame_header: Vec<u8>,
}

impl Painter {
    pub(super) fn new(track: &Track) -> Option<Self> {
        matches!(&track.codec, Codec::Opaque(opaque) if opaque.label == LABEL).then(Self::default)
    }

    /// Gives out the image, where all of it is there.
    pub(super) fn paint(&mut self, unit: &Unit, payloads: &[Payload], mut out: impl FnMut(Unit)) {
        if let Some(image) = self.image(payloads) {
            out(Unit { random_access: true, marker: false, payload: Payload::single(image.into()), ..unit.clone() });
        }
    }

    fn image(&mut self, payloads: &[Payload]) -> Option<Vec<u8>> {
        let (mut first, mut scan) = (None, Vec::with_capacity(payloads.iter().map(Payload::len).sum()));
        for frame in payloads.iter().flat_map(Payload::frames) {
            let bytes = frame.to_bytes();
            let (header, mut rest) = Header::parse(&bytes)?;
            // A hole: nobody can paint the rest.
            if header.offset != scan.len() {
                return None;
            }
            if header.offset == 0 && header.quality >= 128 {
                rest = self.take_tables(header.quality, rest)?;
            }
            first = first.or(Some(header));
            scan.extend_from_slice(rest);
        }
        let header = first.filter(|_| !scan.is_empty())?;
        let tables = match header.quality {
            quality @ 1..=99 => scaled(quality),
            128.. => self.tables.as_ref().filter(|(quality, _)| *quality == header.quality)?.1.clone(),
            _ => return None,
        };
        let image = header.write(&tables, &scan);
        self.frame_header = header.frame_header(tables.len() / TABLE);
        Some(image)
    }

    /// Reads the quantisation table header (section 3.1.8); gives what stands behind it. Without tables those that came
    /// before hold.
    fn take_tables<'a>(&mut self, quality: u8, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (&[_, precision, high, low], rest) = bytes.split_first_chunk()?;
        let (tables, rest) = rest.split_at_checked(u16::from_be_bytes([high, low]).into())?;
        match (precision, tables.len()) {
            (_, 0) => {}
            // Tables of 16 bits are for images of 12 bits, which nobody sends.
            (0, TABLE) | (0, 128) => self.tables = Some((quality, tables.to_vec())),
            _ => return None,
        }
        Some(rest)
    }

    /// The track with the last frame header as its `config`.
    pub(super) fn known(&self, opaque: &OpaqueConfig) -> OpaqueConfig {
        with_config(opaque, &self.frame_header)
    }
}

/// Whether the track is of images.
pub(super) fn is_jpeg(opaque: &OpaqueConfig) -> bool {
    opaque.label == LABEL
}

/// Width and height that a frame header says.
pub(super) fn size(frame_header: &[u8]) -> Option<(u16, u16)> {
    match frame_header {
        [0xff, 0xc0, _, _, 8, a, b, c, d, ..] => Some((u16::from_be_bytes([*c, *d]), u16::from_be_bytes([*a, *b]))),
        _ => None,
    }
    .filter(|(width, height)| *width > 0 && *height > 0)
}

/// Tables of a quality from 1 to 99 (Appendix A).
fn scaled(quality: u8) -> Vec<u8> {
    let quality = u32::from(quality.clamp(1, 99));
    let scale = if quality < 50 { 5_000 / quality } else { 200 - quality * 2 };
    let chroma = CHROMA.into_iter().chain(core::iter::repeat(99)).take(TABLE);
    LUMA.into_iter().chain(chroma).map(|base| ((u32::from(base) * scale + 50) / 100).clamp(1, 255) as u8).collect()
}

impl Header {
    fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (&[_, a, b, c, kind, quality, width, height], mut rest) = bytes.split_first_chunk()?;
        // Samplings beyond two are nobody's; pictures beyond 2,040 pixels have no size here.
        if kind & !0x41 != 0 || width == 0 || height == 0 {
            return None;
        }
        let mut restart_interval = 0;
        if kind & 0x40 != 0 {
            let (&[high, low, _, _], behind) = rest.split_first_chunk()?;
            restart_interval = u16::from_be_bytes([high, low]);
            rest = behind;
        }
        let offset = u32::from_be_bytes([0, a, b, c]) as usize;
        Some((Self { offset, kind, quality, width, height, restart_interval }, rest))
    }

    /// `SOF0` of three components.
    fn frame_header(self, tables: usize) -> Vec<u8> {
        let ([a, b], [c, d]) = [self.height, self.width].map(|blocks| (u16::from(blocks) * 8).to_be_bytes()).into();
        let sampling = if self.kind & 1 == 0 { 0x21 } else { 0x22 };
        let chroma = u8::from(tables > 1);
        vec![0xff, 0xc0, 0, 17, 8, a, b, c, d, 3, 1, sampling, 0, 2, 0x11, chroma, 3, 0x11, chroma]
    }

    /// Writes the image: headers as in Appendix B, the scan, and its end.
    fn write(self, tables: &[u8], scan: &[u8]) -> Vec<u8> {
        let mut image = Vec::with_capacity(scan.len() + tables.len() + huffman::TABLES.len() + 64);
        image.extend_from_slice(&[0xff, 0xd8]);
        for (number, table) in (0..).zip(tables.chunks(TABLE)) {
            image.extend_from_slice(&[0xff, 0xdb, 0, 67, number]);
            image.extend_from_slice(table);
        }
        if self.restart_interval > 0 {
            let [high, low] = self.restart_interval.to_be_bytes();
            image.extend_from_slice(&[0xff, 0xdd, 0, 4, high, low]);
        }
        image.extend_from_slice(&self.frame_header(tables.len() / TABLE));
        image.extend_from_slice(&huffman::TABLES);
        image.extend_from_slice(&[0xff, 0xda, 0, 12, 3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0]);
        image.extend_from_slice(scan);
        if !scan.ends_with(&[0xff, 0xd9]) {
            image.extend_from_slice(&[0xff, 0xd9]);
        }
        image
    }
}

#[cfg(test)]
#[path = "jpeg_tests.rs"]
mod tests;
