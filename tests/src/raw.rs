//! Bytes of any kind to the RTSP port, and what comes back.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// A connection whose bytes the test makes itself.
#[derive(Debug)]
pub struct Raw(TcpStream);

/// How a connection went on after what was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reaction {
    /// The statuses of all responses, in order.
    pub statuses: Vec<u16>,
    /// The server closed the connection.
    pub closed: bool,
    /// All that came, as text.
    pub text: String,
}

impl Raw {
    /// Connects from 127.0.0.1.
    pub fn connect(server: SocketAddr) -> io::Result<Self> {
        Self::connect_from(Ipv4Addr::LOCALHOST, server)
    }

    /// Connects from another address of the loopback.
    pub fn connect_from(own: Ipv4Addr, server: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(IpAddr::V4(own), 0).into())?;
        socket.connect_timeout(&server.into(), Duration::from_secs(5))?;
        Ok(Self(socket.into()))
    }

    /// Sends bytes. The server may have closed already; that shows in the reaction.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    /// Says that nothing more will come.
    pub fn end(&self) {
        let _ = self.0.shutdown(std::net::Shutdown::Write);
    }

    /// Listens until `statuses` responses have come, the server closes, or the time is over.
    pub fn reaction(&mut self, statuses: usize, limit: Duration) -> Reaction {
        let mut bytes = Vec::new();
        let end = Instant::now() + limit;
        let mut closed = false;
        while !closed && count(&bytes).len() < statuses {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let mut chunk = [0; 4096];
            self.0.set_read_timeout(Some(left)).expect("a timeout above zero");
            match self.0.read(&mut chunk) {
                Ok(0) => closed = true,
                Ok(some) => bytes.extend_from_slice(&chunk[..some]),
                Err(error) => closed = !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
            }
        }
        Reaction { statuses: count(&bytes), closed, text: String::from_utf8_lossy(&bytes).into_owned() }
    }

    /// Sends a request and gives the status of its response; 0 when there is none.
    pub fn ask(&mut self, request: &str) -> (u16, String) {
        self.send(request.as_bytes());
        let reaction = self.reaction(1, Duration::from_secs(5));
        (reaction.statuses.first().copied().unwrap_or(0), reaction.text)
    }

    /// Waits until the server closes; false when it does not.
    pub fn is_closed_within(&mut self, limit: Duration) -> bool {
        self.reaction(usize::MAX, limit).closed
    }
}

/// The statuses of complete response heads.
fn count(bytes: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(bytes);
    let heads = text.match_indices("RTSP/1.0 ").filter(|(at, _)| text[*at..].contains("\r\n\r\n"));
    heads.filter_map(|(at, start)| text[at + start.len()..].get(..3)?.parse().ok()).collect()
}
