//! Who may ask: credentials out of headers, and the rules of browsers about other origins.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_METHOD, HOST, ORIGIN, VARY, WWW_AUTHENTICATE,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::failure;
use crate::auth::web::{Shown, allow_origin, is_named};
use crate::auth::{Action, AuthRequest, Authenticator, Decision, Protocol};

/// Who asks, where that is known.
#[derive(Clone, Debug)]
pub(super) struct User(pub(super) Option<Arc<str>>);

/// Lets a request pass if the authenticator agrees.
pub(super) async fn authenticate(
    State(authenticator): State<Arc<dyn Authenticator>>,
    mut request: Request,
    next: Next,
) -> Response {
    match decide(&*authenticator, &request) {
        Decision::Allow { user } => {
            request.extensions_mut().insert(User(user));
            next.run(request).await
        }
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

/// Tells browsers which origins may ask (CORS), and answers their question in advance.
pub(super) async fn cross_origin(State(allowed): State<Arc<[String]>>, request: Request, next: Next) -> Response {
    let origin = allow_origin(&allowed, request.headers().get(ORIGIN));
    let asks_first =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match asks_first {
        true => preflight(),
        false if !may_change(&allowed, &request) => failure(
            StatusCode::FORBIDDEN,
            "a page of another origin changes nothing without credentials: see apiAllowOrigins",
        ),
        false => next.run(request).await,
    };
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

/// Whether it changes nothing, or comes from no page of another origin. Browsers send what such a page asks for, also to the loopback,
/// where no credentials are needed; `*` says who may read.
fn may_change(allowed: &[String], request: &Request) -> bool {
    let headers = request.headers();
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let is_own = || {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        origin.to_str().ok().and_then(|origin| origin.split_once("://")).is_some_and(|(_, at)| Some(at) == host)
    };
    matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS)
        || Shown::of(headers).is_some()
        || is_named(allowed, origin)
        || is_own()
}

fn preflight() -> Response {
    let headers = [
        (ACCESS_CONTROL_ALLOW_METHODS, "OPTIONS, GET, POST, PATCH, DELETE"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type, If-Match, Idempotency-Key"),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}
