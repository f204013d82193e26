//! Each rule alone, then all rules under entries in any order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use weft_proto::id::{Epoch, PathName};

use super::*;

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);
const C: NodeId = NodeId(3);

fn cam() -> PathName {
    PathName::new("cam").unwrap()
}

fn id(node: NodeId, number: u64) -> ClaimId {
    ClaimId { node, incarnation: 1, number }
}

fn claim(id: ClaimId, take_over: bool) -> Entry {
    Entry::Claim { id, path: cam(), kind: Kind::Pushed, now_micros: 7, take_over }
}

fn up(node: NodeId, incarnation: u64) -> Entry {
    Entry::NodeUp { node, incarnation, facts: MemberFacts::default() }
}

/// Applies entries one behind the other, from index 1.
#[derive(Default)]
struct Log {
    state: State,
    index: u64,
}

impl Log {
    /// Three nodes that have started once, and epochs above 1000.
    fn of_three() -> Self {
        let mut log = Self::default();
        log.apply(&Entry::RaiseBase { base: 1000 });
        for node in [A, B, C] {
            assert_eq!(log.apply(&Entry::Join { node, facts: MemberFacts::default(), token: None }), Answer::Done);
            assert_eq!(log.apply(&up(node, 1)), Answer::Done);
        }
        log
    }

    fn apply(&mut self, entry: &Entry) -> Answer {
        self.index += 1;
        self.state.apply(self.index, entry)
    }

    fn owner(&self) -> Option<NodeId> {
        self.state.paths().get(&cam())?.owner_node()
    }

    fn epoch(&self) -> Epoch {
        self.state.paths().get(&cam()).unwrap().epoch
    }
}

fn refused(refusal: Refusal) -> Answer {
    Answer::Refused(refusal)
}

#[test]
fn a_claim_is_granted_once_however_often_it_is_proposed() {
    let mut log = Log::of_three();
    let granted = log.apply(&claim(id(A, 1), false));
    assert_eq!(granted, Answer::Owned(Epoch(1008)));
    assert_eq!(log.apply(&claim(id(A, 1), false)), granted);
    assert_eq!(log.apply(&claim(id(B, 1), true)), Answer::Owned(Epoch(1010)));
    // It comes once more, late: what it was granted is over, and it is not granted again.
    assert_eq!(log.apply(&claim(id(A, 1), true)), granted);
    assert_eq!((log.owner(), log.epoch()), (Some(B), Epoch(1010)));
}

#[test]
fn a_refused_claim_is_not_granted_later_under_the_same_id() {
    let mut log = Log::of_three();
    log.apply(&claim(id(A, 1), false));
    assert_eq!(log.apply(&claim(id(B, 1), false)), refused(Refusal::Owned(A)));
    log.apply(&Entry::Release { path: cam(), epoch: log.epoch() });
    assert_eq!(log.apply(&claim(id(B, 1), false)), refused(Refusal::Owned(A)));
    assert!(matches!(log.apply(&claim(id(B, 2), false)), Answer::Owned(_)));
}

#[test]
fn a_new_process_releases_what_the_old_one_owned() {
    let mut log = Log::of_three();
    log.apply(&claim(id(A, 1), false));
    assert_eq!(log.apply(&up(A, 1)), refused(Refusal::OtherIncarnation));
    assert_eq!(log.owner(), Some(A));
    assert_eq!(log.apply(&up(A, 2)), Answer::Done);
    assert_eq!(log.owner(), None);
    assert_eq!(log.apply(&claim(id(A, 2), false)), refused(Refusal::OtherIncarnation));
    let again = ClaimId { node: A, incarnation: 2, number: 1 };
    assert!(matches!(log.apply(&claim(again, false)), Answer::Owned(_)));
}

