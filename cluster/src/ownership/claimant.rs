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

/// What is agreed about a path, for those that wait for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whose it is.
    pub owner: OwnedBy,
    /// Under which epoch.
    pub epoch: Epoch,
    /// The rank with which this node waits for it, if it does.
    pub registered: Option<u8>,
    /// This node is the next.
    pub is_next: bool,
    /// The best rank of the nodes that wait beside this one.
    pub best_elsewhere: Option<u8>,
}

/// Whose a path is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OwnedBy {
    /// Nobody's.
    #[default]
    Nobody,
    /// This node's.
    This,
    /// Another node's.
    Other,
}

/// A future of a [`Claimant`].
pub type Claiming = Pin<Box<dyn Future<Output = Result<Epoch, ClaimError>> + Send>>;

/// Another future of a [`Claimant`].
pub type Registering = Pin<Box<dyn Future<Output = Result<(), ClaimError>> + Send>>;

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

    /// What is agreed about a path, for those that wait for it.
    fn standing(&self, _: &PathName) -> Standing {
        Standing::default()
    }

    /// The paths of this node for which publishers of others wait.
    fn awaited(&self) -> Vec<PathName> {
        Vec::new()
    }

    /// Lets the others know that a publisher of this node waits for another one's path; the lower its rank the sooner its turn
    /// comes.
    fn stand_by(&self, _: &PathName, _: u8) -> Registering {
        Box::pin(std::future::ready(Err(ClaimError::NotServing)))
    }

    /// No publisher of this node waits for the path any more.
    fn stand_down(&self, _: &PathName) {}

    /// Gives a path of this node to the next of the other nodes that wait for it, if any do.
    fn hand_over(&self, _: &PathName) {}

    /// The label of the node that owns a path, if any is known to, and the epoch.
    fn owner(&self, path: &PathName) -> Option<(String, Epoch)>;

    /// The public host of another node to which clients may go, if there is one: those of this node's zone in turn, or others.
    fn elsewhere(&self) -> Option<String> {
        None
    }
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

    fn standing(&self, path: &PathName) -> Standing {
        let epoch = self.0.lock().1.get(path).copied();
        let owner = if epoch.is_some() { OwnedBy::This } else { OwnedBy::Nobody };
        Standing { owner, epoch: epoch.unwrap_or_default(), ..Standing::default() }
    }

    fn owner(&self, path: &PathName) -> Option<(String, Epoch)> {
        self.0.lock().1.get(path).map(|epoch| ("a".into(), *epoch))
    }
}
