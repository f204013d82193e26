//! What a session sends, whichever way it takes.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use weft_proto::webrtc::ice::{From as Local, Way};

use super::mux::Mux;
use super::secure::Secure;
use super::stats::SessionCounters;
use crate::worker::udp::{UdpPort, gso_runs};

/// What a session sends: the packets of a turn one behind the other, so that those of one size leave together.
pub(super) struct Outgoing {
    /// None where media goes over TCP only.
    pub(super) port: Option<Rc<UdpPort>>,
    /// Knows connections by TCP.
    mux: Arc<Mux>,
    buffer: Vec<u8>,
    sizes: Vec<usize>,
    /// What the socket did not take yet.
    pending: VecDeque<Pending>,
}

struct Pending {
    way: Way,
    bytes: Bytes,
    segment: Option<usize>,
}

/// A packet behind the other, and their sizes.
type Room = (Vec<u8>, Vec<usize>);

/// Bytes of a room that is kept: a burst's is not.
const ROOM_BYTES_MAX: usize = 256 << 10;

thread_local! {
    /// What the sessions of a worker write into, one after the other: thousands of readers must not have a room each.
    static ROOM: Cell<Option<Room>> = const { Cell::new(None) };
}

fn take_room() -> Room {
    ROOM.take().unwrap_or_default()
}

fn give_back(mut buffer: Vec<u8>, mut sizes: Vec<usize>) {
    if buffer.capacity() <= ROOM_BYTES_MAX {
        buffer.clear();
        sizes.clear();
        ROOM.set(Some((buffer, sizes)));
    }
}

impl Outgoing {
    pub(super) const fn new(port: Option<Rc<UdpPort>>, mux: Arc<Mux>) -> Self {
        Self { port, mux, buffer: Vec::new(), sizes: Vec::new(), pending: VecDeque::new() }
    }

    /// A packet for the way that media takes.
    pub(super) fn push(&mut self, packet: &[u8]) {
        if self.sizes.is_empty() {
            (self.buffer, self.sizes) = take_room();
        }
        self.buffer.extend_from_slice(packet);
        self.sizes.push(packet.len());
    }

    /// The same for plain RTCP.
    pub(super) fn push_rtcp(&mut self, plain: &[u8], secure: &mut Secure, counters: &SessionCounters) {
        if let Some(sealed) = secure.seal_rtcp(plain) {
            SessionCounters::add(&counters.outbound_rtcp, 1);
            self.push(&sealed);
        }
    }

    /// Sends one datagram at once. What does not leave now is lost, as on any network: its protocol says it again.
    pub(super) fn send(&self, way: Way, datagram: &[u8]) {
        self.try_send(way, datagram, None);
    }

    /// Sends what was pushed; says how many bytes that were.
    pub(super) fn flush(&mut self, way: Way) -> usize {
        if self.sizes.is_empty() {
            return 0;
        }
        for (range, segment) in gso_runs(self.sizes.iter().copied()) {
            if self.pending.is_empty() && self.try_send(way, &self.buffer[range.clone()], segment) {
                continue;
            }
            let bytes = Bytes::copy_from_slice(&self.buffer[range]);
            self.pending.push_back(Pending { way, bytes, segment });
        }
        let sent = self.buffer.len();
        give_back(core::mem::take(&mut self.buffer), core::mem::take(&mut self.sizes));
        sent
    }

    /// Whether nothing is left to be done about it: an error says that the other end is gone, which its session notices by itself.
    fn try_send(&self, way: Way, bytes: &[u8], segment: Option<usize>) -> bool {
        let from = match way.from {
            Local::Udp(from) => from,
            Local::Tcp(id) => {
                let packets = bytes.chunks(segment.unwrap_or(bytes.len()).max(1));
                packets.for_each(|packet| self.mux.write(id, packet));
                return true;
            }
        };
        match self.port.as_ref().map(|port| port.try_send_from(from, way.to, bytes, segment)) {
            Some(Err(error)) => error.kind() != io::ErrorKind::WouldBlock,
            Some(Ok(())) | None => true,
        }
    }

    pub(super) fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(Pending { way, bytes, segment }) = self.pending.front() {
            match &self.port {
                Some(port) if !self.try_send(*way, bytes, *segment) => ready!(port.poll_writable(cx))?,
                _ => drop(self.pending.pop_front()),
            }
        }
        Poll::Ready(Ok(()))
    }
}
