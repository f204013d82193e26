//! The initialisation segment: `ftyp` and `moov` without samples.

use bytes::{BufMut, Bytes};

use super::boxes::{put_box, put_full};
use super::entry;
use crate::media::{Kind, Track};

/// The identity matrix of `mvhd` and `tkhd`.
const MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// Writes the initialisation segment of these tracks, numbered from 1 in their order; `None` when there is none, or when
/// the parameters of one are not known yet or cannot be written.
pub fn init<'a>(tracks: impl IntoIterator<Item = &'a Track>) -> Option<Bytes> {
    let tracks: Vec<&Track> = tracks.into_iter().collect();
    let entries: Vec<Vec<u8>> = tracks
        .iter()
        .map(|track| {
            let mut sample_entry = Vec::new();
            entry::put(&mut sample_entry, &track.codec).map(|()| sample_entry)
        })
        .collect::<Option<_>>()?;
    if tracks.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(1024);
    put_box(&mut out, b"ftyp", |out| {
        out.put_slice(b"iso6\0\0\0\x01iso6cmfcmp41");
    });
    put_box(&mut out, b"moov", |out| {
        put_full(out, b"mvhd", 0, 0, |out| {
            out.put_slice(&[0; 8]);
            out.put_u32(1000);
            out.put_u32(0);
            out.put_u32(0x1_0000);
            out.put_u16(0x100);
            out.put_bytes(0, 10);
            MATRIX.iter().for_each(|number| out.put_u32(*number));
            out.put_bytes(0, 24);
            out.put_u32(u32::MAX);
        });
        for ((number, track), sample_entry) in (1..).zip(&tracks).zip(&entries) {
            put_track(out, number, track, sample_entry);
        }
        put_box(out, b"mvex", |out| {
            for (number, _) in (1u32..).zip(&tracks) {
                put_full(out, b"trex", 0, 0, |out| {
                    out.put_u32(number);
                    out.put_u32(1);
                    out.put_bytes(0, 12);
                });
            }
        });
    });
    Some(out.into())
}

fn put_track(out: &mut Vec<u8>, number: u32, track: &Track, sample_entry: &[u8]) {
    let video = track.kind() == Kind::Video;
    let (width, height) = entry::size(&track.codec).unwrap_or_default();
    put_box(out, b"trak", |out| {
        // Enabled, in the movie, in the preview.
        put_full(out, b"tkhd", 0, 7, |out| {
            out.put_slice(&[0; 8]);
            out.put_u32(number);
            out.put_bytes(0, 4 + 4 + 8 + 4);
            out.put_u16(if video { 0 } else { 0x100 });
            out.put_u16(0);
            MATRIX.iter().for_each(|number| out.put_u32(*number));
            out.put_u32(u32::from(width) << 16);
            out.put_u32(u32::from(height) << 16);
        });
        put_box(out, b"mdia", |out| {
            put_full(out, b"mdhd", 0, 0, |out| {
                out.put_slice(&[0; 8]);
                out.put_u32(track.clock_rate.hertz());
                out.put_u32(0);
                // No language: "und".
                out.put_u16(0x55c4);
                out.put_u16(0);
            });
            put_full(out, b"hdlr", 0, 0, |out| {
                out.put_u32(0);
                out.put_slice(if video { b"vide" } else { b"soun" });
                out.put_bytes(0, 12);
                out.put_u8(0);
            });
            put_box(out, b"minf", |out| put_information(out, video, sample_entry));
        });
    });
}

fn put_information(out: &mut Vec<u8>, video: bool, sample_entry: &[u8]) {
    if video {
        put_full(out, b"vmhd", 0, 1, |out| out.put_bytes(0, 8));
    } else {
        put_full(out, b"smhd", 0, 0, |out| out.put_u32(0));
    }
    put_box(out, b"dinf", |out| {
        put_full(out, b"dref", 0, 0, |out| {
            out.put_u32(1);
            // The media is in the same file.
            put_full(out, b"url ", 0, 1, |_| {});
        });
    });
    put_box(out, b"stbl", |out| {
        put_full(out, b"stsd", 0, 0, |out| {
            out.put_u32(1);
            out.put_slice(sample_entry);
        });
        put_full(out, b"stts", 0, 0, |out| out.put_u32(0));
        put_full(out, b"stsc", 0, 0, |out| out.put_u32(0));
        put_full(out, b"stsz", 0, 0, |out| out.put_u64(0));
        put_full(out, b"stco", 0, 0, |out| out.put_u32(0));
    });
}
