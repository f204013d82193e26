//! Compares what is agreed with what this node does, and does something about the difference.

use std::collections::BTreeMap;

use tracing::{debug, info};
use weft_proto::id::Epoch;

use super::holdings::{Finding, View};
use super::member::{Member, PROPOSE, Task};
use super::wake::Agreed;
use crate::mesh::{PeerAddress, Transport};
use crate::ownership::{ClaimError, Entry, NodeId, State};

impl<T: Transport> Member<T> {
    /// Compares what has been agreed since the last time with what this node does; with `again` also what was not as it
    /// should be then.
    pub(super) fn review(&self, again: bool) {
        self.check_up();
        let Agreed { paths, members, itself } = self.shared.wake.take();
        if members {
            self.review_members();
        }
        let findings = {
            let state = self.shared.consensus.state().read();
            let mut inner = self.shared.inner.lock();
            inner.holdings.note(paths);
            if itself {
                inner.holdings.note_all();
            }
            let view = View { node: self.shared.id, incarnation: inner.incarnation, state: &state };
            inner.holdings.look(view, again)
        };
        for finding in findings {
            self.act(finding);
        }
    }

    fn review_members(&self) {
        let state = self.shared.consensus.state().read();
        // A node that has joined knows where the others are before it has read that in the log.
        if state.members().get(self.shared.id).is_none() {
            return;
        }
        let mut peers = peers(self.shared.id, &state);
        let removed = state.members().removed().clone();
        drop(state);
        // Others of the formation are waited for where they were, until it is agreed that they are gone: this node may not
        // have read yet that they are members, and the one that could tell may be one of them.
        let remembered = self.shared.inner.lock().remembered.clone();
        let awaited = remembered.into_iter().filter(|(node, _)| !removed.contains(node));
        for (node, peer) in awaited {
            peers.entry(node).or_insert(peer);
        }
        if peers != self.shared.inner.lock().peers {
            // First: those that are let go come back at once, and are to hear why.
            self.shared.transport.set_removed(removed);
            self.set_peers(peers);
        }
    }

    fn set_peers(&self, peers: BTreeMap<NodeId, PeerAddress>) {
        let mut inner = self.shared.inner.lock();
        let gone: Vec<NodeId> = inner.peers.keys().filter(|node| !peers.contains_key(node)).copied().collect();
        gone.into_iter().for_each(|node| inner.beats.forget(node));
        inner.peers.clone_from(&peers);
        drop(inner);
        self.shared.transport.set_peers(peers);
    }

    fn act(&self, finding: Finding) {
        match finding {
            Finding::Lost(path, epoch, owner) => {
                self.shared.inner.lock().holdings.let_go(&path);
                info!(%path, epoch = epoch.0, ?owner, "the path is another node's");
                self.shared.host.lost(&path, epoch, owner);
            }
            Finding::Passed(path, epoch, owner) => {
                self.shared.inner.lock().holdings.let_go(&path);
                info!(%path, epoch = epoch.0, %owner, "a standby of another node has the path");
                self.shared.host.passed(&path);
            }
            Finding::Reclaim(path, kind) => self.once(Task::Path(path.clone()), |member| async move {
                match member.claim_once(&path, kind, false).await {
                    Ok(epoch) => member.shared.host.renewed(&path, epoch),
                    // A later claim of this node has taken the place of this one.
                    Err(ClaimError::Owned(node)) if node == member.shared.id => {}
                    Err(ClaimError::Owned(node)) => member.shared.host.lost(&path, Epoch::default(), Some(node)),
                    Err(error) => {
                        debug!(%path, %error, "the path could not be claimed again");
                        member.shared.host.lost(&path, Epoch::default(), None);
                    }
                }
            }),
            Finding::Unserved(path, epoch, owner) => {
                let given = self.shared.inner.lock().holdings.was_given(&path, owner.claim);
                if given && self.shared.host.assigned(&path, epoch) {
                    self.shared.inner.lock().holdings.take(&path, owner, epoch);
                    return;
                }
                if self.hand_over(&path) {
                    return;
                }
                self.once(Task::Path(path.clone()), |member| async move {
                    let release = Entry::Release { path, epoch };
                    // What fails is seen again.
                    let _ = member.shared.consensus.propose(release, PROPOSE).await;
                });
            }
        }
    }
}

fn peers(id: NodeId, state: &State) -> BTreeMap<NodeId, PeerAddress> {
    let others = state.members().iter().filter(|(node, _)| *node != id);
    let peer = |(node, member): (NodeId, &crate::ownership::Member)| {
        (node, PeerAddress { address: member.facts.address.clone(), incarnation: member.incarnation })
    };
    others.map(peer).collect()
}
