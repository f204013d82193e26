//! Every order in which two nodes can meet, as lists of what they hear.

use std::collections::BTreeMap;

use weft_proto::wire::entry::NodeId;
use weft_proto::wire::hello::{ClusterId, Hello, Purpose};

use super::refusal::Refusal;
use super::table::{Next, Table};
use super::transport::PeerAddress;
use crate::limits::MEMBERS_MAX;

fn hello(node: u64, incarnation: u64) -> Hello {
    Hello {
        purpose: Purpose::Control,
        cluster: ClusterId([1; 16]),
        node: NodeId(node),
        incarnation,
        process: node * 100 + incarnation,
        level_min: 1,
        level_max: 1,
        version: String::new(),
    }
}

fn peers(others: &[u64]) -> BTreeMap<NodeId, PeerAddress> {
    let peer = |node: &u64| (NodeId(*node), PeerAddress { address: format!("n{node}:1"), incarnation: 1 });
    others.iter().map(peer).collect()
}

fn table(node: u64, others: &[u64]) -> Table<&'static str> {
    let mut table = Table::new(hello(node, 1));
    table.set_peers(peers(others));
    table
}

fn dial(table: &mut Table<&'static str>, node: u64) -> u64 {
    match table.next(NodeId(node)) {
        Next::Dial { attempt, .. } => attempt,
        other => panic!("{other:?}"),
    }
}

const LOW: NodeId = NodeId(1);
const HIGH: NodeId = NodeId(2);

#[test]
fn one_dials_and_both_use_it_from_the_confirmation_on() {
    let (mut low, mut high) = (table(1, &[2]), table(2, &[1]));
    let attempt = dial(&mut low, 2);
    assert!(low.may_greet(HIGH, attempt));
    let answered = high.heard(LOW, &hello(1, 1)).unwrap();
    assert_eq!(high.next(LOW), Next::Wait);
    assert!(high.link(LOW).is_none());
    let link = low.greeted(HIGH, attempt, &hello(2, 1), "a").unwrap();
    assert!(link.dialed);
    let (link, before) = high.confirmed(LOW, answered, &hello(1, 1), "a").unwrap();
    assert_eq!((link.dialed, before), (false, None));
    assert_eq!((low.next(HIGH), high.next(LOW)), (Next::Wait, Next::Wait));
}

#[test]
fn when_both_have_said_hello_the_lower_ones_connection_is_kept() {
    let (mut low, mut high) = (table(1, &[2]), table(2, &[1]));
    let (from_low, from_high) = (dial(&mut low, 2), dial(&mut high, 1));
    assert!(low.may_greet(HIGH, from_low) && high.may_greet(LOW, from_high));
    assert_eq!(low.heard(HIGH, &hello(2, 1)), Err(Refusal::Simultaneous));
    let answered = high.heard(LOW, &hello(1, 1)).unwrap();
    // An answer that comes all the same finds the attempt given up.
    assert_eq!(high.greeted(LOW, from_high, &hello(1, 1), "b"), Err(None));
    low.greeted(HIGH, from_low, &hello(2, 1), "a").unwrap();
    high.confirmed(LOW, answered, &hello(1, 1), "a").unwrap();
    assert_eq!((low.link(HIGH).unwrap().connection, high.link(LOW).unwrap().connection), ("a", "a"));
}

#[test]
fn a_dial_that_has_said_nothing_yet_gives_way() {
    let mut low = table(1, &[2]);
    let attempt = dial(&mut low, 2);
    let answered = low.heard(HIGH, &hello(2, 1)).unwrap();
    assert!(!low.may_greet(HIGH, attempt));
    low.gave_up(HIGH, attempt);
    assert!(low.confirmed(HIGH, answered, &hello(2, 1), "b").is_some());
}

#[test]
fn an_answer_that_is_not_confirmed_leaves_all_as_it_was() {
    let mut high = table(2, &[1]);
    let answered = high.heard(LOW, &hello(1, 1)).unwrap();
    high.unconfirmed(LOW, answered);
    dial(&mut high, 1);
    // One that is heard later is confirmed later; the earlier one is void.
    let (first, second) = (high.heard(LOW, &hello(1, 1)).unwrap(), high.heard(LOW, &hello(1, 1)).unwrap());
    assert!(high.confirmed(LOW, first, &hello(1, 1), "a").is_none());
    assert!(high.confirmed(LOW, second, &hello(1, 1), "b").is_some());
}

#[test]
fn a_peer_that_dials_again_has_lost_its_connection() {
    let mut high = table(2, &[1]);
    let first = high.heard(LOW, &hello(1, 1)).unwrap();
    let (old, _) = high.confirmed(LOW, first, &hello(1, 1), "old").unwrap();
    let second = high.heard(LOW, &hello(1, 1)).unwrap();
    assert_eq!(high.link(LOW).unwrap().connection, "old", "it is used until the new one is confirmed");
    let (_, before) = high.confirmed(LOW, second, &hello(1, 1), "new").unwrap();
    assert_eq!(before.unwrap().connection, "old");
    assert!(!high.lost(LOW, old.serial), "the end of the old one is no loss");
    assert_eq!(high.link(LOW).unwrap().connection, "new");
}

