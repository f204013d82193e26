//! The reading half of a session: deliveries of the fabric to packets on the wire.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use weft_cluster::Subscription;
use weft_cluster::path::EndReason;
use weft_cluster::stream::Delivery;
use weft_proto::media::TrackId;
use weft_proto::rtp::rtcp;
use weft_proto::rtsp::write_interleaved_header;
use weft_proto::time::Now;

use super::door::UdpPair;
use super::stats::SessionCounters;
use crate::egress::rtp::FRAME_BYTES;
use crate::egress::rtp_reader::{Rewritten, RtpReader};
use crate::worker::tcp::Outbox;
use crate::worker::udp::{UdpPort, gso_runs};
use crate::worker::{Bell, Listening};

/// Where a track's packets go over UDP.
#[derive(Clone, Copy, Debug)]
pub(super) struct UdpTarget {
    /// RTP.
    pub(super) rtp: SocketAddr,
    /// RTCP.
    pub(super) rtcp: SocketAddr,
}

/// How packets reach the reader.
pub(super) enum Carrier {
    /// Inside the RTSP connection.
    Interleaved,
    /// By UDP, each track to its own ports.
    Udp {
        /// The worker's sockets.
        sockets: Rc<UdpPair>,
        /// By joined track.
        targets: Vec<Option<UdpTarget>>,
        /// What the socket did not take yet.
        pending: VecDeque<UdpSend>,
    },
}

/// One send that had to wait.
pub(super) struct UdpSend {
    rtcp: bool,
    to: SocketAddr,
    bytes: Bytes,
    segment: Option<usize>,
}

/// A session that reads.
pub(super) struct Playing {
    subscription: Subscription,
    _listening: Listening,
    pub(super) bell: Rc<Bell>,
    reader: RtpReader,
    pub(super) carrier: Carrier,
    batch: Vec<Delivery>,
    started: bool,
    /// Read again at this time: the burst is paced.
    pub(super) resume_at: Option<Now>,
    pub(super) skipped: u64,
}

impl Playing {
    pub(super) fn new(
        subscription: Subscription,
        listening: Listening,
        bell: Rc<Bell>,
        reader: RtpReader,
        carrier: Carrier,
    ) -> Self {
        bell.ring();
        Self {
            subscription,
            _listening: listening,
            bell,
            reader,
            carrier,
            batch: Vec::new(),
            started: false,
            resume_at: None,
            skipped: 0,
        }
    }

    /// Why it is over, if it is.
    /// Whether the reader is to be asked to go; once.
    pub(super) fn take_drain(&self) -> bool {
        self.subscription.take_drain()
    }

    pub(super) fn ended(&self) -> Option<EndReason> {
        self.subscription.ended()
    }

    /// Takes the next batch from the log and sends it. Whether there is more at once.
    pub(super) fn pump(&mut self, outbox: &mut Outbox, counters: &SessionCounters) -> io::Result<bool> {
        self.batch.clear();
        let mut batch = core::mem::take(&mut self.batch);
        let state = self.subscription.read(&mut batch);
        self.resume_at = state.resume_at;
        self.skipped += self.subscription.take_skipped();
        let mut sent = 0;
        for delivery in batch.drain(..) {
            let Some((id, rewritten)) = self.reader.rewrite(&delivery) else { continue };
            if !core::mem::replace(&mut self.started, true) {
                // Players need both clocks before the first packet, or lips go out of sync.
                self.send_reports(outbox, counters)?;
            }
            sent += self.send(id, &rewritten, outbox, counters)?;
        }
        // A burst's room is given back: thousands of readers must not keep theirs.
        self.batch = if batch.capacity() > BATCH_KEPT { Vec::new() } else { batch };
        self.subscription.count_sent(sent);
        if !self.is_interleaved() {
            SessionCounters::add(&counters.outbound_bytes, sent);
        }
        Ok(state.more)
    }

    fn send(
        &mut self,
        id: TrackId,
        rewritten: &Rewritten,
        outbox: &mut Outbox,
        counters: &SessionCounters,
    ) -> io::Result<usize> {
        let (Rewritten::Shared(packed) | Rewritten::Own(_, packed)) = rewritten;
        SessionCounters::add(&counters.outbound_packets, usize::from(packed.count()));
        match (&mut self.carrier, rewritten) {
            (Carrier::Interleaved, Rewritten::Shared(packed)) => outbox.push(packed.framed().clone()),
            (Carrier::Interleaved, Rewritten::Own(bytes, _)) => outbox.push(bytes.clone()),
            (Carrier::Udp { sockets, targets, pending }, _) => {
                let Some(target) = targets.get(usize::from(id.0)).copied().flatten() else { return Ok(0) };
                let plain = match rewritten {
                    Rewritten::Shared(packed) => packed.plain().clone(),
                    Rewritten::Own(framed, _) => without_frames(framed),
                };
                for (range, segment) in gso_runs(packed.packets().map(<[u8]>::len)) {
                    let bytes = plain.slice(range);
                    let send = UdpSend { rtcp: false, to: target.rtp, bytes, segment };
                    send_or_keep(sockets, pending, send)?;
                }
            }
        }
        Ok(packed.framed().len())
    }