#[test]
fn a_path_keeps_its_birth_over_owners_until_it_is_forgotten() {
    let mut log = Log::of_three();
    let at = |id, now_micros| Entry::Claim { id, path: cam(), kind: Kind::Pushed, now_micros, take_over: false };
    log.apply(&at(id(A, 1), 100));
    let epoch = log.epoch();
    assert_eq!(log.apply(&Entry::Forget { path: cam(), epoch }), refused(Refusal::OtherEpoch), "it is owned");
    log.apply(&Entry::Release { path: cam(), epoch });
    log.apply(&at(id(B, 1), 900));
    assert_eq!(log.state.paths().get(&cam()).unwrap().born_micros, 100);
    assert_eq!(log.apply(&Entry::Release { path: cam(), epoch }), refused(Refusal::OtherEpoch), "an old release");
    let epoch = log.epoch();
    log.apply(&Entry::Release { path: cam(), epoch });
    assert_eq!(log.apply(&Entry::Forget { path: cam(), epoch }), Answer::Done);
    assert_eq!(log.state.paths().get(&cam()), None);
}

#[test]
fn a_dead_nodes_paths_go_where_its_plan_says_and_the_others_wait() {
    let mut log = Log::of_three();
    log.apply(&claim(id(A, 1), false));
    let epoch = log.epoch();
    let to_b = Move { path: cam(), epoch, to: B, claim: id(B, ClaimId::PLANNED) };
    let down = Entry::NodeDown { node: A, incarnation: 1, plan: vec![to_b] };
    assert_eq!(log.apply(&down), Answer::Done);
    assert_eq!(log.owner(), Some(B));
    assert!(log.epoch() > epoch);
    assert_eq!(log.apply(&down), refused(Refusal::NotServing), "twice");
    assert_eq!(log.apply(&claim(id(A, 2), true)), refused(Refusal::NotServing), "a dead node claims");
}

#[test]
fn a_plan_for_another_epoch_or_a_node_that_is_gone_moves_nothing() {
    for wrong in 0..2 {
        let mut log = Log::of_three();
        log.apply(&claim(id(A, 1), false));
        let seen = if wrong == 0 { Epoch(5) } else { log.epoch() };
        if wrong == 1 {
            log.apply(&Entry::NodeDown { node: B, incarnation: 1, plan: Vec::new() });
        }
        let plan = vec![Move { path: cam(), epoch: seen, to: B, claim: id(B, ClaimId::PLANNED) }];
        assert_eq!(log.apply(&Entry::NodeDown { node: A, incarnation: 1, plan }), Answer::Done);
        assert_eq!(log.owner(), None);
    }
}

#[test]
fn a_death_of_the_last_process_does_not_touch_the_present_one() {
    let mut log = Log::of_three();
    log.apply(&up(A, 2));
    log.apply(&claim(ClaimId { node: A, incarnation: 2, number: 1 }, false));
    let late = Entry::NodeDown { node: A, incarnation: 1, plan: Vec::new() };
    assert_eq!(log.apply(&late), refused(Refusal::OtherIncarnation));
    assert_eq!(log.owner(), Some(A));
}

#[test]
fn the_first_standby_is_promoted_once_and_only_against_the_epoch_it_saw() {
    let mut log = Log::of_three();
    log.apply(&claim(id(A, 1), false));
    let epoch = log.epoch();
    let wait = |id, rank| Entry::AddStandby { id, path: cam(), rank };
    assert_eq!(log.apply(&wait(id(A, 2), 0)), refused(Refusal::Owned(A)), "its own standby");
    assert_eq!(log.apply(&wait(id(C, 1), 5)), Answer::Done);
    assert_eq!(log.apply(&wait(id(B, 1), 1)), Answer::Done);
    let standbys = |log: &Log| {
        log.state.paths().get(&cam()).unwrap().standbys.iter().map(|standby| standby.claim.node).collect::<Vec<_>>()
    };
    assert_eq!(standbys(&log), [B, C]);
    let promote = Entry::Promote { path: cam(), epoch, id: id(B, 1) };
    let granted = log.apply(&promote);
    assert!(matches!(granted, Answer::Owned(_)));
    assert_eq!((log.owner(), standbys(&log)), (Some(B), vec![C]));
    assert_eq!(log.apply(&promote), granted, "once");
    let stale = Entry::Promote { path: cam(), epoch, id: id(C, 1) };
    assert_eq!(log.apply(&stale), refused(Refusal::OtherEpoch));
    assert_eq!(log.owner(), Some(B));
}

