//! Lets the timings follow the measured round trips.

use std::time::Duration;

use tracing::{info, warn};
use weft_proto::time::Now;

use super::member::{Inner, Member};
use crate::mesh::Transport;
use crate::raft::Standing;

/// Which timings follow the measured round trips. Those that somebody has set do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Follow {
    /// Those of Raft.
    pub raft: bool,
    /// Those of observing.
    pub liveness: bool,
}

impl<T: Transport> Member<T> {
    /// Once a tick: makes the timings as long as the way to the other voters wants them.
    pub(super) fn follow(&self, inner: &mut Inner, standing: &Standing, now: Now) {
        let longest = self.longest_round_trip(inner, standing);
        let Some(factor) = inner.distance.look(longest, now) else { return };
        let (timings, reach) = (self.shared.timings, inner.distance.reach());
        if timings.follow.raft {
            self.shared.consensus.slow_down(factor);
        }
        if timings.follow.liveness {
            inner.beats.set_timings(timings.liveness.for_round_trip(reach));
        }
        let (heartbeat, election) = (timings.raft.heartbeat * factor, timings.raft.election_max * factor);
        if timings.follow.raft {
            info!(
                "the way to the other nodes takes up to {reach:?}: heartbeat is {heartbeat:?}, electionTimeout {election:?}"
            );
        } else if factor > 1 {
            // Timings that are shorter than the way cost elections and false alarms: somebody has to know.
            warn!(
                "the way to a node takes {longest:?}: heartbeat should be {heartbeat:?}, electionTimeout {election:?}"
            );
        }
    }

    /// To the other voters; before these are known, to whomever there is a connection. A node that was never heard is as far
    /// away as its connection says.
    fn longest_round_trip(&self, inner: &Inner, standing: &Standing) -> Option<Duration> {
        let connected = self.transport().round_trips();
        let all = connected.keys().chain(&standing.voters).filter(|node| **node != self.id());
        let counts = all.filter(|node| standing.voters.is_empty() || standing.voters.contains(node));
        counts.filter_map(|node| inner.beats.round_trip(*node).or_else(|| connected.get(node).copied())).max()
    }
}
