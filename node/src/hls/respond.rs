//! Responses, and the headers that all of them have.

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ALLOW, CACHE_CONTROL, CONTENT_TYPE, LOCATION,
    RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};

use crate::web::Body;

pub(super) type Answer = Response<Body>;

/// Why a request is not answered with what it asks for.
#[derive(Debug)]
pub(super) enum Failure {
    /// 400: it cannot be meant so.
    Bad(Box<str>),
    /// 401, with or without being asked for credentials.
    Unauthorized {
        /// Whether other credentials could help.
        ask: bool,
    },
    /// 404.
    NotFound(&'static str),
    /// 405.
    Method,
    /// 503: later perhaps.
    Later(Box<str>),
}

/// Playlists change; nobody in between may keep one.
pub(super) const NEVER_KEPT: &str = "no-cache";
/// What a name stands for never changes; a viewer may keep it, for itself.
pub(super) const KEPT_BY_VIEWERS: &str = "private, max-age=3600";
/// The same for a network that serves many.
pub(super) const KEPT_BY_ALL: &str = "public, max-age=3600";
/// A playlist that names what it waited for is final for that wish (RFC 8216bis section B.1).
pub(super) const KEPT_BRIEFLY: &str = "public, max-age=6";

/// 200.
pub(super) fn ok(content_type: &'static str, cache: &'static str, body: Body) -> Answer {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}

/// 302: the same under another name.
pub(super) fn redirect(to: &str) -> Answer {
    located(StatusCode::FOUND, to)
}

/// 307: for now at another node.
pub(super) fn moved(to: &str) -> Answer {
    located(StatusCode::TEMPORARY_REDIRECT, to)
}

fn located(status: StatusCode, to: &str) -> Answer {
    let mut response = Response::new(Body::default());
    match HeaderValue::from_str(to) {
        Ok(to) => {
            *response.status_mut() = status;
            response.headers_mut().insert(LOCATION, to);
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(NEVER_KEPT));
        }
        Err(_) => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    response
}

/// The answer of a browser's question in advance.
pub(super) fn preflight() -> Answer {
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("OPTIONS, GET, HEAD"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Authorization, Range"));
    response
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        let mut extra: Option<(HeaderName, &'static str)> = None;
        let (status, text) = match failure {
            Failure::Bad(text) => (StatusCode::BAD_REQUEST, text.into_string()),
            Failure::Unauthorized { ask } => {
                extra = ask.then_some((WWW_AUTHENTICATE, "Basic realm=\"mediamtx\""));
                (StatusCode::UNAUTHORIZED, "authentication error".into())
            }
            Failure::NotFound(text) => (StatusCode::NOT_FOUND, text.into()),
            Failure::Method => {
                extra = Some((ALLOW, "OPTIONS, GET, HEAD"));
                (StatusCode::METHOD_NOT_ALLOWED, "method not allowed".into())
            }
            Failure::Later(text) => {
                extra = Some((RETRY_AFTER, "1"));
                (StatusCode::SERVICE_UNAVAILABLE, text.into_string())
            }
        };
        let mut response = ok("text/plain; charset=utf-8", NEVER_KEPT, Body::from(text + "\n"));
        *response.status_mut() = status;
        if let Some((name, value)) = extra {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
