//! Claiming paths for this node's publishers, waiting for others' and letting go.

use std::time::Duration;

use weft_proto::id::{Epoch, PathName};

use super::holdings::View;
use super::member::{Member, PROPOSE, Task};
use crate::mesh::Transport;
use crate::ownership::{Answer, ClaimError, ClaimId, Entry, Kind, MemberState, Refusal};
use crate::raft::ProposeError;

impl<T: Transport> Member<T> {
    /// Claims a path for a publisher that this node has. Without a commit when the node holds the path already.
    pub async fn claim(&self, path: &PathName, kind: Kind, take_over: bool) -> Result<Epoch, ClaimError> {
        let held = {
            let state = self.shared.consensus.state().read();
            self.shared.inner.lock().holdings.epoch(path, &state)
        };
        match held {
            Some(epoch) => Ok(epoch),
            None => self.claim_once(path, kind, take_over).await,
        }
    }

    /// Under which epoch a path was granted to this node; nothing where somebody else has it by now.
    pub fn held(&self, path: &PathName) -> Option<Epoch> {
        let state = self.shared.consensus.state().read();
        self.shared.inner.lock().holdings.granted_epoch(path, &state)
    }

    pub(super) async fn claim_once(&self, path: &PathName, kind: Kind, take_over: bool) -> Result<Epoch, ClaimError> {
        let deadline = tokio::time::Instant::now() + self.shared.timings.claim_timeout;
        loop {
            while self.is_coming_up() && tokio::time::Instant::now() < deadline {
                tokio::time::sleep(COMING_UP).await;
            }
            let id = {
                let mut inner = self.shared.inner.lock();
                let incarnation = inner.incarnation;
                inner.holdings.begin(path, kind, self.shared.id, incarnation)
            };
            let now_micros = self.wall_micros();
            let entry = Entry::Claim { id, path: path.clone(), kind, now_micros, take_over };
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            let answer = self.shared.consensus.propose(entry, left).await;
            let (index, stopped) = match &answer {
                Ok((index, _)) => (*index, false),
                Err(error) => (0, *error == ProposeError::Stopped),
            };
            let error = match answer {
                Ok((_, Answer::Owned(epoch))) => {
                    let still = self.shared.inner.lock().holdings.granted(path, id, epoch);
                    // A later claim for the same path has taken the place of this one.
                    return if still { Ok(epoch) } else { Err(ClaimError::Owned(self.shared.id)) };
                }
                Ok((_, Answer::Refused(Refusal::Owned(node)))) => ClaimError::Owned(node),
                Ok((_, Answer::Refused(Refusal::TooMany))) => ClaimError::TooMany,
                Ok(_) | Err(ProposeError::Stopped) => ClaimError::NotServing,
                Err(ProposeError::NoQuorum) => ClaimError::NoQuorum,
            };
            self.shared.inner.lock().holdings.abandon(path, id);
            // A node that was thought dead is about to come up again; the claim waits for it. Whether it is, it knows when it
            // has read as far as the answer.
            let _ = tokio::time::timeout_at(deadline, self.shared.consensus.state().wait_for(index)).await;
            if stopped
                || error != ClaimError::NotServing
                || !self.may_serve()
                || tokio::time::Instant::now() >= deadline
            {
                return Err(error);
            }
            tokio::time::sleep(COMING_UP).await;
        }
    }

    /// Whether the cluster gives paths to this node, or will when it has come up.
    fn may_serve(&self) -> bool {
        let state = self.shared.consensus.state().read();
        let member = state.members().get(self.shared.id);
        member.is_some_and(|member| member.state != MemberState::Draining && !member.facts.witness)
    }

    fn is_coming_up(&self) -> bool {
        let incarnation = self.incarnation();
        let state = self.shared.consensus.state().read();
        let member = state.members().get(self.shared.id);
        member.is_some_and(|member| member.incarnation != incarnation || member.state == MemberState::Down)
    }

    /// Registers a publisher of this node that waits for another one's path; the lower its rank the sooner its turn comes.
    pub async fn stand_by(&self, path: &PathName, rank: u8) -> Result<(), ClaimError> {
        let deadline = tokio::time::Instant::now() + self.shared.timings.claim_timeout;
        // A node that was thought dead has a path of before to wait for, and comes up again first.
        while self.is_coming_up() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(COMING_UP).await;
        }
        let id = {
            let mut inner = self.shared.inner.lock();
            let incarnation = inner.incarnation;
            inner.holdings.wait(path, self.shared.id, incarnation)
        };
        let entry = Entry::AddStandby { id, path: path.clone(), rank };
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        let error = match self.shared.consensus.propose(entry, left).await {
            Ok((_, Answer::Done)) => return Ok(()),
            Ok((_, Answer::Refused(Refusal::TooMany))) => ClaimError::TooMany,
            Ok(_) | Err(ProposeError::Stopped) => ClaimError::NotServing,
            Err(ProposeError::NoQuorum) => ClaimError::NoQuorum,
        };
        self.shared.inner.lock().holdings.stop_waiting(path);
        Err(error)
    }

    /// The standby of this node has left.
    pub async fn stand_down(&self, path: &PathName) {
        let waited = self.shared.inner.lock().holdings.stop_waiting(path);
        let known = || {
            let state = self.shared.consensus.state().read();
            let standbys = state.paths().get(path).map_or(&[][..], |ownership| &ownership.standbys);
            standbys.iter().map(|standby| standby.claim).find(|claim| claim.node == self.shared.id)
        };
        if let Some(id) = waited.or_else(known) {
            // If it cannot be said now, the claim is released when its turn comes.
            let remove = Entry::RemoveStandby { id, path: path.clone() };
            let _ = self.shared.consensus.propose(remove, PROPOSE).await;
        }
    }

    /// Gives a path of this node to the next node that waits for it and is well; whether there is one.
    pub fn hand_over(&self, path: &PathName) -> bool {
        let Some((epoch, id)) = self.next_standby(path) else { return false };
        let promote = Entry::Promote { path: path.clone(), epoch, id };
        self.once(Task::Path(path.clone()), |member| async move {
            // What fails is seen again.
            let _ = member.shared.consensus.propose(promote, PROPOSE).await;
        });
        true
    }

    fn next_standby(&self, path: &PathName) -> Option<(Epoch, ClaimId)> {
        let now = self.now();
        let state = self.shared.consensus.state().read();
        let ownership = state.paths().get(path).filter(|known| known.owner_node() == Some(self.shared.id))?;
        let inner = self.shared.inner.lock();
        let is_well = |claim: &ClaimId| {
            state.members().is_serving(claim.node) && inner.beats.lives(claim.node, claim.incarnation, now)
        };
        let next = ownership.standbys.iter().map(|standby| standby.claim).find(is_well)?;
        Some((ownership.epoch, next))
    }

    /// Whether this node serves a path, or has claimed it.
    pub fn is_serving(&self, path: &PathName) -> bool {
        self.shared.inner.lock().holdings.serves(path)
    }

    /// Whether this node serves what the cluster says that it owns, and nothing else.
    pub fn is_settled(&self) -> bool {
        let state = self.shared.consensus.state().read();
        let inner = self.shared.inner.lock();
        let view = View { node: self.shared.id, incarnation: inner.incarnation, state: &state };
        inner.holdings.look_at_all(view).is_empty()
    }

    /// Lets a path go: it is released a little later, all together with others.
    pub fn let_go(&self, path: &PathName) {
        self.shared.inner.lock().holdings.let_go(path);
        self.shared.wake.notify.notify_one();
    }
}

/// How often a claim looks whether its node is up again.
const COMING_UP: Duration = Duration::from_millis(20);
