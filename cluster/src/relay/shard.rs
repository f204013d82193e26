//! A worker's part in relays: its sockets, its connections both ways, and the paths that it carries here.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use quinn::{
    ClientConfig, Endpoint, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, Runtime as _, ServerConfig, TokioRuntime,
    TransportConfig, VarInt,
};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_local;
use tracing::{debug, info, warn};
use weft_proto::id::PathName;
use weft_proto::wire::entry::NodeId;

use super::carrier::Carrier;
use super::congestion::LiveConfig;
use super::links::Children;
use super::parent::HandedOn;
use super::peer::Peer;
use super::question::Question;
use super::upstream::{Ending, Moving, Upstream};
use super::{Relays, links, parent};
use crate::identity::Current;
use crate::limits::{
    RELAY_CONNECTIONS_MAX, RELAY_DEADLINE, RELAY_PACKET_BYTES_MAX, RELAY_QUESTIONS_MAX, RELAY_STREAM_WINDOW,
    RELAY_STREAMS_MAX, RELAY_SUBSCRIPTIONS_MAX, RELAY_WINDOW,
};
use crate::mesh::bind_udp;
use crate::mesh::faults::{self, Faults};
use crate::mesh::tls::{self, Clients, Servers};
use crate::path::PathShared;
use crate::stream::{StreamKey, WakeGate};

/// The ALPN names (RFC 7301) of the versions of relay connections that this node speaks, the best first.
const RELAY_PROTOCOLS: &[&str] = &["weft-relay/1"];

/// The socket of one shard, bound. Those of all shards have the same port, and the system spreads connections over them.
#[derive(Debug)]
pub struct RelaySocket(UdpSocket);

#[cfg(test)]
impl RelaySocket {
    pub(super) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }
}

/// Sockets for so many shards, on one address. With port 0 the system chooses one for all.
pub(super) fn bind(mut address: SocketAddr, shards: usize) -> io::Result<Vec<RelaySocket>> {
    let mut sockets = Vec::with_capacity(shards);
    for _ in 0..shards {
        let socket = bind_udp(address, shards > 1)?;
        address.set_port(socket.local_addr()?.port());
        sockets.push(RelaySocket(socket));
    }
    Ok(sockets)
}

/// A worker's part.
pub(super) struct Shard {
    pub(super) relays: Relays,
    pub(super) gate: Arc<WakeGate>,
    /// Others connect here.
    server: Endpoint,
    /// This one dials from here: answers must come to this shard, and to no other one of the same port. Made when it is
    /// needed, for what it receives into takes 13 MB of address space.
    client: OnceCell<Endpoint>,
    /// Where that binds to.
    any: SocketAddr,
    config: ClientConfig,
    pub(super) peers: RefCell<HashMap<NodeId, Rc<Peer>>>,
    pub(super) children: RefCell<Children>,
    pub(super) handed_on: RefCell<HandedOn>,
    listeners: RefCell<HashMap<StreamKey, Listeners>>,
    upstreams: RefCell<BTreeMap<PathName, Rc<Upstream>>>,
    /// Its number among the node's shards.
    pub(super) number: usize,
    connections: Cell<usize>,
    /// Places for questions to other nodes.
    pub(super) asking: Semaphore,
}

/// Subscriptions that a stream is read for.
type Listeners = Vec<(Weak<Carrier>, u64)>;

/// Something for a shard to do.
pub(super) enum Job {
    /// Somebody reads a path that is elsewhere.
    Want(Arc<PathShared>),
    /// Nobody does any more.
    Forget(PathName),
    /// Another node is asked something.
    Ask(Question),
    /// Another shard carried it so far.
    Continue(Moving),
    /// The node ends. Answered once the other ends have been told.
    Close(oneshot::Sender<()>),
}

impl Shard {
    /// Opens it on this thread, which must run a `LocalSet`.
    pub(super) fn open(relays: Relays, socket: RelaySocket) -> io::Result<Rc<Self>> {
        let RelaySocket(socket) = socket;
        let mut any = socket.local_addr()?;
        any.set_port(0);
        let (identity, faults) = (&relays.0.identity, relays.0.faults.clone());
        let server = server_config(identity)?;
        let config = client_config(identity)?;
        // Children send little: words and acknowledgements.
        let server = endpoint(socket, Some(server), faults, None)?;
        let (number, mut queue) = relays.open_shard();
        let shard = Rc::new(Self {
            gate: WakeGate::new(),
            server,
            client: OnceCell::new(),
            any,
            config,
            relays,
            peers: RefCell::default(),
            children: RefCell::default(),
            handed_on: RefCell::default(),
            listeners: RefCell::default(),
            upstreams: RefCell::default(),
            number,
            connections: Cell::new(0),
            asking: Semaphore::new(RELAY_QUESTIONS_MAX),
        });
        spawn_local(shard.clone().pump());
        spawn_local(shard.clone().listen());
        spawn_local(shard.clone().follow());
        spawn_local(links::measure(shard.clone()));
        let this = shard.clone();
        spawn_local(async move {
            while let Some(job) = queue.recv().await {
                match job {
                    Job::Want(path) => this.carry(Upstream::new(path)),
                    Job::Continue(moving) => this.carry(Upstream::continued(moving)),
                    Job::Forget(path) => this.forget(&path),
                    Job::Ask(question) => drop(spawn_local(question.ask(this.clone()))),
                    Job::Close(done) => {
                        this.close().await;
                        let _ = done.send(());
                    }
                }
            }
        });
        Ok(shard)
    }

