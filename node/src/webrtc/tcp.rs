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
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::debug;
use weft_proto::webrtc::ice::{From as Local, Way};
use weft_proto::webrtc::stun;

use super::door::Door;
use super::mux::{Datagram, Inbox};
use crate::worker::accept;
use crate::worker::admission::Admitted;

/// Packets that wait to be written; beyond that they are lost, as on any network.
const QUEUE_MAX: usize = 512;

/// How long a connection may say nothing: checks come every few seconds.
const SILENT_MAX: Duration = Duration::from_secs(30);

/// Bytes read at once.
const CHUNK_BYTES: usize = 16 << 10;

/// Bytes of the length in front of a packet.
const LENGTH_BYTES: usize = 2;

/// Bytes of a packet: what no network carries is no packet of media.
const PACKET_BYTES_MAX: usize = 4096;

/// Accepts for ever.
pub async fn accept(door: Rc<Door>, listener: StdListener) -> io::Result<()> {
    let admission = door.shared.admission.clone();
    let serve = |stream, peer, admitted| serve(door.clone(), stream, peer, admitted);
    accept::connections("WebRTC media", listener, admission, serve).await
}

async fn serve(door: Rc<Door>, stream: TcpStream, peer: SocketAddr, admitted: Admitted) {
    let (queue, queued) = mpsc::channel(QUEUE_MAX);
    let id = door.shared.mux.connect(queue);
    let write_timeout = door.shared.config().write_timeout;
    let mut incoming =
        Incoming { door: door.clone(), way: Way { from: Local::Tcp(id), to: peer }, inbox: None, admitted };
    let (reading, writing) = stream.into_split();
    // Reading goes on while nothing can be written: checks are to be heard.
    let ended = tokio::select! {
        ended = incoming.read(reading) => ended,
        ended = write(writing, queued, write_timeout) => ended,
    };
    if let Err(error) = ended {
        debug!(%peer, "WebRTC connection ended: {error}");
    }
    door.shared.mux.disconnect(id);
}

async fn write(mut stream: OwnedWriteHalf, mut queued: mpsc::Receiver<Bytes>, limit: Duration) -> io::Result<()> {
    while let Some(packet) = queued.recv().await {
        let length = u16::try_from(packet.len()).map_err(io::Error::other)?;
        timeout(limit, async {
            stream.write_all(&length.to_be_bytes()).await?;
            stream.write_all(&packet).await
        })
        .await??;
    }
    Ok(())
}

struct Incoming {
    door: Rc<Door>,
    way: Way,
    /// The session that it belongs to, once a check has named it.
    inbox: Option<Arc<Inbox>>,
    admitted: Admitted,
}

impl Incoming {
    async fn read(&mut self, mut stream: OwnedReadHalf) -> io::Result<()> {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(CHUNK_BYTES);
            if timeout(SILENT_MAX, stream.read_buf(&mut buffer)).await?? == 0 {
                return Ok(());
            }
            self.take(&mut buffer)?;
        }
    }

    /// Gives whole packets to their session. What is nobody's ends the connection.
    fn take(&mut self, buffer: &mut BytesMut) -> io::Result<()> {
        let mut datagrams = Vec::new();
        while let Some(length) = buffer.first_chunk().map(|length| usize::from(u16::from_be_bytes(*length))) {
            if length > PACKET_BYTES_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if buffer.len() < LENGTH_BYTES + length {
                break;
            }
            let mut frame = buffer.split_to(LENGTH_BYTES + length);
            let bytes = frame.split_off(LENGTH_BYTES).freeze();
            if self.inbox.is_none() && stun::is_stun(&bytes) {
                self.inbox = self.door.shared.mux.named(&bytes);
            }
            if self.inbox.as_ref().is_none_or(|inbox| inbox.is_closed()) {
                return Err(io::ErrorKind::InvalidData.into());
            }
            datagrams.push(Datagram { way: self.way, bytes });
        }
        if let Some(inbox) = &self.inbox {
            inbox.deliver(&mut datagrams);
            // Whoever has keys has shown that it may be here.
            if inbox.is_proven() {
                self.admitted.establish();
            }
        }
        Ok(())
    }
}
