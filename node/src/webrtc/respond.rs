//! Responses, and the headers that all of them have.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_EXPOSE_HEADERS, ALLOW, CACHE_CONTROL,
    CONTENT_TYPE, LINK, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::door::IceServer;
use crate::web::{self, Body};

pub(super) type Answer = Response<Body>;

/// Why a request is not answered with what it asks for.
#[derive(Debug)]
pub(super) enum Failure {
    /// 400: it cannot be meant so.
    Bad(String),
    /// 401, with or without being asked for credentials.
    Unauthorized {
        /// Whether other credentials could help.
        ask: bool,
    },
    /// 404.
    NotFound(&'static str),
    /// 405.
    Method,
    /// 406: nothing of it can be carried.
    Unusable(String),
    /// 409: somebody else has it.
    Taken(String),
    /// 413.
    TooLarge,
    /// 415: in another format.
    Format(&'static str),
    /// 503: later perhaps.
    Later(String),
}

/// Nobody in between may keep an answer.
const NEVER_KEPT: &str = "no-cache";

/// 200.
pub(super) fn ok(content_type: &'static str, body: Body) -> Answer {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(NEVER_KEPT));
    response
}

/// 204.
pub(super) fn nothing() -> Answer {
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// 302 or 307: the same under another name.
pub(super) fn located(status: StatusCode, to: &str) -> Answer {
    let mut response = Response::new(Body::default());
    match HeaderValue::from_str(to) {
        Ok(to) => {
            *response.status_mut() = status;
            response.headers_mut().insert(LOCATION, to);
        }
        Err(_) => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    response
}

/// What a browser may ask, and what it may read of the answers.
pub(super) fn preflight(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Authorization, Content-Type, If-Match"));
}

const METHODS: &str = "OPTIONS, GET, POST, PATCH, DELETE";

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        let mut extra: Option<(HeaderName, &'static str)> = None;
        let (status, text) = match failure {
            Failure::Bad(text) => (StatusCode::BAD_REQUEST, text),
            Failure::Unauthorized { ask } => {
                extra = ask.then_some((WWW_AUTHENTICATE, "Basic realm=\"mediamtx\""));
                (StatusCode::UNAUTHORIZED, "authentication error".into())
            }
            Failure::NotFound(text) => (StatusCode::NOT_FOUND, text.into()),
            Failure::Method => {
                extra = Some((ALLOW, "OPTIONS, POST"));
                (StatusCode::METHOD_NOT_ALLOWED, "method not allowed".into())
            }
            Failure::Unusable(text) => (StatusCode::NOT_ACCEPTABLE, text),
            Failure::Taken(text) => (StatusCode::CONFLICT, text),
            Failure::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the description is too large".into()),
            Failure::Format(wanted) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("expected {wanted}")),
            Failure::Later(text) => {
                extra = Some((RETRY_AFTER, "1"));
                (StatusCode::SERVICE_UNAVAILABLE, text)
            }
        };
        let body = serde_json::json!({"status": "error", "error": text}).to_string();
        let mut response = ok("application/json; charset=utf-8", Body::from(body));
        *response.status_mut() = status;
        if let Some((name, value)) = extra {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// Adds what every response says, and what scripts of other origins may read of it.
pub(super) fn finish(headers: &mut HeaderMap, allowed: &[String], origin: Option<&HeaderValue>) {
    if web::finish(headers, allowed, origin) {
        let exposed = HeaderValue::from_static("Accept-Patch, ETag, ID, Link, Location, Retry-After");
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
}

/// How long a password lasts that is made of a shared secret.
const LASTS: Duration = Duration::from_secs(24 * 3600);

/// Adds the servers that help to find a way (RFC 9725 section 4.6).
pub(super) fn link_ice_servers(headers: &mut HeaderMap, servers: &[IceServer]) {
    for IceServer { url, username, password } in servers {
        let mut link = format!("<{url}>; rel=\"ice-server\"");
        let (username, password) =
            if username == "AUTH_SECRET" { timed_credentials(password) } else { (username.clone(), password.clone()) };
        if !username.is_empty() {
            let (username, password) = (quoted(&username), quoted(&password));
            link += &format!("; username=\"{username}\"; credential=\"{password}\"; credential-type=\"password\"");
        }
        if let Ok(link) = HeaderValue::from_str(&link) {
            headers.append(LINK, link);
        }
    }
}

/// Where the same is to be had when this node does not answer any more.
pub(super) fn link_alternate(headers: &mut HeaderMap, url: &str) {
    if let Ok(link) = HeaderValue::from_str(&format!("<{url}>; rel=\"alternate\"")) {
        headers.append(LINK, link);
    }
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// A name with the end of its time in it, and its proof (draft-uberti-behave-turn-rest-00).
fn timed_credentials(secret: &str) -> (String, String) {
    let until = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + LASTS;
    let username = format!("{}:{}", until.as_secs(), uuid::Uuid::new_v4().simple());
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    let password = STANDARD.encode(hmac::sign(&key, username.as_bytes()));
    (username, password)
}
