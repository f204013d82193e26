//! Listening sockets that outlive a reload: what a changed configuration leaves alone stays bound, with its queue of
//! connections, and is handed to the next generation of accepting tasks as a copy of its descriptor.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use tokio::sync::watch;
use tracing::info;

use super::Failure;
use crate::config::value::Address;
use crate::worker::bind::{self, BindError, Holders};

/// One address with a socket for each worker.
#[derive(Debug)]
pub(super) struct Bound<T> {
    what: &'static str,
    /// As it was configured.
    address: Address,
    /// Keeps the address, and what waits there to be accepted, over generations of tasks.
    sockets: Arc<[T]>,
    /// For the tasks of the next generation, one for each worker: made with all else that can fail.
    copies: Vec<T>,
}

/// A socket that can listen.
pub(super) trait Listening: Sized {
    const TRANSPORT: &'static str;
    fn copy(&self) -> io::Result<Self>;
    fn local(&self) -> io::Result<SocketAddr>;
}

impl Listening for TcpListener {
    const TRANSPORT: &'static str = "TCP";

    fn copy(&self) -> io::Result<Self> {
        self.try_clone()
    }

    fn local(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}

impl Listening for UdpSocket {
    const TRANSPORT: &'static str = "UDP";

    fn copy(&self) -> io::Result<Self> {
        self.try_clone()
    }

    fn local(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}

impl<T: Listening> Bound<T> {
    /// The configured address with the port that it has.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        self.sockets.first().and_then(|socket| socket.local().ok())
    }

    /// Says on which address it listens.
    pub(super) fn announce(&self) {
        if let Some(address) = self.local() {
            info!(%address, transport = T::TRANSPORT, "{} listening", self.what);
        }
    }
}

/// The socket of each worker, for the tasks that begin now; none where nothing is listened on.
pub(super) fn take<T>(bound: &mut Option<Bound<T>>) -> Vec<T> {
    bound.as_mut().map_or_else(Vec::new, |bound| core::mem::take(&mut bound.copies))
}

/// Binds TCP on `address`, unless `old` has it already: then it is kept. `None` where nothing is wanted.
pub(super) fn tcp(
    what: &'static str,
    address: Option<&Address>,
    old: Option<&Bound<TcpListener>>,
    workers: usize,
) -> Result<Option<Bound<TcpListener>>, Failure> {
    keep_or_bind(what, address, old, |at, holders| bind::tcp(what, at, workers, holders))
}

/// The same for UDP.
pub(super) fn udp(
    what: &'static str,
    address: Option<&Address>,
    old: Option<&Bound<UdpSocket>>,
    workers: usize,
    read_buffer_bytes: Option<usize>,
) -> Result<Option<Bound<UdpSocket>>, Failure> {
    keep_or_bind(what, address, old, |at, holders| bind::udp(what, at, workers, read_buffer_bytes, holders))
}

fn keep_or_bind<T: Listening>(
    what: &'static str,
    address: Option<&Address>,
    old: Option<&Bound<T>>,
    bind: impl FnOnce(SocketAddr, Holders) -> Result<Vec<T>, BindError>,
) -> Result<Option<Bound<T>>, Failure> {
    let Some(address) = address else { return Ok(None) };
    let sockets: Arc<[T]> = match old.filter(|old| old.address == *address) {
        Some(old) => old.sockets.clone(),
        None => {
            let resolved = resolve(what, address)?;
            match old.and_then(|old| Some((old, old.local()?))) {
                // The same in other words.
                Some((old, local)) if local == resolved => old.sockets.clone(),
                // The old sockets go when the new ones are there: a client finds one of the two at any time.
                Some((_, local)) if local.port() == resolved.port() => bind(resolved, Holders::Ourselves)?.into(),
                _ => bind(resolved, Holders::Nobody)?.into(),
            }
        }
    };
    let copies = sockets.iter().map(T::copy).collect::<io::Result<_>>();
    let copies = copies.map_err(|error| Failure::Address { what, address: address.clone(), error })?;
    Ok(Some(Bound { what, address: address.clone(), sockets, copies }))
}

/// The address to bind. On a machine without IPv6 "all addresses" are those of IPv4.
fn resolve(what: &'static str, address: &Address) -> Result<SocketAddr, Failure> {
    let resolved = address.resolve().map_err(|error| Failure::Address { what, address: address.clone(), error })?;
    let all = resolved.ip().is_unspecified() && resolved.is_ipv6();
    if all && TcpListener::bind("[::]:0").is_err() {
        return Ok(SocketAddr::from(([0, 0, 0, 0], resolved.port())));
    }
    Ok(resolved)
}

/// Ends the tasks of one generation when it is dropped.
#[derive(Debug)]
pub(super) struct Generation {
    _sender: watch::Sender<()>,
}

/// Tells a task that its generation is over.
#[derive(Clone, Debug)]
pub(super) struct Alive(watch::Receiver<()>);

impl Generation {
    /// A generation that has just begun.
    pub(super) fn begin() -> (Self, Alive) {
        let (sender, receiver) = watch::channel(());
        (Self { _sender: sender }, Alive(receiver))
    }
}

impl Alive {
    /// Runs `task` until it ends, or until its generation does.
    pub(super) async fn run(mut self, task: impl Future<Output = ()>) {
        tokio::select! {
            () = task => {}
            // Nothing is ever sent: the end of the sender is what is waited for.
            _ = self.0.changed() => {}
        }
    }
}
