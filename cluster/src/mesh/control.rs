//! The control connections: how they are made and accepted.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use quinn::Runtime as _;
use quinn::crypto::rustls::HandshakeData;
use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, EndpointConfig, IdleTimeout, RecvStream, SendStream,
    ServerConfig, TokioRuntime, TransportConfig, VarInt,
};
use rand::{Rng, RngExt as _};
use tokio::time::{sleep, timeout};
use weft_proto::wire::entry::NodeId;
use weft_proto::wire::hello::{Greeting, Hello, Purpose};

use super::faults::{self, Faults};
use super::hello::read_hello;
use super::newcomers::{Place, Standing};
use super::refusal::{End, Refusal};
use super::sockets::canonical;
use super::table::{Link, Next};
use super::tls::{self, CONTROL_PROTOCOLS, Clients, JOIN_PROTOCOL, Servers};
use super::{Notice, Shared, calls, join};
use crate::identity::{Current, server_name};
use crate::limits::{CALLS_PER_PEER_MAX, NEWCOMER_DEADLINE, NEWCOMERS_UNPROVEN_MAX};

/// How other nodes are dialed.
pub(super) fn client(identity: &Current, servers: Servers) -> io::Result<ClientConfig> {
    let config = tls::client(identity, servers, CONTROL_PROTOCOLS).and_then(tls::quic_client);
    let mut config = ClientConfig::new(config.map_err(io::Error::other)?);
    config.transport_config(transport());
    Ok(config)
}

/// The endpoint, which listens and dials on one socket.
pub(super) fn endpoint(identity: &Current, socket: UdpSocket, faults: Option<Faults>) -> io::Result<Endpoint> {
    let protocols = [CONTROL_PROTOCOLS, &[JOIN_PROTOCOL]].concat();
    let server = tls::server(identity, Clients::Any, &protocols).and_then(tls::quic_server);
    let mut server = ServerConfig::with_crypto(server.map_err(io::Error::other)?);
    server.transport_config(transport());
    server.incoming_buffer_size(FIRST_WINDOW_BYTES.into()).incoming_buffer_size_total(UNANSWERED_BYTES_MAX);
    let socket = TokioRuntime.wrap_udp_socket(socket)?;
    let socket = match faults {
        Some(faults) => faults::wrap(socket, faults),
        None => socket,
    };
    Endpoint::new_with_abstract_socket(EndpointConfig::default(), Some(server), socket, Arc::new(TokioRuntime))
}

/// What a newcomer may do: open one stream, and little memory. It may more when it is known.
pub(super) fn transport() -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_MILLIS))))
        .initial_rtt(INITIAL_RTT)
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(FIRST_WINDOW_BYTES))
        .datagram_receive_buffer_size(Some(DATAGRAM_BUFFER_BYTES))
        .datagram_send_buffer_size(DATAGRAM_BUFFER_BYTES);
    Arc::new(transport)
}

/// Takes in those who come, until the endpoint is closed.
pub(super) async fn listen(shared: Arc<Shared>) {
    while let Some(incoming) = shared.endpoint.accept().await {
        let from = canonical(incoming.remote_address());
        let is_proven = incoming.remote_address_validated();
        if !is_proven && shared.newcomers.len() >= NEWCOMERS_UNPROVEN_MAX && incoming.may_retry() {
            // Fails only for what cannot be asked again, which was just ruled out.
            let _ = incoming.retry();
            continue;
        }
        let standing = if is_proven { shared.standing(from) } else { Standing::Stranger };
        let Some(place) = shared.newcomers.enter(from.ip(), standing) else {
            shared.complaints.note(Refusal::TooMany, from, "control");
            incoming.refuse();
            continue;
        };
        shared.runtime.spawn(welcome(shared.clone(), incoming, from, place));
    }
}

async fn welcome(shared: Arc<Shared>, incoming: quinn::Incoming, from: SocketAddr, place: Place) {
    let connection = match incoming.accept() {
        Ok(connecting) => timeout(NEWCOMER_DEADLINE, connecting).await,
        Err(error) => Ok(Err(error)),
    };
    let connection = match connection {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return shared.complaints.note(Refusal::of_handshake(&error), from, "control"),
        Err(_) => return shared.complaints.note(Refusal::Deadline, from, "control"),
    };
    let met = if protocol_of(&connection).as_deref() == Some(JOIN_PROTOCOL.as_bytes()) {
        join::hear(&shared, &connection, from).await.map(|()| None)
    } else {
        let met = timeout(NEWCOMER_DEADLINE, meet(&shared, &connection, from)).await;
        met.unwrap_or(Err(Refusal::Deadline))
    };
    drop(place);
    match met {
        Ok(Some((node, link))) => run(shared, node, link).await,
        Ok(None) => {}
        // The dialer has closed it: it was answered elsewhere, or it refuses this node.
        Err(_) if matches!(connection.close_reason(), Some(ConnectionError::ApplicationClosed(_))) => {}
        Err(refusal) => {
            shared.complaints.note(refusal, from, "control");
            refusal.close(&connection);
        }
    }
}

