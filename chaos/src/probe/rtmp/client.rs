//! Handshake, connect, createStream, and publish or play, blocking.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use weft_proto::rtmp::message::kind;
use weft_proto::rtmp::{self, ClientEvent, ClientMachine, Outgoing};

use super::super::ProbeError;
use super::super::door::Url;
use super::{CHUNK_BYTES, Wire, put_message};

/// Bytes of C1, S1, C2 and S2 (RTMP 1.0 section 5.2).
const HANDSHAKE_BYTES: usize = 1536;

/// A server that says nothing for so long has no answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that has begun to publish or play.
pub(super) struct Begun {
    pub(super) socket: TcpStream,
    pub(super) wire: Wire,
    pub(super) stream_id: u32,
    /// Bytes of media that came with the answer.
    pub(super) early: Vec<u8>,
    /// Bytes received behind the handshake.
    pub(super) received: u64,
}

/// Begins.
pub(super) fn begin(url: &Url, publish: bool) -> Result<Begun, ProbeError> {
    let mut socket = dial(url)?;
    shake_hands(&mut socket).map_err(ProbeError::io("RTMP handshake"))?;
    let (app, key) = url.path.rsplit_once('/').unwrap_or(("", &url.path));
    let key = format!("{key}{}", url.query);
    let mut machine = ClientMachine::new(app, &format!("rtmp://{}/{app}", url.authority), &key, publish, true);
    let mut wire = Wire::new();
    let mut chunks = Vec::new();
    put_message(kind::SET_CHUNK_SIZE, 0, 0, &[&CHUNK_BYTES.to_be_bytes()], &mut chunks);
    put(&machine.connect(), &mut chunks);
    socket.write_all(&chunks).map_err(ProbeError::io("send"))?;
    let (mut received, mut begun) = (0, None);
    let mut early = Vec::new();
    while begun.is_none() {
        let mut chunk = [0; 4096];
        let count = socket.read(&mut chunk).map_err(ProbeError::io("wait for an answer"))?;
        if count == 0 {
            return Err(refused(url, publish, "the server closed the connection"));
        }
        received += count as u64;
        // One byte at a time, so that what follows the answer is left to the reader thread.
        for (at, byte) in chunk[..count].iter().enumerate() {
            let mut events = Vec::new();
            let mut failed = None;
            let walked = wire.feed(std::slice::from_ref(byte), |message| {
                let body = bytes::Bytes::copy_from_slice(message.bytes).into();
                let (kind, stream_id, timestamp) = (message.kind, message.stream_id, message.timestamp);
                let message = rtmp::Message { kind, stream_id, timestamp, body };
                failed = machine.message(message, &mut events).err();
            });
            if walked.is_err() || failed.is_some() {
                return Err(refused(url, publish, "an answer that makes no sense"));
            }
            let mut answers = Vec::new();
            for event in events {
                match event {
                    ClientEvent::Send(message) => put(&message, &mut answers),
                    ClientEvent::Begun { stream_id } => begun = Some(stream_id),
                    ClientEvent::Ended { code, .. } => return Err(refused(url, publish, &code)),
                    ClientEvent::Media(_) | ClientEvent::Reconnect { .. } => {}
                }
            }
            socket.write_all(&answers).map_err(ProbeError::io("send"))?;
            if begun.is_some() {
                early = chunk[at + 1..count].to_vec();
                break;
            }
        }
    }
    Ok(Begun { socket, wire, stream_id: begun.unwrap_or(1), early, received })
}

fn put(message: &Outgoing, out: &mut Vec<u8>) {
    put_message(message.kind, message.stream_id, 0, &[&message.payload], out);
}

fn refused(url: &Url, publish: bool, reason: &str) -> ProbeError {
    let method = if publish { "publish" } else { "play" };
    ProbeError::Refused { method, url: url.to_string(), status: 0, reason: reason.to_owned() }
}

fn dial(url: &Url) -> Result<TcpStream, ProbeError> {
    let wrong = |source| ProbeError::Connect { addr: url.authority.clone(), source };
    let addr = url.authority.to_socket_addrs().map_err(wrong)?.next();
    let addr = addr.ok_or_else(|| wrong(std::io::ErrorKind::NotFound.into()))?;
    let socket = TcpStream::connect_timeout(&addr, TIMEOUT).map_err(wrong)?;
    socket.set_nodelay(true).map_err(wrong)?;
    socket.set_read_timeout(Some(TIMEOUT)).map_err(wrong)?;
    socket.set_write_timeout(Some(TIMEOUT)).map_err(wrong)?;
    Ok(socket)
}

fn shake_hands(socket: &mut TcpStream) -> std::io::Result<()> {
    let mut hello = vec![0; 1 + HANDSHAKE_BYTES];
    hello[0] = 3;
    socket.write_all(&hello)?;
    let mut answer = vec![0; 1 + 2 * HANDSHAKE_BYTES];
    socket.read_exact(&mut answer)?;
    socket.write_all(&answer[1..=HANDSHAKE_BYTES])
}
