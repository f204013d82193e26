//! Two nodes' relays on one thread, over real sockets; and peers that have a certificate and behave as badly as they can.

mod busy;
mod moving;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use quinn::{Connection, Endpoint, VarInt};
use tokio::task::spawn_local;
use tokio::time::timeout;
use weft_proto::id::{Epoch, PathName};
use weft_proto::media::TrackId;
use weft_proto::wire::entry::{ClaimId, Entry, Kind, MemberFacts, NodeId};
use weft_proto::wire::relay::{
    Accepted, From, GroupHead, Placed, RelayRefusal, Subscribe, ToChild, ToParent, UnitWriter, encode_tracks,
};

use super::shard::{client_config, server_config};
use super::{Answers, RelayConfig, RelaySocket, Relays, words};
use crate::clock::Clock;
use crate::fabric::{Fabric, FabricConfig};
use crate::identity::{Authority, AuthoritySeed, Current, server_name};
use crate::ownership::{Alone, State};
use crate::path::{Identity, PathPolicy, PathSettings, Policy, SessionInfo};
use crate::publication::Publication;
use crate::raft::SharedState;
use crate::stream::testing::{tracks, unit};
use crate::stream::{Delivery, Join, LogLimits, Start, StartLimits, StreamSettings, Times, WakeGate};
use crate::subscription::Subscription;

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);
/// What [`Alone`] gives its first path.
const EPOCH: Epoch = Epoch(1001);
const LONGEST: Duration = Duration::from_secs(20);

struct Everything;

impl Policy for Everything {
    fn path(&self, _: &PathName) -> Option<PathPolicy> {
        Some(PathPolicy {
            conf_name: "all_others".into(),
            life: PathSettings::default(),
            stream: StreamSettings { log: LogLimits::default(), cadence: Default::default() },
            start: StartLimits::default(),
            source: None,
        })
    }
}

struct Node {
    fabric: Fabric,
}

fn cam() -> PathName {
    PathName::new("cam").unwrap()
}

fn info() -> SessionInfo {
    SessionInfo { kind: "test", id: "x".into(), identity: Identity { user: String::new(), address: None } }
}

fn identity(authority: &Authority, node: NodeId, clock: Clock) -> Current {
    let leaf = authority.issue(node, clock.wall()).unwrap();
    Current::new(&leaf, authority.certificate().clone()).unwrap()
}

/// Members, whose relays listen at these addresses; the first owns the path.
fn agreed(relays: &[(NodeId, SocketAddr)], clock: Clock) -> SharedState {
    let mut state = State::default();
    for (node, address) in relays.iter().copied() {
        let control = format!("127.0.0.1:{}", address.port() - 1);
        let facts = MemberFacts { address: control, level: 1, ..MemberFacts::default() };
        state.apply(1, &Entry::Join { node, facts: facts.clone(), token: None });
        state.apply(2, &Entry::NodeUp { node, incarnation: 1, facts });
    }
    let id = ClaimId { node: A, incarnation: 1, number: 1 };
    let now_micros = clock.wall().unix_micros();
    state.apply(EPOCH.0, &Entry::Claim { id, path: cam(), kind: Kind::Pushed, now_micros, take_over: false });
    assert_eq!(state.paths().get(&cam()).unwrap().epoch, EPOCH);
    SharedState::new(state, Some(EPOCH.0))
}

fn socket() -> RelaySocket {
    Relays::bind(SocketAddr::from(([127, 0, 0, 1], 0)), 1).unwrap().remove(0)
}

fn node(me: NodeId, socket: RelaySocket, authority: &Authority, state: &SharedState, clock: Clock) -> Node {
    node_with(me, vec![socket], authority, state, clock).0
}

/// With a shard for each socket.
fn node_with(
    me: NodeId,
    sockets: Vec<RelaySocket>,
    authority: &Authority,
    state: &SharedState,
    clock: Clock,
) -> (Node, Relays) {
    let fabric = Fabric::start(FabricConfig {
        node: me.to_string(),
        claimant: Arc::new(Alone::default()),
        budget_bytes: 64 << 20,
        policy: Arc::new(Everything),
        clock,
    });
    let relays = Relays::new(RelayConfig {
        me,
        identity: identity(authority, me, clock),
        state: state.clone(),
        clock,
        latency_max: Duration::from_millis(500),
        faults: None,
    });
    fabric.set_relays(&relays);
    sockets.into_iter().for_each(|socket| relays.open(socket).unwrap());
    (Node { fabric }, relays)
}

