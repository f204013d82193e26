//! ICE of an end that is lite (RFC 8445 section 2.5): it has addresses that everybody reaches, so it answers checks and makes
//! none. The other end, which is behind whatever it is behind, finds the way and says which one it is to be. Pure.
//!
//! Nothing is sent to an address from which no authentic check has come; what is sent before is never more than what came. A way
//! on which nothing authentic has been heard for half a minute is not used any more (RFC 7675 section 5.1).

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use crate::time::Now;

use super::description::Credentials;
use super::stun::{Class, Message, Role, TransactionId, Writer};

/// Ways that are remembered: a browser with two families of addresses on three interfaces has six.
const WAYS_MAX: usize = 16;

/// Of this end's questions: it decides nothing by them (RFC 8445 section 7.1.1), and never is in conflict about roles.
const PRIORITY: u32 = 1 << 24;
const TIE: u64 = 0;

/// For so long a way is good after the last check on it (RFC 7675 section 5.1).
const CONSENT: Duration = Duration::from_secs(30);

/// A pair of addresses: this end's and the other's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Way {
    /// This end of it.
    pub from: From,
    /// The other end's address.
    pub to: SocketAddr,
}

/// This machine's end of a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum From {
    /// The UDP port, at this address where that is known.
    Udp(Option<IpAddr>),
    /// A TCP connection, by a number of its own.
    Tcp(u64),
}

/// What came of a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is nobody's check: forged, of another session, or nothing that is answered.
    Nothing,
    /// This is to be sent back.
    Answer(Vec<u8>),
    /// The same, and from now on media takes this way.
    Selected(Vec<u8>),
    /// The same, and the other end wants media to take another way than before: it is to be asked there, see [`LiteAgent::ask`].
    Wanted(Vec<u8>),
    /// It was asked, and has answered: from now on media takes this way.
    Moved,
}

/// One session's end.
#[derive(Clone, Debug)]
pub struct LiteAgent {
    local: Credentials,
    /// Those of the other end, when it has said them.
    remote: Option<Credentials>,
    /// Ways that were proven, and when each was last.
    ways: Vec<(Way, Now)>,
    selected: Option<Way>,
    /// A way that the other end wants next, and the question that was sent there.
    wanted: Option<(Way, TransactionId)>,
}

impl LiteAgent {
    /// An end that has said these credentials, and was told those.
    pub const fn new(local: Credentials, remote: Option<Credentials>) -> Self {
        Self { local, remote, ways: Vec::new(), selected: None, wanted: None }
    }

    /// What this end has said.
    pub const fn local(&self) -> &Credentials {
        &self.local
    }

    /// What the other end has said.
    pub const fn remote(&self) -> Option<&Credentials> {
        self.remote.as_ref()
    }

    /// ICE begins anew with other credentials on both ends (RFC 8445 section 9). The way of before goes on being used until the
    /// other end has selected one.
    pub fn restart(&mut self, local: Credentials, remote: Credentials) {
        (self.local, self.remote) = (local, Some(remote));
        self.ways.retain(|(way, _)| Some(*way) == self.selected);
    }

    /// The way that media takes.
    pub const fn selected(&self) -> Option<Way> {
        self.selected
    }

    /// Whether authentic checks have come on this way, so that things may be sent there.
    pub fn is_proven(&self, way: Way) -> bool {
        self.ways.iter().any(|(known, _)| *known == way)
    }

    /// A check has come. `message` is what [`Message::parse`] gave.
    pub fn hear(&mut self, message: &Message<'_>, way: Way, now: Now) -> Heard {
        if message.class() == Class::Success {
            return self.hear_answer(message, way, now);
        }
        if !self.is_ours(message) {
            return Heard::Nothing;
        }
        let transaction = message.transaction();
        if message.class() == Class::Indication {
            return Heard::Nothing;
        }
        let unknown: Vec<u16> = message.unknown().collect();
        if !unknown.is_empty() {
            return Heard::Answer(Writer::error(&transaction, 420, &unknown).signed(&self.local.password));
        }
        // Who is lite never decides; an end that wants to be told is told so, and decides itself (RFC 8445 section 7.3.1.1).
        if let Some(Role::Controlled(_)) = message.role() {
            return Heard::Answer(Writer::error(&transaction, 487, &[]).signed(&self.local.password));
        }
        self.note(way, now);
        let answer = Writer::success(&transaction, way.to).signed(&self.local.password);
        if !message.nominates() || self.selected == Some(way) {
            return Heard::Answer(answer);
        }
        // Browsers nominate again when they know a better way: the last word counts. But a check shows only that its sender knows
        // the password, not that it is there: whoever writes somebody else's address on one must not have media sent to them.
        if self.selected.is_some() {
            return Heard::Wanted(answer);
        }
        self.selected = Some(way);
        Heard::Selected(answer)
    }

