//! What this release writes is kept in `golden/`: the next one must read it, and write it the same.

use std::path::PathBuf;

use bytes::Bytes;

use super::control::{Echo, Goodbye, Heartbeat, Proposed, ReadIndex, Request, Response, Sighting, Signal};
use super::entry::{Answer, ClaimId, Entry, Invitation, Kind, MemberFacts, Move, NodeId, Refusal, SealKey, TokenHash};
use super::raft::{
    Append, Appended, LogEntry, LogId, Membership, Payload, SnapshotPart, Transfer, Vote, VoteRequest, VoteResponse,
};
use super::relay::{Accepted, Dropped, From, Live, Reached, RelayRefusal, Subscribe, ToChild, ToParent};
use super::{Frame, FrameError, from_bytes, to_bytes};
use crate::id::{Epoch, PathName, Position};
use crate::media::marks::Numbers;

const LONGEST: usize = 1 << 20;

fn log_id(index: u64) -> LogId {
    LogId { term: 3, leader: NodeId(7), index }
}

fn vote() -> Vote {
    Vote { term: 3, node: NodeId(7), committed: true }
}

fn claim() -> ClaimId {
    ClaimId { node: NodeId(9), incarnation: 4, number: 300 }
}

fn membership() -> Membership {
    Membership { voters: vec![vec![NodeId(7)], vec![NodeId(7), NodeId(9)]], members: vec![NodeId(7), NodeId(9)] }
}

fn entries() -> Vec<Entry> {
    let path = || PathName::new("cam/front").unwrap();
    let (node, incarnation, epoch, id) = (NodeId(9), 4, Epoch(1_700_000_000_000_042), claim());
    let facts = MemberFacts {
        name: "b".into(),
        address: "b.example:8700".into(),
        public_host: "b.example".into(),
        zone: "rack-2".into(),
        version: "0.1.0".into(),
        level: 1,
        witness: false,
    };
    vec![
        Entry::RaiseBase { base: 1_700_000_000_000_000 },
        Entry::RaiseLevel { level: 1 },
        Entry::Join {
            node,
            facts: facts.clone(),
            token: Some(Invitation { hash: TokenHash([5; 32]), request: [7; 32], now_micros: -1 }),
        },
        Entry::Remove { node },
        Entry::NodeUp { node, incarnation, facts },
        Entry::NodeDown { node, incarnation, plan: vec![Move { path: path(), epoch, to: NodeId(7), claim: id }] },
        Entry::Drain { node, incarnation, drained: true },
        Entry::Claim { id, path: path(), kind: Kind::Pulled, now_micros: 1_700_000_000_000_000, take_over: true },
        Entry::Release { path: path(), epoch },
        Entry::Forget { path: path(), epoch },
        Entry::AddStandby { id, path: path(), rank: 2 },
        Entry::RemoveStandby { id, path: path() },
        Entry::Promote { path: path(), epoch, id },
        Entry::AddToken { hash: TokenHash([6; 32]), expires_micros: 1_700_000_000_000_000 },
        Entry::Configure { expected: 8, document: "paths: {}\n".into() },
    ]
}

fn requests() -> Vec<Request> {
    let logged = entries()
        .into_iter()
        .zip(11..)
        .map(|(entry, index)| LogEntry { id: log_id(index), payload: Payload::Entry(entry) });
    let others = [Payload::Blank, Payload::Membership(membership())];
    let others = others.into_iter().zip(40..).map(|(payload, index)| LogEntry { id: log_id(index), payload });
    let ballot = VoteRequest { vote: vote(), last: Some(log_id(10)), leadership_transfer: true };
    vec![
        Request::Append(Append {
            vote: vote(),
            previous: Some(log_id(10)),
            entries: logged.chain(others).collect(),
            committed: None,
        }),
        Request::Vote(ballot),
        Request::PreVote(ballot),
        Request::Snapshot(SnapshotPart {
            vote: vote(),
            last: Some(log_id(10)),
            membership: (Some(log_id(1)), membership()),
            offset: 65536,
            total: 70000,
            bytes: vec![1, 2, 3],
        }),
        Request::Transfer(Transfer { from: vote(), to: NodeId(9), last: Some(log_id(10)) }),
        Request::Propose(Entry::Remove { node: NodeId(1) }),
        Request::ReadIndex(()),
        Request::AuthorityKey(()),
        Request::Certificate(vec![0x30, 3]),
        Request::Reached(PathName::new("cam/front").unwrap()),
        Request::Inquire(b"who?".to_vec()),
    ]
}

