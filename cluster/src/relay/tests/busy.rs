//! A parent with many children sends others to these, and a child that finds none of them comes back.

use std::net::UdpSocket;

use super::*;
use crate::limits::RELAY_CHILDREN_MAX;

const C: NodeId = NodeId(3);

/// What the owner says to a child that asks for the path.
async fn ask(connection: &Connection, child: NodeId) -> ToChild {
    let wish = Subscribe { path: cam(), from: From::NewestGroup, epoch: EPOCH, hops: vec![child] };
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    words::write(&mut send, ToParent::Subscribe(wish).encode()).await.unwrap();
    let answer = words::read(&mut recv, LONGEST).await.unwrap();
    // The subscription lasts for as long as its stream.
    std::mem::forget((send, recv));
    ToChild::decode(&answer).unwrap().unwrap()
}

#[actix::test]
async fn an_owner_with_enough_children_names_them_and_serves_who_comes_back() {
    let (clock, authority, own) = (Clock::start(), authority(), socket());
    let address = own.address();
    let children: Vec<NodeId> = (10..=10 + RELAY_CHILDREN_MAX as u64).map(NodeId).collect();
    let members: Vec<_> = [A].iter().chain(&children).map(|node| (*node, address)).collect();
    let a = node(A, own, &authority, &agreed(&members, clock), clock);
    let mut publication = a.fabric.publish(cam(), info(), tracks()).await.unwrap();
    push(&mut publication, 0..30);
    let (last, first) = children.split_last().unwrap();
    let mut connections = Vec::new();
    for child in first {
        let connection = dial(address, &identity(&authority, *child, clock)).await;
        assert!(matches!(ask(&connection, *child).await, ToChild::Accepted(_)));
        connections.push(connection);
    }
    let connection = dial(address, &identity(&authority, *last, clock)).await;
    let ToChild::Refused(RelayRefusal::Busy(mut others)) = ask(&connection, *last).await else {
        panic!("there are enough");
    };
    others.sort_unstable();
    assert_eq!(others, first);
    assert_eq!(a.fabric.relays_of(&cam()), RELAY_CHILDREN_MAX, "who is refused has no place");
    assert!(matches!(ask(&connection, *last).await, ToChild::Accepted(_)), "none of them had it");
}

/// A child B of two parents, A and C, which answer like this; each says who it is by the number of the unit that it sends.
fn child_of(answer: impl Fn(usize) -> ToChild + 'static, other: impl Fn(usize) -> ToChild + 'static) -> Node {
    let (clock, authority, own) = (Clock::start(), authority(), socket());
    let sockets = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let [at_a, at_c] = sockets.each_ref().map(|socket| socket.local_addr().unwrap());
    let state = agreed(&[(A, at_a), (B, own.address()), (C, at_c)], clock);
    let send = |parent: NodeId| {
        move |connection: Connection, subscription: u64| async move {
            let mut send = connection.open_uni().await.unwrap();
            send.write_chunk(head(subscription, EPOCH, parent.0).encode()).await.unwrap();
            let frame = unit(0, 0, true, 10);
            let placed = Placed { seq: parent.0, group_start: true, ..Placed::default() };
            send.write_chunk(UnitWriter::new(parent.0).write(placed, &frame, &tracks(), [])).await.unwrap();
            send.write_all(&[0; 10]).await.unwrap();
            let _ = send.finish();
            let _ = send.stopped().await;
        }
    };
    let [to_a, to_c] = sockets;
    parent_that(&identity(&authority, A, clock), to_a, answer, send(A));
    parent_that(&identity(&authority, C, clock), to_c, other, send(C));
    node(B, own, &authority, &state, clock)
}

async fn from_whom(child: &Node) -> NodeId {
    let mut reader = subscribe(child).await;
    NodeId(read(&mut reader, 1).await[0].entry.position.seq)
}

fn busy() -> ToChild {
    ToChild::Refused(RelayRefusal::Busy(vec![C]))
}

#[actix::test]
async fn a_child_takes_the_path_from_whom_its_parent_names() {
    let child = child_of(|_| busy(), |_| accepted(C));
    assert_eq!(from_whom(&child).await, C);
}

#[actix::test]
async fn a_child_comes_back_when_those_have_nothing() {
    let first = |number| if number == 0 { busy() } else { accepted(A) };
    let child = child_of(first, |_| ToChild::Refused(RelayRefusal::NoStream));
    assert_eq!(from_whom(&child).await, A);
}
