//! Calls and signals.

use std::ops::Deref;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use weft_proto::wire::control::{Echo, Heartbeat, Proposed, ReadIndex, Request, Response, Signal};
use weft_proto::wire::entry::Entry;
use weft_proto::wire::{Frame, FrameHead};

use super::{LONGEST, Node, authority, pair, until};
use crate::limits::{INCOMING_FOR_SIGNALS, INCOMING_MAX, INQUIRIES_WAITING_MAX, INQUIRY_ANSWER_BYTES_MAX};
use crate::mesh::{CallError, Incoming, Refusal, Transport as _};

/// A node that answers each question for the read index with a running number, and takes proposals.
pub(super) struct Echoing {
    node: Node,
    task: JoinHandle<()>,
}

impl Deref for Echoing {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl Drop for Echoing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) fn echoing(mut node: Node) -> Echoing {
    let (_, nothing) = mpsc::channel(1);
    let mut incoming = std::mem::replace(&mut node.output.incoming, nothing);
    let task = tokio::spawn(async move {
        let mut number = 0;
        while let Some(one) = incoming.recv().await {
            let Incoming::Call { request, reply, .. } = one else { continue };
            number += 1;
            let _ = reply.send(match request {
                Request::Propose(_) => Response::Proposed(Proposed::NotLeader(None)),
                _ => Response::ReadIndex(ReadIndex::At(Some(number))),
            });
        }
    });
    Echoing { node, task }
}

fn question() -> Request {
    Request::ReadIndex(())
}

