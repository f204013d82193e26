//! Media over TCP, where a network lets no UDP through (RFC 6544): the client connects, and each packet is behind its length
//! (RFC 4571).
//!
//! A connection is one more way of a session, and is found as the others are: by the name in its first connectivity check.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tracing::debug;
use weft_proto::webrtc::ice::{From as Local, Way};
use weft_proto::webrtc::stun;

use super::door::Door;
use super::mux::{Datagram, Inbox};
use crate::worker::accept;
use crate::worker::admission::Admitted;

/// Packets that wait to be written; beyond that they are lost, as on any network.
const QUEUE_MAX: usize = 512;

/// How long a connection may say nothing that belongs to a session.
const SILENT_MAX: Duration = Duration::from_secs(30);

/// Bytes read at once.
const CHUNK_BYTES: usize = 16 << 10;

/// Bytes of the length in front of a packet.
const LENGTH_BYTES: usize = 2;

/// Accepts for ever.
pub async fn accept(door: Rc<Door>, listener: StdListener) -> io::Result<()> {
    let admission = door.shared.admission.clone();
    let serve = |stream, peer, admitted| serve(door.clone(), stream, peer, admitted);
    accept::connections("WebRTC media", listener, admission, serve).await
}

async fn serve(door: Rc<Door>, stream: TcpStream, peer: SocketAddr, admitted: Admitted) {
    let (queue, queued) = mpsc::channel(QUEUE_MAX);
    let id = door.shared.mux.connect(queue);
    let mut connection =
        Connection { door: door.clone(), way: Way { from: Local::Tcp(id), to: peer }, inbox: None, admitted };
    if let Err(error) = connection.run(stream, queued).await {
        debug!(%peer, "WebRTC connection ended: {error}");
    }
    door.shared.mux.disconnect(id);
}

struct Connection {
    door: Rc<Door>,
    way: Way,
    /// The session that it belongs to, once a check has named it.
    inbox: Option<Arc<Inbox>>,
    admitted: Admitted,
}

impl Connection {
    async fn run(&mut self, stream: TcpStream, mut queued: mpsc::Receiver<Bytes>) -> io::Result<()> {
        let (mut reading, mut writing) = stream.into_split();
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(CHUNK_BYTES);
            tokio::select! {
                read = reading.read_buf(&mut buffer) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    self.take(&mut buffer)?;
                }
                packet = queued.recv() => {
                    let Some(packet) = packet else { return Ok(()) };
                    let length = u16::try_from(packet.len()).map_err(io::Error::other)?;
                    writing.write_all(&length.to_be_bytes()).await?;
                    writing.write_all(&packet).await?;
                }
                () = tokio::time::sleep(SILENT_MAX) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }

    /// Gives whole packets to their session. Nobody's end the connection.
    fn take(&mut self, buffer: &mut BytesMut) -> io::Result<()> {
        let mut datagrams = Vec::new();
        while let Some(length) = buffer.first_chunk().map(|length| usize::from(u16::from_be_bytes(*length))) {
            if buffer.len() < LENGTH_BYTES + length {
                break;
            }
            let mut frame = buffer.split_to(LENGTH_BYTES + length);
            let bytes = frame.split_off(LENGTH_BYTES).freeze();
            if self.inbox.is_none() && stun::is_stun(&bytes) {
                self.inbox = self.door.shared.mux.named(&bytes);
                self.admitted.establish();
            }
            if self.inbox.is_none() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            datagrams.push(Datagram { way: self.way, bytes });
        }
        if let Some(inbox) = &self.inbox {
            inbox.deliver(&mut datagrams);
        }
        Ok(())
    }
}
