//! A reader over UDP.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use bytes::Bytes;
use weft_proto::media::Kind;
use weft_proto::rtp::{Format, Received, TrackReceiver};
use weft_proto::rtsp::machine::ClientMachine;
use weft_proto::rtsp::{LowerTransport, Ports, Transport};
use weft_proto::sdp;
use weft_proto::time::Now;

use super::{Arrival, Connection};
use crate::ports;

/// An empty receiver report (RFC 3550 section 6.4.2): a sign of life.
const EMPTY_REPORT: [u8; 8] = [0x80, 201, 0, 1, 0, 0, 0, 0];

/// Between two looks at the connection, and two signs of life.
const LOOK: Duration = Duration::from_millis(200);
const ALIVE: Duration = Duration::from_secs(5);

/// Bytes of the largest datagram.
const DATAGRAM_BYTES: usize = 1 << 16;

/// A reader of the first track of a path.
#[derive(Debug)]
pub struct UdpPlayer {
    connection: Connection,
    kind: Kind,
    receiver: TrackReceiver,
    media: UdpSocket,
    reports: UdpSocket,
    ready: VecDeque<Arrival>,
    begun: Instant,
    looked: Instant,
    said: Instant,
}

impl UdpPlayer {
    /// Connects, asks for the first track and starts. Panics when the server refuses.
    pub fn start(server: SocketAddr, uri: &str) -> Self {
        let mut connection = Connection::open(server, uri, None).expect("connect to RTSP");
        let begun = Instant::now();
        let described = connection.ask(ClientMachine::describe).expect("a response to DESCRIBE");
        assert!(described.status.is_success(), "DESCRIBE {uri}: {:?}", described.status);
        let session = sdp::parse(&described.body).expect("a description");
        let track = session.media.first().expect("a track");
        let (media, reports) = sockets();
        let rtp = media.local_addr().expect("a bound socket has an address").port();
        let client_port = Some(Ports { rtp, rtcp: rtp + 1 });
        let offer = Transport { lower: LowerTransport::Udp, client_port, ..Transport::default() };
        let control = track.control.clone().unwrap_or_default();
        let answer = connection.ask(|machine| machine.setup(&control, &offer)).expect("a response to SETUP");
        assert!(answer.status.is_success(), "SETUP {control}: {:?}", answer.status);
        let transport = answer.headers.get("Transport").and_then(Transport::parse).expect("a transport");
        let ports = transport.server_port.expect("ports of the server");
        media.connect((server.ip(), ports.rtp)).expect("connect UDP");
        reports.connect((server.ip(), ports.rtcp)).expect("connect UDP");
        let receiver = TrackReceiver::new(&track.track, track.payload_type, &Format::default(), Duration::ZERO);
        let playing = connection.ask(ClientMachine::play).expect("a response to PLAY");
        assert!(playing.status.is_success(), "PLAY: {:?}", playing.status);
        let kind = track.track.kind();
        Self { connection, kind, receiver, media, reports, ready: VecDeque::new(), begun, looked: begun, said: begun }
    }

    /// The next unit; `None` when there is none in time, an error when the connection ended.
    pub fn next(&mut self, limit: Instant) -> io::Result<Option<Arrival>> {
        let mut datagram = vec![0; DATAGRAM_BYTES];
        loop {
            if let Some(arrival) = self.ready.pop_front() {
                return Ok(Some(arrival));
            }
            self.tend()?;
            let left = limit.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.media.set_read_timeout(Some(left.min(LOOK)))?;
            match self.media.recv(&mut datagram) {
                Ok(length) => self.take(&datagram[..length]),
                // Refused is what a process that is gone leaves behind; what ends a reader is its connection.
                Err(error) if is_patient(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn take(&mut self, packet: &[u8]) {
        let at = Instant::now();
        let now = Now::from_micros(at.duration_since(self.begun).as_micros() as u64);
        let (kind, rate, ready) = (self.kind, self.receiver.rate(), &mut self.ready);
        let mut take = |unit: Received| ready.push_back(Arrival::of(&unit, kind, rate, at));
        self.receiver.rtp(Bytes::copy_from_slice(packet), now, &mut take);
    }

    /// Looks whether the connection is still there, and shows that this end is.
    fn tend(&mut self) -> io::Result<()> {
        if self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            while self.connection.asked(Instant::now() + Duration::from_millis(1))?.is_some() {}
        }
        if self.said.elapsed() >= ALIVE {
            self.said = Instant::now();
            let _ = self.reports.send(&EMPTY_REPORT);
        }
        Ok(())
    }
}

fn is_patient(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | ConnectionRefused)
}

fn sockets() -> (UdpSocket, UdpSocket) {
    for _ in 0..1000 {
        let port = ports::udp_pair();
        let pair = [port, port + 1].map(|port| UdpSocket::bind(("127.0.0.1", port)));
        if let [Ok(media), Ok(reports)] = pair {
            return (media, reports);
        }
    }
    panic!("no two neighbouring UDP ports stay free");
}
