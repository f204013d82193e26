//! `moof`: where the samples of a fragment are, and when.

use super::boxes::{Fields, children, need};
use super::init::is_sane;
use super::{Line, Mp4Error};
use crate::limits::MP4_SAMPLES_MAX;

/// A sample that was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// Of which track: its place among those that are taken.
    pub(super) line: usize,
    /// Where it begins in the segment.
    pub(super) offset: u64,
    pub(super) size: u32,
    pub(super) dts: i64,
    pub(super) pts: i64,
}

/// What holds for the samples of a run.
#[derive(Clone, Copy, Debug)]
struct Defaults {
    duration: u32,
    size: u32,
}

/// Reads a `moof` that begins at `start` in its segment.
pub(super) fn parse(moof: &[u8], start: u64, lines: &mut [Line], out: &mut Vec<Sample>) -> Result<(), Mp4Error> {
    // Where no base is said, the data of a track follows that of the one before (section 8.8.7.1).
    let mut follows = start;
    // Those of tracks that are left out cost time as well.
    let mut left = MP4_SAMPLES_MAX;
    for child in children(moof) {
        let (kind, traf) = child?;
        if kind == *b"traf" {
            follows = track(traf, (start, follows), (lines, &mut left), out)?;
        }
    }
    Ok(())
}

/// Reads a `traf`; says where its data ends.
fn track(
    traf: &[u8],
    (start, follows): (u64, u64),
    (lines, left): (&mut [Line], &mut usize),
    out: &mut Vec<Sample>,
) -> Result<u64, Mp4Error> {
    let mut header = Fields::new(b"tfhd", need(traf, b"tfhd")?);
    let (_, flags) = header.version()?;
    let number = header.u32()?;
    let is_set = |flag: u32| flags & flag != 0;
    let base = match (is_set(0x1), is_set(0x2_0000)) {
        (true, _) => header.u64()?,
        (false, true) => start,
        (false, false) => follows,
    };
    header.skip(if is_set(0x2) { 4 } else { 0 })?;
    let at = lines.iter().position(|line| line.described.number == number);
    let mut defaults = at.map_or(Defaults { duration: 0, size: 0 }, |at| {
        let described = &lines[at].described;
        Defaults { duration: described.duration, size: described.size }
    });
    if is_set(0x8) {
        defaults.duration = header.u32()?;
    }
    if is_set(0x10) {
        defaults.size = header.u32()?;
    }
    let mut end = base;
    for child in children(traf) {
        match (child?, at) {
            ((kind, body), Some(at)) if kind == *b"tfdt" => {
                let mut fields = Fields::new(b"tfdt", body);
                let (version, _) = fields.version()?;
                lines[at].next = fields.number(version)?;
            }
            ((kind, body), at) if kind == *b"trun" => {
                end = run(body, (base, end), (defaults, &mut *left), at.map(|at| (at, &mut lines[at])), out)?;
            }
            _ => {}
        }
    }
    Ok(end)
}

/// Reads a `trun`; says where its data ends.
fn run(
    trun: &[u8],
    (base, follows): (u64, u64),
    (defaults, left): (Defaults, &mut usize),
    mut line: Option<(usize, &mut Line)>,
    out: &mut Vec<Sample>,
) -> Result<u64, Mp4Error> {
    const BAD: Mp4Error = Mp4Error::Bad("a time or place of a sample");
    let mut fields = Fields::new(b"trun", trun);
    let (_, flags) = fields.version()?;
    let is_set = |flag: u32| flags & flag != 0;
    let count = fields.u32()?;
    let mut offset = match is_set(0x1) {
        true => base.checked_add_signed(i64::from(fields.u32()? as i32)).ok_or(BAD)?,
        false => follows,
    };
    fields.skip(if is_set(0x4) { 4 } else { 0 })?;
    *left = left.checked_sub(count as usize).ok_or(Mp4Error::TooLarge(*b"trun"))?;
    let from = out.len();
    for _ in 0..count {
        let duration = if is_set(0x100) { fields.u32()? } else { defaults.duration };
        let size = if is_set(0x200) { fields.u32()? } else { defaults.size };
        fields.skip(if is_set(0x400) { 4 } else { 0 })?;
        // Version 0 has no sign, but there are writers who do not know that.
        let composition = if is_set(0x800) { fields.u32()? as i32 } else { 0 };
        if let Some((at, line)) = &mut line {
            let dts = i64::try_from(line.next).ok().filter(|dts| is_sane(*dts, line.described.rate)).ok_or(BAD)?;
            let dts = dts.saturating_sub(line.described.shift);
            line.lead = line.lead.max(-i64::from(composition));
            out.push(Sample { line: *at, offset, size, dts, pts: dts + i64::from(composition) });
            line.next = line.next.saturating_add(duration.into());
        }
        offset = offset.checked_add(size.into()).ok_or(BAD)?;
    }
    if let Some((_, line)) = line {
        // Decoding comes before presentation, also where a file leaves that to its edit list.
        out[from..].iter_mut().for_each(|sample| sample.dts -= line.lead);
    }
    Ok(offset)
}