    async fn close(&self) {
        for endpoint in [Some(&self.server), self.client.get()].into_iter().flatten() {
            endpoint.close(VarInt::from_u32(ENDS), b"the node ends");
        }
        let idle = async {
            self.server.wait_idle().await;
            if let Some(client) = self.client.get() {
                client.wait_idle().await;
            }
        };
        // What was to be sent is sent at once; whether it has come is not waited for.
        let _ = tokio::time::timeout(CLOSE_WITHIN, idle).await;
    }

    fn carry(self: &Rc<Self>, upstream: Rc<Upstream>) {
        let name = upstream.name().clone();
        let mut upstreams = self.upstreams.borrow_mut();
        match upstreams.get(&name) {
            Some(present) if present.carries(&upstream) => {
                // It may be about to end because nobody owned the path.
                present.look(&self.relays);
                return self.relays.done(&name);
            }
            // The path was closed and made anew before the one for its former life has ended.
            Some(former) => former.end(),
            None => {}
        }
        upstreams.insert(name.clone(), upstream.clone());
        drop(upstreams);
        let this = self.clone();
        spawn_local(async move {
            let ending = upstream.run(&this).await;
            let mut upstreams = this.upstreams.borrow_mut();
            if upstreams.get(&name).is_some_and(|present| Rc::ptr_eq(present, &upstream)) {
                upstreams.remove(&name);
            }
            drop(upstreams);
            match ending {
                Ending::Over => this.relays.done(&name),
                Ending::Moves(moving) => this.relays.hand_over(moving),
            }
        });
    }

    fn forget(&self, path: &PathName) {
        // Its task ends; another one may be begun meanwhile.
        if let Some(upstream) = self.upstreams.borrow_mut().remove(path) {
            upstream.end();
        }
    }

    /// Passes on what streams ring.
    async fn pump(self: Rc<Self>) {
        let mut keys = Vec::new();
        loop {
            self.gate.rung(&mut keys).await;
            let listeners = self.listeners.borrow();
            for (carrier, id) in keys.drain(..).filter_map(|key| listeners.get(&key)).flatten() {
                if let Some(carrier) = carrier.upgrade() {
                    carrier.ring(*id);
                }
            }
        }
    }

    /// Rings a carrier for its subscription when the stream has more.
    pub(super) fn listen_to(&self, stream: &crate::stream::Stream, carrier: &Rc<Carrier>, id: u64) {
        stream.bells().add(&self.gate);
        let mut listeners = self.listeners.borrow_mut();
        listeners.entry(stream.key()).or_default().push((Rc::downgrade(carrier), id));
    }

    /// The end of [`Self::listen_to`].
    pub(super) fn stop_listening(&self, stream: &crate::stream::Stream, carrier: &Rc<Carrier>, id: u64) {
        stream.bells().remove(&self.gate);
        let mut listeners = self.listeners.borrow_mut();
        if let Some(list) = listeners.get_mut(&stream.key()) {
            list.retain(|(other, number)| *number != id || other.as_ptr() != Rc::as_ptr(carrier));
            if list.is_empty() {
                listeners.remove(&stream.key());
            }
        }
    }

    /// Lets upstreams look again when something else is agreed.
    async fn follow(self: Rc<Self>) {
        let mut seen = None;
        loop {
            tokio::time::sleep(FOLLOW).await;
            let standing = Some(self.relays.standing());
            if standing != seen {
                seen = standing;
                self.upstreams.borrow().values().for_each(|upstream| upstream.look(&self.relays));
            }
        }
    }

    async fn listen(self: Rc<Self>) {
        while let Some(incoming) = self.server.accept().await {
            if !incoming.remote_address_validated() && self.connections.get() >= RELAY_CONNECTIONS_MAX / 2 {
                let _ = incoming.retry();
                continue;
            }
            if self.connections.get() >= RELAY_CONNECTIONS_MAX {
                incoming.refuse();
                continue;
            }
            self.connections.set(self.connections.get() + 1);
            let this = self.clone();
            spawn_local(async move {
                this.welcome(incoming).await;
                this.connections.set(this.connections.get() - 1);
            });
        }
    }