#[test]
fn only_the_last_process_of_a_node_is_talked_to() {
    let mut high = table(2, &[1]);
    let second = high.heard(LOW, &hello(1, 2)).unwrap();
    high.confirmed(LOW, second, &hello(1, 2), "second").unwrap();
    assert_eq!(high.heard(LOW, &hello(1, 1)), Err(Refusal::OlderIncarnation));
    let twin = Hello { process: 77, ..hello(1, 2) };
    assert_eq!(high.heard(LOW, &twin), Err(Refusal::SecondProcess));
    assert!(high.heard(LOW, &hello(1, 3)).is_ok());
    // What is agreed on about it counts too.
    let known = BTreeMap::from([(LOW, PeerAddress { address: "n1:1".into(), incarnation: 5 })]);
    let (_, left) = high.set_peers(known);
    assert_eq!(left[0].link.as_ref().unwrap().connection, "second");
    assert_eq!(high.heard(LOW, &hello(1, 4)), Err(Refusal::OlderIncarnation));
}

#[test]
fn strangers_are_refused_each_for_its_reason() {
    let mut high = table(2, &[1]);
    assert_eq!(high.heard(LOW, &hello(9, 1)), Err(Refusal::Certificate));
    assert_eq!(high.heard(HIGH, &hello(2, 1)), Err(Refusal::OwnId));
    let cluster = Hello { cluster: ClusterId([2; 16]), ..hello(1, 1) };
    assert_eq!(high.heard(LOW, &cluster), Err(Refusal::Cluster));
    let level = Hello { level_min: 2, level_max: 3, ..hello(1, 1) };
    assert_eq!(high.heard(LOW, &level), Err(Refusal::Level));
}

#[test]
fn a_node_that_is_not_known_is_a_guest_until_it_is() {
    let mut high = table(2, &[1]);
    let newcomer = NodeId(9);
    let attempt = high.heard(newcomer, &hello(9, 1)).unwrap();
    high.confirmed(newcomer, attempt, &hello(9, 1), "guest").unwrap();
    assert_eq!(high.link(newcomer).map(|link| link.connection), Some("guest"));
    assert_eq!(high.next(newcomer), Next::Stop, "nobody knows where it is");
    assert_eq!(high.peers().count(), 1);
    let address = |id: u64| (NodeId(id), PeerAddress { address: format!("n{id}:1"), incarnation: 1 });
    let (added, left) = high.set_peers([address(1), address(9)].into());
    assert_eq!((added, left.len()), (vec![newcomer], 0), "its connection stays");
    assert_eq!(high.next(newcomer), Next::Wait);
    // Of guests there may be as many as of members.
    let guests = (100..300).filter(|id| high.heard(NodeId(*id), &hello(*id, 1)).is_ok()).count();
    assert_eq!(guests, MEMBERS_MAX);
    high.set_removed([NodeId(50)].into());
    assert_eq!(high.heard(NodeId(50), &hello(50, 1)), Err(Refusal::Removed));
}

#[test]
fn who_is_no_peer_any_more_is_let_go_and_not_dialed() {
    let mut low = table(1, &[2, 3]);
    let attempt = dial(&mut low, 2);
    assert!(low.may_greet(HIGH, attempt));
    low.greeted(HIGH, attempt, &hello(2, 1), "a").unwrap();
    let (added, left) = low.set_peers(peers(&[1, 3, 4]));
    assert_eq!(added, [NodeId(4)], "and not this node itself");
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].link.as_ref().unwrap().connection, "a");
    assert_eq!(low.next(HIGH), Next::Stop);
    assert_eq!(low.wants_lifeline(HIGH), Err(()));
}

#[test]
fn the_dialer_dials_the_lifeline_and_only_of_the_connected_process_it_is_held() {
    let (mut low, mut high) = (table(1, &[2]), table(2, &[1]));
    let attempt = dial(&mut low, 2);
    assert!(low.may_greet(HIGH, attempt));
    assert_eq!(high.may_hold(LOW, &hello(1, 1)), Err(Refusal::NoConnection));
    let answered = high.heard(LOW, &hello(1, 1)).unwrap();
    low.greeted(HIGH, attempt, &hello(2, 1), "a").unwrap();
    high.confirmed(LOW, answered, &hello(1, 1), "a").unwrap();
    assert!(low.wants_lifeline(HIGH).unwrap().is_some());
    assert_eq!(high.wants_lifeline(LOW), Ok(None));
    let (first, _, before) = low.hold(HIGH, &hello(2, 1)).unwrap();
    assert!(before.is_none());
    assert_eq!(low.wants_lifeline(HIGH), Ok(None));
    let (second, _, before) = low.hold(HIGH, &hello(2, 1)).unwrap();
    assert!(before.is_some());
    low.let_go(HIGH, first);
    assert_eq!(low.wants_lifeline(HIGH), Ok(None), "the second one is still held");
    low.let_go(HIGH, second);
    assert!(low.wants_lifeline(HIGH).unwrap().is_some());
    assert!(low.hold(HIGH, &hello(2, 2)).is_none(), "of another process");
}
