//! The state that all nodes share, and how an entry changes it.

use std::collections::VecDeque;

use bincode::{Decode, Encode};
use weft_proto::id::{Epoch, PathName};
use weft_proto::wire::entry::{Answer, ClaimId, Entry, Invitation, Kind, MemberFacts, Move, NodeId, Refusal, SealKey};

use super::claims::Claims;
use super::members::{MemberState, Members};
use super::paths::{Owner, Paths, Standby};
use super::tokens::Tokens;
use crate::limits::{DOCUMENT_BYTES_MAX, REVISIONS_BYTES_MAX, REVISIONS_KEPT};

/// What is agreed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct State {
    base: u64,
    level: u32,
    members: Members,
    paths: Paths,
    claims: Claims,
    tokens: Tokens,
    /// Configurations with their revisions, the newest last.
    revisions: VecDeque<(u64, String)>,
    seal: Option<SealKey>,
}

impl State {
    /// Who belongs to the cluster.
    pub const fn members(&self) -> &Members {
        &self.members
    }

    /// Who owns what.
    pub const fn paths(&self) -> &Paths {
        &self.paths
    }

    /// What all epochs are above; 0 before it was raised for the first time, and nothing is owned before that.
    pub const fn base(&self) -> u64 {
        self.base
    }

    /// The level that the cluster speaks.
    pub const fn level(&self) -> u32 {
        self.level
    }

    /// The revision and the text of the configuration; `None` before the first.
    pub fn configuration(&self) -> Option<(u64, &str)> {
        self.revisions.back().map(|(revision, document)| (*revision, document.as_str()))
    }

    /// The configurations that are kept, the oldest first.
    pub fn revisions(&self) -> impl ExactSizeIterator<Item = (u64, &str)> {
        self.revisions.iter().map(|(revision, document)| (*revision, document.as_str()))
    }

    /// Signs what any node gives to clients and any other checks; `None` before it is agreed.
    pub const fn seal(&self) -> Option<SealKey> {
        self.seal
    }

    /// The epoch that an entry at this index of the log gives.
    pub const fn epoch(&self, index: u64) -> Epoch {
        Epoch(self.base.saturating_add(index))
    }

    /// The same, without secrets: tokens that could let somebody in, the key that signs.
    pub fn without_secrets(&self) -> Self {
        Self { tokens: Tokens::default(), seal: None, ..self.clone() }
    }

    /// The same, as if this node had been left alone: all others are removed, and nobody owns anything. Epochs are above
    /// `base` and above all that were given.
    pub fn alone(&self, node: NodeId, facts: &MemberFacts, base: u64) -> Self {
        let highest = self.paths.iter().map(|(_, ownership)| ownership.epoch.0).max().unwrap_or(0);
        let mut state = self.without_secrets();
        state.base = state.base.max(base).max(highest + 1);
        let others: Vec<NodeId> = state.members.iter().map(|(other, _)| other).filter(|other| *other != node).collect();
        for gone in others {
            let answer = state.members.remove(gone);
            state.lose(gone, answer);
        }
        state.lose(node, Answer::Done);
        if state.members.get(node).is_none() {
            // A restored node is new: its id was drawn for this.
            state.members.join(node, facts);
        }
        state
    }

    /// Applies the entry at `index`, which is higher than all before. Never fails: what cannot be done changes nothing.
    pub fn apply(&mut self, index: u64, entry: &Entry) -> Answer {
        self.paths.begin();
        match entry {
            Entry::RaiseBase { base } => {
                self.base = self.base.max(*base);
                Answer::Done
            }
            Entry::RaiseLevel { level } => self.raise_level(*level),
            Entry::Join { node, facts, token } => self.join(*node, facts, *token),
            Entry::Remove { node } => {
                let answer = self.members.remove(*node);
                self.lose(*node, answer)
            }
            Entry::NodeUp { facts, .. } if facts.level < self.level => Answer::Refused(Refusal::TooOld),
            Entry::NodeUp { node, incarnation, facts } => {
                let answer = self.members.up(*node, *incarnation, facts);
                self.lose(*node, answer)
            }
            Entry::NodeDown { node, incarnation, plan } => self.node_down(index, *node, *incarnation, plan),
            Entry::Drain { node, incarnation, drained } => self.members.drain(*node, *incarnation, *drained),
            Entry::Claim { id, path, kind, now_micros, take_over } => {
                self.once(*id, |state| state.claim(index, *id, path, *kind, *now_micros, *take_over))
            }
            Entry::Release { path, epoch } => done(self.paths.release(path, *epoch)),
            Entry::Forget { path, epoch } => done(self.paths.forget(path, *epoch)),
            Entry::AddStandby { id, path, rank } => self.add_standby(*id, path, *rank),
            Entry::RemoveStandby { id, path } => done(self.paths.remove_standby(path, *id)),
            Entry::Promote { path, epoch, id } => self.once(*id, |state| state.promote(index, path, *epoch, *id)),
            Entry::AddToken { hash, expires_micros } => self.tokens.add(*hash, *expires_micros),
            Entry::Configure { expected, document } => self.configure(index, *expected, document),
            Entry::Seal { key } => {
                self.seal.get_or_insert(*key);
                Answer::Done
            }
            #[cfg(feature = "next-level")]
            Entry::Rehearse { term } => {
                tracing::info!(term, "an entry of the next level was agreed on");
                Answer::Done
            }
        }
    }