    /// Sends a sender report for each track.
    pub(super) fn send_reports(&mut self, outbox: &mut Outbox, counters: &SessionCounters) -> io::Result<()> {
        for (id, track) in self.reader.tracks() {
            let Some(info) = self.reader.sender_info(track) else { continue };
            let mut packet = Vec::with_capacity(64);
            rtcp::write_sender_report(&mut packet, &info, &[], CNAME);
            SessionCounters::add(&counters.outbound_rtcp, 1);
            send_rtcp(&mut self.carrier, id, track.channel + 1, packet, outbox)?;
        }
        Ok(())
    }

    /// Says that the stream is over.
    pub(super) fn send_byes(&mut self, outbox: &mut Outbox) -> io::Result<()> {
        for (id, track) in self.reader.tracks() {
            let mut packet = Vec::new();
            rtcp::write_bye(&mut packet, track.line.ssrc);
            send_rtcp(&mut self.carrier, id, track.channel + 1, packet, outbox)?;
        }
        Ok(())
    }

    /// Whether all that was sent has left; only UDP holds anything back here.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Carrier::Udp { sockets, pending, .. } = &mut self.carrier else { return Poll::Ready(Ok(())) };
        while let Some(send) = pending.front() {
            let port = if send.rtcp { &sockets.rtcp } else { &sockets.rtp };
            match port.try_send(send.to, &send.bytes, send.segment) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(port.poll_writable(cx))?,
                _ => drop(pending.pop_front()),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether packets go inside the connection.
    pub(super) const fn is_interleaved(&self) -> bool {
        matches!(self.carrier, Carrier::Interleaved)
    }

    /// Whether something waits for the UDP socket.
    pub(super) fn is_blocked(&self) -> bool {
        matches!(&self.carrier, Carrier::Udp { pending, .. } if !pending.is_empty())
    }
}

/// The canonical name in reports. One for all: it says nothing about the machine.
pub(super) const CNAME: &str = "weft";

/// Deliveries whose room is kept between batches.
const BATCH_KEPT: usize = 8;

fn send_rtcp(carrier: &mut Carrier, id: TrackId, channel: u8, packet: Vec<u8>, outbox: &mut Outbox) -> io::Result<()> {
    match carrier {
        Carrier::Interleaved => {
            if let Some(header) = write_interleaved_header(channel, packet.len()) {
                outbox.push([&header[..], &packet].concat().into());
            }
            Ok(())
        }
        Carrier::Udp { sockets, targets, pending } => {
            let Some(target) = targets.get(usize::from(id.0)).copied().flatten() else { return Ok(()) };
            send_or_keep(sockets, pending, UdpSend { rtcp: true, to: target.rtcp, bytes: packet.into(), segment: None })
        }
    }
}

fn send_or_keep(sockets: &UdpPair, pending: &mut VecDeque<UdpSend>, send: UdpSend) -> io::Result<()> {
    let port: &UdpPort = if send.rtcp { &sockets.rtcp } else { &sockets.rtp };
    if pending.is_empty() {
        match port.try_send(send.to, &send.bytes, send.segment) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // A reader that is gone answers with ICMP errors; its session notices by itself.
            _ => return Ok(()),
        }
    }
    pending.push_back(send);
    Ok(())
}

/// The packets of a framed buffer one behind the other.
fn without_frames(framed: &[u8]) -> Bytes {
    let mut plain = Vec::with_capacity(framed.len());
    let mut rest = framed;
    while let Some((frame, after)) = rest.split_first_chunk::<FRAME_BYTES>() {
        let (packet, after) = after.split_at(usize::from(u16::from_be_bytes([frame[2], frame[3]])).min(after.len()));
        plain.extend_from_slice(packet);
        rest = after;
    }
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_off() {
        assert_eq!(without_frames(b"$\x00\x00\x02ab$\x00\x00\x01c"), &b"abc"[..]);
    }
}
