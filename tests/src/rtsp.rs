//! A small reader over TCP that notes when each unit arrives: what a player would see, without a player's buffers.

mod udp;

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use socket2::{Domain, Socket, Type};
use weft_proto::media::Kind;
use weft_proto::rtp::{Format, Received, TrackReceiver};
use weft_proto::rtsp::machine::{ClientEvent, ClientMachine};
use weft_proto::rtsp::{Channels, Incoming, LowerTransport, Method, Reader, Request, Response, Transport};
use weft_proto::sdp;
use weft_proto::time::{ClockRate, Now};

pub use self::udp::UdpPlayer;

/// A connection that speaks RTSP.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    reader: Reader,
    machine: ClientMachine,
    frames: VecDeque<(u8, Bytes, Instant)>,
}

/// A reader of a path over TCP.
#[derive(Debug)]
pub struct Player {
    connection: Connection,
    tracks: Vec<PlayerTrack>,
    ready: VecDeque<Arrival>,
    /// When the first request was sent.
    pub asked: Instant,
}

#[derive(Debug)]
struct PlayerTrack {
    kind: Kind,
    receiver: TrackReceiver,
}

/// A unit as it arrived.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Of which kind of track.
    pub kind: Kind,
    /// Its time in the track's clock, made microseconds.
    pub micros: i64,
    /// Decoding may start here.
    pub random_access: bool,
    /// Its bytes without the parameter sets, which each random access point gets anew.
    pub bytes: Bytes,
    /// When its last packet arrived.
    pub at: Instant,
}

impl Arrival {
    /// Of a unit on a track of this kind and clock rate.
    fn of(unit: &Received, kind: Kind, rate: ClockRate, at: Instant) -> Self {
        let bytes = unit.payload.frames().last().map(|frame| frame.slices().concat().into());
        let (micros, random_access) = (rate.to_micros(unit.ticks), unit.random_access);
        Self { kind, micros, random_access, bytes: bytes.unwrap_or_default(), at }
    }
}

/// Seconds a response may take.
const RESPONSE_LIMIT: Duration = Duration::from_secs(10);

