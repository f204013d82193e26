//! `moov`: which tracks there are.

use super::boxes::{Fields, children, find, need};
use super::{Mp4Error, entry, rate};
use crate::limits::TRACKS_MAX;
use crate::media::Codec;
use crate::time::ClockRate;

/// What an initialisation segment says of a track, beside its codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Described {
    /// `track_ID`.
    pub(super) number: u32,
    /// `timescale`.
    pub(super) rate: ClockRate,
    /// Bytes of the length before each NAL unit.
    pub(super) length_size: u8,
    /// Ticks that an edit list takes off all times.
    pub(super) shift: i64,
    /// Of samples for which fragments say nothing.
    pub(super) duration: u32,
    pub(super) size: u32,
}

/// The tracks that are taken.
pub(super) type Tracks = Vec<(Described, Codec)>;

/// The tracks that are taken, and the names of those that are not.
pub(super) fn parse(moov: &[u8]) -> Result<(Tracks, Vec<String>), Mp4Error> {
    let movie_rate = {
        let mut fields = Fields::new(b"mvhd", need(moov, b"mvhd")?);
        let (version, _) = fields.version()?;
        fields.skip(if version == 1 { 16 } else { 8 })?;
        // Nobody needs it but edit lists.
        fields.u32()?.max(1)
    };
    let (mut tracks, mut foreign) = (Vec::new(), Vec::new());
    for child in children(moov) {
        let (kind, trak) = child?;
        if kind != *b"trak" || tracks.len() == TRACKS_MAX {
            continue;
        }
        match track(trak, movie_rate)? {
            Ok(track) => tracks.push(track),
            Err(name) => foreign.push(name),
        }
    }
    if let Some(mvex) = find(moov, b"mvex")? {
        defaults(mvex, &mut tracks)?;
    }
    foreign.truncate(TRACKS_MAX);
    Ok((tracks, foreign))
}

type Found = Result<(Described, Codec), String>;

fn track(trak: &[u8], movie_rate: u32) -> Result<Found, Mp4Error> {
    let mut header = Fields::new(b"tkhd", need(trak, b"tkhd")?);
    let (version, _) = header.version()?;
    header.skip(if version == 1 { 16 } else { 8 })?;
    let number = header.u32()?;
    let mdia = need(trak, b"mdia")?;
    let mut fields = Fields::new(b"mdhd", need(mdia, b"mdhd")?);
    let (version, _) = fields.version()?;
    fields.skip(if version == 1 { 16 } else { 8 })?;
    let rate = rate(fields.u32()?)?;
    let table = need(need(mdia, b"minf")?, b"stbl")?;
    let described = need(table, b"stsd")?;
    // Version and flags, number of entries; the first is the one that is used.
    let entries = described.get(8..).ok_or(Mp4Error::Cut(*b"stsd"))?;
    let entry = children(entries).next().ok_or(Mp4Error::Cut(*b"stsd"))??;
    let shift = match find(trak, b"edts")? {
        Some(edts) => find(edts, b"elst")?.map_or(Ok(0), |list| edits(list, movie_rate, rate))?,
        None => 0,
    };
    Ok(entry::codec(entry)?
        .map(|(codec, length_size)| (Described { number, rate, length_size, shift, duration: 0, size: 0 }, codec)))
}

/// What an edit list takes off (section 8.6.6): the media time at which the presentation begins, less what it waits before.
fn edits(list: &[u8], movie_rate: u32, rate: ClockRate) -> Result<i64, Mp4Error> {
    const BAD: Mp4Error = Mp4Error::Bad("an edit list");
    let mut fields = Fields::new(b"elst", list);
    let (version, _) = fields.version()?;
    let mut waits = 0u64;
    for _ in 0..fields.u32()?.min(8) {
        let duration = fields.number(version)?;
        let from = if version == 1 { fields.u64()? as i64 } else { i64::from(fields.u32()? as i32) };
        fields.skip(4)?;
        if from >= 0 {
            let waits = i64::try_from(u128::from(waits) * u128::from(rate.hertz()) / u128::from(movie_rate));
            return from.checked_sub(waits.map_err(|_| BAD)?).filter(|shift| is_sane(*shift, rate)).ok_or(BAD);
        }
        waits = waits.saturating_add(duration);
    }
    Ok(0)
}

/// Whether a time can be reckoned with in any clock: below 272 years.
pub(super) fn is_sane(ticks: i64, rate: ClockRate) -> bool {
    (ticks / i64::from(rate.hertz())).abs() < 1 << 33
}

/// `trex`: what holds where fragments say nothing.
fn defaults(mvex: &[u8], tracks: &mut [(Described, Codec)]) -> Result<(), Mp4Error> {
    for child in children(mvex) {
        let (kind, body) = child?;
        if kind != *b"trex" {
            continue;
        }
        let mut fields = Fields::new(b"trex", body);
        fields.version()?;
        let number = fields.u32()?;
        fields.skip(4)?;
        let (duration, size) = (fields.u32()?, fields.u32()?);
        if let Some((track, _)) = tracks.iter_mut().find(|(track, _)| track.number == number) {
            (track.duration, track.size) = (duration, size);
        }
    }
    Ok(())
}
