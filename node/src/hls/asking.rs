//! What of a request's head is needed to answer it.
//!
//! Copied, although the head is slices already: they are slices of the connection's read buffer, and hyper takes another
//! buffer of 8 KB to look for the client's going away while they are held. Most viewers wait most of the time, so their
//! requests are to hold little.

use std::net::SocketAddr;

use axum::http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, COOKIE, HeaderName, HeaderValue, ORIGIN, USER_AGENT,
};
use axum::http::{HeaderMap, Method, Request};

use super::door::Shared;
use crate::web;

/// Who asks, and with what.
pub(super) struct Asking {
    pub(super) method: Method,
    /// The client, which is another than who is connected where a proxy is trusted.
    pub(super) peer: SocketAddr,
    pub(super) secure: bool,
    /// The port under which the client knows this node.
    pub(super) port: u16,
    pub(super) path: Box<str>,
    pub(super) query: Box<str>,
    pub(super) authorization: Option<Box<str>>,
    pub(super) user_agent: Option<Box<str>>,
    pub(super) origin: Option<HeaderValue>,
    /// The token that is shown as a cookie.
    pub(super) cookie: Option<Box<str>>,
    /// The client gave back the cookie that it was tried with.
    pub(super) keeps_cookies: bool,
    /// A browser asks what it may ask.
    pub(super) preflight: bool,
}

impl Asking {
    /// Copies out of a request what is needed; the rest is to be let go before anything waits.
    pub(super) fn new<B>(shared: &Shared, request: &Request<B>, peer: SocketAddr, secure: bool) -> Self {
        let headers = request.headers();
        let forwarded = headers.get("x-forwarded-for").and_then(|value| value.to_str().ok());
        Self {
            peer: SocketAddr::new(shared.client(peer.ip(), forwarded), peer.port()),
            secure,
            port: web::port(request, secure),
            path: request.uri().path().into(),
            query: request.uri().query().unwrap_or_default().into(),
            authorization: text(headers, &AUTHORIZATION),
            user_agent: text(headers, &USER_AGENT),
            origin: headers.get(ORIGIN).and_then(|origin| HeaderValue::from_bytes(origin.as_bytes()).ok()),
            cookie: cookie(headers, "hlsSession").map(Box::from),
            keeps_cookies: cookie(headers, "cookieCheck").is_some(),
            preflight: headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD),
            method: request.method().clone(),
        }
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<Box<str>> {
    headers.get(name)?.to_str().ok().map(Box::from)
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .find_map(|cookies| cookies.split(';').find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('=')))
}