fn authority() -> Authority {
    Authority::from_seed(&AuthoritySeed::draw()).unwrap()
}

/// Both nodes, and a client's configuration that has the second one's certificate.
fn two() -> (Node, Node, SocketAddr, Current) {
    let (clock, authority) = (Clock::start(), authority());
    let sockets = [socket(), socket()];
    let addresses = sockets.each_ref().map(RelaySocket::address);
    let state = agreed(&[(A, addresses[0]), (B, addresses[1])], clock);
    let [first, second] = sockets;
    let a = node(A, first, &authority, &state, clock);
    let b = node(B, second, &authority, &state, clock);
    (a, b, addresses[0], identity(&authority, B, clock))
}

fn push(publication: &mut Publication, frames: std::ops::Range<i64>) {
    for n in frames {
        publication.push(unit(0, n * 3600, n % 25 == 0, 3000));
        publication.push(unit(1, n * 1920, true, 100));
    }
    publication.flush().unwrap();
}

async fn subscribe(node: &Node) -> Subscription {
    let join = Join { from: Start::Everything, times: Times::True, pace: None };
    timeout(LONGEST, node.fabric.subscribe(cam(), info(), join, &WakeGate::new())).await.unwrap().unwrap()
}

/// Reads until so many units are there.
async fn read(subscription: &mut Subscription, count: usize) -> Vec<Delivery> {
    let mut all = Vec::new();
    let reading = async {
        while all.len() < count {
            subscription.read(&mut all);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(LONGEST, reading).await.expect("all comes");
    all
}

#[actix::test]
async fn a_path_is_the_same_on_another_node() {
    let (a, b, ..) = two();
    let mut publication = a.fabric.publish(cam(), info(), tracks()).await.unwrap();
    push(&mut publication, 0..30);
    let mut far = subscribe(&b).await;
    push(&mut publication, 30..60);
    let mut near = subscribe(&a).await;
    let near = read(&mut near, 120).await;
    // The far one begins with the newest group: frame 25.
    let far = read(&mut far, 70).await;
    let near = &near[near.len() - far.len()..];
    for (near, far) in near.iter().zip(&far) {
        let (near, far) = (&near.entry, &far.entry);
        assert_eq!((near.position, near.dts_micros, near.group), (far.position, far.dts_micros, far.group));
        assert_eq!((near.marks, near.group_start, &near.tracks), (far.marks, far.group_start, &far.tracks));
        assert_eq!((near.unit.pts, near.unit.dts, near.unit.track), (far.unit.pts, far.unit.dts, far.unit.track));
        let bytes =
            |unit: &weft_proto::media::Unit| unit.payload.frames().map(|frame| frame.to_bytes()).collect::<Vec<_>>();
        assert_eq!(bytes(&near.unit), bytes(&far.unit));
    }
}

#[actix::test]
async fn all_readers_of_a_node_share_one_relay() {
    let (a, b, ..) = two();
    let mut publication = a.fabric.publish(cam(), info(), tracks()).await.unwrap();
    push(&mut publication, 0..30);
    let mut readers = Vec::new();
    for _ in 0..50 {
        readers.push(subscribe(&b).await);
    }
    let owner = a.fabric.describe(&cam()).unwrap();
    assert_eq!(owner.readers.len(), 0, "a relay is no viewer: {:?}", owner.readers);
    assert_eq!(a.fabric.relays_of(&cam()), 1);
}

async fn dial(address: SocketAddr, identity: &Current) -> Connection {
    let endpoint = Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let config = client_config(identity).unwrap();
    endpoint.connect_with(config, address, &server_name(A)).unwrap().await.unwrap()
}

#[actix::test]
async fn a_child_that_says_nonsense_harms_nobody() {
    let (a, b, address, identity) = two();
    let mut publication = a.fabric.publish(cam(), info(), tracks()).await.unwrap();
    push(&mut publication, 0..30);
    let bad = dial(address, &identity).await;
    // Nonsense, a frame that is too long, half a frame, another first word, a path that nobody has, itself as its parent.
    let word = |wish: Subscribe| ToParent::Subscribe(wish).encode();
    let wish = |path: &str, hops| {
        let path = PathName::new(path).unwrap();
        word(Subscribe { path, from: From::NewestGroup, epoch: Epoch(0), hops })
    };
    let firsts: [Vec<u8>; 5] = [
        vec![0xff; 5000],
        vec![1, 0, 1, 0xff, 0xff, 0xff, 0xff],
        vec![1, 0],
        ToParent::KeyframeWanted(()).encode(),
        vec![1, 0, 1, 0, 0, 0, 3, 9, 9, 9],
    ];
    for first in firsts {
        let (mut send, mut recv) = bad.open_bi().await.unwrap();
        send.write_all(&first).await.unwrap();
        let _ = send.finish();
        assert!(matches!(recv.read_to_end(100).await.as_deref(), Ok([]) | Err(_)), "no answer to {first:?}");
    }
    for (first, refusal) in [
        (wish("nobody", vec![B]), RelayRefusal::NoStream),
        (wish("cam", vec![B, A]), RelayRefusal::Loop),
        (wish("cam", vec![A]), RelayRefusal::Loop),
    ] {
        let (mut send, mut recv) = bad.open_bi().await.unwrap();
        send.write_all(&first).await.unwrap();
        let answer = words::read(&mut recv, LONGEST).await.unwrap();
        assert_eq!(ToChild::decode(&answer), Ok(Some(ToChild::Refused(refusal))));
    }
    let mut good = subscribe(&b).await;
    assert!(!read(&mut good, 10).await.is_empty());
}

/// Knows one question, and has a long answer to another.
struct Known;

impl Answers for Known {
    fn answer(&self, question: Bytes) -> LocalBoxFuture<'static, Option<Vec<Bytes>>> {
        let answer = match &question[..] {
            b"who?" => Some(vec![Bytes::from_static(b"it "), Bytes::from_static(b"is I")]),
            b"all" => Some(vec![Bytes::from(vec![7; 3 << 20])]),
            _ => None,
        };
        Box::pin(std::future::ready(answer))
    }
}

#[actix::test]
async fn nodes_ask_each_other_what_those_above_know() {
    let (a, b, ..) = two();
    a.fabric.set_answers(Arc::new(Known));
    let ask = |question: &[u8], most| b.fabric.ask(A, question.to_vec(), LONGEST, most);
    assert_eq!(ask(b"who?", 100).await.as_deref(), Some(&b"it is I"[..]));
    assert_eq!(ask(b"why?", 100).await, None);
    assert_eq!(ask(b"all", 4 << 20).await.map(|answer| answer.len()), Some(3 << 20));
    assert_eq!(ask(b"all", 2 << 20).await, None, "more than is wanted");
    assert_eq!(ask(b"who?", 100).await.as_deref(), Some(&b"it is I"[..]), "and the connection is still good");
    assert_eq!(a.fabric.ask(B, b"who?".to_vec(), LONGEST, 100).await, None, "nobody answers there");
    assert_eq!((a.fabric.others(&cam()), b.fabric.others(&cam())), (vec![B], vec![A]));
}

#[actix::test]
async fn strangers_get_no_connection() {
    let (a, _b, address, _) = two();
    let _publication = a.fabric.publish(cam(), info(), tracks()).await.unwrap();
    let stranger = identity(&authority(), B, Clock::start());
    let endpoint = Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let config = client_config(&stranger).unwrap();
    assert!(endpoint.connect_with(config, address, &server_name(A)).unwrap().await.is_err());
}

fn accepted(parent: NodeId) -> ToChild {
    let tracks = encode_tracks(&tracks());
    ToChild::Accepted(Accepted { epoch: EPOCH, tracks, above: vec![parent], newest: None })
}

/// A parent that answers each subscription as it is told to, by their number, and after that does what it is told to.
fn parent_that<F: Future<Output = ()> + 'static>(
    identity: &Current,
    socket: std::net::UdpSocket,
    answer: impl Fn(usize) -> ToChild + 'static,
    act: impl Fn(Connection, u64) -> F + 'static,
) {
    let config = server_config(identity).unwrap();
    let runtime = Arc::new(quinn::TokioRuntime);
    let endpoint = Endpoint::new(Default::default(), Some(config), socket, runtime).unwrap();
    spawn_local(async move {
        let mut number = 0;
        while let Some(incoming) = endpoint.accept().await {
            let Ok(connection) = incoming.await else { continue };
            while let Ok((mut send, mut recv)) = connection.accept_bi().await {
                let _ = words::read(&mut recv, LONGEST).await;
                let word = answer(number);
                number += 1;
                words::write(&mut send, word.encode()).await.unwrap();
                if matches!(word, ToChild::Accepted(_)) {
                    act(connection.clone(), send.id().index()).await;
                }
            }
        }
    });
}