#[test]
fn a_draining_node_keeps_what_it_has_and_gets_nothing_new() {
    let mut log = Log::of_three();
    log.apply(&claim(id(A, 1), false));
    log.apply(&Entry::Drain { node: A, incarnation: 1, drained: true });
    assert_eq!(log.owner(), Some(A));
    assert_eq!(log.apply(&claim(id(A, 2), true)), refused(Refusal::NotServing));
    log.apply(&Entry::Drain { node: A, incarnation: 1, drained: false });
    assert!(matches!(log.apply(&claim(id(A, 3), true)), Answer::Owned(_)));
}

#[test]
fn a_token_lets_one_node_in_until_it_expires() {
    let mut log = Log::of_three();
    let hash = TokenHash([7; 32]);
    let join = |node, now_micros| {
        let token = Some(Invitation { hash, request: [node as u8; 32], now_micros });
        Entry::Join { node: NodeId(node), facts: MemberFacts::default(), token }
    };
    assert_eq!(log.apply(&join(9, 50)), refused(Refusal::BadToken));
    log.apply(&Entry::AddToken { hash, expires_micros: 100 });
    assert_eq!(log.apply(&join(9, 100)), refused(Refusal::BadToken), "expired");
    assert_eq!(log.apply(&join(1, 50)), refused(Refusal::IdUsed), "the token is still good");
    assert_eq!(log.apply(&join(9, 50)), Answer::Done);
    assert_eq!(log.apply(&join(10, 50)), refused(Refusal::BadToken), "used");
    log.apply(&Entry::Remove { node: NodeId(9) });
    assert_eq!(
        log.apply(&Entry::Join { node: NodeId(9), facts: MemberFacts::default(), token: None }),
        refused(Refusal::IdUsed)
    );
}

#[test]
fn who_has_lost_the_answer_of_a_token_gets_it_again_and_nobody_else_does() {
    let mut log = Log::of_three();
    let hash = TokenHash([7; 32]);
    let join = |node, request, now_micros| {
        let token = Some(Invitation { hash, request: [request; 32], now_micros });
        Entry::Join { node: NodeId(node), facts: MemberFacts::default(), token }
    };
    log.apply(&Entry::AddToken { hash, expires_micros: 100 });
    assert_eq!(log.apply(&join(7, 1, 50)), Answer::Done);
    let before = log.state.clone();
    assert_eq!(log.apply(&join(7, 1, 60)), Answer::Done, "asked again");
    assert_eq!(log.apply(&join(8, 1, 60)), refused(Refusal::BadToken), "another node");
    assert_eq!(log.apply(&join(7, 2, 60)), refused(Refusal::BadToken), "another key");
    assert_eq!(log.apply(&join(7, 1, 100)), refused(Refusal::BadToken), "too late");
    assert!(log.state == before, "none of them changes anything");
    // It has come up, so it has its papers: whoever asks now is somebody else.
    log.apply(&up(NodeId(7), 1));
    assert_eq!(log.apply(&join(7, 1, 61)), refused(Refusal::BadToken));
}

#[test]
fn a_level_is_raised_when_every_member_knows_it() {
    let mut log = Log::of_three();
    assert_eq!(log.apply(&Entry::RaiseLevel { level: 1 }), refused(Refusal::BadLevel));
    for node in [A, B, C] {
        let facts = MemberFacts { level: 1, ..MemberFacts::default() };
        log.apply(&Entry::NodeUp { node, incarnation: 2, facts });
    }
    assert_eq!(log.apply(&Entry::RaiseLevel { level: 1 }), Answer::Done);
    let old = Entry::Join { node: NodeId(9), facts: MemberFacts::default(), token: None };
    assert_eq!(log.apply(&old), refused(Refusal::BadLevel), "an old program cannot join");
}

#[test]
fn a_configuration_is_written_by_who_saw_the_last_one() {
    let mut log = Log::of_three();
    let write = |expected, text: &str| Entry::Configure { expected, document: text.into() };
    assert_eq!(log.apply(&write(0, "one")), Answer::Revision(8));
    assert_eq!(log.apply(&write(0, "other")), refused(Refusal::OtherRevision(8)));
    assert_eq!(log.apply(&write(8, "two")), Answer::Revision(10));
    assert_eq!(log.state.configuration(), Some((10, "two")));
    assert_eq!(log.state.revisions().collect::<Vec<_>>(), [(8, "one"), (10, "two")]);
}