/// What TLS has agreed on (RFC 7301).
fn protocol_of(connection: &Connection) -> Option<Vec<u8>> {
    connection.handshake_data()?.downcast::<HandshakeData>().ok()?.protocol
}

/// The answerer's part. The link, if there is one now.
async fn meet(
    shared: &Arc<Shared>,
    connection: &Connection,
    from: SocketAddr,
) -> Result<Option<(NodeId, Link<Connection>)>, Refusal> {
    let certified = tls::peer_of(connection).ok_or(Refusal::NoCertificate)?;
    let (mut answer, mut first) = connection.accept_bi().await.map_err(|_| Refusal::BadHello)?;
    let hello = read_hello(&mut first).await?;
    if hello.purpose == Purpose::Acquaintance {
        say(&mut answer, &shared.hello(Purpose::Acquaintance)).await?;
        connection.closed().await;
        return Ok(None);
    }
    if hello.purpose != Purpose::Control {
        return Err(Refusal::BadHello);
    }
    let heard = shared.table.lock().heard(certified, &hello);
    if heard == Err(Refusal::OwnId) && hello.process != shared.me.read().process {
        shared.notice(Notice::Twin { address: from, incarnation: hello.incarnation });
    }
    let attempt = heard?;
    let confirmed = async {
        say(&mut answer, &shared.hello(Purpose::Control)).await?;
        first.read_to_end(0).await.map_err(|_| Refusal::BadHello)
    };
    let installed = match confirmed.await {
        Ok(_) => shared.table.lock().confirmed(certified, attempt, &hello, connection.clone()),
        // The dialer has thought better of it: it was answered on another connection.
        Err(_) => None,
    };
    let Some((link, before)) = installed else {
        shared.table.lock().unconfirmed(certified, attempt);
        shared.changed.send_replace(());
        End::Done.close(connection);
        return Ok(None);
    };
    if let Some(before) = before {
        End::Replaced.close(&before.connection);
    }
    Ok(Some((certified, link)))
}

async fn say(to: &mut SendStream, hello: &Hello) -> Result<(), Refusal> {
    to.write_all(&Greeting::Hello(hello.clone()).encode()).await.map_err(|_| Refusal::Handshake)
}

/// Uses a connection until it ends.
async fn run(shared: Arc<Shared>, node: NodeId, link: Link<Connection>) {
    let connection = &link.connection;
    shared.counts.links.fetch_add(1, Ordering::Relaxed);
    connection.set_max_concurrent_bi_streams(VarInt::from_u32(CALLS_PER_PEER_MAX));
    connection.set_receive_window(VarInt::from_u32(WINDOW_BYTES));
    shared.changed.send_replace(());
    let remote = canonical(connection.remote_address());
    shared.met(node, remote);
    tracing::info!(%node, incarnation = link.incarnation, %remote, dialed = link.dialed, "connected to a node");
    shared.since.lock().insert(link.serial, Instant::now());
    let error = calls::serve(&shared, node, connection).await;
    shared.since.lock().remove(&link.serial);
    let was_in_use = shared.table.lock().lost(node, link.serial);
    shared.changed.send_replace(());
    if End::Leaving.is(&error) {
        calls::goodbye(&shared, node, link.incarnation).await;
    }
    if was_in_use {
        tracing::info!(%node, incarnation = link.incarnation, %error, "the connection to a node has ended");
    }
}

/// Keeps up the connection to a peer for as long as it is one.
pub(super) async fn keep(shared: Arc<Shared>, node: NodeId) {
    let mut changes = shared.changed.subscribe();
    let mut backoff = Backoff::default();
    loop {
        changes.borrow_and_update();
        let next = shared.table.lock().next(node);
        let (attempt, address) = match next {
            Next::Dial { attempt, address } => (attempt, address),
            Next::Stop => return,
            Next::Wait => {
                if changes.changed().await.is_err() {
                    return;
                }
                continue;
            }
        };
        match dial(&shared, node, attempt, &address, backoff.patience()).await {
            Ok(Some(link)) => {
                backoff.reset();
                shared.runtime.spawn(run(shared.clone(), node, link));
            }
            // The peer's own attempt was quicker, or this node refuses the peer.
            Ok(None) => {}
            Err(refusal) => {
                if backoff.is_fresh() && refusal != Refusal::Simultaneous {
                    tracing::info!(%node, %address, %refusal, "a node cannot be reached; trying again");
                }
                if matches!(refusal, Refusal::OlderIncarnation | Refusal::SecondProcess) {
                    shared.notice(Notice::Superseded { by: node, refusal });
                }
                if refusal == Refusal::Removed {
                    shared.notice(Notice::Removed { by: node });
                }
            }
        }
        shared.table.lock().gave_up(node, attempt);
        sleep(backoff.next()).await;
    }
}

