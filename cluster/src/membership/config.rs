//! How a node takes part in its cluster: what it is made of, and how fast.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::follow::Follow;
use super::holdings::Host;
use crate::clock::Clock;
use crate::liveness::Timings;
use crate::ownership::{MemberFacts, NodeId};
use crate::raft::{Disk, Observer, RaftTimings};

/// How fast things happen in a cluster. All nodes should have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberTimings {
    /// Of elections.
    pub raft: RaftTimings,
    /// Of observing.
    pub liveness: Timings,
    /// How long a claim is tried.
    pub claim_timeout: Duration,
    /// How long a voter may be down before another one takes its place.
    pub voter_replace_after: Duration,
    /// Which of them follow the measured round trips.
    pub follow: Follow,
}

impl Default for MemberTimings {
    fn default() -> Self {
        Self {
            raft: RaftTimings::default(),
            liveness: Timings::default(),
            claim_timeout: Duration::from_secs(3),
            voter_replace_after: Duration::from_secs(600),
            follow: Follow::default(),
        }
    }
}

/// Draws incarnations: each is higher than all before, and on the disk before it is used.
pub trait Incarnations: Send + Sync + 'static {
    /// The next one.
    fn next(&self) -> Pin<Box<dyn Future<Output = io::Result<u64>> + Send + '_>>;
}

/// How a node takes part.
pub struct MemberConfig<T> {
    /// Who it is.
    pub id: NodeId,
    /// What it says of itself.
    pub facts: MemberFacts,
    /// Of this process.
    pub incarnation: u64,
    /// Draws the next one.
    pub incarnations: Arc<dyn Incarnations>,
    /// How fast.
    pub timings: MemberTimings,
    /// Where its log is.
    pub disk: Arc<dyn Disk>,
    /// The way to the others.
    pub transport: T,
    /// The node's clock.
    pub clock: Clock,
    /// Who serves what the node owns.
    pub host: Arc<dyn Host>,
    /// Who else sees what is agreed.
    pub observer: Option<Arc<dyn Observer>>,
}

impl MemberConfig<()> {
    /// With this way to the others.
    pub fn over<T>(self, transport: T) -> MemberConfig<T> {
        let Self { id, facts, incarnation, incarnations, timings, disk, clock, host, observer, .. } = self;
        MemberConfig { id, facts, incarnation, incarnations, timings, disk, transport, clock, host, observer }
    }
}