fn child_of_a_bad_parent<F: Future<Output = ()> + 'static>(act: impl Fn(Connection, u64) -> F + 'static) -> Node {
    let (clock, authority) = (Clock::start(), authority());
    let parents = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let own = socket();
    let state = agreed(&[(A, parents.local_addr().unwrap()), (B, own.address())], clock);
    parent_that(&identity(&authority, A, clock), parents, |_| accepted(A), act);
    node(B, own, &authority, &state, clock)
}

fn head(subscription: u64, epoch: Epoch, group: u64) -> GroupHead {
    GroupHead { subscription, epoch, publication: 1, group, track: 0 }
}

#[actix::test]
async fn a_parent_that_sends_garbage_is_cut_off() {
    let (told, mut closed) = tokio::sync::mpsc::unbounded_channel();
    let child = child_of_a_bad_parent(move |connection, subscription| {
        let told = told.clone();
        async move {
            let mut send = connection.open_uni().await.unwrap();
            send.write_all(&head(subscription, EPOCH, 0).encode()).await.unwrap();
            // A head of a unit that is far too long.
            let _ = send.write_all(&[255, 255, 255, 255, 255]).await;
            let _ = told.send(connection.closed().await.to_string());
        }
    });
    let _reader = subscribe(&child).await;
    let reason = timeout(LONGEST, closed.recv()).await.expect("it is cut off").unwrap();
    assert!(reason.contains("garbage"), "{reason}");
}

