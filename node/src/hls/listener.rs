//! Accepts connections, within bounds, and lets hyper speak HTTP over them on this worker.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;

use hyper::Response;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tracing::debug;

use super::body::Body;
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

/// A connection as its requests know it.
struct Connection {
    door: Rc<Door>,
    peer: SocketAddr,
    secure: bool,
    /// Counts against its address until one of its requests was granted.
    admitted: RefCell<Admitted>,
}

async fn serve(door: Rc<Door>, stream: TcpStream, peer: SocketAddr, admitted: Admitted) {
    // What only encrypted connections need is not to weigh on all others.
    if door.tls.is_some() {
        return Box::pin(serve_encrypted(door, stream, peer, admitted)).await;
    }
    let stream = Patient::new(stream, door.shared.config().write_timeout);
    let connection = Connection { door, peer, secure: false, admitted: RefCell::new(admitted) };
    report(first(stream, connection).await, peer);
}

async fn serve_encrypted(door: Rc<Door>, stream: TcpStream, peer: SocketAddr, admitted: Admitted) {
    let Some(tls) = &door.tls else { return };
    let Some(stream) = accept::handshake(tls, stream, peer).await else { return };
    let is_second = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let stream = Patient::new(stream, door.shared.config().write_timeout);
    let connection = Connection { door, peer, secure: true, admitted: RefCell::new(admitted) };
    if is_second {
        let mut builder = http2::Builder::new(Local);
        builder.timer(TokioTimer::new()).keep_alive_interval(HTTP_IDLE).max_concurrent_streams(HTTP2_STREAMS_MAX);
        builder.max_header_list_size(HTTP_HEAD_BYTES_MAX as u32);
        let connection = Rc::new(connection);
        let service = service_fn(move |request| answer(&connection, request));
        report(builder.serve_connection(TokioIo::new(stream), service).await, peer);
    } else {
        report(first(stream, connection).await, peer);
    }
}

/// HTTP/1.1. No `async fn`: that would hold what it is given twice.
fn first<S>(stream: S, connection: Connection) -> impl Future<Output = hyper::Result<()>>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HTTP_IDLE).max_buf_size(HTTP_HEAD_BYTES_MAX);
    let connection = Rc::new(connection);
    builder.serve_connection(TokioIo::new(stream), service_fn(move |request| answer(&connection, request)))
}

fn answer(
    connection: &Rc<Connection>,
    request: hyper::Request<Incoming>,
) -> impl Future<Output = Result<Response<Body>, Infallible>> + use<> {
    let (connection, Connection { door, peer, secure, .. }) = (connection.clone(), &**connection);
    let answer = request::answer(door.clone(), request, *peer, *secure);
    async move {
        let response = answer.await;
        if response.status().is_success() || response.status().is_redirection() {
            connection.admitted.borrow_mut().establish();
        }
        Ok(response)
    }
}

fn report(ended: hyper::Result<()>, peer: SocketAddr) {
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
