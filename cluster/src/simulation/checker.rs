//! Sees everything and says when a rule is broken.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;
use weft_proto::id::{Epoch, PathName};

use crate::ownership::{Answer, ClaimId, Entry, Invitation, NodeId, State, TokenHash};
use crate::raft::Observer;

/// What happened in a run that must happen in some, or the runs prove nothing.
pub(super) type Coverage = BTreeMap<&'static str, u64>;

#[expect(clippy::print_stderr, reason = "somebody asked for the events of one seed")]
fn aloud(line: &str) {
    eprintln!("{line}");
}

/// What a client was told.
enum Told {
    Answer(Box<Entry>, Answer),
    Owner(NodeId, PathName),
}

/// Everything that is known of a run. Clones are the same.
#[derive(Clone)]
pub(super) struct Checker {
    inner: Arc<Mutex<Inner>>,
    start: Instant,
    aloud: bool,
}

#[derive(Default)]
struct Inner {
    violations: Vec<String>,
    coverage: Coverage,
    hash: u64,
    events: u64,
    base: u64,
    /// What was applied at each index, by the first node that did.
    log: BTreeMap<u64, (Entry, Answer)>,
    owners: BTreeMap<PathName, (Epoch, Option<ClaimId>)>,
    granted: BTreeMap<ClaimId, Epoch>,
    incarnations: BTreeMap<NodeId, u64>,
    /// Whom each token let in, and with which request.
    let_in: BTreeMap<TokenHash, (NodeId, [u8; 32])>,
    /// What clients were told.
    acknowledged: Vec<(u64, Told)>,
    /// The highest index that was acknowledged to anybody.
    floor: u64,
    /// The highest epoch that each reader has taken, by its process.
    taken: BTreeMap<(u64, PathName), Epoch>,
}

impl Checker {
    pub(super) fn new(aloud: bool) -> Self {
        Self { inner: Arc::default(), start: Instant::now(), aloud }
    }

    /// Something happened.
    pub(super) fn event(&self, what: impl Display) {
        let line = format!("{:>9} {what}", self.start.elapsed().as_micros());
        if self.aloud {
            aloud(&line);
        }
        let mut inner = self.inner.lock();
        inner.events += 1;
        let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        inner.hash = line.bytes().fold(inner.hash ^ 0xcbf2_9ce4_8422_2325, hash);
    }

    pub(super) fn count(&self, what: &'static str) {
        *self.inner.lock().coverage.entry(what).or_default() += 1;
    }

    pub(super) fn violation(&self, what: impl Display) {
        self.event(format_args!("VIOLATION {what}"));
        self.inner.lock().violations.push(what.to_string());
    }

    pub(super) fn violations(&self) -> Vec<String> {
        self.inner.lock().violations.clone()
    }

    pub(super) fn coverage(&self) -> Coverage {
        self.inner.lock().coverage.clone()
    }

    /// Names the whole run: two runs with the same are the same.
    pub(super) fn fingerprint(&self) -> (u64, u64) {
        let inner = self.inner.lock();
        (inner.hash, inner.events)
    }

    /// The highest index that anybody was told of: what is asked from now on must know it.
    pub(super) fn floor(&self) -> u64 {
        self.inner.lock().floor
    }

    /// A client got an answer to what it asked when `floor` was the highest index.
    pub(super) fn answered(&self, floor: u64, index: u64, entry: Entry, answer: Answer) {
        let what = entry.to_string();
        self.told(floor, index, &what, Told::Answer(Box::new(entry), answer));
    }

    /// A client was told that its node owns a path.
    pub(super) fn owns(&self, floor: u64, node: NodeId, path: &PathName, epoch: Epoch) {
        // A claim took effect where it was granted, which may be an earlier attempt of the same.
        let index = epoch.0 - self.inner.lock().base;
        self.told(floor, index, &format!("the claim on {path}"), Told::Owner(node, path.clone()));
    }

    fn told(&self, floor: u64, index: u64, what: &str, told: Told) {
        let mut inner = self.inner.lock();
        inner.floor = inner.floor.max(index);
        inner.acknowledged.push((index, told));
        drop(inner);
        if index <= floor {
            self.violation(format_args!("{what} took effect at {index}, but {floor} was known when it was asked"));
        }
    }

    /// A client has read up to this index, after it asked when `floor` was the highest.
    pub(super) fn has_read(&self, floor: u64, applied: u64) {
        self.count("reads");
        if applied < floor {
            self.violation(format_args!("a read saw {applied} although {floor} had been acknowledged"));
        }
    }

    /// A reader has taken a frame.
    pub(super) fn taken(&self, process: u64, path: &PathName, epoch: Epoch) {
        self.count("frames");
        let before = self.inner.lock().taken.insert((process, path.clone()), epoch);
        if let Some(before) = before.filter(|before| *before > epoch) {
            self.violation(format_args!("{path}: a reader took {epoch:?} after {before:?}"));
        }
    }

    /// What was acknowledged must be in the log at the end.
    pub(super) fn nothing_is_lost(&self) {
        let lost: Vec<String> = {
            let inner = self.inner.lock();
            let is_there = |(index, told): &&(u64, Told)| match (inner.log.get(index), told) {
                (Some((agreed, given)), Told::Answer(entry, answer)) => *agreed == **entry && given == answer,
                (Some((Entry::Claim { id, path, .. }, Answer::Owned(_))), Told::Owner(node, told)) => {
                    id.node == *node && path == told
                }
                _ => false,
            };
            let lost = inner.acknowledged.iter().filter(|told| !is_there(told));
            lost.map(|(index, told)| match told {
                Told::Answer(entry, _) => format!("{entry} at {index}"),
                Told::Owner(node, path) => format!("{path} of {node} at {index}"),
            })
            .collect()
        };
        for entry in lost {
            self.violation(format_args!("acknowledged and lost: {entry}"));
        }
    }

