//! Readers and publishers against a [`StandIn`], over sockets.

use std::time::Duration;

use super::stand_in::{Faults, StandIn};
use super::*;
use crate::probe::ProbeError;
use crate::probe::door::{self, Offer, Transport, Url};
use crate::probe::h264::Synth;
use crate::probe::reader::{Gauge, ReaderThread, Ticket};

#[test]
fn one_socket_carries_four_protocols() {
    let kinds = [&[0, 1][..], &[22, 254], &[0x80, 96], &[0x90, 0xe0], &[0x80, 200], &[0x81, 201], &[64], &[]];
    let found: Vec<Kind> = kinds.iter().map(|bytes| Kind::of(bytes)).collect();
    let (rtp, rtcp) = (Kind::Rtp, Kind::Rtcp);
    assert_eq!(found, [Kind::Stun, Kind::Dtls, rtp, rtp, rtcp, rtcp, Kind::Other, Kind::Other]);
}

fn url(server: &StandIn) -> Url {
    format!("whep://{}/load", server.authority).parse().unwrap()
}

/// Reads until `units` are there and a report has been sent, and leaves. `turn` 0 decrypts everything.
fn read(server: &StandIn, turn: usize, units: u64) -> Gauge {
    let seat = door::read(&url(server), Transport::Tcp).unwrap();
    assert!(seat.joined_ns > seat.asked_ns);
    let thread = ReaderThread::start(Duration::from_secs(9), 1).unwrap();
    thread.entrance().add(seat, Ticket { turn, ..Ticket::default() });
    server.wait("units and reports", |seen| thread.counts().units >= units && seen.reports.len() > 1);
    thread.stop().unwrap().gauges.pop().unwrap()
}

#[test]
fn a_reader_counts_all_units_whether_it_decrypts_all_or_few() {
    for turn in [0, 1] {
        let server = StandIn::start(Faults::default());
        let gauge = read(&server, turn, 90);
        assert_eq!((gauge.units_lost(), gauge.corrupt, gauge.video.missing), (0, 0, 0), "turn {turn}");
        assert!(gauge.video.highest() > Some(65_536 + 100), "the count of wraps is right");
        assert!(gauge.first_frame_ns.is_some() && !gauge.ended);
        let seen = server.finish();
        assert_eq!(seen.requests, ["POST /load/whep HTTP/1.1", "DELETE /load/whep/secret HTTP/1.1"]);
        let last = seen.reports.last().unwrap();
        assert_eq!((last.ssrc, last.lost, last.last_report), (7, 0, 5 << 16));
    }
}

#[test]
fn a_lost_packet_and_a_forged_one_are_counted() {
    let server = StandIn::start(Faults { lost: Some(20), forged: Some(40) });
    let gauge = read(&server, 1, 90);
    assert_eq!((gauge.video.missing, gauge.incomplete, gauge.corrupt), (2, 1, 1));
    assert_eq!(gauge.units.missing, 1, "the unit whose stamp was forged");
    assert!(server.finish().reports.last().unwrap().lost > 0);
}

#[test]
fn a_publisher_repeats_what_is_lost_and_makes_keys() {
    let server = StandIn::start(Faults::default());
    let mut synth = Synth::new(0, 2_000_000, 30, 30);
    let (sps, pps) = synth.parameter_sets();
    let mut sink = door::publish(&url(&server), Transport::Tcp, Offer { sps, pps, audio: true }).unwrap();
    assert_eq!((sink.sound().frame, sink.sound().samples), (&OPUS_SILENCE[..], OPUS_SAMPLES));
    sink.tend(1).unwrap();
    let mut was_wanted = false;
    let mut frame = 0;
    let mut send = |sink: &mut Box<dyn door::Sink>| {
        sink.video(&synth.unit(1), frame * 3_000).unwrap();
        sink.audio(&OPUS_SILENCE, frame * 960).unwrap();
        was_wanted |= sink.wants_key();
        frame += 1;
        frame
    };
    // Each is taken before the next one is sent: the server's socket never overflows.
    loop {
        let sent = send(&mut sink);
        server.wait("the last frame", |seen| u64::from(seen.sounds) == sent);
        if server.seen.lock().unwrap().repeated {
            break;
        }
        assert!(sent < 1_000, "the packet was never repeated");
    }
    drop(sink);
    let seen = server.finish();
    assert!(was_wanted && seen.sender_reports == 2);
    assert_eq!((seen.gauge.units_lost(), seen.gauge.corrupt), (0, 0));
    assert_eq!(seen.requests[0], "POST /load/whip HTTP/1.1");
}

#[test]
fn who_has_no_stream_says_so() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url: Url = format!("whep://{}/load", listener.local_addr().unwrap()).parse().unwrap();
    let server = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 8192]);
        stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nno stream").unwrap();
    });
    let refused = door::read(&url, Transport::Tcp);
    assert!(matches!(refused, Err(ProbeError::Refused { status: 404, .. })));
    server.join().unwrap();
}
