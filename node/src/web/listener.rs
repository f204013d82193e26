//! Accepts connections, within bounds, and lets hyper speak HTTP over them on this worker.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use super::body::Body;
use super::patient::Patient;
use crate::limits::{HTTP_HEAD_BYTES_MAX, HTTP_IDLE, HTTP2_STREAMS_MAX};
use crate::worker::accept;
use crate::worker::admission::{Admission, Admitted};

/// What a door serves over HTTP on one worker.
pub trait Site: 'static {
    /// The door's name, for people.
    const NAME: &'static str;

    /// Bounds on connections.
    fn admission(&self) -> &Arc<Admission>;

    /// For encrypted connections; without it they are plain.
    fn tls(&self) -> Option<&TlsAcceptor>;

    /// A client that takes nothing for so long is dropped.
    fn write_timeout(&self) -> Duration;

    /// Answers a request. `secure`: it came encrypted.
    fn answer(
        self: Rc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
        secure: bool,
    ) -> impl Future<Output = Response<Body>> + 'static;
}

/// Accepts for ever.
pub async fn accept<S: Site>(site: Rc<S>, listener: StdListener) -> io::Result<()> {
    let admission = site.admission().clone();
    let serve = |stream, peer, admitted| serve(site.clone(), stream, peer, admitted);
    accept::connections(S::NAME, listener, admission, serve).await
}

/// A connection as its requests know it.
struct Connection<S> {
    site: Rc<S>,
    peer: SocketAddr,
    secure: bool,
    /// Counts against its address until one of its requests was granted.
    admitted: RefCell<Admitted>,
}

async fn serve<S: Site>(site: Rc<S>, stream: TcpStream, peer: SocketAddr, admitted: Admitted) {
    // What only encrypted connections need is not to weigh on all others.
    if site.tls().is_some() {
        return Box::pin(serve_encrypted(site, stream, peer, admitted)).await;
    }
    let stream = Patient::new(stream, site.write_timeout());
    let connection = Connection { site, peer, secure: false, admitted: RefCell::new(admitted) };
    report::<S>(first(stream, connection).await, peer);
}

async fn serve_encrypted<S: Site>(site: Rc<S>, stream: TcpStream, peer: SocketAddr, admitted: Admitted) {
    let Some(tls) = site.tls() else { return };
    let Some(stream) = accept::handshake(tls, stream, peer).await else { return };
    let is_second = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let stream = Patient::new(stream, site.write_timeout());
    let connection = Connection { site, peer, secure: true, admitted: RefCell::new(admitted) };
    if is_second {
        let mut builder = http2::Builder::new(Local);
        builder.timer(TokioTimer::new()).keep_alive_interval(HTTP_IDLE).max_concurrent_streams(HTTP2_STREAMS_MAX);
        builder.max_header_list_size(HTTP_HEAD_BYTES_MAX as u32);
        let connection = Rc::new(connection);
        let service = service_fn(move |request| answer(&connection, request));
        report::<S>(builder.serve_connection(TokioIo::new(stream), service).await, peer);
    } else {
        report::<S>(first(stream, connection).await, peer);
    }
}

/// HTTP/1.1. No `async fn`: that would hold what it is given twice.
fn first<T, S>(stream: T, connection: Connection<S>) -> impl Future<Output = hyper::Result<()>>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    S: Site,
{
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HTTP_IDLE).max_buf_size(HTTP_HEAD_BYTES_MAX);
    let connection = Rc::new(connection);
    builder.serve_connection(TokioIo::new(stream), service_fn(move |request| answer(&connection, request)))
}

fn answer<S: Site>(
    connection: &Rc<Connection<S>>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Body>, Infallible>> + use<S> {
    let connection = connection.clone();
    let answer = connection.site.clone().answer(request, connection.peer, connection.secure);
    async move {
        let response = answer.await;
        if response.status().is_success() || response.status().is_redirection() {
            connection.admitted.borrow_mut().establish();
        }
        Ok(response)
    }
}

fn report<S: Site>(ended: hyper::Result<()>, peer: SocketAddr) {
    if let Err(error) = ended {
        debug!(%peer, "{} connection ended: {error}", S::NAME);
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