pub(super) async fn call_many(from: &Node, count: usize) {
    let peer = from.mesh.peers()[0].node;
    let calls = (0..count).map(|_| from.mesh.call(peer, question(), LONGEST));
    for answer in join_all(calls).await {
        assert!(matches!(answer, Ok(Response::ReadIndex(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn many_calls_are_answered_at_once_and_none_is_mixed_up() {
    let (a, b) = pair(&authority()).await;
    let b = echoing(b);
    let calls = (0..2000).map(|_| a.mesh.call(b.id, question(), LONGEST));
    let mut numbers: Vec<u64> = Vec::new();
    for answer in join_all(calls).await {
        let Ok(Response::ReadIndex(ReadIndex::At(Some(number)))) = answer else { panic!("{answer:?}") };
        numbers.push(number);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=2000).collect::<Vec<_>>());
}

#[tokio::test]
async fn large_requests_arrive_whole_and_small_ones_do_not_wait_for_them() {
    let (a, b) = pair(&authority()).await;
    let b = echoing(b);
    let document = "x".repeat(8 << 20);
    let propose = || Request::Propose(Entry::Configure { expected: 0, document: document.clone() });
    // Twelve of 8 MB are more than may be held at once.
    let large = join_all((0..12).map(|_| a.mesh.call(b.id, propose(), LONGEST)));
    let (large, ()) = tokio::join!(large, call_many(&a, 50));
    assert!(large.iter().all(|one| *one == Ok(Response::Proposed(Proposed::NotLeader(None)))), "{large:?}");
}

#[tokio::test]
async fn what_comes_of_a_call_is_told() {
    let authority = authority();
    let (a, mut b) = pair(&authority).await;
    let short = Duration::from_millis(100);
    assert_eq!(a.mesh.call(super::NodeId(77), question(), short).await, Err(CallError::Unreachable));
    assert_eq!(a.mesh.call(b.id, question(), short).await, Err(CallError::TimedOut));
    // The one that was given up is still there; the next one is answered by nobody.
    let calls: Vec<Incoming> = vec![b.next(Some).await];
    let (answer, ()) = tokio::join!(a.mesh.call(b.id, question(), LONGEST), async { drop(b.next(Some).await) });
    assert_eq!(answer, Ok(Response::Unable(())));
    drop(calls);
    b.kill();
    let answer = a.mesh.call(super::NodeId(2), question(), short).await;
    assert_eq!(answer, Err(CallError::TimedOut), "QUIC has not noticed yet");
    until("noticed", || a.mesh.peers()[0].link.is_none()).await;
    assert_eq!(a.mesh.call(super::NodeId(2), question(), short).await, Err(CallError::Unreachable));
}

#[tokio::test]
async fn a_node_that_is_too_slow_is_busy_and_signals_get_through() {
    let (a, mut b) = pair(&authority()).await;
    let count = INCOMING_MAX - INCOMING_FOR_SIGNALS;
    // As many as may run at once are never refused: what a node takes in is filled by peers together.
    for from in 0..count {
        let (reply, _) = tokio::sync::oneshot::channel();
        let one = Incoming::Call { from: super::NodeId(from as u64), request: question(), reply };
        b.mesh.0.incoming.try_send(one).unwrap();
    }
    assert_eq!(a.mesh.call(b.id, question(), LONGEST).await, Ok(Response::Busy(())));
    let signal = heartbeat(1);
    a.mesh.signal(b.id, signal.clone());
    let found = b.next(|incoming| match incoming {
        Incoming::Signal { from, signal } => Some((from, signal)),
        _ => None,
    });
    assert_eq!(found.await, (a.id, signal));
}

fn heartbeat(number: u64) -> Signal {
    let echo = Some(Echo { number, wall_micros: 5, held_micros: 6 });
    Signal::Heartbeat(Heartbeat { incarnation: 1, number, wall_micros: 7, echo, sights: vec![] })
}

#[tokio::test]
async fn what_a_newer_node_says_is_answered_or_skipped_and_what_is_no_message_is_refused() {
    let (a, mut b) = pair(&authority()).await;
    let connection = a.mesh.0.table.lock().link(b.id).unwrap().connection.clone();
    let ask = |bytes: Vec<u8>| {
        let connection = connection.clone();
        async move {
            let (mut question, mut answer) = connection.open_bi().await.unwrap();
            let _ = question.write_all(&bytes).await;
            let _ = question.finish();
            answer.read_to_end(1 << 20).await
        }
    };
    assert_eq!(ask(Frame::write(999, &5_u8)).await.unwrap(), Response::Unsupported(()).encode());
    let head = |kind: u16, length: u32| [&[1][..], &kind.to_be_bytes(), &length.to_be_bytes(), &[0xff; 64]].concat();
    assert!(FrameHead::read(*head(1, 64).first_chunk().unwrap(), 64).is_ok());
    for bad in [head(1, 64), head(17, 1 << 20), head(1, u32::MAX), head(1, 1000), vec![2; 100], vec![1], vec![]] {
        assert!(ask(bad.clone()).await.is_err(), "{bad:?}");
    }
    assert_eq!(b.mesh.refusals()[&Refusal::BadRequest], 7);
    for datagram in [Frame::write(999, &5_u8), vec![0; 100], heartbeat(3).encode()] {
        connection.send_datagram(datagram.into()).unwrap();
    }
    b.next(|incoming| matches!(incoming, Incoming::Signal { .. }).then_some(())).await;
    assert_eq!(b.mesh.refusals()[&Refusal::BadRequest], 8);
    assert_eq!(b.mesh.counts().signals_unknown, 1);
    assert_eq!(b.mesh.counts().calls_unknown, 1);
    assert_eq!(a.mesh.counts().links, 1, "the connection stands");
}

#[tokio::test]
async fn inquiries_go_to_who_takes_them_and_long_answers_come_back() {
    let (a, b) = pair(&authority()).await;
    let ask = |bytes: &[u8]| a.mesh.call(b.id, Request::Inquire(bytes.to_vec()), LONGEST);
    assert_eq!(ask(b"?").await, Ok(Response::Unable(())), "nobody answers yet");
    let mut inquiries = b.mesh.inquiries();
    let from = a.id;
    let answering = tokio::spawn(async move {
        while let Some(inquiry) = inquiries.recv().await {
            assert!(inquiry.from == from && inquiry.is_wanted());
            match inquiry.question.as_ref() {
                b"long" => inquiry.answer(vec![7; INQUIRY_ANSWER_BYTES_MAX]),
                b"too long" => inquiry.answer(vec![7; INQUIRY_ANSWER_BYTES_MAX + 1]),
                b"not understood" => {}
                b"the last" => return,
                other => {
                    let other = other.to_vec();
                    inquiry.answer(other);
                }
            }
        }
    });
    assert_eq!(ask(b"echo").await, Ok(Response::Inquired(b"echo".to_vec())));
    let long = ask(b"long").await;
    assert!(matches!(long, Ok(Response::Inquired(bytes)) if bytes.len() == INQUIRY_ANSWER_BYTES_MAX));
    for question in [&b"too long"[..], b"not understood", b"the last", b"anything"] {
        assert_eq!(ask(question).await, Ok(Response::Unable(())), "{question:?}");
    }
    answering.await.unwrap();
    let _ignored = b.mesh.inquiries();
    let (mesh, to) = (a.mesh.clone(), b.id);
    let waiting = tokio::spawn(async move {
        let call = |_| mesh.call(to, Request::Inquire(vec![]), LONGEST);
        join_all((0..INQUIRIES_WAITING_MAX).map(call)).await
    });
    until("the queue to be full", || b.mesh.0.inquiries.lock().as_ref().is_some_and(|to| to.capacity() == 0)).await;
    assert_eq!(ask(b"one more").await, Ok(Response::Busy(())));
    waiting.abort();
}
