//! HTTP as doors serve it to browsers and players: on the workers, within bounds, each door with its own answers.

use std::net::IpAddr;

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, HOST, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Request};

use crate::auth::web::allow_origin;
use crate::config::network::IpRange;

mod body;
mod listener;
mod patient;

pub use body::Body;
pub use listener::{Site, accept};

/// The client that a proxy speaks for: the last address of `X-Forwarded-For` that is no trusted proxy's own.
pub fn client(peer: IpAddr, forwarded: Option<&str>, trusted_proxies: &[IpRange]) -> IpAddr {
    let Some(forwarded) = forwarded else { return peer };
    let trusted = |address: IpAddr| trusted_proxies.iter().any(|range| range.contains(address));
    let mut client = peer;
    for hop in forwarded.rsplit(',') {
        if !trusted(client) {
            break;
        }
        let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
        client = address.to_canonical();
    }
    client
}

/// The port under which the client knows this node.
pub fn port<B>(request: &Request<B>, secure: bool) -> u16 {
    // HTTP/2 has the host in the target, HTTP/1 in a field.
    let asked = request.uri().port_u16();
    let host = || request.headers().get(HOST)?.to_str().ok()?.parse::<Authority>().ok()?.port_u16();
    asked.or_else(host).unwrap_or(if secure { 443 } else { 80 })
}

/// The same at another node, whose host is this; nodes have their doors at one port. `query`: empty, or what follows `?`.
pub fn at_node(host: &str, secure: bool, port: u16, path: &str, query: &str) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let scheme = if secure { "https" } else { "http" };
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{scheme}://{host}:{port}{path}{mark}{query}")
}

/// Adds what every response says: which origins may read it, and that its type is what it says. Whether this one may.
pub fn finish(headers: &mut HeaderMap, allowed: &[String], origin: Option<&HeaderValue>) -> bool {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let Some(origin) = allow_origin(allowed, origin) else { return false };
    if origin != "*" {
        headers.insert(VARY, HeaderValue::from_static("Origin"));
    }
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    true
}
