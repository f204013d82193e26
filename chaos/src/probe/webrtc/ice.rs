//! ICE of the end that decides (RFC 8445): it checks the server's addresses, wants the first one that answers, and goes on checking
//! that one for consent (RFC 7675). Pure but for chance.

use std::net::SocketAddr;

use rand::RngExt;
use weft_proto::webrtc::description::Credentials;
use weft_proto::webrtc::stun::{Class, Message, Role, TransactionId, Writer};

/// Of an address that the other end finds by our check (RFC 8445 section 5.1.2.1): type preference 110, the only one.
const PRIORITY: u32 = 110 << 24 | 0xffff << 8 | 255;

/// What came of a datagram.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It is no message of this session.
    Nothing,
    /// The other end checks us: this is to be sent back.
    Check(Vec<u8>),
    /// It has answered a check of ours.
    Proof,
    /// It has refused one, with this code.
    Refusal(u16),
}

/// One session's end.
#[derive(Debug)]
pub(super) struct Agent {
    local: Credentials,
    remote: Credentials,
    tie: u64,
    /// The first bytes of each transaction; a count follows.
    mark: [u8; 4],
    checks: u64,
}

/// Credentials that nobody guesses (RFC 8445 section 5.3).
pub(super) fn credentials() -> Credentials {
    let mut random = rand::rng();
    let mut text = |length: usize| -> String {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        (0..length).map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())])).collect()
    };
    Credentials { ufrag: text(8), password: text(24) }
}

impl Agent {
    pub(super) fn new(local: Credentials, remote: Credentials) -> Self {
        let mut random = rand::rng();
        Self { local, remote, tie: random.random(), mark: random.random(), checks: 0 }
    }

    /// A check that wants this way to be the one. Browsers ask for that in each.
    pub(super) fn check(&mut self) -> Vec<u8> {
        let mut transaction: TransactionId = [0; 12];
        transaction[..4].copy_from_slice(&self.mark);
        transaction[4..].copy_from_slice(&self.checks.to_be_bytes());
        self.checks += 1;
        let names = (self.remote.ufrag.as_str(), self.local.ufrag.as_str());
        let check = Writer::request(&transaction, names, PRIORITY, Role::Controlling(self.tie));
        check.nominating().signed(&self.remote.password)
    }

    /// A STUN message has come from `from`.
    pub(super) fn hear(&self, datagram: &[u8], from: SocketAddr) -> Heard {
        let Some(message) = Message::parse(datagram) else { return Heard::Nothing };
        let transaction = message.transaction();
        let (mark, count) = transaction.split_at(4);
        let is_own = mark == self.mark && count < &self.checks.to_be_bytes()[..];
        match message.class() {
            Class::Request if self.is_for_us(&message) => {
                Heard::Check(Writer::success(&transaction, from).signed(&self.local.password))
            }
            Class::Success if is_own && message.is_authentic(&self.remote.password) => Heard::Proof,
            Class::Error if is_own => Heard::Refusal(message.error().unwrap_or_default()),
            _ => Heard::Nothing,
        }
    }

    fn is_for_us(&self, message: &Message<'_>) -> bool {
        let names = Some((self.local.ufrag.as_str(), self.remote.ufrag.as_str()));
        message.username() == names && message.is_authentic(&self.local.password)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_proto::time::Now;
    use weft_proto::webrtc::ice::{From, Heard as Server, LiteAgent, Way};

    fn pair() -> (Agent, LiteAgent) {
        let (ours, theirs) = (credentials(), credentials());
        (Agent::new(ours.clone(), theirs.clone()), LiteAgent::new(theirs, Some(ours)))
    }

    fn here() -> SocketAddr {
        "192.0.2.1:5000".parse().unwrap()
    }

    #[test]
    fn the_first_answer_proves_the_way() {
        let (mut agent, mut server) = pair();
        let check = agent.check();
        let way = Way { from: From::Udp(None), to: here() };
        let heard = server.hear(&Message::parse(&check).unwrap(), way, Now::from_micros(1));
        let Server::Selected(answer) = heard else { panic!("not nominated") };
        assert_eq!(agent.hear(&answer, here()), Heard::Proof);
        assert_eq!(
            Agent::new(credentials(), credentials()).hear(&answer, here()),
            Heard::Nothing,
            "of another session"
        );
        assert_eq!(agent.hear(&check, here()), Heard::Nothing, "our own check, come back");
    }

    #[test]
    fn a_server_that_checks_is_answered() {
        let (ours, theirs) = (credentials(), credentials());
        let (agent, mut server) = (Agent::new(ours.clone(), theirs.clone()), Agent::new(theirs, ours));
        let Heard::Check(answer) = agent.hear(&server.check(), here()) else { panic!("not answered") };
        assert_eq!(server.hear(&answer, here()), Heard::Proof);
        assert_eq!(agent.hear(&Agent::new(credentials(), credentials()).check(), here()), Heard::Nothing);
    }

    #[test]
    fn a_refusal_is_told_with_its_code() {
        let (mut agent, _) = pair();
        let transaction = Message::parse(&agent.check()).unwrap().transaction();
        assert_eq!(agent.hear(&Writer::error(&transaction, 401, &[]).unsigned(), here()), Heard::Refusal(401));
        assert_eq!(agent.hear(&Writer::error(b"of another !", 401, &[]).unsigned(), here()), Heard::Nothing);
    }
}
