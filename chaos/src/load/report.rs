//! The report as values: the shape of `--json`, and what was expected and is not so.

use serde::Serialize;

use super::outcome::{Spread, Total};
use super::place::Place;
use super::{Mark, Sample};
use crate::bare::Bare;
use crate::cli::LoadArgs;
use crate::probe::ProbeError;
use crate::probe::reader::Stall;

/// The moments between which things are measured.
pub(super) struct Marks {
    /// Before the publishers.
    pub(super) idle: Mark,
    /// Publishers, but no readers.
    pub(super) alone: Mark,
    /// The window begins.
    pub(super) begin: Mark,
    /// The window ends.
    pub(super) end: Mark,
}

/// Everything measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What was asked for.
    pub asked: Asked,
    /// Length of the measured window.
    pub window_seconds: f64,
    /// Out of the readers' sockets in the window, packet headers included.
    pub delivered: Delivered,
    /// Over each reader's whole life.
    pub loss: Loss,
    /// How long things took.
    pub times_ms: Latency,
    /// Where pictures or sound of a reader stood still in the window, the first beginning first.
    pub stalls: Vec<Standstill>,
    /// Readers let in each second: at most what was asked for.
    pub joins_per_second: Option<f64>,
    /// From each place that was read from.
    pub places: Vec<Place>,
    /// The server's process, if we know it.
    pub server: Option<Server>,
    /// What all this cost on our side.
    pub generator: Generator,
    /// The machine's own limit: writing without a pause, and at the pace of this load.
    pub bare: Vec<Limit>,
    /// What is not as it should be; empty is good.
    pub failures: Vec<String>,
}

/// The load.
#[derive(Debug, Serialize)]
pub struct Asked {
    pub publish: String,
    pub publishers: u32,
    pub transport: &'static str,
    pub readers: u32,
    pub read_transport: &'static str,
    pub bitrate: u64,
    pub fps: u32,
    pub gop_seconds: f64,
    pub audio: bool,
}

/// What came through.
#[derive(Debug, Serialize)]
pub struct Delivered {
    pub gbit: f64,
    pub gbit_per_second: f64,
    pub units_per_second: f64,
    pub published_units_per_second: f64,
}

/// What did not, or not as it should.
#[derive(Debug, Serialize)]
pub struct Loss {
    pub units: u64,
    pub units_lost: u64,
    pub percent: f64,
    pub incomplete: u64,
    pub missing_at_end: u64,
    pub duplicates: u64,
    pub reordered: u64,
    pub late: u64,
    pub corrupt: u64,
    pub audio_frames: u64,
    /// Parts of HLS segments that arrived.
    pub parts: u64,
    pub audio_lost: u64,
    pub packets_lost: u64,
    pub packets_reordered: u64,
    pub readers_refused: u64,
    pub readers_ended: u64,
    pub readers_without_picture: u64,
}

/// Times in milliseconds, each over all readers.
#[derive(Debug, Serialize)]
pub struct Latency {
    /// From the first request to being let in; over WebRTC, to keys and the first packet.
    pub joined: Option<Spread>,
    /// From the first request to the first decodable frame.
    pub first_frame: Option<Spread>,
    /// How old the picture is two seconds after that.
    pub behind_live: Option<Spread>,
    /// From a unit's first byte in to its last byte out, of live units in the window.
    pub latency: Option<Spread>,
    /// The longest time without a frame of each reader in the window.
    pub longest_gap: Option<Spread>,
}

/// A time in which a reader got nothing of a kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Standstill {
    /// Which publisher's stream.
    pub path: u16,
    /// From which of the places.
    pub place: u16,
    /// `pictures` or `sound`.
    pub of: &'static str,
    /// When it began, after the window's beginning.
    pub begin_seconds: f64,
    /// How long it lasted.
    pub seconds: f64,
}

/// What the server used.
#[derive(Debug, Serialize)]
pub struct Server {
    pub cpu_seconds: f64,
    pub cpu_percent: f64,
    pub gbit_per_cpu_second: Option<f64>,
    pub cpu_seconds_per_gbit: Option<f64>,
    pub cpu_ms_per_second_per_reader: Option<f64>,
    pub cpu_ms_per_second_per_publisher: Option<f64>,
    pub rss_idle_bytes: u64,
    pub rss_publishers_bytes: u64,
    pub rss_readers_bytes: u64,
    pub rss_bytes_per_publisher: Option<f64>,
    pub rss_bytes_per_reader: Option<f64>,
}

