//! Accepts connections, within bounds, and starts their sessions on this worker.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tracing::{debug, warn};

use super::door::Door;
use super::session::Session;
use crate::limits::HANDSHAKE_TIMEOUT;
use crate::worker::admission::Admitted;
use crate::worker::tcp::Wire;

/// Pause after an accept that failed for want of descriptors or memory: trying at once would only burn the core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts for ever.
pub async fn accept(door: Rc<Door>, listener: StdListener, secure: bool) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => match door.shared.admission.admit(peer.ip().to_canonical()) {
                Some(admitted) => {
                    actix_rt::spawn(serve(door.clone(), stream, secure, admitted));
                }
                None => debug!(%peer, "too many connections that have not authenticated, refused"),
            },
            Err(error) => {
                warn!("cannot accept RTMP connections: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(door: Rc<Door>, stream: TcpStream, secure: bool, admitted: Admitted) {
    let Ok(peer) = stream.peer_addr() else { return };
    // Who came by IPv4 to an IPv6 socket is known by the address that people know.
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    if let Err(error) = Wire::tune(&stream) {
        debug!(%peer, "connection closed at once: {error}");
        return;
    }
    let wire = match (&door.tls, secure) {
        (Some(tls), true) => match timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => Wire::Tls(Box::new(stream)),
            Ok(Err(error)) => return debug!(%peer, "TLS handshake failed: {error}"),
            Err(_) => return debug!(%peer, "TLS handshake took too long"),
        },
        _ => Wire::Plain(stream),
    };
    Session::new(door, wire, peer, secure, admitted).run().await;
}
