//! Who may ask: credentials out of headers, and the rules of browsers about other origins.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, ORIGIN, VARY, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::failure;
use crate::auth::{Action, AuthRequest, Authenticator, Credentials, Decision, Protocol};

/// Lets a request pass if the authenticator agrees.
pub(super) async fn authenticate(
    State(authenticator): State<Arc<dyn Authenticator>>,
    request: Request,
    next: Next,
) -> Response {
    match decide(&*authenticator, &request) {
        Decision::Allow { .. } => next.run(request).await,
        Decision::Challenge => {
            let mut response = failure(StatusCode::UNAUTHORIZED, "authentication error");
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"mediamtx\""));
            response
        }
        Decision::Deny => failure(StatusCode::UNAUTHORIZED, "authentication error"),
    }
}

fn decide(authenticator: &dyn Authenticator, request: &Request) -> Decision {
    // Without an address it is a stranger: fail closed.
    let stranger = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map_or(stranger, |info| info.0);
    let shown = Shown::of(request.headers());
    authenticator.check(&AuthRequest {
        action: Action::Api,
        path: None,
        query: request.uri().query().unwrap_or_default(),
        protocol: Protocol::Http,
        peer,
        credentials: shown.as_ref().map(Shown::credentials),
    })
}

/// What an `Authorization` header shows.
#[derive(Debug, PartialEq, Eq)]
enum Shown {
    Password { user: String, password: String },
    Token(String),
}

impl Shown {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let (scheme, rest) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        let password = |text: &str| {
            let (user, password) = text.split_once(':')?;
            Some(Self::Password { user: user.to_owned(), password: password.to_owned() })
        };
        if scheme.eq_ignore_ascii_case("basic") {
            password(&String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?)
        } else if scheme.eq_ignore_ascii_case("bearer") {
            password(rest).or_else(|| Some(Self::Token(rest.to_owned())))
        } else {
            None
        }
    }

    fn credentials(&self) -> Credentials<'_> {
        match self {
            Self::Password { user, password } => Credentials::Password { user, password },
            Self::Token(token) => Credentials::Token(token),
        }
    }
}

/// Tells browsers which origins may ask (CORS), and answers their question in advance.
pub(super) async fn cross_origin(State(allowed): State<Arc<[String]>>, request: Request, next: Next) -> Response {
    let origin = allow_origin(&allowed, request.headers().get(ORIGIN));
    let asks_first =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if asks_first { preflight() } else { next.run(request).await };
    if let Some(origin) = origin {
        let headers = response.headers_mut();
        if origin != "*" {
            headers.insert(VARY, HeaderValue::from_static("Origin"));
        }
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    response
}

fn preflight() -> Response {
    let headers = [
        (ACCESS_CONTROL_ALLOW_METHODS, "OPTIONS, GET, POST, PATCH, DELETE"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type"),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

fn allow_origin(allowed: &[String], origin: Option<&HeaderValue>) -> Option<HeaderValue> {
    if allowed.iter().any(|pattern| pattern == "*") {
        return Some(HeaderValue::from_static("*"));
    }
    let origin = origin?;
    let text = origin.to_str().ok()?;
    allowed.iter().any(|pattern| fits(pattern, text)).then(|| origin.clone())
}

/// `https://example.com`, or `https://*.example.com` for any host below it.
fn fits(pattern: &str, origin: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == origin,
        Some((before, after)) => origin
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after))
            .is_some_and(|middle| !middle.is_empty() && !middle.contains(['/', '@', ':'])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(header: &str) -> Option<Shown> {
        Shown::of(&HeaderMap::from_iter([(AUTHORIZATION, header.parse().unwrap())]))
    }

    #[test]
    fn credentials_come_out_of_headers() {
        let joe = || Some(Shown::Password { user: "joe".into(), password: "pa:ss".into() });
        assert_eq!(shown("Basic am9lOnBhOnNz"), joe());
        assert_eq!(shown("bearer joe:pa:ss"), joe());
        assert_eq!(shown("Bearer abc.def"), Some(Shown::Token("abc.def".into())));
        for bad in ["Basic", "Basic !!!", "Basic am9l", "Digest x", ""] {
            assert_eq!(shown(bad), None, "{bad}");
        }
    }

    #[test]
    fn origins_fit_exactly_or_below_a_star() {
        assert!(fits("https://a.example", "https://a.example"));
        assert!(fits("https://*.example", "https://a.b.example"));
        for (pattern, origin) in [
            ("https://a.example", "https://a.example.evil"),
            ("https://*.example", "https://.example"),
            ("https://*.example", "https://evil/.example"),
            ("https://*.example", "http://a.example"),
        ] {
            assert!(!fits(pattern, origin), "{pattern} {origin}");
        }
    }
}
