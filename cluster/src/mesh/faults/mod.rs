//! Faults, injected where a node meets its sockets: for kernels that cannot do it, for one peer at a time, and with seeds.
//!
//! A [`Fault`] says what happens to packets, a [`Link`] decides about each (both pure), and [`Faults`] is the table of those
//! in force, which all sockets of a node ask. A fault is a lease: it ends by itself, so that nobody is left with a broken
//! cluster by an experiment whose author has gone home. Where faults are not enabled, none of it is in the path.
//!
//! Sockets of QUIC are wrapped ([`wrap`]). Lifelines are TCP, where packets cannot be touched: a partition keeps them from
//! being made, and keeps their end from being told until it is lifted; other faults do not concern them.

mod link;
#[cfg(test)]
mod link_test;
mod queue;
mod socket;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use weft_proto::time::Now;
use weft_proto::wire::entry::NodeId;

use super::sockets::canonical;
use crate::Clock;
use crate::limits::{FAULT_LINKS_MAX, FAULTS_MAX};

pub use self::link::{Arrival, BadFault, Bandwidth, Bursts, Fate, Fault, Link};
pub use self::socket::wrap;

/// Whose packets are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// Everybody's.
    Everyone,
    /// A node's, wherever it was found.
    Node(NodeId),
    /// Of all ports of an address.
    Host(IpAddr),
    /// Of one port of an address.
    Socket(SocketAddr),
}

/// Which way packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// To this node.
    In,
    /// From this node.
    Out,
}

/// A fault that is in force for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultLease {
    /// Whose packets.
    pub target: Target,
    /// Those of one way, or of both.
    pub way: Option<Way>,
    /// What happens to them.
    pub fault: Fault,
    /// Decides about each, with the peer and the way.
    pub seed: u64,
    /// When it ends by itself.
    pub until: Now,
}

/// Why a fault cannot be put in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultRefused {
    /// It cannot be.
    #[error(transparent)]
    Bad(#[from] BadFault),
    /// There are as many as there may be.
    #[error("there are {FAULTS_MAX} faults already")]
    TooMany,
    /// It would last too long.
    #[error("a fault lasts {longest} minutes at most", longest = LEASE_MAX.as_secs() / 60)]
    TooLong,
    /// There is none with this number.
    #[error("there is no such fault")]
    Unknown,
}

/// The faults in force on this node. Clones are the same table.
#[derive(Clone, Debug)]
pub struct Faults(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    /// So that packets need not look into the table when there is nothing in it.
    is_any: AtomicBool,
    table: Mutex<Table>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    leases: BTreeMap<u64, Active>,
    /// Where nodes were found.
    nodes: BTreeMap<NodeId, Vec<SocketAddr>>,
}

#[derive(Debug)]
struct Active {
    lease: FaultLease,
    links: BTreeMap<(SocketAddr, Way), Link>,
}

impl Faults {
    /// An empty table.
    pub fn new(clock: Clock) -> Self {
        let (is_any, table, changed) = (AtomicBool::new(false), Mutex::default(), Notify::new());
        Self(Arc::new(Shared { clock, is_any, table, changed }))
    }

    /// Puts a fault in force, and gives its number.
    pub fn add(
        &self,
        target: Target,
        way: Option<Way>,
        fault: Fault,
        seed: u64,
        lasts: Duration,
    ) -> Result<u64, FaultRefused> {
        let lease = self.lease(target, way, fault, seed, lasts)?;
        let mut table = self.0.table.lock();
        table.expire(self.0.clock.now());
        if table.leases.len() >= FAULTS_MAX {
            return Err(FaultRefused::TooMany);
        }
        table.last += 1;
        let number = table.last;
        tracing::warn!(number, target = ?lease.target, way = ?lease.way, fault = ?lease.fault, seed, ?lasts, "a fault is injected");
        table.leases.insert(number, Active { lease, links: BTreeMap::new() });
        drop(table);
        self.has_changed();
        Ok(number)
    }

    /// Puts another fault in the place of one; what it was doing begins anew.
    pub fn replace(
        &self,
        number: u64,
        target: Target,
        way: Option<Way>,
        fault: Fault,
        seed: u64,
        lasts: Duration,
    ) -> Result<(), FaultRefused> {
        let lease = self.lease(target, way, fault, seed, lasts)?;
        let mut table = self.0.table.lock();
        table.expire(self.0.clock.now());
        let active = table.leases.get_mut(&number).ok_or(FaultRefused::Unknown)?;
        *active = Active { lease, links: BTreeMap::new() };
        drop(table);
        self.has_changed();
        Ok(())
    }

    /// Ends a fault.
    pub fn remove(&self, number: u64) -> Result<(), FaultRefused> {
        self.0.table.lock().leases.remove(&number).ok_or(FaultRefused::Unknown)?;
        self.has_changed();
        Ok(())
    }

    /// Ends all.
    pub fn clear(&self) {
        self.0.table.lock().leases.clear();
        self.has_changed();
    }

    /// Those in force, by their numbers.
    pub fn list(&self) -> BTreeMap<u64, FaultLease> {
        let mut table = self.0.table.lock();
        table.expire(self.0.clock.now());
        table.leases.iter().map(|(number, active)| (*number, active.lease.clone())).collect()
    }