    fn applied(&self, node: NodeId, index: u64, entry: &Entry, answer: Answer, state: &State) {
        let known = self.inner.lock().log.get(&index).cloned();
        match known {
            Some((agreed, given)) if agreed == *entry && given == answer => {}
            Some((agreed, given)) => {
                self.violation(format_args!("{index}: {node} has {entry} ({answer}), another has {agreed} ({given})"));
            }
            None => self.first(node, index, entry, answer, state),
        }
    }

    /// The first node applies an entry: here the rules are looked at.
    fn first(&self, node: NodeId, index: u64, entry: &Entry, answer: Answer, state: &State) {
        self.event(format_args!("{index} {entry}: {answer}"));
        let mut broken = Vec::new();
        let mut inner = self.inner.lock();
        if inner.log.last_key_value().is_some_and(|(last, _)| index < *last) {
            broken.push(format!("{index} is applied first after later ones, by {node}"));
        }
        inner.log.insert(index, (entry.clone(), answer));
        if let (Entry::NodeDown { node, incarnation, .. }, Answer::Done) = (entry, answer)
            && inner.incarnations.get(node) != Some(incarnation)
        {
            broken.push(format!("{node}.{incarnation} went down although another process is up"));
        }
        if let Entry::Join { node, token: Some(Invitation { hash, request, .. }), .. } = entry {
            let known = inner.let_in.get(hash).copied();
            let is_up = inner.incarnations.contains_key(node);
            match (known, answer) {
                (None, Answer::Done) => drop(inner.let_in.insert(*hash, (*node, *request))),
                (Some(known), Answer::Done) if known != (*node, *request) => {
                    broken.push(format!("a token let in {known:?}, and then {node}"));
                }
                (Some(_), Answer::Done) => *inner.coverage.entry("lost answers told again").or_default() += 1,
                (Some(known), _) if known == (*node, *request) && !is_up => {
                    broken.push(format!("{node} was let in, and then refused: {answer}"));
                }
                _ => {}
            }
        }
        match entry {
            Entry::NodeUp { node, incarnation, .. } if answer == Answer::Done => {
                inner.incarnations.insert(*node, *incarnation);
            }
            Entry::RaiseBase { base } => inner.base = inner.base.max(*base),
            _ => {}
        }
        for (path, ownership) in state.paths().iter() {
            let owner = ownership.owner.map(|owner| owner.claim);
            let before = inner.owners.insert(path.clone(), (ownership.epoch, owner));
            let changed = before.is_none_or(|(epoch, was)| epoch != ownership.epoch || owner.is_some() && was != owner);
            if !changed {
                continue;
            }
            if before.is_some_and(|(epoch, _)| ownership.epoch <= epoch) {
                broken.push(format!("{path}: epoch {:?} after {:?}", ownership.epoch, before));
            }
            if let Some(claim) = owner
                && inner.granted.insert(claim, ownership.epoch).is_some()
            {
                broken.push(format!("{claim} was granted twice"));
            }
        }
        // A path that was forgotten and comes back has a higher epoch all the same: what was known stays.
        drop(inner);
        broken.into_iter().for_each(|what| self.violation(what));
        self.note(entry, answer);
    }

    fn note(&self, entry: &Entry, answer: Answer) {
        let name = match (entry, answer) {
            (Entry::Claim { .. }, Answer::Owned(_)) => "claims granted",
            (Entry::Claim { .. }, _) => "claims refused",
            (Entry::NodeDown { .. }, Answer::Done) => "deaths",
            (Entry::NodeDown { .. }, _) => "deaths refused",
            (Entry::NodeUp { incarnation: 2.., .. }, Answer::Done) => "comebacks",
            (Entry::Release { .. }, Answer::Done) => "releases",
            (Entry::Promote { .. }, Answer::Owned(_)) => "promotions",
            (Entry::Remove { .. }, Answer::Done) => "removals",
            (Entry::Configure { .. }, Answer::Revision(_)) => "configurations",
            _ => return,
        };
        self.count(name);
        if let (Entry::NodeDown { plan, .. }, Answer::Done) = (entry, answer)
            && !plan.is_empty()
        {
            self.count("deaths with a plan");
        }
    }

    /// What one node sees, as its observer.
    pub(super) fn observer(&self, node: NodeId) -> Arc<dyn Observer> {
        Arc::new(Eye { node, checker: self.clone() })
    }
}

struct Eye {
    node: NodeId,
    checker: Checker,
}

impl Observer for Eye {
    fn applied(&self, index: u64, entry: &Entry, answer: Answer, state: &State) {
        self.checker.applied(self.node, index, entry, answer, state);
    }

    fn installed(&self, _: &State) {
        self.checker.count("snapshots installed");
    }
}

/// Names of paths that clients fight for.
pub(super) fn paths() -> Vec<PathName> {
    (0..4).filter_map(|n| PathName::new(&format!("p{n}")).ok()).collect()
}

/// The paths whose sources are always to be pulled. Clients do not use them.
pub(super) fn sources() -> Vec<PathName> {
    (0..2).filter_map(|n| PathName::new(&format!("source{n}")).ok()).collect()
}
