//! The AVC decoder configuration record, `avcC` (ISO/IEC 14496-15 section 5.3.3.1).

use bytes::{BufMut, Bytes, BytesMut};

use super::Sps;
use crate::bitstream::BitstreamError;
use crate::bitstream::nal::trimmed;
use crate::limits::PARAMETER_SET_BYTES_MAX;
use crate::media::H264Config;

/// What the record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvcC {
    /// The parameter sets.
    pub config: H264Config,
    /// Bytes of the length before each NAL unit: 1, 2 or 4.
    pub length_size: u8,
}

/// Reads a record. Sets share its memory.
pub fn parse_avcc(record: &Bytes) -> Result<AvcC, BitstreamError> {
    let mut rest = record.clone();
    let head = take(&mut rest, 6)?;
    if head[0] != 1 {
        return Err(BitstreamError::Bad("avcC version"));
    }
    let length_size = (head[4] & 3) + 1;
    if length_size == 3 {
        return Err(BitstreamError::Bad("avcC length size"));
    }
    let sps = take_sets(&mut rest, head[5] & 0x1f)?;
    let pps_count = take(&mut rest, 1)?[0];
    let pps = take_sets(&mut rest, pps_count)?;
    Ok(AvcC { config: H264Config { sps, pps }, length_size })
}

/// Writes a record with lengths of four bytes; `None` without an SPS, or with sets beyond what the record can count.
pub fn build_avcc(config: &H264Config) -> Option<Bytes> {
    let first = config.sps.first().filter(|sps| sps.len() >= 4)?;
    if config.sps.len() > 31 || config.pps.len() > 255 {
        return None;
    }
    let mut record = BytesMut::with_capacity(64);
    record.put_slice(&[1, first[1], first[2], first[3], 0xff, 0xe0 | config.sps.len() as u8]);
    put_sets(&mut record, &config.sps)?;
    record.put_u8(config.pps.len() as u8);
    put_sets(&mut record, &config.pps)?;
    // Profiles above Extended carry their sample format, where it can be known.
    if !matches!(first[1], 66 | 77 | 88)
        && let Ok(sps) = Sps::parse(first)
    {
        record.put_slice(&[0xfc | sps.chroma_format, 0xf8 | (sps.luma_bits - 8), 0xf8 | (sps.chroma_bits - 8), 0]);
    }
    Some(record.freeze())
}

fn take(rest: &mut Bytes, count: usize) -> Result<Bytes, BitstreamError> {
    if rest.len() < count { Err(BitstreamError::Ended) } else { Ok(rest.split_to(count)) }
}

fn take_sets(rest: &mut Bytes, count: u8) -> Result<Vec<Bytes>, BitstreamError> {
    let mut sets = Vec::new();
    for _ in 0..count {
        let len = take(rest, 2)?;
        let set = take(rest, usize::from(u16::from_be_bytes([len[0], len[1]])))?;
        let set = set.slice(..trimmed(&set).len());
        if set.len() > PARAMETER_SET_BYTES_MAX {
            return Err(BitstreamError::Bad("parameter set length"));
        }
        if !set.is_empty() {
            sets.push(set);
        }
    }
    Ok(sets)
}

fn put_sets(record: &mut BytesMut, sets: &[Bytes]) -> Option<()> {
    for set in sets {
        record.put_u16(u16::try_from(set.len()).ok()?);
        record.put_slice(set);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bitstream::testdata::{AVCC, hex};

    #[test]
    fn golden_record_reads_and_writes_back() {
        let golden = hex(AVCC);
        let parsed = parse_avcc(&golden).unwrap();
        assert_eq!((parsed.config.sps.len(), parsed.config.pps.len(), parsed.length_size), (1, 1, 4));
        assert_eq!(build_avcc(&parsed.config).unwrap(), golden);
    }

    #[test]
    fn cut_records_are_refused() {
        let golden = hex(AVCC);
        for len in 0..golden.len() - 4 {
            assert!(parse_avcc(&golden.slice(..len)).is_err(), "{len}");
        }
    }

    proptest! {
        #[test]
        fn records_round_trip(
            sps in prop::collection::vec(prop::collection::vec(1u8.., 4..40), 1..32),
            pps in prop::collection::vec(prop::collection::vec(1u8.., 1..40), 0..256),
        ) {
            let config = H264Config {
                sps: sps.into_iter().map(Bytes::from).collect(),
                pps: pps.into_iter().map(Bytes::from).collect(),
            };
            prop_assert_eq!(parse_avcc(&build_avcc(&config).unwrap()).unwrap().config, config);
        }
    }
}
