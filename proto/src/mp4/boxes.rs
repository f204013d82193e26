//! Boxes into a buffer: the length is known when the box ends.

use bytes::BufMut;

/// Writes a box (ISO/IEC 14496-12 section 4.2) whose content `fill` writes.
pub(super) fn put_box(out: &mut Vec<u8>, kind: &[u8; 4], fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.put_u32(0);
    out.put_slice(kind);
    fill(out);
    let length = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// Writes a box with version and flags.
pub(super) fn put_full(out: &mut Vec<u8>, kind: &[u8; 4], version: u8, flags: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    put_box(out, kind, |out| {
        out.put_u32(u32::from(version) << 24 | flags);
        fill(out);
    });
}

/// Writes a descriptor of MPEG-4 systems (ISO/IEC 14496-1 section 8.3.3), its length in four bytes.
pub(super) fn put_descriptor(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    let length = content.len() as u32;
    out.put_u8(tag);
    for shift in [21, 14, 7] {
        out.put_u8(0x80 | (length >> shift) as u8 & 0x7f);
    }
    out.put_u8(length as u8 & 0x7f);
    out.put_slice(content);
}
