//! Log push with 1, 100 and 1,000 readers: each iteration appends one frame and every reader takes it.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::sync::Arc;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use weft_cluster::stream::{Cursor, Entry, Join, Log, LogLimits, Start, StartLimits, Times};
use weft_proto::id::{Epoch, Position};
use weft_proto::media::{Codec, H264Config, Payload, Track, TrackId, Tracks, Unit};
use weft_proto::time::{ClockRate, Now};

fn entry(tracks: &Tracks, payload: &Payload, n: u64) -> Arc<Entry> {
    let key = n.is_multiple_of(60);
    let ticks = n as i64 * 3000;
    let unit = Unit {
        track: TrackId(0),
        pts: ticks,
        dts: ticks,
        captured: None,
        random_access: key,
        discardable: false,
        marker: false,
        payload: payload.clone(),
    };
    Arc::new(Entry {
        position: Position { epoch: Epoch(1), seq: n },
        unit,
        dts_micros: n as i64 * 33_333,
        arrived: Now::from_micros(n * 33_333),
        marks: None,
        group_start: key,
        missed: false,
        group: 0,
        publication: 0,
        generation: 1,
        tracks: tracks.clone(),
    })
}

fn benches(criterion: &mut Criterion) {
    let track = Track { codec: Codec::H264(H264Config::default()), clock_rate: ClockRate::VIDEO };
    let tracks = Tracks::new(vec![track]).expect("one track");
    let payload = Payload::single(Bytes::from(vec![0; 8300]));
    let join = Join { from: Start::NewestGroup, times: Times::Squeezed, pace: None };
    let mut group = criterion.benchmark_group("log push and read");
    for readers in [1u64, 100, 1000] {
        group.throughput(Throughput::Elements(readers));
        group.bench_with_input(BenchmarkId::from_parameter(readers), &readers, |bencher, readers| {
            let mut log = Log::new(LogLimits::default());
            let mut cursors: Vec<Cursor> = (0..*readers).map(|_| Cursor::new(join, StartLimits::default())).collect();
            let mut out = Vec::new();
            let mut n = 0;
            bencher.iter(|| {
                let entry = entry(&tracks, &payload, n);
                let now = entry.arrived;
                n += 1;
                log.push(entry);
                for cursor in &mut cursors {
                    out.clear();
                    cursor.read(&log, now, &mut out);
                }
            });
        });
    }
    group.finish();
}

criterion_group!(log_benches, benches);
criterion_main!(log_benches);
