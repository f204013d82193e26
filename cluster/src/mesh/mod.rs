//! The connections between nodes: sockets, QUIC, TLS, the lifeline.
//!
//! Each pair of nodes has one control connection (QUIC; `control` makes it, `table` decides which one of several is kept,
//! `calls` uses it, `join` is for those who have no
//! certificate yet) and one lifeline (`lifeline`: TLS over TCP, on which nothing is ever sent: its end is the message). All
//! of it runs on the cluster thread's runtime, and ends when that is dropped, without a word, as a killed process does;
//! [`Mesh::leave`] is the orderly way.

mod calls;
mod control;
pub mod faults;
mod hello;
mod inquiries;
mod join;
mod lifeline;
mod newcomers;
mod refusal;
mod sockets;
mod status;
mod table;
#[cfg(test)]
mod table_test;
#[cfg(test)]
mod tests;
pub mod tls;
mod transport;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use quinn::Connection;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, watch};
use weft_proto::wire::control::{Request, Response, Signal};
use weft_proto::wire::entry::NodeId;
use weft_proto::wire::hello::{ClusterId, Hello, Purpose};

use self::control::ADDRESSES_TRIED_MAX;
use self::faults::{Faults, Way};
use self::join::Gate;
use self::newcomers::Newcomers;
use self::refusal::{Complaints, End};
use self::status::Counts;
use self::table::Left;
pub(crate) use self::table::Table;
use crate::identity::Current;
use crate::limits::{ANSWERS_BYTES_MAX, CALLS_BYTES_MAX, INCOMING_MAX, JOINS_WAITING_MAX};

pub(crate) use self::control::resolve;
#[cfg(test)]
pub(crate) use self::control::{Backoff, HELLO_DEADLINE, IDLE_MILLIS};
pub(crate) use self::hello::{read_body, read_head};
pub use self::inquiries::Inquiry;
pub(crate) use self::sockets::bind_udp;
#[cfg(test)]
pub(crate) use self::table::Next;

pub use self::join::{JoinAsked, JoinError, JoinedCluster, join};
pub use self::refusal::Refusal;
pub use self::status::{LinkStatus, MeshCounts, PeerStatus};
pub use self::transport::{CallError, Incoming, Nobody, PeerAddress, Transport};

/// What a node's mesh is made of.
#[derive(Clone, Debug)]
pub struct MeshConfig {
    /// Where it listens: UDP and TCP. With port 0 the system chooses.
    pub bind: SocketAddr,
    /// Who the node is.
    pub identity: Current,
    /// Of which cluster.
    pub cluster: ClusterId,
    /// Counts the node's starts.
    pub incarnation: u64,
    /// The lowest and the highest level that it speaks.
    pub levels: (u32, u32),
    /// Of its program, for people.
    pub version: String,
    /// The faults that are injected into its sockets; none where that is not enabled.
    pub faults: Option<Faults>,
}

/// What comes out of the mesh.
#[derive(Debug)]
pub struct MeshOutput {
    /// What other nodes ask and tell.
    pub incoming: mpsc::Receiver<Incoming>,
    /// What a person or the parts above must know. Said again as long as it is so.
    pub notices: mpsc::Receiver<Notice>,
    /// Nodes that want to join.
    pub joins: mpsc::Receiver<JoinAsked>,
}

/// Something that is wrong and that the mesh cannot mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Another process has this node's id and certificate, and has just connected to this one.
    Twin {
        /// Where it is.
        address: SocketAddr,
        /// Which incarnation it says it is.
        incarnation: u64,
    },
    /// A peer does not talk to this process, because it knows a later one of this node ([`Refusal::OlderIncarnation`]) or is
    /// connected to another one ([`Refusal::SecondProcess`]).
    Superseded {
        /// The peer.
        by: NodeId,
        /// What it said.
        refusal: Refusal,
    },
    /// A peer, which has proven to be one, knows that this node was removed from the cluster.
    Removed {
        /// The peer.
        by: NodeId,
    },
}

/// The connections of this node to all others. Cheap to clone.
#[derive(Clone)]
pub struct Mesh(Arc<Shared>);

