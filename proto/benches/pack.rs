//! RTP packing and unpacking of one 8 KB frame: what a publisher and the first reader of a stream cost.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use weft_proto::media::{Codec, H264Config, Payload, TrackId, Unit};
use weft_proto::rtp::pack::{PacketSink, pack};
use weft_proto::rtp::{Format, Header, Ordered, Packet, Unpacker};
use weft_proto::time::ClockRate;

const FRAME_BYTES: usize = 8300;
const PAYLOAD_BYTES_MAX: usize = 1440;

#[derive(Default)]
struct Packets {
    bytes: Vec<u8>,
    ends: Vec<(usize, bool)>,
}

impl PacketSink for Packets {
    fn begin(&mut self, _: u32) {
        self.bytes.extend_from_slice(&[0; 12]);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn end(&mut self, marker: bool) {
        self.ends.push((self.bytes.len(), marker));
    }
}

fn frame() -> Unit {
    let mut nal = vec![0x5a; FRAME_BYTES];
    // A slice of a picture that others refer to, beginning at macroblock 0.
    nal[..2].copy_from_slice(&[0x41, 0x9a]);
    Unit {
        track: TrackId(0),
        pts: 0,
        dts: 0,
        captured: None,
        random_access: false,
        discardable: false,
        marker: false,
        payload: Payload::single(Bytes::from(nal)),
    }
}

fn packets(codec: &Codec, unit: &Unit) -> Vec<Bytes> {
    let mut sink = Packets::default();
    pack(codec, unit, PAYLOAD_BYTES_MAX, &mut sink);
    let mut start = 0;
    let cut = sink.ends.iter().enumerate().map(|(i, (end, marker))| {
        let mut packet = sink.bytes[start..*end].to_vec();
        start = *end;
        let header = Header { marker: *marker, payload_type: 96, sequence: i as u16, timestamp: 0, ssrc: 1 };
        let mut head = [0; 12];
        header.write(&mut head);
        packet[..12].copy_from_slice(&head);
        packet.into()
    });
    cut.collect()
}

fn benches(criterion: &mut Criterion) {
    let codec = Codec::H264(H264Config::default());
    let unit = frame();
    let mut group = criterion.benchmark_group("h264 8.3 KB frame");
    group.throughput(Throughput::Bytes(FRAME_BYTES as u64));
    group.bench_function("pack", |bencher| {
        let mut sink = Packets::default();
        bencher.iter(|| {
            sink.bytes.clear();
            sink.ends.clear();
            pack(&codec, black_box(&unit), PAYLOAD_BYTES_MAX, &mut sink);
            sink.ends.len()
        });
    });
    let packets = packets(&codec, &unit);
    group.bench_function("parse and unpack", |bencher| {
        let mut unpacker = Unpacker::new(&codec, ClockRate::VIDEO, &Format::default());
        let mut timestamp = 0u32;
        bencher.iter(|| {
            let mut units = 0;
            timestamp = timestamp.wrapping_add(3000);
            for datagram in &packets {
                let mut packet = Packet::parse(black_box(datagram.clone())).expect("our own packet");
                packet.timestamp = timestamp;
                let ordered = Ordered { packet, lost_before: 0 };
                let pushed = unpacker.push(&ordered, i64::from(timestamp), &mut |_| units += 1);
                pushed.expect("our own packets");
            }
            assert_eq!(units, 1);
        });
    });
    group.finish();
}

criterion_group!(pack_benches, benches);
criterion_main!(pack_benches);