fn responses() -> Vec<Response> {
    let answers = [
        Answer::Done,
        Answer::Owned(Epoch(5)),
        Answer::Revision(6),
        Answer::Refused(Refusal::Owned(NodeId(7))),
        Answer::Refused(Refusal::OtherRevision(9)),
    ];
    let proposed = answers.map(|answer| Response::Proposed(Proposed::Done { index: 900, answer }));
    let others = [
        Response::Appended(Appended::All),
        Response::Appended(Appended::Upto(Some(log_id(5)))),
        Response::Appended(Appended::Conflict),
        Response::Appended(Appended::HigherVote(vote())),
        Response::Voted(VoteResponse { vote: vote(), granted: false, last: None }),
        Response::SnapshotTaken(vote()),
        Response::Transferred(true),
        Response::Proposed(Proposed::NotLeader(Some(NodeId(7)))),
        Response::ReadIndex(ReadIndex::At(Some(7))),
        Response::ReadIndex(ReadIndex::NotLeader(None)),
        Response::ReadIndex(ReadIndex::Unsure),
        Response::Unable(()),
        Response::Unsupported(()),
        Response::Busy(()),
        Response::AuthorityKey("-----BEGIN".into()),
        Response::Certificate(vec![0x30, 3]),
        Response::Reached(None),
        Response::Reached(Some(reached())),
        Response::Inquired(b"me".to_vec()),
    ];
    proposed.into_iter().chain(others).collect()
}

fn reached() -> Reached {
    let numbers = Numbers { segment: 70, part: 350, discontinuities: 2, target_seconds: 2, settled: true };
    Reached { epoch: Epoch(1_700_000_000_000_042), path_micros: 70_000_000, numbers }
}

fn relay_words() -> (Vec<ToParent>, Vec<ToChild>) {
    let epoch = Epoch(1_700_000_000_000_042);
    let position = Position { epoch, seq: 3000 };
    let path = || PathName::new("cam/front").unwrap();
    let from = [From::NewestGroup, From::After(position), From::Everything];
    let wishes = from.map(|from| Subscribe { path: path(), from, epoch, hops: vec![NodeId(7), NodeId(9)] });
    let accepted = Accepted { epoch, tracks: vec![1, 2, 3], above: vec![NodeId(7)], newest: Some(position) };
    let to_child = [
        ToChild::Accepted(accepted),
        ToChild::Refused(RelayRefusal::NoStream),
        ToChild::Refused(RelayRefusal::Loop),
        ToChild::Refused(RelayRefusal::Busy(vec![NodeId(9)])),
        ToChild::Dropped(Dropped { epoch, group: 2900, track: 1 }),
        ToChild::Ended(()),
        ToChild::Answered(()),
        ToChild::Live(Live { micros: 70_000_000, newest: position }),
    ];
    let others = [ToParent::KeyframeWanted(()), ToParent::Ask(vec![1, 2, 3])];
    let to_parent = wishes.map(ToParent::Subscribe).into_iter().chain(others);
    (to_parent.collect(), to_child.into())
}

#[test]
fn words_of_relays_are_written_as_they_were_released_and_read_again() {
    let (to_parent, to_child) = relay_words();
    for (n, word) in to_parent.into_iter().enumerate() {
        let bytes = word.encode();
        is_as_kept(&format!("to-parent-{}-{n}.bin", word.kind()), &bytes);
        assert_eq!(ToParent::decode(&frame(&bytes)), Ok(Some(word)));
    }
    for (n, word) in to_child.into_iter().enumerate() {
        let bytes = word.encode();
        is_as_kept(&format!("to-child-{}-{n}.bin", word.kind()), &bytes);
        assert_eq!(ToChild::decode(&frame(&bytes)), Ok(Some(word)));
    }
}

/// Entries that were added later than those above stand by themselves.
#[test]
fn the_entry_of_a_seal_is_written_as_it_was_released_and_read_again() {
    let entry = Entry::Seal { key: SealKey([5; 32]) };
    let bytes = to_bytes(&entry);
    is_as_kept("entry-seal.bin", &bytes);
    assert_eq!(from_bytes(&bytes), Some(entry));
}

