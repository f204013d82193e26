//! HTTP over the way that all sources have to their servers: hyper on top of [`connect`](super::connect).

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HeaderValue;
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;
use url::{Origin, Url};

use super::{Pull, SourceEnd, connect, login};
use crate::limits::HTTP_HEAD_BYTES_MAX;
use crate::worker::tcp::Wire;

/// What servers are told of who asks.
pub const AGENT: &str = concat!("weft/", env!("CARGO_PKG_VERSION"));

/// A connection to a server.
pub struct Line {
    /// To which.
    pub origin: Origin,
    /// This node's address on it.
    pub local: IpAddr,
    /// Sends requests.
    pub sender: SendRequest<String>,
    driver: JoinHandle<()>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Line {
    /// Connects to the server of a URL, encrypted where its scheme says so.
    pub async fn to(pull: &Pull, url: &Url) -> Result<Self, SourceEnd> {
        let is_encrypted = url.scheme() == "https";
        let wire = connect(pull, url, if is_encrypted { 443 } else { 80 }, is_encrypted).await?;
        let (local, _) = wire.addresses()?;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HTTP_HEAD_BYTES_MAX * 4);
        let (sender, driver) = match wire {
            Wire::Plain(stream) => {
                let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(broken)?;
                (sender, actix_rt::spawn(async move { drop(connection.await) }))
            }
            Wire::Tls(stream) => {
                let (sender, connection) = builder.handshake(TokioIo::new(*stream)).await.map_err(broken)?;
                (sender, actix_rt::spawn(async move { drop(connection.await) }))
            }
        };
        Ok(Self { origin: url.origin(), local: local.ip(), sender, driver })
    }
}

/// The value of `Host` (RFC 9110 section 7.2).
pub fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// User and password of a URL as a header says them (RFC 7617), where it has any.
pub fn basic(url: &Url) -> Option<HeaderValue> {
    let (user, password) = login(url)?;
    secret(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

/// A header that is never written down.
pub fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// What an error of hyper means for a source.
pub fn broken(error: hyper::Error) -> SourceEnd {
    SourceEnd::Broken(std::io::Error::other(error))
}
