//! Synthetic publishers and measuring readers.
//!
//! A publisher makes units that say who they are and when they were sent ([`stamp`]); a reader looks for that and
//! measures without decoding. Between them stands any media server. What a protocol does is behind [`door`]: a
//! [`door::Sink`] takes units, a [`door::Seat`] is a connection from which a reader thread takes packets.

pub mod aac;
pub mod clock;
pub mod door;
pub mod h264;
pub mod hls;
pub mod publisher;
pub mod reader;
pub mod rtmp;
pub mod rtp;
pub mod rtsp;
pub mod stamp;
mod sys;
pub mod webrtc;

use std::io;
use std::net::SocketAddr;

/// Why a probe could not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// The URL is not one we can use.
    #[error("{url}: {reason}")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Nobody answered.
    #[error("connect to {addr}: {source}")]
    Connect {
        /// Whom we called.
        addr: String,
        /// What came of it.
        source: io::Error,
    },
    /// The server said no.
    #[error("{method} {url}: server answered {status} {reason}")]
    Refused {
        /// Our request.
        method: &'static str,
        /// Its URL.
        url: String,
        /// The code.
        status: u16,
        /// The words beside it.
        reason: String,
    },
    /// The server's answer makes no sense to us.
    #[error("{peer}: {what}")]
    Protocol {
        /// The server.
        peer: SocketAddr,
        /// What is wrong.
        what: &'static str,
    },
    /// A session did not come about.
    #[error("{peer}: {what}")]
    Session {
        /// The server.
        peer: SocketAddr,
        /// What is wrong.
        what: String,
    },
    /// A socket failed.
    #[error("{what}: {source}")]
    Io {
        /// What we were doing.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

impl ProbeError {
    pub(crate) const fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}
