//! Free ports.
//!
//! A port that was free a moment ago may be taken a moment later; whoever uses these tries again with others. None is
//! given twice by one process: tests run side by side, and a server that is being ended holds its ports no longer.
//!
//! They lie below those that the kernel gives to whoever asks for any: a node that is away for a minute has its ports when it comes
//! back, however many connections others have opened meanwhile.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{TcpListener, UdpSocket};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Linux gives from 32,768 on (`net.ipv4.ip_local_port_range`); below 10,000 are the ports of known services.
const FIRST: u16 = 10_000;
const COUNT: u16 = 22_000;

/// How many were given, from a place where no other process has begun, most likely.
static NEXT: LazyLock<AtomicU16> =
    LazyLock::new(|| AtomicU16::new((RandomState::new().hash_one(0) % u64::from(COUNT)) as u16));

/// The next ports, `step` of them, beginning with a multiple of it.
fn next(step: u16) -> u16 {
    let advance = |at: u16| Some((at.next_multiple_of(step) + step) % COUNT);
    let at = NEXT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, advance).unwrap_or_default();
    FIRST + at.next_multiple_of(step) % COUNT
}

/// A free TCP port of the loopback.
pub fn tcp() -> u16 {
    (0..COUNT).map(|_| next(1)).find(is_tcp_free).expect("one of 22,000 TCP ports is free")
}

/// A port that is free for both, and the next one for UDP: a node's control and relays.
pub fn tcp_and_udp() -> u16 {
    let free = |port: &u16| is_tcp_free(port) && is_udp_free(port) && is_udp_free(&(port + 1));
    (0..COUNT).map(|_| next(2)).find(free).expect("two neighbouring ports are free")
}

/// A free UDP port of the loopback.
pub fn udp() -> u16 {
    (0..COUNT).map(|_| next(1)).find(is_udp_free).expect("one of 22,000 UDP ports is free")
}

/// An even UDP port such that the next is free, too: RTP and RTCP.
pub fn udp_pair() -> u16 {
    let free = |port: &u16| is_udp_free(port) && is_udp_free(&(port + 1));
    (0..COUNT).map(|_| next(2)).find(free).expect("two neighbouring UDP ports are free")
}

fn is_tcp_free(port: &u16) -> bool {
    TcpListener::bind(("127.0.0.1", *port)).is_ok()
}

fn is_udp_free(port: &u16) -> bool {
    UdpSocket::bind(("127.0.0.1", *port)).is_ok()
}
