//! What a client recorded: packets with their times, track by track.

use std::collections::HashMap;
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

/// Reads `times` (ffmpeg's framecrc) and the packets of `v` and `a`. A packet that is not complete yet ends its track.
pub fn from_ffmpeg(folder: &Path) -> Recording {
    let read = |name: &str| Bytes::from(std::fs::read(folder.join(name)).unwrap_or_default());
    // Bytes first: every packet that the times name later is passed over.
    let (mut video, mut audio) = (read("v"), read("a"));
    let mut recording = Recording::default();
    let mut tracks: HashMap<String, (bool, i64)> = HashMap::new();
    let times = String::from_utf8_lossy(&read("times")).into_owned();
    let complete = times.rfind('\n').map_or("", |end| &times[..end]);
    for line in complete.lines() {
        if let Some(header) = line.strip_prefix('#') {
            learn(header, &mut tracks);
            continue;
        }
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let (Some((is_video, rate)), Some(size)) = (tracks.get(fields[0]), fields.get(4)) else { continue };
        let size: usize = size.parse().expect("framecrc writes sizes");
        let pts: i64 = fields[2].parse().expect("framecrc writes times");
        let (bytes, packets) =
            if *is_video { (&mut video, &mut recording.video) } else { (&mut audio, &mut recording.audio) };
        if bytes.len() < size {
            bytes.clear();
            continue;
        }
        let micros = (pts != i64::MIN).then(|| (i128::from(pts) * 1_000_000 / i128::from(*rate)) as i64);
        packets.push(Packet { micros, data: bytes.split_to(size) });
    }
    recording
}

/// `tb 0: 1/90000`, `media_type 0: video`.
fn learn(header: &str, tracks: &mut HashMap<String, (bool, i64)>) {
    let Some((name, value)) = header.split_once(": ") else { return };
    let Some((word, track)) = name.split_once(' ') else { return };
    let entry = tracks.entry(track.to_owned()).or_insert((false, 1));
    match word {
        "tb" => entry.1 = value.rsplit('/').next().and_then(|rate| rate.parse().ok()).expect("framecrc writes 1/rate"),
        "media_type" => entry.0 = value == "video",
        _ => {}
    }
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
