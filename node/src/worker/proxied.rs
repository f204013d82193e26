//! The PROXY protocol (HAProxy's `proxy-protocol.txt`, versions 1 and 2): a proxy that is trusted says in front of a
//! connection for whom it was made.
//!
//! The header is read to its last byte and no further, so that what follows, TLS or RTMP or RTSP, finds the connection as a
//! client would have left it. A trusted address that sends none speaks for itself.

use std::io;
use std::net::SocketAddr;

use ppp::{v1, v2};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::network::IpRange;
use crate::limits::{HANDSHAKE_TIMEOUT, PROXY_HEADER_BYTES_MAX};

/// The longest header of version 1 (section 2.1).
const LINE_BYTES_MAX: usize = 107;

/// The client at the far end of a connection: `peer`, or whom it speaks for where it is trusted.
///
/// # Errors
/// When a header is cut, too slow or makes no sense: then nothing that follows can be believed.
pub async fn client(stream: &mut TcpStream, peer: SocketAddr, trusted: &[IpRange]) -> io::Result<SocketAddr> {
    if !trusted.iter().any(|range| range.contains(peer.ip())) {
        return Ok(peer);
    }
    let said = timeout(HANDSHAKE_TIMEOUT, read(stream)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let client = said.unwrap_or(peer);
    Ok(SocketAddr::new(client.ip().to_canonical(), client.port()))
}

async fn read(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    match first {
        // No request and no handshake begins so: RTSP has a `P` in PLAY and PAUSE, which come later.
        [b'P'] => line(stream).await,
        [b'\r'] => block(stream).await,
        _ => Ok(None),
    }
}

/// Version 1: a line, read byte by byte, for nothing says how long it is.
async fn line(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut line = Vec::with_capacity(LINE_BYTES_MAX);
    while !line.ends_with(b"\r\n") {
        if line.len() == LINE_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        line.push(stream.read_u8().await?);
    }
    let header = v1::Header::try_from(&line[..]).map_err(invalid)?;
    Ok(match header.addresses {
        v1::Addresses::Tcp4(both) => Some((both.source_address, both.source_port).into()),
        v1::Addresses::Tcp6(both) => Some((both.source_address, both.source_port).into()),
        v1::Addresses::Unknown => None,
    })
}

/// Version 2: a head that says how much follows.
async fn block(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    const HEAD_BYTES: usize = 16;
    let mut block = vec![0; HEAD_BYTES];
    stream.read_exact(&mut block).await?;
    let length = usize::from(u16::from_be_bytes([block[14], block[15]]));
    if !block.starts_with(v2::PROTOCOL_PREFIX) || length > PROXY_HEADER_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    block.resize(HEAD_BYTES + length, 0);
    stream.read_exact(&mut block[HEAD_BYTES..]).await?;
    let header = v2::Header::try_from(&block[..]).map_err(invalid)?;
    // The proxy's own connections, to see whether we are well, are its own.
    Ok(match header.addresses {
        _ if header.command == v2::Command::Local => None,
        v2::Addresses::IPv4(both) => Some((both.source_address, both.source_port).into()),
        v2::Addresses::IPv6(both) => Some((both.source_address, both.source_port).into()),
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
    })
}

fn invalid(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    /// What is made of these bytes, and what is left for whoever comes next.
    async fn said(bytes: &[u8], trusted: &str) -> (io::Result<String>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut proxy = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut stream, peer) = listener.accept().await.unwrap();
        proxy.write_all(bytes).await.unwrap();
        drop(proxy);
        let trusted = [IpRange::parse(trusted).unwrap()];
        let client = client(&mut stream, peer, &trusted).await;
        let client = client.map(|client| if client == peer { "itself".to_owned() } else { client.to_string() });
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        (client, rest)
    }

    const LOCALHOST: &str = "127.0.0.0/8";

    #[tokio::test]
    async fn both_versions_say_who_the_client_is_and_leave_the_rest() {
        let line = b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 1935\r\n\x03rest";
        let (client, rest) = said(line, LOCALHOST).await;
        assert_eq!((client.unwrap().as_str(), &rest[..]), ("203.0.113.7:56324", &b"\x03rest"[..]));
        let head = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c";
        let addresses = [203, 0, 113, 7, 192, 0, 2, 1, 0xdc, 0x04, 0x07, 0x8f];
        let (client, rest) = said(&[&head[..], &addresses, b"\x03rest"].concat(), LOCALHOST).await;
        assert_eq!((client.unwrap().as_str(), &rest[..]), ("203.0.113.7:56324", &b"\x03rest"[..]));
    }

    #[tokio::test]
    async fn who_is_not_trusted_is_not_listened_to_and_who_says_nothing_speaks_for_itself() {
        let line = b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 1935\r\n";
        let (client, rest) = said(line, "10.0.0.0/8").await;
        assert_eq!((client.unwrap().as_str(), &rest[..]), ("itself", &line[..]));
        for (bytes, left) in [(&b"\x03handshake"[..], 10), (b"PROXY UNKNOWN\r\nrest", 4)] {
            let (client, rest) = said(bytes, LOCALHOST).await;
            assert_eq!((client.unwrap().as_str(), rest.len()), ("itself", left));
        }
        let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
        assert_eq!(said(local, LOCALHOST).await.0.unwrap(), "itself");
    }

    #[tokio::test]
    async fn nonsense_ends_the_connection() {
        let long = [&b"PROXY TCP4 "[..], &[b'1'; 200]].concat();
        let much = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff";
        for bytes in [&b"PROXY TCP4 x y 1 2\r\n"[..], b"PROXY", &long, much, b"\r\n\r\n\0\r\nQUIX\n\x21\x11\0\0"] {
            assert!(said(bytes, LOCALHOST).await.0.is_err(), "{bytes:?}");
        }
    }
}
