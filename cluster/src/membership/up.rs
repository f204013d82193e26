//! Saying that this node is up: at its start, and when it reads that the others thought it dead.

use std::time::Duration;

use tokio::time::sleep;
use tracing::{info, warn};
use weft_proto::wire::control::{Goodbye, Signal};

use super::member::{Ended, Member, Task};
use crate::mesh::Transport;
use crate::ownership::{Answer, Entry, MemberState, NodeId, Refusal};

/// What the members' list says of this process.
enum Record {
    /// Nothing: it has not joined yet.
    Unknown,
    /// It was there, and is not any more.
    Removed,
    /// It is known and up.
    Up,
    /// It is known as an older process, or as one that never ran.
    Older,
    /// It was thought dead.
    Down,
    /// A newer process of this node is there.
    Newer,
}

/// How long an older process of this node may be heard before this one gives up, in times for which a dead one is taken for
/// alive.
const DUPLICATE_AFTER: u32 = 5;

/// Between two attempts while it is heard.
const AGAIN: Duration = Duration::from_millis(50);

/// A removed node waits so long for its vote to be taken. That may have happened without it.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(1);

impl<T: Transport> Member<T> {
    fn record(&self) -> Record {
        let incarnation = self.incarnation();
        let state = self.shared.consensus.state().read();
        match state.members().get(self.shared.id) {
            None if state.members().was_removed(self.shared.id) => Record::Removed,
            None => Record::Unknown,
            Some(member) if member.incarnation > incarnation => Record::Newer,
            Some(member) if member.incarnation < incarnation => Record::Older,
            Some(member) if member.state == MemberState::Down => Record::Down,
            Some(_) => Record::Up,
        }
    }

    /// Whether it is agreed that this process is up.
    pub fn is_up(&self) -> bool {
        matches!(self.record(), Record::Up)
    }

    /// Looks whether the node has to say that it is up, or has to end.
    pub(super) fn check_up(&self) {
        match self.record() {
            Record::Up => {}
            Record::Unknown => self.check_joined(),
            Record::Older | Record::Down => self.once(Task::Up, |member| async move { member.come_up().await }),
            Record::Newer => self.end(Ended::Superseded),
            Record::Removed => self.give_up_vote(),
        }
    }

    /// A voter of the formation becomes a member by its own word, once the cluster has its base: no epoch is given before.
    fn check_joined(&self) {
        let votes = self.shared.consensus.standing().voters.contains(&self.shared.id);
        if votes && self.shared.consensus.state().read().base() > 0 {
            self.once(Task::Up, |member| async move {
                // What fails is seen again with the next tick.
                let _ = member.shared.consensus.propose(member.own_join(), ATTEMPT).await;
            });
        }
    }

    /// A removed node votes, and leads, until the others have taken its vote: else its end would cost them an election.
    fn give_up_vote(&self) {
        let now = self.shared.clock.now();
        let since = *self.shared.inner.lock().removed_since.get_or_insert(now);
        let votes = self.shared.consensus.standing().voters.contains(&self.shared.id);
        if !votes || now.since(since) >= LEAVE_WITHIN {
            self.end(Ended::Removed);
        }
    }

    /// Others know of the removal, and the log does not come here any more.
    pub(crate) fn was_removed(&self) {
        self.end(Ended::Removed);
    }

    fn end(&self, ended: Ended) {
        warn!("{ended}");
        self.shared.inner.lock().ended = Some(ended);
    }

    async fn come_up(&self) {
        // What was read may be old: a log is read from its beginning. Only the newest word counts.
        if self.shared.consensus.catch_up(ATTEMPT).await.is_err() {
            return;
        }
        if matches!(self.record(), Record::Down) && !self.begin_anew().await {
            return;
        }
        let begun = self.shared.clock.now();
        let patience = self.shared.timings.liveness.suspect_after * DUPLICATE_AFTER;
        while matches!(self.record(), Record::Older) {
            let incarnation = self.incarnation();
            let up = Entry::NodeUp { node: self.shared.id, incarnation, facts: self.shared.facts.clone() };
            match self.shared.consensus.propose(up, ATTEMPT).await {
                Ok((_, Answer::Refused(Refusal::OlderLives))) => {
                    if self.shared.clock.now().since(begun) >= patience {
                        return self.end(Ended::Duplicate);
                    }
                    sleep(AGAIN).await;
                }
                Ok((_, Answer::Refused(Refusal::TooOld))) => return self.end(Ended::TooOld),
                Ok((_, answer)) => return info!(incarnation, %answer, "the node is up"),
                // Without a quorum nobody says anything about it; it is tried again with the next tick.
                Err(_) => return,
            }
        }
    }

    /// A process that was thought dead goes on as another incarnation: what it owned is no longer its own.
    async fn begin_anew(&self) -> bool {
        match self.shared.incarnations.next().await {
            Ok(incarnation) => {
                warn!(incarnation, "the cluster thought this node dead; it comes up again");
                let mut inner = self.shared.inner.lock();
                let before = std::mem::replace(&mut inner.incarnation, incarnation);
                inner.holdings.note_all();
                let peers: Vec<NodeId> = inner.peers.keys().copied().collect();
                drop(inner);
                self.shared.transport.set_incarnation(incarnation);
                // They have heard the older one a moment ago, and would take it for another process that goes on.
                for node in peers {
                    self.shared.transport.signal(node, Signal::Goodbye(Goodbye { incarnation: before }));
                }
                true
            }
            Err(error) => {
                warn!(%error, "cannot write the node's incarnation");
                false
            }
        }
    }
}
