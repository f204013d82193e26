//! UDP ports that all sessions of a node share: packets in find their session by address, packets out go in GSO batches.

use std::collections::HashMap;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::task::AtomicWaker;
use parking_lot::{Mutex, RwLock};
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use weft_cluster::Clock;
use weft_cluster::mesh::faults::Faults;

use super::faulty::Faulty;

/// Datagrams that wait for a session. A publisher of 50 Mbit/s sends 4,500 a second: 2,048 are half a second.
const INBOX_MAX: usize = 2048;

/// Largest datagram taken; RTP never exceeds the 1,500 of Ethernet, jumbo frames excepted.
const DATAGRAM_BYTES_MAX: usize = 9216;

/// Bytes allocated at once for datagrams to be read into, one behind the other.
const CHUNK_BYTES: usize = 64 << 10;

/// Datagrams read before other tasks of the worker get their turn.
const READS_PER_TURN: usize = 64;

/// Which of the two ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Port {
    /// RTP.
    Rtp,
    /// RTCP.
    Rtcp,
}

/// Datagrams for one session, from whichever worker's socket they came.
#[derive(Debug, Default)]
pub struct Inbox {
    queue: Mutex<Vec<Datagram>>,
    waker: AtomicWaker,
    /// Datagrams dropped because the session did not keep up.
    pub dropped: AtomicU64,
}

/// A datagram for a session.
#[derive(Debug)]
pub struct Datagram {
    /// What the session registered the sender's address under.
    pub tag: u16,
    /// RTP or RTCP.
    pub port: Port,
    /// The payload.
    pub bytes: Bytes,
}

impl Inbox {
    /// Takes all that waits, or arranges to be woken.
    pub fn poll(&self, cx: &Context<'_>, out: &mut Vec<Datagram>) -> Poll<()> {
        self.waker.register(cx.waker());
        let mut queue = self.queue.lock();
        if queue.is_empty() {
            return Poll::Pending;
        }
        out.append(&mut queue);
        Poll::Ready(())
    }

    fn deliver(&self, datagram: Datagram) {
        let mut queue = self.queue.lock();
        if queue.len() < INBOX_MAX {
            queue.push(datagram);
            drop(queue);
            self.waker.wake();
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Who gets the datagrams of which sender.
#[derive(Debug, Default)]
pub struct Routes {
    routes: RwLock<HashMap<(Port, SocketAddr), Route>>,
}

/// A session's inbox and the tag it wants on what comes from this sender.
type Route = (Arc<Inbox>, u16);

impl Routes {
    /// Routes a sender to a session; `false` when the address is taken by another one.
    pub fn add(&self, port: Port, sender: SocketAddr, inbox: &Arc<Inbox>, tag: u16) -> bool {
        let mut routes = self.routes.write();
        let key = (port, canonical(sender));
        if routes.get(&key).is_some_and(|(taken, _)| !Arc::ptr_eq(taken, inbox)) {
            return false;
        }
        routes.insert(key, (inbox.clone(), tag));
        true
    }

    /// Forgets a sender.
    pub fn remove(&self, port: Port, sender: SocketAddr) {
        self.routes.write().remove(&(port, canonical(sender)));
    }

    fn find(&self, port: Port, sender: SocketAddr) -> Option<Route> {
        self.routes.read().get(&(port, canonical(sender))).cloned()
    }
}

/// One worker's socket of a port.
#[derive(Debug)]
pub struct UdpPort {
    own: Rc<Own>,
    /// What experiments do to its packets.
    faulty: Option<Rc<Faulty>>,
}

/// The socket itself.
#[derive(Debug)]
struct Own {
    socket: UdpSocket,
    state: UdpSocketState,
    /// Bound to an IPv6 address, so that IPv4 peers have mapped ones.
    is_ipv6: bool,
}

impl Own {
    fn try_send(
        &self,
        from: Option<IpAddr>,
        to: SocketAddr,
        contents: &[u8],
        segment: Option<usize>,
    ) -> io::Result<()> {
        let destination = match to {
            SocketAddr::V4(to) if self.is_ipv6 => SocketAddr::new(to.ip().to_ipv6_mapped().into(), to.port()),
            to => to,
        };
        let transmit = Transmit { destination, ecn: None, contents, segment_size: segment, src_ip: from };
        self.socket.try_io(Interest::WRITABLE, || self.state.try_send(UdpSockRef::from(&self.socket), &transmit))
    }
}

impl UdpPort {
    /// Takes a bound socket. Must be called on the worker's runtime.
    pub fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let is_ipv6 = socket.local_addr()?.is_ipv6();
        Ok(Self { own: Rc::new(Own { socket: UdpSocket::from_std(socket)?, state, is_ipv6 }), faulty: None })
    }

    /// The same, with whatever these faults do to its packets.
    pub fn with_faults(socket: std::net::UdpSocket, faults: Faults, clock: Clock) -> io::Result<Self> {
        let faulty = Some(Rc::new(Faulty::new(faults, clock)));
        Ok(Self { faulty, ..Self::new(socket)? })
    }

    /// Where it is bound.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.own.socket.local_addr()
    }

    /// Sends one datagram, or several of `segment` bytes (the last may be shorter) in one call.
    pub fn try_send(&self, to: SocketAddr, contents: &[u8], segment: Option<usize>) -> io::Result<()> {
        self.try_send_from(None, to, contents, segment)
    }

    /// The same from one of the machine's addresses: a client that has asked another one does not take the answer.
    pub fn try_send_from(
        &self,
        from: Option<IpAddr>,
        to: SocketAddr,
        contents: &[u8],
        segment: Option<usize>,
    ) -> io::Result<()> {
        let Some(faulty) = self.faulty.as_ref().filter(|faulty| faulty.is_any()) else {
            return self.own.try_send(from, to, contents, segment);
        };
        for packet in contents.chunks(segment.unwrap_or(contents.len()).max(1)) {
            let own = self.own.clone();
            faulty.send(to, packet, move |packet| drop(own.try_send(from, to, packet, None)));
        }
        Ok(())
    }

    /// Waits until sending may work again.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.own.socket.poll_send_ready(cx)
    }

