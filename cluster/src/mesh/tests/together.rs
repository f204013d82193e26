//! Nodes that come, go and come again.

use std::time::{Duration, Instant};

use weft_proto::wire::control::Signal;

use super::{Node, authority, introduce, pair, until};
use crate::mesh::{Incoming, Notice, Refusal, Transport as _};

#[tokio::test]
async fn two_nodes_that_dial_each_other_at_once_end_with_one_connection_and_never_use_another() {
    let authority = authority();
    for _ in 0..20 {
        let (a, b) = pair(&authority).await;
        assert_eq!((a.mesh.counts().links, b.mesh.counts().links), (1, 1));
        let dialed = |node: &Node| node.mesh.peers()[0].link.as_ref().unwrap().dialed;
        assert_ne!(dialed(&a), dialed(&b));
    }
}

#[tokio::test]
async fn five_nodes_in_any_order_end_with_one_connection_and_one_lifeline_a_pair() {
    let authority = authority();
    let mut nodes: Vec<Node> = Vec::new();
    for id in [3, 1, 5, 2, 4] {
        nodes.push(Node::start(&authority, id));
        // Those who were there are told when the next is, as members are.
        introduce(&nodes);
    }
    until("all connected", || nodes.iter().all(|node| node.is_connected_with(4))).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    for node in &nodes {
        assert!(node.is_connected_with(4), "keep-alives hold what is idle: {:?}", node.mesh.peers());
        assert_eq!(node.mesh.counts().links, 4, "nothing was ever connected twice");
    }
}

#[tokio::test]
async fn the_death_of_a_process_is_told_at_once_and_its_successor_is_connected() {
    let authority = authority();
    let (mut a, b) = pair(&authority).await;
    let start = Instant::now();
    let address = b.kill();
    let cut = a.next(|incoming| match incoming {
        Incoming::Cut { node, incarnation } => Some((node.0, incarnation)),
        _ => None,
    });
    assert_eq!(cut.await, (2, 1));
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());

    let b = Node::start_at(&authority, 2, 2, address);
    introduce([&a, &b]);
    let is_second = |node: &Node| node.mesh.peers()[0].link.as_ref().is_some_and(|link| link.incarnation == 2);
    until("the second process is connected", || is_second(&a) && a.is_connected_with(1) && b.is_connected_with(1))
        .await;
}

