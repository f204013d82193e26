//! Nodes that have no certificate yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use weft_proto::wire::Frame;
use weft_proto::wire::entry::{MemberFacts, NodeId};
use weft_proto::wire::hello::ClusterId;
use weft_proto::wire::join::{JoinAnswer, JoinRefusal, Joined};
use weft_proto::wire::token::{Token, TokenSecret};

use super::hostile::{closed, connect};
use super::{Node, authority, introduce, now, pair, until};
use crate::identity::{Authority, Current, LeafKey, draw_token};
use crate::mesh::tls;
use crate::mesh::{JoinAsked, JoinError, JoinedCluster, Mesh, Refusal, Transport as _};

struct Porter {
    asked: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Porter {
    fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Porter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Lets in who has the right secret, once.
fn porter(node: &mut Node, authority: Authority, mut secret: Option<TokenSecret>) -> Porter {
    let (_, nothing) = mpsc::channel(1);
    let mut joins = std::mem::replace(&mut node.output.joins, nothing);
    let (id, address) = (node.id, node.mesh.address().to_string());
    let asked = Arc::new(AtomicU64::new(0));
    let count = asked.clone();
    let task = tokio::spawn(async move {
        while let Some(one) = joins.recv().await {
            count.fetch_add(1, Ordering::Relaxed);
            let JoinAsked { request, reply, .. } = one;
            let is_right = secret.take_if(|secret| secret.0 == request.secret).is_some();
            let answer = match authority.issue_for(request.node, &request.csr, now()) {
                Ok(certificate) if is_right => JoinAnswer::Joined(Joined {
                    cluster: ClusterId([1; 16]),
                    certificate: certificate.to_vec(),
                    authority: authority.certificate().der().to_vec(),
                    members: vec![(id, address.clone())],
                }),
                Ok(_) => JoinAnswer::Refused(JoinRefusal::BadToken),
                Err(_) => JoinAnswer::Refused(JoinRefusal::BadRequest),
            };
            let _ = reply.send(answer);
        }
    });
    Porter { asked, task }
}

async fn join(token: &Token, node: NodeId, facts: MemberFacts) -> Result<JoinedCluster, JoinError> {
    crate::mesh::join(token, node, &LeafKey::draw()?, facts).await
}

fn facts() -> MemberFacts {
    MemberFacts { name: "c".into(), ..MemberFacts::default() }
}

fn token_of(node: &Node) -> Token {
    // The first address leads nowhere, as that of a node that is down.
    draw_token(node.identity.authority(), vec!["127.0.0.1:1".into(), node.mesh.address().to_string()])
}

#[tokio::test]
async fn a_token_lets_one_node_in_which_then_belongs_to_all() {
    let ours = authority();
    let (mut a, b) = pair(&ours).await;
    let token = token_of(&a);
    let porter = porter(&mut a, ours, Some(token.secret.clone()));
    let joined = join(&token, NodeId(3), facts()).await.unwrap();
    assert_eq!((joined.leaf.node(), joined.cluster, joined.members.len()), (NodeId(3), ClusterId([1; 16]), 1));

    let identity = Current::new(&joined.leaf, joined.authority).unwrap();
    let (c, _output) = Mesh::start(super::config(1, &identity)).unwrap();
    let mut all: std::collections::BTreeMap<_, _> = [a.peer(), b.peer()].into();
    let address = c.address().to_string();
    all.insert(NodeId(3), crate::mesh::PeerAddress { address, incarnation: 1 });
    for mesh in [&a.mesh, &b.mesh, &c] {
        mesh.set_peers(all.clone());
    }
    until("connected", || c.peers().iter().filter(|peer| peer.link.is_some() && peer.lifeline).count() == 2).await;

    let again = join(&token, NodeId(4), facts()).await;
    assert_eq!(again.unwrap_err(), JoinError::Refused(JoinRefusal::BadToken));
    assert_eq!(porter.asked(), 2);
}

#[tokio::test]
async fn a_cluster_that_the_token_does_not_name_is_not_joined() {
    let ours = authority();
    let (a, _b) = pair(&ours).await;
    let token = draw_token(authority().certificate(), vec![a.mesh.address().to_string()]);
    assert_eq!(join(&token, NodeId(3), facts()).await.unwrap_err(), JoinError::OtherCluster);
    let nowhere = draw_token(ours.certificate(), vec!["127.0.0.1:1".into()]);
    assert!(matches!(join(&nowhere, NodeId(3), facts()).await.unwrap_err(), JoinError::Unreachable(_)));
}

#[tokio::test]
async fn nobody_who_decides_is_said_so() {
    let ours = authority();
    let (mut a, _b) = pair(&ours).await;
    a.output.joins.close();
    let answer = join(&token_of(&a), NodeId(3), facts()).await;
    assert_eq!(answer.unwrap_err(), JoinError::Refused(JoinRefusal::NotNow));
}

#[tokio::test]
async fn what_is_no_wish_to_join_is_cut_and_counted() {
    let ours = authority();
    let (a, _b) = pair(&ours).await;
    let newcomer = || tls::newcomer(a.identity.authority().hash()).unwrap();
    let whole =
        |kind: u16, length: u32, body: &[u8]| [&[1][..], &kind.to_be_bytes(), &length.to_be_bytes(), body].concat();
    let cases = [
        b"join me, please".to_vec(),
        whole(1, 4097, &[0; 4097]),
        whole(1, u32::MAX, &[0; 5000]),
        whole(1, 10, &[0xff; 10]),
        Frame::write(77, &1_u8),
    ];
    for (number, bytes) in cases.into_iter().enumerate() {
        let connection = connect(&a, newcomer()).await.unwrap();
        let (mut send, _receive) = connection.open_bi().await.unwrap();
        let _ = send.write_all(&bytes).await;
        let _ = send.finish();
        assert!(closed(&connection).await.contains("cannot be read"));
        assert_eq!(a.mesh.refusals()[&Refusal::BadRequest], number as u64 + 1);
        // It may not open a second stream, nor send what is not asked for.
        assert!(connection.open_uni().await.is_err());
    }
}

#[tokio::test]
async fn a_thousand_wishes_a_second_are_refused_and_members_do_not_notice() {
    let ours = authority();
    let (mut a, b) = pair(&ours).await;
    let token = Token { addresses: vec![a.mesh.address().to_string()], ..token_of(&a) };
    let porter = porter(&mut a, ours, None);
    let b = super::traffic::echoing(b);
    let start = Instant::now();
    let crowd = futures_util::future::join_all((0..1000).map(|n| {
        let token = &token;
        async move {
            tokio::time::sleep(Duration::from_millis(n)).await;
            join(token, NodeId(100 + n), facts()).await.unwrap_err()
        }
    }));
    let calls = async {
        let mut slowest = Duration::ZERO;
        while start.elapsed() < Duration::from_millis(1500) {
            let began = Instant::now();
            super::traffic::call_many(&a, 1).await;
            slowest = slowest.max(began.elapsed());
        }
        slowest
    };
    let (errors, slowest) = tokio::join!(crowd, calls);
    let heard = errors.iter().filter(|error| **error == JoinError::Refused(JoinRefusal::BadToken)).count();
    assert!(heard < 50, "{heard} were heard");
    assert!(slowest < Duration::from_secs(2), "a call took {slowest:?}");
    assert_eq!(porter.asked(), heard as u64);
    assert!(a.mesh.refusals()[&Refusal::TooMany] > 100, "{:?}", a.mesh.refusals());
    assert!(a.is_linked_with(&b) && b.is_linked_with(&a));
    assert_eq!((a.mesh.counts().links, b.mesh.counts().links), (1, 1));
    introduce([&a, &*b]);
}