/// What one thread can do that only writes.
#[derive(Debug, Serialize)]
pub struct Limit {
    /// Measured in the same run.
    #[serde(flatten)]
    pub bare: Bare,
    /// The server's Gbit per CPU-second as a share of it.
    pub server_share: Option<f64>,
}

/// What we used.
#[derive(Debug, Serialize)]
pub struct Generator {
    pub cpu_seconds: f64,
    pub cpu_percent: f64,
    pub reader_cpu_seconds: f64,
    pub cpu_seconds_per_gbit: Option<f64>,
    pub share_of_server: Option<f64>,
}

/// What readers and publishers saw.
pub(super) struct Outcome {
    /// All readers together.
    pub(super) total: Total,
    /// Those of each place.
    pub(super) places: Vec<Total>,
    /// Who did not get in, at which place.
    pub(super) refused: Vec<(u16, ProbeError)>,
    /// What went wrong with publishers.
    pub(super) publishers: Vec<String>,
}

impl Latency {
    pub(super) const fn of(total: &Total) -> Self {
        Self {
            joined: total.joined,
            first_frame: total.first_frame,
            behind_live: total.behind,
            latency: total.latency,
            longest_gap: total.gap,
        }
    }
}

impl Standstill {
    fn all(stalls: &[((u16, u16), Stall)], begin_ns: u64) -> Vec<Self> {
        let one = |&((path, place), Stall { is_sound, from_ns, to_ns }): &((u16, u16), Stall)| Self {
            path,
            place,
            of: if is_sound { "sound" } else { "pictures" },
            begin_seconds: (from_ns as f64 - begin_ns as f64) / 1e9,
            seconds: (to_ns - from_ns) as f64 / 1e9,
        };
        let mut all: Vec<Self> = stalls.iter().map(one).collect();
        all.sort_by(|one, other| one.begin_seconds.total_cmp(&other.begin_seconds));
        all
    }
}

impl Report {
    pub(super) fn new(args: &LoadArgs, marks: &Marks, outcome: &Outcome, bare: Vec<Bare>) -> Self {
        let Outcome { total, places, refused, publishers } = outcome;
        let seconds = (marks.end.at_ns - marks.begin.at_ns) as f64 / 1e9;
        let gbit = (marks.end.counts.bytes - marks.begin.counts.bytes) as f64 * 8.0 / 1e9;
        let per_second = |from: u64, to: u64| (to - from) as f64 / seconds;
        let server = Server::of(args, marks, gbit, seconds);
        let cpu_seconds = (marks.end.own_cpu - marks.begin.own_cpu).as_secs_f64();
        let server_rate = server.as_ref().and_then(|server| server.gbit_per_cpu_second);
        let limit = |bare: Bare| Limit { bare, server_share: server_rate.map(|rate| rate / bare.gbit_per_cpu_second) };
        let server_cpu = server.as_ref().map(|server| server.cpu_seconds).filter(|&cpu| cpu > 0.0);
        let mut report = Self {
            asked: Asked::of(args),
            window_seconds: seconds,
            delivered: Delivered {
                gbit,
                gbit_per_second: gbit / seconds,
                units_per_second: per_second(marks.begin.counts.units, marks.end.counts.units),
                published_units_per_second: per_second(marks.begin.sent, marks.end.sent),
            },
            loss: Loss::of(total, refused.len() as u64),
            times_ms: Latency::of(total),
            stalls: Standstill::all(&total.stalls, marks.begin.at_ns),
            joins_per_second: total.joins_per_second,
            places: Place::all(args, places, refused, seconds),
            server,
            generator: Generator {
                cpu_seconds,
                cpu_percent: cpu_seconds / seconds * 100.0,
                reader_cpu_seconds: marks.end.reader_cpu.saturating_sub(marks.begin.reader_cpu).as_secs_f64(),
                cpu_seconds_per_gbit: (gbit > 0.0).then(|| cpu_seconds / gbit),
                share_of_server: server_cpu.map(|server| cpu_seconds / server),
            },
            bare: bare.into_iter().map(limit).collect(),
            failures: failures(args, total, refused, publishers),
        };
        report.failures.extend(slow_hops(args, &report.places));
        report
    }
}