#[test]
fn a_restored_cluster_gives_no_epoch_twice() {
    let mut log = Log::of_three();
    log.apply(&claim(id(A, 1), false));
    let before = log.epoch();
    // The log begins anew; only the base tells that time has passed.
    log.index = 0;
    log.apply(&Entry::RaiseBase { base: before.0 + 1 });
    log.apply(&claim(id(B, 1), true));
    assert!(log.epoch() > before);
    log.apply(&Entry::RaiseBase { base: 5 });
    log.apply(&claim(id(B, 2), true));
    assert!(log.epoch().0 > before.0 + 1, "a base never shrinks");
}

/// Entries that mostly make sense: few nodes, few paths, incarnations and epochs near those in force.
fn entry() -> impl Strategy<Value = Draft> {
    let node = 1..=3u64;
    prop_oneof![
        (node.clone(), 0..3u64).prop_map(|(node, ahead)| Draft::Up { node, ahead }),
        (node.clone(), 0..2u64, prop::collection::vec((0..3u8, 1..=3u64, any::<bool>()), 0..4))
            .prop_map(|(node, behind, plan)| Draft::Down { node, behind, plan }),
        (node.clone(), any::<bool>()).prop_map(|(node, drained)| Draft::Drain { node, drained }),
        (node.clone(), 0..2u64, 0..40u64, 0..3u8, any::<bool>())
            .prop_map(|(node, behind, number, path, over)| Draft::Claim { node, behind, number, path, over }),
        (0..3u8, any::<bool>()).prop_map(|(path, stale)| Draft::Release { path, stale }),
        (0..3u8).prop_map(|path| Draft::Forget { path }),
        (node, 40..60u64, 0..3u8, 0..3u8).prop_map(|(node, number, path, rank)| Draft::Wait {
            node,
            number,
            path,
            rank
        }),
        (0..3u8, any::<bool>()).prop_map(|(path, stale)| Draft::Promote { path, stale }),
        (0..3u8).prop_map(|path| Draft::Leave { path }),
    ]
}

#[derive(Clone, Debug)]
enum Draft {
    Up { node: u64, ahead: u64 },
    Down { node: u64, behind: u64, plan: Vec<(u8, u64, bool)> },
    Drain { node: u64, drained: bool },
    Claim { node: u64, behind: u64, number: u64, path: u8, over: bool },
    Release { path: u8, stale: bool },
    Forget { path: u8 },
    Wait { node: u64, number: u64, path: u8, rank: u8 },
    Promote { path: u8, stale: bool },
    Leave { path: u8 },
}

fn name(path: u8) -> PathName {
    PathName::new(&format!("p{path}")).unwrap()
}

impl Draft {
    /// What it means to the state as it is.
    fn entry(&self, state: &State, index: u64) -> Option<Entry> {
        let incarnation = |node| state.members().get(NodeId(node)).map_or(0, |member| member.incarnation);
        let epoch =
            |path, stale: bool| state.paths().get(&name(path)).map(|path| Epoch(path.epoch.0 - u64::from(stale)));
        Some(match self.clone() {
            Self::Up { node, ahead } => up(NodeId(node), incarnation(node) + ahead),
            Self::Down { node, behind, plan } => {
                let plan = plan.into_iter().enumerate().filter_map(|(n, (path, to, stale))| {
                    let number = ClaimId::PLANNED + index * 8 + n as u64;
                    let claim = ClaimId { node: NodeId(to), incarnation: incarnation(to), number };
                    Some(Move { path: name(path), epoch: epoch(path, stale)?, to: NodeId(to), claim })
                });
                let plan = plan.collect();
                Entry::NodeDown { node: NodeId(node), incarnation: incarnation(node).saturating_sub(behind), plan }
            }
            Self::Drain { node, drained } => {
                Entry::Drain { node: NodeId(node), incarnation: incarnation(node), drained }
            }
            Self::Claim { node, behind, number, path, over } => {
                let incarnation = incarnation(node).saturating_sub(behind);
                let id = ClaimId { node: NodeId(node), incarnation, number };
                Entry::Claim { id, path: name(path), kind: Kind::Pushed, now_micros: 0, take_over: over }
            }
            Self::Release { path, stale } => Entry::Release { path: name(path), epoch: epoch(path, stale)? },
            Self::Forget { path } => Entry::Forget { path: name(path), epoch: epoch(path, false)? },
            Self::Wait { node, number, path, rank } => {
                let id = ClaimId { node: NodeId(node), incarnation: incarnation(node), number };
                Entry::AddStandby { id, path: name(path), rank }
            }
            Self::Promote { path, stale } => {
                let id = state.paths().get(&name(path))?.standbys.first()?.claim;
                Entry::Promote { path: name(path), epoch: epoch(path, stale)?, id }
            }
            Self::Leave { path } => {
                let id = state.paths().get(&name(path))?.standbys.last()?.claim;
                Entry::RemoveStandby { id, path: name(path) }
            }
        })
    }
}

