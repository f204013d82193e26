//! Whom to ask, and who did not answer.

use std::collections::BTreeMap;

use super::*;
use crate::mesh::{CallError, PeerAddress};
use crate::ownership::{Entry, MemberFacts};
use weft_proto::wire::control::Signal;

fn cluster(nodes: &[(u64, &str)]) -> State {
    let mut state = State::default();
    let mut index = 0;
    let mut apply = |entry| {
        index += 1;
        state.apply(index, &entry);
    };
    for (node, name) in nodes {
        let (node, facts) = (NodeId(*node), MemberFacts { name: (*name).into(), level: 1, ..MemberFacts::default() });
        apply(Entry::Join { node, facts: facts.clone(), token: None });
        apply(Entry::NodeUp { node, incarnation: 1, facts });
    }
    state
}

fn down(state: &mut State, node: u64) {
    let down = Entry::NodeDown { node: NodeId(node), incarnation: 1, plan: vec![] };
    state.apply(100 + node, &down);
}

#[test]
fn all_others_are_asked_and_who_is_down_is_missing_at_once() {
    let mut state = cluster(&[(1, "a"), (2, "b"), (3, "c")]);
    let ask = |nodes: &[(u64, &str)]| nodes.iter().map(|(node, name)| (NodeId(*node), (*name).into())).collect();
    assert_eq!(round(NodeId(1), &state), Round { ask: ask(&[(2, "b"), (3, "c")]), missing: vec![] });
    down(&mut state, 3);
    assert_eq!(round(NodeId(1), &state), Round { ask: ask(&[(2, "b")]), missing: vec!["c".into()] });
    assert_eq!(round(NodeId(1), &State::default()), Round::default(), "a node that is alone asks nobody");
}

#[test]
fn a_machine_that_was_set_up_anew_is_not_missing() {
    let mut state = cluster(&[(1, "a"), (2, "b"), (3, "b")]);
    down(&mut state, 2);
    assert_eq!(round(NodeId(1), &state), Round { ask: vec![(NodeId(3), "b".into())], missing: vec![] });
}

/// Node 2 answers, 3 never does, 4 cannot be reached, 5 does not know the question, 6 says more than can be held.
#[derive(Clone)]
struct Various;

impl Transport for Various {
    async fn call(&self, to: NodeId, request: Request, within: Duration) -> Result<Response, CallError> {
        let Request::Inquire(question) = request else { panic!("{request:?}") };
        match to.0 {
            2 => Ok(Response::Inquired([b"re: ", &question[..]].concat())),
            3 => {
                tokio::time::sleep(within).await;
                Err(CallError::TimedOut)
            }
            4 => Err(CallError::Unreachable),
            5 => Ok(Response::Unsupported(())),
            _ => Ok(Response::Inquired(vec![0; INQUIRY_BYTES_MAX])),
        }
    }

    fn signal(&self, _: NodeId, _: Signal) {}

    fn set_peers(&self, _: BTreeMap<NodeId, PeerAddress>) {}
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_in_time_or_too_much_is_missing() {
    let asked = |nodes: &[u64]| nodes.iter().map(|node| (NodeId(*node), node.to_string(), b"who?".to_vec())).collect();
    let begun = Instant::now();
    let within = Duration::from_millis(200);
    let answers = gather(&Various, asked(&[4, 3, 2, 5, 6]), vec!["1".into()], begun + within).await;
    assert_eq!(begun.elapsed().as_millis(), 200);
    let part = Part { node: NodeId(2), name: "2".into(), answer: Bytes::from_static(b"re: who?") };
    let missing = ["1", "3", "4", "5", "6"].map(str::to_owned).to_vec();
    assert_eq!(answers, Answers { parts: vec![part], missing });
    let quick = gather(&Various, asked(&[4, 2]), vec![], Instant::now() + within).await;
    assert_eq!((quick.parts.len(), quick.missing), (1, vec!["4".to_owned()]));
    assert_eq!(begun.elapsed().as_millis(), 200, "nobody is waited for who cannot answer");
}