impl Asked {
    fn of(args: &LoadArgs) -> Self {
        Self {
            publish: args.publish.to_string(),
            publishers: args.publishers,
            transport: args.transport.name(),
            readers: args.readers,
            read_transport: args.read_transport().name(),
            bitrate: args.bitrate,
            fps: args.fps,
            gop_seconds: args.gop.as_secs_f64(),
            audio: args.with_audio(),
        }
    }
}

impl Loss {
    fn of(total: &Total, readers_refused: u64) -> Self {
        Self {
            units: total.units,
            units_lost: total.units_lost,
            percent: total.loss_percent(),
            incomplete: total.incomplete,
            missing_at_end: total.tail,
            duplicates: total.duplicates,
            reordered: total.reordered,
            late: total.late,
            corrupt: total.corrupt,
            audio_frames: total.audio_frames,
            parts: total.parts,
            audio_lost: total.audio_lost,
            packets_lost: total.packets_lost,
            packets_reordered: total.packets_reordered,
            readers_refused,
            readers_ended: total.ended,
            readers_without_picture: total.blind,
        }
    }
}

impl Server {
    fn of(args: &LoadArgs, marks: &Marks, gbit: f64, seconds: f64) -> Option<Self> {
        let [idle, alone, begin, end]: [Sample; 4] =
            [marks.idle.server?, marks.alone.server?, marks.begin.server?, marks.end.server?];
        let cpu_seconds = (end.cpu - begin.cpu).as_secs_f64();
        let each = |count: u32, value: f64| (count > 0).then(|| value / f64::from(count));
        let grown = |from: Sample, to: Sample| to.rss as f64 - from.rss as f64;
        let both = gbit > 0.0 && cpu_seconds > 0.0;
        Some(Self {
            cpu_seconds,
            cpu_percent: cpu_seconds / seconds * 100.0,
            gbit_per_cpu_second: both.then(|| gbit / cpu_seconds),
            cpu_seconds_per_gbit: both.then(|| cpu_seconds / gbit),
            cpu_ms_per_second_per_reader: each(args.readers, cpu_seconds / seconds * 1e3),
            cpu_ms_per_second_per_publisher: each(args.publishers, cpu_seconds / seconds * 1e3),
            rss_idle_bytes: idle.rss,
            rss_publishers_bytes: alone.rss,
            rss_readers_bytes: end.rss,
            rss_bytes_per_publisher: each(args.publishers, grown(idle, alone)),
            rss_bytes_per_reader: each(args.readers, grown(alone, end)),
        })
    }
}

/// Places where units come later than they may.
fn slow_hops(args: &LoadArgs, places: &[Place]) -> Vec<String> {
    let Some(limit) = args.max_hop.map(|limit| limit.as_secs_f64() * 1e3) else { return Vec::new() };
    let hops = places.iter().filter_map(|place| Some((&place.url, place.hop.as_ref()?)));
    let slow = hops.filter(|(_, hop)| hop.p99_ms > limit);
    slow.map(|(url, hop)| format!("hop to {url}: p99 {:.2} ms, {limit:.2} ms allowed", hop.p99_ms)).collect()
}

/// What was expected and is not so.
fn failures(args: &LoadArgs, total: &Total, refused: &[(u16, ProbeError)], publishers: &[String]) -> Vec<String> {
    let mut failures = publishers.to_vec();
    let ms = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    if let Some((_, first)) = refused.first() {
        failures.push(format!("{} readers did not get in: {first}", refused.len()));
    }
    if total.loss_percent() > args.max_loss {
        failures.push(format!("{:.4} % of the units lost, {} % allowed", total.loss_percent(), args.max_loss));
    }
    for (count, what) in [
        (total.corrupt, "units with wrong bytes"),
        (total.ended, "readers were disconnected"),
        (total.blind, "readers never had a picture"),
    ] {
        if count > 0 {
            failures.push(format!("{count} {what}"));
        }
    }
    let limits = [
        ("latency p99", args.max_latency, total.latency.map(|spread| spread.p99)),
        ("first frame after", args.max_first_frame, total.first_frame.map(|spread| spread.max)),
        ("behind live", args.max_behind, total.behind.map(|spread| spread.max)),
    ];
    for (what, limit, got) in limits {
        let Some(limit) = limit else { continue };
        match got {
            None => failures.push(format!("{what}: not measured")),
            Some(got) if got > ms(limit) => failures.push(format!("{what} {got:.1} ms, {:.1} ms allowed", ms(limit))),
            Some(_) => {}
        }
    }
    failures
}