fn signals() -> Vec<Signal> {
    let heartbeat = Heartbeat {
        incarnation: 4,
        number: 1000,
        wall_micros: 1_700_000_000_000_000,
        echo: Some(Echo { number: 999, wall_micros: 1_700_000_000_000_000, held_micros: 250 }),
        sights: vec![Sighting { node: NodeId(9), incarnation: 4, down: true }],
    };
    vec![Signal::Heartbeat(heartbeat), Signal::Goodbye(Goodbye { incarnation: 4 })]
}

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/wire/golden").join(name)
}

/// Compares with the kept bytes of level 1. `WEFT_WRITE_GOLDEN=1` keeps them, which is right only for what is new.
pub(super) fn is_as_kept(name: &str, written: &[u8]) {
    let file = golden(name);
    if std::env::var_os("WEFT_WRITE_GOLDEN").is_some() {
        std::fs::write(&file, written).unwrap();
    }
    let kept = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    assert_eq!(kept, written, "{name} is written otherwise than it was released");
}

pub(super) fn frame(bytes: &[u8]) -> Frame {
    Frame::read(Bytes::copy_from_slice(bytes), LONGEST).unwrap()
}

#[test]
fn messages_are_written_as_they_were_released_and_read_again() {
    for (n, request) in requests().into_iter().enumerate() {
        let bytes = request.encode();
        is_as_kept(&format!("request-{}-{n}.bin", request.kind()), &bytes);
        assert_eq!(Request::decode(&frame(&bytes)), Ok(Some(request)));
    }
    for (n, response) in responses().into_iter().enumerate() {
        let bytes = response.encode();
        is_as_kept(&format!("response-{}-{n}.bin", response.kind()), &bytes);
        assert_eq!(Response::decode(&frame(&bytes)), Ok(Some(response)));
    }
    for (n, signal) in signals().into_iter().enumerate() {
        let bytes = signal.encode();
        is_as_kept(&format!("signal-{}-{n}.bin", signal.kind()), &bytes);
        assert_eq!(Signal::decode(&frame(&bytes)), Ok(Some(signal)));
    }
}

#[test]
fn what_a_newer_node_says_is_skipped() {
    let unknown = Frame::write(999, &(1u8, "new".to_owned()));
    assert_eq!(Request::decode(&frame(&unknown)), Ok(None));
    let mut longer = to_bytes(&Goodbye { incarnation: 4 });
    longer.extend_from_slice(b"a field that came later");
    assert_eq!(from_bytes(&longer), Some(Goodbye { incarnation: 4 }));
}

#[test]
fn bytes_that_lie_are_refused_and_cost_nothing() {
    let bytes = Request::ReadIndex(()).encode();
    assert_eq!(Frame::read(Bytes::from_static(&[1, 0]), LONGEST), Err(FrameError::Length));
    let mut other = bytes.clone();
    other[0] = 9;
    assert_eq!(Frame::read(other.into(), LONGEST), Err(FrameError::Version(9)));
    let mut long = bytes.clone();
    long[3] = 0xff;
    assert_eq!(Frame::read(long.into(), LONGEST), Err(FrameError::TooLong(0xff00_0000)));
    let mut more = bytes;
    more.push(0);
    assert_eq!(Frame::read(more.into(), LONGEST), Err(FrameError::Length));
    // A vector that claims four billion entries.
    let lie = Frame { kind: 16, body: Bytes::from_static(&[14, 0, 0xfc, 0xff, 0xff, 0xff, 0xff]) };
    assert!(Request::decode(&lie).is_err());
    let bad_path = Entry::Release { path: PathName::new("a").unwrap(), epoch: Epoch(1) };
    let mut bytes = to_bytes(&bad_path);
    *bytes.iter_mut().find(|byte| **byte == b'a').unwrap() = b'/';
    assert_eq!(from_bytes::<Entry>(&bytes), None, "a name is checked when it is read");
}

#[test]
fn every_cut_of_a_message_is_refused_or_read_and_never_panics() {
    for request in requests() {
        let bytes = request.encode();
        let body = &bytes[super::FRAME_HEAD_BYTES..];
        for length in 0..body.len() {
            let cut = Frame { kind: request.kind(), body: Bytes::copy_from_slice(&body[..length]) };
            let _ = Request::decode(&cut);
        }
    }
}
