//! What a client recorded: packets with their times, track by track.

use std::path::Path;

use bytes::{Buf, Bytes};
use weft_proto::media::Kind;

/// A packet as the client handed it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// When to present it, in microseconds of the client's own time; not every client knows at first.
    pub micros: Option<i64>,
    /// Its bytes.
    pub data: Bytes,
}

/// One video and one audio track.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// Packets of video, in the order of decoding.
    pub video: Vec<Packet>,
    /// Packets of audio.
    pub audio: Vec<Packet>,
}

impl Recording {
    /// The packets of a kind.
    pub fn track(&self, kind: Kind) -> &[Packet] {
        if kind == Kind::Video { &self.video } else { &self.audio }
    }

    /// How long the shorter track is.
    pub fn seconds(&self) -> f64 {
        let span = |packets: &[Packet]| {
            let times = packets.iter().filter_map(|packet| packet.micros);
            times.clone().max().zip(times.min()).map_or(0, |(last, first)| last - first)
        };
        span(&self.video).min(span(&self.audio)) as f64 / 1e6
    }
}

/// Reads what ffmpeg wrote of both tracks: `v` and `a` with the packets, `v.times` and `a.times` with their times.
pub fn from_ffmpeg(folder: &Path) -> Recording {
    Recording { video: track(folder, "v"), audio: track(folder, "a") }
}

/// Reads what ffmpeg wrote of one track, by its name for it: `v`, `a:1`.
pub fn track(folder: &Path, track: &str) -> Vec<Packet> {
    let name = track.replace(':', "_");
    let packets = std::fs::read(folder.join(&name)).unwrap_or_default();
    let times = std::fs::read_to_string(folder.join(format!("{name}.times"))).unwrap_or_default();
    framecrc(&times, packets.into())
}

/// Lines of `track, dts, pts, duration, size, checksum`, after some that begin with `#`. A packet of which not all is
/// there yet ends the track.
fn framecrc(times: &str, mut bytes: Bytes) -> Vec<Packet> {
    let mut packets = Vec::new();
    let mut rate: i128 = 1;
    let complete = times.rfind('\n').map_or("", |end| &times[..end]);
    for line in complete.lines() {
        if let Some(base) = line.strip_prefix("#tb 0: 1/") {
            rate = base.parse().expect("framecrc writes 1/rate");
        }
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let [_, _, pts, _, size, ..] = fields[..] else { continue };
        let (pts, size): (i64, usize) =
            pts.parse().ok().zip(size.parse().ok()).expect("framecrc writes numbers of times and sizes");
        if bytes.len() < size {
            break;
        }
        let micros = (pts != i64::MIN).then(|| (i128::from(pts) * 1_000_000 / rate) as i64);
        packets.push(Packet { micros, data: bytes.split_to(size) });
    }
    packets
}

/// Reads `v` and `a` as GStreamer's `gdppay` writes them.
pub fn from_gstreamer(folder: &Path) -> Recording {
    let read = |name: &str| gdp(Bytes::from(std::fs::read(folder.join(name)).unwrap_or_default()));
    Recording { video: read("v"), audio: read("a") }
}

/// GStreamer data protocol 1.0: a header of 62 bytes, with type at 4, length at 6 and presentation time at 10, then the
/// payload.
fn gdp(mut file: Bytes) -> Vec<Packet> {
    const HEADER_BYTES: usize = 62;
    const BUFFER: u16 = 1;
    let mut packets = Vec::new();
    while file.len() >= HEADER_BYTES {
        let mut header = file.slice(4..18);
        let (kind, length, pts) = (header.get_u16(), header.get_u32() as usize, header.get_u64());
        if file.len() < HEADER_BYTES + length {
            break;
        }
        file.advance(HEADER_BYTES);
        let data = file.split_to(length);
        if kind == BUFFER && !data.is_empty() {
            let micros = (pts != u64::MAX).then_some((pts / 1000) as i64);
            packets.push(Packet { micros, data });
        }
    }
    packets
}
