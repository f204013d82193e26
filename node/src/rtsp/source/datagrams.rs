//! The UDP ports of a source: a pair for each track, and who may send to them. Ports of its own, or those of a group that it
//! joins.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use weft_proto::rtsp::Ports;

use super::group::{self, Group};
use super::intake::Heard;
use crate::source::SourceEnd;

/// A datagram of Ethernet's size, and jumbo frames' (as in the server's own ports).
const DATAGRAM_BYTES_MAX: usize = 9216;

/// Bytes of one chunk that datagrams are read into.
const CHUNK_BYTES: usize = 64 << 10;

/// Receive buffer of each socket, where the system allows so much: a keyframe at once.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;

/// Packets that are taken at once at most, so that the connection is looked at in between.
const HEARD_MAX: usize = 256;

/// Ports that are tried before it is given up.
const ATTEMPTS: u16 = 200;

/// An empty packet and an empty report: they open the way back through address translation.
const EMPTY_PACKET: [u8; 12] = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const EMPTY_REPORT: [u8; 8] = [0x80, 201, 0, 1, 0, 0, 0, 0];

/// The ports of all tracks.
pub(super) struct Datagrams {
    any_port: bool,
    pairs: Vec<Pair>,
    buffer: BytesMut,
}

struct Pair {
    section: usize,
    rtp: UdpSocket,
    rtcp: UdpSocket,
    from: Option<From>,
    /// The group that they are of.
    group: Option<Group>,
}

/// Who sends.
#[derive(Clone, Copy)]
struct From {
    address: IpAddr,
    /// Unknown where the server does not say its ports.
    ports: Option<Ports>,
}

impl Datagrams {
    /// `any_port`: whether packets may come from any port of the server.
    pub(super) fn new(any_port: bool) -> Self {
        Self { any_port, pairs: Vec::new(), buffer: BytesMut::new() }
    }

    /// Binds a pair for a section: an even port and the next (RFC 3550 section 11).
    pub(super) fn bind(
        &mut self,
        section: usize,
        address: IpAddr,
        (first, last): (u16, u16),
    ) -> Result<Ports, SourceEnd> {
        let pairs = (last.saturating_sub(first) / 2).max(1);
        let start = super::super::session::random_u32() as u16 % pairs;
        for attempt in 0..ATTEMPTS.min(pairs) {
            let port = (first + first % 2).saturating_add((start + attempt) % pairs * 2);
            if port >= last {
                continue;
            }
            if let (Ok(rtp), Ok(rtcp)) = (socket(address, port), socket(address, port + 1)) {
                self.pairs.push(Pair { section, rtp, rtcp, from: None, group: None });
                return Ok(Ports { rtp: port, rtcp: port + 1 });
            }
        }
        Err(SourceEnd::Server(format!("no pair of UDP ports is free between {first} and {last}")))
    }

    /// Joins a group for a section, in which packets of this sender are taken. From which ports it sends nobody says.
    pub(super) fn join(&mut self, section: usize, group: Group, from: IpAddr) -> Result<(), SourceEnd> {
        let (rtp, rtcp) = group.join().map_err(|error| group::failed(&group, &error))?;
        let from = Some(From { address: from.to_canonical(), ports: None });
        self.pairs.push(Pair { section, rtp, rtcp, from, group: Some(group) });
        Ok(())
    }

    /// Who sends to the pair that was bound last.
    pub(super) fn expect(&mut self, address: IpAddr, ports: Option<Ports>) -> Result<(), SourceEnd> {
        if ports.is_none() && !self.any_port {
            let why = "the server does not say its UDP ports; `rtspAnyPort: yes` takes packets from any";
            return Err(SourceEnd::Server(why.into()));
        }
        if let Some(pair) = self.pairs.last_mut() {
            pair.from = Some(From { address: address.to_canonical(), ports });
        }
        Ok(())
    }

    /// Opens the ways through address translation.
    pub(super) async fn open_ways(&self) {
        for Pair { rtp, rtcp, from, .. } in &self.pairs {
            if let Some(From { address, ports: Some(ports) }) = from {
                // What is lost here costs no more than what is not sent.
                let _ = rtp.send_to(&EMPTY_PACKET, (*address, ports.rtp)).await;
                let _ = rtcp.send_to(&EMPTY_REPORT, (*address, ports.rtcp)).await;
            }
        }
    }