struct Shared {
    /// What this node says of itself; which cluster it is in, and its incarnation, may change.
    me: RwLock<Hello>,
    address: SocketAddr,
    runtime: Handle,
    endpoint: quinn::Endpoint,
    clients: Clients,
    table: Mutex<Table<Connection>>,
    /// Says that something in the table has changed.
    changed: watch::Sender<()>,
    /// When links were taken into use, by their numbers.
    since: Mutex<BTreeMap<u64, Instant>>,
    /// Where members were found, so that they are not taken for strangers.
    known: Mutex<BTreeMap<NodeId, Vec<SocketAddr>>>,
    faults: Option<Faults>,
    incoming: mpsc::Sender<Incoming>,
    notices: mpsc::Sender<Notice>,
    joins: mpsc::Sender<JoinAsked>,
    gate: Gate,
    newcomers: Newcomers,
    complaints: Complaints,
    counts: Counts,
    /// Where inquiries go, once somebody answers them.
    inquiries: Mutex<Option<mpsc::Sender<Inquiry>>>,
    /// KiB of large requests that may still be read.
    request_memory: Semaphore,
    /// The same for large answers, so that neither waits for the other: a node that reads answers has to answer, too.
    answer_memory: Semaphore,
}

/// How others are dialed.
struct Clients {
    member: quinn::ClientConfig,
    anyone: quinn::ClientConfig,
    lifeline: tokio_rustls::TlsConnector,
}

impl Mesh {
    /// Opens the sockets and begins to listen. To be called on the runtime on which all of it is to run.
    pub fn start(config: MeshConfig) -> io::Result<(Self, MeshOutput)> {
        let sockets = sockets::bind(config.bind)?;
        let me = Hello {
            purpose: Purpose::Control,
            cluster: config.cluster,
            node: config.identity.node(),
            incarnation: config.incarnation,
            process: rand::random(),
            level_min: config.levels.0,
            level_max: config.levels.1,
            version: config.version,
        };
        let clients = Clients {
            member: control::client(&config.identity, tls::Servers::Dialed)?,
            anyone: control::client(&config.identity, tls::Servers::Any)?,
            lifeline: lifeline::connector(&config.identity)?,
        };
        let acceptor = lifeline::acceptor(&config.identity)?;
        let (incoming, incoming_out) = mpsc::channel(INCOMING_MAX);
        let (notices, notices_out) = mpsc::channel(NOTICES_MAX);
        let (joins, joins_out) = mpsc::channel(JOINS_WAITING_MAX);
        let shared = Arc::new(Shared {
            address: sockets.address,
            runtime: Handle::current(),
            endpoint: control::endpoint(&config.identity, sockets.udp, config.faults.clone())?,
            faults: config.faults,
            clients,
            table: Mutex::new(Table::new(me.clone())),
            me: RwLock::new(me),
            changed: watch::Sender::new(()),
            since: Mutex::default(),
            known: Mutex::default(),
            incoming,
            notices,
            joins,
            gate: Gate::new(Instant::now()),
            newcomers: Newcomers::default(),
            complaints: Complaints::default(),
            counts: Counts::default(),
            inquiries: Mutex::default(),
            request_memory: Semaphore::new(CALLS_BYTES_MAX / calls::MEMORY_UNIT),
            answer_memory: Semaphore::new(ANSWERS_BYTES_MAX / calls::MEMORY_UNIT),
        });
        let listener = tokio::net::TcpListener::from_std(sockets.tcp)?;
        shared.runtime.spawn(control::listen(shared.clone()));
        shared.runtime.spawn(lifeline::listen(shared.clone(), listener, acceptor));
        Ok((Self(shared), MeshOutput { incoming: incoming_out, notices: notices_out, joins: joins_out }))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Finds out who is at an address, without being connected to it: for nodes that are to form a cluster and know only
    /// where the others are. It must have a certificate of this node's authority.
    pub async fn acquaint(&self, address: &str) -> Result<Hello, Refusal> {
        control::acquaint(&self.0, address).await
    }

    /// The node is in this cluster from now on. Connections of before are of none, and there are none.
    pub fn set_cluster(&self, cluster: ClusterId) {
        self.change(|me| me.cluster = cluster);
    }

    fn change(&self, change: impl Fn(&mut Hello)) {
        change(&mut self.0.me.write());
        self.0.table.lock().change(change);
    }

    /// Leaves in an orderly way: all peers get a goodbye, no lifeline is cut. Afterwards nothing goes in or out any more.
    pub async fn leave(&self) {
        let left = self.0.table.lock().clear();
        self.0.changed.send_replace(());
        self.0.end(left, End::Leaving);
        // The last packets need a moment, and lost ones are not waited for.
        let _ = tokio::time::timeout(LEAVE_DEADLINE, self.0.endpoint.wait_idle()).await;
        self.0.endpoint.close(quinn::VarInt::from_u32(End::Leaving as u32), b"");
    }
}

impl fmt::Debug for Mesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mesh({} at {})", self.0.me.read().node, self.0.address)
    }
}

