//! How a node without certificate joins: one message there, one back, over the protocol `weft-join/1`.
//!
//! The newcomer knows the cluster by the hash of its authority's certificate, the cluster knows the newcomer by the token's
//! secret. Whether it may come in is decided above; here is only the door, which lets few knock at a time.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use quinn::{ClientConfig, Connection, Endpoint};
use tokio::sync::oneshot;
use tokio::time::timeout;
use weft_proto::limits::{JOIN_ANSWER_BYTES_MAX, JOIN_REQUEST_BYTES_MAX};
use weft_proto::wire::entry::{MemberFacts, NodeId};
use weft_proto::wire::hello::ClusterId;
use weft_proto::wire::join::{JoinAnswer, JoinAsk, JoinRefusal, JoinRequest};
use weft_proto::wire::token::Token;

use super::control::{HELLO_DEADLINE, resolve, transport};
use super::hello::{read_body, read_head};
use super::refusal::{End, Refusal};
use super::{Shared, tls};
use crate::identity::{CaCertificate, IdentityError, Leaf, LeafKey, is_pinned};
use crate::limits::{COMPLAINTS_MAX, JOINS_BURST, JOINS_PER_ADDRESS_BURST, JOINS_PER_SECOND, NEWCOMER_DEADLINE};

/// Somebody wants to join.
#[derive(Debug)]
pub struct JoinAsked {
    /// What it says.
    pub request: JoinRequest,
    /// Where it is.
    pub from: SocketAddr,
    /// Where the answer goes, within five seconds.
    pub reply: oneshot::Sender<JoinAnswer>,
}

/// All that a node needs that has joined. It goes to disk before the node's mesh is started.
#[derive(Debug)]
pub struct JoinedCluster {
    /// Its key and certificate.
    pub leaf: Leaf,
    /// Whom it trusts.
    pub authority: CaCertificate,
    /// Which cluster it is in.
    pub cluster: ClusterId,
    /// The members and where they are.
    pub members: Vec<(NodeId, String)>,
}

/// Why a node has not joined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The cluster does not let it in.
    #[error("{0}")]
    Refused(JoinRefusal),
    /// Nobody could be asked: the last reason.
    #[error("no node of the cluster can be asked: it {0}")]
    Unreachable(Refusal),
    /// What answered has another authority than the token names: it is another cluster, or somebody in between.
    #[error("the node that answers is not of the cluster that the token names")]
    OtherCluster,
    /// The answer was none.
    #[error("the answer cannot be read")]
    BadAnswer,
    /// This machine has no more sockets or no network.
    #[error("cannot open a socket: {0}")]
    Socket(String),
    /// The certificate does not fit.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// Asks the nodes that a token names, one after the other, to be let in under an id that was drawn for this. Whoever has
/// lost the answer gets it again with the same key, and only with that.
pub async fn join(token: &Token, node: NodeId, key: &LeafKey, facts: MemberFacts) -> Result<JoinedCluster, JoinError> {
    let request = JoinRequest { secret: token.secret.0, node, csr: key.request()?, facts };
    let ask = JoinAsk::Join(request).encode();
    let config = tls::newcomer(token.authority).and_then(tls::quic_client);
    let mut config = ClientConfig::new(config.map_err(|error| JoinError::Socket(error.to_string()))?);
    config.transport_config(transport());
    let mut last = JoinError::Unreachable(Refusal::Deadline);
    for address in &token.addresses {
        for found in resolve(address, HELLO_DEADLINE).await {
            match ask_one(&config, found, &ask).await {
                Ok(JoinAnswer::Joined(joined)) => {
                    if !is_pinned(&joined.authority, &token.authority) {
                        return Err(JoinError::OtherCluster);
                    }
                    let authority = CaCertificate::from_der(joined.authority.into())?;
                    let leaf = key.certified(joined.certificate.into())?;
                    if leaf.node() != node {
                        return Err(IdentityError::BadCertificate.into());
                    }
                    return Ok(JoinedCluster { leaf, authority, cluster: joined.cluster, members: joined.members });
                }
                // Another node may know more.
                Ok(JoinAnswer::Refused(refusal @ JoinRefusal::NotNow)) => last = JoinError::Refused(refusal),
                Ok(JoinAnswer::Refused(refusal)) => return Err(JoinError::Refused(refusal)),
                Err(error) => last = error,
            }
        }
    }
    Err(last)
}

async fn ask_one(config: &ClientConfig, address: SocketAddr, ask: &[u8]) -> Result<JoinAnswer, JoinError> {
    let any = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { IpAddr::from(Ipv6Addr::UNSPECIFIED) };
    let socket = |error: io::Error| JoinError::Socket(error.to_string());
    let endpoint = Endpoint::client(SocketAddr::new(any, 0)).map_err(socket)?;
    // Some name must be asked for; the verifier takes the one that the certificate has.
    let connecting = endpoint.connect_with(config.clone(), address, "node");
    let connecting = connecting.map_err(|_| JoinError::Unreachable(Refusal::Handshake))?;
    let connection = match timeout(CONNECT_DEADLINE, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) if Refusal::of_handshake(&error) == Refusal::Certificate => return Err(JoinError::OtherCluster),
        Ok(Err(error)) => return Err(JoinError::Unreachable(Refusal::of_handshake(&error))),
        Err(_) => return Err(JoinError::Unreachable(Refusal::Deadline)),
    };
    let answer = timeout(ANSWER_DEADLINE, exchange(&connection, ask)).await;
    End::Done.close(&connection);
    // The close is worth a moment: the other side would wait for it.
    let _ = timeout(CLOSE_DEADLINE, endpoint.wait_idle()).await;
    match answer {
        Ok(answer) => answer,
        Err(_) => Err(JoinError::Unreachable(Refusal::Deadline)),
    }
}