    /// Says where a node was found, for faults that name it.
    pub fn found(&self, node: NodeId, addresses: impl IntoIterator<Item = SocketAddr>) {
        let mut table = self.0.table.lock();
        let known = table.nodes.entry(node).or_default();
        for address in addresses.into_iter().map(canonical) {
            if !known.contains(&address) && known.len() < NODE_ADDRESSES_MAX {
                known.push(address);
            }
        }
    }

    /// Whether any fault is in force. Others may have expired: then nothing happens to packets.
    pub fn is_any(&self) -> bool {
        self.0.is_any.load(Ordering::Relaxed)
    }

    /// Decides about a packet.
    pub fn pass(&self, peer: SocketAddr, way: Way, bytes: usize) -> Fate {
        let now = self.0.clock.now();
        let mut table = self.0.table.lock();
        table.expire(now);
        self.0.is_any.store(!table.leases.is_empty(), Ordering::Relaxed);
        table.pass(canonical(peer), way, bytes, now)
    }

    /// Waits until no partition keeps a node's packets from going this way.
    pub(super) async fn passable(&self, node: NodeId, way: Way) {
        while let Some(until) = self.partitioned_until(node, way) {
            let left = until.since(self.0.clock.now());
            tokio::select! {
                () = tokio::time::sleep(left.min(LOOK_AGAIN)) => {}
                () = self.0.changed.notified() => {}
            }
        }
    }

    fn partitioned_until(&self, node: NodeId, way: Way) -> Option<Now> {
        let mut table = self.0.table.lock();
        table.expire(self.0.clock.now());
        let addresses = table.nodes.get(&node).cloned().unwrap_or_default();
        let concerns = |lease: &FaultLease| {
            let is_there = addresses.iter().any(|address| table.concerns(lease.target, *address));
            lease.fault.partition
                && lease.way.is_none_or(|one| one == way)
                && (is_there || lease.target == Target::Node(node))
        };
        table.leases.values().map(|active| &active.lease).filter(|lease| concerns(lease)).map(|lease| lease.until).max()
    }

    fn clock(&self) -> Clock {
        self.0.clock
    }

    fn lease(
        &self,
        target: Target,
        way: Option<Way>,
        fault: Fault,
        seed: u64,
        lasts: Duration,
    ) -> Result<FaultLease, FaultRefused> {
        fault.check()?;
        if lasts > LEASE_MAX {
            return Err(FaultRefused::TooLong);
        }
        let target = match target {
            Target::Host(host) => Target::Host(host.to_canonical()),
            Target::Socket(address) => Target::Socket(canonical(address)),
            other => other,
        };
        Ok(FaultLease { target, way, fault, seed, until: self.0.clock.now().after(lasts) })
    }

    fn has_changed(&self) {
        self.0.is_any.store(!self.0.table.lock().leases.is_empty(), Ordering::Relaxed);
        self.0.changed.notify_waiters();
    }
}

impl Table {
    fn expire(&mut self, now: Now) {
        self.leases.retain(|_, active| now < active.lease.until);
    }

    fn concerns(&self, target: Target, peer: SocketAddr) -> bool {
        match target {
            Target::Everyone => true,
            Target::Node(node) => self.nodes.get(&node).is_some_and(|known| known.contains(&peer)),
            Target::Host(host) => peer.ip() == host,
            Target::Socket(address) => peer == address,
        }
    }

    /// Each fault does its part, one after the other.
    fn pass(&mut self, peer: SocketAddr, way: Way, bytes: usize, now: Now) -> Fate {
        let mut fate = Fate::from_slice(&[Arrival { at: now, turned: None }]);
        let concerned: Vec<u64> = self
            .leases
            .iter()
            .filter(|(_, active)| active.lease.way.is_none_or(|one| one == way))
            .filter(|(_, active)| self.concerns(active.lease.target, peer))
            .map(|(number, _)| *number)
            .collect();
        for number in concerned {
            let Some(Active { lease, links }) = self.leases.get_mut(&number) else { continue };
            if !links.contains_key(&(peer, way)) && links.len() >= FAULT_LINKS_MAX {
                // Nothing is done to peers beyond the bound, rather than to the memory of the node.
                continue;
            }
            let link = links.entry((peer, way)).or_insert_with(|| Link::new(lease.seed ^ mixed(peer, way)));
            let before = std::mem::take(&mut fate);
            for one in before.into_iter().take(COPIES_MAX) {
                let passed = link.pass(&lease.fault, one.at, bytes);
                fate.extend(passed.into_iter().map(|next| Arrival { turned: next.turned.or(one.turned), ..next }));
            }
        }
        fate
    }
}

/// Different for each peer and way, and the same in every release (FNV-1a).
fn mixed(peer: SocketAddr, way: Way) -> u64 {
    let text = format!("{peer}{way:?}");
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// An experiment that takes longer renews its faults.
const LEASE_MAX: Duration = Duration::from_secs(3600);
/// Copies of one packet that go on to the next fault.
const COPIES_MAX: usize = 8;
const NODE_ADDRESSES_MAX: usize = 16;
const LOOK_AGAIN: Duration = Duration::from_millis(500);
