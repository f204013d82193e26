//! What people and metrics may know of the connections.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quinn::Connection;
use weft_proto::wire::entry::NodeId;

use super::Mesh;
use super::refusal::Refusal;
use super::sockets::canonical;
use super::table::Link;

/// A peer and the connection to it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PeerStatus {
    /// Which.
    pub node: NodeId,
    /// Where it is said to be.
    pub address: String,
    /// The connection, if there is one.
    pub link: Option<LinkStatus>,
    /// Its lifeline is held.
    pub lifeline: bool,
}

/// A connection in use.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LinkStatus {
    /// Of which process.
    pub incarnation: u64,
    /// For how long.
    pub connected: Duration,
    /// The level that both speak on it.
    pub level: u32,
    /// This node has dialed it.
    pub dialed: bool,
    /// Where the peer is.
    pub remote: SocketAddr,
    /// The present estimate of the round trip.
    pub rtt: Duration,
    /// Bytes in UDP payloads, sent and received.
    pub bytes: (u64, u64),
    /// Packets sent, and those of them that are believed lost.
    pub packets: (u64, u64),
}

/// What happened that nobody was told of, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MeshCounts {
    /// Connections that were taken into use: more than there are peers, when some were lost.
    pub links: u64,
    /// Signals that were dropped because the cluster thread was too slow.
    pub signals_dropped: u64,
    /// Signals of kinds that are not known here.
    pub signals_unknown: u64,
    /// Calls that were answered with "busy" because the cluster thread was too slow.
    pub calls_busy: u64,
    /// Calls of kinds that are not known here.
    pub calls_unknown: u64,
}

/// The same while it is counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) links: AtomicU64,
    pub(super) signals_dropped: AtomicU64,
    pub(super) signals_unknown: AtomicU64,
    pub(super) calls_busy: AtomicU64,
    pub(super) calls_unknown: AtomicU64,
}

impl Mesh {
    /// All peers, as they are now.
    pub fn peers(&self) -> Vec<PeerStatus> {
        let (table, since) = (self.0.table.lock(), self.0.since.lock());
        let status = |link: &Link<Connection>| {
            let stats = link.connection.stats();
            LinkStatus {
                incarnation: link.incarnation,
                connected: since.get(&link.serial).map(Instant::elapsed).unwrap_or_default(),
                level: link.level,
                dialed: link.dialed,
                remote: canonical(link.connection.remote_address()),
                rtt: stats.path.rtt,
                bytes: (stats.udp_tx.bytes, stats.udp_rx.bytes),
                packets: (stats.path.sent_packets, stats.path.lost_packets),
            }
        };
        let peers = table.peers().map(|(node, peer, link, lifeline)| PeerStatus {
            node,
            address: peer.address.clone(),
            link: link.map(status),
            lifeline,
        });
        peers.collect()
    }

    /// How often somebody was refused, by reason, since the start.
    pub fn refusals(&self) -> BTreeMap<Refusal, u64> {
        self.0.complaints.counts()
    }

    /// What happened that nobody was told of, since the start.
    pub fn counts(&self) -> MeshCounts {
        let Counts { links, signals_dropped, signals_unknown, calls_busy, calls_unknown } = &self.0.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        MeshCounts {
            links: read(links),
            signals_dropped: read(signals_dropped),
            signals_unknown: read(signals_unknown),
            calls_busy: read(calls_busy),
            calls_unknown: read(calls_unknown),
        }
    }
}
