//! How nodes that share a secret form a cluster, and how one that was invited joins.

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::sleep;
use tracing::{debug, info, warn};
use weft_proto::time::WallClock;
use weft_proto::wire::entry::{MemberFacts, NodeId, TokenHash};
use weft_proto::wire::hello::ClusterId;
use weft_proto::wire::join::JoinRefusal;
use weft_proto::wire::token::{Token, TokenSecret};

use super::files::Papers;
use super::{Seat, SeatConfig, SeatError, Way, files, greet, seat};
use crate::identity::{Authority, AuthoritySeed, LeafKey};
use crate::membership::thread::Joining;
use crate::mesh::{JoinError, JoinedCluster, Mesh, join};
use crate::storage::Storage;

/// Between two looks at who is there.
const LOOK: Duration = Duration::from_millis(200);

/// Between two attempts to join.
const JOIN_AGAIN: Duration = Duration::from_millis(500);

/// The secret that nodes of a formation join with, when the cluster is there before them. Another one than the authority's
/// seed: who learns this one can join, and not sign.
fn secret_of(secret: &[u8]) -> TokenSecret {
    TokenSecret(Sha256::new_with_prefix(b"weft formation").chain_update(secret).finalize().into())
}

/// The hash by which a cluster knows the nodes of its formation.
pub(super) fn welcome(way: &Way) -> Option<TokenHash> {
    match way {
        Way::Bootstrap { secret, .. } => Some(secret_of(secret).hash()),
        _ => None,
    }
}

/// Asks until there is an answer that will not change.
pub(super) async fn join_until_decided(
    token: &Token,
    node: NodeId,
    key: &LeafKey,
    facts: &MemberFacts,
) -> Result<JoinedCluster, JoinError> {
    loop {
        match join(token, node, key, facts.clone()).await {
            Err(error @ (JoinError::Unreachable(_) | JoinError::Refused(JoinRefusal::NotNow))) => {
                warn!("not in the cluster yet: {error}");
                sleep(JOIN_AGAIN).await;
            }
            decided => return decided,
        }
    }
}

impl SeatConfig {
    /// A node that is a cluster of one already lets the others in.
    pub(super) async fn open_up(&self, secret: &[u8], storage: Storage, now: WallClock) -> Result<Seat, SeatError> {
        let authority = Authority::from_seed(&AuthoritySeed::from_secret(secret)?)?;
        let papers = Papers::under(authority, self.state.id, storage.clone(), now).await?;
        let cluster = ClusterId(rand::random());
        self.settle(&storage, cluster, true).await?;
        info!("this node has a state of its own; the others may join it");
        let (mesh, output) = self.start_mesh(&papers.current, cluster)?;
        Ok(seat(mesh, output, papers, welcome(&self.way), Joining::Found(self.state.epoch_base)))
    }

    /// Finds the others: joins their cluster, or forms one with them.
    pub(super) async fn form(
        &self,
        expect: usize,
        peers: &[String],
        secret: &[u8],
        facts: &MemberFacts,
        storage: Storage,
        now: WallClock,
    ) -> Result<Seat, SeatError> {
        let authority = Authority::from_seed(&AuthoritySeed::from_secret(secret)?)?;
        let trusted = authority.certificate().hash();
        let papers = Papers::under(authority, self.state.id, storage.clone(), now).await?;
        let (mesh, output) = self.start_mesh(&papers.current, ClusterId::NONE)?;
        let welcome = welcome(&self.way);
        let key = LeafKey::draw()?;
        info!(expect, ?peers, "looking for the nodes of the cluster");
        loop {
            let seen = look(&mesh, peers).await;
            let clustered = seen.iter().find(|(_, (_, cluster))| *cluster != ClusterId::NONE);
            if let Some((_, (address, _))) = clustered {
                let secret = secret_of(secret);
                let token = Token { secret, authority: trusted, addresses: vec![address.clone()] };
                match join(&token, self.state.id, &key, facts.clone()).await {
                    Ok(joined) => {
                        files::keep_members(&storage, &joined.members).await?;
                        self.settle(&storage, joined.cluster, false).await?;
                        mesh.set_cluster(joined.cluster);
                        greet(&mesh, joined.members.clone());
                        info!("the cluster has let this node in");
                        return Ok(seat(mesh, output, papers, welcome, Joining::LetIn).among(joined.members));
                    }
                    Err(error @ JoinError::Refused(refusal)) if refusal != JoinRefusal::NotNow => {
                        return Err(error.into());
                    }
                    Err(error) => debug!(%error, "not yet"),
                }
            } else if seen.len() >= expect && is_founder(self.state.id, &seen) {
                let cluster = ClusterId(rand::random());
                let members: Vec<(NodeId, String)> =
                    seen.into_iter().map(|(node, (address, _))| (node, address)).collect();
                // First: started again, it founds the same cluster with the same voters.
                files::keep_members(&storage, &members).await?;
                self.settle(&storage, cluster, true).await?;
                mesh.set_cluster(cluster);
                greet(&mesh, members.clone());
                info!("all nodes are here; this one founds the cluster");
                let joining = Joining::Found(self.state.epoch_base);
                return Ok(seat(mesh, output, papers, welcome, joining).among(members));
            }
            sleep(LOOK).await;
        }
    }
}

type Seen = BTreeMap<NodeId, (String, ClusterId)>;

/// Of nodes that all see each other the one with the lowest id founds. That all are there is what keeps it one.
fn is_founder(me: NodeId, seen: &Seen) -> bool {
    seen.first_key_value().is_some_and(|(first, _)| *first == me)
}

/// Who is at the addresses, itself included.
async fn look(mesh: &Mesh, peers: &[String]) -> Seen {
    let asked = peers.iter().map(|address| async move { (address.clone(), mesh.acquaint(address).await) });
    let mut seen = Seen::new();
    for (address, answer) in futures_util::future::join_all(asked).await {
        match answer {
            Ok(hello) => drop(seen.insert(hello.node, (address, hello.cluster))),
            Err(refusal) => debug!(%address, %refusal, "not there"),
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_all_founds() {
        let seen: Seen = [3, 5, 9].map(|id| (NodeId(id), (String::new(), ClusterId::NONE))).into();
        let founders = [3, 5, 9].into_iter().filter(|id| is_founder(NodeId(*id), &seen));
        assert_eq!(founders.collect::<Vec<_>>(), [3]);
    }
}
