//! A small RTMP client that says what it is told and notes when each unit arrives.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use socket2::{Domain, Socket, Type};
use weft_proto::media::{Codec, Kind, Tracks};
use weft_proto::rtmp::message::kind;
use weft_proto::rtmp::{ChunkReader, ClientEvent, ClientMachine, Outgoing, Receiver};
use weft_proto::time::Now;

use crate::rtsp::Arrival;

/// Bytes of C1, S1, C2 and S2 (RTMP 1.0 section 5.2).
const HANDSHAKE_BYTES: usize = 1536;

/// The size of chunks before another is set.
const CHUNK_BYTES: usize = 128;

/// A connection that speaks RTMP.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    reader: ChunkReader,
    machine: ClientMachine,
    events: VecDeque<ClientEvent>,
}

/// A reader of a path.
#[derive(Debug)]
pub struct Player {
    connection: Connection,
    receiver: Receiver,
    began: Instant,
    /// The tracks, once they are known; codecs follow changes.
    pub tracks: Option<Tracks>,
    /// When connecting began.
    pub asked: Instant,
}

/// Shakes hands and is left alone with the socket.
pub fn shake_hands(socket: &Socket) -> io::Result<()> {
    let mut hello = vec![0; 1 + HANDSHAKE_BYTES];
    hello[0] = 3;
    (&*socket).write_all(&hello)?;
    let mut answer = vec![0; 1 + 2 * HANDSHAKE_BYTES];
    (&*socket).read_exact(&mut answer)?;
    (&*socket).write_all(&answer[1..1 + HANDSHAKE_BYTES])
}

/// Connects. `receive_bytes` bounds the kernel's buffer, so that a reader that stops is soon felt.
pub fn connect(server: SocketAddr, own: Ipv4Addr, receive_bytes: Option<usize>) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    if let Some(bytes) = receive_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(&SocketAddr::from((own, 0)).into())?;
    socket.connect_timeout(&server.into(), Duration::from_secs(5))?;
    socket.set_tcp_nodelay(true)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(socket)
}

/// A message in chunks of the first size, each with the right header.
pub fn chunked(message: &Outgoing, timestamp: u32) -> Vec<u8> {
    let Outgoing { kind, stream_id, payload } = message;
    let id = if matches!(*kind, kind::AUDIO | kind::VIDEO) { kind - 4 } else { 3 };
    let mut bytes = vec![id];
    bytes.extend(&timestamp.min(0xff_ffff).to_be_bytes()[1..]);
    bytes.extend(&(payload.len() as u32).to_be_bytes()[1..]);
    bytes.push(*kind);
    bytes.extend(stream_id.to_le_bytes());
    for (number, piece) in payload.chunks(CHUNK_BYTES).enumerate() {
        if number > 0 {
            bytes.push(0xc0 | id);
        }
        bytes.extend(piece);
    }
    bytes
}

impl Connection {
    /// Connects and asks to publish or play `path`, whose last part is the key. Says that it understands every codec.
    pub fn open(server: SocketAddr, path: &str, publish: bool, receive_bytes: Option<usize>) -> io::Result<Self> {
        let socket = connect(server, Ipv4Addr::LOCALHOST, receive_bytes)?;
        shake_hands(&socket)?;
        let (app, key) = path.rsplit_once('/').unwrap_or(("", path));
        let machine = ClientMachine::new(app, &format!("rtmp://{server}/{app}"), key, publish, true);
        let mut reader = ChunkReader::new();
        reader.allow_media();
        let connection = Self { socket, reader, machine, events: VecDeque::new() };
        connection.send(&connection.machine.connect(), 0)?;
        Ok(connection)
    }

