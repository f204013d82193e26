//! Who may do what, asked by every door in the same words.
//!
//! A door turns what its protocol brings into an [`AuthRequest`] and acts on the [`Decision`]. An [`Authenticator`] knows
//! users; it knows no protocol, and no header. Digest, whose proof can be checked only by whoever has the password, passes
//! through as [`Credentials::Proof`].

pub mod web;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use subtle::ConstantTimeEq;
use weft_proto::id::PathName;

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Feed a path.
    Publish,
    /// Take from a path.
    Read,
    /// Take a recording.
    Playback,
    /// Use the HTTP API.
    Api,
    /// Read metrics.
    Metrics,
    /// Read profiles.
    Pprof,
}

/// Through which door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// RTSP.
    Rtsp,
    /// RTSPS.
    Rtsps,
    /// RTMP.
    Rtmp,
    /// RTMPS.
    Rtmps,
    /// HLS.
    Hls,
    /// WebRTC.
    Webrtc,
    /// SRT.
    Srt,
    /// Media over QUIC.
    Moq,
    /// API, metrics, profiles and playback.
    Http,
}

/// A question to the authenticator.
#[derive(Clone, Debug)]
pub struct AuthRequest<'a> {
    /// What is wanted.
    pub action: Action,
    /// Of which path, if the action is about one.
    pub path: Option<&'a PathName>,
    /// What follows `?` in the URL, without it; empty if nothing does.
    pub query: &'a str,
    /// Through which door.
    pub protocol: Protocol,
    /// Who asks.
    pub peer: SocketAddr,
    /// What they show, if anything.
    pub credentials: Option<Credentials<'a>>,
}

/// What somebody shows.
#[derive(Clone)]
pub enum Credentials<'a> {
    /// A name and a password, in clear.
    Password {
        /// Name.
        user: &'a str,
        /// Password.
        password: &'a str,
    },
    /// A token.
    Token(&'a str),
    /// A name and a proof of knowing the password.
    Proof {
        /// Name.
        user: &'a str,
        /// Checks a password.
        proof: &'a dyn Proof,
    },
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, .. } => write!(f, "Password {{ user: {user:?}, password: <redacted> }}"),
            Self::Token(_) => f.write_str("Token(<redacted>)"),
            Self::Proof { user, .. } => write!(f, "Proof {{ user: {user:?} }}"),
        }
    }
}

/// A proof of knowing a password without saying it, as in Digest (RFC 7616).
///
/// The door makes it of all that the client sent. Any `Fn(&str) -> bool` is one.
pub trait Proof: Sync {
    /// Whether the proof was made with this password. Compares in constant time, see [`same`].
    fn fits(&self, password: &str) -> bool;
}

impl<F: Fn(&str) -> bool + Sync> Proof for F {
    fn fits(&self, password: &str) -> bool {
        self(password)
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go on, as this user; without a name for nobody in particular.
    Allow {
        /// Name.
        user: Option<Arc<str>>,
    },
    /// Nothing was shown, or it was wrong: ask for credentials, where the protocol can.
    Challenge,
    /// No, whoever it is.
    Deny,
}

/// Decides who may do what.
pub trait Authenticator: Send + Sync {
    /// Answers a question. Does not block: it is asked on worker threads.
    fn check(&self, request: &AuthRequest<'_>) -> Decision;
}

/// What holds without users: everybody may publish, read and play back; only this machine may use API, metrics and profiles.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenMedia;

impl Authenticator for OpenMedia {
    fn check(&self, request: &AuthRequest<'_>) -> Decision {
        match request.action {
            Action::Publish | Action::Read | Action::Playback => Decision::Allow { user: None },
            // A client that came by IPv4 to an IPv6 socket has a mapped address.
            Action::Api | Action::Metrics | Action::Pprof if request.peer.ip().to_canonical().is_loopback() => {
                Decision::Allow { user: None }
            }
            Action::Api | Action::Metrics | Action::Pprof => Decision::Challenge,
        }
    }
}

/// Compares secrets in a time that tells nothing but their lengths.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests;
