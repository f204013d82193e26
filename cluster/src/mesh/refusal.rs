//! Why somebody is not talked to: said to it, counted, and logged once a second for each address.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use quinn::{ApplicationClose, Connection, ConnectionError, VarInt};

use crate::limits::COMPLAINTS_MAX;

/// Why a connection was refused or closed. The numbers are the close codes on the wire and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
#[repr(u8)]
pub enum Refusal {
    /// It took too long to say who it is.
    #[error("said nothing in time")]
    Deadline = 1,
    /// Its first words were none.
    #[error("does not speak this language")]
    BadHello = 2,
    /// A control connection without a certificate.
    #[error("showed no certificate")]
    NoCertificate = 3,
    /// Its certificate is another cluster's, another node's, or its time is over.
    #[error("has no valid certificate of this cluster")]
    Certificate = 4,
    /// TLS or QUIC failed otherwise.
    #[error("the handshake failed")]
    Handshake = 5,
    /// It is of another cluster, although of the same authority.
    #[error("belongs to another cluster")]
    Cluster = 6,
    /// It is not, or not any more, a member.
    #[error("is no member")]
    NotAMember = 7,
    /// A later process of the same node is known.
    #[error("is an earlier process of a node that has been started again")]
    OlderIncarnation = 8,
    /// It has this node's own id.
    #[error("has this node's own id")]
    OwnId = 9,
    /// Another process of the same node and incarnation is connected.
    #[error("is a second process of a node that is connected")]
    SecondProcess = 10,
    /// There is no level that both speak.
    #[error("speaks no level that this node speaks")]
    Level = 11,
    /// Both dialed at the same time; the other connection is kept.
    #[error("is being dialed")]
    Simultaneous = 12,
    /// There are too many newcomers.
    #[error("came while there were too many")]
    TooMany = 13,
    /// A request or what should have been one could not be read.
    #[error("sent a request that cannot be read")]
    BadRequest = 14,
    /// A lifeline of a process that is not connected.
    #[error("has no connection that belongs to its lifeline")]
    NoConnection = 15,
    /// It was a member, and never will be again.
    #[error("was removed from the cluster")]
    Removed = 16,
}

/// Ends of connections that are no refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum End {
    /// The node is shut down in an orderly way.
    Leaving = 32,
    /// A newer connection of the pair has taken its place.
    Replaced = 33,
    /// All has been said.
    Done = 34,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Deadline,
        Self::BadHello,
        Self::NoCertificate,
        Self::Certificate,
        Self::Handshake,
        Self::Cluster,
        Self::NotAMember,
        Self::OlderIncarnation,
        Self::OwnId,
        Self::SecondProcess,
        Self::Level,
        Self::Simultaneous,
        Self::TooMany,
        Self::BadRequest,
        Self::NoConnection,
        Self::Removed,
    ];

    pub(super) fn close(self, connection: &Connection) {
        connection.close(VarInt::from_u32(self as u32), self.to_string().as_bytes());
    }

    /// What the other side said when it closed, if it did.
    pub(super) fn said_by(error: &ConnectionError) -> Option<Self> {
        let ConnectionError::ApplicationClosed(ApplicationClose { error_code, .. }) = error else { return None };
        Self::ALL.into_iter().find(|one| u64::from(*one as u8) == error_code.into_inner())
    }

    /// What it was that ended a handshake.
    pub(super) fn of_handshake(error: &ConnectionError) -> Self {
        let code = match error {
            ConnectionError::TransportError(error) => u64::from(error.code),
            ConnectionError::ConnectionClosed(close) => u64::from(close.error_code),
            ConnectionError::TimedOut => return Self::Deadline,
            _ => return Self::Handshake,
        };
        // RFC 9001 section 4.8: 0x100 and the alert of TLS. 42 to 48 and 116 are about certificates (RFC 8446 section 6.2), and
        // so is 51 here: every cluster's authority has the same name, so that another's signature is a bad one.
        let is_certificate = matches!(code.wrapping_sub(0x100), 42..=48 | 51 | 116);
        if is_certificate { Self::Certificate } else { Self::Handshake }
    }
}

impl End {
    pub(super) fn close(self, connection: &Connection) {
        connection.close(VarInt::from_u32(self as u32), b"");
    }

    pub(super) fn is(self, error: &ConnectionError) -> bool {
        matches!(error, ConnectionError::ApplicationClosed(close) if close.error_code == VarInt::from_u32(self as u32))
    }
}

/// Counts refusals, and logs them so that nobody can fill the log.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    counts: [AtomicU64; Refusal::ALL.len()],
    logged: Mutex<BTreeMap<IpAddr, Instant>>,
}

impl Complaints {
    pub(super) fn note(&self, refusal: Refusal, from: SocketAddr, about: &str) {
        if let Some(count) = self.counts.get(usize::from(refusal as u8 - 1)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        // Happens whenever two nodes start together, and is nobody's fault.
        if refusal != Refusal::Simultaneous && self.may_log(from.ip().to_canonical(), Instant::now()) {
            tracing::warn!(%from, about, "refused a connection of the cluster: it {refusal}");
        }
    }

    pub(super) fn counts(&self) -> BTreeMap<Refusal, u64> {
        Refusal::ALL.into_iter().zip(self.counts.iter().map(|count| count.load(Ordering::Relaxed))).collect()
    }

    fn may_log(&self, from: IpAddr, now: Instant) -> bool {
        let mut logged = self.logged.lock();
        logged.retain(|_, at| now.duration_since(*at) < LOG_EVERY);
        let is_new = !logged.contains_key(&from) && logged.len() < COMPLAINTS_MAX;
        if is_new {
            logged.insert(from, now);
        }
        is_new
    }
}

const LOG_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_is_logged_once_a_second_and_not_too_many_are() {
        let complaints = Complaints::default();
        let start = Instant::now();
        let address = |n: u32| IpAddr::from(n.to_be_bytes());
        assert!(complaints.may_log(address(1), start));
        assert!(!complaints.may_log(address(1), start + Duration::from_millis(999)));
        assert!(complaints.may_log(address(1), start + Duration::from_millis(1001)));
        let logged = (0..10_000).filter(|n| complaints.may_log(address(1000 + n), start + LOG_EVERY)).count();
        assert_eq!(logged, COMPLAINTS_MAX - 1);
    }

    #[test]
    fn every_refusal_is_counted_in_its_own_place() {
        let complaints = Complaints::default();
        for (times, refusal) in Refusal::ALL.into_iter().enumerate() {
            for _ in 0..times {
                complaints.note(refusal, SocketAddr::from(([127, 0, 0, 1], 1)), "a test");
            }
        }
        let expected: Vec<u64> = (0..Refusal::ALL.len() as u64).collect();
        assert_eq!(complaints.counts().into_values().collect::<Vec<_>>(), expected);
    }
}