    /// Sends a message.
    pub fn send(&self, message: &Outgoing, timestamp: u32) -> io::Result<()> {
        (&self.socket).write_all(&chunked(message, timestamp))
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.socket).write_all(bytes)
    }

    /// The next event; `None` when there is none in time.
    pub fn next(&mut self, limit: Instant) -> io::Result<Option<ClientEvent>> {
        loop {
            while let Some(event) = self.events.pop_front() {
                match event {
                    ClientEvent::Send(message) => self.send(&message, 0)?,
                    event => return Ok(Some(event)),
                }
            }
            let mut events = Vec::new();
            while let Some(message) = self.reader.next().map_err(io::Error::other)? {
                self.machine.message(message, &mut events).map_err(io::Error::other)?;
            }
            self.events.extend(events);
            if self.events.is_empty() && !self.read(limit)? {
                return Ok(None);
            }
        }
    }

    /// Waits until the server agrees; gives the message stream, or the code with which it refuses.
    pub fn begun(&mut self) -> Result<u32, String> {
        let limit = Instant::now() + Duration::from_secs(10);
        loop {
            match self.next(limit) {
                Ok(Some(ClientEvent::Begun { stream_id })) => return Ok(stream_id),
                Ok(Some(ClientEvent::Ended { code, .. })) => return Err(code),
                Ok(Some(_)) => {}
                Ok(None) => return Err("no answer".into()),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Whether something came before `limit`.
    fn read(&mut self, limit: Instant) -> io::Result<bool> {
        let left = limit.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        self.socket.set_read_timeout(Some(left))?;
        let mut chunk = [0; 16 << 10];
        match (&self.socket).read(&mut chunk) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.reader.buffer().extend_from_slice(&chunk[..count]);
                Ok(true)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Player {
    /// Plays `path`; panics when the server refuses.
    pub fn start(server: SocketAddr, path: &str) -> Self {
        Self::start_with(server, path, None)
    }

    /// The same with a bounded receive buffer.
    pub fn start_with(server: SocketAddr, path: &str, receive_bytes: Option<usize>) -> Self {
        let asked = Instant::now();
        let mut connection = Connection::open(server, path, false, receive_bytes).expect("connect");
        connection.begun().unwrap_or_else(|code| panic!("{path}: {code}"));
        Self { connection, receiver: Receiver::new(), began: asked, tracks: None, asked }
    }

    /// The next unit; `None` when there is none in time.
    pub fn next(&mut self, limit: Instant) -> io::Result<Option<Arrival>> {
        loop {
            if let Some(received) = self.receiver.take() {
                let tracks = self.tracks.as_mut().expect("units come when tracks are known");
                if let Some(codec) = received.codec {
                    *tracks = tracks.with_codec(received.unit.track, codec);
                }
                let track = tracks.get(received.unit.track).expect("a known track").clone();
                let bytes = received.unit.payload.frames().fold(BytesMut::new(), |mut all, frame| {
                    if !is_set(&track.codec, frame.get(0).unwrap_or(0)) {
                        all.extend_from_slice(&frame.to_bytes());
                    }
                    all
                });
                return Ok(Some(Arrival {
                    kind: track.kind(),
                    micros: track.clock_rate.to_micros(received.unit.pts),
                    random_access: received.unit.random_access,
                    bytes: bytes.freeze(),
                    at: Instant::now(),
                }));
            }
            let now = Now::from_micros(self.began.elapsed().as_micros() as u64);
            if self.receiver.is_ready(now) {
                self.tracks = self.receiver.begin();
                continue;
            }
            match self.connection.next(limit)? {
                Some(ClientEvent::Media(media)) => self.receiver.media(media, now).map_err(io::Error::other)?,
                Some(ClientEvent::Ended { code, .. }) => return Err(io::Error::other(code)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// The next unit of video within so many seconds.
    pub fn video(&mut self, seconds: u64) -> Arrival {
        let limit = Instant::now() + Duration::from_secs(seconds);
        loop {
            let unit = self.next(limit).expect("connected").expect("units in time");
            if unit.kind == Kind::Video {
                return unit;
            }
        }
    }
}

fn is_set(codec: &Codec, header: u8) -> bool {
    match codec {
        Codec::H264(_) => matches!(header & 0x1f, 7 | 8),
        Codec::H265(_) => (32..=34).contains(&(header >> 1 & 0x3f)),
        _ => false,
    }
}

/// A message of media.
pub fn media(kind: u8, stream_id: u32, payload: impl Into<Bytes>) -> Outgoing {
    Outgoing { kind, stream_id, payload: payload.into() }
}
