//! AAC (RFC 3640): several access units a packet, or one in fragments.
//!
//! Each packet begins with the bits of its access unit headers: size and index of the first, size and index delta of the
//! later ones. A fragment carries the size of its whole access unit; one is delivered when its bytes add up to it, which
//! is also how a start that was lost shows. Interleaved units go out in the order they come, each with its own time.
//! Cameras that leave an ADTS header on each access unit are known: it is taken off.

use bytes::Bytes;

use super::partial::Partial;
use super::{Format, UnpackReason, Unpacked};
use crate::bits::{BitReader, EndOfBits};
use crate::media::{AacConfig, Payload};
use crate::rtp::Ordered;
use crate::time::ClockRate;

#[derive(Debug)]
pub(super) struct Aac {
    format: Format,
    /// Ticks of `unit_rate` units.
    unit_ticks: u64,
    unit_rate: u64,
    partial: Partial,
}

impl Aac {
    pub(super) fn new(config: &AacConfig, clock_rate: ClockRate, format: Format) -> Self {
        let limit = |bits: u8| bits.min(32);
        let format = Format {
            size_length: limit(format.size_length),
            index_length: limit(format.index_length),
            index_delta_length: limit(format.index_delta_length),
        };
        let samples = samples_per_unit(&config.asc).unwrap_or(1024);
        let clock = clock_rate.hertz();
        let rate = if config.sample_rate == 0 { clock } else { config.sample_rate };
        let unit_ticks = u64::from(samples) * u64::from(clock);
        Self { format, unit_ticks, unit_rate: u64::from(rate), partial: Partial::default() }
    }

    pub(super) fn push(
        &mut self,
        ordered: &Ordered,
        ticks: i64,
        out: &mut impl FnMut(Unpacked),
    ) -> Result<(), UnpackReason> {
        if ordered.lost_before > 0 {
            self.partial.abandon();
        }
        if ordered.packet.payload.is_empty() {
            return Ok(());
        }
        let pushed = match self.split(&ordered.packet.payload) {
            Some((headers, data)) => self.push_units(&headers, data, ordered.packet.marker, ticks, out),
            None => self.partial.refuse(UnpackReason::Truncated),
        };
        if ordered.packet.marker {
            self.partial.abandon();
        }
        pushed
    }

    pub(super) const fn dropped(&mut self) -> &mut u32 {
        self.partial.dropped()
    }

    /// The bits of the headers and the data behind them (RFC 3640 section 3.2.1).
    fn split(&self, payload: &Bytes) -> Option<(Headers, Bytes)> {
        if self.format.size_length == 0 {
            // Without any length field there is no header section.
            return Some((Headers { bytes: Bytes::new(), bits: 0 }, payload.clone()));
        }
        let bits = usize::from(u16::from_be_bytes(*payload.first_chunk()?));
        let end = 2 + bits.div_ceil(8);
        let bytes = payload.get(2..end).map(|_| payload.slice(2..end))?;
        Some((Headers { bytes, bits }, payload.slice(end..)))
    }

    fn push_units(
        &mut self,
        headers: &Headers,
        mut data: Bytes,
        marker: bool,
        ticks: i64,
        out: &mut impl FnMut(Unpacked),
    ) -> Result<(), UnpackReason> {
        let mut reader = BitReader::new(&headers.bytes);
        let mut left = headers.bits;
        let (mut index, mut first) = (0, true);
        if left == 0 {
            self.emit(data, ticks, marker, out);
            return Ok(());
        }
        while let Ok(Some((size, step))) = self.read_header(&mut reader, &mut left, first) {
            index += step;
            if size > data.len() {
                // Only a lone access unit may be in fragments (RFC 3640 section 3.2.3.1).
                return if first && left == 0 {
                    self.push_fragment(size, data, ticks, marker, out)
                } else {
                    self.partial.refuse(UnpackReason::Truncated)
                };
            }
            let unit = data.split_to(size);
            self.emit(unit, self.ticks_of(index, ticks), marker, out);
            first = false;
        }
        if first { self.partial.refuse(UnpackReason::Truncated) } else { Ok(()) }
    }

