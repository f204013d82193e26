use std::collections::BTreeSet;

use super::*;
use crate::ownership::{ClaimId, Entry, Kind, MemberFacts};

fn at(millis: u64) -> Now {
    Now::from_micros(millis * 1000)
}

fn cams(count: usize) -> Vec<PathName> {
    (0..count).map(|n| PathName::new(&format!("cam/{n}")).unwrap()).collect()
}

/// Nodes 1 to `up` of `count` have started.
fn state(count: u64, up: u64) -> State {
    let mut state = State::default();
    state.apply(1, &Entry::RaiseBase { base: 1000 });
    for node in 1..=count {
        state.apply(node * 2, &Entry::Join { node: NodeId(node), facts: MemberFacts::default(), token: None });
    }
    for node in 1..=up {
        let facts = MemberFacts::default();
        state.apply(count * 2 + node, &Entry::NodeUp { node: NodeId(node), incarnation: 1, facts });
    }
    state
}

fn leads(voters: u64) -> Standing {
    Standing { leads: true, voters: (1..=voters).map(NodeId).collect::<BTreeSet<_>>(), ..Standing::default() }
}

/// The nodes to which sources went do pull them.
fn take(state: &mut State, index: u64, placed: &[(PathName, NodeId, u64)]) {
    for (index, (path, node, incarnation)) in (index..).zip(placed) {
        let id = ClaimId { node: *node, incarnation: *incarnation, number: ClaimId::PLANNED + index };
        let claim = Entry::Claim { id, path: path.clone(), kind: Kind::Pulled, now_micros: 0, take_over: false };
        state.apply(index, &claim);
    }
}

#[test]
fn sources_are_spread_over_the_nodes_each_once() {
    let (mut placer, mut state, wanted) = (Placer::new(), state(3, 3), cams(300));
    let placed = placer.place(&state, &leads(3), &wanted, at(0));
    assert_eq!(placed.len(), 300);
    for node in 1..=3 {
        let share = placed.iter().filter(|(_, to, _)| *to == NodeId(node)).count();
        assert!((60..140).contains(&share), "{share} on one of three");
    }
    assert_eq!(placer.place(&state, &leads(3), &wanted, at(50)), [], "they are on their way");
    take(&mut state, 100, &placed);
    assert_eq!(placer.place(&state, &leads(3), &wanted, at(5000)), []);
}

#[test]
fn nodes_that_start_together_are_waited_for_but_not_for_ever() {
    let (mut placer, wanted) = (Placer::new(), cams(30));
    assert_eq!(placer.place(&state(3, 1), &leads(3), &wanted, at(0)), []);
    assert_eq!(placer.place(&state(1, 1), &leads(3), &wanted, at(1000)), [], "two voters are not even members");
    let all = placer.place(&state(3, 2), &leads(3), &wanted, at(2000));
    assert!(all.len() == 30 && all.iter().all(|(_, node, _)| *node != NodeId(3)));
}

#[test]
fn a_node_that_lets_a_source_go_at_once_is_not_given_it_again() {
    let (mut placer, mut state, wanted) = (Placer::new(), state(3, 3), cams(1));
    let first = placer.place(&state, &leads(3), &wanted, at(0));
    take(&mut state, 100, &first);
    let epoch = state.paths().get(&wanted[0]).unwrap().epoch;
    state.apply(200, &Entry::Release { path: wanted[0].clone(), epoch });
    assert_eq!(placer.place(&state, &leads(3), &wanted, at(500)), []);
    let second = placer.place(&state, &leads(3), &wanted, at(1000));
    assert!(second.len() == 1 && second[0].1 != first[0].1);
}

#[test]
fn a_source_that_was_kept_for_a_while_may_come_back_to_its_node() {
    let (mut placer, mut state, wanted) = (Placer::new(), state(1, 1), cams(1));
    let placed = placer.place(&state, &leads(1), &wanted, at(0));
    take(&mut state, 100, &placed);
    assert_eq!(placer.place(&state, &leads(1), &wanted, at(1500)), []);
    // Taken out of the configuration and put back.
    let epoch = state.paths().get(&wanted[0]).unwrap().epoch;
    state.apply(200, &Entry::Release { path: wanted[0].clone(), epoch });
    assert_eq!(placer.place(&state, &leads(1), &wanted, at(1600)).len(), 1);
}

#[test]
fn a_new_leader_reads_first_who_pulls_what() {
    let (mut placer, state, wanted) = (Placer::new(), state(3, 3), cams(3));
    let standing = |applied| Standing { last: Some(7), applied: Some(applied), ..leads(3) };
    assert_eq!(placer.place(&state, &standing(6), &wanted, at(0)), []);
    assert_eq!(placer.place(&state, &standing(7), &wanted, at(50)).len(), 3);
}

#[test]
fn who_does_not_lead_places_nothing_and_forgets() {
    let (mut placer, state, wanted) = (Placer::new(), state(3, 3), cams(3));
    assert_eq!(placer.place(&state, &leads(3), &wanted, at(0)).len(), 3);
    assert_eq!(placer.place(&state, &Standing { leads: false, ..leads(3) }, &wanted, at(50)), []);
    assert_eq!(placer.place(&state, &leads(3), &wanted, at(100)).len(), 3, "what was lost with the other leader");
}
