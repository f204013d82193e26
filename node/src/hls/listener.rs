//! Accepts connections, within bounds, and lets hyper speak HTTP over them on this worker.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tracing::debug;

use super::door::Door;
use super::patient::Patient;
use super::request;
use crate::limits::{HTTP_HEAD_BYTES_MAX, HTTP_IDLE, HTTP2_STREAMS_MAX};
use crate::worker::accept;
use crate::worker::admission::Admitted;

/// Accepts for ever.
pub async fn accept(door: Rc<Door>, listener: StdListener) -> io::Result<()> {
    let admission = door.shared.admission.clone();
    let serve = |stream, peer, admitted| serve(door.clone(), stream, peer, admitted);
    accept::connections("HLS", listener, admission, serve).await
}

async fn serve(door: Rc<Door>, stream: TcpStream, peer: SocketAddr, admitted: Admitted) {
    let limit = door.shared.config().write_timeout;
    let Some(tls) = door.tls.clone() else {
        return speak(door, Patient::new(stream, limit), peer, false, false, admitted).await;
    };
    if let Some(stream) = Box::pin(accept::handshake(&tls, stream, peer)).await {
        let second = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        // What only encrypted connections need is not to weigh on all others.
        Box::pin(speak(door, Patient::new(stream, limit), peer, true, second, admitted)).await;
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
