//! A fragment: `moof` with a run of samples for each track, and the `mdat` that holds them.

use bytes::{BufMut, Bytes};

use super::box_time;
use super::boxes::{put_box, put_full};
use super::sample;
use crate::media::{Kind, Track, Unit};

/// Samples of one track.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// The track's number in the initialisation segment, from 1.
    pub number: u32,
    /// The track.
    pub track: &'a Track,
    /// Its units in decoding order.
    pub units: &'a [&'a Unit],
    /// What each lasts, in ticks, see [`super::durations()`].
    pub durations: &'a [u32],
}

/// Sample flags (ISO/IEC 14496-12 section 8.8.3.1): depends on no other; depends on others and is no sync sample.
const SYNC: u32 = 0x0200_0000;
const NOT_SYNC: u32 = 0x0101_0000;

/// `tfhd`: offsets count from the beginning of `moof`.
const DEFAULT_BASE_IS_MOOF: u32 = 0x02_0000;

/// `trun`: offset of the data; of each sample duration and size, for pictures flags and composition time, too.
const RUN_SOUND: u32 = 0x001 | 0x100 | 0x200;
const RUN_VIDEO: u32 = RUN_SOUND | 0x400 | 0x800;

/// Writes a fragment. Runs without units are left out; without any there is no fragment.
pub fn fragment(sequence: u32, runs: &[Run<'_>]) -> Option<Bytes> {
    let runs: Vec<&Run<'_>> = runs.iter().filter(|run| !run.units.is_empty()).collect();
    let sizes: Vec<Vec<u32>> = runs.iter().map(|run| sizes(run)).collect();
    let bytes: usize = sizes.iter().flatten().map(|size| *size as usize).sum();
    if runs.is_empty() {
        return None;
    }
    let count: usize = sizes.iter().map(Vec::len).sum();
    let mut out = Vec::with_capacity(bytes + count * 16 + runs.len() * 96 + 64);
    let mut offsets = Vec::with_capacity(runs.len());
    put_box(&mut out, b"moof", |out| {
        put_full(out, b"mfhd", 0, 0, |out| out.put_u32(sequence));
        for (run, sizes) in runs.iter().zip(&sizes) {
            offsets.push(put_traf(out, run, sizes));
        }
    });
    // The data begins behind the header of `mdat`.
    let mut data = out.len() as u32 + 8;
    for (at, sizes) in offsets.into_iter().zip(&sizes) {
        out[at..at + 4].copy_from_slice(&data.to_be_bytes());
        data += sizes.iter().sum::<u32>();
    }
    put_box(&mut out, b"mdat", |out| {
        for run in &runs {
            run.units.iter().for_each(|unit| sample::put(&run.track.codec, unit, out));
        }
    });
    Some(out.into())
}

fn sizes(run: &Run<'_>) -> Vec<u32> {
    run.units.iter().map(|unit| sample::len(&run.track.codec, unit) as u32).collect()
}

/// Writes a track's run; says where the offset of its data stands.
fn put_traf(out: &mut Vec<u8>, run: &Run<'_>, sizes: &[u32]) -> usize {
    let mut offset_at = 0;
    put_box(out, b"traf", |out| {
        put_full(out, b"tfhd", 0, DEFAULT_BASE_IS_MOOF, |out| out.put_u32(run.number));
        let first = run.units.first().map_or(0, |unit| unit.dts);
        put_full(out, b"tfdt", 1, 0, |out| out.put_u64(box_time(run.track.clock_rate, first)));
        let video = run.track.kind() == Kind::Video;
        put_full(out, b"trun", 1, if video { RUN_VIDEO } else { RUN_SOUND }, |out| {
            out.put_u32(sizes.len() as u32);
            offset_at = out.len();
            out.put_u32(0);
            for ((unit, size), duration) in run.units.iter().zip(sizes).zip(run.durations) {
                out.put_u32(*duration);
                out.put_u32(*size);
                if video {
                    out.put_u32(if unit.random_access { SYNC } else { NOT_SYNC });
                    out.put_i32(i32::try_from(unit.pts - unit.dts).unwrap_or(0));
                }
            }
        });
    });
    offset_at
}