/// What has ever been granted, looked at from outside.
#[derive(Default)]
struct Witness {
    highest: BTreeMap<PathName, Epoch>,
    granted: BTreeSet<ClaimId>,
}

impl Witness {
    fn look(&mut self, before: &State, after: &State) -> Result<(), TestCaseError> {
        for (path, ownership) in after.paths().iter() {
            let known = before.paths().get(path);
            let changed = known.is_none_or(|known| known.owner != ownership.owner || known.epoch != ownership.epoch);
            if let Some(owner) = ownership.owner.filter(|_| changed) {
                let highest = self.highest.insert(path.clone(), ownership.epoch);
                prop_assert!(highest.is_none_or(|highest| ownership.epoch > highest), "{path}: the epoch did not grow");
                prop_assert!(self.granted.insert(owner.claim), "{:?} was granted twice", owner.claim);
            }
            for claim in
                ownership.owner.iter().map(|owner| owner.claim).chain(ownership.standbys.iter().map(|s| s.claim))
            {
                let member = after.members().get(claim.node);
                prop_assert!(
                    member.is_some_and(
                        |member| member.incarnation == claim.incarnation && member.state != MemberState::Down
                    ),
                    "{path}: {claim:?} is of a process that is gone"
                );
            }
            let nodes: BTreeSet<NodeId> = ownership.standbys.iter().map(|standby| standby.claim.node).collect();
            prop_assert!(nodes.len() == ownership.standbys.len(), "{path}: a node waits twice");
            prop_assert!(ownership.owner_node().is_none_or(|owner| !nodes.contains(&owner)), "the owner waits");
        }
        prop_assert!(after.paths().is_indexed(), "the index is another one than that of all paths");
        for path in (0..3).map(name).filter(|path| before.paths().get(path) != after.paths().get(path)) {
            prop_assert!(after.paths().changed().contains(&path), "{path} is not among what has changed");
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_rules_hold_under_entries_in_any_order(drafts in prop::collection::vec(entry(), 1..120)) {
        let mut log = Log::of_three();
        let mut witness = Witness::default();
        for draft in drafts {
            let Some(entry) = draft.entry(&log.state, log.index) else { continue };
            let before = log.state.clone();
            let answer = log.apply(&entry);
            witness.look(&before, &log.state)?;
            if let Answer::Refused(refusal) = answer
                && !matches!(entry, Entry::Claim { .. } | Entry::Promote { .. })
            {
                prop_assert!(before == log.state, "refused ({refusal}) and changed all the same");
            }
        }
        let bytes = weft_proto::wire::to_bytes(&log.state);
        let read: State = weft_proto::wire::from_bytes(&bytes).expect("what was written can be read");
        prop_assert!(read == log.state && read.paths().is_indexed());
    }

    #[test]
    fn the_same_entries_make_the_same_state(drafts in prop::collection::vec(entry(), 1..60)) {
        let (mut one, mut other) = (Log::of_three(), Log::of_three());
        for draft in drafts {
            let Some(entry) = draft.entry(&one.state, one.index) else { continue };
            prop_assert_eq!(one.apply(&entry), other.apply(&entry));
        }
        prop_assert!(one.state == other.state);
    }
}