    async fn welcome(self: &Rc<Self>, incoming: quinn::Incoming) {
        let from = incoming.remote_address();
        let Ok(connecting) = incoming.accept() else { return };
        let Ok(Ok(connection)) = tokio::time::timeout(RELAY_DEADLINE, connecting).await else {
            debug!(%from, "nobody came to an end with a relay's handshake");
            return;
        };
        let Some(child) = tls::peer_of(&connection).filter(|node| self.relays.is_member(*node)) else {
            info!(%from, "a relay was asked for by somebody who is no member");
            return connection.close(VarInt::from_u32(NO_MEMBER), b"no member");
        };
        if let Some(faults) = &self.relays.0.faults {
            faults.found(child, [from]);
        }
        parent::serve(self, connection, child).await;
    }

    /// The connection to a node, made when it is needed first.
    pub(super) async fn peer(self: &Rc<Self>, node: NodeId) -> Option<Rc<Peer>> {
        let known = self.peers.borrow().get(&node).filter(|peer| !peer.is_closed()).cloned();
        let incarnation = self.relays.incarnation(node);
        if let Some(peer) = known {
            if peer.incarnation() == incarnation {
                return peer.ready().await.then_some(peer);
            }
            // What it was connected to may be gone: a dead process is missed by nobody but a timer.
            peer.retire();
        }
        let peer = Peer::new(node, incarnation);
        self.peers.borrow_mut().insert(node, peer.clone());
        let (this, dialed) = (self.clone(), peer.clone());
        spawn_local(async move { dialed.run(&this).await });
        peer.ready().await.then_some(peer)
    }

    /// Dials an address.
    pub(super) fn dial(&self, address: SocketAddr, name: &str) -> Option<quinn::Connecting> {
        let client = match self.client.get() {
            Some(client) => client,
            None => match self.open_client() {
                Ok(client) => self.client.get_or_init(|| client),
                Err(error) => {
                    warn!(%error, "no socket to take paths from other nodes");
                    return None;
                }
            },
        };
        client.connect_with(self.config.clone(), address, name).ok()
    }

    fn open_client(&self) -> io::Result<Endpoint> {
        let faults = self.relays.0.faults.clone();
        endpoint(bind_udp(self.any, false)?, None, faults, Some(RELAY_PACKET_BYTES_MAX))
    }
}

/// `packet_bytes`: of the largest packet that may come.
fn endpoint(
    socket: UdpSocket,
    server: Option<ServerConfig>,
    faults: Option<Faults>,
    packet_bytes: Option<u16>,
) -> io::Result<Endpoint> {
    let socket = TokioRuntime.wrap_udp_socket(socket)?;
    let socket = match faults {
        Some(faults) => faults::wrap(socket, faults),
        None => socket,
    };
    let mut config = EndpointConfig::default();
    if let Some(bytes) = packet_bytes {
        config.max_udp_payload_size(bytes).map_err(io::Error::other)?;
    }
    Endpoint::new_with_abstract_socket(config, server, socket, Arc::new(TokioRuntime))
}

pub(super) fn server_config(identity: &Current) -> io::Result<ServerConfig> {
    let crypto = tls::server(identity, Clients::Certified, RELAY_PROTOCOLS).and_then(tls::quic_server);
    let mut config = ServerConfig::with_crypto(crypto.map_err(io::Error::other)?);
    config.transport_config(transport());
    // Nodes do not move while they are connected.
    config.migration(false);
    Ok(config)
}

pub(super) fn client_config(identity: &Current) -> io::Result<ClientConfig> {
    let crypto = tls::client(identity, Servers::Dialed, RELAY_PROTOCOLS).and_then(tls::quic_client);
    let mut config = ClientConfig::new(crypto.map_err(io::Error::other)?);
    config.transport_config(transport());
    Ok(config)
}

fn transport() -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport
        .congestion_controller_factory(Arc::new(LiveConfig))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_MILLIS))))
        .initial_rtt(INITIAL_RTT)
        .max_concurrent_uni_streams(VarInt::from_u32(RELAY_STREAMS_MAX))
        .max_concurrent_bidi_streams(VarInt::from_u32(RELAY_SUBSCRIPTIONS_MAX))
        .stream_receive_window(VarInt::from_u32(RELAY_STREAM_WINDOW))
        .receive_window(VarInt::from_u32(RELAY_WINDOW))
        .datagram_receive_buffer_size(None);
    let mut discovery = MtuDiscoveryConfig::default();
    // What the other end takes bounds it too.
    discovery.upper_bound(RELAY_PACKET_BYTES_MAX);
    transport.mtu_discovery_config(Some(discovery));
    Arc::new(transport)
}

/// How often what is agreed is looked at for changes. A reader's gap when a path moves is longer by this at most.
const FOLLOW: Duration = Duration::from_millis(10);
const KEEP_ALIVE: Duration = Duration::from_secs(1);
const IDLE_MILLIS: u32 = 3000;
/// Nodes are seldom further apart.
const INITIAL_RTT: Duration = Duration::from_millis(50);
/// For packets that say goodbye to leave this machine.
const CLOSE_WITHIN: Duration = Duration::from_millis(20);
const NO_MEMBER: u32 = 1;
const ENDS: u32 = 5;