    /// The question to be sent on a way that is wanted. `transaction`: random.
    pub fn ask(&mut self, way: Way, transaction: TransactionId) -> Option<Vec<u8>> {
        let remote = self.remote.as_ref()?;
        self.wanted = Some((way, transaction));
        let names = (remote.ufrag.as_str(), self.local.ufrag.as_str());
        Some(Writer::request(&transaction, names, PRIORITY, Role::Controlled(TIE)).signed(&remote.password))
    }

    /// The answer to the question: whoever sends it has got that, and is there.
    fn hear_answer(&mut self, message: &Message<'_>, way: Way, now: Now) -> Heard {
        let is_asked = self.wanted == Some((way, message.transaction()));
        let is_authentic = self.remote.as_ref().is_some_and(|remote| message.is_authentic(&remote.password));
        if !is_asked || !is_authentic {
            return Heard::Nothing;
        }
        self.wanted = None;
        self.note(way, now);
        self.selected = Some(way);
        Heard::Moved
    }

    /// Whether the other end of this session has written it, now.
    fn is_ours(&self, message: &Message<'_>) -> bool {
        let Some((receiver, sender)) = message.username() else { return false };
        let knows = self.remote.as_ref().is_none_or(|remote| remote.ufrag == sender);
        matches!(message.class(), Class::Request | Class::Indication)
            && receiver == self.local.ufrag
            && knows
            && message.is_authentic(&self.local.password)
    }

    fn note(&mut self, way: Way, now: Now) {
        if let Some((_, at)) = self.ways.iter_mut().find(|(known, _)| *known == way) {
            *at = now;
            return;
        }
        if self.ways.len() >= WAYS_MAX {
            let oldest = self.ways.iter().enumerate().filter(|(_, (way, _))| Some(*way) != self.selected);
            if let Some((place, _)) = oldest.min_by_key(|(_, (_, at))| *at) {
                self.ways.swap_remove(place);
            }
        }
        self.ways.push((way, now));
    }

    /// Forgets ways on which nothing was heard for long; false when the one that media takes is among them: the other end is gone.
    pub fn expire(&mut self, now: Now) -> bool {
        self.ways.retain(|(_, at)| now.since(*at) < CONSENT);
        self.selected.is_none_or(|selected| self.is_proven(selected))
    }
}

#[cfg(test)]
mod tests {
    use super::super::stun::TransactionId;
    use super::*;

    const ID: TransactionId = *b"transaction!";

    fn credentials(name: &str) -> Credentials {
        Credentials { ufrag: name.into(), password: format!("the password of {name}") }
    }

    fn agent() -> LiteAgent {
        LiteAgent::new(credentials("server"), Some(credentials("browser")))
    }

    fn way(port: u16) -> Way {
        Way { from: From::Udp(None), to: SocketAddr::from(([192, 0, 2, 1], port)) }
    }

    fn at(seconds: u64) -> Now {
        Now::from_micros(seconds * 1_000_000)
    }

    fn check() -> Writer {
        Writer::request(&ID, ("server", "browser"), 7, Role::Controlling(1))
    }

    fn hear(agent: &mut LiteAgent, bytes: &[u8], way: Way, now: Now) -> Heard {
        agent.hear(&Message::parse(bytes).unwrap(), way, now)
    }

    fn password() -> String {
        credentials("server").password
    }

    #[test]
    fn the_other_end_finds_the_way_and_says_which_one_it_is() {
        let mut agent = agent();
        let Heard::Answer(answer) = hear(&mut agent, &check().signed(&password()), way(1), at(0)) else { panic!() };
        let answer = Message::parse(&answer).unwrap();
        assert_eq!((answer.class(), answer.mapped_address()), (Class::Success, Some(way(1).to)));
        assert!(answer.is_authentic(&password()) && answer.transaction() == ID);
        assert!(agent.is_proven(way(1)) && !agent.is_proven(way(2)) && agent.selected().is_none());
        let nomination = check().nominating().signed(&password());
        assert!(matches!(hear(&mut agent, &nomination, way(2), at(1)), Heard::Selected(_)));
        assert!(matches!(hear(&mut agent, &nomination, way(2), at(1)), Heard::Answer(_)), "said again");
        assert_eq!(agent.selected(), Some(way(2)));
    }

