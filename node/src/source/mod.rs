//! What all sources that this node pulls have in common: what they are told, how they end, and that they are tried again.
//!
//! A source runs on one worker, in one task, for as long as the node is to pull it. How it speaks to its server is its
//! protocol's; [`keep`] is the loop around that. It is not here that is decided what is pulled: that is the cluster's, and
//! `app` starts and ends the tasks.

pub mod line;
mod retry;
pub mod tls;
mod wire;

use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio::sync::watch;
use url::Url;
use weft_cluster::path::{EndReason, Identity, SessionInfo};
use weft_cluster::{Fabric, PublishError};
use weft_proto::id::PathName;
use weft_proto::media::Tracks;

use crate::config::SourceConfig;
pub use retry::keep;
pub use wire::connect;

/// What is pulled, for which path.
pub struct Pull {
    /// The path.
    pub path: PathName,
    /// From where, with the user's name and password in it.
    pub url: String,
    /// By what rules.
    pub config: SourceConfig,
    /// A server that says nothing for so long is gone.
    pub read_timeout: Duration,
    /// Where the media goes.
    pub fabric: Fabric,
    /// Says when it is enough.
    pub stop: Stop,
}

/// Why a source gives no more media.
#[derive(Debug, thiserror::Error)]
pub enum SourceEnd {
    /// It is not to be pulled any more.
    #[error("it is not to be pulled any more")]
    Stopped,
    /// The fabric has ended it.
    #[error("{}", .0.as_str())]
    Fabric(EndReason),
    /// The fabric does not take it.
    #[error("{0}")]
    Refused(PublishError),
    /// No connection.
    #[error("cannot connect to {host}: {error}")]
    Connect {
        /// Host and port.
        host: String,
        /// Why not.
        error: std::io::Error,
    },
    /// The connection broke.
    #[error("connection failed: {0}")]
    Broken(#[from] std::io::Error),
    /// The server closed it.
    #[error("closed by the server")]
    Closed,
    /// The server has said nothing for too long.
    #[error("timed out: {0}")]
    TimedOut(&'static str),
    /// The server, or what it says, is not as it should be.
    #[error("{0}")]
    Server(String),
}

/// Told when a source is to end.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

/// Ends a source; so does dropping it.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

impl Stopper {
    /// One, and what it stops.
    pub fn new() -> (Self, Stop) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Stop(receiver))
    }

    /// It is enough.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Waits until it is enough.
    pub async fn stopped(&self) {
        // Whoever could have said so is gone: that says it too.
        let _ = self.0.clone().wait_for(|stop| *stop).await;
    }
}

impl Pull {
    /// The source as the fabric describes it.
    pub fn info(&self) -> SessionInfo {
        let identity = Identity { user: String::new(), address: None };
        SessionInfo { kind: self.config.protocol.kind(), id: String::new(), identity }
    }

    /// Does a step that must not take longer than the server may be silent, or be stopped meanwhile.
    pub async fn step<T, E: From<SourceEnd>>(
        &self,
        what: &'static str,
        step: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        tokio::select! {
            biased;
            () = self.stop.stopped() => Err(SourceEnd::Stopped.into()),
            done = tokio::time::timeout(self.read_timeout, step) => {
                done.unwrap_or_else(|_| Err(SourceEnd::TimedOut(what).into()))
            }
        }
    }
}

/// User and password of a URL, decoded; `None` where it has neither.
pub fn login(url: &Url) -> Option<(String, String)> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let has_one = !url.username().is_empty() || url.password().is_some();
    has_one.then(|| (decoded(url.username()), decoded(url.password().unwrap_or_default())))
}

/// The codecs of these tracks, for people.
pub fn labels(tracks: &Tracks) -> String {
    tracks.iter().map(|(_, track)| track.codec.label()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_decoded() {
        let of = |url: &str| login(&Url::parse(url).unwrap());
        let both = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(of("http://host/x"), None);
        assert_eq!(of("http://me:p%40ss+w%26%25@host/x"), both("me", "p@ss+w&%"));
        assert_eq!(of("http://me@host/x"), both("me", ""));
    }
}
