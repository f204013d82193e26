//! What a session sends, whichever way it takes.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use weft_proto::webrtc::ice::{From as Local, Way};

use super::mux::Mux;
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

/// Room that a session keeps between turns: thousands of readers must not keep what a burst took.
const BUFFER_KEPT: usize = 4 << 10;

impl Outgoing {
    pub(super) const fn new(port: Option<Rc<UdpPort>>, mux: Arc<Mux>) -> Self {
        Self { port, mux, buffer: Vec::new(), sizes: Vec::new(), pending: VecDeque::new() }
    }

    /// A packet for the way that media takes.
    pub(super) fn push(&mut self, packet: &[u8]) {
        self.buffer.extend_from_slice(packet);
        self.sizes.push(packet.len());
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
        self.sizes.clear();
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_KEPT);
        self.sizes.shrink_to(BUFFER_KEPT / 512);
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
