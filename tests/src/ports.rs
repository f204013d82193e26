//! Free ports.
//!
//! A port that was free a moment ago may be taken a moment later; whoever uses these tries again with others.

use std::net::{TcpListener, UdpSocket};

/// A free TCP port of the loopback.
pub fn tcp() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind to any TCP port");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// An even UDP port such that the next is free, too: RTP and RTCP.
pub fn udp_pair() -> u16 {
    for _ in 0..1000 {
        let first = UdpSocket::bind("127.0.0.1:0").expect("bind to any UDP port");
        let port = first.local_addr().expect("a bound socket has an address").port();
        if port.is_multiple_of(2) && port < u16::MAX && UdpSocket::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
    panic!("no two neighbouring UDP ports are free");
}
