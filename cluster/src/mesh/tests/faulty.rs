//! Real connections over bad networks.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use weft_proto::wire::control::{Goodbye, Heartbeat};
use weft_proto::wire::control::{Proposed, Request, Response, Signal};
use weft_proto::wire::entry::Entry;

use super::{LONGEST, Node, authority, introduce, until};
use crate::Clock;
use crate::identity::Authority;
use crate::mesh::faults::{Bandwidth, Fault, Faults, Target, Way};
use crate::mesh::{CallError, Incoming, Transport as _};

const PARTITION: Fault = Fault {
    partition: true,
    delay: Duration::ZERO,
    jitter: Duration::ZERO,
    jitter_correlation: 0.0,
    loss: 0.0,
    loss_correlation: 0.0,
    bursts: None,
    duplicate: 0.0,
    reorder: 0.0,
    reorder_by: Duration::ZERO,
    corrupt: 0.0,
    bandwidth: None,
};

/// A pair, of which the first has the faults.
async fn pair(authority: &Authority) -> (Node, Node, Faults) {
    let faults = Faults::new(Clock::start());
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let a = Node::start_with(authority, 1, 1, any, Some(faults.clone()));
    let b = Node::start(authority, 2);
    introduce([&a, &b]);
    until("connected", || a.is_connected_with(1) && b.is_connected_with(1)).await;
    (a, b, faults)
}

async fn send_documents(a: &Node, b: &Node, count: usize) {
    let document = "x".repeat(1 << 20);
    let propose = || Request::Propose(Entry::Configure { expected: 0, document: document.clone() });
    let answers = join_all((0..count).map(|_| a.mesh.call(b.id, propose(), LONGEST))).await;
    assert!(answers.iter().all(|one| *one == Ok(Response::Proposed(Proposed::NotLeader(None)))), "{answers:?}");
}

#[tokio::test]
async fn streams_arrive_whole_over_a_network_that_loses_doubles_turns_and_mixes() {
    let (a, b, faults) = pair(&authority()).await;
    let b = super::traffic::echoing(b);
    let ms = Duration::from_millis;
    let bad = Fault {
        loss: 0.2,
        duplicate: 0.05,
        corrupt: 0.02,
        reorder: 0.05,
        reorder_by: ms(5),
        delay: ms(3),
        jitter: ms(2),
        ..Fault::default()
    };
    faults.add(Target::Node(b.id), None, bad, 1, LONGEST).unwrap();
    let start = Instant::now();
    send_documents(&a, &b, 1).await;
    assert!(start.elapsed() > ms(12), "two ways of 3 ms, twice at least: {:?}", start.elapsed());
    let link = a.mesh.peers()[0].link.clone().unwrap();
    assert!(link.packets.1 * 10 > link.packets.0, "a fifth was to be lost: {link:?}");
    assert_eq!((a.mesh.counts().links, b.mesh.counts().links), (1, 1));
}

#[tokio::test]
async fn a_slow_link_takes_its_time() {
    let (a, b, faults) = pair(&authority()).await;
    let b = super::traffic::echoing(b);
    let bandwidth = Some(Bandwidth { bits_per_second: 16_000_000, queue_bytes: 100_000 });
    faults.add(Target::Everyone, Some(Way::Out), Fault { bandwidth, ..Fault::default() }, 1, LONGEST).unwrap();
    let start = Instant::now();
    send_documents(&a, &b, 1).await;
    assert!(start.elapsed() > Duration::from_millis(450), "1 MB at 2 MB/s took {:?}", start.elapsed());
}

fn heartbeat(number: u64) -> Signal {
    Signal::Heartbeat(Heartbeat { incarnation: 1, number, wall_micros: 0, echo: None, sights: vec![] })
}

#[tokio::test]
async fn a_one_way_partition_is_silence_and_ends_with_its_lease() {
    let (mut a, mut b, faults) = pair(&authority()).await;
    faults.add(Target::Node(b.id), Some(Way::Out), PARTITION, 1, Duration::from_secs(5)).unwrap();
    a.mesh.signal(b.id, heartbeat(1));
    b.mesh.signal(a.id, heartbeat(2));
    let heard = a.next(|incoming| match incoming {
        Incoming::Signal { signal, .. } => Some(signal),
        _ => None,
    });
    assert_eq!(heard.await, heartbeat(2), "the other way is open");
    let answer = a.mesh.call(b.id, Request::ReadIndex(()), Duration::from_millis(300)).await;
    assert_eq!(answer, Err(CallError::TimedOut));
    assert!(b.output.incoming.try_recv().is_err(), "nothing came");
    // The other end still hears something, and may not notice before it is over.
    until("the deaf end notices", || b.mesh.peers()[0].link.is_none()).await;
    assert_eq!(faults.list().len(), 1);
    until("connected again", || a.is_linked_with(&b) && b.is_linked_with(&a)).await;
    assert!(faults.list().is_empty(), "nobody has ended it");
    for node in [&mut a, &mut b] {
        let told = std::iter::from_fn(|| node.output.incoming.try_recv().ok());
        assert!(!told.into_iter().any(|one| matches!(one, Incoming::Cut { .. })), "no process has died");
    }
}

#[tokio::test]
async fn a_death_behind_a_partition_is_told_when_it_is_lifted() {
    let (mut a, b, faults) = pair(&authority()).await;
    let number = faults.add(Target::Node(b.id), None, PARTITION, 1, LONGEST).unwrap();
    b.kill();
    until("the kernel has seen it", || !a.mesh.peers()[0].lifeline).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(a.output.incoming.try_recv().is_err(), "a partition lets nothing through");
    faults.remove(number).unwrap();
    let cut = a.next(|incoming| match incoming {
        Incoming::Cut { node, incarnation } => Some((node.0, incarnation)),
        _ => None,
    });
    assert_eq!(cut.await, (2, 1));
}

#[tokio::test]
async fn a_node_that_is_partitioned_does_not_hinder_the_others() {
    let ours = authority();
    let (a, b, faults) = pair(&ours).await;
    let c = Node::start(&ours, 3);
    introduce([&a, &b, &c]);
    until("connected", || [&a, &b, &c].into_iter().all(|node| node.is_connected_with(2))).await;
    faults.add(Target::Socket(b.mesh.address()), None, PARTITION, 1, LONGEST).unwrap();
    until("noticed", || !a.is_linked_with(&b) && !b.is_linked_with(&a) || a.mesh.peers()[0].link.is_none()).await;
    a.mesh.signal(c.id, Signal::Goodbye(Goodbye { incarnation: 1 }));
    let mut c = c;
    c.next(|incoming| matches!(incoming, Incoming::Signal { .. }).then_some(())).await;
    assert!(a.is_linked_with(&c) && b.is_linked_with(&c));
    assert_eq!(c.mesh.counts().links, 2);
    faults.clear();
    until("connected again", || a.is_linked_with(&b) && b.is_linked_with(&a)).await;
}
