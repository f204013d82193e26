//! What the leader has to do for the cluster beside answering: say who is down, promote standbys, see to it that enough
//! nodes vote. Pure: what it sees in, what it is to do out.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use weft_proto::id::{Epoch, PathName};
use weft_proto::time::Now;

use super::beats::Beats;
use super::placer::Placer;
use super::voters::{Change, Electorate};
use crate::liveness::Sight;
use crate::ownership::{ClaimId, Entry, Kind, MemberState, Move, NodeId, State};
use crate::placement::{Candidate, Source, spread};
use crate::raft::Standing;

/// Something that the leader is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Bring this into the log.
    Propose(Entry),
    /// Change who votes.
    Change(Change),
}

/// Remembers what the leader has seen since it leads.
#[derive(Clone, Debug)]
pub struct Steward {
    replace_after: Duration,
    down_since: BTreeMap<NodeId, Now>,
    /// Paths without an owner, and since when.
    idle: BTreeMap<PathName, (Epoch, Now)>,
    /// Of these, those that are to be forgotten.
    forgotten: VecDeque<(PathName, Epoch)>,
    /// When they were looked at last.
    looked: Option<Now>,
    /// Counts the claims that this node has made for others.
    planned: u32,
    /// Sees to sources that nobody pulls.
    placer: Placer,
    #[cfg(feature = "next-level")]
    rehearsed: Option<Now>,
}

/// A path's birth is kept so long without an owner: its publisher may come back, and its readers wait no longer.
const FORGET_AFTER: Duration = Duration::from_secs(60);

/// How often paths without an owner are looked for: among 100,000 that takes 20 ms.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// So many are forgotten with one tick, in which claims have to wait for them.
const FORGET_AT_ONCE: usize = 16;

/// Load that one more source adds to a node, as long as nobody has measured it.
pub(super) const SOURCE_COST: f64 = 0.01;

impl Steward {
    /// A steward of a node that does not lead yet.
    pub const fn new(replace_after: Duration) -> Self {
        Self {
            replace_after,
            down_since: BTreeMap::new(),
            idle: BTreeMap::new(),
            forgotten: VecDeque::new(),
            looked: None,
            planned: 0,
            placer: Placer::new(),
            #[cfg(feature = "next-level")]
            rehearsed: None,
        }
    }

    /// What is to be done now. Called with every tick, on every node; one that does not lead has nothing to do.
    pub fn duties(
        &mut self,
        state: &State,
        standing: &Standing,
        beats: &Beats,
        now: Now,
        wall_micros: i64,
    ) -> Vec<Duty> {
        if !standing.leads {
            self.down_since.clear();
            self.idle.clear();
            self.forgotten.clear();
            self.looked = None;
            return Vec::new();
        }
        self.note_down(state, standing, now);
        let mut duties: Vec<Duty> = base(state, wall_micros).into_iter().collect();
        duties.extend(self.deaths(state, standing, beats, now));
        duties.extend(self.forget(state, now));
        duties.extend(self.level(state));
        #[cfg(feature = "next-level")]
        duties.extend(self.rehearse(state, standing.term, now));
        let replicated = standing.replicated.iter().filter_map(|(node, at)| Some((*node, (*at)?))).collect();
        let electorate = Electorate {
            members: state.members(),
            voters: &standing.voters,
            changing_to: standing.changing_to.as_ref(),
            learners: &standing.learners,
            replicated: &replicated,
            last: standing.last.unwrap_or(0),
            down_since: &self.down_since,
            replace_after: self.replace_after,
        };
        duties.extend(electorate.next_change(now).map(Duty::Change));
        duties
    }

    /// Sources that nobody pulls are given to nodes. Called with every tick, and when other ones are wanted.
    pub fn place_sources(
        &mut self,
        state: &State,
        standing: &Standing,
        wanted: &[PathName],
        now: Now,
        wall_micros: i64,
    ) -> Vec<Duty> {
        let placed = self.placer.place(state, standing, wanted, now);
        let entry = |(path, node, incarnation): (PathName, NodeId, u64)| {
            let id = self.claim_for(node, incarnation, standing.term);
            let claim = Entry::Claim { id, path, kind: Kind::Pulled, now_micros: wall_micros, take_over: false };
            Duty::Propose(claim)
        };
        placed.into_iter().map(entry).collect()
    }

    /// A claim that this node makes for another. A term has one leader, so nobody else makes this number.
    fn claim_for(&mut self, node: NodeId, incarnation: u64, term: u64) -> ClaimId {
        let number = ClaimId::PLANNED | (term & 0x7fff_ffff) << 32 | u64::from(self.planned);
        self.planned = self.planned.wrapping_add(1);
        ClaimId { node, incarnation, number }
    }

    /// Voters of a formation that have never come are missed like those that are down.
    fn note_down(&mut self, state: &State, standing: &Standing, now: Now) {
        let members = state.members();
        let is_down = |node| match members.get(node) {
            Some(member) => member.state == MemberState::Down,
            None => standing.voters.contains(&node) && !members.was_removed(node),
        };
        self.down_since.retain(|node, _| is_down(*node));
        let all = members.iter().map(|(node, _)| node).chain(standing.voters.iter().copied());
        for node in all.filter(|node| is_down(*node)) {
            self.down_since.entry(node).or_insert(now);
        }
    }

