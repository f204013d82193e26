//! Connects to the server of a source.

use tokio::net::TcpStream;
use url::Url;

use super::{Pull, SourceEnd, tls};
use crate::worker::tcp::Wire;

/// A connection to the host of a URL, encrypted where `encrypted` says so.
pub async fn connect(pull: &Pull, url: &Url, port: u16, encrypted: bool) -> Result<Wire, SourceEnd> {
    let name = url.host_str().ok_or_else(|| SourceEnd::Server("the URL has no host".into()))?;
    let port = url.port().unwrap_or(port);
    let dialed = TcpStream::connect((name.trim_matches(['[', ']']), port)).await;
    let stream = dialed.map_err(|error| SourceEnd::Connect { host: format!("{name}:{port}"), error })?;
    Wire::tune(&stream)?;
    if !encrypted {
        return Ok(Wire::Plain(stream));
    }
    let (connector, server) = tls::connector(name, pull.config.fingerprint).await.map_err(SourceEnd::Server)?;
    let shaken = connector.connect(server, stream).await;
    let stream = shaken.map_err(|error| SourceEnd::Server(format!("TLS: {error}")))?;
    Ok(Wire::Tls(Box::new(stream.into())))
}
