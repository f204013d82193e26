//! The HEVC decoder configuration record, `hvcC` (ISO/IEC 14496-15 section 8.3.3.1).

use bytes::{BufMut, Bytes, BytesMut};

use super::{Sps, nal, nal_type};
use crate::bitstream::BitstreamError;
use crate::bitstream::nal::trimmed;
use crate::limits::{PARAMETER_SET_BYTES_MAX, PARAMETER_SETS_MAX};
use crate::media::H265Config;

/// What the record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HvcC {
    /// The parameter sets.
    pub config: H265Config,
    /// Bytes of the length before each NAL unit: 1, 2 or 4.
    pub length_size: u8,
}

/// Bytes of the record before its arrays.
const HEAD: usize = 23;

/// Reads a record. Sets share its memory; NAL units of other types (SEI) are passed over.
pub fn parse_hvcc(record: &Bytes) -> Result<HvcC, BitstreamError> {
    let mut rest = record.clone();
    let head = take(&mut rest, HEAD)?;
    // Early writers left the version at 0.
    if head[0] > 1 {
        return Err(BitstreamError::Bad("hvcC version"));
    }
    let length_size = (head[21] & 3) + 1;
    if length_size == 3 {
        return Err(BitstreamError::Bad("hvcC length size"));
    }
    let mut config = H265Config::default();
    for _ in 0..head[22] {
        let array = take(&mut rest, 3)?;
        for _ in 0..u16::from_be_bytes([array[1], array[2]]) {
            let len = take(&mut rest, 2)?;
            let set = take(&mut rest, usize::from(u16::from_be_bytes([len[0], len[1]])))?;
            keep(&mut config, &set)?;
        }
    }
    Ok(HvcC { config, length_size })
}

fn keep(config: &mut H265Config, set: &Bytes) -> Result<(), BitstreamError> {
    let set = set.slice(..trimmed(set).len());
    let list = match set.first().map(|header| nal_type(*header)) {
        Some(nal::VPS) => &mut config.vps,
        Some(nal::SPS) => &mut config.sps,
        Some(nal::PPS) => &mut config.pps,
        _ => return Ok(()),
    };
    if set.len() > PARAMETER_SET_BYTES_MAX || list.len() == PARAMETER_SETS_MAX {
        return Err(BitstreamError::Bad("parameter set length"));
    }
    list.push(set);
    Ok(())
}

/// Writes a record with lengths of four bytes; `None` without an SPS that can be read.
pub fn build_hvcc(config: &H265Config) -> Option<Bytes> {
    let sps = Sps::parse(config.sps.first()?).ok()?;
    let mut record = BytesMut::with_capacity(128);
    put_head(&mut record, &sps);
    let arrays = [(nal::VPS, &config.vps), (nal::SPS, &config.sps), (nal::PPS, &config.pps)];
    record.put_u8(arrays.iter().filter(|(_, sets)| !sets.is_empty()).count() as u8);
    for (kind, sets) in arrays.iter().filter(|(_, sets)| !sets.is_empty()) {
        record.put_u8(*kind);
        record.put_u16(u16::try_from(sets.len()).ok()?);
        for set in *sets {
            record.put_u16(u16::try_from(set.len()).ok()?);
            record.put_slice(set);
        }
    }
    Some(record.freeze())
}

/// All but the number of arrays. Segmentation, parallelism and average rate are left unsaid.
fn put_head(record: &mut BytesMut, sps: &Sps) {
    let general = &sps.general;
    record.put_u8(1);
    record.put_u8(general.profile_space << 6 | u8::from(general.high_tier) << 5 | general.profile_idc);
    record.put_u32(general.compatibility);
    record.put_slice(&general.constraints);
    record.put_u8(general.level_idc);
    record.put_slice(&[0xf0, 0, 0xfc]);
    record.put_u8(0xfc | sps.chroma_format);
    record.put_u8(0xf8 | (sps.luma_bits - 8));
    record.put_u8(0xf8 | (sps.chroma_bits - 8));
    record.put_u16(0);
    record.put_u8((sps.sub_layers_minus1 + 1) << 3 | u8::from(sps.temporal_id_nested) << 2 | 3);
}

fn take(rest: &mut Bytes, count: usize) -> Result<Bytes, BitstreamError> {
    if rest.len() < count { Err(BitstreamError::Ended) } else { Ok(rest.split_to(count)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bitstream::testdata::*;

    #[test]
    fn golden_record_reads_and_writes_back() {
        let golden = hex(HVCC);
        let parsed = parse_hvcc(&golden).unwrap();
        let config = &parsed.config;
        assert_eq!((config.vps.len(), config.sps.len(), config.pps.len(), parsed.length_size), (1, 1, 1, 4));
        assert_eq!(build_hvcc(config).unwrap(), golden);
    }

    #[test]
    fn cut_records_are_refused() {
        let golden = hex(HVCC);
        for len in 0..golden.len() {
            assert!(parse_hvcc(&golden.slice(..len)).is_err(), "{len}");
        }
    }

    proptest! {
        #[test]
        fn records_round_trip(pps in prop::collection::vec(prop::collection::vec(1u8.., 0..40), 0..64)) {
            let pps = pps.into_iter().map(|body| Bytes::from([&[0x44, 1], &body[..]].concat())).collect();
            let config = H265Config { vps: vec![hex(H265_VPS_MAIN)], sps: vec![hex(H265_SPS_MAIN)], pps };
            prop_assert_eq!(parse_hvcc(&build_hvcc(&config).unwrap()).unwrap().config, config);
        }
    }
}