    fn deaths(&mut self, state: &State, standing: &Standing, beats: &Beats, now: Now) -> Vec<Duty> {
        let mut duties = Vec::new();
        for (node, member) in state.members().iter() {
            if !matches!(member.state, MemberState::Up | MemberState::Draining) {
                continue;
            }
            match beats.verdict(node, member.incarnation, &standing.voters, now) {
                Sight::Lives => {}
                Sight::Suspect => {
                    let is_well = |claim: &ClaimId| {
                        beats.verdict(claim.node, claim.incarnation, &standing.voters, now) == Sight::Lives
                    };
                    duties.extend(promotions(state, node, is_well));
                }
                Sight::Down => {
                    let plan = self.plan(state, node, standing.term);
                    duties.push(Duty::Propose(Entry::NodeDown { node, incarnation: member.incarnation, plan }));
                }
            }
        }
        duties
    }

    /// Where a dead node's paths go: to their standbys, and sources to whom the hash says. The others wait for their
    /// publishers.
    fn plan(&mut self, state: &State, dead: NodeId, term: u64) -> Vec<Move> {
        let mut plan = Vec::new();
        let mut sources = Vec::new();
        for (path, ownership) in state.paths().owned_by(dead) {
            let mut others = ownership.standbys.iter().filter(|standby| standby.claim.node != dead);
            let standby = others.find(|standby| state.members().is_serving(standby.claim.node));
            if let Some(standby) = standby {
                let (to, claim) = (standby.claim.node, standby.claim);
                plan.push(Move { path: path.clone(), epoch: ownership.epoch, to, claim });
            } else if ownership.owner.is_some_and(|owner| owner.kind == Kind::Pulled) {
                sources.push((Source { path: path.clone(), zone: String::new() }, ownership.epoch));
            }
        }
        let candidates = candidates(state, Some(dead));
        let wanted: Vec<Source> = sources.iter().map(|(source, _)| source.clone()).collect();
        let placed = spread(&wanted, &candidates, SOURCE_COST);
        for ((source, epoch), to) in sources.into_iter().zip(placed) {
            let member = to.and_then(|to| Some((to, state.members().get(to)?.incarnation)));
            let Some((to, incarnation)) = member else { continue };
            let claim = self.claim_for(to, incarnation, term);
            plan.push(Move { path: source.path, epoch, to, claim });
        }
        plan
    }

    /// Paths that nobody has owned for long are forgotten, so that names that were used once do not stay for ever.
    fn forget(&mut self, state: &State, now: Now) -> Vec<Duty> {
        if self.looked.is_none_or(|looked| now.since(looked) >= LOOK_EVERY) {
            self.looked = Some(now);
            self.look_for_idle(state, now);
        }
        let some = self.forgotten.len().min(FORGET_AT_ONCE);
        self.forgotten.drain(..some).map(|(path, epoch)| Duty::Propose(Entry::Forget { path, epoch })).collect()
    }

    fn look_for_idle(&mut self, state: &State, now: Now) {
        let is_idle = |path: &PathName, epoch: Epoch| {
            state.paths().get(path).is_some_and(|ownership| ownership.owner.is_none() && ownership.epoch == epoch)
        };
        self.idle.retain(|path, (epoch, _)| is_idle(path, *epoch));
        for (path, ownership) in state.paths().idle() {
            if !self.idle.contains_key(path) {
                self.idle.insert(path.clone(), (ownership.epoch, now));
            }
        }
        // What could not be said is still there, and said again.
        let long = self.idle.iter().filter(|(_, (_, since))| now.since(*since) >= FORGET_AFTER);
        self.forgotten = long.map(|(path, (epoch, _))| (path.clone(), *epoch)).collect();
    }

    /// Each second something that only the next level knows.
    #[cfg(feature = "next-level")]
    fn rehearse(&mut self, state: &State, term: u64, now: Now) -> Option<Duty> {
        let is_due = self.rehearsed.is_none_or(|at| now.since(at) >= Duration::from_secs(1));
        if state.level() < weft_proto::wire::LEVELS.1 || !is_due {
            return None;
        }
        self.rehearsed = Some(now);
        Some(Duty::Propose(Entry::Rehearse { term }))
    }

    /// The cluster speaks the highest level that all of its members know.
    fn level(&self, state: &State) -> Option<Duty> {
        let level = state.members().common_level().filter(|level| *level > state.level())?;
        Some(Duty::Propose(Entry::RaiseLevel { level }))
    }
}

/// The first that is agreed in a cluster of several: whoever leads first says it, for the founder may be gone by then.
fn base(state: &State, wall_micros: i64) -> Option<Duty> {
    let base = u64::try_from(wall_micros).unwrap_or(0).max(1);
    (state.base() == 0).then_some(Duty::Propose(Entry::RaiseBase { base }))
}

/// A node that two observers suspect loses the paths for which somebody waits: a wrong guess costs one splice.
fn promotions(state: &State, suspect: NodeId, is_well: impl Fn(&ClaimId) -> bool) -> impl Iterator<Item = Duty> {
    state.paths().owned_by(suspect).filter_map(move |(path, ownership)| {
        let serving = ownership.standbys.iter().filter(|standby| state.members().is_serving(standby.claim.node));
        let id = serving.map(|standby| standby.claim).find(&is_well)?;
        let promote = Entry::Promote { path: path.clone(), epoch: ownership.epoch, id };
        Some(Duty::Propose(promote))
    })
}

/// Who may be given sources: all that serve, but for one that is dead.
pub(super) fn candidates(state: &State, dead: Option<NodeId>) -> Vec<Candidate> {
    let serving = state.members().iter().filter(|(node, member)| Some(*node) != dead && member.is_serving());
    serving
        .map(|(node, member)| {
            let owned = state.paths().owned_count(node);
            // Until nodes report their load: each path is taken for a hundredth of a node.
            let load = (owned as f64 * SOURCE_COST).min(0.99);
            Candidate { node, zone: member.facts.zone.clone(), load }
        })
        .collect()
}
