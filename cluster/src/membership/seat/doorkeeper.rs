//! Lets nodes in, hands the authority's key to voters, and renews certificates.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::task::spawn_local;
use tracing::{info, warn};
use weft_proto::wire::control::{Request, Response};
use weft_proto::wire::entry::{Answer, Entry, Invitation, NodeId, Refusal, TokenHash};
use weft_proto::wire::hello::ClusterId;
use weft_proto::wire::join::{JoinAnswer, JoinRefusal, JoinRequest, Joined};
use weft_proto::wire::token::TokenSecret;

use super::{Door, SeatError};
use crate::identity::{Authority, LeafKey};
use crate::membership::link::Link;
use crate::membership::member::Member;
use crate::mesh::{Incoming, JoinAsked, Mesh, MeshOutput, Notice, Transport};

/// How often a node looks whether it needs the authority's key or another certificate.
const LOOK: Duration = Duration::from_secs(2);

/// How long another node may take to sign something.
const SIGN: Duration = Duration::from_secs(2);

/// How long a wish to join may take to be agreed on; the newcomer waits five seconds.
const AGREE: Duration = Duration::from_secs(4);

impl Door {
    /// Keeps the door until the mesh ends.
    pub(in crate::membership) async fn keep(mut self, member: Member<Link>, cluster: ClusterId) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let MeshOutput { incoming, notices, joins } = &mut self.output;
            tokio::select! {
                biased;
                event = incoming.recv() => match event {
                    Some(event) => self.pass(event, &member),
                    None => return,
                },
                Some(asked) = joins.recv() => self.hear(asked, &member, cluster),
                Some(notice) = notices.recv() => {
                    complain(notice);
                    if matches!(notice, Notice::Removed { .. }) {
                        member.was_removed();
                    }
                }
                _ = look.tick() => {
                    if let Err(error) = self.look(&member).await {
                        warn!("cannot renew this node's papers: {error}");
                    }
                }
            }
        }
    }

    /// What is about papers is answered here; all else is the member's.
    fn pass(&self, event: Incoming, member: &Member<Link>) {
        match event {
            Incoming::Call { from, request: Request::AuthorityKey(()), reply } => {
                let votes = member.consensus().standing().voters.contains(&from);
                let key = self.papers.authority.as_ref().filter(|_| votes).map(Authority::key_pem);
                let _ = reply.send(key.map_or(Response::Unable(()), Response::AuthorityKey));
            }
            Incoming::Call { from, request: Request::Certificate(csr), reply } => {
                let now = member.wall();
                let signed = self.papers.authority.as_ref().map(|authority| authority.issue_for(from, &csr, now));
                let signed = signed.and_then(Result::ok).map(|certificate| certificate.to_vec());
                let _ = reply.send(signed.map_or(Response::Unable(()), Response::Certificate));
            }
            event => {
                // A member that is so far behind hears of it again: signals and calls are repeated.
                let _ = self.to_member.try_send(event);
            }
        }
    }

    fn hear(&self, asked: JoinAsked, member: &Member<Link>, cluster: ClusterId) {
        let JoinAsked { request, from, reply } = asked;
        let now = member.wall();
        let Some(authority) = &self.papers.authority else {
            let _ = reply.send(JoinAnswer::Refused(JoinRefusal::NotNow));
            return;
        };
        let certificate = match authority.issue_for(request.node, &request.csr, now) {
            Ok(certificate) => certificate.to_vec(),
            Err(_) => {
                let _ = reply.send(JoinAnswer::Refused(JoinRefusal::BadRequest));
                return;
            }
        };
        let trusted = authority.certificate().der().to_vec();
        let (welcome, member) = (self.welcome, member.clone());
        spawn_local(async move {
            let node = request.node;
            let answer = match let_in(&member, request, welcome, now.unix_micros()).await {
                Ok(()) => {
                    info!(%node, %from, "a node joins");
                    let members = member.addresses();
                    JoinAnswer::Joined(Joined { cluster, certificate, authority: trusted, members })
                }
                Err(refusal) => {
                    warn!(%node, %from, "a node is not let in: {refusal}");
                    JoinAnswer::Refused(refusal)
                }
            };
            let _ = reply.send(answer);
        });
    }

    async fn look(&mut self, member: &Member<Link>) -> Result<(), SeatError> {
        let standing = member.consensus().standing();
        let leader = standing.leader.filter(|leader| *leader != member.id());
        if self.papers.authority.is_none()
            && standing.voters.contains(&member.id())
            && let Some(pem) = authority_key(&self.mesh, leader).await
        {
            self.papers.take_authority(Authority::from_key_pem(pem.as_bytes())?).await?;
            info!("this node votes, and can let others in");
        }
        if self.papers.leaf.is_due(member.wall()) {
            let key = LeafKey::draw()?;
            let certificate = match (&self.papers.authority, leader) {
                (Some(authority), _) => {
                    Some(authority.issue_for(member.id(), &key.request()?, member.wall())?.to_vec())
                }
                (None, Some(leader)) => sign(&self.mesh, leader, key.request()?).await,
                (None, None) => None,
            };
            if let Some(certificate) = certificate {
                self.papers.renew(key.certified(certificate.into())?).await?;
                info!("this node's certificate is renewed");
            }
        }
        Ok(())
    }
}