    /// What this claim comes to, now and whenever it is proposed again.
    fn once(&mut self, id: ClaimId, decide: impl FnOnce(&mut Self) -> Result<Epoch, Refusal>) -> Answer {
        // A process that is gone asks for nothing, and must not be remembered in place of the present one.
        match self.members.get(id.node) {
            None => return Answer::Refused(Refusal::NotAMember),
            Some(member) if member.incarnation != id.incarnation => {
                return Answer::Refused(Refusal::OtherIncarnation);
            }
            Some(_) => {}
        }
        if let Some(answer) = self.claims.decided(id) {
            return answer;
        }
        let answer = decide(self).map_or_else(Answer::Refused, Answer::Owned);
        self.claims.decide(id, answer);
        answer
    }

    fn claim(
        &mut self,
        index: u64,
        id: ClaimId,
        path: &PathName,
        kind: Kind,
        now_micros: i64,
        take_over: bool,
    ) -> Result<Epoch, Refusal> {
        self.members.check_serving(id.node, id.incarnation)?;
        if let Some(owner) = self.paths.get(path).and_then(|ownership| ownership.owner_node())
            && owner != id.node
            && !take_over
        {
            return Err(Refusal::Owned(owner));
        }
        let epoch = self.epoch(index);
        self.paths.own(path, Owner { claim: id, kind }, epoch, now_micros)?;
        Ok(epoch)
    }

    fn promote(&mut self, index: u64, path: &PathName, epoch: Epoch, id: ClaimId) -> Result<Epoch, Refusal> {
        self.members.check_serving(id.node, id.incarnation)?;
        let ownership = self.paths.at(path, epoch)?;
        let waits = ownership.standbys.iter().any(|standby| standby.claim == id);
        if !waits {
            return Err(Refusal::OtherEpoch);
        }
        let born_micros = ownership.born_micros;
        let next = self.epoch(index);
        self.paths.own(path, Owner { claim: id, kind: Kind::Pushed }, next, born_micros)?;
        Ok(next)
    }

    fn add_standby(&mut self, id: ClaimId, path: &PathName, rank: u8) -> Answer {
        let serving = self.members.check_serving(id.node, id.incarnation);
        done(serving.and_then(|()| self.paths.add_standby(path, Standby { claim: id, rank })))
    }

    fn node_down(&mut self, index: u64, node: NodeId, incarnation: u64, plan: &[Move]) -> Answer {
        let answer = self.members.down(node, incarnation);
        if answer != Answer::Done {
            return answer;
        }
        let owned: Vec<(PathName, Epoch, Kind)> = (self.paths.owned_by(node))
            .filter_map(|(path, ownership)| Some((path.clone(), ownership.epoch, ownership.owner?.kind)))
            .collect();
        self.lose(node, answer);
        for planned in plan {
            let is_its = owned.iter().find(|(path, epoch, _)| *path == planned.path && *epoch == planned.epoch);
            if let Some((_, _, kind)) = is_its {
                self.hand_over(index, planned, *kind);
            }
        }
        answer
    }

    /// A path of a dead node goes to another one; when that cannot have it, it waits for a claim like any other.
    fn hand_over(&mut self, index: u64, planned: &Move, kind: Kind) {
        let Move { path, epoch, to, claim } = planned;
        if claim.node == *to {
            self.once(*claim, |state| {
                state.members.check_serving(claim.node, claim.incarnation)?;
                let born_micros = state.paths.at(path, *epoch)?.born_micros;
                let next = state.epoch(index);
                state.paths.own(path, Owner { claim: *claim, kind }, next, born_micros)?;
                Ok(next)
            });
        }
    }

    /// Takes everything from a node whose process is no longer there, if the entry that says so was done.
    fn lose(&mut self, node: NodeId, answer: Answer) -> Answer {
        if answer == Answer::Done {
            self.paths.take_from(node);
            self.claims.forget(node);
        }
        answer
    }

    fn join(&mut self, node: NodeId, facts: &MemberFacts, token: Option<Invitation>) -> Answer {
        if let Some(invitation) = token {
            // The same node asks again: it was let in, and has not heard of it.
            let waits = self.members.get(node).is_some_and(|member| member.state == MemberState::Joined);
            if waits && self.tokens.was_spent(&invitation, node) {
                return Answer::Done;
            }
            if let Err(refusal) = self.tokens.check(&invitation) {
                return Answer::Refused(refusal);
            }
        }
        if facts.level < self.level {
            return Answer::Refused(Refusal::BadLevel);
        }
        let answer = self.members.join(node, facts);
        if let (Answer::Done, Some(invitation)) = (answer, token) {
            self.tokens.spend(&invitation, node);
        }
        answer
    }

    fn raise_level(&mut self, level: u32) -> Answer {
        if level <= self.level || self.members.common_level().is_none_or(|common| level > common) {
            return Answer::Refused(Refusal::BadLevel);
        }
        self.level = level;
        Answer::Done
    }

    fn configure(&mut self, index: u64, expected: u64, document: &str) -> Answer {
        let revision = self.configuration().map_or(0, |(revision, _)| revision);
        if revision != expected {
            return Answer::Refused(Refusal::OtherRevision(revision));
        }
        if document.len() > DOCUMENT_BYTES_MAX {
            return Answer::Refused(Refusal::TooMany);
        }
        // After a restore the log begins anew, and its indexes are below the revisions that were kept.
        let next = index.max(revision + 1);
        self.revisions.push_back((next, document.to_owned()));
        let bytes = |revisions: &VecDeque<(u64, String)>| revisions.iter().map(|(_, text)| text.len()).sum::<usize>();
        while self.revisions.len() > REVISIONS_KEPT || bytes(&self.revisions) > REVISIONS_BYTES_MAX {
            self.revisions.pop_front();
        }
        Answer::Revision(next)
    }
}

fn done(result: Result<(), Refusal>) -> Answer {
    result.map_or_else(Answer::Refused, |()| Answer::Done)
}
