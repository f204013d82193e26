//! What path actors need of the cluster: to own a path before they take a publisher.

use std::pin::Pin;

use weft_proto::id::{Epoch, PathName};
use weft_proto::wire::relay::Reached;

use super::NodeId;

/// Why a path was not given to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// Another node owns it, and the claim was not to take it over.
    #[error("another node owns the path")]
    Owned(NodeId),
    /// In all the time there was no quorum.
    #[error("the cluster has no quorum: nobody can say who owns the path")]
    NoQuorum,
    /// The node takes no publishers: it is being drained, was removed, or has lost its disk.
    #[error("the node takes no publishers")]
    NotServing,
    /// There are as many paths as there may be.
    #[error("the cluster has as many paths as it may have")]
    TooMany,
}

/// A future of a [`Claimant`].
pub type Claiming = Pin<Box<dyn Future<Output = Result<Epoch, ClaimError>> + Send>>;

/// Another future of a [`Claimant`].
pub type Reaching = Pin<Box<dyn Future<Output = Option<Reached>> + Send>>;

/// Owns paths on behalf of this node.
pub trait Claimant: Send + Sync + 'static {
    /// Makes this node the path's owner, or says under which epoch it is that already. With `take_over` also from another
    /// node.
    fn claim(&self, path: &PathName, take_over: bool) -> Claiming;

    /// The same for a path whose source this node pulls, or is about to.
    fn claim_source(&self, path: &PathName, take_over: bool) -> Claiming {
        self.claim(path, take_over)
    }

    /// Under which epoch this node is the path's owner already; asks for nothing that it has not.
    fn held(&self, path: &PathName) -> Claiming {
        self.claim(path, false)
    }

    /// The path is not served any more. It is released a little later, unless it is claimed again before.
    fn let_go(&self, path: &PathName);

    /// How far others have come with a path that this node owns now; nothing where nobody says so in time.
    fn reached(&self, _: &PathName) -> Reaching {
        Box::pin(std::future::ready(None))
    }

    /// The label of the node that owns a path, if any is known to, and the epoch.
    fn owner(&self, path: &PathName) -> Option<(String, Epoch)>;
}

/// A node that is alone and needs nobody's word. For tests.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct Alone(parking_lot::Mutex<(u64, std::collections::BTreeMap<PathName, Epoch>)>);

#[cfg(test)]
impl Claimant for Alone {
    fn claim(&self, path: &PathName, _: bool) -> Claiming {
        let (next, held) = &mut *self.0.lock();
        let epoch = *held.entry(path.clone()).or_insert_with(|| {
            *next += 1;
            Epoch(1000 + *next)
        });
        Box::pin(async move { Ok(epoch) })
    }

    fn let_go(&self, path: &PathName) {
        self.0.lock().1.remove(path);
    }

    fn owner(&self, path: &PathName) -> Option<(String, Epoch)> {
        self.0.lock().1.get(path).map(|epoch| ("a".into(), *epoch))
    }
}
