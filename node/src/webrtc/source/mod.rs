//! WHEP sources: streams that this node plays from another server by WebRTC.
//!
//! [`http`] offers a session and ends it; [`peer`] is the connection, of the crate `webrtc`; [`codecs`] is what is offered;
//! [`intake`] publishes what comes, as a publisher's. All of it runs on one worker; the connection has a task of its own there,
//! and its packets come over a bounded channel.

mod codecs;
mod http;
mod intake;
mod peer;

use std::convert::Infallible;
use std::time::Duration;

use tracing::debug;
use url::Url;
use weft_proto::webrtc::description;

use self::http::{Answered, Server};
use self::peer::Peer;
use crate::source::{Pull, SourceEnd};

/// Time for the last request.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// Pulls until it ends; says why it did.
pub async fn pull(pull: &Pull) -> SourceEnd {
    match run(pull).await {
        Err(end) => end,
        Ok(never) => match never {},
    }
}

async fn run(pull: &Pull) -> Result<Infallible, SourceEnd> {
    let url = over_http(&pull.url)?;
    let mut server = Server::of(pull, &url);
    let ice_servers = server.ice_servers(&url).await?;
    let mut peer = Peer::new(server.local(), ice_servers).await.map_err(failed)?;
    let gather_timeout = pull.config.whep.gather_timeout;
    let offer = tokio::select! {
        biased;
        () = pull.stop.stopped() => return Err(SourceEnd::Stopped),
        offer = peer.offer(gather_timeout) => offer.map_err(failed)?,
    };
    let Answered { sdp, resource } = server.offer(&url, &offer).await?;
    let ended = session(pull, &mut peer, &sdp).await;
    let goodbye = async {
        peer.close().await;
        if let Some(resource) = &resource {
            server.end(resource).await;
        }
    };
    let _ = tokio::time::timeout(LAST_WORDS, goodbye).await;
    ended
}

/// From the answer on.
async fn session(pull: &Pull, peer: &mut Peer, sdp: &[u8]) -> Result<Infallible, SourceEnd> {
    let answer = description::parse(sdp).map_err(|error| SourceEnd::Server(format!("the server's answer: {error}")))?;
    let text = String::from_utf8_lossy(sdp).into_owned();
    peer.answer(text).await.map_err(|error| SourceEnd::Server(format!("the server's answer: {error}")))?;
    let connected = tokio::select! {
        biased;
        () = pull.stop.stopped() => return Err(SourceEnd::Stopped),
        connected = tokio::time::timeout(pull.config.whep.handshake_timeout, peer.connected()) => connected,
    };
    match connected {
        Ok(true) => {}
        Ok(false) => return Err(SourceEnd::Server("no way to the server, or no keys agreed with it".into())),
        Err(_) => return Err(SourceEnd::TimedOut("no way to the server's UDP port")),
    }
    debug!(path = %pull.path, "WebRTC source connected");
    let gathered = intake::gather(pull, peer, &answer).await?;
    intake::publish(pull, peer, gathered).await
}

/// `whep://` and `wheps://` are names for what is asked for by `http://` and `https://`.
fn over_http(url: &str) -> Result<Url, SourceEnd> {
    let plain = url.strip_prefix("whep://").map(|rest| format!("http://{rest}"));
    let url = plain.or_else(|| url.strip_prefix("wheps://").map(|rest| format!("https://{rest}"))).unwrap_or_default();
    Url::parse(&url).map_err(|error| SourceEnd::Server(format!("the URL makes no sense: {error}")))
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` gives it")]
fn failed(error: webrtc::error::Error) -> SourceEnd {
    SourceEnd::Server(format!("no session can be offered: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whep_is_asked_for_over_http() {
        let of = |url: &str| over_http(url).map(|url| url.to_string()).unwrap_or_default();
        assert_eq!(of("whep://me:x@host:8889/cam/whep?a=b"), "http://me:x@host:8889/cam/whep?a=b");
        assert_eq!(of("wheps://host/cam/whep"), "https://host/cam/whep");
        assert_eq!(of("whep://"), "");
    }
}