/// The dialer's part. `None` when the peer was answered meanwhile, or is refused by this node: a refusal is the peer's alone,
/// for who is told that it was removed ends.
async fn dial(
    shared: &Arc<Shared>,
    node: NodeId,
    attempt: u64,
    address: &str,
    patience: Duration,
) -> Result<Option<Link<Connection>>, Refusal> {
    let name = server_name(node);
    let found = shared.locate(node, address, patience).await;
    let connection = reach(shared, &shared.clients.member, &found, &name, patience).await?;
    if !shared.table.lock().may_greet(node, attempt) {
        End::Done.close(&connection);
        return Ok(None);
    }
    let greeted = timeout(HELLO_DEADLINE, greet(&connection, &shared.hello(Purpose::Control))).await;
    let (hello, mut first, _answers) = greeted.unwrap_or(Err(Refusal::Deadline)).inspect_err(|refusal| {
        refusal.close(&connection);
    })?;
    let link = shared.table.lock().greeted(node, attempt, &hello, connection.clone());
    match link {
        Ok(link) => {
            // Fails when the connection has ended just now, which is noticed soon enough.
            let _ = first.finish();
            Ok(Some(link))
        }
        Err(Some(refusal)) => {
            refusal.close(&connection);
            shared.complaints.note(refusal, canonical(connection.remote_address()), "control, dialed");
            Ok(None)
        }
        Err(None) => {
            End::Done.close(&connection);
            Ok(None)
        }
    }
}

/// A connection to the first of some addresses that answers: with its first words within `patience`.
async fn reach(
    shared: &Shared,
    config: &ClientConfig,
    addresses: &[SocketAddr],
    name: &str,
    patience: Duration,
) -> Result<Connection, Refusal> {
    let mut last = Refusal::Deadline;
    for address in addresses {
        let Ok(mut connecting) = shared.endpoint.connect_with(config.clone(), *address, name) else { continue };
        let handshake = async {
            let heard = timeout(patience, connecting.handshake_data()).await.map(|data| data.map(drop));
            match heard {
                Ok(Ok(())) => Some(connecting.await),
                Ok(Err(error)) => Some(Err(error)),
                Err(_) => None,
            }
        };
        match timeout(HELLO_DEADLINE, handshake).await {
            Ok(Some(Ok(connection))) => return Ok(connection),
            Ok(Some(Err(error))) => last = Refusal::of_handshake(&error),
            Ok(None) | Err(_) => {}
        }
    }
    Err(last)
}

/// Says hello, and reads the answer.
async fn greet(connection: &Connection, mine: &Hello) -> Result<(Hello, SendStream, RecvStream), Refusal> {
    // What the other side said when it closed is why there is no answer.
    let why = |refusal| match connection.close_reason() {
        Some(error) => Refusal::said_by(&error).unwrap_or_else(|| Refusal::of_handshake(&error)),
        None => refusal,
    };
    let (mut first, mut answers) = connection.open_bi().await.map_err(|_| why(Refusal::Handshake))?;
    say(&mut first, mine).await.map_err(why)?;
    let hello = read_hello(&mut answers).await.map_err(why)?;
    Ok((hello, first, answers))
}

/// Finds out who is at an address.
pub(super) async fn acquaint(shared: &Arc<Shared>, address: &str) -> Result<Hello, Refusal> {
    let found = resolve(address, HELLO_DEADLINE).await;
    // Some name must be asked for; the verifier takes the one that the certificate has.
    let connection = reach(shared, &shared.clients.anyone, &found, "node", HELLO_DEADLINE).await?;
    let greeted = timeout(HELLO_DEADLINE, greet(&connection, &shared.hello(Purpose::Acquaintance))).await;
    let is_named = |hello: &Hello| tls::peer_of(&connection) == Some(hello.node);
    let hello = greeted.unwrap_or(Err(Refusal::Deadline)).map(|(hello, ..)| hello);
    End::Done.close(&connection);
    hello.and_then(|hello| if is_named(&hello) { Ok(hello) } else { Err(Refusal::Certificate) })
}