    /// Reads datagrams for ever and gives each to its session. Those of unknown senders are dropped: nobody is answered
    /// who has not set up a session.
    pub async fn receive(&self, port: Port, routes: &Routes) {
        let mut buffer = BytesMut::new();
        loop {
            if self.own.socket.readable().await.is_err() {
                return;
            }
            for _ in 0..READS_PER_TURN {
                if buffer.capacity() < DATAGRAM_BYTES_MAX {
                    buffer = BytesMut::with_capacity(CHUNK_BYTES);
                }
                match self.own.socket.try_recv_buf_from(&mut buffer) {
                    Ok((length, sender)) => {
                        let bytes = buffer.split_to(length).freeze();
                        if let Some((inbox, tag)) = routes.find(port, sender) {
                            inbox.deliver(Datagram { tag, port, bytes });
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // An earlier datagram could not be delivered (ICMP): says nothing about the next.
                    Err(_) => {}
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Reads datagrams for ever, as many at once as the kernel has put together (GRO), and gives each to `take` with its
    /// sender and the address of this machine that it was sent to. `turn` ends each turn.
    pub async fn receive_all(&self, mut take: impl FnMut(SocketAddr, Option<IpAddr>, Bytes), mut turn: impl FnMut()) {
        let mut buffer = vec![0; RECEIVE_BYTES];
        loop {
            let arrival = async {
                match &self.faulty {
                    Some(faulty) => faulty.clone().arrival().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                readable = self.own.socket.readable() => if readable.is_err() {
                    return;
                },
                (from, to, bytes) = arrival => {
                    take(from, to, bytes);
                    turn();
                    continue;
                }
            }
            let faulty = self.faulty.as_ref().filter(|faulty| faulty.is_any());
            for _ in 0..READS_PER_TURN {
                let mut meta = [RecvMeta::default()];
                let received = self.own.socket.try_io(Interest::READABLE, || {
                    let mut slices = [IoSliceMut::new(&mut buffer)];
                    self.own.state.recv(UdpSockRef::from(&self.own.socket), &mut slices, &mut meta)
                });
                match received {
                    Ok(_) => {
                        let [RecvMeta { addr, len, stride, dst_ip, .. }] = meta;
                        let whole = Bytes::copy_from_slice(&buffer[..len.min(RECEIVE_BYTES)]);
                        let to = dst_ip.map(|to| to.to_canonical());
                        (0..len).step_by(stride.max(1)).for_each(|at| {
                            let bytes = whole.slice(at..(at + stride).min(whole.len()));
                            match faulty {
                                Some(faulty) => faulty.receive((canonical(addr), to, bytes), &mut take),
                                None => take(canonical(addr), to, bytes),
                            }
                        });
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // An earlier datagram could not be delivered (ICMP): says nothing about the next.
                    Err(_) => {}
                }
            }
            turn();
            tokio::task::yield_now().await;
        }
    }
}

/// Segments of one GSO send; the kernel takes 64 at most, and 64 KB together.
const SEGMENTS_MAX: usize = 64;

/// Bytes of one GSO send.
const SEND_BYTES_MAX: usize = 64_000;

/// Runs of packets that can leave in one GSO send: all of one size but the last, which may be shorter.
pub fn gso_runs(sizes: impl Iterator<Item = usize>) -> Vec<(Range<usize>, Option<usize>)> {
    let mut runs: Vec<(Range<usize>, usize, usize)> = Vec::new();
    let mut closed = true;
    for size in sizes {
        match runs.last_mut() {
            Some((range, segment, count))
                if !closed && size <= *segment && *count < SEGMENTS_MAX && range.len() + size <= SEND_BYTES_MAX =>
            {
                range.end += size;
                *count += 1;
                closed = size < *segment;
            }
            last => {
                let start = last.map_or(0, |(range, ..)| range.end);
                runs.push((start..start + size, size, 1));
                closed = false;
            }
        }
    }
    runs.into_iter().map(|(range, segment, count)| (range, (count > 1).then_some(segment))).collect()
}

/// Bytes of datagrams that the kernel may put together: what a length of UDP can say.
const RECEIVE_BYTES: usize = 64 << 10;

/// An IPv4 client of an IPv6 socket has a mapped address; sessions know it by its plain one.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        // An address of one link keeps the link that it is of.
        IpAddr::V6(_) => address,
        v4 => SocketAddr::new(v4, address.port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_packets_and_one_shorter_leave_together() {
        let runs = gso_runs([30, 1400, 1400, 600, 1400, 1400].into_iter());
        assert_eq!(runs, [(0..30, None), (30..3430, Some(1400)), (3430..6230, Some(1400))]);
    }

    #[test]
    fn a_run_ends_at_what_the_kernel_takes() {
        let runs = gso_runs(std::iter::repeat_n(100, 130));
        assert_eq!(runs.iter().map(|(range, _)| range.len()).collect::<Vec<_>>(), [6400, 6400, 200]);
        assert!(gso_runs(std::iter::repeat_n(1400, 100)).iter().all(|(range, _)| range.len() <= SEND_BYTES_MAX));
    }
}