impl Transport for Mesh {
    fn call(
        &self,
        to: NodeId,
        request: Request,
        within: Duration,
    ) -> impl Future<Output = Result<Response, CallError>> + Send {
        let link = self.0.table.lock().link(to).map(|link| link.connection.clone());
        calls::call(&self.0, link, request, within)
    }

    fn signal(&self, to: NodeId, signal: Signal) {
        let link = self.0.table.lock().link(to).map(|link| link.connection.clone());
        #[cfg(feature = "next-level")]
        if let Some(connection) = &link {
            // May be lost like any signal.
            let _ = connection.send_datagram(weft_proto::wire::word_of_the_next_level().into());
        }
        if let Some(connection) = link
            && connection.send_datagram(signal.encode().into()).is_err()
        {
            // It is lost, as it may be: the connection has just ended, or the signal is too large for the path.
            tracing::debug!(%to, "a signal could not be sent");
        }
    }

    fn set_peers(&self, peers: BTreeMap<NodeId, PeerAddress>) {
        let members: BTreeSet<NodeId> = peers.keys().copied().collect();
        let (added, left) = self.0.table.lock().set_peers(peers);
        self.0.known.lock().retain(|node, _| members.contains(node));
        self.0.end(left, End::Done);
        for node in added {
            self.0.runtime.spawn(control::keep(self.0.clone(), node));
            self.0.runtime.spawn(lifeline::keep(self.0.clone(), node));
        }
        self.0.changed.send_replace(());
    }

    fn set_removed(&self, removed: BTreeSet<NodeId>) {
        self.0.table.lock().set_removed(removed);
    }

    fn round_trips(&self) -> BTreeMap<NodeId, Duration> {
        let table = self.0.table.lock();
        table.links().map(|(node, link)| (node, link.connection.rtt())).collect()
    }

    fn set_incarnation(&self, incarnation: u64) {
        self.change(|me| me.incarnation = incarnation);
    }
}

impl Shared {
    /// Ends what is left of peers, in an orderly way.
    fn end(&self, left: Vec<Left<Connection>>, end: End) {
        for one in left {
            if let Some(farewell) = one.farewell {
                farewell.notify_one();
            }
            if let Some(link) = one.link {
                end.close(&link.connection);
            }
        }
    }

    /// What is said of this node on a connection.
    fn hello(&self, purpose: Purpose) -> Hello {
        Hello { purpose, ..self.me.read().clone() }
    }

    /// Notes where a member is, as its name says.
    fn found(&self, node: NodeId, addresses: Vec<SocketAddr>) {
        if let Some(faults) = &self.faults {
            faults.found(node, addresses.iter().copied());
        }
        self.known.lock().insert(node, addresses);
    }

    /// Notes where a peer came from, or was reached. Its name may say more.
    fn met(&self, node: NodeId, address: SocketAddr) {
        if let Some(faults) = &self.faults {
            faults.found(node, [address]);
        }
        let mut known = self.known.lock();
        // Who was there before is not: addresses go from one machine to the next.
        known.iter_mut().filter(|(other, _)| **other != node).for_each(|(_, its)| its.retain(|one| *one != address));
        let its = known.entry(node).or_default();
        if !its.contains(&address) {
            // The newest is tried first, and the oldest forgotten.
            its.insert(0, address);
            its.truncate(ADDRESSES_TRIED_MAX);
        }
    }

    /// Waits while a partition is injected that keeps a node's packets from going this way.
    async fn passable(&self, node: NodeId, way: Way) {
        if let Some(faults) = &self.faults {
            faults.passable(node, way).await;
        }
    }

    fn notice(&self, notice: Notice) {
        // Nobody listens, or they have enough to do with those that they have: it will be said again.
        let _ = self.notices.try_send(notice);
    }
}

const NOTICES_MAX: usize = 16;
const LEAVE_DEADLINE: Duration = Duration::from_millis(500);
