//! Accepts connections, within bounds, and lets hyper speak HTTP over them on this worker.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tracing::{debug, warn};

use super::door::Door;
use super::patient::Patient;
use super::request;
use crate::limits::{HANDSHAKE_TIMEOUT, HTTP_HEAD_BYTES_MAX, HTTP_IDLE, HTTP2_STREAMS_MAX};
use crate::worker::admission::Admitted;
use crate::worker::tcp::Wire;

/// Pause after an accept that failed for want of descriptors or memory: trying at once would only burn the core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts for ever.
pub async fn accept(door: Rc<Door>, listener: StdListener) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => match door.shared.admission.admit(peer.ip().to_canonical()) {
                Some(admitted) => {
                    actix_rt::spawn(serve(door.clone(), stream, admitted));
                }
                None => debug!(%peer, "too many connections that have not asked for anything, refused"),
            },
            Err(error) => {
                warn!("cannot accept HLS connections: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(door: Rc<Door>, stream: TcpStream, admitted: Admitted) {
    let Ok(peer) = stream.peer_addr() else { return };
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    if let Err(error) = Wire::tune(&stream) {
        return debug!(%peer, "connection closed at once: {error}");
    }
    let limit = door.shared.config().write_timeout;
    let Some(tls) = door.tls.clone() else {
        return speak(door, Patient::new(stream, limit), peer, false, false, admitted).await;
    };
    match Box::pin(timeout(HANDSHAKE_TIMEOUT, tls.accept(stream))).await {
        Ok(Ok(stream)) => {
            let second = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            // What only encrypted connections need is not to weigh on all others.
            Box::pin(speak(door, Patient::new(stream, limit), peer, true, second, admitted)).await;
        }
        Ok(Err(error)) => debug!(%peer, "TLS handshake failed: {error}"),
        Err(_) => debug!(%peer, "TLS handshake took too long"),
    }
}

async fn speak<S>(door: Rc<Door>, stream: S, peer: SocketAddr, secure: bool, second: bool, admitted: Admitted)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    // A connection counts against its address until one of its requests was granted.
    let admitted = Rc::new(RefCell::new(admitted));
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (door, admitted) = (door.clone(), admitted.clone());
        async move {
            let response = request::answer(&door, request, peer, secure).await;
            if response.status().is_success() || response.status().is_redirection() {
                admitted.borrow_mut().establish();
            }
            Ok::<_, Infallible>(response)
        }
    });
    let io = TokioIo::new(stream);
    let ended = if second {
        let mut builder = http2::Builder::new(Local);
        builder.timer(TokioTimer::new()).keep_alive_interval(HTTP_IDLE).max_concurrent_streams(HTTP2_STREAMS_MAX);
        builder.max_header_list_size(HTTP_HEAD_BYTES_MAX as u32);
        Box::pin(builder.serve_connection(io, service)).await
    } else {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HTTP_IDLE).max_buf_size(HTTP_HEAD_BYTES_MAX);
        builder.serve_connection(io, service).await
    };
    if let Err(error) = ended {
        debug!(%peer, "HLS connection ended: {error}");
    }
}

/// Runs the streams of an HTTP/2 connection on this worker.
#[derive(Clone, Copy, Debug)]
struct Local;

impl<F> hyper::rt::Executor<F> for Local
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        actix_rt::spawn(future);
    }
}
