//! Hellos and wishes to join, as this release writes them: what a node says before the other's level is known.

use super::entry::{MemberFacts, NodeId};
use super::hello::{ClusterId, Greeting, Hello, Purpose};
use super::join::{JoinAnswer, JoinAsk, JoinRefusal, JoinRequest, Joined};
use super::tests::{frame, is_as_kept};

#[test]
fn first_words_are_written_as_they_were_released_and_read_again() {
    let hello = |purpose| Hello {
        purpose,
        cluster: ClusterId([3; 16]),
        node: NodeId(9),
        incarnation: 4,
        process: 0x0123_4567_89ab_cdef,
        level_min: 1,
        level_max: 300,
        version: "0.1.0".into(),
    };
    for (n, purpose) in [Purpose::Control, Purpose::Lifeline, Purpose::Acquaintance].into_iter().enumerate() {
        let greeting = Greeting::Hello(hello(purpose));
        let bytes = greeting.encode();
        is_as_kept(&format!("greeting-1-{n}.bin"), &bytes);
        assert_eq!(Greeting::decode(&frame(&bytes)), Ok(Some(greeting)));
    }
    let facts = MemberFacts { name: "c".into(), address: "c.example:8700".into(), level: 1, ..MemberFacts::default() };
    let ask = JoinAsk::Join(JoinRequest { secret: [5; 32], node: NodeId(9), csr: vec![0x30, 0x82], facts });
    let bytes = ask.encode();
    is_as_kept("join-ask-1.bin", &bytes);
    assert_eq!(JoinAsk::decode(&frame(&bytes)), Ok(Some(ask)));
    let joined = Joined {
        cluster: ClusterId([3; 16]),
        certificate: vec![1, 2],
        authority: vec![3],
        members: vec![(NodeId(7), "a.example:8700".into())],
    };
    let refusals = [
        JoinRefusal::BadToken,
        JoinRefusal::BadRequest,
        JoinRefusal::IdUsed,
        JoinRefusal::TooMany,
        JoinRefusal::Level,
        JoinRefusal::NotNow,
    ];
    let answers = refusals.map(JoinAnswer::Refused).into_iter().chain([JoinAnswer::Joined(joined)]);
    for (n, answer) in answers.enumerate() {
        let bytes = answer.encode();
        is_as_kept(&format!("join-answer-{}-{n}.bin", answer.kind()), &bytes);
        assert_eq!(JoinAnswer::decode(&frame(&bytes)), Ok(Some(answer)));
    }
}

#[test]
fn the_secret_of_a_wish_to_join_is_not_shown() {
    let ask = JoinRequest { secret: [77; 32], node: NodeId(9), csr: vec![], facts: MemberFacts::default() };
    assert!(!format!("{ask:?}").contains("77"));
}
