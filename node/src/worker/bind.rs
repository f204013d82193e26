//! Binds what several workers listen on together, and says who holds a port that is taken.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use crate::ports::{self, Proto};

/// Connections that wait to be accepted; the kernel cuts it to `somaxconn`.
const BACKLOG: i32 = 4096;

/// A port could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process holds it.
    #[error("{what}: {holder}")]
    Taken {
        /// Which listener.
        what: &'static str,
        /// Who holds it, in words.
        holder: String,
    },
    /// Something else is wrong with the address.
    #[error("{what}: cannot listen on {address}: {error}")]
    Other {
        /// Which listener.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
}

/// Who may hold the port already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holders {
    /// Nobody.
    Nobody,
    /// This process, on another host of the machine: its sockets are to be followed by those that are bound now.
    Ourselves,
}

/// One TCP listener for each worker on the same address; the kernel spreads connections over them.
pub fn tcp(
    what: &'static str,
    address: SocketAddr,
    workers: usize,
    holders: Holders,
) -> Result<Vec<TcpListener>, BindError> {
    let wrap = |error| refuse(what, address, Proto::Tcp, error);
    let address = match holders {
        Holders::Nobody => {
            // `SO_REUSEPORT` would let a second server share the port in silence: first ask for it alone.
            let probe = socket(address, Type::STREAM, Protocol::TCP, false).map_err(wrap)?;
            probe.bind(&address.into()).and_then(|()| probe.listen(1)).map_err(wrap)?;
            local(&probe, address)
        }
        Holders::Ourselves => not_of_others(what, address, Proto::Tcp)?,
    };
    (0..workers)
        .map(|_| {
            let socket = socket(address, Type::STREAM, Protocol::TCP, true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        })
        .collect::<io::Result<_>>()
        .map_err(wrap)
}

/// One UDP socket for each worker on the same address; the kernel gives each peer to one of them.
pub fn udp(
    what: &'static str,
    address: SocketAddr,
    workers: usize,
    read_buffer_bytes: Option<usize>,
    holders: Holders,
) -> Result<Vec<UdpSocket>, BindError> {
    let wrap = |error| refuse(what, address, Proto::Udp, error);
    let address = match holders {
        Holders::Nobody => {
            let probe = socket(address, Type::DGRAM, Protocol::UDP, false).map_err(wrap)?;
            probe.bind(&address.into()).map_err(wrap)?;
            local(&probe, address)
        }
        Holders::Ourselves => not_of_others(what, address, Proto::Udp)?,
    };
    (0..workers)
        .map(|_| {
            let socket = socket(address, Type::DGRAM, Protocol::UDP, true)?;
            // Bursts of several publishers, or to several readers, wait here. The kernel cuts it to its own maximum.
            socket.set_recv_buffer_size(read_buffer_bytes.unwrap_or(UDP_BUFFER_BYTES))?;
            socket.set_send_buffer_size(UDP_BUFFER_BYTES)?;
            socket.set_multicast_ttl_v4(MULTICAST_TTL)?;
            socket.bind(&address.into())?;
            Ok(socket.into())
        })
        .collect::<io::Result<_>>()
        .map_err(wrap)
}

/// Hops of multicast packets: this site, not the world.
pub const MULTICAST_TTL: u32 = 16;

/// Buffer of UDP sockets: 4 MB are 16 ms of 2 Gbit/s, and what Linux commonly allows.
const UDP_BUFFER_BYTES: usize = 4 << 20;

fn socket(address: SocketAddr, kind: Type, protocol: Protocol, share: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // Restarting at once must work although old connections linger.
    socket.set_reuse_address(kind == Type::STREAM)?;
    socket.set_reuse_port(share)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Where asking for the port alone would meet only ourselves.
fn not_of_others(what: &'static str, address: SocketAddr, proto: Proto) -> Result<SocketAddr, BindError> {
    match ports::taken_by_another(address, proto) {
        Some(holder) => Err(BindError::Taken { what, holder }),
        None => Ok(address),
    }
}

/// The address with the port that the system chose where 0 was asked for.
fn local(socket: &Socket, asked: SocketAddr) -> SocketAddr {
    socket.local_addr().ok().and_then(|address| address.as_socket()).unwrap_or(asked)
}

fn refuse(what: &'static str, address: SocketAddr, proto: Proto, error: io::Error) -> BindError {
    if error.kind() == io::ErrorKind::AddrInUse {
        return BindError::Taken { what, holder: ports::taken(address.port(), proto) };
    }
    BindError::Other { what, address, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_a_port_and_others_are_told_who_holds_it() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let listeners = tcp("RTSP", any, 2, Holders::Nobody).unwrap();
        let address = listeners[0].local_addr().unwrap();
        assert_eq!(listeners[1].local_addr().unwrap(), address);
        let error = tcp("RTSP", address, 1, Holders::Nobody).unwrap_err().to_string();
        assert!(error.contains(&format!("pid {}", std::process::id())), "{error}");
        let sockets = udp("RTP", any, 2, None, Holders::Nobody).unwrap();
        assert!(udp("RTP", sockets[0].local_addr().unwrap(), 1, None, Holders::Nobody).is_err());
    }

    #[test]
    fn our_own_port_can_be_had_on_another_host_too() {
        let listeners = tcp("RTSP", "0.0.0.0:0".parse().unwrap(), 2, Holders::Nobody).unwrap();
        let port = listeners[0].local_addr().unwrap().port();
        let narrow = SocketAddr::from(([127, 0, 0, 1], port));
        assert!(tcp("RTSP", narrow, 1, Holders::Nobody).is_err());
        assert!(tcp("RTSP", narrow, 2, Holders::Ourselves).is_ok());
        let sockets = udp("RTP", "127.0.0.1:0".parse().unwrap(), 2, None, Holders::Nobody).unwrap();
        let wide = SocketAddr::from(([0, 0, 0, 0], sockets[0].local_addr().unwrap().port()));
        assert!(udp("RTP", wide, 1, None, Holders::Ourselves).is_ok());
    }
}
