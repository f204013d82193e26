//! Accepts connections, within bounds, and hands each to its door on this worker.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, warn};

use super::admission::{Admission, Admitted};
use super::tcp::Wire;
use crate::limits::HANDSHAKE_TIMEOUT;

/// Pause after an accept that failed for want of descriptors or memory: trying at once would only burn the core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts for ever. `serve` runs one connection from here to its end, in a task of its own.
pub async fn connections<F>(
    what: &'static str,
    listener: StdListener,
    admission: Arc<Admission>,
    serve: impl Fn(TcpStream, SocketAddr, Admitted) -> F,
) -> io::Result<()>
where
    F: Future<Output = ()> + 'static,
{
    let listener = TcpListener::from_std(listener)?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Who came by IPv4 to an IPv6 socket is known by the address that people know.
                let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                let Some(admitted) = admission.admit(peer.ip()) else {
                    debug!(%peer, "too many connections that have not proven anything, refused");
                    continue;
                };
                match Wire::tune(&stream) {
                    Ok(()) => drop(actix_rt::spawn(serve(stream, peer, admitted))),
                    Err(error) => debug!(%peer, "connection closed at once: {error}"),
                }
            }
            Err(error) => {
                warn!("cannot accept {what} connections: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Does the TLS handshake, in the time that it may take; `None` where it fails.
pub async fn handshake(tls: &TlsAcceptor, stream: TcpStream, peer: SocketAddr) -> Option<TlsStream<TcpStream>> {
    match timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => debug!(%peer, "TLS handshake failed: {error}"),
        Err(_) => debug!(%peer, "TLS handshake took too long"),
    }
    None
}

/// The connection as a session uses it: plain, or encrypted where there is an acceptor.
pub async fn wire(tls: Option<&TlsAcceptor>, stream: TcpStream, peer: SocketAddr) -> Option<Wire> {
    match tls {
        Some(tls) => Some(Wire::Tls(Box::new(handshake(tls, stream, peer).await?.into()))),
        None => Some(Wire::Plain(stream)),
    }
}
