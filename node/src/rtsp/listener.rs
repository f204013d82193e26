//! Takes connections and runs their sessions on this worker.

use std::io;
use std::net::TcpListener;
use std::rc::Rc;

use tracing::debug;

use super::door::Door;
use super::session::Session;
use crate::worker::{accept, proxied};

/// Accepts for ever. `secure`: connections begin with TLS.
pub async fn accept(door: Rc<Door>, listener: TcpListener, secure: bool) -> io::Result<()> {
    let admission = door.shared.admission.clone();
    let serve = |mut stream, peer, admitted| {
        let door = door.clone();
        async move {
            let peer = match proxied::client(&mut stream, peer, &door.trusted_proxies).await {
                Ok(client) => client,
                Err(error) => return debug!(%peer, "what a proxy says cannot be understood: {error}"),
            };
            let tls = door.tls.as_ref().filter(|_| secure);
            if let Some(wire) = accept::wire(tls, stream, peer).await {
                Session::new(door, wire, peer, secure, admitted).run().await;
            }
        }
    };
    accept::connections("RTSP", listener, admission, serve).await
}
