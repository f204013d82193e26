//! The sockets of a node's control: UDP and TCP on the same port number.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

/// Both, bound.
pub(super) struct Sockets {
    pub(super) udp: UdpSocket,
    pub(super) tcp: TcpListener,
    pub(super) address: SocketAddr,
}

/// Binds both. With port 0 the system chooses one that both can have.
pub(super) fn bind(address: SocketAddr) -> io::Result<Sockets> {
    let mut attempts = if address.port() == 0 { PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        let udp = bind_udp(address, false)?;
        let bound = udp.local_addr()?;
        match bind_tcp(bound) {
            Ok(tcp) => return Ok(Sockets { udp, tcp, address: bound }),
            Err(error) if attempts == 0 => return Err(error),
            // Somebody has that port for TCP: let the system choose another.
            Err(_) => {}
        }
    }
}

/// A UDP socket; one of several on the same port where that is shared, over which the system spreads connections.
pub(crate) fn bind_udp(address: SocketAddr, shared: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    both_families(&socket, address)?;
    // The system may give less; it says so in no other way than by losing packets.
    socket.set_recv_buffer_size(UDP_BUFFER_BYTES)?;
    socket.set_send_buffer_size(UDP_BUFFER_BYTES)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    both_families(&socket, address)?;
    // Or a node that has been killed could not be started again for a minute, while its connections are remembered.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(socket.into())
}

fn both_families(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    Ok(())
}

/// Lets a lifeline end when the other side does not answer, as after a power cut, though nothing is ever sent on it.
pub(super) fn keep_watch(stream: &tokio::net::TcpStream) -> io::Result<()> {
    let socket = socket2::SockRef::from(stream);
    let probes = TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_AFTER).with_retries(PROBES);
    socket.set_tcp_keepalive(&probes)?;
    socket.set_tcp_user_timeout(Some(PROBE_AFTER * PROBES))?;
    socket.set_tcp_nodelay(true)
}

/// An address as it is compared: a socket for both families sees those of version 4 as mapped ones.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Some 3,000 packets: what comes while the thread is held up for 20 ms at 2 Gbit/s.
const UDP_BUFFER_BYTES: usize = 4 << 20;
const LISTEN_BACKLOG: i32 = 256;
const PORT_ATTEMPTS: usize = 16;
const PROBE_AFTER: Duration = Duration::from_secs(1);
const PROBES: u32 = 3;
