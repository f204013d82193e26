//! Free ports.
//!
//! A port that was free a moment ago may be taken a moment later; whoever uses these tries again with others. None is
//! given twice by one process: tests run side by side, and a server that is being ended holds its ports no longer.

use std::collections::HashSet;
use std::net::{TcpListener, UdpSocket};
use std::sync::{LazyLock, Mutex};

static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// A free TCP port of the loopback.
pub fn tcp() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind to any TCP port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        if GIVEN.lock().expect("nobody panics with it").insert(port) {
            return port;
        }
    }
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