async fn exchange(connection: &Connection, ask: &[u8]) -> Result<JoinAnswer, JoinError> {
    let why = || {
        let error = connection.close_reason();
        error.and_then(|error| Refusal::said_by(&error)).map_or(JoinError::BadAnswer, JoinError::Unreachable)
    };
    let (mut send, mut receive) = connection.open_bi().await.map_err(|_| why())?;
    send.write_all(ask).await.map_err(|_| why())?;
    send.finish().map_err(|_| why())?;
    let head = read_head(&mut receive, |_| JOIN_ANSWER_BYTES_MAX).await.ok_or_else(why)?;
    let frame = read_body(&mut receive, head).await.ok_or_else(why)?;
    JoinAnswer::decode(&frame).ok().flatten().ok_or(JoinError::BadAnswer)
}

/// Hears one who knocks. Only this connection's one stream is looked at.
pub(super) async fn hear(shared: &Arc<Shared>, connection: &Connection, from: SocketAddr) -> Result<(), Refusal> {
    if !shared.gate.admits(from.ip(), Instant::now()) {
        return Err(Refusal::TooMany);
    }
    let ask = async {
        let (answer, mut ask) = connection.accept_bi().await.map_err(|_| Refusal::BadRequest)?;
        let head = read_head(&mut ask, |_| JOIN_REQUEST_BYTES_MAX).await.ok_or(Refusal::BadRequest)?;
        let frame = read_body(&mut ask, head).await.ok_or(Refusal::BadRequest)?;
        match JoinAsk::decode(&frame) {
            Ok(Some(JoinAsk::Join(request))) => Ok((answer, request)),
            Ok(None) | Err(_) => Err(Refusal::BadRequest),
        }
    };
    let (mut to, request) = timeout(NEWCOMER_DEADLINE, ask).await.unwrap_or(Err(Refusal::Deadline))?;
    tracing::info!(node = %request.node, name = ?request.facts.name, %from, "a node wants to join");
    let (reply, decided) = oneshot::channel();
    let answer = match shared.joins.try_send(JoinAsked { request, from, reply }) {
        Ok(()) => timeout(NEWCOMER_DEADLINE, decided).await.ok().and_then(Result::ok),
        Err(_) => None,
    };
    let answer = answer.unwrap_or(JoinAnswer::Refused(JoinRefusal::NotNow)).encode();
    let told = async {
        to.write_all(&answer).await.ok()?;
        to.finish().ok()?;
        Some(connection.closed().await)
    };
    // A newcomer that does not listen has to ask again.
    let _ = timeout(NEWCOMER_DEADLINE, told).await;
    Ok(())
}

/// How many may knock: so many a second from each address, and so many in all. Members do not come here.
#[derive(Debug)]
pub(super) struct Gate(Mutex<Buckets>);

#[derive(Debug)]
struct Buckets {
    all: Bucket,
    by_address: BTreeMap<IpAddr, Bucket>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Gate {
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(Buckets { all: Bucket { tokens: JOINS_BURST, at: now }, by_address: BTreeMap::new() }))
    }

    fn admits(&self, from: IpAddr, now: Instant) -> bool {
        let Buckets { all, by_address } = &mut *self.0.lock();
        // A full bucket says nothing.
        by_address.retain(|_, bucket| bucket.refill(JOINS_PER_ADDRESS_BURST, now) < JOINS_PER_ADDRESS_BURST);
        if by_address.len() >= COMPLAINTS_MAX && !by_address.contains_key(&from) {
            return false;
        }
        let own = by_address.entry(from).or_insert(Bucket { tokens: JOINS_PER_ADDRESS_BURST, at: now });
        all.refill(JOINS_BURST, now);
        let is_admitted = own.tokens >= 1.0 && all.tokens >= 1.0;
        if is_admitted {
            own.tokens -= 1.0;
            all.tokens -= 1.0;
        }
        is_admitted
    }
}

impl Bucket {
    fn refill(&mut self, most: f64, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + since * JOINS_PER_SECOND).min(most);
        self.at = now;
        self.tokens
    }
}

/// A node that is down costs so much until the next is asked.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// The cluster has five seconds to read, and five to decide.
const ANSWER_DEADLINE: Duration = Duration::from_secs(12);
const CLOSE_DEADLINE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_knock_so_often_and_all_together_too() {
        let start = Instant::now();
        let gate = Gate::new(start);
        let address = |n: u8| IpAddr::from([10, 0, 0, n]);
        let knock = |n: u8, at: Instant| (0..1000).filter(|_| gate.admits(address(n), at)).count();
        assert_eq!(knock(1, start), 8);
        assert_eq!(knock(1, start + Duration::from_secs(1)), 4);
        let all: usize = (2..200).map(|n| knock(n, start + Duration::from_secs(1))).sum();
        assert_eq!(all, 24);
        assert_eq!(knock(1, start + Duration::from_secs(60)), 8);
        assert_eq!(gate.0.lock().by_address.len(), 1, "who has not knocked for long is forgotten");
    }
}
