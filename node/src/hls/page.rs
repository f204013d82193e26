//! The page that plays a path, and its script.

use axum::http::HeaderValue;
use axum::http::header::CONTENT_SECURITY_POLICY;

use super::respond::{Answer, NEVER_KEPT, ok};
use crate::web::Body;

/// The page may run its own script and style and talk to this server; nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; \
     media-src 'self' blob:; img-src 'self' data:; base-uri 'none'; form-action 'none'";

/// The page. Query flags are read by the script.
pub(super) fn page() -> Answer {
    let body = Body::from(&include_bytes!("player.html")[..]);
    let mut response = ok("text/html; charset=utf-8", NEVER_KEPT, body);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

/// The script.
pub(super) fn script() -> Answer {
    ok("text/javascript; charset=utf-8", NEVER_KEPT, Body::from(&include_bytes!("player.js")[..]))
}
