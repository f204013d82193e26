//! Why sessions end.

use std::fmt;
use std::io;

use weft_cluster::path::EndReason;

use super::secure::Broken;

/// Why a session ended.
#[derive(Debug)]
pub(super) enum End {
    /// The browser said so over HTTP.
    Deleted,
    /// It cannot be trusted, or said so by itself.
    Secure(Broken),
    /// No way was found.
    NoWay,
    /// The way was found, and no keys.
    NoKeys,
    /// Nothing comes any more.
    TimedOut(&'static str),
    /// The fabric ended it.
    Fabric(EndReason),
    /// The fabric did not take the publisher.
    Refused(String),
    /// It cannot show what comes.
    Reordered,
    /// The socket failed.
    Broken(io::Error),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deleted => f.write_str("ended by the client"),
            Self::Secure(error) => write!(f, "{error}"),
            Self::NoWay => f.write_str("the client found no way to the UDP port (a firewall, or a missing address)"),
            Self::NoKeys => f.write_str("the client found a way, and did not agree on keys"),
            Self::TimedOut(what) => write!(f, "timed out: {what}"),
            Self::Fabric(reason) => f.write_str(reason.as_str()),
            Self::Refused(why) => write!(f, "publisher refused: {why}"),
            Self::Reordered => f.write_str("the stream has B-frames, which browsers cannot play over WebRTC"),
            Self::Broken(error) => write!(f, "the socket failed: {error}"),
        }
    }
}

impl From<Broken> for End {
    fn from(broken: Broken) -> Self {
        Self::Secure(broken)
    }
}