    /// Sends a report about a section.
    pub(super) fn report(&self, section: usize, packet: &[u8]) {
        let pair = self.pairs.iter().find(|pair| pair.section == section);
        let to = |Pair { from, group, .. }: &Pair| match (group, from) {
            // The others of a group hear it too (RFC 3550 section 6.2).
            (Some(group), _) => Some(SocketAddr::new(group.address, group.ports.rtcp)),
            (None, Some(From { address, ports: Some(ports) })) => Some(SocketAddr::new(*address, ports.rtcp)),
            _ => None,
        };
        if let Some((pair, to)) = pair.and_then(|pair| Some((pair, to(pair)?))) {
            // Reports may be lost.
            let _ = pair.rtcp.try_send_to(packet, to);
        }
    }

    /// Waits for packets and adds what is there.
    pub(super) async fn hear(&mut self, heard: &mut Vec<Heard>) {
        poll_fn(|cx| self.poll_hear(cx, heard)).await;
    }

    fn poll_hear(&mut self, cx: &mut Context<'_>, heard: &mut Vec<Heard>) -> Poll<()> {
        for Pair { section, rtp, rtcp, from, .. } in &self.pairs {
            for (socket, is_rtcp) in [(rtp, false), (rtcp, true)] {
                while heard.len() < HEARD_MAX {
                    let received = poll_datagram(socket, &mut self.buffer, cx);
                    let Poll::Ready(received) = received else { break };
                    // Errors are those of what was sent before: the server's port was closed for a moment.
                    let Ok((sender, bytes)) = received else { continue };
                    if from.is_some_and(|from| from.is(sender, is_rtcp, self.any_port)) {
                        heard.push(Heard { section: *section, is_rtcp, bytes });
                    }
                }
            }
        }
        if heard.is_empty() { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl From {
    fn is(self, sender: SocketAddr, is_rtcp: bool, any_port: bool) -> bool {
        let port = self.ports.map(|ports| if is_rtcp { ports.rtcp } else { ports.rtp });
        sender.ip().to_canonical() == self.address && (any_port || port.is_none_or(|port| port == sender.port()))
    }
}

/// One datagram, behind the last one in its chunk.
fn poll_datagram(
    socket: &UdpSocket,
    buffer: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<(SocketAddr, bytes::Bytes)>> {
    if buffer.len() < DATAGRAM_BYTES_MAX {
        *buffer = BytesMut::zeroed(CHUNK_BYTES);
    }
    let mut target = ReadBuf::new(&mut buffer[..DATAGRAM_BYTES_MAX]);
    let received = std::task::ready!(socket.poll_recv_from(cx, &mut target));
    let count = target.filled().len();
    Poll::Ready(received.map(|sender| (sender, buffer.split_to(count).freeze())))
}

fn socket(address: IpAddr, port: u16) -> io::Result<UdpSocket> {
    adopt(std::net::UdpSocket::bind((address, port))?)
}

/// A socket as media wants it.
pub(super) fn adopt(socket: std::net::UdpSocket) -> io::Result<UdpSocket> {
    // The system may grant less, and what it grants must do.
    let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn packets_of_strangers_are_not_taken() {
        let home: IpAddr = [127, 0, 0, 1].into();
        let mut datagrams = Datagrams::new(false);
        let ports = datagrams.bind(3, home, (32768, 60999)).unwrap();
        assert!(ports.rtp.is_multiple_of(2) && ports.rtcp == ports.rtp + 1);
        let (server, stranger) = (UdpSocket::bind((home, 0)).await.unwrap(), UdpSocket::bind((home, 0)).await.unwrap());
        let port = server.local_addr().unwrap().port();
        assert!(datagrams.expect(home, None).is_err());
        datagrams.expect(home, Some(Ports { rtp: port, rtcp: port })).unwrap();
        stranger.send_to(b"no", (home, ports.rtp)).await.unwrap();
        server.send_to(b"yes", (home, ports.rtp)).await.unwrap();
        let mut heard = Vec::new();
        datagrams.hear(&mut heard).await;
        let heard: Vec<_> = heard.iter().map(|heard| (heard.section, heard.is_rtcp, &heard.bytes[..])).collect();
        assert_eq!(heard, [(3, false, &b"yes"[..])]);
    }
}
