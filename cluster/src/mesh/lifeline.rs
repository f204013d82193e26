//! Lifelines: a TCP connection for each pair on which, after TLS and hellos, nothing is ever sent.
//!
//! QUIC does not see that a process was killed, for nobody is left to say so. TCP does: the kernel closes what a process had
//! open. A close without TLS's own goodbye (`close_notify`, RFC 8446 section 6.1) is therefore a cut, and told at once. One
//! with it is an orderly end: the node leaves, or holds another lifeline. And one that ends because nobody answers any more
//! is no news: heartbeats tell that better.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use weft_proto::wire::entry::NodeId;
use weft_proto::wire::hello::{Greeting, Hello, Purpose};

use super::control::Backoff;
use super::faults::Way;
use super::hello::read_hello;
use super::newcomers::{Place, Standing};
use super::refusal::Refusal;
use super::sockets::{canonical, keep_watch};
use super::tls::{self, Clients, LIFELINE_PROTOCOL, Servers};
use super::{Incoming, Shared};
use crate::identity::{Current, node_of, server_name};
use crate::limits::NEWCOMER_DEADLINE;

pub(super) fn connector(identity: &Current) -> io::Result<TlsConnector> {
    let config = tls::client(identity, Servers::Dialed, &[LIFELINE_PROTOCOL]).map_err(io::Error::other)?;
    Ok(Arc::new(config).into())
}

pub(super) fn acceptor(identity: &Current) -> io::Result<TlsAcceptor> {
    let config = tls::server(identity, Clients::Certified, &[LIFELINE_PROTOCOL]).map_err(io::Error::other)?;
    Ok(Arc::new(config).into())
}