/// What a name says now; nothing, where nobody answers for it within `patience`.
pub(crate) async fn resolve(address: &str, patience: Duration) -> Vec<SocketAddr> {
    match timeout(patience, tokio::net::lookup_host(address)).await {
        Ok(Ok(found)) => found.take(ADDRESSES_TRIED_MAX).collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

impl Shared {
    /// Where a peer is: where its name says, which is asked each time, for a node may come back at another address. While
    /// nobody answers for the name, where it was last: a name server that is away must not part nodes that reach each other.
    async fn locate(&self, node: NodeId, address: &str, patience: Duration) -> Vec<SocketAddr> {
        let found = resolve(address, patience).await;
        if found.is_empty() {
            return self.known.lock().get(&node).cloned().unwrap_or_default();
        }
        self.found(node, found.iter().copied().map(canonical).collect());
        found
    }

    /// What the address of a newcomer says about it.
    pub(super) fn standing(&self, from: SocketAddr) -> Standing {
        let known = self.known.lock();
        let all = || known.values().flatten();
        if all().any(|address| *address == from) {
            Standing::Member
        } else if all().any(|address| address.ip() == from.ip()) {
            Standing::Neighbour
        } else {
            Standing::Stranger
        }
    }
}

/// Time between attempts: it doubles up to a quarter of a second, and is spread so that nodes do not move in step.
#[derive(Debug, Default)]
pub(crate) struct Backoff(u32);

impl Backoff {
    pub(crate) fn reset(&mut self) {
        self.0 = 0;
    }

    /// How long the next attempt waits for the peer's first word. Its own first packet is lost where the way is cut, and is
    /// sent again after ever longer times: a new attempt is the quicker one when the way is whole again. Now and then one
    /// waits for longer, for a peer that is very far away.
    pub(crate) fn patience(&self) -> Duration {
        if self.0 % PATIENT_EVERY == PATIENT_EVERY - 1 { HELLO_DEADLINE } else { SILENCE }
    }

    fn is_fresh(&self) -> bool {
        self.0 == 0
    }

    pub(super) fn next(&mut self) -> Duration {
        self.draw(&mut rand::rng())
    }

    /// The next time, spread by this chance.
    pub(crate) fn draw(&mut self, chance: &mut impl Rng) -> Duration {
        let longest = RETRY_FIRST.saturating_mul(1 << self.0.min(8)).min(RETRY_LAST);
        self.0 = self.0.saturating_add(1);
        longest.mul_f64(chance.random_range(0.5..1.0))
    }
}

/// A peer that is gone is noticed after three.
const KEEP_ALIVE: Duration = Duration::from_secs(1);
pub(crate) const IDLE_MILLIS: u32 = 3000;
/// Nodes are seldom further apart. Three times this is how long a lost first packet takes.
const INITIAL_RTT: Duration = Duration::from_millis(50);
/// For TLS with one address, and for the hello.
pub(crate) const HELLO_DEADLINE: Duration = Duration::from_secs(2);
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LAST: Duration = Duration::from_millis(250);
/// A first packet and two repetitions, at 0, 150 and 450 ms: the next would come after 1,050 ms only.
const SILENCE: Duration = Duration::from_millis(700);
const PATIENT_EVERY: u32 = 4;
/// Of one peer.
pub(super) const ADDRESSES_TRIED_MAX: usize = 4;

/// Half a second of 16 Mbit/s, or 100 ms of 80 Mbit/s.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// Of all streams of a peer.
const WINDOW_BYTES: u32 = 8 << 20;
/// Of a newcomer: more than a hello or a wish to join needs.
const FIRST_WINDOW_BYTES: u32 = 16 << 10;
/// Of packets that come before their connection is accepted.
const UNANSWERED_BYTES_MAX: u64 = 4 << 20;
/// Some 50 signals.
const DATAGRAM_BUFFER_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_come_between_25_and_250_ms_apart() {
        let mut backoff = Backoff::default();
        let waits: Vec<Duration> = (0..20).map(|_| backoff.next()).collect();
        assert!((Duration::from_millis(25)..Duration::from_millis(50)).contains(&waits[0]), "{waits:?}");
        assert!(waits[10..].iter().all(|wait| *wait >= RETRY_LAST / 2 && *wait < RETRY_LAST), "{waits:?}");
        backoff.reset();
        assert!(backoff.next() < RETRY_FIRST);
    }

    #[test]
    fn one_attempt_in_four_waits_for_peers_that_are_very_far_away() {
        let mut backoff = Backoff::default();
        let mut patience = || {
            let patience = backoff.patience();
            backoff.next();
            patience
        };
        assert_eq!([(); 5].map(|()| patience()), [SILENCE, SILENCE, SILENCE, HELLO_DEADLINE, SILENCE]);
    }
}