    #[test]
    fn media_moves_only_to_who_answers_there() {
        let mut agent = agent();
        let nomination = check().nominating().signed(&password());
        hear(&mut agent, &nomination, way(1), at(0));
        assert!(matches!(hear(&mut agent, &nomination, way(2), at(1)), Heard::Wanted(_)), "another one");
        assert_eq!(agent.selected(), Some(way(1)));
        let other: TransactionId = *b"another one!";
        let question = agent.ask(way(2), other).unwrap();
        let question = Message::parse(&question).unwrap();
        assert_eq!(question.username(), Some(("browser", "server")));
        assert!(question.is_authentic(&credentials("browser").password) && !question.nominates());
        let answer = |transaction: &TransactionId, name: &str| {
            Writer::success(transaction, way(9).to).signed(&credentials(name).password)
        };
        for (bytes, from) in [
            (answer(&ID, "browser"), way(2)),
            (answer(&other, "stranger"), way(2)),
            (answer(&other, "browser"), way(1)),
        ] {
            assert_eq!(hear(&mut agent, &bytes, from, at(2)), Heard::Nothing);
        }
        assert_eq!(hear(&mut agent, &answer(&other, "browser"), way(2), at(2)), Heard::Moved);
        assert_eq!(agent.selected(), Some(way(2)));
        assert_eq!(hear(&mut agent, &answer(&other, "browser"), way(2), at(2)), Heard::Nothing, "once");
    }

    #[test]
    fn strangers_are_not_answered() {
        let mut agent = agent();
        let of = |names, password: &str| Writer::request(&ID, names, 7, Role::Controlling(1)).signed(password);
        for bytes in [
            of(("server", "browser"), "a guess"),
            of(("another", "browser"), &password()),
            of(("server", "stranger"), &password()),
            check().unsigned(),
            Writer::success(&ID, way(1).to).signed(&password()),
            Writer::success(&ID, way(1).to).signed(&credentials("browser").password),
        ] {
            assert_eq!(hear(&mut agent, &bytes, way(1), at(0)), Heard::Nothing);
        }
        assert!(!agent.is_proven(way(1)));
    }

    #[test]
    fn an_answer_is_no_longer_than_the_check() {
        let mut agent = agent();
        let check = check().signed(&password());
        let v6 = Way { from: From::Udp(None), to: "[2001:db8::1]:5000".parse().unwrap() };
        for way in [way(1), v6] {
            let Heard::Answer(answer) = hear(&mut agent, &check, way, at(0)) else { panic!() };
            assert!(answer.len() <= check.len(), "{} for {}", answer.len(), check.len());
        }
    }

    #[test]
    fn an_end_that_wants_to_be_told_is_told_to_decide() {
        let mut agent = agent();
        let check = Writer::request(&ID, ("server", "browser"), 7, Role::Controlled(1)).signed(&password());
        let Heard::Answer(answer) = hear(&mut agent, &check, way(1), at(0)) else { panic!() };
        assert_eq!(Message::parse(&answer).unwrap().error(), Some(487));
        assert!(!agent.is_proven(way(1)));
    }

    #[test]
    fn a_way_is_good_for_half_a_minute() {
        let mut agent = agent();
        let nomination = check().nominating().signed(&password());
        hear(&mut agent, &nomination, way(1), at(0));
        assert!(agent.expire(at(29)));
        hear(&mut agent, &check().signed(&password()), way(1), at(29));
        assert!(agent.expire(at(58)) && !agent.expire(at(60)));
    }

    #[test]
    fn media_goes_on_over_a_restart_until_a_way_is_selected() {
        let mut agent = agent();
        let nomination = check().nominating().signed(&password());
        hear(&mut agent, &nomination, way(1), at(0));
        hear(&mut agent, &check().signed(&password()), way(2), at(0));
        agent.restart(credentials("server2"), credentials("browser2"));
        assert_eq!((agent.selected(), agent.is_proven(way(1)), agent.is_proven(way(2))), (Some(way(1)), true, false));
        assert_eq!(hear(&mut agent, &nomination, way(2), at(1)), Heard::Nothing, "with the old ones");
        let again = Writer::request(&ID, ("server2", "browser2"), 7, Role::Controlling(1)).nominating();
        let again = again.signed(&credentials("server2").password);
        assert!(matches!(hear(&mut agent, &again, way(3), at(1)), Heard::Wanted(_)));
    }

    #[test]
    fn whoever_tries_many_ways_makes_it_remember_few() {
        let mut agent = agent();
        let nomination = check().nominating().signed(&password());
        hear(&mut agent, &nomination, way(1), at(0));
        let check = check().signed(&password());
        for port in 2..1000 {
            hear(&mut agent, &check, way(port), at(1));
        }
        assert_eq!(agent.ways.len(), WAYS_MAX);
        assert!(agent.is_proven(way(1)) && agent.is_proven(way(999)));
    }
}