/// Takes in those who come, for ever.
pub(super) async fn listen(shared: Arc<Shared>, listener: TcpListener, acceptor: TlsAcceptor) {
    let newcomers = super::Newcomers::default();
    loop {
        let (stream, from) = match listener.accept().await {
            Ok((stream, from)) => (stream, canonical(from)),
            Err(error) => {
                // The newcomer has gone, or there are no descriptors left: some are freed soon.
                tracing::debug!(%error, "accepting a lifeline");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Who dials has some other port, so that a member cannot be told from its neighbours.
        let standing = match shared.standing(from) {
            Standing::Member | Standing::Neighbour => Standing::Neighbour,
            Standing::Stranger => Standing::Stranger,
        };
        match newcomers.enter(from.ip(), standing) {
            Some(place) => drop(shared.runtime.spawn(welcome(shared.clone(), acceptor.clone(), stream, from, place))),
            None => shared.complaints.note(Refusal::TooMany, from, "lifeline"),
        }
    }
}

async fn welcome(shared: Arc<Shared>, acceptor: TlsAcceptor, stream: TcpStream, from: SocketAddr, place: Place) {
    let met = timeout(NEWCOMER_DEADLINE, meet(&shared, &acceptor, stream)).await;
    drop(place);
    match met.unwrap_or(Err(Refusal::Deadline)) {
        Ok((hello, stream)) => hold(&shared, hello, stream).await,
        Err(refusal) => shared.complaints.note(refusal, from, "lifeline"),
    }
}

type ServerStream = tokio_rustls::server::TlsStream<TcpStream>;

async fn meet(shared: &Shared, acceptor: &TlsAcceptor, stream: TcpStream) -> Result<(Hello, ServerStream), Refusal> {
    keep_watch(&stream).map_err(|_| Refusal::Handshake)?;
    let mut stream = acceptor.accept(stream).await.map_err(|error| of_tls(&error))?;
    let certified = certified(stream.get_ref().1.peer_certificates()).ok_or(Refusal::NoCertificate)?;
    let hello = read_hello(&mut stream).await?;
    if hello.purpose != Purpose::Lifeline {
        return Err(Refusal::BadHello);
    }
    shared.passable(certified, Way::In).await;
    shared.passable(certified, Way::Out).await;
    // The dialer confirms its connection before it dials this, but that may come later.
    let mut changes = shared.changed.subscribe();
    let waiting = async {
        loop {
            changes.borrow_and_update();
            let allowed = shared.table.lock().may_hold(certified, &hello);
            if allowed != Err(Refusal::NoConnection) || changes.changed().await.is_err() {
                return allowed;
            }
        }
    };
    timeout(CONNECTION_DEADLINE, waiting).await.unwrap_or(Err(Refusal::NoConnection))?;
    let mine = Greeting::Hello(shared.hello(Purpose::Lifeline)).encode();
    stream.write_all(&mine).await.map_err(|_| Refusal::Handshake)?;
    Ok((hello, stream))
}

/// Keeps up the lifeline to a peer whose connection this node has dialed, for as long as it is one.
pub(super) async fn keep(shared: Arc<Shared>, node: NodeId) {
    let mut changes = shared.changed.subscribe();
    let mut backoff = Backoff::default();
    loop {
        changes.borrow_and_update();
        let wanted = shared.table.lock().wants_lifeline(node);
        let link = match wanted {
            Ok(Some(link)) => link,
            Ok(None) => {
                if changes.changed().await.is_err() {
                    return;
                }
                continue;
            }
            Err(()) => return,
        };
        let remote = link.connection.remote_address();
        shared.passable(node, Way::Out).await;
        shared.passable(node, Way::In).await;
        match timeout(NEWCOMER_DEADLINE, dial(&shared, node, remote)).await {
            Ok(Ok((hello, stream))) => {
                backoff.reset();
                hold(&shared, hello, stream).await;
            }
            Ok(Err(refusal)) => tracing::debug!(%node, %remote, %refusal, "no lifeline yet"),
            Err(_) => tracing::debug!(%node, %remote, "no lifeline yet: it took too long"),
        }
        sleep(backoff.next()).await;
    }
}

type ClientStream = tokio_rustls::client::TlsStream<TcpStream>;

async fn dial(shared: &Shared, node: NodeId, remote: SocketAddr) -> Result<(Hello, ClientStream), Refusal> {
    let stream = TcpStream::connect(remote).await.map_err(|_| Refusal::Deadline)?;
    keep_watch(&stream).map_err(|_| Refusal::Handshake)?;
    let name = ServerName::try_from(server_name(node)).map_err(|_| Refusal::Handshake)?;
    let mut stream = shared.clients.lifeline.connect(name, stream).await.map_err(|error| of_tls(&error))?;
    let mine = Greeting::Hello(shared.hello(Purpose::Lifeline)).encode();
    stream.write_all(&mine).await.map_err(|_| Refusal::Handshake)?;
    // A server that refuses closes without a word: it has logged why.
    let hello = read_hello(&mut stream).await?;
    let is_right = hello.node == node && hello.purpose == Purpose::Lifeline;
    if is_right { Ok((hello, stream)) } else { Err(Refusal::BadHello) }
}

/// Holds a lifeline until it ends, and tells if it was cut.
async fn hold(shared: &Shared, hello: Hello, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let Hello { node, incarnation, .. } = hello;
    let held = shared.table.lock().hold(node, &hello);
    let Some((serial, farewell, before)) = held else { return };
    shared.changed.send_replace(());
    if let Some(before) = before {
        before.notify_one();
    }
    let end = watch(stream, &farewell).await;
    shared.table.lock().let_go(node, serial);
    shared.changed.send_replace(());
    if end == Ended::Cut {
        // The kernel has seen it; across a partition it would not have.
        shared.passable(node, Way::In).await;
        tracing::info!(%node, incarnation, "the lifeline of a node was cut");
        // Fails when the cluster thread is shutting down.
        let _ = shared.incoming.send(Incoming::Cut { node, incarnation }).await;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// By one of the two, with a goodbye.
    Orderly,
    /// The peer's kernel has closed it.
    Cut,
    /// The network does not carry it any more, or the peer has sent what it must not.
    Lost,
}

async fn watch(mut stream: impl AsyncRead + AsyncWrite + Unpin, farewell: &Notify) -> Ended {
    let mut byte = [0];
    let read = tokio::select! {
        read = stream.read(&mut byte) => read,
        () = farewell.notified() => {
            // Whoever does not take the goodbye is gone already.
            let _ = timeout(FAREWELL_DEADLINE, stream.shutdown()).await;
            return Ended::Orderly;
        }
    };
    match read {
        Ok(0) => Ended::Orderly,
        Ok(_) => Ended::Lost,
        Err(error) => match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Ended::Cut,
            _ => Ended::Lost,
        },
    }
}

fn certified(chain: Option<&[CertificateDer<'_>]>) -> Option<NodeId> {
    node_of(chain?.first()?)
}

fn of_tls(error: &io::Error) -> Refusal {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::NoCertificatesPresented) => Refusal::NoCertificate,
        Some(rustls::Error::InvalidCertificate(_)) => Refusal::Certificate,
        _ => Refusal::Handshake,
    }
}

const CONNECTION_DEADLINE: Duration = Duration::from_secs(2);
const FAREWELL_DEADLINE: Duration = Duration::from_millis(200);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