impl Connection {
    /// Connects. `receive_bytes` bounds the kernel's buffer, so that a reader that stops is soon felt.
    pub fn open(server: SocketAddr, uri: &str, receive_bytes: Option<usize>) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        if let Some(bytes) = receive_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.connect_timeout(&server.into(), Duration::from_secs(5))?;
        socket.set_tcp_nodelay(true)?;
        socket.set_write_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self { socket, reader: Reader::new(), machine: ClientMachine::new(uri, "0123"), frames: VecDeque::new() })
    }

    /// Sends what `build` makes and waits for its response.
    pub fn ask(&mut self, build: impl FnOnce(&mut ClientMachine) -> Request) -> io::Result<Response> {
        let request = build(&mut self.machine);
        self.send(&request)?;
        let limit = Instant::now() + RESPONSE_LIMIT;
        loop {
            match self.next(limit)? {
                Some(Incoming::Response(response)) => match self.machine.response(response) {
                    ClientEvent::Done(_, response) => return Ok(response),
                    ClientEvent::Retry(request) => self.send(&request)?,
                    ClientEvent::Stray => {}
                },
                Some(Incoming::Interleaved { channel, data }) => {
                    self.frames.push_back((channel, data, Instant::now()));
                }
                Some(Incoming::Request(_)) => {}
                None => return Err(io::Error::new(io::ErrorKind::TimedOut, "no response")),
            }
        }
    }

    /// The session's id.
    pub fn session(&self) -> Option<&str> {
        self.machine.session_id()
    }

    /// The next interleaved frame; `None` when there is none in time.
    pub fn frame(&mut self, limit: Instant) -> io::Result<Option<(u8, Bytes, Instant)>> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Ok(Some(frame));
            }
            match self.next(limit)? {
                Some(Incoming::Interleaved { channel, data }) => {
                    self.frames.push_back((channel, data, Instant::now()));
                }
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// What the server asks; `None` when it asks nothing in time.
    pub fn asked(&mut self, limit: Instant) -> io::Result<Option<Request>> {
        loop {
            match self.next(limit)? {
                Some(Incoming::Request(request)) => return Ok(Some(request)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// Sends bytes as they are. What the server does not take within a few seconds is an error.
    pub fn send_bytes(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.socket).write_all(bytes)
    }

    fn send(&mut self, request: &Request) -> io::Result<()> {
        let mut bytes = Vec::new();
        request.write(&mut bytes);
        (&self.socket).write_all(&bytes)
    }

    fn next(&mut self, limit: Instant) -> io::Result<Option<Incoming>> {
        loop {
            let taken = self.reader.next().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            if taken.is_some() {
                return Ok(taken);
            }
            let left = limit.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.socket.set_read_timeout(Some(left))?;
            let mut chunk = [0; 16 << 10];
            match (&self.socket).read(&mut chunk) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(some) => BytesMut::extend_from_slice(self.reader.buffer(), &chunk[..some]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Player {
    /// Connects, asks for all tracks and starts.
    pub fn start(server: SocketAddr, uri: &str) -> Self {
        Self::start_with(server, uri, None)
    }

    /// The same with a bound on the kernel's buffer.
    pub fn start_with(server: SocketAddr, uri: &str, receive_bytes: Option<usize>) -> Self {
        let mut connection = Connection::open(server, uri, receive_bytes).expect("connect to RTSP");
        let asked = Instant::now();
        let described = connection.ask(ClientMachine::describe).expect("a response to DESCRIBE");
        assert!(described.status.is_success(), "DESCRIBE {uri}: {:?}", described.status);
        let session = sdp::parse(&described.body).expect("a description");
        let mut tracks = Vec::new();
        for (index, media) in session.media.iter().enumerate() {
            let rtp = u8::try_from(index * 2).expect("few tracks");
            let channels = Channels { rtp, rtcp: rtp + 1 };
            let offer = Transport { lower: LowerTransport::Tcp, interleaved: Some(channels), ..Transport::default() };
            let control = media.control.clone().unwrap_or_default();
            let answer = connection.ask(|machine| machine.setup(&control, &offer)).expect("a response to SETUP");
            assert!(answer.status.is_success(), "SETUP {control}: {:?}", answer.status);
            let lengths = media.au_headers;
            let format = Format {
                size_length: lengths.size,
                index_length: lengths.index,
                index_delta_length: lengths.index_delta,
            };
            let receiver = TrackReceiver::new(&media.track, media.payload_type, &format, Duration::ZERO);
            tracks.push(PlayerTrack { kind: media.track.kind(), receiver });
        }
        let playing = connection.ask(ClientMachine::play).expect("a response to PLAY");
        assert!(playing.status.is_success(), "PLAY: {:?}", playing.status);
        Self { connection, tracks, ready: VecDeque::new(), asked }
    }

    /// The next unit of any track; `None` when there is none in time, an error when the connection ended.
    pub fn next(&mut self, limit: Instant) -> io::Result<Option<Arrival>> {
        loop {
            if let Some(arrival) = self.ready.pop_front() {
                return Ok(Some(arrival));
            }
            let Some((channel, data, at)) = self.connection.frame(limit)? else { return Ok(None) };
            let Some(track) = self.tracks.get_mut(usize::from(channel / 2)) else { continue };
            let now = Now::from_micros(at.duration_since(self.asked).as_micros() as u64);
            if channel % 2 == 1 {
                track.receiver.rtcp(&data, now);
                continue;
            }
            let (kind, rate) = (track.kind, track.receiver.rate());
            let ready = &mut self.ready;
            let mut take = |unit: Received| ready.push_back(Arrival::of(&unit, kind, rate, at));
            track.receiver.rtp(data, now, &mut take);
        }
    }

    /// The next unit of video within `seconds`. Panics when there is none.
    pub fn video(&mut self, seconds: u64) -> Arrival {
        let limit = Instant::now() + Duration::from_secs(seconds);
        loop {
            let next = self.next(limit).unwrap_or_else(|error| panic!("the reader was cut off: {error}"));
            let arrival = next.unwrap_or_else(|| panic!("no video within {seconds} s"));
            if arrival.kind == Kind::Video {
                return arrival;
            }
        }
    }

    /// Sends a request and says its status.
    pub fn keep_alive(&mut self) -> u16 {
        let response = self.connection.ask(ClientMachine::keep_alive).expect("a response to GET_PARAMETER");
        response.status.code()
    }
}

/// What can be said about a method that no machine would send now.
pub fn request(method: &Method, uri: &str, cseq: u32, more: &str) -> String {
    format!("{} {uri} RTSP/1.0\r\nCSeq: {cseq}\r\n{more}\r\n", method.name())
}