#[actix::test]
async fn units_of_an_older_epoch_never_follow_newer_ones() {
    let child = child_of_a_bad_parent(|connection, subscription| async move {
        for (epoch, group) in [(EPOCH, 50), (Epoch(EPOCH.0 - 1), 60), (EPOCH, 55)] {
            let mut send = connection.open_uni().await.unwrap();
            send.write_chunk(head(subscription, epoch, group).encode()).await.unwrap();
            let frame = unit(0, group as i64 * 3600, true, 10);
            let placed = Placed { seq: group, group_start: true, ..Placed::default() };
            let bytes = UnitWriter::new(group).write(placed, &frame, &tracks(), []);
            send.write_chunk(bytes).await.unwrap();
            send.write_all(&[0; 10]).await.unwrap();
            let _ = send.finish();
            // The child acknowledges it before the next one is sent.
            let _ = send.stopped().await;
        }
    });
    let mut reader = subscribe(&child).await;
    let seqs: Vec<u64> = read(&mut reader, 2).await.iter().map(|delivery| delivery.entry.position.seq).collect();
    assert_eq!(seqs, [50, 55]);
}

#[actix::test]
async fn streams_without_end_and_without_number_stay_within_bounds() {
    let child = child_of_a_bad_parent(|connection, subscription| async move {
        // As many streams as it may open, each of a group of its own, none of which ends.
        let mut open = Vec::new();
        while open.len() < 3000 {
            let Ok(Ok(mut send)) = timeout(Duration::from_secs(1), connection.open_uni()).await else { break };
            let group = 1000 + open.len() as u64;
            if send.write_chunk(head(subscription, EPOCH, group).encode()).await.is_err() {
                break;
            }
            open.push(send);
        }
        // Most of them were not wanted.
        let mut refused = 0;
        for send in &mut open {
            if matches!(timeout(Duration::from_millis(1), send.stopped()).await, Ok(Ok(Some(_)))) {
                refused += 1;
            }
        }
        assert!(refused > 2000, "{refused}");
        connection.close(VarInt::from_u32(0), b"done");
    });
    let reader = subscribe(&child).await;
    assert_eq!(reader.tracks().get(TrackId(0)), tracks().get(TrackId(0)));
}
