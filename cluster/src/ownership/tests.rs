//! Each rule alone.

use weft_proto::id::{Epoch, PathName};

use super::*;

mod properties;

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
    let older = Entry::NodeUp { node: A, incarnation: 3, facts: MemberFacts::default() };
    assert_eq!(log.apply(&older), refused(Refusal::TooOld), "nor come back");
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
    // After a restore the log begins anew, and revisions go on all the same.
    log.index = 0;
    assert_eq!(log.apply(&write(10, "three")), Answer::Revision(11));
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
