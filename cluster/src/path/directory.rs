//! The live paths of a node, and what their configuration and their makers need to know.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use weft_proto::id::PathName;

use super::assignments::Assignments;
use super::core::PathSettings;
use super::shared::PathShared;
use crate::clock::Clock;
use crate::ownership::Claimant;
use crate::relay::Relays;
use crate::stream::{Budget, StartLimits, StreamSettings};

/// What the configuration says of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPolicy {
    /// Name of the configuration entry that matched.
    pub conf_name: String,
    /// Who may publish and read, and for how long.
    pub life: PathSettings,
    /// What is kept.
    pub stream: StreamSettings,
    /// With what players start.
    pub start: StartLimits,
    /// What a node pulls for it. Then nobody else may publish to it.
    pub source: Option<PulledSource>,
}

/// A stream that a node fetches by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PulledSource {
    /// The name of its kind, which the API shows.
    pub kind: &'static str,
    /// From where.
    pub url: String,
    /// Only while the node is part of a quorum: never by two nodes, not even by two halves of a split network.
    pub exclusive: bool,
}

/// Answers for the configuration.
pub trait Policy: Send + Sync + 'static {
    /// The settings of a path; `None` when no entry allows it.
    fn path(&self, path: &PathName) -> Option<PathPolicy>;

    /// The paths whose sources are always to be pulled, by one node of the cluster.
    fn sources(&self) -> Arc<[PathName]> {
        Arc::default()
    }
}

/// The live paths by name, written by the registry alone.
pub(crate) struct Directory {
    /// Owns paths for this node.
    pub(crate) claimant: Arc<dyn Claimant>,
    /// What brings paths of other nodes here, where there are others.
    pub(crate) relays: OnceLock<Relays>,
    pub(crate) clock: Clock,
    pub(crate) budget: Arc<Budget>,
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) paths: RwLock<BTreeMap<PathName, Arc<PathShared>>>,
    /// What this node pulls.
    pub(crate) assignments: Assignments,
}

impl Directory {
    pub(crate) fn find(&self, path: &PathName) -> Option<Arc<PathShared>> {
        self.paths.read().get(path).cloned()
    }

    /// All live paths, by name.
    pub(crate) fn list(&self) -> Vec<Arc<PathShared>> {
        self.paths.read().values().cloned().collect()
    }
}
