//! One reader's sockets inside a reader thread.

use std::io;
use std::net::{TcpStream, UdpSocket};
use std::os::fd::AsFd;

use super::Ticket;
use super::gauge::{Gauge, Meter};
use super::wire::{HEAD, Wire};
use crate::probe::clock::now_ns;
use crate::probe::door::{Keepalive, Media, Seat};
use crate::probe::rtmp;
use crate::probe::sys::{self, Batch, Epoll};
use crate::probe::webrtc::Reading;

/// Low bits of a token that say which socket of a connection is ready.
pub(super) const LANE_BITS: u32 = 2;
const LANE_CONTROL: u64 = 0;
const LANE_VIDEO: u64 = 1;
const LANE_AUDIO: u64 = 2;

/// One read takes what a socket holds of a large frame, and of no reader so much that others wait long.
const TCP_CHUNK: usize = 256 << 10;
const DATAGRAMS: usize = 64;
const DATAGRAM_MAX: usize = 2_048;
/// Bytes after which RTMP is acknowledged: a fifth of the usual window.
const ACKNOWLEDGED_BYTES: u64 = 500_000;
/// An empty receiver report (RFC 3550 section 6.4.2): players send them, and servers may miss them.
const EMPTY_REPORT: [u8; 8] = [0x80, 201, 0, 1, 0, 0, 0, 0];

/// Memory into which all readers of a thread read.
pub(super) struct Scratch {
    bytes: Vec<u8>,
    heads: Batch,
    whole: Batch,
}

impl Scratch {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; TCP_CHUNK],
            heads: Batch::new(DATAGRAMS, HEAD),
            whole: Batch::new(DATAGRAMS, DATAGRAM_MAX),
        }
    }
}

/// A reader.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) gauge: Gauge,
    control: Option<TcpStream>,
    keepalive: Option<Keepalive>,
    keepalive_ns: u64,
    wire: Wire,
    media: Media,
    /// Bytes of RTMP, and how many of them are acknowledged.
    received: (u64, u64),
}

impl Connection {
    pub(super) fn new(mut seat: Seat, ticket: Ticket, verify: bool) -> Self {
        let mut received = 0;
        if let Media::Messages { wire, received: before, .. } = &mut seat.media {
            wire.whole = verify;
            received = *before;
        }
        Self {
            received: (received, 0),
            gauge: Gauge::new(ticket.path, seat.asked_ns, seat.joined_ns, verify).at(ticket.place),
            control: seat.control,
            keepalive: seat.keepalive,
            keepalive_ns: seat.joined_ns,
            wire: Wire::new(verify),
            media: seat.media,
        }
    }

    /// Starts to watch its sockets as number `index`, and takes what came while it joined. Returns how many bytes that was.
    pub(super) fn enter(&mut self, epoll: &Epoll, index: u64, meter: &mut Meter) -> u64 {
        let token = index << LANE_BITS;
        let mut added =
            self.control.as_ref().map_or(Ok(()), |control| epoll.add(control.as_fd(), token | LANE_CONTROL));
        let mut early = Vec::new();
        match &mut self.media {
            Media::Parts(viewing) => {
                let begun = self.control.as_ref().map(|control| sys::send(control.as_fd(), viewing.begin().as_bytes()));
                added = added.and(begun.unwrap_or(Ok(0)).map(drop));
            }
            Media::Interleaved { early: bytes, .. } | Media::Messages { early: bytes, .. } => {
                early = std::mem::take(bytes);
            }
            Media::Sealed(reading) => {
                added = added.and_then(|()| epoll.add(reading.socket().as_fd(), token | LANE_VIDEO));
            }
            Media::Datagrams { video, audio } => {
                added = added.and_then(|()| epoll.add(video.0.as_fd(), token | LANE_VIDEO));
                if let Some((audio, _)) = audio {
                    added = added.and_then(|()| epoll.add(audio.as_fd(), token | LANE_AUDIO));
                }
            }
        }
        if added.is_err() || !self.walk(&early, meter) {
            self.end();
        }
        early.len() as u64
    }

    /// Reads from the socket that `token` names. Returns how many bytes of media and messages came.
    pub(super) fn read(&mut self, token: u64, scratch: &mut Scratch, meter: &mut Meter) -> u64 {
        let got = match (token & ((1 << LANE_BITS) - 1), &mut self.media) {
            (_, Media::Sealed(reading)) => match sealed(reading, &mut scratch.whole, &mut self.gauge, meter) {
                Some(bytes) => return bytes,
                None => {
                    self.end();
                    return 0;
                }
            },
            (LANE_VIDEO, Media::Datagrams { video, .. }) => {
                datagrams(&video.0, scratch, &mut self.gauge, |gauge, packet, now| {
                    gauge.video_packet(packet, now, meter);
                })
            }
            (LANE_AUDIO, Media::Datagrams { audio: Some((audio, _)), .. }) => {
                datagrams(audio, scratch, &mut self.gauge, |gauge, packet, now| gauge.audio_packet(packet, now, meter))
            }
            _ => return self.read_control(&mut scratch.bytes, meter),
        };
        // An error here is an ICMP message about our own reports, not the end of the stream.
        got.unwrap_or(0)
    }

