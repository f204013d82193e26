//! A TCP or TLS connection as a session uses it: one task polls reading and batched writing together.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

/// Slices handed to one `writev`. A batch is rarely longer: a 4K keyframe is one slice.
const SLICES_MAX: usize = 64;

/// Unsent bytes that the kernel holds for a connection. More would be a delay that no skip rule can undo: 256 KB are 1 s
/// of 2 Mbit/s, and enough for 1 Gbit/s at a round trip of 2 ms.
const UNSENT_BYTES_MAX: u32 = 256 << 10;

/// Room for one packet of Ethernet's size.
const ROOM_BYTES: usize = 2048;

/// A connection, plain or encrypted.
#[derive(Debug)]
pub enum Wire {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    /// Sets what every media connection wants: no Nagle, little unsent data in the kernel.
    pub fn tune(stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        socket2::SockRef::from(stream).set_keepalive(true)?;
        let value = UNSENT_BYTES_MAX;
        // SAFETY: the descriptor is open for the call, and the option value is a `u32` of the length that is passed.
        let set = unsafe {
            libc::setsockopt(
                stream.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_NOTSENT_LOWAT,
                (&raw const value).cast(),
                size_of::<u32>() as libc::socklen_t,
            )
        };
        if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// The port that the client has connected to.
    pub fn local_port(&self) -> Option<u16> {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        };
        stream.local_addr().ok().map(|address| address.port())
    }

    /// Reads what is there into `buffer`; 0 is the end. When less than a packet's room is left, `chunk` more bytes are
    /// allocated: packets lie one behind the other in their chunk and share it.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut BytesMut, chunk: usize) -> Poll<io::Result<usize>> {
        if buffer.capacity() - buffer.len() < chunk.min(ROOM_BYTES) {
            buffer.reserve(chunk);
        }
        let mut target = ReadBuf::uninit(buffer.spare_capacity_mut());
        let read = match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, &mut target),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, &mut target),
        };
        ready!(read)?;
        let count = target.filled().len();
        // SAFETY: `poll_read` has initialised the first `count` bytes of the spare capacity.
        unsafe { buffer.set_len(buffer.len() + count) };
        Poll::Ready(Ok(count))
    }

    /// Its addresses: this end's, the other one's.
    pub fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        };
        Ok((stream.local_addr()?, stream.peer_addr()?))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }
}

/// What waits to be written. Media waits in the stream's log, so this holds one batch at most.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: VecDeque<Bytes>,
    written: u64,
    flushing: bool,
}

impl Outbox {
    /// Adds bytes at the end.
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.queue.push_back(bytes);
        }
    }

    /// Whether all is written.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && !self.flushing
    }

    /// Bytes written since the beginning.
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// Writes as much as the connection takes; ready when nothing is left.
    pub fn poll_drain(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.queue.is_empty() {
            let empty = IoSlice::new(&[]);
            let mut slices = [empty; SLICES_MAX];
            let mut count = 0;
            for (slice, bytes) in slices.iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(bytes);
                count += 1;
            }
            let written = ready!(wire.poll_write(cx, &slices[..count]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.consume(written);
            self.flushing = true;
        }
        if self.flushing {
            ready!(wire.poll_flush(cx))?;
            self.flushing = false;
        }
        self.give_back();
        Poll::Ready(Ok(()))
    }

    fn consume(&mut self, mut written: usize) {
        self.written += written as u64;
        while let Some(first) = self.queue.front_mut() {
            if written < first.len() {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.queue.pop_front();
        }
    }

    /// A burst leaves a large queue behind; thousands of readers must not keep theirs.
    fn give_back(&mut self) {
        if self.queue.capacity() > SLICES_MAX {
            self.queue = VecDeque::new();
        }
    }
}
