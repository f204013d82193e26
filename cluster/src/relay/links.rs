//! What a shard's connections carry and how the way is, measured once a second: for people, and for [`super::spread`].

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use quinn::{Connection, ConnectionStats};
use weft_proto::wire::entry::NodeId;

use super::carrier::Carrier;
use super::shard::Shard;

/// A connection over which paths go, as it was in the last second.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RelayLink {
    /// With which node.
    pub node: NodeId,
    /// The number of the worker whose it is.
    pub worker: usize,
    /// Which way paths go.
    pub way: LinkWay,
    /// There and back, as QUIC estimates it.
    pub round_trip: Duration,
    /// Bits of UDP payload that were sent in a second.
    pub sent_bits: u64,
    /// And received.
    pub received_bits: u64,
    /// Packets that were sent in that second.
    pub packets: u64,
    /// Packets that were found to be lost in it.
    pub lost: u64,
    /// Bytes that may be on their way at a time.
    pub window: u64,
    /// Bytes of the largest packet that the way is known to carry that far; known where much is sent, as by a parent.
    pub packet_bytes: u16,
    /// Tracks whose next unit waits for a place in the connection.
    pub waiting: usize,
    /// For how long the one that has waited longest has done so.
    pub longest_wait: Duration,
}

/// Which way paths go over a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkWay {
    /// From the other node to this one.
    From,
    /// To the other node.
    To,
}

/// Connections with children, kept for as long as they last.
#[derive(Default)]
pub(super) struct Children {
    next: u64,
    all: HashMap<u64, (NodeId, Connection, Rc<Carrier>)>,
}

impl Children {
    pub(super) fn add(&mut self, node: NodeId, connection: Connection, carrier: Rc<Carrier>) -> u64 {
        self.next += 1;
        self.all.insert(self.next, (node, connection, carrier));
        self.next
    }

    pub(super) fn remove(&mut self, number: u64) {
        self.all.remove(&number);
    }
}

/// The counters of a second ago, by the connection's address in memory, which QUIC gives to no other one meanwhile.
type Before = HashMap<usize, ConnectionStats>;

/// Measures once a second, for as long as the shard is there.
pub(super) async fn measure(shard: Rc<Shard>) {
    let mut before = Before::new();
    loop {
        tokio::time::sleep(EVERY).await;
        let mut now = Before::new();
        let mut links = Vec::new();
        for (node, peer) in shard.peers.borrow().iter() {
            if let Some(connection) = peer.connection() {
                let link = look(&shard, (*node, connection, None), &before, &mut now);
                links.push(link);
            }
        }
        for (node, connection, carrier) in shard.children.borrow().all.values() {
            let link = look(&shard, (*node, connection, Some(carrier)), &before, &mut now);
            links.push(link);
        }
        before = now;
        shard.relays.measured(shard.number, links);
    }
}

fn look(
    shard: &Shard,
    (node, connection, carrier): (NodeId, &Connection, Option<&Rc<Carrier>>),
    before: &Before,
    now: &mut Before,
) -> RelayLink {
    let stats = connection.stats();
    let id = connection.stable_id();
    let old = before.get(&id).copied().unwrap_or_default();
    now.insert(id, stats);
    let bits = |now: u64, old: u64| now.saturating_sub(old) * 8 / EVERY.as_secs();
    let (waiting, longest_wait) = carrier.map(|carrier| carrier.waiting()).unwrap_or_default();
    RelayLink {
        node,
        worker: shard.number,
        way: if carrier.is_some() { LinkWay::To } else { LinkWay::From },
        round_trip: stats.path.rtt,
        sent_bits: bits(stats.udp_tx.bytes, old.udp_tx.bytes),
        received_bits: bits(stats.udp_rx.bytes, old.udp_rx.bytes),
        packets: stats.path.sent_packets.saturating_sub(old.path.sent_packets),
        lost: stats.path.lost_packets.saturating_sub(old.path.lost_packets),
        window: stats.path.cwnd,
        packet_bytes: stats.path.current_mtu,
        waiting,
        longest_wait,
    }
}

/// Short enough to see a way become narrow, long enough for many packets.
const EVERY: Duration = Duration::from_secs(1);