    fn read_control(&mut self, scratch: &mut [u8], meter: &mut Meter) -> u64 {
        let Some(control) = &self.control else { return 0 };
        match sys::recv(control.as_fd(), scratch) {
            Ok(0) => self.end(),
            Ok(count) => {
                if !self.walk(&scratch[..count], meter) {
                    self.end();
                }
                return count as u64;
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => self.end(),
        }
        0
    }

    /// False when the bytes make no sense.
    fn walk(&mut self, bytes: &[u8], meter: &mut Meter) -> bool {
        let now = now_ns();
        if let (Media::Parts(viewing), Some(control)) = (&mut self.media, &self.control) {
            // A request is small and the only one under way: the socket takes it.
            return match viewing.feed(bytes, now, &mut self.gauge, meter) {
                Ok(Some(request)) => {
                    sys::send(control.as_fd(), request.as_bytes()).is_ok_and(|sent| sent == request.len())
                }
                Ok(None) => true,
                Err(_) => false,
            };
        }
        if let Media::Messages { wire, .. } = &mut self.media {
            self.received.0 += bytes.len() as u64;
            let gauge = &mut self.gauge;
            return wire.feed(bytes, |message| gauge.message(&message, now, meter)).is_ok();
        }
        let (video, audio) = match self.media {
            Media::Interleaved { video, audio, .. } => (Some(video), audio),
            _ => (None, None),
        };
        let gauge = &mut self.gauge;
        let walked = self.wire.feed(bytes, |channel, packet, _| {
            if Some(channel) == video {
                gauge.video_packet(packet, now, meter);
            } else if Some(channel) == audio {
                gauge.audio_packet(packet, now, meter);
            }
        });
        walked.is_ok()
    }

    /// Keeps the session open.
    pub(super) fn tend(&mut self, now_ns: u64) {
        if let Media::Sealed(reading) = &mut self.media
            && !self.gauge.ended
            && !reading.tend(now_ns, &self.gauge)
        {
            return self.end();
        }
        if let (Media::Messages { .. }, Some(control)) = (&self.media, &self.control)
            && self.received.0 > self.received.1 + ACKNOWLEDGED_BYTES
        {
            // Some servers end readers that do not acknowledge.
            self.received.1 = self.received.0;
            let _ = sys::send(control.as_fd(), &rtmp::acknowledgement(self.received.0));
        }
        let (Some(control), Some(keepalive)) = (&self.control, &mut self.keepalive) else { return };
        if now_ns < self.keepalive_ns + keepalive.every_ns {
            return;
        }
        self.keepalive_ns = now_ns;
        // If the socket is full the server is not reading, and has other worries than this session.
        let _ = sys::send(control.as_fd(), keepalive.renew().as_bytes());
        if let Media::Datagrams { video, audio } = &self.media {
            for (_, reports) in std::iter::once(video).chain(audio) {
                let _ = reports.send(&EMPTY_REPORT);
            }
        }
    }

    fn end(&mut self) {
        self.control = None;
        self.gauge.ended = true;
    }
}

/// Takes all that a session's socket has, but not for ever; `None` when the server has ended it.
fn sealed(reading: &mut Reading, batch: &mut Batch, gauge: &mut Gauge, meter: &mut Meter) -> Option<u64> {
    // An error is an ICMP message about something of ours.
    let count = batch.recv(reading.socket().as_fd()).unwrap_or(0);
    let (now, mut bytes) = (now_ns(), 0);
    for index in 0..count {
        let (datagram, len) = batch.datagram(index);
        bytes += len as u64;
        if !reading.datagram(datagram, now, gauge, meter) {
            return None;
        }
    }
    Some(bytes)
}

fn datagrams(
    socket: &UdpSocket,
    scratch: &mut Scratch,
    gauge: &mut Gauge,
    mut each: impl FnMut(&mut Gauge, &[u8], u64),
) -> io::Result<u64> {
    let batch = if gauge.verifies() { &mut scratch.whole } else { &mut scratch.heads };
    let mut bytes = 0;
    loop {
        let count = batch.recv(socket.as_fd())?;
        let now = now_ns();
        for index in 0..count {
            let (packet, len) = batch.datagram(index);
            bytes += len as u64;
            each(gauge, packet, now);
        }
        if count < batch.capacity() {
            return Ok(bytes);
        }
    }
}