    /// Size of the next access unit, and how many units it stands behind the one before.
    fn read_header(
        &self,
        reader: &mut BitReader<'_>,
        left: &mut usize,
        first: bool,
    ) -> Result<Option<(usize, u64)>, EndOfBits> {
        let index_length = if first { self.format.index_length } else { self.format.index_delta_length };
        let length = usize::from(self.format.size_length) + usize::from(index_length);
        if *left < length {
            return Ok(None);
        }
        *left -= length;
        let size = reader.bits(u32::from(self.format.size_length))? as usize;
        let index = u64::from(reader.bits(u32::from(index_length))?);
        // The first index only counts where units are interleaved; the timestamp is the first unit's in any case.
        Ok(Some((size, if first { 0 } else { index + 1 })))
    }

    fn push_fragment(
        &mut self,
        size: usize,
        data: Bytes,
        ticks: i64,
        marker: bool,
        out: &mut impl FnMut(Unpacked),
    ) -> Result<(), UnpackReason> {
        if !self.partial.continues(ticks, None) || self.partial.size() != Some(size) {
            return self.partial.start(ticks, size, data);
        }
        if let Some(payload) = self.partial.push(data)? {
            out(Unpacked { ticks, payload, marker });
        }
        Ok(())
    }

    fn emit(&mut self, unit: Bytes, ticks: i64, marker: bool, out: &mut impl FnMut(Unpacked)) {
        self.partial.abandon();
        let unit = without_adts(unit);
        if !unit.is_empty() {
            out(Unpacked { ticks, payload: Payload::single(unit), marker });
        }
    }

    fn ticks_of(&self, index: u64, ticks: i64) -> i64 {
        let behind = u128::from(index) * u128::from(self.unit_ticks) / u128::from(self.unit_rate);
        ticks.saturating_add(i64::try_from(behind).unwrap_or(i64::MAX))
    }
}

struct Headers {
    bytes: Bytes,
    bits: usize,
}

/// Takes off an ADTS header (ISO/IEC 14496-3 section 1.A.2.2). A raw access unit cannot begin with its twelve ones: they
/// would be an end element with more behind it.
fn without_adts(unit: Bytes) -> Bytes {
    let [0xff, second, _, a, b, c, _, ..] = unit[..] else { return unit };
    let length = usize::from(a & 3) << 11 | usize::from(b) << 3 | usize::from(c) >> 5;
    let header = if second & 1 == 1 { 7 } else { 9 };
    if second & 0xf6 == 0xf0 && length == unit.len() && length >= header { unit.slice(header..) } else { unit }
}

/// Samples of an access unit at the core's rate, from the AudioSpecificConfig (ISO/IEC 14496-3 section 1.6.2.1).
fn samples_per_unit(asc: &[u8]) -> Result<u32, EndOfBits> {
    let mut reader = BitReader::new(asc);
    let mut object_type = read_object_type(&mut reader)?;
    skip_rate(&mut reader)?;
    reader.skip(4)?;
    if matches!(object_type, 5 | 29) {
        skip_rate(&mut reader)?;
        object_type = read_object_type(&mut reader)?;
    }
    let short = reader.flag()?;
    Ok(match (object_type, short) {
        // Low delay and enhanced low delay.
        (23 | 39, false) => 512,
        (23 | 39, true) => 480,
        (_, false) => 1024,
        (_, true) => 960,
    })
}

fn read_object_type(reader: &mut BitReader<'_>) -> Result<u32, EndOfBits> {
    match reader.bits(5)? {
        31 => Ok(32 + reader.bits(6)?),
        object_type => Ok(object_type),
    }
}

fn skip_rate(reader: &mut BitReader<'_>) -> Result<(), EndOfBits> {
    if reader.bits(4)? == 15 { reader.skip(24) } else { Ok(()) }
}

#[cfg(test)]
#[path = "aac_tests.rs"]
mod tests;
