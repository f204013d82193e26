//! A multicast group that a camera sends to, and how it is joined.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use weft_proto::rtsp::{Ports, Transport};

use super::datagrams::adopt;
use crate::source::SourceEnd;

/// A group as the answer to `SETUP` says it (RFC 2326 section 12.39).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// Its address.
    pub(super) address: IpAddr,
    /// Its ports.
    pub(super) ports: Ports,
    /// How far reports go.
    pub(super) ttl: Option<u8>,
    /// The address of the interface that it is joined on: that which the camera is reached by.
    pub(super) local: IpAddr,
}

impl Group {
    /// The group of an answer.
    pub(super) fn of(answer: &Transport, local: IpAddr) -> Result<Self, SourceEnd> {
        let address = answer.destination.as_deref().and_then(|address| address.parse::<IpAddr>().ok());
        let address = address.filter(is_for_media);
        // Some say the ports of the group as those of the server.
        let ports = answer.port.or(answer.server_port);
        let (Some(address), Some(ports)) = (address, ports) else {
            return Err(SourceEnd::Server("the server answers SETUP without a multicast group".into()));
        };
        Ok(Self { address, ports, ttl: answer.ttl, local: local.to_canonical() })
    }

    /// Sockets for RTP and RTCP that hear the group.
    pub(super) fn join(&self) -> io::Result<(UdpSocket, UdpSocket)> {
        Ok((self.socket(self.ports.rtp)?, self.socket(self.ports.rtcp)?))
    }

    fn socket(&self, port: u16) -> io::Result<UdpSocket> {
        let socket =
            Socket::new(Domain::for_address(SocketAddr::new(self.address, port)), Type::DGRAM, Some(Protocol::UDP))?;
        // Others on this machine may be in the group too; and bound to its address it hears nothing that is sent elsewhere.
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::new(self.address, port).into())?;
        match (self.address, self.local) {
            (IpAddr::V4(group), IpAddr::V4(local)) => {
                socket.join_multicast_v4(&group, &local)?;
                socket.set_multicast_if_v4(&local)?;
                self.ttl.map_or(Ok(()), |ttl| socket.set_multicast_ttl_v4(ttl.into()))?;
            }
            // Where the system's routes lead: which interface an address of IPv6 is of, it does not say.
            (IpAddr::V4(group), IpAddr::V6(_)) => socket.join_multicast_v4(&group, &std::net::Ipv4Addr::UNSPECIFIED)?,
            (IpAddr::V6(group), _) => {
                socket.join_multicast_v6(&group, 0)?;
                self.ttl.map_or(Ok(()), |ttl| socket.set_multicast_hops_v6(ttl.into()))?;
            }
        }
        adopt(socket.into())
    }
}

/// Whether a camera may name a group: not those that routers and machines of one wire use among themselves (RFC 5771 section 4,
/// RFC 4291 section 2.7).
fn is_for_media(group: &IpAddr) -> bool {
    match group {
        IpAddr::V4(group) => group.is_multicast() && group.octets()[..3] != [224, 0, 0],
        IpAddr::V6(group) => group.is_multicast() && group.segments()[0] & 0xf > 2,
    }
}

/// Why a group could not be joined.
pub(super) fn failed(group: &Group, error: &io::Error) -> SourceEnd {
    let Group { address, ports, local, .. } = group;
    SourceEnd::Server(format!("the group {address}, ports {ports}, cannot be joined on {local}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(answer: &str) -> Result<Group, String> {
        let answer = Transport::parse(answer).unwrap();
        Group::of(&answer, [192, 0, 2, 7].into()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_group_is_what_the_server_says() {
        let known = group("RTP/AVP;multicast;destination=239.1.2.3;port=5000-5001;ttl=16").unwrap();
        assert_eq!((known.address, known.ttl), ([239, 1, 2, 3].into(), Some(16)));
        assert_eq!((known.ports, known.local), (Ports { rtp: 5000, rtcp: 5001 }, [192, 0, 2, 7].into()));
        let other = group("RTP/AVP;multicast;destination=239.1.2.3;server_port=5002-5003").unwrap();
        assert_eq!(other.ports, Ports { rtp: 5002, rtcp: 5003 });
        for none in [
            "destination=224.0.0.251;port=5353-5354",
            "destination=192.0.2.9;port=5000-5001",
            "destination=239.1.2.3",
            "port=5000-5001",
        ] {
            assert!(group(&format!("RTP/AVP;multicast;{none}")).is_err(), "{none}");
        }
    }
}