async fn authority_key(mesh: &Mesh, leader: Option<NodeId>) -> Option<String> {
    match mesh.call(leader?, Request::AuthorityKey(()), SIGN).await {
        Ok(Response::AuthorityKey(pem)) => Some(pem),
        _ => None,
    }
}

async fn sign(mesh: &Mesh, leader: NodeId, csr: Vec<u8>) -> Option<Vec<u8>> {
    match mesh.call(leader, Request::Certificate(csr), SIGN).await {
        Ok(Response::Certificate(certificate)) => Some(certificate),
        _ => None,
    }
}

async fn let_in(
    member: &Member<Link>,
    request: JoinRequest,
    welcome: Option<TokenHash>,
    now_micros: i64,
) -> Result<(), JoinRefusal> {
    let hash = TokenSecret(request.secret).hash();
    let asked = Sha256::digest(&request.csr).into();
    let token = (welcome != Some(hash)).then_some(Invitation { hash, request: asked, now_micros });
    let node = request.node;
    if token.is_none() && (member.knows(node) || member.awaits(node)) {
        // It was let in before, and the answer was lost: it has the secret, and the id is its own. Or it is to vote from the
        // beginning: then nothing can be agreed before it comes, and it says itself that it is a member.
        return Ok(());
    }
    if member.consensus().state().read().base() == 0 {
        // Nobody is a member before the first voters are.
        return Err(JoinRefusal::NotNow);
    }
    let join = Entry::Join { node, facts: request.facts, token };
    match member.consensus().propose(join, AGREE).await {
        Ok((_, Answer::Done)) => Ok(()),
        Ok((_, Answer::Refused(Refusal::IdUsed))) if member.knows(node) && token.is_none() => Ok(()),
        Ok((_, Answer::Refused(refusal))) => Err(match refusal {
            Refusal::IdUsed => JoinRefusal::IdUsed,
            Refusal::TooMany => JoinRefusal::TooMany,
            Refusal::BadLevel => JoinRefusal::Level,
            _ => JoinRefusal::BadToken,
        }),
        Ok(_) | Err(_) => Err(JoinRefusal::NotNow),
    }
}

/// Another process with this node's id is a mistake that only a person can mend.
fn complain(notice: Notice) {
    match notice {
        Notice::Twin { address, incarnation } => {
            warn!(%address, incarnation, "another process has this node's id: was its data folder copied?");
        }
        Notice::Superseded { by, refusal } => {
            warn!(%by, %refusal, "a node does not talk to this process: another one has this node's id");
        }
        Notice::Removed { by } => warn!(%by, "this node was removed from the cluster"),
    }
}
