//! The configuration record, `av1C` (AV1 in ISOBMFF, section 2.3).

use bytes::{BufMut, Bytes, BytesMut};

use super::{Obu, SequenceHeader, has_size, header_len, obu, obu_type, split_obus, write_leb128};
use crate::bitstream::BitstreamError;
use crate::media::Av1Config;

/// Reads an `av1C` record (AV1 in ISOBMFF, section 2.3.3): the first sequence header of its OBUs.
pub fn parse_av1c(record: &Bytes) -> Result<Av1Config, BitstreamError> {
    match record.first() {
        None => return Err(BitstreamError::Ended),
        Some(0x81) if record.len() >= 4 => {}
        Some(_) => return Err(BitstreamError::Bad("av1C version")),
    }
    for unit in split_obus(&record.slice(4..)) {
        let Obu { header, body } = unit?;
        if obu_type(header[0]) == obu::SEQUENCE_HEADER {
            let mut whole = BytesMut::with_capacity(header.len() + body.len());
            whole.put_slice(&header);
            whole.put_slice(&body);
            return Ok(Av1Config { sequence_header: whole.freeze() });
        }
    }
    Ok(Av1Config::default())
}

/// Writes an `av1C` record; `None` without a sequence header that can be read.
pub fn build_av1c(config: &Av1Config) -> Option<Bytes> {
    let unit = &config.sequence_header;
    let sequence = SequenceHeader::parse(unit).ok()?;
    let mut record = BytesMut::with_capacity(8 + unit.len());
    record.put_u8(0x81);
    record.put_u8(sequence.profile << 5 | sequence.level_idx);
    record.put_u8(
        sequence.tier << 7
            | u8::from(sequence.bit_depth > 8) << 6
            | u8::from(sequence.bit_depth == 12) << 5
            | u8::from(sequence.monochrome) << 4
            | u8::from(sequence.subsampling_x) << 3
            | u8::from(sequence.subsampling_y) << 2
            | sequence.chroma_position,
    );
    record.put_u8(0);
    put_sized(&mut record, unit)?;
    Some(record.freeze())
}

/// Writes an OBU with its size ("low-overhead format", section 5.2), as files want it.
fn put_sized(out: &mut BytesMut, unit: &[u8]) -> Option<()> {
    let header = *unit.first()?;
    if has_size(header) {
        out.put_slice(unit);
        return Some(());
    }
    let body = unit.get(header_len(header)..)?;
    out.put_u8(header | 2);
    out.put_slice(&unit[1..header_len(header)]);
    out.put_slice(write_leb128(u32::try_from(body.len()).ok()?, &mut [0; 5]));
    out.put_slice(body);
    Some(())
}