#[tokio::test]
async fn a_process_that_starts_again_at_once_takes_the_place_of_the_old_connection() {
    let authority = authority();
    let (a, b) = pair(&authority).await;
    // Nobody tells `a` anything: it must not wait until the old connection is idle for too long.
    let b = Node::start_at(&authority, 2, 2, b.kill());
    b.mesh.set_peers([a.peer()].into());
    let start = Instant::now();
    until("connected", || a.is_connected_with(1) && b.is_connected_with(1)).await;
    assert!(start.elapsed() < Duration::from_millis(1500), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_peer_whose_name_nobody_answers_for_is_found_where_it_was_last() {
    let authority = authority();
    let (a, b) = pair(&authority).await;
    let (mut nameless, node) = (b.peer().1, b.id);
    // RFC 2606 section 2: nobody has that name.
    nameless.address = "b.invalid:1".into();
    a.mesh.set_peers([a.peer(), (node, nameless)].into());
    // It knows nobody, so that it dials nobody.
    let b = Node::start_at(&authority, 2, 2, b.kill());
    until("connected", || {
        a.mesh.peers().iter().any(|peer| peer.link.as_ref().is_some_and(|link| link.incarnation == 2))
    })
    .await;
    // Each end sees it when its own handshake is over.
    until("connected at the other end", || b.mesh.counts().links == 1).await;
}

#[tokio::test]
async fn an_address_at_which_another_node_is_met_is_nobody_elses() {
    let authority = authority();
    let (a, b) = pair(&authority).await;
    let (gone, address) = (b.id, b.kill());
    let c = Node::start_at(&authority, 3, 1, address);
    a.mesh.set_peers(
        [a.peer(), c.peer(), (gone, super::PeerAddress { address: "b.invalid:1".into(), incarnation: 1 })].into(),
    );
    until("connected", || a.is_linked_with(&c)).await;
    assert_eq!(a.mesh.0.known.lock().get(&gone), Some(&Vec::new()));
}

#[tokio::test]
async fn a_node_that_leaves_says_goodbye_and_is_not_cut() {
    let authority = authority();
    let (mut a, b) = pair(&authority).await;
    b.mesh.leave().await;
    let goodbye = a.next(|incoming| match incoming {
        Incoming::Signal { signal: Signal::Goodbye(goodbye), .. } => Some(goodbye.incarnation),
        Incoming::Cut { .. } => panic!("it was cut"),
        _ => None,
    });
    assert_eq!(goodbye.await, 1);
    b.kill();
    until("the lifeline is let go", || !a.mesh.peers()[0].lifeline).await;
    let other = a.output.incoming.try_recv();
    assert!(other.is_err(), "nothing else is told: {other:?}");
}

#[tokio::test]
async fn who_is_removed_is_let_go_and_refused() {
    let authority = authority();
    let (a, b) = pair(&authority).await;
    a.mesh.set_removed([b.id].into());
    a.mesh.set_peers([a.peer()].into());
    until("refused", || a.mesh.refusals()[&Refusal::Removed] > 0).await;
    assert!(a.mesh.peers().is_empty());
    until("let go", || a.mesh.0.endpoint.open_connections() == 0 && !b.mesh.peers()[0].lifeline).await;
}

#[tokio::test]
async fn who_comes_back_after_its_removal_is_told() {
    let authority = authority();
    let (a, mut b) = pair(&authority).await;
    a.mesh.set_removed([b.id].into());
    a.mesh.set_peers([a.peer()].into());
    assert_eq!(b.output.notices.recv().await.unwrap(), Notice::Removed { by: a.id });
    assert_eq!(b.mesh.counts().links, 1, "never again");
}

#[tokio::test]
async fn who_refuses_a_removed_node_is_not_taken_for_the_removed_one() {
    let authority = authority();
    let (mut a, b) = (Node::start(&authority, 1), Node::start(&authority, 2));
    // It has dialled before it reads of the removal, of which the other one has not heard.
    a.mesh.set_removed([b.id].into());
    b.mesh.set_peers([a.peer()].into());
    a.mesh.set_peers([b.peer()].into());
    until("refused by who dials as well", || a.mesh.refusals()[&Refusal::Removed] > 3).await;
    let told = a.output.notices.try_recv();
    assert!(told.is_err(), "{told:?}");
}

#[tokio::test]
async fn a_second_process_with_the_same_id_is_refused_and_both_are_told() {
    let authority = authority();
    let (mut a, _b) = pair(&authority).await;
    let mut twin = Node::start(&authority, 2);
    twin.mesh.set_peers([a.peer()].into());
    let notice = twin.output.notices.recv().await.unwrap();
    assert_eq!(notice, Notice::Superseded { by: a.id, refusal: Refusal::SecondProcess });
    assert_eq!(a.mesh.counts().links, 1);

    let own = Node::start_at(&authority, 1, 3, ([127, 0, 0, 1], 0).into());
    // It has a peer of another id at that address, and finds itself.
    own.mesh.set_peers([(super::NodeId(9), a.peer().1)].into());
    let met = own.mesh.acquaint(&a.mesh.address().to_string()).await.unwrap();
    assert_eq!((met.node, met.incarnation), (a.id, 1));
    assert!(a.output.notices.try_recv().is_err(), "to ask who is there harms nobody");
    // As a node does that finds its own address among those of a formation.
    let myself = a.mesh.acquaint(&a.mesh.address().to_string()).await.unwrap();
    assert_eq!((myself.node, myself.process), (met.node, met.process));
}

#[tokio::test]
async fn a_process_that_is_known_to_be_older_is_refused_and_told() {
    let authority = authority();
    let mut b = Node::start(&authority, 2);
    let a = Node::start(&authority, 1);
    let (id, mut peer) = b.peer();
    peer.incarnation = 7;
    a.mesh.set_peers([(id, peer)].into());
    b.mesh.set_peers([a.peer()].into());
    let notice = b.output.notices.recv().await.unwrap();
    assert_eq!(notice, Notice::Superseded { by: a.id, refusal: Refusal::OlderIncarnation });
    assert_eq!((a.mesh.counts().links, b.mesh.counts().links), (0, 0));
}

#[tokio::test]
async fn a_node_that_goes_on_as_another_incarnation_is_connected_as_that_one() {
    let authority = authority();
    for is_told_first in [false, true] {
        let (mut a, b) = pair(&authority).await;
        let (id, mut peer) = b.peer();
        peer.incarnation = 2;
        let tell = |a: &Node| a.mesh.set_peers([(id, peer.clone())].into());
        if is_told_first {
            tell(&a);
            until("refused", || a.mesh.refusals()[&Refusal::OlderIncarnation] > 0).await;
        }
        b.mesh.set_incarnation(2);
        tell(&a);
        let is_second = || a.mesh.peers()[0].link.as_ref().is_some_and(|link| link.incarnation == 2);
        until("connected", || is_second() && a.is_linked_with(&b) && b.is_linked_with(&a)).await;
        assert!(a.output.incoming.try_recv().is_err(), "nobody has died");
    }
}

#[tokio::test]
async fn certificates_are_renewed_while_calls_run_and_none_fails() {
    let authority = authority();
    let (a, b) = pair(&authority).await;
    let b = super::traffic::echoing(b);
    let mut renewals = 0;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        super::traffic::call_many(&a, 20).await;
        for node in [&a, &*b] {
            let leaf = authority.issue(node.id, super::now()).unwrap();
            node.identity.replace(&leaf).unwrap();
        }
        renewals += 1;
    }
    assert!(renewals > 3);
    assert_eq!((a.mesh.counts().links, b.mesh.counts().links), (1, 1));
    // And the new ones are what a new connection shows.
    let c = Node::start(&authority, 3);
    introduce([&a, &*b, &c]);
    until("connected", || c.is_connected_with(2)).await;
}
